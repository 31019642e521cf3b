/* The JSON file of a schema, as the original saves and loads it: see mschema.h. */
#include "db/mschema.h"
#include "db/python_text.h"
#include "io/file.h"
#include "io/json_reader.h"
#include "io/json_writer.h"

static void put_key(sqn_json_writer *w, const char *key) { sqn_json_put_key(w, key, strlen(key)); }

static void put_text(sqn_json_writer *w, sqn_text t) {
    if (t.at == NULL)
        sqn_json_put_null(w);
    else
        sqn_json_put_string(w, t.at, t.n);
}

static void put_field(sqn_json_writer *w, const char *key, sqn_text t) {
    put_key(w, key);
    put_text(w, t);
}

static void put_flag(sqn_json_writer *w, const char *key, bool flag) {
    put_key(w, key);
    sqn_json_put_boolean(w, flag);
}

static void put_list(sqn_json_writer *w, const sqn_text_list *l) {
    sqn_json_put_array(w);
    for (size_t i = 0; i < l->n; i++) put_text(w, l->items[i]);
    sqn_json_put_array_end(w);
}

static void put_lists(sqn_json_writer *w, const char *key, const sqn_text_lists *l) {
    put_key(w, key);
    sqn_json_put_array(w);
    for (size_t i = 0; i < l->n; i++) put_list(w, &l->items[i]);
    sqn_json_put_array_end(w);
}

static void put_column(sqn_json_writer *w, const sqn_schema_column *c) {
    sqn_json_put_key(w, c->name.at, c->name.n);
    sqn_json_put_object(w);
    put_field(w, "type", c->type);
    put_flag(w, "primary_key", c->primary_key);
    put_flag(w, "nullable", c->nullable);
    put_field(w, "default", c->fallback);
    put_flag(w, "autoincrement", c->autoincrement);
    put_flag(w, "unique", c->unique);
    put_field(w, "comment", c->comment);
    put_key(w, "examples");
    put_list(w, &c->examples);
    put_field(w, "category", c->category);
    put_field(w, "dim_or_meas", c->dim_or_meas);
    if (c->mapping != NULL) {
        put_key(w, "value_mapping");
        sqn_json_put_object(w);
        for (size_t i = 0; i < c->mapping_count; i++) {
            sqn_json_put_key(w, c->mapping[i].value.at, c->mapping[i].value.n);
            put_text(w, c->mapping[i].name);
        }
        sqn_json_put_object_end(w);
    }
    sqn_json_put_object_end(w);
}

static void put_table(sqn_json_writer *w, const sqn_schema_table *t) {
    sqn_json_put_key(w, t->name.at, t->name.n);
    sqn_json_put_object(w);
    put_key(w, "fields");
    sqn_json_put_object(w);
    for (size_t i = 0; i < t->column_count; i++) put_column(w, &t->columns[i]);
    sqn_json_put_object_end(w);
    put_key(w, "examples");
    sqn_json_put_array(w);
    sqn_json_put_array_end(w);
    put_field(w, "comment", t->comment);
    if (t->kind.at != NULL) put_field(w, "type", t->kind);
    put_lists(w, "unique_keys", &t->unique_keys);
    put_lists(w, "keys", &t->keys);
    sqn_json_put_object_end(w);
}

sqn_status sqn_mschema_to_json(const sqn_schema *s, sqn_buf *out, sqn_err *e) {
    sqn_json_writer *w = NULL;
    size_t n;
    SQN_TRY(sqn_json_writer_new(&w, (sqn_json_style){.indent = 2}, NULL, NULL, e));
    sqn_json_put_object(w);
    put_field(w, "db_id", s->db_id);
    put_field(w, "schema", s->schema);
    put_key(w, "tables");
    sqn_json_put_object(w);
    for (size_t i = 0; i < s->table_count; i++) put_table(w, &s->tables[i]);
    sqn_json_put_object_end(w);
    put_key(w, "foreign_keys");
    sqn_json_put_array(w);
    for (size_t i = 0; i < s->key_count; i++) {
        const sqn_schema_key *k = &s->keys[i];
        sqn_text items[] = {k->table, k->column, k->schema, k->ref_table, k->ref_column};
        put_list(w, &(sqn_text_list){items, 5});
    }
    sqn_json_put_array_end(w);
    sqn_json_put_object_end(w);
    sqn_status status = sqn_json_writer_finish(w, e);
    if (status == SQN_OK) {
        const char *text = sqn_json_writer_text(w, &n);
        sqn_buf_put(out, text, n);
        status = sqn_buf_status(out, e);
    }
    sqn_json_writer_close(w);
    return status;
}

