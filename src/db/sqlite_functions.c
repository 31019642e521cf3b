/* Functions of SQLite that can run long inside one step of its machine (quadratic searches, long
 * copies), done again with an eye on the clock. Results are the built-in ones'. */
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "db/sqlite_guard.h"

/* Steps of a pattern match that the built-in matcher may take in one piece: some 50 ms. */
static const sqlite3_int64 most_steps = 30000000;

static sqn_guard *guard_of(sqlite3_context *ctx) { return sqlite3_user_data(ctx); }

/* True: the statement has ended, and the error is set. Every function here begins with it. */
static bool stopped(sqlite3_context *ctx) {
    guard_of(ctx)->polls = 0;
    if (!sqn_guard_poll(guard_of(ctx))) return false;
    sqlite3_result_error_code(ctx, SQLITE_INTERRUPT);
    return true;
}

static bool any_null(int argc, sqlite3_value **argv) {
    for (int i = 0; i < argc; i++)
        if (sqlite3_value_type(argv[i]) == SQLITE_NULL) return true;
    return false;
}

/* Room for a result; NULL after setting the error. Freed by SQLite. */
static char *result_room(sqlite3_context *ctx, sqlite3_int64 n) {
    if (n > sqlite3_limit(guard_of(ctx)->db, SQLITE_LIMIT_LENGTH, -1)) {
        sqlite3_result_error_toobig(ctx);
        return NULL;
    }
    char *room = sqlite3_malloc64((sqlite3_uint64)n + 1);
    if (room == NULL) sqlite3_result_error_nomem(ctx);
    return room;
}

/* Characters that begin after the first byte of s, up to and with the one at `end`. */
static int count_characters(const char *s, const char *end) {
    int n = 0;
    while (s++ < end) n += ((unsigned char)*s & 0xC0) != 0x80;
    return n;
}

static void f_instr(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    if (stopped(ctx) || any_null(argc, argv)) return;
    bool blobs =
        sqlite3_value_type(argv[0]) == SQLITE_BLOB && sqlite3_value_type(argv[1]) == SQLITE_BLOB;
    const char *text =
        blobs ? sqlite3_value_blob(argv[0]) : (const char *)sqlite3_value_text(argv[0]);
    const char *part =
        blobs ? sqlite3_value_blob(argv[1]) : (const char *)sqlite3_value_text(argv[1]);
    int n = sqlite3_value_bytes(argv[0]), m = sqlite3_value_bytes(argv[1]);
    const char *found = m == 0 ? text : n < m ? NULL : memmem(text, (size_t)n, part, (size_t)m);
    if (m == 0)
        sqlite3_result_int(ctx, 1);
    else if (found == NULL)
        sqlite3_result_int(ctx, 0);
    else
        sqlite3_result_int(ctx, 1 + (blobs ? (int)(found - text) : count_characters(text, found)));
}

static const char *find(const char *at, const char *end, const char *part, size_t m) {
    size_t n = (size_t)(end - at);
    return m == 1 ? memchr(at, *part, n) : memmem(at, n, part, m);
}

static void f_replace(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    (void)argc;
    if (stopped(ctx)) return;
    const char *text = (const char *)sqlite3_value_text(argv[0]);
    const char *from = (const char *)sqlite3_value_text(argv[1]);
    const char *to = (const char *)sqlite3_value_text(argv[2]);
    if (text == NULL || from == NULL) return;
    if (from[0] == '\0') {
        sqlite3_result_value(ctx, argv[0]);
        return;
    }
    if (to == NULL) return;
    size_t n = (size_t)sqlite3_value_bytes(argv[0]), m = (size_t)sqlite3_value_bytes(argv[1]);
    size_t k = (size_t)sqlite3_value_bytes(argv[2]);
    sqlite3_int64 length = (sqlite3_int64)n;
    sqlite3_int64 most = sqlite3_limit(guard_of(ctx)->db, SQLITE_LIMIT_LENGTH, -1);
    const char *end = text + n, *at, *found;
    for (at = text; k != m && (length <= most || k < m) && (found = find(at, end, from, m));
         at = found + m)
        length += (sqlite3_int64)k - (sqlite3_int64)m;
    char *out = result_room(ctx, length), *put = out;
    if (out == NULL) return;
    for (at = text; (found = find(at, end, from, m)); at = found + m) {
        memcpy(put, at, (size_t)(found - at));
        put += found - at;
        memcpy(put, to, k);
        put += k;
    }
    memcpy(put, at, (size_t)(end - at));
    sqlite3_result_text64(ctx, out, (sqlite3_uint64)length, sqlite3_free, SQLITE_UTF8);
}

/* Length in bytes of the character at s, as SQLite reads UTF-8: a byte and what continues it. */
static size_t character(const char *s, const char *end) {
    size_t n = 1;
    if ((unsigned char)*s >= 0xC0)
        while (s + n < end && ((unsigned char)s[n] & 0xC0) == 0x80) n++;
    return n;
}

