/* lora_linear: a linear layer and its low-rank correction in one operator.
 *
 * y = x W^T + bias + scale * (drop(x) A^T) B^T with A [r, K] and B [N, r]. Neither B A nor a
 * gradient of it is ever made: what is kept for backward beside x is [rows, r]. x, W and bias have
 * one dtype; A and B have it too or, over bf16, are f32: then their products are computed in f32.
 * The correction is rounded to x's dtype and the base's product added to it where it lies.
 */
#include <string.h>

#include "tensor/op_matmul.h"

typedef struct sizes {
    int64_t rows, n, k, r;
} sizes;

enum { X, W, BIAS, A, B, INPUTS };

static sqn_status check(sqn_call *c, sqn_tensor *const in[INPUTS], sizes *s, sqn_err *e) {
    char t[96], u[96];
    const sqn_tensor *x = in[X], *w = in[W], *a = in[A], *b = in[B], *bias = in[BIAS];
    SQN_TRY(sqn_op_float(c, x, e));
    SQN_TRY(sqn_op_same_dtype(c, x, w, e));
    SQN_TRY(sqn_op_same_dtype(c, a, b, e));
    if (w->ndim != 2 || x->ndim < 1 || x->shape[x->ndim - 1] != w->shape[1])
        return sqn_op_fail(c, e, "x %s does not fit weight %s", sqn_tensor_describe(x, t),
                           sqn_tensor_describe(w, u));
    if (a->ndim != 2 || b->ndim != 2 || a->shape[1] != w->shape[1] || b->shape[0] != w->shape[0] ||
        a->shape[0] != b->shape[1])
        return sqn_op_fail(c, e, "a %s and b %s are no correction of [%lld, %lld]",
                           sqn_tensor_describe(a, t), sqn_tensor_describe(b, u),
                           (long long)w->shape[0], (long long)w->shape[1]);
    if (a->dtype != x->dtype && !(x->dtype == SQN_BF16 && a->dtype == SQN_F32))
        return sqn_op_fail(c, e, "a %s does not go with x %s", sqn_tensor_describe(a, t),
                           sqn_tensor_describe(x, u));
    if (bias && (bias->dtype != x->dtype || bias->ndim != 1 || bias->shape[0] != w->shape[0]))
        return sqn_op_fail(c, e, "bias %s does not fit weight %s", sqn_tensor_describe(bias, t),
                           sqn_tensor_describe(w, u));
    if (!(c->arg[6].f >= 0 && c->arg[6].f < 1))
        return sqn_op_fail(c, e, "p is in [0, 1), got %g", c->arg[6].f);
    *s = (sizes){1, w->shape[0], w->shape[1], a->shape[0]};
    for (int d = 0; d < x->ndim - 1; d++) s->rows *= x->shape[d];
    return SQN_OK;
}

/* One of the three products of the correction: x [rows, width], u [rows, r], w [r, width] or, with
 * `columns`, [width, r]. */
static sqn_k_lora correction(sqn_lora_make make, const sqn_tensor *x, const sqn_tensor *u,
                             const sqn_tensor *w, bool columns) {
    const int64_t r = w->shape[columns], width = w->shape[!columns];
    return (sqn_k_lora){.make = make,
                        .dtype = x->dtype,
                        .u_dtype = u->dtype,
                        .w_dtype = w->dtype,
                        .rows = u->shape[0],
                        .width = width,
                        .rank = r,
                        .x = sqn_tensor_data(x),
                        .u = sqn_tensor_data(u),
                        .w = sqn_tensor_data(w),
                        .w_columns = columns,
                        .alpha = 1};
}

static void drop(sqn_k_lora *k, double p, const int64_t key[3]) {
    k->p = p;
    k->seed = (uint64_t)key[0], k->stream = (uint64_t)key[1], k->offset = (uint64_t)key[2];
}