sqn_status sqn_mschema_save(const sqn_schema *s, const char *path, sqn_err *e) {
    sqn_buf text = {0};
    sqn_status status = sqn_mschema_to_json(s, &text, e);
    if (status == SQN_OK) status = sqn_file_write(path, text.data, text.n, e);
    sqn_buf_release(&text);
    return status;
}

typedef struct loader {
    sqn_schema *schema;
    sqn_json_reader *reader;
    sqn_buf scratch; /* owned */
    sqn_err *e;
} loader;

static sqn_status next(loader *l, sqn_json_token *t) { return sqn_json_next(l->reader, t, l->e); }

static sqn_status expect(loader *l, const sqn_json_token *t, sqn_json_kind kind, const char *what,
                         const char *wanted) {
    if (t->kind == kind) return SQN_OK;
    return sqn_json_complain(l->reader, t, l->e, "%s must be %s", what, wanted);
}

/* A value as Python prints it, inside a list as its repr. */
static sqn_status put_value(loader *l, sqn_json_token *t, bool inside) {
    sqn_buf *to = &l->scratch;
    bool list = t->kind == SQN_JSON_ARRAY, first = true;
    switch (t->kind) {
    case SQN_JSON_NULL:
        sqn_buf_put_string(to, "None");
        return SQN_OK;
    case SQN_JSON_TRUE:
        sqn_buf_put_string(to, "True");
        return SQN_OK;
    case SQN_JSON_FALSE:
        sqn_buf_put_string(to, "False");
        return SQN_OK;
    case SQN_JSON_INTEGER:
        sqn_buf_put_format(to, "%lld", (long long)t->integer);
        return SQN_OK;
    case SQN_JSON_FLOAT:
        if (t->text != NULL) /* an integer beyond 64 bits */
            sqn_buf_put(to, t->text, t->length);
        else
            sqn_python_put_float(to, t->number);
        return SQN_OK;
    case SQN_JSON_STRING:
    case SQN_JSON_KEY:
        (inside ? sqn_python_put_repr : sqn_buf_put)(to, t->text, t->length);
        return SQN_OK;
    default:
        break;
    }
    sqn_buf_put_byte(to, list ? '[' : '{');
    for (;;) {
        SQN_TRY(next(l, t));
        if (t->kind == SQN_JSON_ARRAY_END || t->kind == SQN_JSON_OBJECT_END) break;
        if (!first) sqn_buf_put_string(to, ", ");
        first = false;
        SQN_TRY(put_value(l, t, true));
        if (list) continue;
        sqn_buf_put_string(to, ": ");
        SQN_TRY(next(l, t));
        SQN_TRY(put_value(l, t, true));
    }
    sqn_buf_put_byte(to, list ? ']' : '}');
    return SQN_OK;
}

/* Any value as text; null stays null. */
static sqn_status any_text(loader *l, sqn_json_token *t, sqn_text *out) {
    if (t->kind == SQN_JSON_NULL) return sqn_schema_text(l->schema, NULL, 0, out, l->e);
    l->scratch.n = 0;
    SQN_TRY(put_value(l, t, false));
    SQN_TRY(sqn_buf_status(&l->scratch, l->e));
    const char *text = l->scratch.data ? l->scratch.data : "";
    return sqn_schema_text(l->schema, text, l->scratch.n, out, l->e);
}

static sqn_status text_or_null(loader *l, const sqn_json_token *t, const char *what,
                               sqn_text *out) {
    if (t->kind == SQN_JSON_NULL) return sqn_schema_text(l->schema, NULL, 0, out, l->e);
    SQN_TRY(expect(l, t, SQN_JSON_STRING, what, "a string or null"));
    return sqn_schema_text(l->schema, t->text, t->length, out, l->e);
}

static sqn_status flag(loader *l, const sqn_json_token *t, const char *what, bool *out) {
    *out = t->kind == SQN_JSON_TRUE;
    if (t->kind == SQN_JSON_TRUE || t->kind == SQN_JSON_FALSE || t->kind == SQN_JSON_NULL)
        return SQN_OK;
    return expect(l, t, SQN_JSON_TRUE, what, "true or false");
}

static sqn_status text_list(loader *l, sqn_json_token *t, const char *what, sqn_text_list *out) {
    sqn_text item;
    *out = (sqn_text_list){NULL, 0};
    if (t->kind == SQN_JSON_NULL) return SQN_OK;
    SQN_TRY(expect(l, t, SQN_JSON_ARRAY, what, "a list"));
    for (;;) {
        SQN_TRY(next(l, t));
        if (t->kind == SQN_JSON_ARRAY_END) return SQN_OK;
        SQN_TRY(any_text(l, t, &item));
        SQN_TRY(sqn_schema_add_text(l->schema, out, item, l->e));
    }
}