/* Bytes that one character of `set` takes off the text's front or back; 0 for none. */
static size_t trimmed(sqlite3_context *ctx, const char *text, size_t n, const char *set,
                      const char *set_end, bool front) {
    sqn_guard *g = guard_of(ctx);
    for (const char *c = set; c < set_end;) {
        size_t k = character(c, set_end);
        if (k <= n && memcmp(front ? text : text + n - k, c, k) == 0) return k;
        c += k;
        if (((c - set) & 0xFFF) < 4 && sqn_guard_poll(g)) return 0;
    }
    return 0;
}

static void trim(sqlite3_context *ctx, int argc, sqlite3_value **argv, bool front, bool back) {
    if (stopped(ctx) || any_null(argc, argv)) return;
    const char *text = (const char *)sqlite3_value_text(argv[0]);
    const char *set = argc == 2 ? (const char *)sqlite3_value_text(argv[1]) : " ";
    if (text == NULL || set == NULL) return;
    size_t n = (size_t)sqlite3_value_bytes(argv[0]), k = 1;
    const char *set_end = set + strlen(set); /* the built-in one stops at a NUL, too */
    for (; front && n > 0 && (k = trimmed(ctx, text, n, set, set_end, true)) > 0; n -= k) text += k;
    for (; back && n > 0 && (k = trimmed(ctx, text, n, set, set_end, false)) > 0;) n -= k;
    if (guard_of(ctx)->stop != SQN_OK)
        sqlite3_result_error_code(ctx, SQLITE_INTERRUPT);
    else
        sqlite3_result_text64(ctx, text, n, SQLITE_TRANSIENT, SQLITE_UTF8);
}

static void f_trim(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    trim(ctx, argc, argv, true, true);
}
static void f_ltrim(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    trim(ctx, argc, argv, true, false);
}
static void f_rtrim(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    trim(ctx, argc, argv, false, true);
}

/* Reads one character the way the built-in matcher does, and moves on. */
static unsigned read_character(const unsigned char **s) {
    unsigned c = *(*s)++;
    if (c < 0xC0) return c;
    c &= c < 0xE0 ? 0x1Fu : c < 0xF0 ? 0x0Fu : 0x07u;
    while ((**s & 0xC0) == 0x80) c = c << 6 | (*(*s)++ & 0x3Fu);
    return c;
}

static unsigned lower(unsigned c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; }

/* LIKE by going back to the last % only, looking at the clock now and then. */
static bool like_slowly(sqn_guard *g, const unsigned char *pattern, const unsigned char *text,
                        unsigned escape) {
    const unsigned char *star = NULL, *retry = NULL;
    for (unsigned step = 0;; step++) {
        if (step % 4096 == 0 && sqn_guard_poll(g)) return false;
        const unsigned char *p = pattern, *s = text;
        unsigned c = read_character(&p);
        if (c == '%' && c != escape) {
            star = pattern = p;
            retry = text;
            continue;
        }
        bool any = c == '_' && c != escape;
        if (c == escape && c != 0 && (c = read_character(&p)) == 0) return false;
        if (c == 0 && *s == 0) return true;
        if (*s != 0 && c != 0 && (lower(read_character(&s)) == lower(c) || any)) {
            pattern = p;
            text = s;
            continue;
        }
        if (star == NULL || *retry == 0) return false;
        read_character(&retry);
        text = retry;
        pattern = star;
    }
}

/* Debian builds SQLite so that a blob is like nothing. */
static bool is_blob(sqlite3_value *v) {
    return sqlite3_value_type(v) == SQLITE_BLOB &&
           sqlite3_compileoption_used("LIKE_DOESNT_MATCH_BLOBS");
}

static void match(sqlite3_context *ctx, int argc, sqlite3_value **argv, bool glob) {
    if (stopped(ctx)) return;
    if (is_blob(argv[0]) || is_blob(argv[1])) {
        sqlite3_result_int(ctx, 0);
        return;
    }
    sqn_guard *g = guard_of(ctx);
    sqlite3_int64 n = sqlite3_value_bytes(argv[0]), m = sqlite3_value_bytes(argv[1]);
    if (n > sqlite3_limit(g->db, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, -1)) {
        sqlite3_result_error(ctx, "LIKE or GLOB pattern too complex", -1);
        return;
    }
    const char *pattern = (const char *)sqlite3_value_text(argv[0]);
    const char *text = (const char *)sqlite3_value_text(argv[1]);
    unsigned escape = 0;
    if (argc == 3) {
        const unsigned char *e = sqlite3_value_text(argv[2]);
        if (e == NULL) return;
        if (*e == 0 || (read_character(&e), *e != 0)) {
            sqlite3_result_error(ctx, "ESCAPE expression must be a single character", -1);
            return;
        }
        e = sqlite3_value_text(argv[2]);
        escape = read_character(&e);
    }
    if (pattern == NULL || text == NULL) return;
    bool small = n * m <= most_steps;
    if (glob && !small) {
        sqlite3_result_error(ctx, "LIKE or GLOB pattern too complex", -1);
        return;
    }
    bool yes;
    if (glob)
        yes = sqlite3_strglob(pattern, text) == 0;
    else if (small && escape != '%' && escape != '_')
        yes = sqlite3_strlike(pattern, text, escape) == 0;
    else
        yes = like_slowly(g, (const unsigned char *)pattern, (const unsigned char *)text, escape);
    if (g->stop != SQN_OK)
        sqlite3_result_error_code(ctx, SQLITE_INTERRUPT);
    else
        sqlite3_result_int(ctx, yes);
}

