/* What is counted about a prediction: ex, ex_bird, ex_ordered, soft_f1, executable and others'.
 *
 * Rules: `ex` is 1 when gold and prediction are the same bag of rows under some permutation of
 * columns, `ex_bird` when their sets of rows are equal, `ex_ordered` is ex with the order of rows
 * where gold states one, `soft_f1` is BIRD's, `executable` when the prediction ran to its end
 * within its limits. ex_xiyan and ex_spider are those evaluators' own definitions, pre-check
 * included; they know no tolerance. The five verdicts exclude each other: a time-out, an error, a
 * failing gold and a wrong answer are different things. docs/metrics.md defines all of them.
 */
#ifndef SQN_DB_METRIC_H
#define SQN_DB_METRIC_H

#include "db/compare.h"

typedef enum sqn_verdict {
    SQN_VERDICT_CORRECT,    /* ex */
    SQN_VERDICT_WRONG,      /* both ran, not ex */
    SQN_VERDICT_ERROR,      /* the prediction failed, was not allowed or hit a limit */
    SQN_VERDICT_TIMEOUT,    /* the prediction ran out of time */
    SQN_VERDICT_GOLD_ERROR, /* gold failed, for whatever reason: nothing can be said */
    SQN_VERDICT_COUNT
} sqn_verdict;

/* What order says: rows of gold that tie by its ORDER BY may stand in any order among each other.
 */
typedef enum sqn_ties {
    SQN_TIES_NONE,
    SQN_TIES_WITHIN, /* the prediction's order differs from gold's among tied rows only */
    SQN_TIES_CUT,    /* gold's LIMIT cuts through rows that tie: which of them came is chance */
    SQN_TIES_UNKNOWN /* the order differs, and whether among tied rows only could not be found out
                      */
} sqn_ties;

typedef struct sqn_metrics {
    bool ex, ex_bird, ex_ordered, ex_xiyan, ex_spider;
    double soft_f1;
    sqn_ties ties;
} sqn_metrics;

typedef struct sqn_metric_options {
    double tolerance;    /* relative, of numbers; 0: none */
    bool ordered;        /* gold says ORDER BY where it counts: for ex_ordered */
    bool spider_ordered; /* gold holds the text "order by": for ex_spider */
} sqn_metric_options;

const char *sqn_verdict_name(sqn_verdict v); /* borrowed, static */
const char *sqn_ties_name(sqn_ties t);       /* borrowed, static */

sqn_status sqn_metrics_compare(const sqn_rows *gold, const sqn_rows *pred,
                               const sqn_metric_options *o, sqn_metrics *out, sqn_err *e);
/* Gold run once more with ranks: `keyed` has gold's columns, then the rank of each row by gold's
 * ORDER BY (tied rows share one), and it may have one row more, the first that LIMIT cut off. Sets
 * ties, and ex_ordered where only tied rows differ in order. */
sqn_status sqn_metrics_break_ties(const sqn_rows *gold, const sqn_rows *pred, const sqn_rows *keyed,
                                  const sqn_metric_options *o, sqn_metrics *m, sqn_err *e);
/* From how both statements ended, and what the comparison said (read only if both are SQN_OK). */
sqn_verdict sqn_verdict_of(sqn_status gold, sqn_status pred, const sqn_metrics *m);

#endif
