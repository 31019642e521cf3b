/* What SHOW CREATE TABLE says, line by line: columns, keys, foreign keys, the table's comment. */
#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#include "db/catalog_mysql.h"
#include "db/python_text.h"

typedef struct key {
    sqn_text name, kind; /* kind: PRIMARY, UNIQUE, FULLTEXT …, or empty */
    sqn_text_list columns;
    size_t place;
} key;

typedef struct reader {
    sqn_schema *s;
    sqn_schema_table *t;
    key *keys; /* owned */
    size_t key_count, key_room;
    sqn_err *e;
} reader;

/* A string of SQL as it is meant: `''` is `'`, backslash sequences undone, blanks around it gone.
 */
static sqn_status keep_comment(reader *r, sqn_text raw, sqn_text *out) {
    static const char from[] = "\\0abtnvfr", to[] = "\\\0\a\b\t\n\v\f\r";
    sqn_buf text = {0};
    for (size_t i = 0; i < raw.n; i++) {
        bool pair = i + 1 < raw.n;
        const char *known = pair && raw.at[i] == '\\' ? memchr(from, raw.at[i + 1], 9) : NULL;
        if (known != NULL)
            sqn_buf_put_byte(&text, to[known - from]);
        else
            sqn_buf_put_byte(&text, raw.at[i]);
        if (known != NULL || (pair && raw.at[i] == '\'' && raw.at[i + 1] == '\'')) i++;
    }
    sqn_status status = sqn_buf_status(&text, r->e);
    const char *at = text.data ? text.data : "";
    size_t n = text.n;
    sqn_python_strip(&at, &n);
    if (status == SQN_OK) status = sqn_schema_text(r->s, at, n, out, r->e);
    sqn_buf_release(&text);
    return status;
}

static sqn_status keep(reader *r, sqn_text t, sqn_text *out) {
    return sqn_schema_text(r->s, t.at, t.n, out, r->e);
}

static sqn_status read_column(reader *r, sqn_text line) {
    sqn_mysql_column found;
    if (!sqn_mysql_column_line(line, &found)) return SQN_OK;
    for (size_t i = 0; i < r->t->column_count; i++)
        if (sqn_text_equal(r->t->columns[i].name, found.name)) return SQN_OK;
    sqn_schema_column *column = sqn_schema_add_column(r->s, r->t, r->e);
    if (column == NULL) return SQN_NOMEM;
    SQN_TRY(keep(r, found.name, &column->name));
    SQN_TRY(sqn_mysql_type(r->s, &found, &column->type, r->e));
    SQN_TRY(keep(r, found.fallback, &column->fallback));
    column->comment = column->category = column->dim_or_meas = (sqn_text){"", 0};
    if (found.comment.n > 0) SQN_TRY(keep_comment(r, found.comment, &column->comment));
    column->nullable = !found.not_null;
    column->autoincrement = found.automatic;
    return SQN_OK;
}

/* The names in "`a`,`b`(10) DESC"; what is no name (an expression) is passed over. */
static sqn_status read_names(reader *r, sqn_text list, sqn_text_list *out) {
    sqn_cursor c = {list.at, list.at + list.n};
    while (c.at < c.end) {
        sqn_cursor one = c;
        sqn_text name, kept;
        bool found = sqn_cursor_name(&one, &name);
        if (found && one.at < one.end && *one.at == '(') {
            const char *close = memchr(one.at, ')', (size_t)(one.end - one.at));
            if (close != NULL) one.at = close + 1;
        }
        if (found && !sqn_cursor_words(&one, "ASC")) sqn_cursor_words(&one, "DESC");
        if (!found || (one.at < one.end && *one.at != ',')) {
            c.at++;
            continue;
        }
        SQN_TRY(keep(r, name, &kept));
        SQN_TRY(sqn_schema_add_text(r->s, out, kept, r->e));
        c = one;
    }
    return SQN_OK;
}

/* Blanks, the word, blanks or an equals sign, then characters up to the next blank. */
static void skip_option(sqn_cursor *c, const char *word) {
    sqn_cursor start = *c;
    if (sqn_cursor_words(c, word)) {
        bool apart = sqn_cursor_blanks(c);
        if (sqn_cursor_char(c, '=')) apart = true;
        sqn_cursor_blanks(c);
        const char *from = apart ? c->at : c->end;
        while (c->at < c->end && !isspace((unsigned char)*c->at)) c->at++;
        if (c->at > from) return;
    }
    *c = start;
}

