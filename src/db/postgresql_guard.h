/* What SQL may say on a PostgreSQL connection.
 *
 * Rules: the server keeps the statement from writing (one statement in a read-only transaction that
 * is rolled back); the guard keeps it from acts that such a transaction allows: other kinds of
 * statements, and functions with effects of their own (files, other sessions, locks, large objects,
 * SQL inside of strings). A function that is volatile on the server and not on our list of harmless
 * ones is denied, so what an extension or the database's owner added is denied, too.
 */
#ifndef SQN_DB_POSTGRESQL_GUARD_H
#define SQN_DB_POSTGRESQL_GUARD_H

#include "core/arena.h"
#include "core/err.h"

/* Names of functions that may not be called, in order. Zero is none. */
typedef struct sqn_guarded_names {
    sqn_arena arena;
    const char **items; /* in the arena */
    size_t n;
} sqn_guarded_names;

/* The query whose one column fills the list. */
extern const char sqn_postgresql_volatile_query[];
sqn_status sqn_guarded_names_add(sqn_guarded_names *g, const char *name, sqn_err *e);
void sqn_guarded_names_sort(sqn_guarded_names *g);
void sqn_guarded_names_release(sqn_guarded_names *g);

/* SQN_DENIED with a reason if the text is not one statement that reads. What the server would call
 * a syntax error may pass. */
sqn_status sqn_postgresql_scan(const char *sql, size_t n, const sqn_guarded_names *names,
                               sqn_err *e);

#endif
