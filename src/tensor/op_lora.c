/* lora_linear: a linear layer and its low-rank correction in one operator.
 *
 * y = x W^T + bias + scale * (drop(x) A^T) B^T with A [r, K] and B [N, r]. Neither B A nor a
 * gradient of it is ever made: what is kept for backward beside x is [rows, r]. x, W and bias have
 * one dtype; A and B have it too or, over bf16, are f32: then their products are f32 and the sum of
 * both parts is rounded once.
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

/* *y (owned) = drop(x) as `dtype`; x itself where there is nothing to do. */
static sqn_status dropped(const char *name, sqn_tensor *x, sqn_dtype dtype, double p,
                          const int64_t key[3], sqn_tensor **y, sqn_err *e) {
    *y = sqn_tensor_as(x, dtype, e);
    if (*y == NULL) return SQN_NOMEM;
    if (p == 0) return SQN_OK;
    sqn_tensor *out = sqn_tensor_new(sqn_tensor_device(x), dtype, x->ndim, x->shape, e);
    sqn_status status = SQN_NOMEM;
    if (out != NULL) {
        sqn_k_dropout k = {dtype, sqn_tensor_numel(x), sqn_tensor_data(*y), sqn_tensor_data(out),
                           p,     (uint64_t)key[0],    (uint64_t)key[1],    (uint64_t)key[2]};
        status = sqn_kernel_result(sqn_tensor_kernels(x)->dropout(&k, NULL), name, x, e);
    }
    sqn_tensor_release(*y);
    *y = out;
    return status;
}

/* The matrix that the parts of a sum are added up in: f32 for bf16, so that it is rounded once. */
static sqn_tensor *sum_new(const sqn_tensor *x, int64_t width, sqn_err *e) {
    int64_t shape[SQN_MAX_DIMS];
    memcpy(shape, x->shape, sizeof shape);
    shape[x->ndim - 1] = width;
    return sqn_tensor_new(sqn_tensor_device(x), sqn_accumulator(x->dtype), x->ndim, shape, e);
}

/* *sum (owned) rounded to dtype, in place of the pointer. */
static sqn_status round_sum(sqn_tensor **sum, sqn_dtype dtype, sqn_err *e) {
    sqn_tensor *rounded = sqn_tensor_as(*sum, dtype, e);
    sqn_tensor_release(*sum);
    *sum = rounded;
    return rounded ? SQN_OK : SQN_NOMEM;
}

/* dx = d W + drop'(v A); v [rows, r] = scale d B. */
static sqn_status input_grad(sqn_node *node, sqn_tensor *d, sqn_tensor *v, sqn_tensor **dx,
                             sqn_err *e) {
    sqn_tensor *w = node->saved[W], *a = node->saved[A], *part = NULL, *kept = NULL;
    int64_t rows = sqn_tensor_numel(v) / a->shape[0], n = w->shape[0], k = w->shape[1];
    int64_t r = a->shape[0];
    sqn_status status = SQN_NOMEM;
    if ((*dx = sum_new(d, k, e)) == NULL) return SQN_NOMEM;
    SQN_TRY(sqn_product_2d(node->op, d, false, w, false, NULL, *dx, false, rows, k, n, e));
    if (node->f[1] == 0) {
        SQN_TRY(sqn_product_2d(node->op, v, false, a, false, NULL, *dx, true, rows, k, r, e));
        return round_sum(dx, d->dtype, e);
    }
    if ((part = sum_new(d, k, e)) == NULL) goto fail;
    SQN_GOTO(sqn_product_2d(node->op, v, false, a, false, NULL, part, false, rows, k, r, e));
    SQN_GOTO(dropped(node->op, part, part->dtype, node->f[1], node->i, &kept, e));
    SQN_GOTO(sqn_tensor_copy(*dx, kept, true, e));
    status = round_sum(dx, d->dtype, e);
fail:
    sqn_tensor_release(kept);
    sqn_tensor_release(part);
    return status;
}