/* What may stand behind a key's columns. */
static bool key_ends(sqn_cursor c) {
    sqn_text comment;
    skip_option(&c, "USING");
    skip_option(&c, "KEY_BLOCK_SIZE");
    skip_option(&c, "WITH PARSER");
    if (sqn_cursor_words(&c, "COMMENT") &&
        !(sqn_cursor_blanks(&c) && sqn_cursor_string(&c, &comment)))
        return false;
    if (sqn_cursor_words(&c, "/*")) {
        const char *close = memmem(c.at, (size_t)(c.end - c.at), "*/", 2);
        if (close == NULL) return false;
        c.at = close + 2;
        sqn_cursor_blanks(&c);
    }
    sqn_cursor_char(&c, ',');
    return c.at == c.end;
}

static sqn_status add_key(reader *r, sqn_text name, sqn_text kind, sqn_text columns) {
    if (r->key_count == r->key_room) {
        size_t room = r->key_room ? 2 * r->key_room : 8;
        key *grown = sqn_realloc(r->keys, room * sizeof *grown, r->e);
        if (grown == NULL) return SQN_NOMEM;
        r->keys = grown;
        r->key_room = room;
    }
    key *k = &r->keys[r->key_count];
    *k = (key){.name = name, .kind = kind, .place = r->key_count};
    SQN_TRY(read_names(r, columns, &k->columns));
    r->key_count++;
    return SQN_OK;
}

/* "  UNIQUE KEY `name` (`a`,`b`) USING BTREE,"; *found: it is one. */
static sqn_status read_key(reader *r, sqn_text line, bool *found) {
    sqn_cursor c = {line.at, line.at + line.n};
    sqn_text kind = {"", 0}, name = {NULL, 0};
    *found = false;
    if (!sqn_cursor_word(&c, "  ")) return SQN_OK;
    if (!sqn_cursor_word(&c, "KEY")) {
        const char *from = c.at;
        while (c.at < c.end && !isspace((unsigned char)*c.at)) c.at++;
        kind = (sqn_text){from, (size_t)(c.at - from)};
        if (kind.n == 0 || !sqn_cursor_word(&c, " KEY")) return SQN_OK;
    }
    sqn_cursor before = c;
    if (!(sqn_cursor_blanks(&c) && sqn_cursor_name(&c, &name))) c = before;
    skip_option(&c, "USING");
    if (!sqn_cursor_blanks(&c) || !sqn_cursor_char(&c, '(')) return SQN_OK;
    for (const char *close = c.at + 1; close < c.end; close++) {
        if (*close != ')' || !key_ends((sqn_cursor){close + 1, c.end})) continue;
        *found = true;
        return add_key(r, name, kind, (sqn_text){c.at, (size_t)(close - c.at)});
    }
    return SQN_OK;
}

/* "(…)": what stands between the parentheses, which no name may hold. */
static bool take_list(sqn_cursor *c, sqn_text *out) {
    if (!sqn_cursor_char(c, '(')) return false;
    const char *close = memchr(c->at, ')', (size_t)(c->end - c->at));
    if (close == NULL || close == c->at) return false;
    *out = (sqn_text){c->at, (size_t)(close - c->at)};
    c->at = close + 1;
    return true;
}

/* A name without back-quotes inside. */
static bool take_plain_name(sqn_cursor *c, sqn_text *out) {
    return sqn_cursor_name(c, out) && memchr(out->at, '`', out->n) == NULL;
}

/* "  CONSTRAINT `x` FOREIGN KEY (`a`) REFERENCES `t` (`b`)". */
static sqn_status read_foreign_key(reader *r, sqn_text line) {
    sqn_cursor c = {line.at, line.at + line.n};
    sqn_text name, local, schema = {NULL, 0}, table, foreign;
    if (!sqn_cursor_word(&c, "  CONSTRAINT") || !sqn_cursor_blanks(&c) ||
        !sqn_cursor_name(&c, &name) || !sqn_cursor_words(&c, "FOREIGN KEY") ||
        !sqn_cursor_blanks(&c) || !take_list(&c, &local) || !sqn_cursor_word(&c, " REFERENCES") ||
        !sqn_cursor_blanks(&c) || !take_plain_name(&c, &table))
        return SQN_OK;
    if (sqn_cursor_char(&c, '.')) {
        schema = table;
        if (!take_plain_name(&c, &table)) return SQN_OK;
    }
    if (!sqn_cursor_blanks(&c) || !take_list(&c, &foreign)) return SQN_OK;
    sqn_text_list from = {0}, to = {0};
    SQN_TRY(read_names(r, local, &from));
    SQN_TRY(read_names(r, foreign, &to));
    for (size_t i = 0; i < from.n && i < to.n; i++) {
        sqn_schema_key *k = sqn_schema_add_key(r->s, r->e);
        if (k == NULL) return SQN_NOMEM;
        k->table = r->t->name;
        k->column = from.items[i];
        k->ref_column = to.items[i];
        k->schema = r->s->schema;
        if (schema.at != NULL) SQN_TRY(keep(r, schema, &k->schema));
        SQN_TRY(keep(r, table, &k->ref_table));
    }
    return SQN_OK;
}

