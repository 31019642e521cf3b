/* Schemas: making and filling them, and the choice of a dialect's reader. See catalog.h. */
#include "db/catalog.h"

sqn_schema *sqn_schema_new(sqn_err *e) { return sqn_calloc(1, sizeof(sqn_schema), e); }

void sqn_schema_release(sqn_schema *s) {
    if (s == NULL) return;
    sqn_arena_release(&s->arena);
    sqn_free(s);
}

sqn_status sqn_schema_text(sqn_schema *s, const char *bytes, size_t n, sqn_text *out, sqn_err *e) {
    *out = (sqn_text){NULL, 0};
    if (bytes == NULL) return SQN_OK;
    *out = (sqn_text){sqn_arena_copy(&s->arena, bytes, n, e), n};
    return out->at ? SQN_OK : SQN_NOMEM;
}

sqn_schema_table *sqn_schema_add_table(sqn_schema *s, sqn_err *e) {
    void *list = sqn_arena_list(&s->arena, s->tables, s->table_count, sizeof *s->tables, e);
    if (list == NULL) return NULL;
    s->tables = list;
    return &s->tables[s->table_count++];
}

sqn_schema_column *sqn_schema_add_column(sqn_schema *s, sqn_schema_table *t, sqn_err *e) {
    void *list = sqn_arena_list(&s->arena, t->columns, t->column_count, sizeof *t->columns, e);
    if (list == NULL) return NULL;
    t->columns = list;
    return &t->columns[t->column_count++];
}

sqn_schema_key *sqn_schema_add_key(sqn_schema *s, sqn_err *e) {
    void *list = sqn_arena_list(&s->arena, s->keys, s->key_count, sizeof *s->keys, e);
    if (list == NULL) return NULL;
    s->keys = list;
    return &s->keys[s->key_count++];
}

sqn_status sqn_schema_add_text(sqn_schema *s, sqn_text_list *l, sqn_text t, sqn_err *e) {
    void *list = sqn_arena_list(&s->arena, l->items, l->n, sizeof *l->items, e);
    if (list == NULL) return SQN_NOMEM;
    l->items = list;
    l->items[l->n++] = t;
    return SQN_OK;
}

sqn_status sqn_schema_add_list(sqn_schema *s, sqn_text_lists *l, sqn_text_list t, sqn_err *e) {
    void *list = sqn_arena_list(&s->arena, l->items, l->n, sizeof *l->items, e);
    if (list == NULL) return SQN_NOMEM;
    l->items = list;
    l->items[l->n++] = t;
    return SQN_OK;
}

bool sqn_text_list_equal(const sqn_text_list *a, const sqn_text_list *b) {
    if (a->n != b->n) return false;
    for (size_t i = 0; i < a->n; i++)
        if (!sqn_text_equal(a->items[i], b->items[i])) return false;
    return true;
}

void sqn_schema_mark_unique(sqn_schema_table *t, size_t primary_key_columns) {
    for (size_t i = 0; i < t->column_count; i++) {
        sqn_schema_column *column = &t->columns[i];
        if (column->primary_key) {
            column->unique = primary_key_columns == 1;
            continue;
        }
        for (size_t k = 0; k < t->unique_keys.n; k++) {
            const sqn_text_list *key = &t->unique_keys.items[k];
            if (key->n == 1 && sqn_text_equal(key->items[0], column->name)) column->unique = true;
        }
    }
}

/* ---- reading ---- */

void sqn_catalog_put_quoted(sqn_buf *to, sqn_text name, char quote) {
    sqn_buf_put_byte(to, quote);
    for (size_t i = 0; i < name.n; i++) {
        if (name.at[i] == quote) sqn_buf_put_byte(to, quote);
        sqn_buf_put_byte(to, name.at[i]);
    }
    sqn_buf_put_byte(to, quote);
}

static bool named(const char *const *names, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0) return true;
    return false;
}

bool sqn_catalog_wants(const sqn_catalog_options *o, const char *table) {
    if (o->include != NULL) return named(o->include, o->include_count, table);
    return o->ignore == NULL || !named(o->ignore, o->ignore_count, table);
}

sqn_status sqn_catalog_check_names(const sqn_catalog_options *o, const sqn_result *tables,
                                   int column, sqn_err *e) {
    const char *const *names = o->include ? o->include : o->ignore;
    size_t n = o->include ? o->include_count : o->ignore ? o->ignore_count : 0;
    for (size_t i = 0; i < n; i++) {
        bool found = false;
        for (int64_t k = 0; k < tables->rows && !found; k++)
            found = strcmp(tables->cells[k * tables->columns + column].as.bytes, names[i]) == 0;
        if (!found)
            return SQN_FAIL(e, SQN_NOTFOUND, "%s: there is no table '%s'",
                            o->include ? "include_tables" : "ignore_tables", names[i]);
    }
    return SQN_OK;
}

sqn_status sqn_catalog_command(sqn_conn *c, const char *sql, sqn_err *e) {
    static const sqn_run_options ours = {.trusted = true};
    const sqn_cell *row;
    SQN_TRY(sqn_conn_run(c, sql, strlen(sql), &ours, e));
    sqn_status status = sqn_conn_next(c, &row, e);
    sqn_conn_finish(c);
    return status;
}

typedef sqn_status (*reader)(sqn_conn *c, const sqn_catalog_options *o, sqn_schema *s, sqn_err *e);

static const struct {
    const char *dialect;
    reader read;
} readers[] = {
    {"sqlite", sqn_catalog_sqlite_read},
    {"mysql", sqn_catalog_mysql_read},
    {"postgresql", sqn_catalog_postgresql_read},
};

sqn_status sqn_catalog_read(sqn_conn *c, const sqn_catalog_options *o, sqn_schema **out,
                            sqn_err *e) {
    sqn_status status;
    const char *db_id = o->db_id ? o->db_id : "Anonymous", *dialect = c->driver->dialect;
    reader read = NULL;
    if (o->include != NULL && o->ignore != NULL)
        return SQN_FAIL(e, SQN_MISUSE, "give 'include_tables' or 'ignore_tables', not both");
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++)
        if (strcmp(readers[i].dialect, dialect) == 0) read = readers[i].read;
    if (read == NULL)
        return SQN_FAIL(e, SQN_MISUSE, "schemas of the dialect '%s' cannot be read", dialect);
    sqn_schema *s = sqn_schema_new(e);
    if (s == NULL) return SQN_NOMEM;
    s->example_seconds = o->example_seconds;
    SQN_GOTO(sqn_schema_text(s, db_id, strlen(db_id), &s->db_id, e));
    if (o->schema != NULL)
        SQN_GOTO(sqn_schema_text(s, o->schema, strlen(o->schema), &s->schema, e));
    SQN_GOTO(read(c, o, s, e));
    *out = s;
    return SQN_OK;
fail:
    sqn_schema_release(s);
    return status;
}
