/* Prints M-Schema: see mschema.h. */
#include "db/mschema.h"

#include <stdlib.h>

#include "db/python_text.h"

/* Longest sum of the examples that are left after long ones were dropped. */
enum { MAX_EXAMPLES_LENGTH = 100 };

static bool equal_lower(sqn_text a, sqn_text b, sqn_buf scratch[2]) {
    scratch[0].n = scratch[1].n = 0;
    sqn_python_lower(&scratch[0], a.at, a.n);
    sqn_python_lower(&scratch[1], b.at, b.n);
    return scratch[0].n == scratch[1].n &&
           (scratch[0].n == 0 || memcmp(scratch[0].data, scratch[1].data, scratch[0].n) == 0);
}

typedef struct printer {
    const sqn_schema *schema;
    const sqn_mschema_options *o;
    sqn_buf scratch[2], name; /* owned */
    sqn_text *shown;          /* owned; the examples of one column */
    size_t shown_count, shown_room;
    sqn_err *e;
} printer;

static bool table_chosen(printer *p, sqn_text table) {
    if (p->o->filtered && p->o->select_columns) {
        for (size_t i = 0; i < p->o->columns.n; i++) {
            sqn_text item = p->o->columns.items[i];
            const char *dot = item.n ? memchr(item.at, '.', item.n) : NULL;
            if (dot != NULL) item.n = (size_t)(dot - item.at);
            if (equal_lower(item, table, p->scratch)) return true;
        }
        return false;
    }
    if (!p->o->select_tables) return true;
    for (size_t i = 0; i < p->o->tables.n; i++)
        if (equal_lower(p->o->tables.items[i], table, p->scratch)) return true;
    return false;
}

/* "table.column" in p->name. */
static sqn_text full_name(printer *p, sqn_text table, sqn_text column) {
    p->name.n = 0;
    sqn_buf_put(&p->name, table.at, table.n);
    sqn_buf_put_byte(&p->name, '.');
    sqn_buf_put(&p->name, column.at, column.n);
    return (sqn_text){p->name.data, p->name.n};
}

static bool column_chosen(printer *p, sqn_text table, sqn_text column) {
    if (!p->o->filtered || !p->o->select_columns) return true;
    sqn_text name = full_name(p, table, column);
    for (size_t i = 0; i < p->o->columns.n; i++)
        if (equal_lower(p->o->columns.items[i], name, p->scratch)) return true;
    return false;
}

static bool hides_all(sqn_text t) { /* an e-mail address or a URL */
    return t.n > 0 && (sqn_python_is_email(t.at, t.n) || memmem(t.at, t.n, "http://", 7) ||
                       memmem(t.at, t.n, "https://", 8));
}

static bool show(printer *p, sqn_text value) {
    if (p->shown_count == p->shown_room) {
        size_t room = p->shown_room ? 2 * p->shown_room : 16;
        sqn_text *grown = sqn_realloc(p->shown, room * sizeof *grown, p->e);
        if (grown == NULL) return false;
        p->shown = grown;
        p->shown_room = room;
    }
    p->shown[p->shown_count++] = value;
    return true;
}

static bool is_date(sqn_text type) {
    return sqn_text_is(type, "DATE") || sqn_text_is(type, "TIME") ||
           sqn_text_is(type, "DATETIME") || sqn_text_is(type, "TIMESTAMP");
}

/* Drops the values that are too long; if what is left is too much together, keeps its first. */
static void cut_long(printer *p, size_t first) {
    size_t kept = first, sum = 0, longest = 0;
    for (size_t i = first; i < p->shown_count; i++) {
        size_t length = sqn_python_length(p->shown[i].at, p->shown[i].n);
        if (length > longest) longest = length;
        if (p->o->max_length < 0 || length > (size_t)p->o->max_length) continue;
        p->shown[kept++] = p->shown[i];
        sum += length;
    }
    if (p->o->max_length >= 0 && longest <= (size_t)p->o->max_length) return;
    p->shown_count = kept;
    if (sum > MAX_EXAMPLES_LENGTH && kept > first) p->shown_count = first + 1;
}