/* ") ENGINE=… COMMENT='…'". */
static sqn_status read_options(reader *r, sqn_text line) {
    sqn_text comment;
    for (sqn_cursor c = {line.at, line.at + line.n}; c.at < c.end; c.at++) {
        sqn_cursor at = c;
        if (!sqn_cursor_word(&at, "COMMENT")) continue;
        bool blank = sqn_cursor_blanks(&at);
        if (sqn_cursor_char(&at, '='))
            sqn_cursor_blanks(&at);
        else if (!blank)
            continue;
        if (sqn_cursor_string(&at, &comment)) return keep_comment(r, comment, &r->t->comment);
    }
    return SQN_OK;
}

static bool begins(sqn_text line, const char *with) {
    return line.n >= strlen(with) && memcmp(line.at, with, strlen(with)) == 0;
}

static sqn_status read_line(reader *r, sqn_text line) {
    bool found;
    if (begins(line, "  `")) return read_column(r, line);
    if (begins(line, ") ")) return read_options(r, line);
    if (line.n == 0 || begins(line, "CREATE ") || memmem(line.at, line.n, "PARTITION", 9))
        return SQN_OK;
    SQN_TRY(read_key(r, line, &found));
    return found ? SQN_OK : read_foreign_key(r, line);
}

/* By name; keys without one come last, as if they were called "~". */
static int by_name(const void *a, const void *b) {
    const key *x = a, *y = b;
    sqn_text p = x->name.n ? x->name : (sqn_text){"~", 1},
             q = y->name.n ? y->name : (sqn_text){"~", 1};
    int order = memcmp(p.at, q.at, p.n < q.n ? p.n : q.n);
    if (order != 0) return order;
    if (p.n != q.n) return p.n < q.n ? -1 : 1;
    return x->place < y->place ? -1 : 1;
}

static bool kind_is(const key *k, const char *kind) { return sqn_text_is(k->kind, kind); }

static sqn_status keep_keys(reader *r) {
    sqn_text_list primary = {0};
    for (size_t i = r->key_count; i-- > 0;)
        if (kind_is(&r->keys[i], "PRIMARY")) primary = r->keys[i].columns;
    if (r->key_count > 0) qsort(r->keys, r->key_count, sizeof *r->keys, by_name);
    for (size_t i = 0; i < r->key_count; i++) {
        const key *k = &r->keys[i];
        if (kind_is(k, "PRIMARY")) continue;
        SQN_TRY(sqn_schema_add_list(r->s, &r->t->keys, k->columns, r->e));
        if (kind_is(k, "UNIQUE"))
            SQN_TRY(sqn_schema_add_list(r->s, &r->t->unique_keys, k->columns, r->e));
    }
    for (size_t i = 0; i < r->t->column_count; i++)
        for (size_t k = 0; k < primary.n; k++)
            if (sqn_text_equal(r->t->columns[i].name, primary.items[k]))
                r->t->columns[i].primary_key = true;
    sqn_schema_mark_unique(r->t, primary.n);
    return SQN_OK;
}

sqn_status sqn_mysql_read_ddl(sqn_schema *s, sqn_schema_table *t, sqn_text ddl, sqn_err *e) {
    reader r = {.s = s, .t = t, .e = e};
    sqn_status status = SQN_OK;
    const char *at = ddl.at, *end = ddl.at + ddl.n;
    while (at < end && status == SQN_OK) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (stop == NULL) stop = end;
        sqn_text line = {at, (size_t)(stop - at)};
        if (line.n > 0 && line.at[line.n - 1] == '\r') line.n--;
        status = read_line(&r, line);
        at = stop + 1;
    }
    if (status == SQN_OK) status = keep_keys(&r);
    sqn_free(r.keys);
    return status;
}
