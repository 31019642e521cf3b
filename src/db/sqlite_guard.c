/* The guard of a SQLite connection: see sqlite_guard.h. */
#include "db/sqlite_guard.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/interrupt.h"

enum {
    PROGRESS_OPS = 16,       /* virtual machine steps between two looks at the clock: one step may
                                be a function that takes milliseconds */
    MAX_ACTS = 200000,       /* authorizer calls of one statement: ends nested views that double */
    MAX_CALLS = 500,         /* calls of functions that do not look at the clock */
    MAX_SQL_BYTES = 1 << 18, /* length of a statement */
    BUSY_SLEEP_US = 5000,
};
static const double busy_seconds = 5; /* longest wait for another's lock */
static const sqlite3_int64 heap_bytes = (sqlite3_int64)2 << 30; /* of all connections together */

/* Names of acts in messages, by authorizer code. */
static const char *const act_names[] = {
    [SQLITE_CREATE_INDEX] = "CREATE INDEX",
    [SQLITE_CREATE_TABLE] = "CREATE TABLE",
    [SQLITE_CREATE_TEMP_INDEX] = "CREATE TEMP INDEX",
    [SQLITE_CREATE_TEMP_TABLE] = "CREATE TEMP TABLE",
    [SQLITE_CREATE_TEMP_TRIGGER] = "CREATE TEMP TRIGGER",
    [SQLITE_CREATE_TEMP_VIEW] = "CREATE TEMP VIEW",
    [SQLITE_CREATE_TRIGGER] = "CREATE TRIGGER",
    [SQLITE_CREATE_VIEW] = "CREATE VIEW",
    [SQLITE_DELETE] = "DELETE",
    [SQLITE_DROP_INDEX] = "DROP INDEX",
    [SQLITE_DROP_TABLE] = "DROP TABLE",
    [SQLITE_DROP_TEMP_INDEX] = "DROP INDEX",
    [SQLITE_DROP_TEMP_TABLE] = "DROP TABLE",
    [SQLITE_DROP_TEMP_TRIGGER] = "DROP TRIGGER",
    [SQLITE_DROP_TEMP_VIEW] = "DROP VIEW",
    [SQLITE_DROP_TRIGGER] = "DROP TRIGGER",
    [SQLITE_DROP_VIEW] = "DROP VIEW",
    [SQLITE_INSERT] = "INSERT",
    [SQLITE_PRAGMA] = "PRAGMA",
    [SQLITE_TRANSACTION] = "transaction",
    [SQLITE_UPDATE] = "UPDATE",
    [SQLITE_ATTACH] = "ATTACH",
    [SQLITE_DETACH] = "DETACH",
    [SQLITE_ALTER_TABLE] = "ALTER TABLE",
    [SQLITE_REINDEX] = "REINDEX",
    [SQLITE_ANALYZE] = "ANALYZE",
    [SQLITE_CREATE_VTABLE] = "CREATE VIRTUAL TABLE",
    [SQLITE_DROP_VTABLE] = "DROP TABLE",
    [SQLITE_FUNCTION] = "function",
    [SQLITE_SAVEPOINT] = "savepoint",
};

/* Functions that reach outside the database, or (json_patch) take time quadratic in their input. */
static const char *const denied_functions[] = {
    "load_extension", "fts3_tokenizer", "readfile", "writefile", "edit", "json_patch",
};

static bool function_denied(const char *name) {
    for (size_t i = 0; i < sizeof denied_functions / sizeof *denied_functions; i++)
        if (sqlite3_stricmp(name, denied_functions[i]) == 0) return true;
    return false;
}

static bool pragma_allowed(const char *name, const char *argument) {
    /* The full-text modules ask for these two themselves. */
    return argument == NULL &&
           (sqlite3_stricmp(name, "data_version") == 0 || sqlite3_stricmp(name, "page_size") == 0);
}

static int authorize(void *self, int act, const char *a, const char *b, const char *schema,
                     const char *view) {
    (void)schema, (void)view;
    sqn_guard *g = self;
    if (++g->acts > MAX_ACTS && g->stop == SQN_OK && !g->trusted) g->stop = SQN_LIMIT;
    if (g->stop != SQN_OK || sqn_guard_poll(g)) return SQLITE_DENY;
    if (g->trusted) return SQLITE_OK;
    switch (act) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE:
        return SQLITE_OK;
    case SQLITE_FUNCTION:
        if (!sqn_guard_keeps_time(b) && ++g->calls > MAX_CALLS) {
            g->stop = SQN_LIMIT;
            return SQLITE_DENY;
        }
        if (!function_denied(b)) return SQLITE_OK;
        a = b;
        break;
    case SQLITE_PRAGMA:
        if (pragma_allowed(a, b)) return SQLITE_OK;
        break;
    default:
        break;
    }
    bool known = act > 0 && (size_t)act < sizeof act_names / sizeof *act_names && act_names[act];
    if (g->denied[0] == '\0')
        snprintf(g->denied, sizeof g->denied, "%s%s%s", known ? act_names[act] : "this",
                 a && *a ? " " : "", a ? a : "");
    return SQLITE_DENY;
}

static int progress(void *self) {
    sqn_guard *g = self;
    g->polls = 0;
    return sqn_guard_poll(g);
}

