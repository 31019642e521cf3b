/* The schema of a MySQL or MariaDB database. One query lists the tables; everything else about a
 * table stands in its SHOW CREATE TABLE, which is what M-Schema of this dialect is defined by. */
#include "db/catalog_mysql.h"

#include <stdlib.h>

#include "db/python_text.h"

static const sqn_run_options ours = {.trusted = true};

/* Runs our statement "text `schema`.`name`". */
static sqn_status ask(sqn_conn *c, const char *text, sqn_text schema, sqn_text name,
                      sqn_result **out, sqn_err *e) {
    sqn_buf sql = {0};
    sqn_buf_put_string(&sql, text);
    if (schema.at != NULL) sqn_catalog_put_quoted(&sql, schema, '`');
    if (schema.at != NULL && name.at != NULL) sqn_buf_put_byte(&sql, '.');
    if (name.at != NULL) sqn_catalog_put_quoted(&sql, name, '`');
    sqn_status status = sqn_buf_status(&sql, e);
    if (status == SQN_OK) status = sqn_conn_query(c, sql.data, sql.n, &ours, out, e);
    sqn_buf_release(&sql);
    return status;
}

static sqn_text text_of(const sqn_cell *cell) {
    if (!sqn_cell_has_bytes(cell)) return (sqn_text){NULL, 0};
    return (sqn_text){cell->as.bytes, cell->length};
}

/* A view has no such text: one is made of what DESCRIBE says. */
static void put_described(sqn_buf *to, const sqn_result *r) {
    enum { FIELD, TYPE, NULLS, KEY, FALLBACK, EXTRA };
    for (int64_t i = 0; i < r->rows; i++) {
        const sqn_cell *row = &r->cells[i * r->columns];
        sqn_text type = text_of(&row[TYPE]), fallback = text_of(&row[FALLBACK]);
        sqn_text extra = text_of(&row[EXTRA]);
        sqn_buf_put_string(to, "  ");
        sqn_catalog_put_quoted(to, text_of(&row[FIELD]), '`');
        sqn_buf_put_byte(to, ' ');
        sqn_buf_put(to, type.at ? type.at : "", type.n);
        if (fallback.n > 0 && memmem(fallback.at, fallback.n, "auto_increment", 14) == NULL) {
            bool bare =
                sqn_text_is(fallback, "NULL") ||
                (type.n >= 9 && memcmp(type.at, "timestamp", 9) == 0 && *fallback.at == 'C');
            sqn_buf_put_string(to, " DEFAULT ");
            if (bare)
                sqn_buf_put(to, fallback.at, fallback.n);
            else
                sqn_catalog_put_quoted(to, fallback, '\'');
        }
        if (extra.n > 0) sqn_buf_put_byte(to, ' ');
        sqn_buf_put(to, extra.at ? extra.at : "", extra.n);
        sqn_buf_put_string(to, ",\n");
    }
}

/* A view that cannot be described (its table is gone) has no columns. */
static sqn_status read_view(sqn_conn *c, sqn_schema *s, sqn_schema_table *t, sqn_err *e) {
    sqn_err inner = SQN_ERR_INIT;
    sqn_result *r = NULL;
    sqn_buf ddl = {0};
    sqn_status status = ask(c, "DESCRIBE ", s->schema, t->name, &r, &inner);
    if (status == SQN_DB) return SQN_OK;
    if (status != SQN_OK) return SQN_FAIL(e, status, "%s", inner.message);
    put_described(&ddl, r);
    status = sqn_buf_status(&ddl, e);
    if (status == SQN_OK) status = sqn_mysql_read_ddl(s, t, (sqn_text){ddl.data, ddl.n}, e);
    sqn_buf_release(&ddl);
    sqn_result_release(r);
    return status;
}

static sqn_status read_ddl(sqn_conn *c, sqn_schema *s, sqn_schema_table *t, sqn_err *e) {
    sqn_result *r = NULL;
    SQN_TRY(ask(c, "SHOW CREATE TABLE ", s->schema, t->name, &r, e));
    sqn_status status = SQN_OK;
    if (r->rows != 1 || r->columns < 2)
        status = SQN_FAIL(e, SQN_DB, "the server does not say how it was made");
    else if (r->cells[1].bad_utf8)
        status = SQN_FAIL(e, SQN_FORMAT, "its definition is not valid UTF-8");
    else
        status = sqn_mysql_read_ddl(s, t, text_of(&r->cells[1]), e);
    sqn_result_release(r);
    return status;
}

