/* The lexer of sql_lexer.h: each read_* gives the end of its token at p, or p where there is none.
 */
#include "text/sql_lexer.h"

#include <ctype.h>
#include <string.h>

const char *const sqn_sql_kind_names[SQN_SQL_KINDS] = {"space",     "comment",  "string", "blob",
                                                       "number",    "keyword",  "name",   "quoted",
                                                       "parameter", "operator", "unknown"};

static const char *const dialect_names[SQN_SQL_DIALECTS] = {"sqlite", "postgresql", "mysql",
                                                            "cypher", "ngql"};

bool sqn_sql_dialect_named(const char *name, sqn_sql_dialect *out) {
    if (strcmp(name, "postgres") == 0) name = "postgresql";
    for (int i = 0; i < SQN_SQL_DIALECTS; i++) {
        if (strcmp(name, dialect_names[i]) != 0) continue;
        *out = (sqn_sql_dialect)i;
        return true;
    }
    return false;
}

static bool is_graph(sqn_sql_dialect d) { return d == SQN_SQL_CYPHER || d == SQN_SQL_NGQL; }

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) {
    unsigned char u = (unsigned char)c;
    return (unsigned)((u | 32) - 'a') < 26 || c == '_' || u >= 128;
}
static bool is_one_of(char c, const char *set) { return c != '\0' && strchr(set, c) != NULL; }

static bool begins(const char *p, const char *end, const char *with) {
    size_t n = strlen(with);
    return (size_t)(end - p) >= n && memcmp(p, with, n) == 0;
}

static const char *digits(const char *p, const char *end) {
    while (p < end && is_digit(*p)) p++;
    return p;
}

static const char *word(const char *p, const char *end) {
    if (p == end || !is_letter(*p)) return p;
    while (p < end && (is_letter(*p) || is_digit(*p) || *p == '$')) p++;
    return p;
}

/* From an opening mark to the closing one, which is written twice inside. */
static const char *between(const char *p, const char *end, char close, bool escapes) {
    for (p++; p < end; p++) {
        if (escapes && *p == '\\' && p + 1 < end) {
            p++;
        } else if (*p == close) {
            if (p + 1 == end || p[1] != close) return p + 1;
            p++;
        }
    }
    return end;
}

static const char *to_line_end(const char *p, const char *end) {
    while (p < end && *p != '\n' && *p != '\r') p++;
    return p;
}

static const char *read_block(const char *p, const char *end, bool nests) {
    int depth = 0;
    while (p < end) {
        if (begins(p, end, "/*") && (nests || depth == 0)) {
            depth++;
            p += 2;
        } else if (begins(p, end, "*/")) {
            p += 2;
            if (--depth == 0) return p;
        } else {
            p++;
        }
    }
    return end;
}

static const char *read_comment(sqn_sql_dialect d, const char *p, const char *end) {
    bool dashes = begins(p, end, "--");
    if (dashes &&
        (d == SQN_SQL_MYSQL || d == SQN_SQL_NGQL)) /* a--1 is arithmetic, ()--() a pattern */
        dashes = end - p == 2 || is_one_of(p[2], " \t\r\n");
    if (dashes && d != SQN_SQL_CYPHER) return to_line_end(p, end);
    if (*p == '#' && (d == SQN_SQL_MYSQL || d == SQN_SQL_NGQL)) return to_line_end(p, end);
    if (is_graph(d) && begins(p, end, "//")) return to_line_end(p, end);
    bool kept = d == SQN_SQL_MYSQL && end - p > 2 && (p[2] == '!' || p[2] == '+');
    return begins(p, end, "/*") && !kept ? read_block(p, end, d == SQN_SQL_POSTGRESQL) : p;
}

static const char *tag_end(const char *p, const char *end) { /* behind the '$' of "$tag" */
    if (p == end || !is_letter(*p)) return p;
    while (p < end && (is_letter(*p) || is_digit(*p))) p++;
    return p;
}

/* PostgreSQL: $tag$ text $tag$ */
static const char *read_dollars(const char *p, const char *end) {
    const char *stop = tag_end(p + 1, end);
    if (stop == end || *stop != '$') return p;
    size_t n = (size_t)(stop + 1 - p);
    const char *close = memmem(p + n, (size_t)(end - p) - n, p, n);
    return close ? close + n : end;
}