/* Fills p->shown with the values to print for a column. */
static bool choose_examples(printer *p, const sqn_schema_table *t, const sqn_schema_column *c,
                            sqn_text type) {
    p->shown_count = 0;
    if (p->o->example_num <= 0 || c->examples.n == 0) return true;
    if (p->o->filtered && p->o->value_count > 0) {
        sqn_text name = full_name(p, t->name, c->name);
        for (size_t i = 0; i < p->o->value_count; i++) {
            if (!equal_lower(p->o->values[i].column, name, p->scratch)) continue;
            for (size_t k = 0; k < p->o->values[i].values.n; k++)
                if (!show(p, p->o->values[i].values.items[k])) return false;
        }
    }
    size_t given = p->shown_count;
    for (size_t i = 0; i < c->examples.n; i++) {
        sqn_text value = c->examples.items[i];
        if (value.at != NULL && hides_all(value)) {
            p->shown_count = given;
            break;
        }
        if (value.n > 0 && p->shown_count - given < (size_t)p->o->example_num && !show(p, value))
            return false;
    }
    if (p->shown_count > given && is_date(type))
        p->shown_count = given + 1;
    else
        cut_long(p, given);
    if (given == 0) return true;
    size_t kept = 0; /* each value once */
    for (size_t i = 0; i < p->shown_count; i++) {
        size_t k = 0;
        while (k < kept && !sqn_text_equal(p->shown[k], p->shown[i])) k++;
        if (k == kept) p->shown[kept++] = p->shown[i];
    }
    p->shown_count = kept;
    return true;
}

static void put_comment(sqn_buf *to, sqn_text comment) {
    const char *at = comment.at;
    size_t n = comment.n;
    if (n == 0) return;
    sqn_python_strip(&at, &n);
    sqn_buf_put_string(to, ", ");
    sqn_buf_put(to, at, n);
}

static bool put_column(printer *p, const sqn_schema_table *t, const sqn_schema_column *c,
                       sqn_buf *to) {
    sqn_text type = c->type;
    const char *parenthesis = type.n ? memchr(type.at, '(', type.n) : NULL;
    if (!p->o->show_type_detail && parenthesis != NULL) type.n = (size_t)(parenthesis - type.at);
    if (!choose_examples(p, t, c, type)) return false;
    sqn_buf_put_byte(to, '(');
    sqn_buf_put(to, c->name.at, c->name.n);
    sqn_buf_put_byte(to, ':');
    sqn_python_upper(to, type.at, type.n);
    put_comment(to, c->comment);
    for (size_t i = 0; i < c->mapping_count && !p->o->filtered; i++) {
        sqn_buf_put_string(to, i == 0 ? ", " : ",");
        sqn_buf_put(to, c->mapping[i].value.at, c->mapping[i].value.n);
        sqn_buf_put_string(to, "表示");
        sqn_buf_put(to, c->mapping[i].name.at, c->mapping[i].name.n);
    }
    if (c->primary_key) sqn_buf_put_string(to, ", Primary Key");
    for (size_t i = 0; i < p->shown_count; i++) {
        sqn_buf_put_string(to, i == 0 ? ", Examples: [" : ", ");
        sqn_buf_put(to, p->shown[i].at, p->shown[i].n);
    }
    if (p->shown_count > 0) sqn_buf_put_byte(to, ']');
    sqn_buf_put_byte(to, ')');
    return true;
}

static bool put_table(printer *p, const sqn_schema_table *t, sqn_buf *to) {
    bool first = true;
    sqn_buf_put_string(to, "# Table: ");
    if (p->schema->schema.n > 0) {
        sqn_buf_put(to, p->schema->schema.at, p->schema->schema.n);
        sqn_buf_put_byte(to, '.');
    }
    sqn_buf_put(to, t->name.at, t->name.n);
    if (t->comment.n > 0 && !sqn_text_is(t->comment, "None")) {
        sqn_buf_put_string(to, ", ");
        sqn_buf_put(to, t->comment.at, t->comment.n);
    }
    sqn_buf_put_string(to, "\n[\n");
    for (size_t i = 0; i < t->column_count; i++) {
        if (!column_chosen(p, t->name, t->columns[i].name)) continue;
        if (!first) sqn_buf_put_string(to, ",\n");
        first = false;
        if (!put_column(p, t, &t->columns[i], to)) return false;
    }
    sqn_buf_put_string(to, "\n]");
    return true;
}

