/* A column's line of SHOW CREATE TABLE, understood as far as SQLAlchemy 2.0.16 understands it:
 * name, type, character set, NULL, DEFAULT, GENERATED, AUTO_INCREMENT, COMMENT, in this order. The
 * first thing that does not fit ends the line, and a comment behind it is lost: M-Schema is defined
 * so. */
#include <ctype.h>
#include <strings.h>

#include "db/catalog_mysql.h"
#include "db/python_text.h"

bool sqn_cursor_blanks(sqn_cursor *c) {
    const char *start = c->at;
    while (c->at < c->end && *c->at == ' ') c->at++;
    return c->at > start;
}

bool sqn_cursor_char(sqn_cursor *c, char wanted) {
    if (c->at == c->end || *c->at != wanted) return false;
    c->at++;
    return true;
}

bool sqn_cursor_word(sqn_cursor *c, const char *word) {
    size_t n = strlen(word);
    if ((size_t)(c->end - c->at) < n || strncasecmp(c->at, word, n) != 0) return false;
    c->at += n;
    return true;
}

bool sqn_cursor_words(sqn_cursor *c, const char *word) {
    sqn_cursor start = *c;
    if (sqn_cursor_blanks(c) && sqn_cursor_word(c, word)) return true;
    *c = start;
    return false;
}

/* What stands between two quotes; doubled ones belong to it. */
static bool quoted(sqn_cursor *c, char quote, sqn_text *out) {
    sqn_cursor start = *c;
    if (!sqn_cursor_char(c, quote)) return false;
    for (const char *at = c->at; at < c->end; at++) {
        if (*at != quote) continue;
        if (at + 1 < c->end && at[1] == quote) {
            at++;
            continue;
        }
        *out = (sqn_text){c->at, (size_t)(at - c->at)};
        c->at = at + 1;
        return true;
    }
    *c = start;
    return false;
}

bool sqn_cursor_name(sqn_cursor *c, sqn_text *out) {
    sqn_cursor start = *c;
    if (quoted(c, '`', out) && out->n > 0) return true;
    *c = start;
    return false;
}

bool sqn_cursor_string(sqn_cursor *c, sqn_text *out) { return quoted(c, '\'', out); }

/* Characters that are words, or stand in `others`. */
static bool run(sqn_cursor *c, const char *others, sqn_text *out) {
    const char *start = c->at;
    unsigned code;
    while (c->at < c->end) {
        size_t n = sqn_python_decode(c->at, (size_t)(c->end - c->at), &code);
        if (!sqn_python_is_word(code) && !(code < 0x80 && strchr(others, (int)code))) break;
        c->at += n;
    }
    *out = (sqn_text){start, (size_t)(c->at - start)};
    return out->n > 0;
}

static bool digits(sqn_cursor *c) {
    const char *start = c->at;
    while (c->at < c->end && isdigit((unsigned char)*c->at)) c->at++;
    return c->at > start;
}

/* "(10)", "(10,2)", "('a','b')". */
static bool arguments(sqn_cursor *c, bool one_string, sqn_text *out) {
    sqn_cursor start = *c;
    sqn_text one;
    if (!sqn_cursor_char(c, '(')) return false;
    const char *from = c->at;
    if (digits(c)) {
        sqn_cursor comma = *c;
        if (!(sqn_cursor_char(c, ',') && digits(c))) *c = comma;
    } else {
        while (sqn_cursor_string(c, &one) && !one_string) sqn_cursor_char(c, ',');
    }
    *out = (sqn_text){from, (size_t)(c->at - from)};
    if (out->n > 0 && sqn_cursor_char(c, ')')) return true;
    *c = start;
    *out = (sqn_text){NULL, 0};
    return false;
}

/* Nothing is left, or a comma, or something after a blank, which may be anything. */
static bool may_end(sqn_cursor c) {
    return c.at == c.end || *c.at == ' ' || (*c.at == ',' && c.at + 1 == c.end);
}

static bool take_collation(sqn_cursor *c, sqn_mysql_column *out) {
    return sqn_cursor_words(c, "COLLATE") && sqn_cursor_blanks(c) && run(c, "", &out->collation);
}

static bool take_charset(sqn_cursor *c, sqn_mysql_column *out) {
    sqn_text charset;
    (void)out;
    return sqn_cursor_words(c, "CHARACTER SET") && sqn_cursor_blanks(c) && run(c, "", &charset);
}

