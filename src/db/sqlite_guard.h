/* The guard of a SQLite connection: what SQL may do, for how long, with how much.
 *
 * Rules: everything not on the list is denied; a statement ends within a fraction of a second of
 * its deadline, so whatever SQLite does in one uninterruptible piece is kept small (lengths,
 * program size) or done by functions of our own that look at the clock.
 */
#ifndef SQN_DB_SQLITE_GUARD_H
#define SQN_DB_SQLITE_GUARD_H

#include <sqlite3.h>
#include <stdatomic.h>

#include "core/err.h"
#include "db/driver.h"

typedef struct sqn_guard {
    sqlite3 *db; /* borrowed */
    double deadline;
    bool trusted;          /* our own statement: everything that a read-only file allows */
    atomic_bool cancelled; /* set by another thread */
    sqn_status stop;       /* why the statement was stopped; SQN_OK if it was not */
    int acts;              /* authorizer calls of this statement */
    int calls;             /* calls in it of functions that do not look at the clock */
    int polls;             /* calls of sqn_guard_poll since the clock was read */
    char denied[120];      /* the act that was not allowed */
} sqn_guard;

/* Settings that must hold before the first statement; the list of allowed acts comes with
 * sqn_guard_watch, so that a connection can be looked over first. */
sqn_status sqn_guard_settings(sqlite3 *db, int64_t max_length, sqn_err *e);
sqn_status sqn_guard_watch(sqn_guard *g, sqlite3 *db, sqn_err *e);
void sqn_guard_start(sqn_guard *g, double deadline, bool trusted);
/* true: the statement must end now, g->stop says why. Cheap enough for inner loops. */
bool sqn_guard_poll(sqn_guard *g);
/* Fills *e for a SQLite result code. */
sqn_status sqn_guard_fail(sqn_guard *g, int rc, sqn_err *e);

/* Replaces the built-in functions whose time grows faster than their input (sqlite_functions.c). */
int sqn_guard_functions(sqn_guard *g);
void sqn_guard_printf(sqlite3_context *ctx, int argc, sqlite3_value **argv); /* sqlite_printf.c */
bool sqn_guard_keeps_time(const char *name);                                 /* is one of those */
/* SQN_LIMIT for a statement that could not be compiled in bounded time (sqlite_scan.c). */
sqn_status sqn_sqlite_scan(const char *sql, size_t n, sqn_err *e);

/* The name of the file layer to open with: it bounds temporary files (sqlite_vfs.c). */
const char *sqn_sqlite_vfs(void);

#endif
