/* Example values: the query that fetches them, and how the original writes them. See catalog.h. */
#include "core/buf.h"
#include "db/catalog.h"
#include "db/python_text.h"

static bool is_parameter_char(const char *s, size_t n, size_t *length) {
    unsigned c;
    *length = sqn_python_decode(s, n, &c);
    return c == '$' || sqn_python_is_word(c);
}

/* The last character before `at` is one that lets no parameter begin. */
static bool blocks_parameter(const char *s, size_t at) {
    unsigned c;
    size_t back = 1;
    if (at == 0) return false;
    while (back < 4 && back < at && ((unsigned char)s[at - back] & 0xC0) == 0x80) back++;
    sqn_python_decode(s + at - back, back, &c);
    return c == ':' || c == '$' || c == '\\' || sqn_python_is_word(c);
}

/* The statement went through a layer that looks for parameters, `:name`, and knows `\:` as a
 * literal colon. True if it would find one (which then has no value: no examples); the backslashes
 * it takes away are taken away. */
static bool has_parameter(sqn_buf *sql) {
    char *s = sql->data;
    size_t n = sql->n, to = 0, length;
    for (size_t i = 0; i < n; i++) {
        if (s[i] != ':') continue;
        size_t end = i + 1;
        while (end < n && is_parameter_char(s + end, n - end, &length)) end += length;
        if (end > i + 1 && !(end < n && s[end] == ':') && !blocks_parameter(s, i)) return true;
    }
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '\\' && i + 1 < n && s[i + 1] == ':') {
            size_t end = i + 2;
            while (end < n && is_parameter_char(s + end, n - end, &length)) end += length;
            if (!(end < n && s[end] == ':')) { /* `\:name` is `:name`, and is done */
                memmove(s + to, s + i + 1, end - i - 1);
                to += end - i - 1;
                i = end - 1;
                continue;
            }
        }
        s[to++] = s[i];
    }
    sql->n = to;
    s[to] = '\0';
    return false;
}

/* %\([^)]+?\)s, which the layer below takes for a parameter. */
static bool has_named_percent(const char *s, size_t n) {
    for (size_t i = 0; i + 3 < n; i++) {
        if (s[i] != '%' || s[i + 1] != '(') continue;
        const char *close = memchr(s + i + 2, ')', n - i - 2);
        if (close != NULL && close > s + i + 2 && close + 1 < s + n && close[1] == 's') return true;
    }
    return false;
}

/* As Python prints what SQLite stores; text that is not UTF-8 is an error there. */
static sqn_example stored_text(const sqn_cell *cell, sqn_buf *to) {
    switch (cell->kind) {
    case SQN_CELL_INT:
        sqn_buf_put_format(to, "%lld", (long long)cell->as.integer);
        return SQN_EXAMPLE_TEXT;
    case SQN_CELL_DOUBLE:
        sqn_python_put_float(to, cell->as.real);
        return SQN_EXAMPLE_TEXT;
    case SQN_CELL_TEXT:
        sqn_buf_put(to, cell->as.bytes, cell->length);
        return cell->bad_utf8 ? SQN_EXAMPLE_NONE : SQN_EXAMPLE_TEXT;
    case SQN_CELL_BLOB:
        sqn_python_put_bytes(to, cell->as.bytes, cell->length);
        return SQN_EXAMPLE_TEXT;
    default:
        return SQN_EXAMPLE_NONE;
    }
}

static bool hides_all(const sqn_buf *t) { /* an e-mail address or a URL */
    return t->n > 0 && (sqn_python_is_email(t->data, t->n) || memmem(t->data, t->n, "http://", 7) ||
                        memmem(t->data, t->n, "https://", 8));
}

