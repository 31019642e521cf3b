/* The schema of a SQLite database: tables, columns, primary keys, examples. */
#include "db/catalog_sqlite.h"

#include <stdlib.h>

#include "core/buf.h"

static const sqn_run_options ours = {.trusted = true};

sqn_status sqn_sqlite_pragma(sqn_conn *c, const char *pragma, sqn_text name, sqn_result **out,
                             sqn_err *e) {
    sqn_buf sql = {0};
    sqn_buf_put_format(&sql, "PRAGMA main.%s(", pragma);
    sqn_catalog_put_quoted(&sql, name, '"');
    sqn_buf_put_byte(&sql, ')');
    sqn_status status = sqn_buf_status(&sql, e);
    if (status == SQN_OK) status = sqn_conn_query(c, sql.data, sql.n, &ours, out, e);
    sqn_buf_release(&sql);
    return status;
}

sqn_status sqn_sqlite_keep(sqn_schema *s, const sqn_cell *cell, sqn_text *out, sqn_err *e) {
    *out = (sqn_text){NULL, 0};
    if (!sqn_cell_has_bytes(cell)) return SQN_OK;
    if (cell->bad_utf8)
        return SQN_FAIL(e, SQN_FORMAT, "the schema holds text that is not valid UTF-8: '%.100s'",
                        cell->as.bytes);
    return sqn_schema_text(s, cell->as.bytes, cell->length, out, e);
}

enum { CID, NAME, TYPE, NOT_NULL, FALLBACK, KEY, HIDDEN }; /* columns of table_xinfo */

static sqn_status key_columns(sqn_schema *s, const sqn_result *r, sqn_text_list *out, sqn_err *e) {
    sqn_text name;
    *out = (sqn_text_list){NULL, 0};
    for (int64_t place = 1; place <= r->rows; place++)
        for (int64_t i = 0; i < r->rows; i++) {
            const sqn_cell *row = &r->cells[i * r->columns];
            if (row[KEY].as.integer != place || row[HIDDEN].as.integer == 1) continue;
            SQN_TRY(sqn_sqlite_keep(s, &row[NAME], &name, e));
            SQN_TRY(sqn_schema_add_text(s, out, name, e));
        }
    return SQN_OK;
}

sqn_status sqn_sqlite_primary_key(sqn_conn *c, sqn_schema *s, sqn_text name, sqn_text_list *out,
                                  sqn_err *e) {
    sqn_buf sql = {0};
    sqn_result *r = NULL;
    sqn_status status;
    *out = (sqn_text_list){NULL, 0};
    sqn_buf_put_string(&sql, "SELECT 1 FROM main.sqlite_master WHERE type IN ('table', 'view') "
                             "AND sql IS NOT NULL AND name = ");
    sqn_catalog_put_quoted(&sql, name, '\'');
    SQN_GOTO(sqn_buf_status(&sql, e));
    SQN_GOTO(sqn_conn_query(c, sql.data, sql.n, &ours, &r, e));
    if (r->rows > 0) {
        sqn_result_release(r);
        r = NULL;
        SQN_GOTO(sqn_sqlite_pragma(c, "table_xinfo", name, &r, e));
        SQN_GOTO(key_columns(s, r, out, e));
    }
fail:
    sqn_result_release(r);
    sqn_buf_release(&sql);
    return status;
}

static bool contains(const sqn_text_list *list, sqn_text name) {
    for (size_t i = 0; i < list->n; i++)
        if (sqn_text_equal(list->items[i], name)) return true;
    return false;
}

static sqn_status read_column(sqn_sqlite_table *t, const sqn_cell *row, sqn_schema_table *out,
                              sqn_err *e) {
    sqn_text declared;
    sqn_schema *s = t->schema;
    sqn_schema_column *column = sqn_schema_add_column(s, out, e);
    if (column == NULL) return SQN_NOMEM;
    SQN_TRY(sqn_sqlite_keep(s, &row[NAME], &column->name, e));
    SQN_TRY(sqn_sqlite_keep(s, &row[TYPE], &declared, e));
    SQN_TRY(sqn_sqlite_type(s, declared, row[HIDDEN].as.integer != 0, &column->type, e));
    SQN_TRY(sqn_sqlite_keep(s, &row[FALLBACK], &column->fallback, e));
    column->nullable = row[NOT_NULL].as.integer == 0;
    column->comment = column->category = column->dim_or_meas = (sqn_text){"", 0};
    column->primary_key = contains(&t->primary_key, column->name);
    return sqn_catalog_examples(t->examples, t->name, column, e);
}