/* As PyMySQL's values print; self: the column. */
static sqn_example value_text(void *self, const sqn_cell *cell, unsigned type, sqn_buf *to) {
    const sqn_schema_column *column = self;
    bool integer = column->type.n >= 6 && memcmp(column->type.at, "BIGINT", 6) == 0;
    (void)type;
    switch (cell->kind) {
    case SQN_CELL_NULL:
        return SQN_EXAMPLE_NONE;
    case SQN_CELL_INT:
        sqn_buf_put_format(to, "%lld", (long long)cell->as.integer);
        return SQN_EXAMPLE_TEXT;
    case SQN_CELL_DOUBLE:
        sqn_python_put_float(to, cell->as.real);
        return SQN_EXAMPLE_TEXT;
    case SQN_CELL_BLOB:
        sqn_python_put_bytes(to, cell->as.bytes, cell->length);
        return SQN_EXAMPLE_TEXT;
    case SQN_CELL_DECIMAL: /* or an integer beyond 64 bits, which goes through no double */
        if (!integer) {
            sqn_python_put_float(to, strtod(cell->as.bytes, NULL));
            return SQN_EXAMPLE_TEXT;
        }
        break;
    default:
        break;
    }
    sqn_buf_put(to, cell->as.bytes, cell->length);
    if (cell->kind == SQN_CELL_DATE || cell->kind == SQN_CELL_DATETIME) return SQN_EXAMPLE_ONLY;
    return cell->bad_utf8 ? SQN_EXAMPLE_NONE : SQN_EXAMPLE_TEXT;
}

static sqn_status read_table(sqn_conn *c, sqn_schema *s, const sqn_cell *row, sqn_err *e) {
    sqn_schema_table *t = sqn_schema_add_table(s, e);
    if (t == NULL) return SQN_NOMEM;
    sqn_text name = text_of(&row[0]);
    if (row[0].bad_utf8) return SQN_FAIL(e, SQN_FORMAT, "a table's name is not valid UTF-8");
    SQN_TRY(sqn_schema_text(s, name.at, name.n, &t->name, e));
    t->comment = (sqn_text){"", 0};
    bool view = !sqn_text_is(text_of(&row[1]), "BASE TABLE");
    sqn_status status = view ? read_view(c, s, t, e) : read_ddl(c, s, t, e);
    /* As in the original, examples are looked up in the connected database. */
    sqn_examples x = {.conn = c, .schema = s, .quote = '`', .text = value_text};
    for (size_t i = 0; i < t->column_count && status == SQN_OK; i++) {
        x.self = &t->columns[i];
        status = sqn_catalog_examples(&x, t->name, &t->columns[i], e);
    }
    return status == SQN_OK ? SQN_OK : sqn_err_prefix(e, status, "table '%s'", t->name.at);
}

/* Sequences and, unless they are asked for, views are no tables. */
static bool is_table(const sqn_cell *row, const sqn_catalog_options *o) {
    sqn_text kind = text_of(&row[1]);
    bool view = sqn_text_is(kind, "VIEW") || sqn_text_is(kind, "SYSTEM VIEW");
    if (!sqn_text_is(kind, "BASE TABLE") && !(o->view_support && view)) return false;
    return sqn_catalog_wants(o, row[0].as.bytes);
}

static int by_name(const void *a, const void *b) {
    return strcmp((*(const sqn_cell *const *)a)->as.bytes, (*(const sqn_cell *const *)b)->as.bytes);
}

/* The database that the connection is in. */
static sqn_status current_database(sqn_conn *c, sqn_result **out, sqn_err *e) {
    static const char sql[] = "SELECT DATABASE()";
    SQN_TRY(sqn_conn_query(c, sql, sizeof sql - 1, &ours, out, e));
    if ((*out)->rows == 1 && sqn_cell_has_bytes(&(*out)->cells[0])) return SQN_OK;
    return SQN_FAIL(e, SQN_MISUSE, "the connection names no 'database', and no 'schema' was given");
}

sqn_status sqn_catalog_mysql_read(sqn_conn *c, const sqn_catalog_options *o, sqn_schema *s,
                                  sqn_err *e) {
    sqn_status status;
    const sqn_cell **rows = NULL;
    sqn_result *list = NULL, *current = NULL;
    sqn_text from = s->schema, none = {NULL, 0};
    size_t count = 0;
    if (from.at == NULL) {
        SQN_GOTO(current_database(c, &current, e));
        from = text_of(&current->cells[0]);
    }
    SQN_GOTO(ask(c, "SHOW FULL TABLES FROM ", from, none, &list, e));
    SQN_GOTO(sqn_catalog_check_names(o, list, 0, e));
    status = SQN_NOMEM;
    rows = sqn_calloc((size_t)list->rows, sizeof *rows, e);
    if (rows == NULL) goto fail;
    for (int64_t i = 0; i < list->rows; i++)
        if (is_table(&list->cells[i * list->columns], o))
            rows[count++] = &list->cells[i * list->columns];
    qsort(rows, count, sizeof *rows, by_name);
    status = SQN_OK;
    for (size_t i = 0; i < count; i++) SQN_GOTO(read_table(c, s, rows[i], e));
fail:
    sqn_free(rows);
    sqn_result_release(list);
    sqn_result_release(current);
    return status;
}