/* Adds the value to the examples; *more: later values count too. */
static sqn_status keep_value(sqn_examples *x, const sqn_cell *cell, unsigned type, sqn_buf *text,
                             sqn_text_list *examples, bool *more, sqn_err *e) {
    sqn_text kept;
    text->n = 0;
    sqn_example what = x->text ? x->text(x->self, cell, type, text) : stored_text(cell, text);
    SQN_TRY(sqn_buf_status(text, e));
    bool none = what == SQN_EXAMPLE_NONE || (what == SQN_EXAMPLE_TEXT && hides_all(text));
    if (none || what == SQN_EXAMPLE_ONLY) *examples = (sqn_text_list){NULL, 0};
    *more = !none && what != SQN_EXAMPLE_ONLY;
    if (none || what == SQN_EXAMPLE_SKIP || text->n == 0) return SQN_OK;
    SQN_TRY(sqn_schema_text(x->schema, text->data, text->n, &kept, e));
    return sqn_schema_add_text(x->schema, examples, kept, e);
}

/* A quote that is not doubled. */
static bool has_lone_quote(sqn_text name, char quote) {
    for (size_t i = 0; i < name.n; i++) {
        if (name.at[i] != quote) continue;
        if (i + 1 == name.n || name.at[++i] != quote) return true;
    }
    return false;
}

/* select distinct C from T where C is not null limit 5; of a slow table's first rows only. False:
 * such a name has no examples. */
static bool put_query(const sqn_examples *x, sqn_text table, sqn_text column, sqn_buf *sql) {
    char q = x->quote;
    if (has_lone_quote(column, q) || has_lone_quote(table, q)) return false;
    sqn_buf_put_string(sql, "select distinct ");
    sqn_buf_put_byte(sql, q);
    sqn_buf_put(sql, column.at, column.n);
    sqn_buf_put_byte(sql, q);
    sqn_buf_put_string(sql, x->slow ? " from (select * from " : " from ");
    if (x->schema_name) {
        sqn_buf_put_byte(sql, q);
        sqn_buf_put_string(sql, x->schema_name);
        sqn_buf_put_byte(sql, q);
        sqn_buf_put_byte(sql, '.');
    }
    sqn_buf_put_byte(sql, q);
    sqn_buf_put(sql, table.at, table.n);
    sqn_buf_put_byte(sql, q);
    sqn_buf_put_string(sql, x->slow ? " limit 10000) as first_rows where " : " where ");
    sqn_buf_put_byte(sql, q);
    sqn_buf_put(sql, column.at, column.n);
    sqn_buf_put_byte(sql, q);
    sqn_buf_put_string(sql, " is not null limit 5;");
    if (sql->failed) return true;
    if (x->percent_names && has_named_percent(sql->data, sql->n)) return false;
    return !has_parameter(sql);
}

static double seconds_of(const sqn_examples *x) {
    double wanted = x->run.timeout > 0 ? x->run.timeout : x->schema->example_seconds;
    double timeout = wanted > 0 ? wanted : SQN_EXAMPLE_SECONDS, most = x->conn->defaults.timeout;
    return timeout < most ? timeout : most;
}

static sqn_status fetch(sqn_examples *x, const sqn_buf *sql, sqn_text_list *examples, sqn_err *e) {
    sqn_buf text = {0};
    sqn_run_options o = x->run;
    const sqn_cell *row;
    sqn_status status;
    bool more = true;
    o.timeout = seconds_of(x);
    SQN_GOTO(sqn_conn_run(x->conn, sql->data, sql->n, &o, e));
    const sqn_driver *driver = x->conn->driver;
    unsigned type = driver->column_type ? driver->column_type(x->conn, 0) : 0;
    for (;;) {
        SQN_GOTO(sqn_conn_next(x->conn, &row, e));
        if (row == NULL) break;
        if (more) SQN_GOTO(keep_value(x, &row[0], type, &text, examples, &more, e));
    }
fail:
    if (status != SQN_OK) sqn_conn_finish(x->conn);
    sqn_buf_release(&text);
    return status;
}

sqn_status sqn_catalog_examples(sqn_examples *x, sqn_text table, sqn_schema_column *column,
                                sqn_err *e) {
    sqn_status status = SQN_OK;
    for (int attempt = 0; attempt < 2; attempt++) {
        sqn_buf sql = {0};
        sqn_err inner = SQN_ERR_INIT;
        bool possible = put_query(x, table, column->name, &sql);
        status = sqn_buf_status(&sql, &inner);
        if (status == SQN_OK && possible) status = fetch(x, &sql, &column->examples, &inner);
        sqn_buf_release(&sql);
        if (status == SQN_INTERRUPT || status == SQN_NOMEM)
            return SQN_FAIL(e, status, "%s", inner.message);
        if (status == SQN_OK) return SQN_OK;
        column->examples = (sqn_text_list){NULL, 0}; /* a query that fails: none */
        if (status != SQN_TIMEOUT || x->slow) return SQN_OK;
        x->slow = true;
    }
    return SQN_OK;
}