static sqn_status list_of_lists(loader *l, sqn_json_token *t, const char *what,
                                sqn_text_lists *out) {
    sqn_text_list item;
    SQN_TRY(expect(l, t, SQN_JSON_ARRAY, what, "a list"));
    for (;;) {
        SQN_TRY(next(l, t));
        if (t->kind == SQN_JSON_ARRAY_END) return SQN_OK;
        SQN_TRY(text_list(l, t, what, &item));
        SQN_TRY(sqn_schema_add_list(l->schema, out, item, l->e));
    }
}

/* Walks an object: the key is kept in the arena, the first token of its value is in *t. */
static sqn_status next_member(loader *l, sqn_json_token *t, sqn_text *key, bool *end) {
    SQN_TRY(next(l, t));
    *end = t->kind == SQN_JSON_OBJECT_END;
    if (*end) return SQN_OK;
    SQN_TRY(sqn_schema_text(l->schema, t->text, t->length, key, l->e));
    return next(l, t);
}

static sqn_status load_mapping(loader *l, sqn_json_token *t, sqn_schema_column *c) {
    sqn_text key;
    bool end;
    if (t->kind == SQN_JSON_NULL) return SQN_OK;
    SQN_TRY(expect(l, t, SQN_JSON_OBJECT, "value_mapping", "an object"));
    c->mapping = sqn_arena_alloc(&l->schema->arena, sizeof *c->mapping, l->e);
    if (c->mapping == NULL) return SQN_NOMEM;
    for (;;) {
        SQN_TRY(next_member(l, t, &key, &end));
        if (end) return SQN_OK;
        sqn_value_name *list =
            sqn_arena_list(&l->schema->arena, c->mapping, c->mapping_count, sizeof *list, l->e);
        if (list == NULL) return SQN_NOMEM;
        c->mapping = list;
        list[c->mapping_count].value = key;
        SQN_TRY(any_text(l, t, &list[c->mapping_count].name));
        if (list[c->mapping_count].name.at == NULL)
            list[c->mapping_count].name = (sqn_text){"None", 4};
        c->mapping_count++;
    }
}

static sqn_status load_column(loader *l, sqn_json_token *t, sqn_schema_column *c) {
    sqn_text key;
    bool end;
    sqn_json_token start = *t;
    SQN_TRY(expect(l, t, SQN_JSON_OBJECT, "a column", "an object"));
    for (;;) {
        SQN_TRY(next_member(l, t, &key, &end));
        if (end) break;
        if (sqn_text_is(key, "type"))
            SQN_TRY(text_or_null(l, t, "type", &c->type));
        else if (sqn_text_is(key, "comment"))
            SQN_TRY(text_or_null(l, t, "comment", &c->comment));
        else if (sqn_text_is(key, "default"))
            SQN_TRY(any_text(l, t, &c->fallback));
        else if (sqn_text_is(key, "category"))
            SQN_TRY(any_text(l, t, &c->category));
        else if (sqn_text_is(key, "dim_or_meas"))
            SQN_TRY(any_text(l, t, &c->dim_or_meas));
        else if (sqn_text_is(key, "primary_key"))
            SQN_TRY(flag(l, t, "primary_key", &c->primary_key));
        else if (sqn_text_is(key, "nullable"))
            SQN_TRY(flag(l, t, "nullable", &c->nullable));
        else if (sqn_text_is(key, "autoincrement"))
            SQN_TRY(flag(l, t, "autoincrement", &c->autoincrement));
        else if (sqn_text_is(key, "unique"))
            SQN_TRY(flag(l, t, "unique", &c->unique));
        else if (sqn_text_is(key, "examples"))
            SQN_TRY(text_list(l, t, "examples", &c->examples));
        else if (sqn_text_is(key, "value_mapping"))
            SQN_TRY(load_mapping(l, t, c));
        else
            SQN_TRY(sqn_json_skip(l->reader, t, l->e));
    }
    if (c->type.at == NULL)
        return sqn_json_complain(l->reader, &start, l->e, "column '%s' has no 'type'", c->name.at);
    return SQN_OK;
}

