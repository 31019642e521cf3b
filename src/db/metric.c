/* Metrics and verdicts of one pair of results: see metric.h. */
#include "db/metric.h"

#include <string.h>

#include "core/alloc.h"

const char *sqn_verdict_name(sqn_verdict v) {
    static const char *const names[] = {"correct", "wrong", "error", "timeout", "gold_error"};
    _Static_assert(sizeof names / sizeof *names == SQN_VERDICT_COUNT, "a name for each verdict");
    return names[v];
}

const char *sqn_ties_name(sqn_ties t) {
    static const char *const names[] = {"none", "within", "cut", "unknown"};
    return names[t];
}

/* The same bag of rows where row r of either side may only meet rows of the tag tags[r]. */
static sqn_status same_tagged(sqn_pair *p, const uint32_t *tags, bool *same, sqn_err *e) {
    *same = p->rows[0] == 0 && p->rows[1] == 0;
    if (p->rows[0] != p->rows[1]) return SQN_OK;
    p->tags = tags;
    sqn_status status = sqn_pair_same_bag(p, same, e);
    p->tags = NULL;
    return status;
}

/* The same list of rows under some permutation of columns. */
static sqn_status same_list(sqn_pair *p, bool *same, sqn_err *e) {
    if (p->rows[0] != p->rows[1]) return same_tagged(p, NULL, same, e);
    uint32_t *tags = sqn_alloc((size_t)p->rows[0] * sizeof *tags, e);
    if (tags == NULL) return SQN_NOMEM;
    for (int64_t r = 0; r < p->rows[0]; r++) tags[r] = (uint32_t)r;
    sqn_status status = same_tagged(p, tags, same, e);
    sqn_free(tags);
    return status;
}

/* ex_xiyan and ex_spider, from the bag comparison that both contain. */
static sqn_status compare_as_others(sqn_pair *p, const sqn_rows *gold, const sqn_rows *pred,
                                    bool same_bag, bool ordered, sqn_metrics *out, sqn_err *e) {
    out->ex_xiyan = same_bag && !p->unhashable;
    if (out->ex_xiyan && p->mixed)
        SQN_TRY(sqn_pair_precheck(p, gold, pred, false, &out->ex_xiyan, e));
    out->ex_spider = out->ex_xiyan;
    if (!ordered || !same_bag || p->unhashable) return SQN_OK;
    SQN_TRY(same_list(p, &out->ex_spider, e));
    if (out->ex_spider && p->mixed)
        SQN_TRY(sqn_pair_precheck(p, gold, pred, true, &out->ex_spider, e));
    return SQN_OK;
}

/* The same cells in the same places, all of them printing alike: then every metric holds. */
static bool identical(const sqn_pair *p) {
    if (p->rows[0] != p->rows[1] || p->columns[0] != p->columns[1] || p->mixed || p->unhashable)
        return false;
    size_t cells = (size_t)p->rows[0] * (size_t)p->columns[0];
    return cells > 0 && memcmp(p->ids[0], p->ids[1], cells * sizeof(uint32_t)) == 0;
}

static sqn_status compare_pair(sqn_pair *p, const sqn_rows *gold, const sqn_rows *pred,
                               const sqn_metric_options *o, sqn_metrics *out, sqn_err *e) {
    if (identical(p)) {
        *out = (sqn_metrics){true, true, true, true, true, .soft_f1 = 1};
        return SQN_OK;
    }
    SQN_TRY(sqn_pair_same_bag(p, &out->ex, e));
    SQN_TRY(compare_as_others(p, gold, pred, out->ex, o->spider_ordered, out, e));
    if (o->tolerance > 0) {
        SQN_TRY(sqn_pair_tolerate(p, gold, pred, o->tolerance, e));
        SQN_TRY(sqn_pair_same_bag(p, &out->ex, e));
    }
    SQN_TRY(sqn_pair_same_set(p, &out->ex_bird, e));
    out->ex_ordered = out->ex;
    if (out->ex && o->ordered) SQN_TRY(same_list(p, &out->ex_ordered, e));
    return sqn_pair_soft_f1(p, &out->soft_f1, e);
}