/* ---- all columns of all tables ---- */

enum { BATCH = 64 }; /* queries sent before the first answer is read */

/* Columns whose queries run together. */
typedef struct batch {
    sqn_examples *x;
    const sqn_schema_table *tables[BATCH];
    sqn_schema_column *columns[BATCH];
    sqn_buf sql[BATCH], text; /* owned */
    const char *statements[BATCH];
    bool more[BATCH];
    sqn_status status[BATCH];
    size_t n;
    sqn_status failed;
    sqn_err *e;
} batch;

static void take_row(void *self, size_t i, unsigned type, const sqn_cell *first) {
    batch *b = self;
    if (b->failed == SQN_OK && b->more[i])
        b->failed =
            keep_value(b->x, first, type, &b->text, &b->columns[i]->examples, &b->more[i], b->e);
}

/* What ran out of time is asked again, of the first rows. */
static sqn_status run_queries(batch *b) {
    if (b->n == 0) return SQN_OK;
    const sqn_batch all = {b->statements, b->n, seconds_of(b->x), take_row, b, b->status};
    SQN_TRY(b->x->conn->driver->run_batch(b->x->conn, &all, b->e));
    SQN_TRY(b->failed);
    for (size_t i = 0; i < b->n; i++) {
        if (b->status[i] == SQN_OK) continue;
        b->columns[i]->examples = (sqn_text_list){NULL, 0};
        if (b->status[i] != SQN_TIMEOUT) continue;
        sqn_examples again = *b->x;
        again.slow = true;
        SQN_TRY(sqn_catalog_examples(&again, b->tables[i]->name, b->columns[i], b->e));
    }
    b->n = 0;
    return SQN_OK;
}

static sqn_status add_query(batch *b, const sqn_schema_table *t, sqn_schema_column *column) {
    sqn_buf *sql = &b->sql[b->n];
    sql->n = 0;
    bool possible = put_query(b->x, t->name, column->name, sql);
    SQN_TRY(sqn_buf_status(sql, b->e));
    if (!possible) return SQN_OK;
    b->tables[b->n] = t;
    b->columns[b->n] = column;
    b->statements[b->n] = sql->data;
    b->more[b->n++] = true;
    return b->n == BATCH ? run_queries(b) : SQN_OK;
}

/* One query at a time; once one ran out of time, of the first rows. */
static sqn_status read_alone(const sqn_examples *x, sqn_schema_table *t, sqn_err *e) {
    sqn_examples own = *x;
    for (size_t i = 0; i < t->column_count; i++)
        SQN_TRY(sqn_catalog_examples(&own, t->name, &t->columns[i], e));
    return SQN_OK;
}

sqn_status sqn_catalog_all_examples(sqn_examples *x, const bool *large, sqn_err *e) {
    const bool together = x->conn->driver->run_batch != NULL;
    sqn_status status = SQN_OK;
    batch *b = sqn_calloc(1, sizeof *b, e);
    if (b == NULL) return SQN_NOMEM;
    b->x = x;
    b->e = e;
    for (size_t k = 0; k < x->schema->table_count && status == SQN_OK; k++) {
        sqn_schema_table *t = &x->schema->tables[k];
        if (!together || large[k]) {
            status = read_alone(x, t, e);
            continue;
        }
        for (size_t i = 0; i < t->column_count && status == SQN_OK; i++)
            status = add_query(b, t, &t->columns[i]);
    }
    if (status == SQN_OK) status = run_queries(b);
    for (size_t i = 0; i < BATCH; i++) sqn_buf_release(&b->sql[i]);
    sqn_buf_release(&b->text);
    sqn_free(b);
    return status;
}
