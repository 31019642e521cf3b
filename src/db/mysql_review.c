/* The reviewer of statements for MySQL and MariaDB: see mysql_review.h. */
#include "db/mysql_review.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { MAX_DEPTH = 500 }; /* of parentheses: the server's parser has a stack to fill */

typedef enum token_kind { END, WORD, NAME, STRING, NUMBER, SIGN, BROKEN } token_kind;

typedef struct token {
    const char *at; /* of a quoted name: behind its quote */
    size_t n;       /* of a quoted name: without its quotes */
    token_kind kind;
} token;

typedef struct review {
    const char *at, *end;
    sqn_mysql_quoting quoting;
    sqn_err *e;
} review;

/* Statements that may begin so; `(` is the other way to begin. */
static const char *const beginnings[] = {"SELECT", "WITH",     "VALUES",  "TABLE",
                                         "SHOW",   "DESCRIBE", "EXPLAIN", "DESC"};

/* Reserved words (so no name without quotes is one of them) that stand in no statement that only
 * reads. */
static const char *const denied_words[] = {"INTO", "UPDATE", "DELETE", "DROP", "ALTER",
                                           "LOCK", "GRANT",  "REVOKE", "LOAD"};

/* Functions that reach outside the statement: files, locks, sequences, replication, shells. Quoted
 * names count, since the server finds a function by them, too. */
static const char *const denied_functions[] = {"LOAD_FILE",
                                               "GET_LOCK",
                                               "RELEASE_LOCK",
                                               "RELEASE_ALL_LOCKS",
                                               "NEXTVAL",
                                               "SETVAL",
                                               "MASTER_POS_WAIT",
                                               "SOURCE_POS_WAIT",
                                               "MASTER_GTID_WAIT",
                                               "WAIT_FOR_EXECUTED_GTID_SET",
                                               "WAIT_UNTIL_SQL_THREAD_AFTER_GTIDS",
                                               "WSREP_SYNC_WAIT_UPTO_GTID",
                                               "SYS_EXEC",
                                               "SYS_EVAL",
                                               "SYS_SET",
                                               "SYS_GET"};

/* Whether the token is the word. The server cuts a number from the word that touches it, `1.5INTO`,
 * so of what begins with a digit the end counts. */
static bool is_word(token t, const char *word) {
    size_t n = strlen(word);
    if (t.kind == NUMBER && t.n > n) return strncasecmp(t.at + t.n - n, word, n) == 0;
    return t.kind != STRING && t.n == n && strncasecmp(t.at, word, n) == 0;
}

static bool is_one_of(token t, const char *const *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (is_word(t, list[i])) return true;
    return false;
}
#define IS_ONE_OF(t, list) is_one_of((t), (list), sizeof(list) / sizeof *(list))

static bool is_sign(token t, char c) { return t.kind == SIGN && *t.at == c; }

/* Families of functions of plugins, by how they begin. */
static const char *const denied_families[] = {"SPIDER_",
                                              "SERVICE_GET_",
                                              "SERVICE_RELEASE_",
                                              "KEYRING_",
                                              "GROUP_REPLICATION_",
                                              "AUDIT_LOG_",
                                              "ASYNCHRONOUS_CONNECTION_",
                                              "VERSION_TOKENS_"};

static bool is_denied_function(token t) {
    if (IS_ONE_OF(t, denied_functions)) return true;
    for (size_t i = 0; i < sizeof denied_families / sizeof *denied_families; i++) {
        size_t n = strlen(denied_families[i]);
        if (t.kind != STRING && t.n > n && strncasecmp(t.at, denied_families[i], n) == 0)
            return true;
    }
    return false;
}

static sqn_status denied(review *r, token t, const char *what) {
    if (what != NULL) return SQN_FAIL(r->e, SQN_DENIED, "not allowed: %s", what);
    return SQN_FAIL(r->e, SQN_DENIED, "not allowed: this connection is read-only (%.*s)",
                    (int)(t.n < 60 ? t.n : 60), t.at);
}

static bool is_name_char(char c) {
    return isalnum((unsigned char)c) || c == '_' || c == '$' || (c & 0x80) != 0;
}

/* Behind the closing quote of what begins at `at`; NULL if it never closes. */
static const char *skip_quoted(const review *r, const char *at) {
    char quote = *at;
    bool name = quote == '`' || (quote == '"' && r->quoting.ansi);
    bool escapes = !name && !r->quoting.no_backslash;
    for (at++; at < r->end; at++) {
        if (*at == '\\' && escapes) {
            at++;
        } else if (*at == quote) {
            if (at + 1 == r->end || at[1] != quote) return at + 1;
            at++;
        }
    }
    return NULL;
}

/* Skips blanks and comments. False: a comment that the server would execute, or one that does not
 * end. `--` begins a comment only before a blank or the end. */
