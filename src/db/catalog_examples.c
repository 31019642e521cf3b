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

/* The value's text; false for null, and for what the original fails on. */
static bool value_text(const sqn_cell *cell, sqn_buf *to) {
    switch (cell->kind) {
    case SQN_CELL_INT:
        sqn_buf_put_format(to, "%lld", (long long)cell->as.integer);
        return true;
    case SQN_CELL_DOUBLE:
        sqn_python_put_float(to, cell->as.real);
        return true;
    case SQN_CELL_TEXT:
        sqn_buf_put(to, cell->as.bytes, cell->length);
        return !cell->bad_utf8;
    case SQN_CELL_BLOB:
        sqn_python_put_bytes(to, cell->as.bytes, cell->length);
        return true;
    default:
        return false;
    }
}

static bool hides_all(const sqn_buf *t) { /* an e-mail address or a URL */
    return t->n > 0 && (sqn_python_is_email(t->data, t->n) || memmem(t->data, t->n, "http://", 7) ||
                        memmem(t->data, t->n, "https://", 8));
}

static sqn_status keep_examples(sqn_schema *s, const sqn_result *r, sqn_text_list *examples,
                                sqn_err *e) {
    sqn_status status = SQN_OK;
    sqn_buf text = {0};
    sqn_text kept;
    for (int64_t i = 0; i < r->rows; i++) {
        text.n = 0;
        if (!value_text(&r->cells[i * r->columns], &text) || hides_all(&text)) {
            *examples = (sqn_text_list){NULL, 0};
            break;
        }
        if (text.n == 0) continue;
        SQN_GOTO(sqn_buf_status(&text, e));
        SQN_GOTO(sqn_schema_text(s, text.data, text.n, &kept, e));
        SQN_GOTO(sqn_schema_add_text(s, examples, kept, e));
    }
    status = sqn_buf_status(&text, e);
fail:
    sqn_buf_release(&text);
    return status;
}

sqn_status sqn_catalog_examples(sqn_conn *c, sqn_schema *s, const char *quote, sqn_text table,
                                sqn_schema_column *column, sqn_err *e) {
    sqn_buf sql = {0};
    sqn_result *r = NULL;
    sqn_err inner = SQN_ERR_INIT;
    const char *const parts[] = {"select distinct ", " from ", " where ", " is not null limit 5;"};
    const sqn_text names[] = {column->name, table, column->name};
    for (int i = 0; i < 4; i++) {
        sqn_buf_put_string(&sql, parts[i]);
        if (i == 3) break;
        sqn_buf_put_string(&sql, quote);
        sqn_buf_put(&sql, names[i].at, names[i].n);
        sqn_buf_put_string(&sql, quote);
    }
    sqn_status status = sqn_buf_status(&sql, e);
    if (status == SQN_OK && !has_named_percent(sql.data, sql.n) && !has_parameter(&sql)) {
        status = sqn_conn_query(c, sql.data, sql.n, NULL, &r, &inner);
        if (status == SQN_OK)
            status = keep_examples(s, r, &column->examples, e);
        else if (status == SQN_INTERRUPT || status == SQN_NOMEM)
            SQN_FAIL(e, status, "%s", inner.message);
        else
            status = SQN_OK; /* a query that fails means a column without examples */
    }
    sqn_result_release(r);
    sqn_buf_release(&sql);
    return status;
}
