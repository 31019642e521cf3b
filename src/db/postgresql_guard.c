/* Reads a statement token by token: see postgresql_guard.h. */
#include "db/postgresql_guard.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Volatile functions without effects that last. */
const char sqn_postgresql_volatile_query[] =
    "SELECT DISTINCT proname::text FROM pg_catalog.pg_proc WHERE provolatile = 'v' AND proname <> "
    "ALL (ARRAY['random', 'random_normal', 'clock_timestamp', 'timeofday', 'gen_random_uuid', "
    "'uuid_generate_v1', 'uuid_generate_v4', 'lastval', 'currval', 'pg_relation_size', "
    "'pg_total_relation_size', 'pg_table_size', 'pg_indexes_size', 'pg_database_size', "
    "'pg_tablespace_size', 'pg_is_in_recovery', 'pg_column_size'])";

/* Denied whatever the server says of them: functions that are not called volatile but write, read
 * files or run SQL from a string, and relations that hold secrets. */
static const char *const always[] = {
    "connectby",
    "crosstab",
    "crosstab2",
    "crosstab3",
    "crosstab4",
    "crosstab_hash",
    "dblink",
    "dblink_exec",
    "pg_authid",
    "pg_config",
    "pg_current_xact_id",
    "pg_file_settings",
    "pg_hba_file_rules",
    "pg_ident_file_mappings",
    "pg_largeobject",
    "pg_shadow",
    "pg_user_mapping",
    "query_to_xml",
    "set_config",
    "txid_current",
    "xpath_table",
};

/* Statements that read. */
static const char *const kinds[] = {"explain", "select", "table", "values", "with"};

sqn_status sqn_guarded_names_add(sqn_guarded_names *g, const char *name, sqn_err *e) {
    char *copy = sqn_arena_copy(&g->arena, name, strlen(name), e);
    void *list = copy ? sqn_arena_list(&g->arena, g->items, g->n, sizeof *g->items, e) : NULL;
    if (list == NULL) return SQN_NOMEM;
    g->items = list;
    g->items[g->n++] = copy;
    return SQN_OK;
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void sqn_guarded_names_sort(sqn_guarded_names *g) {
    if (g->n > 0) qsort(g->items, g->n, sizeof *g->items, by_text);
}

void sqn_guarded_names_release(sqn_guarded_names *g) {
    sqn_arena_release(&g->arena);
    *g = (sqn_guarded_names){0};
}

static bool listed(const char *const *list, size_t n, const char *name) {
    return n > 0 && bsearch(&name, list, n, sizeof *list, by_text) != NULL;
}

/* ---- tokens ---- */

enum { MOST_NAME = 63 }; /* what the server keeps of a name, in bytes */

typedef enum token_kind {
    END,
    NAME,        /* a word, folded to lower case, or a quoted name as it stands */
    SYMBOL,      /* one character */
    CONSTANT,    /* a string, a number */
    UNICODE_NAME /* U&"…", which could spell anything */
} token_kind;

typedef struct token {
    token_kind kind;
    char name[MOST_NAME + 1];
    bool quoted;
    char symbol;
} token;

typedef struct scanner {
    const char *at, *end;
} scanner;

static bool is_name_start(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80);
}
static bool is_name_char(char c) { return is_name_start(c) || (c >= '0' && c <= '9') || c == '$'; }
static bool is_blank(char c) { return c != '\0' && strchr(" \t\n\r\f\v", c) != NULL; }

/* Past blanks and comments, which nest. */
static void skip_blanks(scanner *s) {
    while (s->at < s->end) {
        if (is_blank(*s->at)) {
            s->at++;
        } else if (s->end - s->at >= 2 && s->at[0] == '-' && s->at[1] == '-') {
            while (s->at < s->end && *s->at != '\n' && *s->at != '\r') s->at++;
        } else if (s->end - s->at >= 2 && s->at[0] == '/' && s->at[1] == '*') {
            int depth = 0;
            do {
                bool pair = s->end - s->at >= 2;
                int step = pair && s->at[0] == '/' && s->at[1] == '*'   ? 1
                           : pair && s->at[0] == '*' && s->at[1] == '/' ? -1
                                                                        : 0;
                depth += step;
                s->at += step ? 2 : 1;
            } while (depth > 0 && s->at < s->end);
        } else {
            return;
        }
    }
}

/* Past the text that `quote` opened before; doubled quotes are part of it. */
static void skip_quoted(scanner *s, char quote, bool escapes) {
    for (; s->at < s->end; s->at++) {
        if (escapes && *s->at == '\\' && s->at + 1 < s->end) {
            s->at++;
        } else if (*s->at == quote) {
            if (s->at + 1 == s->end || s->at[1] != quote) break;
            s->at++;
        }
    }
    if (s->at < s->end) s->at++;
}

/* $tag$ … $tag$, standing at the first $. False: it is no such string. */
static bool skip_dollars(scanner *s) {
    const char *tag = s->at + 1;
    while (tag < s->end && *tag != '$' && is_name_char(*tag)) tag++;
    if (tag == s->end || *tag != '$') return false;
    if (tag > s->at + 1 && s->at[1] >= '0' && s->at[1] <= '9') return false; /* $1 */
    size_t n = (size_t)(tag + 1 - s->at);
    const char *close = memmem(tag + 1, (size_t)(s->end - tag - 1), s->at, n);
    s->at = close ? close + n : s->end;
    return true;
}

static void quoted_name(scanner *s, token *t) {
    size_t n = 0;
    t->kind = NAME;
    t->quoted = true;
    for (; s->at < s->end; s->at++) {
        if (*s->at == '"') {
            if (s->at + 1 == s->end || s->at[1] != '"') break;
            s->at++;
        }
        if (n < MOST_NAME) t->name[n++] = *s->at;
    }
    if (s->at < s->end) s->at++;
    t->name[n] = '\0';
}