static bool take_unsigned(sqn_cursor *c, sqn_mysql_column *out) {
    (void)out;
    return sqn_cursor_words(c, "UNSIGNED");
}

static bool take_zerofill(sqn_cursor *c, sqn_mysql_column *out) {
    (void)out;
    return sqn_cursor_words(c, "ZEROFILL");
}

static bool take_null(sqn_cursor *c, sqn_mysql_column *out) {
    if (sqn_cursor_words(c, "NULL")) return true;
    out->not_null = sqn_cursor_words(c, "NOT NULL");
    return out->not_null;
}

static bool take_default(sqn_cursor *c, sqn_mysql_column *out) {
    sqn_text value;
    if (!sqn_cursor_words(c, "DEFAULT") || !sqn_cursor_blanks(c)) return false;
    const char *from = c->at;
    if (sqn_cursor_word(c, "NULL")) return true;
    if (!sqn_cursor_string(c, &value)) {
        if (!run(c, "-.()", &value)) return false;
        sqn_cursor update = *c;
        if (!(sqn_cursor_words(c, "ON UPDATE ") && run(c, "-.()", &value))) *c = update;
    }
    out->fallback = (sqn_text){from, (size_t)(c->at - from)};
    return true;
}

static bool take_automatic(sqn_cursor *c, sqn_mysql_column *out) {
    out->automatic = sqn_cursor_words(c, "AUTO_INCREMENT");
    return out->automatic;
}

static bool take_comment(sqn_cursor *c, sqn_mysql_column *out) {
    return sqn_cursor_words(c, "COMMENT") && sqn_cursor_blanks(c) &&
           sqn_cursor_string(c, &out->comment);
}

typedef bool taker(sqn_cursor *c, sqn_mysql_column *out);

/* Takes what is there of a list of parts. If then something stands that no line may hold there,
 * the last part is given back. */
static bool take_parts(sqn_cursor *c, sqn_mysql_column *out, taker *const *parts, size_t count) {
    sqn_cursor before = *c;
    sqn_mysql_column kept = *out;
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        sqn_cursor start = *c;
        sqn_mysql_column was = *out;
        if (parts[i](c, out)) {
            before = start;
            kept = was;
            any = true;
        } else {
            *c = start;
            *out = was;
        }
    }
    if (may_end(*c)) return true;
    if (!any) return false;
    *c = before;
    *out = kept;
    return true;
}

/* [GENERATED ALWAYS] AS (…) [VIRTUAL|STORED]: the parenthesis closes as late as the rest of the
 * line lets it. */
static bool take_generated(sqn_cursor *c, sqn_mysql_column *out, taker *const *parts,
                           size_t count) {
    sqn_cursor start = *c;
    if (!sqn_cursor_blanks(c)) return false;
    if (sqn_cursor_word(c, "GENERATED ALWAYS")) sqn_cursor_char(c, ' ');
    if (!sqn_cursor_word(c, "AS") || !sqn_cursor_blanks(c) || !sqn_cursor_char(c, '(')) {
        *c = start;
        return false;
    }
    for (const char *close = c->end - 1; close >= c->at; close--) {
        if (*close != ')') continue;
        sqn_cursor rest = {close + 1, c->end}, word = rest;
        sqn_mysql_column found = *out;
        sqn_cursor_char(&word, ' ');
        if (sqn_cursor_word(&word, "VIRTUAL") || sqn_cursor_word(&word, "STORED")) rest = word;
        if (!take_parts(&rest, &found, parts, count)) continue;
        *out = found;
        out->generated = true;
        return true;
    }
    *c = start;
    return false;
}

bool sqn_mysql_column_line(sqn_text line, sqn_mysql_column *out) {
    static taker *const first[] = {take_unsigned,  take_zerofill, take_charset,
                                   take_collation, take_null,     take_default};
    static taker *const last[] = {take_automatic, take_comment};
    const size_t firsts = sizeof first / sizeof *first, lasts = sizeof last / sizeof *last;
    sqn_cursor c = {line.at, line.at + line.n};
    memset(out, 0, sizeof *out);
    if (!sqn_cursor_word(&c, "  ") || !sqn_cursor_name(&c, &out->name) || !sqn_cursor_blanks(&c) ||
        !run(&c, "", &out->type))
        return false;
    sqn_mysql_column bare = *out;
    sqn_cursor behind = c;
    arguments(&c, false, &out->arguments);
    if (!take_parts(&c, out, first, firsts)) { /* name and type are all that is certain */
        *out = bare;
        arguments(&behind, true, &out->arguments);
        return true;
    }
    if (!take_generated(&c, out, last, lasts)) take_parts(&c, out, last, lasts);
    return true;
}

