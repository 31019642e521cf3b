/* topk and sampling: one row at a time in f32 (topk: in the accumulator type), sorted where a cut
 * needs it. */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "core/alloc.h"
#include "kernels/cpu/float.h"
#include "kernels/philox.h"

typedef struct item {
    double value;
    int64_t id;
} item;

/* Larger first, equal by id; NaN before all numbers. */
static int falling(const void *a, const void *b) {
    const item *x = a, *y = b;
    const int x_nan = x->value != x->value, y_nan = y->value != y->value;
    if (x_nan != y_nan) return y_nan - x_nan;
    if (!x_nan && x->value != y->value) return x->value < y->value ? 1 : -1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static double load(sqn_dtype dtype, const void *x, int64_t i) {
    if (dtype == SQN_F64) return ((const double *)x)[i];
    return dtype == SQN_BF16 ? sqn_bf16_load(((const sqn_bf16 *)x)[i]) : ((const float *)x)[i];
}

enum { FEW = 16 };

static void store(sqn_dtype dtype, void *x, int64_t i, double value) {
    if (dtype == SQN_F64)
        ((double *)x)[i] = value;
    else if (dtype == SQN_F32)
        ((float *)x)[i] = (float)value;
    else
        ((sqn_bf16 *)x)[i] = sqn_bf16_store((float)value);
}

/* The k <= FEW first of a row, inserted one by one: what routers of experts ask for. */
static void few(const sqn_k_topk *a, int64_t r) {
    item best[FEW];
    int64_t count = 0;
    for (int64_t i = 0; i < a->n; i++) {
        const item x = {load(a->dtype, a->x, r * a->n + i), i};
        if (count == a->k && falling(&x, &best[count - 1]) > 0) continue;
        int64_t at = count < a->k ? count++ : count - 1;
        for (; at > 0 && falling(&x, &best[at - 1]) < 0; at--) best[at] = best[at - 1];
        best[at] = x;
    }
    for (int64_t i = 0; i < a->k; i++) {
        store(a->dtype, a->values, r * a->k + i, best[i].value);
        a->indexes[r * a->k + i] = best[i].id;
    }
}

/* Sorts the k first of `rows` items to the front: a heap of k would be faster, a whole sort is what
 * vocabularies of this size take a millisecond for. */
sqn_status sqn_cpu_topk(const sqn_k_topk *a, void *stream) {
    (void)stream;
    if (!(a->dtype == SQN_F32 || a->dtype == SQN_BF16 || a->dtype == SQN_F64)) return SQN_MISUSE;
    if (a->k <= FEW) {
#pragma omp parallel for schedule(static) if (a->rows * a->n > 16384)
        for (int64_t r = 0; r < a->rows; r++) few(a, r);
        return SQN_OK;
    }
    item *row = sqn_alloc((size_t)a->n * sizeof *row, NULL);
    if (row == NULL) return SQN_NOMEM;
    for (int64_t r = 0; r < a->rows; r++) {
        for (int64_t i = 0; i < a->n; i++) row[i] = (item){load(a->dtype, a->x, r * a->n + i), i};
        qsort(row, (size_t)a->n, sizeof *row, falling);
        for (int64_t i = 0; i < a->k; i++) {
            a->indexes[r * a->k + i] = row[i].id;
            store(a->dtype, a->values, r * a->k + i, row[i].value);
        }
    }
    sqn_free(row);
    return SQN_OK;
}

sqn_status sqn_cpu_topk_grad(const sqn_k_topk_grad *a, void *stream) {
    (void)stream;
    if (!(a->dtype == SQN_F32 || a->dtype == SQN_BF16 || a->dtype == SQN_F64)) return SQN_MISUSE;
    memset(a->dx, 0, (size_t)(a->rows * a->n) * sqn_dtype_size(a->dtype));
    for (int64_t i = 0; i < a->rows * a->k; i++)
        store(a->dtype, a->dx, i / a->k * a->n + a->indexes[i], load(a->dtype, a->dvalues, i));
    return SQN_OK;
}

/* Each id of the context once: negative logits are multiplied, others divided. `marked` is zeroed
 * on entry and exit. */
static void penalise(const sqn_k_sample *a, int64_t r, float *logit, uint8_t *marked) {
    if (a->seen == NULL || a->repetition_penalty == 1.0) return;
    float penalty = (float)a->repetition_penalty;
    for (int64_t i = a->seen_start[r]; i < a->seen_start[r + 1]; i++) {
        int64_t id = a->seen[i];
        if (id < 0 || marked[id]) continue;
        marked[id] = 1;
        logit[id] = logit[id] < 0 ? logit[id] * penalty : logit[id] / penalty;
    }
    for (int64_t i = a->seen_start[r]; i < a->seen_start[r + 1]; i++)
        if (a->seen[i] >= 0) marked[a->seen[i]] = 0;
}

static int64_t largest(const float *x, int64_t n) {
    int64_t at = 0;
    for (int64_t i = 1; i < n; i++)
        if (x[i] > x[at]) at = i;
    return at;
}

/* Sets logits outside of top-k and top-p to -inf (spec: ties with the k-th stay; the largest always
 * stays). */
static void cut(const sqn_k_sample *a, float *logit, item *sorted) {
    bool by_k = a->top_k > 0 && a->top_k < a->n, by_p = a->top_p < 1.0;
    if (!by_k && !by_p) return;
    for (int64_t i = 0; i < a->n; i++) sorted[i] = (item){logit[i], i};
    qsort(sorted, (size_t)a->n, sizeof *sorted, falling);
    int64_t kept = a->n;
    if (by_k)
        for (kept = a->top_k; kept < a->n && sorted[kept].value == sorted[a->top_k - 1].value;)
            kept++;
    if (by_p) { /* ascending, drop while the cumulated probability <= 1 - top_p */
        double sum = 0, cumulated = 0, top = sorted[0].value;
        for (int64_t i = 0; i < kept; i++) sum += exp(sorted[i].value - top);
        while (kept > 1) {
            cumulated += exp(sorted[kept - 1].value - top) / sum;
            if (cumulated > 1.0 - a->top_p) break;
            kept--;
        }
    }
    for (int64_t i = kept; i < a->n; i++) logit[sorted[i].id] = -INFINITY;
}

/* Softmax in place; returns the id at `unit` of the cumulated distribution. */
static int64_t draw(float *logit, int64_t n, double unit) {
    float top = logit[largest(logit, n)];
    double sum = 0, cumulated = 0;
    for (int64_t i = 0; i < n; i++) sum += logit[i] = expf(logit[i] - top);
    int64_t chosen = -1;
    for (int64_t i = 0; i < n; i++) {
        cumulated += logit[i];
        logit[i] = (float)(logit[i] / sum);
        if (chosen < 0 && logit[i] > 0 && cumulated > unit * sum) chosen = i;
    }
    return chosen < 0 ? largest(logit, n) : chosen;
}

static void sample_row(const sqn_k_sample *a, int64_t r, float *logit, item *sorted,
                       uint8_t *marked) {
    for (int64_t i = 0; i < a->n; i++) logit[i] = (float)load(a->dtype, a->logits, r * a->n + i);
    penalise(a, r, logit, marked);
    int64_t id;
    if (a->temperature == 0) {
        id = largest(logit, a->n);
        for (int64_t i = 0; i < a->n && a->probabilities; i++) logit[i] = i == id;
    } else {
        for (int64_t i = 0; i < a->n; i++) logit[i] /= (float)a->temperature;
        cut(a, logit, sorted);
        uint64_t stream = a->streams ? (uint64_t)a->streams[r] : (uint64_t)r;
        sqn_philox p = sqn_philox_at(a->seed, stream, a->offsets ? (uint64_t)a->offsets[r] : 0);
        id = draw(logit, a->n, ((double)p.v[0] + 0.5) * 0x1p-32);
    }
    if (a->ids) a->ids[r] = id;
    if (a->probabilities) memcpy(a->probabilities + r * a->n, logit, (size_t)a->n * sizeof *logit);
}

sqn_status sqn_cpu_sample(const sqn_k_sample *a, void *stream) {
    (void)stream;
    if (!(a->dtype == SQN_F32 || a->dtype == SQN_BF16 || a->dtype == SQN_F64)) return SQN_MISUSE;
    size_t n = (size_t)a->n;
    char *block = sqn_alloc(n * (sizeof(float) + sizeof(item) + 1), NULL);
    if (block == NULL) return SQN_NOMEM;
    item *sorted = (item *)(void *)block;
    float *logit = (float *)(void *)(block + n * sizeof(item));
    uint8_t *marked = (uint8_t *)(logit + n);
    memset(marked, 0, n);
    for (int64_t r = 0; r < a->rows; r++) sample_row(a, r, logit, sorted, marked);
    sqn_free(block);
    return SQN_OK;
}