static sqn_status run(const char *name, const sqn_tensor *like, const sqn_k_lora *k, sqn_err *e) {
    return sqn_kernel_result(sqn_tensor_kernels(like)->lora(k, NULL), name, like, e);
}

/* dx = d W + drop'(v A); v [rows, r] = scale d B. The correction comes first: it is the smaller
 * part, so that its rounding is lost in that of the sum. */
static sqn_status input_grad(sqn_node *node, sqn_tensor *d, sqn_tensor *v, sqn_tensor **dx,
                             sqn_err *e) {
    sqn_tensor *w = node->saved[W], *a = node->saved[A], *sum;
    int64_t shape[SQN_MAX_DIMS], k = w->shape[1];
    bool fresh;
    memcpy(shape, d->shape, sizeof shape);
    shape[d->ndim - 1] = k;
    SQN_TRY(sqn_node_input_grad(node, X, d, d->ndim, shape, dx, &sum, &fresh, e));
    sqn_k_lora up = correction(SQN_LORA_X, sum, v, a, false);
    drop(&up, node->f[1], node->i);
    up.accumulate = !fresh;
    SQN_TRY(run(node->op, d, &up, e));
    return sqn_product_2d(node->op, d, false, w, false, NULL, sum, true, v->shape[0], k,
                          w->shape[0], e);
}

/* Gradients of the base layer, where it is trained too. */
static sqn_status base_grads(sqn_node *node, sqn_tensor *d, int64_t rows, sqn_tensor *din[],
                             sqn_err *e) {
    if (node->needs[W])
        SQN_TRY(sqn_weight_grad(node, W, node->op, d, node->saved[X], rows, &din[W], e));
    return node->needs[BIAS] ? sqn_bias_grad(node, BIAS, d, &din[BIAS], e) : SQN_OK;
}

/* Makes A's or B's gradient: x^T u, added into the leaf's where the input is one. */
static sqn_status factor_grad(sqn_node *node, int input, const sqn_tensor *x, const sqn_tensor *u,
                              sqn_tensor *din[], sqn_k_lora *k, sqn_err *e) {
    const sqn_tensor *w = node->saved[input];
    sqn_tensor *grad;
    bool fresh;
    SQN_TRY(sqn_node_grad(node, input, u, 2, w->shape, &din[input], &grad, &fresh, e));
    *k = correction(SQN_LORA_W, x, u, grad, input == B);
    k->accumulate = !fresh;
    grad->storage->version++;
    return SQN_OK;
}

/* dB = d^T (scale u) and dA = v^T drop(x), in one call if both are wanted and lie apart. */
static sqn_status factor_grads(sqn_node *node, sqn_tensor *d, sqn_tensor *v, sqn_tensor *din[],
                               sqn_err *e) {
    sqn_k_lora of_b = {.w = NULL}, of_a = {.w = NULL};
    if (node->needs[B]) SQN_TRY(factor_grad(node, B, d, node->saved[BIAS], din, &of_b, e));
    if (node->needs[A]) {
        SQN_TRY(factor_grad(node, A, node->saved[X], v, din, &of_a, e));
        drop(&of_a, node->f[1], node->i);
    }
    const bool together = of_a.w != NULL && of_b.w != NULL && of_a.w != of_b.w;
    if (together) of_b.beside = &of_a;
    if (node->needs[B]) SQN_TRY(run(node->op, d, &of_b, e));
    return node->needs[A] && !together ? run(node->op, d, &of_a, e) : SQN_OK;
}

/* saved: x, weight, scale u, a, b in the places X W BIAS A B; u = drop(x) A^T, v = scale d B,
 * [rows, r]. */