static bool skip_blank(review *r) {
    for (;;) {
        const char *at = r->at, *end = r->end;
        while (at < end && (isspace((unsigned char)*at) || *at == '\0')) at++;
        size_t left = (size_t)(end - at);
        bool dashes = left >= 2 && at[0] == '-' && at[1] == '-' &&
                      (left == 2 || isspace((unsigned char)at[2]) || iscntrl((unsigned char)at[2]));
        r->at = at;
        if (dashes || (left > 0 && *at == '#')) {
            at = memchr(at, '\n', left);
            r->at = at ? at + 1 : end;
        } else if (left >= 2 && at[0] == '/' && at[1] == '*') {
            const char *stop = memmem(at + 2, left - 2, "*/", 2);
            bool executed = left >= 3 && (at[2] == '!' || at[2] == '+' ||
                                          (left >= 4 && (at[2] | 0x20) == 'm' && at[3] == '!'));
            if (stop == NULL || executed) return false;
            r->at = stop + 2;
        } else {
            return true;
        }
    }
}

static token next_token(review *r) {
    if (!skip_blank(r)) return (token){r->at, 2, BROKEN};
    const char *at = r->at;
    token t = {at, 0, END};
    if (at == r->end) return t;
    if (*at == '\'' || *at == '"' || *at == '`') {
        const char *stop = skip_quoted(r, at);
        if (stop == NULL) return (token){at, 1, BROKEN};
        r->at = stop;
        t.kind = *at == '`' || (*at == '"' && r->quoting.ansi) ? NAME : STRING;
        t.at = at + 1;
        t.n = (size_t)(stop - at) - 2;
        return t;
    }
    t.kind = isdigit((unsigned char)*at) ? NUMBER : WORD;
    while (at < r->end && is_name_char(*at)) at++;
    if (at == t.at) {
        t.kind = SIGN;
        at++;
    }
    t.n = (size_t)(at - t.at);
    r->at = at;
    return t;
}

/* What must not stand in a statement; `before` are the two tokens before, the last first. */
static sqn_status check_token(review *r, const token before[2], token t, bool show) {
    bool member = is_sign(before[0], '.') && before[1].kind != NUMBER; /* t.delete is a column */
    bool variable = is_sign(before[0], '@');
    if ((t.kind == WORD && !member && !variable) || t.kind == NUMBER) {
        if (IS_ONE_OF(t, denied_words)) return denied(r, t, NULL);
        if (is_word(t, "SHARE") && is_word(before[0], "FOR")) return denied(r, t, "FOR SHARE");
        if (is_word(t, "FOR") && is_word(before[0], "VALUE"))
            return denied(r, t, "the next value of a sequence");
        if (is_word(t, "PROCEDURE") && !show) return denied(r, t, NULL);
    }
    if (is_sign(t, '(') && is_denied_function(before[0])) return denied(r, before[0], NULL);
    if (is_sign(t, '[') && r->quoting.brackets) return denied(r, t, "names in square brackets");
    return SQN_OK;
}

/* EXPLAIN's own words; what is explained follows. A name after them is a table to describe. */
static bool explains_only(token t) {
    static const char *const words[] = {"EXTENDED", "PARTITIONS", "FORMAT",      "JSON",
                                        "TREE",     "ANALYZE",    "TRADITIONAL", "FOR"};
    return is_sign(t, '=') || (t.kind == WORD && IS_ONE_OF(t, words));
}

static sqn_status check_beginning(review *r, token first) {
    static const char *const writing[] = {"INSERT", "REPLACE", "CALL",   "SET",
                                          "DO",     "CREATE",  "EXECUTE"};
    if (first.kind == END) return SQN_FAIL(r->e, SQN_DB, "the statement is empty");
    if (first.kind != SIGN && !(first.kind == WORD && IS_ONE_OF(first, beginnings)))
        return denied(r, first, NULL);
    if (first.kind == SIGN && *first.at != '(') return denied(r, first, NULL);
    if (!is_word(first, "EXPLAIN") && !is_word(first, "DESCRIBE") && !is_word(first, "DESC"))
        return SQN_OK;
    review ahead = *r;
    token t = next_token(&ahead);
    while (explains_only(t)) t = next_token(&ahead);
    return t.kind == WORD && IS_ONE_OF(t, writing) ? denied(r, t, NULL) : SQN_OK;
}

sqn_status sqn_mysql_review(const char *sql, size_t n, sqn_mysql_quoting quoting, sqn_err *e) {
    review r = {sql, sql + n, quoting, e};
    token before[2] = {{sql, 0, END}, {sql, 0, END}}, t = next_token(&r);
    int depth = 0;
    while (is_sign(t, ';')) t = next_token(&r); /* empty statements before the first */
    bool show = is_word(t, "SHOW");
    if (t.kind != BROKEN) SQN_TRY(check_beginning(&r, t));
    while (t.kind != END) {
        if (t.kind == BROKEN && t.n == 1)
            return SQN_FAIL(e, SQN_DB, "a quote that does not end: %.40s", t.at);
        if (t.kind == BROKEN)
            return denied(&r, t, "a comment that the server would execute, or that does not end");
        if (is_sign(t, ';')) {
            t = next_token(&r);
            return t.kind == END ? SQN_OK : denied(&r, t, "more than one statement");
        }
        depth += is_sign(t, '(') ? 1 : is_sign(t, ')') ? -1 : 0;
        if (depth > MAX_DEPTH) return SQN_FAIL(e, SQN_LIMIT, "the statement is nested too deeply");
        SQN_TRY(check_token(&r, before, t, show));
        before[1] = before[0];
        before[0] = t;
        t = next_token(&r);
    }
    return SQN_OK;
}