/* Gradients of the base layer, where it is trained too. */
static sqn_status base_grads(sqn_node *node, sqn_tensor *d, int64_t rows, sqn_tensor *din[],
                             sqn_err *e) {
    int64_t n = d->shape[d->ndim - 1];
    if (node->needs[W])
        SQN_TRY(sqn_weight_grad(node, W, node->op, d, node->saved[X], rows, &din[W], e));
    if (!node->needs[BIAS]) return SQN_OK;
    if ((din[BIAS] = sqn_tensor_new(sqn_tensor_device(d), d->dtype, 1, &n, e)) == NULL)
        return SQN_NOMEM;
    sqn_k_reduce k = {
        SQN_REDUCE_SUM, d->dtype, 1, rows, n, sqn_tensor_data(d), sqn_tensor_data(din[BIAS]), 1.0};
    return sqn_kernel_result(sqn_tensor_kernels(d)->reduce(&k, NULL), node->op, d, e);
}

/* saved: x, weight, scale u, a, b in the places X W BIAS A B; u = drop(x) A^T [rows, r].
 * dB = d^T (scale u), dA = v^T drop(x). */
static sqn_status lora_back(sqn_node *node, sqn_tensor *const dout[], sqn_tensor *din[],
                            sqn_err *e) {
    sqn_tensor *x = node->saved[X], *u = node->saved[BIAS], *a = node->saved[A],
               *b = node->saved[B], *d = dout[0], *wide = NULL, *v = NULL, *kept = NULL;
    int64_t rows = sqn_tensor_numel(d) / (b->shape[0] ? b->shape[0] : 1), n = b->shape[0];
    int64_t shape[2] = {rows, a->shape[0]};
    sqn_status status = SQN_NOMEM;
    SQN_TRY(base_grads(node, d, rows, din, e));
    if ((wide = sqn_tensor_as(d, a->dtype, e)) == NULL) return SQN_NOMEM;
    if (node->needs[B]) SQN_GOTO(sqn_weight_grad(node, B, node->op, wide, u, rows, &din[B], e));
    if (node->needs[X] || node->needs[A]) {
        if ((v = sqn_tensor_new(sqn_tensor_device(a), a->dtype, 2, shape, e)) == NULL) goto fail;
        SQN_GOTO(
            sqn_product_2d(node->op, wide, false, b, false, NULL, v, false, rows, shape[1], n, e));
        SQN_GOTO(sqn_op_affine_into(node->op, v, node->f[0], 0, NULL, v, e));
    }
    if (node->needs[A]) {
        SQN_GOTO(dropped(node->op, x, a->dtype, node->f[1], node->i, &kept, e));
        SQN_GOTO(sqn_weight_grad(node, A, node->op, v, kept, rows, &din[A], e));
    }
    status = SQN_OK;
    if (node->needs[X]) status = input_grad(node, d, v, &din[X], e);
fail:
    sqn_tensor_release(kept);
    sqn_tensor_release(v);
    sqn_tensor_release(wide);
    return status;
}

/* *u = scale drop(x) A^T, *y = x W^T + bias + u B^T, both owned. */
static sqn_status forward(sqn_call *c, const sizes *s, sqn_tensor *const t[INPUTS], sqn_tensor **u,
                          sqn_tensor **y, sqn_err *e) {
    const int64_t key[3] = {c->arg[7].i, c->arg[8].i, c->arg[9].i}, shape[2] = {s->rows, s->r};
    sqn_tensor *kept = NULL;
    sqn_status status = SQN_NOMEM;
    if ((*u = sqn_tensor_new(sqn_tensor_device(t[A]), t[A]->dtype, 2, shape, e)) == NULL ||
        (*y = sum_new(t[X], s->n, e)) == NULL)
        return SQN_NOMEM;
    SQN_GOTO(dropped(c->name, t[X], t[A]->dtype, c->arg[6].f, key, &kept, e));
    SQN_GOTO(
        sqn_product_2d(c->name, kept, false, t[A], true, NULL, *u, false, s->rows, s->r, s->k, e));
    SQN_GOTO(sqn_op_affine_into(c->name, *u, c->arg[5].f, 0, NULL, *u, e));
    SQN_GOTO(sqn_product_2d(c->name, t[X], false, t[W], true, t[BIAS], *y, false, s->rows, s->n,
                            s->k, e));
    SQN_GOTO(
        sqn_product_2d(c->name, *u, false, t[B], true, NULL, *y, true, s->rows, s->n, s->r, e));
    status = round_sum(y, t[X]->dtype, e);
fail:
    sqn_tensor_release(kept);
    return status;
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
