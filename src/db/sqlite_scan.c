/* Looks over a statement before SQLite compiles it, for the one thing that takes compiling out of
 * bounds: common table expressions that use each other twice and twice again. Every use is copied,
 * so that thirty short lines become a billion, and nothing interrupts it. */
#include <ctype.h>
#include <string.h>

#include "core/alloc.h"
#include "db/sqlite_guard.h"

enum { MAX_NAMES = 100, MAX_DEPTH = 200, MAX_COPIES = 20000 };

typedef struct token {
    const char *at;
    size_t n; /* 0: the end */
    bool name;
} token;

typedef struct scan {
    const char *at, *end;
    token names[MAX_NAMES];
    size_t count;
    long uses[MAX_NAMES + 1][MAX_NAMES]; /* by what (the last row: the statement itself), of what */
} scan;

static bool is_name_char(char c) {
    return isalnum((unsigned char)c) || c == '_' || c == '$' || c < 0;
}

static const char *skip_quoted(const char *at, const char *end, char close) {
    for (at++; at < end; at++)
        if (*at == close) {
            if (close == ']' || at + 1 == end || at[1] != close) return at + 1;
            at++; /* a doubled quote */
        }
    return end;
}

static token next_token(scan *s) {
    const char *at = s->at, *end = s->end;
    for (;;) {
        while (at < end && isspace((unsigned char)*at)) at++;
        if (end - at >= 2 && at[0] == '-' && at[1] == '-') {
            at = memchr(at, '\n', (size_t)(end - at));
        } else if (end - at >= 2 && at[0] == '/' && at[1] == '*') {
            at = memmem(at + 2, (size_t)(end - at - 2), "*/", 2);
            if (at != NULL) at += 2;
        } else {
            break;
        }
        if (at == NULL) at = end;
    }
    token t = {at, 0, false};
    if (at == end) {
        s->at = end;
        return t;
    }
    if (*at == '\'' || *at == '"' || *at == '`' || *at == '[') {
        s->at = skip_quoted(at, end, *at == '[' ? ']' : *at);
        t.name = *at != '\'';
        t.at++; /* without its quotes */
        t.n = (size_t)(s->at - at) >= 2 ? (size_t)(s->at - at) - 2 : 0;
        if (t.n == 0) t.n = 1;
        return t;
    }
    while (at < end && is_name_char(*at)) at++;
    t.name = at > t.at;
    t.n = t.name ? (size_t)(at - t.at) : 1;
    s->at = t.at + t.n;
    return t;
}

static bool is_word(token t, const char *word) {
    return t.n == strlen(word) && sqlite3_strnicmp(t.at, word, (int)t.n) == 0;
}

static bool is_char(token t, char c) { return !t.name && t.n == 1 && *t.at == c; }

/* After a name: [(columns)] AS [[NOT] MATERIALIZED] ( . Leaves the scan behind the parenthesis if
 * so, where it was if not. */
static bool begins_body(scan *s) {
    const char *start = s->at;
    token t = next_token(s);
    if (is_char(t, '(')) {
        for (int depth = 1; depth > 0 && t.n > 0;) {
            t = next_token(s);
            depth += is_char(t, '(') ? 1 : is_char(t, ')') ? -1 : 0;
        }
        t = next_token(s);
    }
    bool found = is_word(t, "AS");
    if (found) {
        t = next_token(s);
        if (is_word(t, "NOT")) t = next_token(s);
        if (is_word(t, "MATERIALIZED")) t = next_token(s);
        found = is_char(t, '(');
    }
    if (!found) s->at = start;
    return found;
}

static size_t find_name(const scan *s, token t) {
    size_t i = 0;
    while (i < s->count &&
           !(s->names[i].n == t.n && sqlite3_strnicmp(s->names[i].at, t.at, (int)t.n) == 0))
        i++;
    return i;
}

/* Pass 1 collects the names, pass 2 counts who uses whom. False: too many names. */
static bool walk(scan *s, const char *sql, size_t n, bool count_uses) {
    size_t inside[MAX_DEPTH], depth = 0, bodies[MAX_DEPTH];
    bodies[0] = MAX_NAMES;
    s->at = sql;
    s->end = sql + n;
    size_t levels = 0; /* bodies open; inside[levels] is the depth of each one's parenthesis */
    inside[0] = 0;
    for (token t = next_token(s); t.n > 0; t = next_token(s)) {
        if (is_char(t, '(')) {
            depth++;
        } else if (is_char(t, ')') && depth > 0) {
            if (levels > 0 && inside[levels] == depth) levels--;
            depth--;
        }
        if (!t.name) continue;
        if (begins_body(s)) {
            size_t name = find_name(s, t);
            if (name == MAX_NAMES || levels + 1 == MAX_DEPTH) return false;
            if (name == s->count) s->names[s->count++] = t;
            inside[++levels] = ++depth;
            bodies[levels] = name;
        } else if (count_uses) {
            size_t used = find_name(s, t);
            bool prefix = s->at < s->end && *s->at == '.';
            if (used < s->count && used != bodies[levels] && !prefix)
                s->uses[bodies[levels]][used]++;
        }
    }
    return true;
}

static bool mentions_with(const char *sql, size_t n) {
    for (size_t i = 0; i + 4 <= n; i++)
        if ((sql[i] | 0x20) == 'w' && sqlite3_strnicmp(sql + i, "with", 4) == 0) return true;
    return false;
}

sqn_status sqn_sqlite_scan(const char *sql, size_t n, sqn_err *e) {
    static const char too_many[] = "the statement is too large: its common table expressions use "
                                   "each other too often";
    if (!mentions_with(sql, n)) return SQN_OK;
    scan *s = sqn_calloc(1, sizeof *s, e);
    if (s == NULL) return SQN_NOMEM;
    double copies[MAX_NAMES + 1];
    bool fits = walk(s, sql, n, false) && (s->count == 0 || walk(s, sql, n, true));
    for (size_t i = 0; i <= MAX_NAMES; i++) copies[i] = 1;
    bool changes = fits && s->count > 0;
    for (size_t round = 0; fits && changes && round <= s->count + 1; round++) {
        changes = false;
        for (size_t k = 0; k <= s->count; k++) {
            size_t i = k == s->count ? MAX_NAMES : k;
            double sum = 1;
            for (size_t j = 0; j < s->count; j++) sum += (double)s->uses[i][j] * copies[j];
            changes = changes || sum != copies[i];
            copies[i] = sum;
            fits = fits && sum <= MAX_COPIES;
        }
    }
    sqn_free(s);
    return fits ? SQN_OK : SQN_FAIL(e, SQN_LIMIT, "%s", too_many);
}
