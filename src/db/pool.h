/* Many pairs of statements, gold and prediction, run and judged by worker processes.
 *
 * Rules: workers are forked, touch no Lua and take no signals; what they hold dies with them, so a
 * worker that crashes, is killed or hangs past its deadline costs one verdict: the item it was at
 * gets an error, another worker goes on. Gold runs on a connection of its own, apart from the
 * prediction's; both are kept for each worker and database. Every statement has its own deadline.
 * Gold runs once for many items with equal (database, statement). A SQLite file that cannot be
 * opened is a gold error; a server that cannot be reached again after some tries stops the pool
 * (SQN_IO), as do running out of memory and ^C: they come out of sqn_pool_step. Everything else is
 * an outcome.
 */
#ifndef SQN_DB_POOL_H
#define SQN_DB_POOL_H

#include "core/err.h"
#include "db/driver.h"
#include "db/metric.h"

typedef struct sqn_pool sqn_pool;

typedef struct sqn_pool_options {
    int workers;                 /* processes; 0 = one a processor, at most 64 */
    double timeout;              /* seconds a statement; 0 = SQN_DB_TIMEOUT */
    int64_t max_rows, max_bytes; /* of one result; 0 = the connection's defaults */
    int sample_rows;             /* rows kept of both results where the verdict is not correct */
    int rounds;        /* how often both statements are timed where ex_bird holds; 0: not */
    double tolerance;  /* of metrics */
    const char *cache; /* copied; folder of gold results, NULL: none */
} sqn_pool_options;

typedef struct sqn_pool_item {
    int database, pred_database; /* of sqn_pool_add_database; as a rule the same */
    const char *gold, *pred;
    size_t gold_length, pred_length;
    bool ordered; /* gold says ORDER BY where it counts */
    /* Gold with the rank of each row behind its columns, see sqn_metrics_break_ties. NULL: unknown.
     */
    const char *keyed;
    size_t keyed_length;
} sqn_pool_item;

/* The first rows of a result, long values cut; one block of memory. */
typedef struct sqn_sample {
    int columns;
    int64_t rows;  /* kept */
    int64_t total; /* of the result */
    const char **names;
    sqn_cell *cells; /* [rows * columns] */
} sqn_sample;

typedef struct sqn_outcome {
    bool done;
    sqn_verdict verdict;
    sqn_metrics metrics;
    bool executable;
    bool gold_cached; /* gold's result comes from the cache, its seconds too */
    sqn_status gold_status, pred_status;
    const char *gold_error, *pred_error; /* NULL: none */
    double gold_seconds, pred_seconds;   /* of running and fetching; 0 if it failed */
    int64_t gold_rows, pred_rows;        /* -1 if it failed */
    int gold_columns, pred_columns;
    int rounds;                            /* that were timed */
    double *gold_times, *pred_times;       /* owned; [rounds] seconds */
    sqn_sample *gold_sample, *pred_sample; /* owned; NULL: none */
    char *memory;                          /* owned; private: where texts and cells lie */
} sqn_outcome;

sqn_status sqn_pool_new(const sqn_pool_options *o, sqn_pool **out /* owned */, sqn_err *e);
/* A database of this pool; *index is what items name. All is copied. digest: of its contents, for
 * the cache; NULL: its gold results are not cached. */
sqn_status sqn_pool_add_database(sqn_pool *p, const sqn_conn_options *o, const char *digest,
                                 int *index, sqn_err *e);
/* The statements are copied. */
sqn_status sqn_pool_add(sqn_pool *p, const sqn_pool_item *item, sqn_err *e);
sqn_status sqn_pool_start(sqn_pool *p, sqn_err *e);
/* Waits until all items are done, at most `seconds`. *done counts those that are. */
sqn_status sqn_pool_step(sqn_pool *p, double seconds, int64_t *done, sqn_err *e);
int64_t sqn_pool_size(const sqn_pool *p);
int64_t sqn_pool_done(const sqn_pool *p); /* as of the last step */
/* Borrowed until the pool is released; NULL while the item is not done. */
const sqn_outcome *sqn_pool_outcome(sqn_pool *p, int64_t item);
/* Which item was the nth to be done; n < *done. */
int64_t sqn_pool_finished(const sqn_pool *p, int64_t n);
/* How many workers ended otherwise than they should. */
int sqn_pool_deaths(const sqn_pool *p);
/* Cancels what runs, ends the workers, frees. Accepts NULL. */
void sqn_pool_release(sqn_pool *p);

/* sample.c. NULL with SQN_NOMEM in *e. */
sqn_sample *sqn_sample_new(const sqn_result *r, int rows, sqn_err *e);

#endif