static sqn_status lora_back(sqn_node *node, sqn_tensor *const dout[], sqn_tensor *din[],
                            sqn_err *e) {
    sqn_tensor *a = node->saved[A], *b = node->saved[B], *d = dout[0], *v = NULL;
    int64_t rows = sqn_tensor_numel(d) / (b->shape[0] ? b->shape[0] : 1);
    int64_t shape[2] = {rows, a->shape[0]};
    sqn_status status;
    SQN_TRY(base_grads(node, d, rows, din, e));
    if (node->needs[X] || node->needs[A]) {
        if ((v = sqn_tensor_new(sqn_tensor_device(a), a->dtype, 2, shape, e)) == NULL)
            return SQN_NOMEM;
        sqn_k_lora down = correction(SQN_LORA_U, d, v, b, true);
        down.alpha = node->f[0];
        SQN_GOTO(run(node->op, d, &down, e));
    }
    SQN_GOTO(factor_grads(node, d, v, din, e));
    if (node->needs[X]) status = input_grad(node, d, v, &din[X], e);
fail:
    sqn_tensor_release(v);
    return status;
}

/* *u = scale drop(x) A^T, *y = u B^T + (x W^T + bias), both owned. */
static sqn_status forward(sqn_call *c, const sizes *s, sqn_tensor *const t[INPUTS], sqn_tensor **u,
                          sqn_tensor **y, sqn_err *e) {
    const int64_t key[3] = {c->arg[7].i, c->arg[8].i, c->arg[9].i}, u_shape[2] = {s->rows, s->r};
    int64_t shape[SQN_MAX_DIMS];
    memcpy(shape, t[X]->shape, sizeof shape);
    shape[t[X]->ndim - 1] = s->n;
    if ((*u = sqn_tensor_new(sqn_tensor_device(t[A]), t[A]->dtype, 2, u_shape, e)) == NULL ||
        (*y = sqn_tensor_new(sqn_tensor_device(t[X]), t[X]->dtype, t[X]->ndim, shape, e)) == NULL)
        return SQN_NOMEM;
    sqn_k_lora down = correction(SQN_LORA_U, t[X], *u, t[A], false);
    sqn_k_lora up = correction(SQN_LORA_X, *y, *u, t[B], true);
    drop(&down, c->arg[6].f, key);
    down.alpha = c->arg[5].f;
    SQN_TRY(run(c->name, t[X], &down, e));
    SQN_TRY(run(c->name, t[X], &up, e));
    return sqn_product_2d(c->name, t[X], false, t[W], true, t[BIAS], *y, true, s->rows, s->n, s->k,
                          e);
}

sqn_status sqn_op_lora_linear(sqn_call *c, sqn_err *e) {
    sqn_tensor *in[INPUTS], *t[INPUTS] = {NULL}, *u = NULL, *y = NULL;
    sqn_node *node = NULL;
    sizes s = {0};
    for (int i = 0; i < INPUTS; i++) in[i] = c->arg[i].t;
    SQN_TRY(check(c, in, &s, e));
    sqn_status status = SQN_NOMEM;
    for (int i = 0; i < INPUTS; i++)
        if (in[i] != NULL && (t[i] = sqn_tensor_as(in[i], in[i]->dtype, e)) == NULL) goto fail;
    SQN_GOTO(forward(c, &s, t, &u, &y, e));
    SQN_GOTO(sqn_node_new(&node, c->name, lora_back, INPUTS, in, e));
    if (node != NULL) {
        sqn_node_save(node, node->needs[W] || node->needs[A] ? t[X] : NULL);
        sqn_node_save(node, node->needs[X] ? t[W] : NULL);
        sqn_node_save(node, node->needs[B] ? u : NULL);
        sqn_node_save(node, t[A]);
        sqn_node_save(node, t[B]);
        node->f[0] = c->arg[5].f, node->f[1] = c->arg[6].f;
        for (int i = 0; i < 3; i++) node->i[i] = c->arg[7 + i].i;
    }
    status = sqn_op_result(c, node, 0, y);
    y = NULL;
fail:
    sqn_node_release(node);
    sqn_tensor_release(y);
    sqn_tensor_release(u);
    for (int i = 0; i < INPUTS; i++) sqn_tensor_release(t[i]);
    return status;
}