static sqn_status load_table(loader *l, sqn_json_token *t, sqn_schema_table *table) {
    sqn_text key;
    bool end;
    SQN_TRY(expect(l, t, SQN_JSON_OBJECT, "a table", "an object"));
    for (;;) {
        SQN_TRY(next_member(l, t, &key, &end));
        if (end) return SQN_OK;
        if (sqn_text_is(key, "comment"))
            SQN_TRY(text_or_null(l, t, "comment", &table->comment));
        else if (sqn_text_is(key, "type"))
            SQN_TRY(text_or_null(l, t, "type", &table->kind));
        else if (sqn_text_is(key, "keys"))
            SQN_TRY(list_of_lists(l, t, "keys", &table->keys));
        else if (sqn_text_is(key, "unique_keys"))
            SQN_TRY(list_of_lists(l, t, "unique_keys", &table->unique_keys));
        else if (!sqn_text_is(key, "fields"))
            SQN_TRY(sqn_json_skip(l->reader, t, l->e));
        else {
            SQN_TRY(expect(l, t, SQN_JSON_OBJECT, "fields", "an object"));
            for (;;) {
                SQN_TRY(next_member(l, t, &key, &end));
                if (end) break;
                sqn_schema_column *c = sqn_schema_add_column(l->schema, table, l->e);
                if (c == NULL) return SQN_NOMEM;
                c->name = key;
                c->nullable = true;
                c->comment = c->category = c->dim_or_meas = (sqn_text){"", 0};
                SQN_TRY(load_column(l, t, c));
            }
        }
    }
}

static sqn_status load_keys(loader *l, sqn_json_token *t) {
    sqn_text_list k;
    SQN_TRY(expect(l, t, SQN_JSON_ARRAY, "foreign_keys", "a list"));
    for (;;) {
        SQN_TRY(next(l, t));
        if (t->kind == SQN_JSON_ARRAY_END) return SQN_OK;
        sqn_json_token start = *t;
        SQN_TRY(text_list(l, t, "a foreign key", &k));
        if (k.n != 5)
            return sqn_json_complain(l->reader, &start, l->e,
                                     "a foreign key must have 5 parts, this has %zu", k.n);
        sqn_schema_key *out = sqn_schema_add_key(l->schema, l->e);
        if (out == NULL) return SQN_NOMEM;
        *out = (sqn_schema_key){k.items[0], k.items[1], k.items[2], k.items[3], k.items[4]};
    }
}

static sqn_status load_schema(loader *l) {
    sqn_text key;
    bool end;
    sqn_json_token t;
    SQN_TRY(next(l, &t));
    SQN_TRY(expect(l, &t, SQN_JSON_OBJECT, "a schema", "an object"));
    l->schema->db_id = (sqn_text){"Anonymous", 9};
    for (;;) {
        SQN_TRY(next_member(l, &t, &key, &end));
        if (end) break;
        if (sqn_text_is(key, "db_id"))
            SQN_TRY(any_text(l, &t, &l->schema->db_id));
        else if (sqn_text_is(key, "schema"))
            SQN_TRY(text_or_null(l, &t, "schema", &l->schema->schema));
        else if (sqn_text_is(key, "foreign_keys"))
            SQN_TRY(load_keys(l, &t));
        else if (!sqn_text_is(key, "tables"))
            SQN_TRY(sqn_json_skip(l->reader, &t, l->e));
        else {
            SQN_TRY(expect(l, &t, SQN_JSON_OBJECT, "tables", "an object"));
            for (;;) {
                SQN_TRY(next_member(l, &t, &key, &end));
                if (end) break;
                sqn_schema_table *table = sqn_schema_add_table(l->schema, l->e);
                if (table == NULL) return SQN_NOMEM;
                table->name = key;
                SQN_TRY(load_table(l, &t, table));
            }
        }
    }
    return next(l, &t); /* the end of the text, or an error for what follows */
}

/* Takes the reader. */
static sqn_status load_from(sqn_json_reader *reader, sqn_schema **out, sqn_err *e) {
    loader l = {.schema = sqn_schema_new(e), .reader = reader, .e = e};
    sqn_status status = l.schema ? load_schema(&l) : SQN_NOMEM;
    sqn_json_reader_close(reader);
    sqn_buf_release(&l.scratch);
    if (status == SQN_OK)
        *out = l.schema;
    else
        sqn_schema_release(l.schema);
    return status;
}

sqn_status sqn_mschema_load(const char *path, sqn_schema **out, sqn_err *e) {
    sqn_json_reader *reader = NULL;
    SQN_TRY(sqn_json_reader_open(&reader, path, e));
    return load_from(reader, out, e);
}

sqn_status sqn_mschema_from_json(const char *text, size_t n, const char *name, sqn_schema **out,
                                 sqn_err *e) {
    sqn_json_reader *reader = NULL;
    SQN_TRY(sqn_json_reader_memory(&reader, text, n, name, e));
    return load_from(reader, out, e);
}