/* Waits for a lock of another process, never beyond the deadline. */
static int busy(void *self, int tries) {
    sqn_guard *g = self;
    g->polls = 0;
    if (sqn_guard_poll(g) || tries * (BUSY_SLEEP_US * 1e-6) > busy_seconds) return 0;
    usleep(BUSY_SLEEP_US);
    return 1;
}

/* sqn_db_clock as of the last tick, some milliseconds ago: several times cheaper, and asked for
 * every PROGRESS_OPS steps. */
static double coarse_clock(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

bool sqn_guard_poll(sqn_guard *g) {
    if (g->stop != SQN_OK) return true;
    if (g->polls++ % 16 != 0) return false;
    if (atomic_load_explicit(&g->cancelled, memory_order_relaxed) || sqn_interrupted())
        g->stop = SQN_INTERRUPT;
    else if (coarse_clock() > g->deadline)
        g->stop = SQN_TIMEOUT;
    return g->stop != SQN_OK;
}

void sqn_guard_start(sqn_guard *g, double deadline, bool trusted) {
    g->deadline = deadline;
    g->trusted = trusted;
    g->stop = SQN_OK;
    g->acts = g->calls = g->polls = 0;
    g->denied[0] = '\0';
    atomic_store(&g->cancelled, false);
}

sqn_status sqn_guard_settings(sqlite3 *db, int64_t max_length, sqn_err *e) {
    static const struct {
        int op, on;
    } settings[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},       {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_WRITABLE_SCHEMA, 0}, {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},  {SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, 0},
    };
    const struct {
        int id, value;
    } limits[] = {
        {SQLITE_LIMIT_LENGTH, (int)(max_length > 0 ? max_length : SQN_DB_MAX_LENGTH)},
        {SQLITE_LIMIT_SQL_LENGTH, MAX_SQL_BYTES},
        {SQLITE_LIMIT_COLUMN, 2000},
        {SQLITE_LIMIT_EXPR_DEPTH, 500},
        {SQLITE_LIMIT_COMPOUND_SELECT, 200},
        {SQLITE_LIMIT_VDBE_OP, 250000},
        {SQLITE_LIMIT_FUNCTION_ARG, 100},
        {SQLITE_LIMIT_ATTACHED, 0},
        {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 10000},
        {SQLITE_LIMIT_VARIABLE_NUMBER, 1000},
        {SQLITE_LIMIT_TRIGGER_DEPTH, 10},
        {SQLITE_LIMIT_WORKER_THREADS, 0},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        sqlite3_db_config(db, settings[i].op, settings[i].on, (int *)NULL);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        sqlite3_limit(db, limits[i].id, limits[i].value);
    if (sqlite3_hard_heap_limit64(-1) == 0) sqlite3_hard_heap_limit64(heap_bytes);
    if (sqlite3_exec(db, "PRAGMA query_only=1; PRAGMA cell_size_check=1", NULL, NULL, NULL) !=
        SQLITE_OK)
        return SQN_FAIL(e, SQN_DB, "%s", sqlite3_errmsg(db));
    return SQN_OK;
}

sqn_status sqn_guard_watch(sqn_guard *g, sqlite3 *db, sqn_err *e) {
    g->db = db;
    sqlite3_busy_handler(db, busy, g);
    sqlite3_progress_handler(db, PROGRESS_OPS, progress, g);
    if (sqn_guard_functions(g) != SQLITE_OK ||
        sqlite3_set_authorizer(db, authorize, g) != SQLITE_OK)
        return SQN_FAIL(e, SQN_DB, "%s", sqlite3_errmsg(db));
    return SQN_OK;
}

sqn_status sqn_guard_fail(sqn_guard *g, int rc, sqn_err *e) {
    switch (g->stop) {
    case SQN_TIMEOUT:
        return SQN_FAIL(e, SQN_TIMEOUT, "the statement ran out of time");
    case SQN_INTERRUPT:
        return SQN_FAIL(e, SQN_INTERRUPT, "interrupted");
    case SQN_LIMIT:
        return SQN_FAIL(e, SQN_LIMIT, "the statement is too large");
    default:
        break;
    }
    /* Inside a table-valued pragma a denial arrives as a plain error. */
    if ((rc & 0xff) == SQLITE_ERROR && g->denied[0]) rc = SQLITE_AUTH;
    switch (rc & 0xff) {
    case SQLITE_AUTH:
        return SQN_FAIL(e, SQN_DENIED, "not allowed: this connection is read-only (%s)",
                        g->denied[0] ? g->denied : sqlite3_errmsg(g->db));
    case SQLITE_READONLY:
        return SQN_FAIL(e, SQN_DENIED, "not allowed: this connection is read-only");
    case SQLITE_INTERRUPT:
        return SQN_FAIL(e, SQN_INTERRUPT, "interrupted");
    case SQLITE_TOOBIG:
        return SQN_FAIL(e, SQN_LIMIT, "%s", sqlite3_errmsg(g->db));
    case SQLITE_NOMEM:
        return SQN_FAIL(e, SQN_LIMIT, "the statement needs too much memory");
    case SQLITE_FULL:
        return SQN_FAIL(e, SQN_LIMIT, "the statement needs too much temporary disk space");
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return SQN_FAIL(e, SQN_FORMAT, "%s", sqlite3_errmsg(g->db));
    default:
        return SQN_FAIL(e, SQN_DB, "%s", sqlite3_errmsg(g->db));
    }
}