/* How a type prints, by the name that SHOW CREATE TABLE gives it. */
static const struct {
    const char *name, *printed;
    bool length, scale, collation;
} types[] = {
    {"bigint", "BIGINT", 0, 0, 0},
    {"binary", "BINARY", 1, 0, 0},
    {"bit", "BIT", 0, 0, 0},
    {"blob", "BLOB", 0, 0, 0},
    {"boolean", "BOOLEAN", 0, 0, 0},
    {"char", "CHAR", 1, 0, 1},
    {"date", "DATE", 0, 0, 0},
    {"datetime", "DATETIME", 0, 0, 0},
    {"decimal", "DECIMAL", 1, 1, 0},
    {"double", "DOUBLE", 0, 0, 0},
    {"enum", "ENUM", 0, 0, 0},
    {"fixed", "DECIMAL", 1, 1, 0},
    {"float", "FLOAT", 0, 0, 0},
    {"int", "INTEGER", 0, 0, 0},
    {"integer", "INTEGER", 0, 0, 0},
    {"json", "JSON", 0, 0, 0},
    {"longblob", "LONGBLOB", 0, 0, 0},
    {"longtext", "LONGTEXT", 0, 0, 0},
    {"mediumblob", "MEDIUMBLOB", 0, 0, 0},
    {"mediumint", "MEDIUMINT", 0, 0, 0},
    {"mediumtext", "MEDIUMTEXT", 0, 0, 0},
    {"nchar", "NCHAR", 1, 0, 1},
    {"numeric", "NUMERIC", 1, 1, 0},
    {"nvarchar", "NVARCHAR", 1, 0, 1},
    {"set", "SET", 0, 0, 0},
    {"smallint", "SMALLINT", 0, 0, 0},
    {"text", "TEXT", 1, 0, 1},
    {"time", "TIME", 0, 0, 0},
    {"timestamp", "TIMESTAMP", 0, 0, 0},
    {"tinyblob", "TINYBLOB", 0, 0, 0},
    {"tinyint", "TINYINT", 0, 0, 0},
    {"tinytext", "TINYTEXT", 0, 0, 0},
    {"varbinary", "VARBINARY", 1, 0, 0},
    {"varchar", "VARCHAR", 1, 0, 1},
    {"year", "YEAR", 0, 0, 0},
};

sqn_status sqn_mysql_type(sqn_schema *s, const sqn_mysql_column *c, sqn_text *out, sqn_err *e) {
    size_t i = 0, count = sizeof types / sizeof *types;
    while (i < count && !sqn_text_is(c->type, types[i].name)) i++;
    sqn_buf text = {0};
    sqn_buf_put_string(&text, i < count ? types[i].printed : "NULL");
    if (i < count && types[i].length && c->arguments.n > 0) {
        const char *comma = memchr(c->arguments.at, ',', c->arguments.n);
        size_t first = comma ? (size_t)(comma - c->arguments.at) : c->arguments.n;
        sqn_buf_put_byte(&text, '(');
        sqn_buf_put(&text, c->arguments.at, first);
        if (comma != NULL && types[i].scale) {
            sqn_buf_put_string(&text, ", ");
            sqn_buf_put(&text, comma + 1, c->arguments.n - first - 1);
        }
        sqn_buf_put_byte(&text, ')');
    }
    if (i < count && types[i].collation && c->collation.n > 0) {
        sqn_buf_put_string(&text, " COLLATE \"");
        sqn_buf_put(&text, c->collation.at, c->collation.n);
        sqn_buf_put_byte(&text, '"');
    }
    sqn_status status = sqn_buf_status(&text, e);
    if (status == SQN_OK) status = sqn_schema_text(s, text.data, text.n, out, e);
    sqn_buf_release(&text);
    return status;
}
