/* What is counted about a prediction: ex, ex_bird, executable.
 *
 * Rules: `ex` is 1 when gold and prediction are the same bag of rows under some permutation of
 * columns, `ex_bird` when their sets of rows are equal, `executable` when the prediction ran to its
 * end within its limits. The five verdicts exclude each other: a time-out, an error, a failing gold
 * and a wrong answer are different things. docs/metrics.md compares them with other evaluators.
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

typedef struct sqn_metrics {
    bool ex, ex_bird;
} sqn_metrics;

const char *sqn_verdict_name(sqn_verdict v); /* borrowed, static */

sqn_status sqn_metrics_compare(const sqn_rows *gold, const sqn_rows *pred, sqn_metrics *out,
                               sqn_err *e);
/* From how both statements ended, and what the comparison said (read only if both are SQN_OK). */
sqn_verdict sqn_verdict_of(sqn_status gold, sqn_status pred, const sqn_metrics *m);

#endif