/* A printed table in one buffer with the others, to be sorted by length. */
typedef struct piece {
    size_t start, stop, characters, place;
} piece;

static int by_length(const void *a, const void *b) {
    const piece *x = a, *y = b;
    if (x->characters != y->characters) return x->characters < y->characters ? -1 : 1;
    return x->place < y->place ? -1 : 1;
}

static sqn_status put_tables(printer *p, sqn_buf *out, sqn_err *e) {
    const sqn_schema *s = p->schema;
    size_t count = 0;
    sqn_buf tables = {0};
    piece *pieces = sqn_calloc(s->table_count, sizeof *pieces, e);
    sqn_status status = pieces ? SQN_OK : SQN_NOMEM;
    for (size_t i = 0; i < s->table_count && status == SQN_OK; i++) {
        const sqn_schema_table *t = &s->tables[i];
        bool fits = p->o->table_type == NULL || p->o->filtered ||
                    (t->kind.at ? sqn_text_is(t->kind, p->o->table_type)
                                : strcmp(p->o->table_type, "table") == 0);
        if (!fits || !table_chosen(p, t->name)) continue;
        size_t start = tables.n;
        if (!put_table(p, t, &tables)) status = SQN_NOMEM;
        if (status == SQN_OK) status = sqn_buf_status(&tables, e);
        if (status != SQN_OK) break;
        size_t length = sqn_python_length(tables.data + start, tables.n - start);
        pieces[count] = (piece){start, tables.n, length, count};
        count++;
    }
    if (p->o->filtered && count > 0) qsort(pieces, count, sizeof *pieces, by_length);
    for (size_t i = 0; i < count && status == SQN_OK; i++) {
        sqn_buf_put_byte(out, '\n');
        sqn_buf_put(out, tables.data + pieces[i].start, pieces[i].stop - pieces[i].start);
    }
    sqn_free(pieces);
    sqn_buf_release(&tables);
    return status;
}

static void put_keys(printer *p, sqn_buf *out) {
    if (p->schema->key_count == 0) return;
    sqn_buf_put_string(out, "\n【Foreign keys】");
    for (size_t i = 0; i < p->schema->key_count; i++) {
        const sqn_schema_key *k = &p->schema->keys[i];
        if (!sqn_text_equal(k->schema, p->schema->schema) || !table_chosen(p, k->table) ||
            !table_chosen(p, k->ref_table))
            continue;
        sqn_buf_put_byte(out, '\n');
        sqn_buf_put(out, k->table.at, k->table.n);
        sqn_buf_put_byte(out, '.');
        sqn_buf_put(out, k->column.at, k->column.n);
        sqn_buf_put_byte(out, '=');
        sqn_buf_put(out, k->ref_table.at, k->ref_table.n);
        sqn_buf_put_byte(out, '.');
        sqn_buf_put(out, k->ref_column.at, k->ref_column.n);
    }
}

sqn_status sqn_mschema_print(const sqn_schema *s, const sqn_mschema_options *o, sqn_buf *out,
                             sqn_err *e) {
    printer p = {.schema = s, .o = o, .e = e};
    sqn_buf_put_string(out, "【DB_ID】 ");
    sqn_buf_put(out, s->db_id.at, s->db_id.n);
    sqn_buf_put_string(out, "\n【Schema】");
    sqn_status status = put_tables(&p, out, e);
    if (status == SQN_OK) put_keys(&p, out);
    if (status == SQN_OK) status = sqn_buf_status(out, e);
    if (status == SQN_OK && (p.scratch[0].failed || p.scratch[1].failed || p.name.failed))
        status = SQN_FAIL(e, SQN_NOMEM, "out of memory while printing M-Schema");
    sqn_buf_release(&p.scratch[0]);
    sqn_buf_release(&p.scratch[1]);
    sqn_buf_release(&p.name);
    sqn_free(p.shown);
    return status;
}