static const char *read_string(sqn_sql_dialect d, const char *p, const char *end) {
    bool quote = *p == '\'', double_quote = *p == '"';
    switch (d) {
    case SQN_SQL_SQLITE:
        return quote ? between(p, end, '\'', false) : p;
    case SQN_SQL_POSTGRESQL:
        if ((*p == 'e' || *p == 'E') && end - p > 1 && p[1] == '\'')
            return between(p + 1, end, '\'', true);
        return quote ? between(p, end, '\'', false) : *p == '$' ? read_dollars(p, end) : p;
    default:
        if (quote || double_quote) return between(p, end, *p, true);
        /* In MySQL executable comments and hints are no comments: they are kept. */
        return d == SQN_SQL_MYSQL && begins(p, end, "/*") ? read_block(p, end, false) : p;
    }
}

static const char *read_quoted(sqn_sql_dialect d, const char *p, const char *end) {
    if (*p == '"' && d <= SQN_SQL_POSTGRESQL) return between(p, end, '"', false);
    if (*p == '`' && d != SQN_SQL_POSTGRESQL) return between(p, end, '`', false);
    if (*p != '[' || d != SQN_SQL_SQLITE) return p;
    const char *close = memchr(p, ']', (size_t)(end - p));
    return close ? close + 1 : end;
}

static const char *read_number(sqn_sql_dialect d, const char *p, const char *end) {
    const char *at = p;
    if (end - p > 2 && *p == '0' && (p[1] | 32) == 'x' && isxdigit((unsigned char)p[2])) {
        for (at += 2; at < end && isxdigit((unsigned char)*at);) at++;
        return at;
    }
    bool leads = *p == '.'; /* .5 */
    if (leads && (is_graph(d) || digits(p + 1, end) == p + 1)) return p;
    at = digits(p, end);
    if (at == p && !leads) return p;
    bool point = at < end && *at == '.';
    if (point && is_graph(d)) point = digits(at + 1, end) > at + 1; /* 1..3 is a range */
    if (point) at = digits(at + 1, end);
    if (at < end && (*at | 32) == 'e') {
        const char *exponent = at + 1;
        if (exponent < end && (*exponent == '+' || *exponent == '-')) exponent++;
        if (digits(exponent, end) > exponent) at = digits(exponent, end);
    }
    return at;
}

static const char *read_parameter(sqn_sql_dialect d, const char *p, const char *end) {
    const char *at = p + 1, *stop = word(at, end);
    switch (*p) {
    case '$':
        if (stop == at && d == SQN_SQL_NGQL) return at < end && is_one_of(*at, "-$^") ? at + 1 : p;
        if (stop == at) stop = digits(at, end);
        break;
    case '?':
        stop = is_graph(d) ? at : digits(at, end);
        break;
    case ':':
    case '@':
        if (is_graph(d)) return p;
        break;
    default:
        return p;
    }
    return stop > at ? stop : p;
}

static const char *read_operator(const char *p, const char *end) {
    static const char *const long_ones[] = {"->>", "||", "<<", ">>", "<=>", "<=", ">=",
                                            "<>",  "!=", "==", "->", "::",  ":=", "&&",
                                            "!~*", "!~", "~*", "@>", "<@"};
    if (!is_one_of(*p, "+-*/%<>=&|~!^(),;.[]{}:?@#")) return p;
    if (is_one_of(*p, "-|<>!=:&~@"))
        for (size_t i = 0; i < sizeof long_ones / sizeof *long_ones; i++)
            if (begins(p, end, long_ones[i])) return p + strlen(long_ones[i]);
    return p + 1;
}

/* A word beside a dot that stands alone is a name: T2.end. */
static bool beside_dot(const sqn_sql_lexer *l, const char *p, const char *stop) {
    if (l->last.at != NULL && l->last.n == 1 && p[-1] == '.') return true;
    if (stop == l->end || *stop != '.') return false;
    return read_number(l->dialect, stop, l->end) == stop;
}

