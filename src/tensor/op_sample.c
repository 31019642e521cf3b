/* Sampling the next token of each row. */
#include "tensor/ops.h"

typedef struct context { /* owned i64 tensors; all NULL: nothing */
    sqn_tensor *seen, *seen_rows, *streams, *offsets;
} context;

static void context_release(context *x) {
    sqn_tensor_release(x->seen);
    sqn_tensor_release(x->seen_rows);
    sqn_tensor_release(x->streams);
    sqn_tensor_release(x->offsets);
}

static sqn_status take(sqn_call *c, int at, int64_t want, int64_t limit, sqn_tensor **out,
                       sqn_err *e) {
    sqn_tensor *x = c->arg[at].t;
    if (x == NULL) return SQN_OK;
    if (want >= 0 && sqn_tensor_numel(x) != want)
        return sqn_op_fail(c, e, "a list of %lld numbers is wanted", (long long)want);
    *out = sqn_op_index(c, x, limit, -1, sqn_tensor_device(c->arg[0].t), e);
    return *out ? SQN_OK : e->code;
}

/* seen at argument `at`, seen_rows behind it: starts [B+1] of each row's ids; -1 is none. */
static sqn_status take_seen(sqn_call *c, int at, int64_t rows, int64_t vocab, context *x,
                            sqn_err *e) {
    if ((c->arg[at].t == NULL) != (c->arg[at + 1].t == NULL))
        return sqn_op_fail(c, e, "seen and seen_rows come together");
    if (c->arg[at].t == NULL) return SQN_OK;
    SQN_TRY(take(c, at, -1, vocab, &x->seen, e));
    SQN_TRY(take(c, at + 1, rows + 1, INT64_MAX, &x->seen_rows, e));
    const int64_t *start = sqn_tensor_data(x->seen_rows);
    if (sqn_tensor_device(x->seen_rows) != SQN_CPU) return SQN_OK; /* in a recording */
    for (int64_t i = 0; i < rows; i++)
        if (start[i] > start[i + 1] || start[i + 1] > sqn_tensor_numel(x->seen))
            return sqn_op_fail(c, e, "seen_rows do not fit seen");
    return SQN_OK;
}

static sqn_status run(sqn_call *c, sqn_k_sample *k, const context *x, sqn_tensor *out, sqn_err *e) {
    sqn_tensor *logits = sqn_tensor_as(c->arg[0].t, c->arg[0].t->dtype, e);
    if (logits == NULL) return SQN_NOMEM;
    const int device = sqn_tensor_device(logits);
    k->dtype = logits->dtype;
    k->rows = logits->shape[0];
    k->n = logits->shape[1];
    k->logits = sqn_tensor_data(logits);
    k->seen = x->seen ? sqn_tensor_data_on(x->seen, device) : NULL;
    k->seen_start = x->seen_rows ? sqn_tensor_data_on(x->seen_rows, device) : NULL;
    k->streams = x->streams ? sqn_tensor_data_on(x->streams, device) : NULL;
    k->offsets = x->offsets ? sqn_tensor_data_on(x->offsets, device) : NULL;
    sqn_status status =
        sqn_kernel_result(sqn_tensor_kernels(logits)->sample(k, NULL), c->name, logits, e);
    sqn_tensor_release(logits);
    return status == SQN_OK ? sqn_op_result(c, NULL, 0, sqn_tensor_retain(out)) : status;
}

static sqn_status check_logits(sqn_call *c, const sqn_k_sample *k, sqn_err *e) {
    char s[96];
    const sqn_tensor *x = c->arg[0].t;
    SQN_TRY(sqn_op_float(c, x, e));
    if (x->ndim != 2 || x->shape[1] < 1)
        return sqn_op_fail(c, e, "logits are [B, V], got %s", sqn_tensor_describe(x, s));
    if (!(k->temperature >= 0))
        return sqn_op_fail(c, e, "temperature is 0 or more, got %g", k->temperature);
    if (k->top_k < 0)
        return sqn_op_fail(c, e, "top_k is 0 (all) or more, got %lld", (long long)k->top_k);
    if (!(k->top_p > 0 && k->top_p <= 1))
        return sqn_op_fail(c, e, "top_p is in (0, 1], got %g", k->top_p);
    if (!(k->repetition_penalty > 0))
        return sqn_op_fail(c, e, "repetition_penalty is above 0, got %g", k->repetition_penalty);
    return SQN_OK;
}

sqn_status sqn_op_sample(sqn_call *c, sqn_err *e) {
    const sqn_arg *a = c->arg;
    sqn_k_sample k = {.temperature = a[1].f,
                      .top_k = a[2].i,
                      .top_p = a[3].f,
                      .repetition_penalty = a[4].f,
                      .seed = (uint64_t)a[5].i};
    SQN_TRY(check_logits(c, &k, e));
    int64_t rows = a[0].t->shape[0], vocab = a[0].t->shape[1];
    context x = {0};
    sqn_tensor *ids = sqn_tensor_new(sqn_tensor_device(a[0].t), SQN_I64, 1, &rows, e);
    sqn_status status = ids ? take(c, 6, rows, INT64_MAX, &x.streams, e) : SQN_NOMEM;
    if (status == SQN_OK) status = take(c, 7, rows, INT64_MAX, &x.offsets, e);
    if (status == SQN_OK) status = take_seen(c, 8, rows, vocab, &x, e);
    if (status == SQN_OK) {
        k.ids = sqn_tensor_data(ids);
        status = run(c, &k, &x, ids, e);
    }
    context_release(&x);
    sqn_tensor_release(ids);
    return status;
}

sqn_status sqn_op_probabilities(sqn_call *c, sqn_err *e) {
    const sqn_arg *a = c->arg;
    sqn_k_sample k = {
        .temperature = a[1].f, .top_k = a[2].i, .top_p = a[3].f, .repetition_penalty = a[4].f};
    SQN_TRY(check_logits(c, &k, e));
    context x = {0};
    sqn_tensor *out = sqn_tensor_new(sqn_tensor_device(a[0].t), SQN_F32, 2, a[0].t->shape, e);
    sqn_status status =
        out ? take_seen(c, 5, a[0].t->shape[0], a[0].t->shape[1], &x, e) : SQN_NOMEM;
    if (status == SQN_OK) {
        k.probabilities = sqn_tensor_data(out);
        status = run(c, &k, &x, out, e);
    }
    context_release(&x);
    sqn_tensor_release(out);
    return status;
}
