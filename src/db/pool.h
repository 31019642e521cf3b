/* Many pairs of statements, gold and prediction, run and judged by worker threads.
 *
 * Rules: workers never touch Lua and take no signals. Gold runs on a connection of its own, apart
 * from the prediction's; both are kept for each worker and database. Every statement has its own
 * deadline. Gold's result is computed once for equal (database, statement) and given back after its
 * last use. A database that cannot be opened is a gold error with its message. Out of memory and ^C
 * stop the pool and come out of sqn_pool_step; everything else is an outcome.
 */
#ifndef SQN_DB_POOL_H
#define SQN_DB_POOL_H

#include "core/err.h"
#include "db/driver.h"
#include "db/metric.h"

typedef struct sqn_pool sqn_pool;

typedef struct sqn_pool_options {
    int workers;                 /* threads; 0 = one a processor, at most 16 */
    double timeout;              /* seconds a statement; 0 = SQN_DB_TIMEOUT */
    int64_t max_rows, max_bytes; /* of one result; 0 = the connection's defaults */
    int sample_rows;             /* rows kept of both results where the verdict is not correct */
} sqn_pool_options;

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
    bool ex, ex_bird, executable;
    sqn_status gold_status, pred_status;
    char *gold_error, *pred_error;     /* owned by the pool; NULL: none */
    double gold_seconds, pred_seconds; /* of running and fetching; 0 if it failed */
    int64_t gold_rows, pred_rows;      /* -1 if it failed */
    int gold_columns, pred_columns;
    sqn_sample *gold_sample, *pred_sample; /* owned by the pool; NULL: none */
} sqn_outcome;

sqn_status sqn_pool_new(const sqn_pool_options *o, sqn_pool **out /* owned */, sqn_err *e);
/* A database of this pool; *index is what items name. The options' strings are copied. */
sqn_status sqn_pool_add_database(sqn_pool *p, const sqn_conn_options *o, int *index, sqn_err *e);
/* Both statements are copied. */
sqn_status sqn_pool_add(sqn_pool *p, int database, const char *gold, size_t gold_length,
                        const char *pred, size_t pred_length, sqn_err *e);
sqn_status sqn_pool_start(sqn_pool *p, sqn_err *e);
/* Waits until all items are done, at most `seconds`. *done counts those that are. */
sqn_status sqn_pool_step(sqn_pool *p, double seconds, int64_t *done, sqn_err *e);
int64_t sqn_pool_size(const sqn_pool *p);
/* Borrowed until the pool is released; NULL while the item is not done. */
const sqn_outcome *sqn_pool_outcome(sqn_pool *p, int64_t item);
/* Cancels what runs, joins the workers, frees. Accepts NULL. */
void sqn_pool_release(sqn_pool *p);

/* sample.c. NULL with SQN_NOMEM in *e. */
sqn_sample *sqn_sample_new(const sqn_result *r, int rows, sqn_err *e);

#endif