static sqn_status read_columns(sqn_sqlite_table *t, sqn_schema_table *out, sqn_err *e) {
    sqn_status status;
    sqn_result *r = NULL;
    SQN_GOTO(sqn_sqlite_pragma(t->conn, "table_xinfo", t->name, &r, e));
    SQN_GOTO(key_columns(t->schema, r, &t->primary_key, e));
    for (int64_t i = 0; i < r->rows; i++) {
        const sqn_cell *row = &r->cells[i * r->columns];
        if (row[HIDDEN].as.integer != 1) SQN_GOTO(read_column(t, row, out, e));
    }
fail:
    sqn_result_release(r);
    return status;
}

static sqn_status read_table(sqn_conn *c, sqn_schema *s, const sqn_cell *row, sqn_err *e) {
    sqn_examples examples = {.conn = c, .schema = s, .quote = '`', .percent_names = true};
    sqn_sqlite_table t = {.conn = c, .schema = s, .examples = &examples};
    SQN_TRY(sqn_sqlite_keep(s, &row[0], &t.name, e));
    SQN_TRY(sqn_sqlite_keep(s, &row[1], &t.sql, e));
    sqn_schema_table *out = sqn_schema_add_table(s, e);
    if (out == NULL) return SQN_NOMEM;
    out->name = t.name;
    out->comment = (sqn_text){"", 0};
    sqn_status status = read_columns(&t, out, e);
    if (status != SQN_OK) return sqn_err_prefix(e, status, "table '%s'", t.name.at);
    SQN_TRY(sqn_sqlite_indexes(&t, out, e));
    sqn_schema_mark_unique(out, t.primary_key.n);
    return sqn_sqlite_foreign_keys(&t, e);
}

static int by_first_cell(const void *a, const void *b) {
    return strcmp((*(const sqn_cell *const *)a)->as.bytes, (*(const sqn_cell *const *)b)->as.bytes);
}

static sqn_status read_tables(sqn_conn *c, const sqn_catalog_options *o, sqn_schema *s,
                              sqn_err *e) {
    sqn_status status;
    sqn_result *r = NULL;
    const sqn_cell **rows = NULL;
    static const char list[] = "SELECT name, sql FROM main.sqlite_master WHERE type IN ('table', "
                               "'%s') AND name NOT LIKE 'sqlite~_%%' ESCAPE '~'";
    sqn_buf sql = {0};
    sqn_buf_put_format(&sql, list, o->view_support ? "view" : "table");
    SQN_GOTO(sqn_buf_status(&sql, e));
    SQN_GOTO(sqn_conn_query(c, sql.data, sql.n, &ours, &r, e));
    SQN_GOTO(sqn_catalog_check_names(o, r, 0, e));
    rows = sqn_calloc((size_t)r->rows, sizeof *rows, e);
    if (rows == NULL) status = SQN_NOMEM;
    if (rows == NULL) goto fail;
    for (int64_t i = 0; i < r->rows; i++) rows[i] = &r->cells[i * r->columns];
    qsort(rows, (size_t)r->rows, sizeof *rows, by_first_cell);
    for (int64_t i = 0; i < r->rows; i++) {
        if (sqn_catalog_wants(o, rows[i][0].as.bytes)) SQN_GOTO(read_table(c, s, rows[i], e));
    }
fail:
    sqn_free(rows);
    sqn_result_release(r);
    sqn_buf_release(&sql);
    return status;
}

sqn_status sqn_catalog_sqlite_read(sqn_conn *c, const sqn_catalog_options *o, sqn_schema *s,
                                   sqn_err *e) {
    if (o->schema != NULL && strcmp(o->schema, "main") != 0)
        return SQN_FAIL(e, SQN_NOTFOUND, "a SQLite database has one schema, 'main', not '%s'",
                        o->schema);
    /* One transaction: one moment of the database, and one lock instead of thousands. */
    SQN_TRY(sqn_catalog_command(c, "BEGIN", e));
    sqn_status status = read_tables(c, o, s, e);
    sqn_status ended = sqn_catalog_command(c, "COMMIT", status == SQN_OK ? e : NULL);
    return status == SQN_OK ? ended : status;
}