static void plain_name(scanner *s, token *t) {
    const char *start = s->at;
    t->kind = NAME;
    while (s->at < s->end && is_name_char(*s->at)) s->at++;
    size_t length = (size_t)(s->at - start), n = length < MOST_NAME ? length : MOST_NAME;
    for (size_t i = 0; i < n; i++)
        t->name[i] = (char)(start[i] >= 'A' && start[i] <= 'Z' ? start[i] + 32 : start[i]);
    t->name[n] = '\0';
    char next = s->at < s->end ? *s->at : '\0';
    if (length == 1 && next == '\'' && strchr("ebxn", t->name[0])) {
        s->at++;
        skip_quoted(s, '\'', t->name[0] == 'e');
        t->kind = CONSTANT;
    } else if (length == 1 && t->name[0] == 'u' && next == '&' && s->end - s->at >= 2 &&
               (s->at[1] == '"' || s->at[1] == '\'')) {
        char quote = s->at[1];
        s->at += 2;
        skip_quoted(s, quote, false);
        t->kind = quote == '"' ? UNICODE_NAME : CONSTANT;
    }
}

static void next_token(scanner *s, token *t) {
    skip_blanks(s);
    *t = (token){.kind = END};
    if (s->at >= s->end) return;
    char c = *s->at;
    if (is_name_start(c)) {
        plain_name(s, t);
    } else if (c == '"') {
        s->at++;
        quoted_name(s, t);
    } else if (c == '\'') {
        s->at++;
        skip_quoted(s, '\'', false);
        t->kind = CONSTANT;
    } else if (c >= '0' && c <= '9') {
        while (s->at < s->end && (is_name_char(*s->at) || *s->at == '.')) s->at++;
        t->kind = CONSTANT;
    } else if (c == '$' && skip_dollars(s)) {
        t->kind = CONSTANT;
    } else {
        s->at++;
        t->kind = SYMBOL;
        t->symbol = c;
    }
}

static bool is_word(const token *t, const char *word) {
    return t->kind == NAME && !t->quoted && strcmp(t->name, word) == 0;
}

/* ---- rules ---- */

/* EXPLAIN [(options)] [VERBOSE] before its statement; ANALYZE would run it. Leaves *t at the
 * statement's first token. */
static sqn_status scan_explain(scanner *s, token *t, sqn_err *e) {
    bool inside = false;
    for (next_token(s, t); t->kind != END; next_token(s, t)) {
        if (is_word(t, "analyze") || is_word(t, "analyse"))
            return SQN_FAIL(e, SQN_DENIED, "not allowed: EXPLAIN ANALYZE");
        if (!inside && t->kind == NAME && !is_word(t, "verbose")) return SQN_OK;
        if (t->kind == SYMBOL && t->symbol == ')') inside = false;
        if (t->kind != SYMBOL || t->symbol != '(') continue;
        if (inside)
            return SQN_FAIL(e, SQN_DENIED, "not allowed: a parenthesis in EXPLAIN's options");
        scanner ahead = *s; /* options, or a statement in parentheses */
        token first;
        next_token(&ahead, &first);
        if (is_word(&first, "select") || is_word(&first, "with") || is_word(&first, "values") ||
            is_word(&first, "table") || (first.kind == SYMBOL && first.symbol == '('))
            return SQN_OK;
        inside = true;
    }
    return SQN_OK;
}

/* The first word says what the statement is; parentheses may stand before it. */
static sqn_status scan_kind(scanner *s, token *t, sqn_err *e) {
    bool explained = false;
    next_token(s, t);
    if (is_word(t, "explain")) {
        explained = true;
        SQN_TRY(scan_explain(s, t, e));
    }
    while (t->kind == SYMBOL && t->symbol == '(') next_token(s, t);
    if (t->kind == END || (t->kind == SYMBOL && t->symbol == ';' && !explained))
        return SQN_FAIL(e, SQN_DB, "the statement is empty");
    if (t->kind == NAME && !t->quoted && listed(kinds, sizeof kinds / sizeof *kinds, t->name) &&
        !is_word(t, "explain"))
        return SQN_OK;
    if (t->kind != NAME) return SQN_FAIL(e, SQN_DENIED, "not allowed: it begins with no word");
    return SQN_FAIL(e, SQN_DENIED, "not allowed: only statements that read, not '%s'", t->name);
}

sqn_status sqn_postgresql_scan(const char *sql, size_t n, const sqn_guarded_names *names,
                               sqn_err *e) {
    scanner s = {sql, sql + n};
    token t;
    bool after_dot = false;
    SQN_TRY(scan_kind(&s, &t, e));
    while (t.kind != END) {
        token next;
        if (t.kind == UNICODE_NAME)
            return SQN_FAIL(e, SQN_DENIED, "not allowed: a name with escapes (U&\"…\")");
        next_token(&s, &next);
        if (t.kind == SYMBOL && t.symbol == ';' && next.kind != END)
            return SQN_FAIL(e, SQN_DENIED, "not allowed: more than one statement");
        bool called = next.kind == SYMBOL && next.symbol == '(';
        if (t.kind == NAME && listed(always, sizeof always / sizeof *always, t.name))
            return SQN_FAIL(e, SQN_DENIED, "not allowed: '%s'", t.name);
        if (t.kind == NAME && (called || (after_dot && strncmp(t.name, "pg_", 3) == 0)) &&
            listed(names->items, names->n, t.name))
            return SQN_FAIL(e, SQN_DENIED, "not allowed: the function '%s'", t.name);
        after_dot = t.kind == SYMBOL && t.symbol == '.';
        t = next;
    }
    return SQN_OK;
}