static const char *read_token(const sqn_sql_lexer *l, const char *p, sqn_sql_kind *kind) {
    const char *end = l->end, *stop = p;
    sqn_sql_dialect d = l->dialect;
    while (stop < end && is_blank(*stop)) stop++;
    if (*kind = SQN_SQL_SPACE, stop > p) return stop;
    if (*kind = SQN_SQL_COMMENT, (stop = read_comment(d, p, end)) > p) return stop;
    if (*kind = SQN_SQL_STRING, (stop = read_string(d, p, end)) > p) return stop;
    bool blob = (*p == 'x' || *p == 'X') && end - p > 1 && p[1] == '\'';
    if (*kind = SQN_SQL_BLOB, blob) return between(p + 1, end, '\'', false);
    if (*kind = SQN_SQL_QUOTED, (stop = read_quoted(d, p, end)) > p) return stop;
    if (*kind = SQN_SQL_NUMBER, (stop = read_number(d, p, end)) > p) return stop;
    if ((stop = word(p, end)) > p) {
        bool keyword = sqn_sql_is_keyword(d, p, (size_t)(stop - p)) && !beside_dot(l, p, stop);
        *kind = keyword ? SQN_SQL_KEYWORD : SQN_SQL_NAME;
        return stop;
    }
    if (*kind = SQN_SQL_PARAMETER, (stop = read_parameter(d, p, end)) > p) return stop;
    if (*kind = SQN_SQL_OPERATOR, (stop = read_operator(p, end)) > p) return stop;
    *kind = SQN_SQL_UNKNOWN;
    return p + 1;
}

sqn_sql_lexer sqn_sql_lexer_start(sqn_sql_dialect dialect, const char *text, size_t n) {
    return (sqn_sql_lexer){.dialect = dialect, .at = text, .end = text + n};
}

bool sqn_sql_next(sqn_sql_lexer *l, sqn_sql_token *out) {
    if (l->at == l->end) return false;
    out->at = l->at;
    l->at = read_token(l, out->at, &out->kind);
    out->n = (size_t)(l->at - out->at);
    l->last = *out;
    return true;
}

bool sqn_sql_next_significant(sqn_sql_lexer *l, sqn_sql_token *out, bool *gap) {
    *gap = false;
    while (sqn_sql_next(l, out)) {
        if (out->kind != SQN_SQL_SPACE && out->kind != SQN_SQL_COMMENT) return true;
        *gap = true;
    }
    return false;
}

bool sqn_sql_is(const sqn_sql_token *t, const char *word_in_capitals) {
    size_t i = 0;
    while (i < t->n && toupper((unsigned char)t->at[i]) == word_in_capitals[i] &&
           word_in_capitals[i] != '\0')
        i++;
    return i == t->n && word_in_capitals[i] == '\0';
}

/* "$tag$" at both ends, the tag in ASCII. */
static size_t without_dollars(const char *p, size_t n, char *out) {
    const char *end = p + n, *at = p;
    if (n > 0 && *p == '$') {
        for (at = p + 1; at < end && (isalnum((unsigned char)*at) || *at == '_');) at++;
        at = at < end && *at == '$' ? at + 1 : p;
    }
    if (end > at && end[-1] == '$') {
        const char *back = end - 1;
        while (back > at && (isalnum((unsigned char)back[-1]) || back[-1] == '_')) back--;
        if (back > at && back[-1] == '$') end = back - 1;
    }
    memcpy(out, at, (size_t)(end - at));
    return (size_t)(end - at);
}

size_t sqn_sql_value(const sqn_sql_token *t, char *out) {
    const char *p = t->at, *end = p + t->n;
    size_t n = 0;
    if (t->kind != SQN_SQL_STRING && t->kind != SQN_SQL_QUOTED) {
        memcpy(out, p, t->n);
        return t->n;
    }
    if (t->n > 1 && (*p == 'e' || *p == 'E')) p++;
    if (!is_one_of(*p, "'\"`[")) return without_dollars(t->at, t->n, out);
    char close = *p == '[' ? ']' : *p;
    p++;
    if (end > p && end[-1] == close) end--;
    while (p < end) {
        out[n++] = *p;
        p += close != ']' && *p == close && p + 1 < end && p[1] == close ? 2 : 1;
    }
    return n;
}
