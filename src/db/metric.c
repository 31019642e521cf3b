/* Metrics and verdicts of one pair of results: see metric.h. */
#include "db/metric.h"

const char *sqn_verdict_name(sqn_verdict v) {
    static const char *const names[] = {"correct", "wrong", "error", "timeout", "gold_error"};
    _Static_assert(sizeof names / sizeof *names == SQN_VERDICT_COUNT, "a name for each verdict");
    return names[v];
}

sqn_status sqn_metrics_compare(const sqn_rows *gold, const sqn_rows *pred, sqn_metrics *out,
                               sqn_err *e) {
    sqn_pair pair;
    *out = (sqn_metrics){false, false};
    SQN_TRY(sqn_pair_new(gold, pred, &pair, e));
    sqn_status status = sqn_pair_same_set(&pair, &out->ex_bird, e);
    if (status == SQN_OK) status = sqn_pair_same_bag(&pair, &out->ex, e);
    sqn_pair_release(&pair);
    return status;
}

sqn_verdict sqn_verdict_of(sqn_status gold, sqn_status pred, const sqn_metrics *m) {
    if (gold != SQN_OK) return SQN_VERDICT_GOLD_ERROR;
    if (pred == SQN_TIMEOUT) return SQN_VERDICT_TIMEOUT;
    if (pred != SQN_OK) return SQN_VERDICT_ERROR;
    return m->ex ? SQN_VERDICT_CORRECT : SQN_VERDICT_WRONG;
}