static void f_like(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    match(ctx, argc, argv, false);
}
static void f_glob(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    match(ctx, argc, argv, true);
}

static void f_hex(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    (void)argc;
    if (stopped(ctx)) return;
    const unsigned char *bytes = sqlite3_value_blob(argv[0]);
    int n = sqlite3_value_bytes(argv[0]);
    char *out = result_room(ctx, 2 * (sqlite3_int64)n);
    if (out == NULL) return;
    for (int i = 0; i < n; i++) {
        out[2 * i] = "0123456789ABCDEF"[bytes[i] >> 4];
        out[2 * i + 1] = "0123456789ABCDEF"[bytes[i] & 15];
    }
    sqlite3_result_text64(ctx, out, 2 * (sqlite3_uint64)n, sqlite3_free, SQLITE_UTF8);
}

static void change_case(sqlite3_context *ctx, sqlite3_value *value, char first) {
    if (stopped(ctx)) return;
    const char *text = (const char *)sqlite3_value_text(value);
    int n = sqlite3_value_bytes(value);
    char *out = text ? result_room(ctx, n) : NULL;
    if (out == NULL) return;
    for (int i = 0; i < n; i++) {
        bool letter = text[i] >= first && text[i] <= first + 25;
        out[i] = letter ? (char)(text[i] ^ 0x20) : text[i];
    }
    sqlite3_result_text64(ctx, out, (sqlite3_uint64)n, sqlite3_free, SQLITE_UTF8);
}

static void f_upper(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    (void)argc;
    change_case(ctx, argv[0], 'a');
}
static void f_lower(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    (void)argc;
    change_case(ctx, argv[0], 'A');
}

static void f_zeroblob(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    (void)argc;
    if (stopped(ctx)) return;
    sqlite3_int64 n = sqlite3_value_int64(argv[0]);
    int rc = sqlite3_result_zeroblob64(ctx, (sqlite3_uint64)(n < 0 ? 0 : n));
    if (rc != SQLITE_OK) sqlite3_result_error_code(ctx, rc);
}

static void f_randomblob(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    (void)argc;
    if (stopped(ctx)) return;
    sqlite3_int64 n = sqlite3_value_int64(argv[0]);
    char *out = result_room(ctx, n < 1 ? 1 : n);
    if (out == NULL) return;
    sqlite3_randomness((int)(n < 1 ? 1 : n), out);
    sqlite3_result_blob64(ctx, out, (sqlite3_uint64)(n < 1 ? 1 : n), sqlite3_free);
}

typedef void function(sqlite3_context *, int, sqlite3_value **);
static const struct {
    const char *name;
    int arguments, flags;
    function *call;
} functions[] = {
    {"instr", 2, SQLITE_DETERMINISTIC, f_instr},
    {"replace", 3, SQLITE_DETERMINISTIC, f_replace},
    {"trim", 1, SQLITE_DETERMINISTIC, f_trim},
    {"trim", 2, SQLITE_DETERMINISTIC, f_trim},
    {"ltrim", 1, SQLITE_DETERMINISTIC, f_ltrim},
    {"ltrim", 2, SQLITE_DETERMINISTIC, f_ltrim},
    {"rtrim", 1, SQLITE_DETERMINISTIC, f_rtrim},
    {"rtrim", 2, SQLITE_DETERMINISTIC, f_rtrim},
    {"like", 2, SQLITE_DETERMINISTIC, f_like},
    {"like", 3, SQLITE_DETERMINISTIC, f_like},
    {"glob", 2, SQLITE_DETERMINISTIC, f_glob},
    {"hex", 1, SQLITE_DETERMINISTIC, f_hex},
    {"upper", 1, SQLITE_DETERMINISTIC, f_upper},
    {"lower", 1, SQLITE_DETERMINISTIC, f_lower},
    {"zeroblob", 1, SQLITE_DETERMINISTIC, f_zeroblob},
    {"randomblob", 1, 0, f_randomblob},
    {"printf", -1, SQLITE_DETERMINISTIC, sqn_guard_printf},
    {"format", -1, SQLITE_DETERMINISTIC, sqn_guard_printf},
};

int sqn_guard_functions(sqn_guard *g) {
    int rc = SQLITE_OK;
    for (size_t i = 0; i < sizeof functions / sizeof *functions && rc == SQLITE_OK; i++)
        rc = sqlite3_create_function_v2(g->db, functions[i].name, functions[i].arguments,
                                        SQLITE_UTF8 | SQLITE_INNOCUOUS | functions[i].flags, g,
                                        functions[i].call, NULL, NULL, NULL);
    return rc;
}

bool sqn_guard_keeps_time(const char *name) {
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (sqlite3_stricmp(functions[i].name, name) == 0) return true;
    return false;
}