sqn_status sqn_metrics_compare(const sqn_rows *gold, const sqn_rows *pred,
                               const sqn_metric_options *o, sqn_metrics *out, sqn_err *e) {
    sqn_pair pair;
    *out = (sqn_metrics){0};
    SQN_TRY(sqn_pair_new(gold, pred, &pair, e));
    sqn_status status = compare_pair(&pair, gold, pred, o, out, e);
    sqn_pair_release(&pair);
    return status;
}

static bool rows_alike(const sqn_cell *a, const sqn_cell *b, int n) {
    for (int i = 0; i < n; i++)
        if (!sqn_cell_equal(&a[i], &b[i])) return false;
    return true;
}

/* Whether rows a and b of a table whose last column is a rank tie. */
static bool tied(const sqn_rows *keyed, int64_t a, int64_t b) {
    const sqn_cell *rank = keyed->cells + keyed->columns - 1;
    return sqn_cell_equal(&rank[a * keyed->columns], &rank[b * keyed->columns]);
}

/* The row behind gold's last ties with it, and not all rows that tie there are the same. */
static bool limit_cuts(const sqn_rows *gold, const sqn_rows *keyed) {
    int64_t n = gold->rows;
    if (n == 0 || keyed->rows <= n || !tied(keyed, n - 1, n)) return false;
    const sqn_cell *next = keyed->cells + n * keyed->columns;
    for (int64_t r = n - 1; r >= 0 && tied(keyed, r, n); r--)
        if (!rows_alike(keyed->cells + r * keyed->columns, next, gold->columns)) return true;
    return false;
}

/* Rows of gold may meet rows of the prediction at places of the same rank. Where ranks lie is
 * certain, which of the tied rows stands where may change from run to run. */
static sqn_status same_but_ties(const sqn_rows *gold, const sqn_rows *pred, const sqn_rows *keyed,
                                double tolerance, bool *same, sqn_err *e) {
    sqn_pair pair;
    uint32_t *groups = sqn_alloc((size_t)gold->rows * sizeof *groups, e);
    if (groups == NULL) return SQN_NOMEM;
    for (int64_t r = 0; r < gold->rows; r++)
        groups[r] = r == 0 ? 0 : groups[r - 1] + !tied(keyed, r - 1, r);
    sqn_status status = sqn_pair_new(gold, pred, &pair, e);
    if (status == SQN_OK) {
        if (tolerance > 0) status = sqn_pair_tolerate(&pair, gold, pred, tolerance, e);
        if (status == SQN_OK) status = same_tagged(&pair, groups, same, e);
        sqn_pair_release(&pair);
    }
    sqn_free(groups);
    return status;
}

sqn_status sqn_metrics_break_ties(const sqn_rows *gold, const sqn_rows *pred, const sqn_rows *keyed,
                                  const sqn_metric_options *o, sqn_metrics *m, sqn_err *e) {
    bool fits = keyed->columns == gold->columns + 1 &&
                (keyed->rows == gold->rows || keyed->rows == gold->rows + 1);
    if (!fits) return SQN_OK;
    if (m->ex) {
        SQN_TRY(same_but_ties(gold, pred, keyed, o->tolerance, &m->ex_ordered, e));
        m->ties = m->ex_ordered ? SQN_TIES_WITHIN : SQN_TIES_NONE;
    } else if (limit_cuts(gold, keyed)) {
        m->ties = SQN_TIES_CUT;
    }
    return SQN_OK;
}

sqn_verdict sqn_verdict_of(sqn_status gold, sqn_status pred, const sqn_metrics *m) {
    if (gold != SQN_OK) return SQN_VERDICT_GOLD_ERROR;
    if (pred == SQN_TIMEOUT) return SQN_VERDICT_TIMEOUT;
    if (pred != SQN_OK) return SQN_VERDICT_ERROR;
    return m->ex ? SQN_VERDICT_CORRECT : SQN_VERDICT_WRONG;
}
