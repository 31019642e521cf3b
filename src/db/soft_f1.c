/* BIRD mini-dev's soft F1: how many cells of each row are right.
 *
 * Rules: repeated rows are dropped, first places kept; row i of gold meets row i of the prediction.
 * With n columns of gold: a predicted cell that occurs in gold's row adds 1/n to tp, any other 1/n
 * to fp, a cell of gold that does not occur in the predicted row 1/n to fn; a surplus row of gold
 * adds 1 to fn, of the prediction 1 to fp. A quotient by 0 is 0; two empty results give 1.
 */
#include "core/alloc.h"
#include "db/compare.h"

/* How many cells of a row occur in another one. */
static int met(const uint32_t *row, int n, const uint32_t *other, int m) {
    int count = 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < m; j++)
            if (row[i] == other[j]) {
                count++;
                break;
            }
    return count;
}

/* Rows of one side that are no repetition, as places in order. */
static sqn_status distinct_rows(const sqn_pair *p, int side, int64_t *rows, int64_t *count,
                                sqn_err *e) {
    *count = 0;
    SQN_TRY(sqn_pair_first_rows(p, side, rows, e));
    for (int64_t r = 0; r < p->rows[side]; r++)
        if (rows[r] == r) rows[(*count)++] = r;
    return SQN_OK;
}

static double ratio(double part, double whole) { return whole > 0 ? part / whole : 0; }

sqn_status sqn_pair_soft_f1(const sqn_pair *p, double *f1, sqn_err *e) {
    int64_t *rows[2] = {0}, count[2];
    sqn_status status = SQN_OK;
    *f1 = p->rows[0] == 0 && p->rows[1] == 0;
    if (p->rows[0] == 0 || p->rows[1] == 0 || p->columns[0] == 0) return SQN_OK;
    for (int side = 0; side < 2; side++) {
        rows[side] = sqn_alloc((size_t)p->rows[side] * sizeof *rows[side], e);
        if (rows[side] == NULL) SQN_GOTO(SQN_NOMEM);
        SQN_GOTO(distinct_rows(p, side, rows[side], &count[side], e));
    }
    int n = p->columns[0], m = p->columns[1];
    double tp = 0, fp = 0, fn = 0;
    int64_t common = count[0] < count[1] ? count[0] : count[1];
    for (int64_t i = 0; i < common; i++) {
        const uint32_t *gold = p->ids[0] + rows[0][i] * n, *pred = p->ids[1] + rows[1][i] * m;
        int hits = met(pred, m, gold, n);
        tp += (double)hits / n;
        fp += (double)(m - hits) / n;
        fn += (double)(n - met(gold, n, pred, m)) / n;
    }
    fn += (double)(count[0] - common);
    fp += (double)(count[1] - common);
    double precision = ratio(tp, tp + fp), recall = ratio(tp, tp + fn);
    *f1 = ratio(2 * precision * recall, precision + recall);
fail:
    sqn_free(rows[0]);
    sqn_free(rows[1]);
    return status;
}
