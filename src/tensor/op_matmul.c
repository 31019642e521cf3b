/* Products: matmul (batched) and linear, whose weight gradient goes straight into the leaf. */
#include <string.h>

#include "tensor/op_matmul.h"

sqn_status sqn_product(const char *name, const sqn_tensor *like, sqn_k_matmul *k, sqn_err *e) {
    return sqn_kernel_result(sqn_tensor_kernels(like)->matmul(k, NULL), name, like, e);
}

/* c [m, n] (+)= op(a) op(b); a and b contiguous matrices of one dtype. */
sqn_status sqn_product_2d(const char *name, const sqn_tensor *a, bool trans_a, const sqn_tensor *b,
                          bool trans_b, const sqn_tensor *bias, sqn_tensor *c, bool accumulate,
                          int64_t m, int64_t n, int64_t k, sqn_err *e) {
    sqn_k_matmul args = {.dtype = a->dtype,
                         .c_dtype = c->dtype,
                         .batch = 1,
                         .m = m,
                         .n = n,
                         .k = k,
                         .a = sqn_tensor_data(a),
                         .b = sqn_tensor_data(b),
                         .bias = bias ? sqn_tensor_data(bias) : NULL,
                         .c = sqn_tensor_data(c),
                         .trans_a = trans_a,
                         .trans_b = trans_b,
                         .lda = trans_a ? m : k,
                         .ldb = trans_b ? k : n,
                         .ldc = n,
                         .accumulate = accumulate};
    c->storage->version++;
    return sqn_product(name, a, &args, e);
}

/* ---- matmul ---- */

typedef struct shapes {
    int64_t batch, m, n, k, a_batch, b_batch;
    int ndim;
    int64_t out[SQN_MAX_DIMS];
} shapes;

static sqn_status find_shapes(sqn_call *c, const sqn_tensor *a, const sqn_tensor *b, shapes *s,
                              sqn_err *e) {
    char t[96], u[96];
    const sqn_tensor *big = a->ndim >= b->ndim ? a : b;
    if (a->ndim < 2 || b->ndim < 2) goto misfit;
    *s = (shapes){.batch = 1,
                  .m = a->shape[a->ndim - 2],
                  .k = a->shape[a->ndim - 1],
                  .n = b->shape[b->ndim - 1],
                  .ndim = big->ndim};
    if (b->shape[b->ndim - 2] != s->k) goto misfit;
    for (int d = 0; d < big->ndim - 2; d++) {
        s->batch *= big->shape[d];
        s->out[d] = big->shape[d];
        if (a->ndim == b->ndim && a->shape[d] != b->shape[d]) goto misfit;
    }
    if (a->ndim != b->ndim && a->ndim != 2 && b->ndim != 2) goto misfit;
    s->a_batch = a->ndim > 2 ? s->m * s->k : 0;
    s->b_batch = b->ndim > 2 ? s->k * s->n : 0;
    s->out[s->ndim - 2] = s->m;
    s->out[s->ndim - 1] = s->n;
    return SQN_OK;
misfit:
    return sqn_op_fail(c, e, "inner dimensions differ: %s, %s", sqn_tensor_describe(a, t),
                       sqn_tensor_describe(b, u));
}

/* da = d b^T, db = a^T d; where one side had no batch its gradient sums over the batch. */
static sqn_status matmul_back(sqn_node *node, sqn_tensor *const dout[], sqn_tensor *din[],
                              sqn_err *e) {
    sqn_tensor *a = node->saved[0], *b = node->saved[1], *d = dout[0];
    int64_t batch = node->i[0], m = node->i[1], n = node->i[2], k = node->i[3];
    for (int which = 0; which < 2; which++) {
        if (!node->needs[which]) continue;
        const sqn_tensor *in = which ? b : a;
        sqn_tensor *g = din[which] =
            sqn_tensor_new(sqn_tensor_device(in), in->dtype, in->ndim, in->shape, e);
        if (g == NULL) return SQN_NOMEM;
        bool summed = in->ndim == 2 && batch > 1;
        int64_t rows = which ? k : m, cols = which ? n : k, inner = which ? m : n;
        sqn_k_matmul args = {.dtype = d->dtype,
                             .c_dtype = d->dtype,
                             .batch = summed ? 1 : batch,
                             .m = rows,
                             .n = cols,
                             .k = inner,
                             .a = sqn_tensor_data(which ? a : d),
                             .b = sqn_tensor_data(which ? d : b),
                             .c = sqn_tensor_data(g),
                             .trans_a = which,
                             .trans_b = !which,
                             .lda = which ? k : n,
                             .ldb = n,
                             .ldc = cols,
                             .c_batch = rows * cols};
        args.a_batch = (which ? a : d)->ndim > 2 ? m * (which ? k : n) : 0;
        args.b_batch = (which ? d : b)->ndim > 2 ? (which ? m : k) * n : 0;
        for (int64_t i = 0; i < (summed ? batch : 1); i++) {
            SQN_TRY(sqn_product(node->op, d, &args, e));
            args.accumulate = 1;
            args.a = (const char *)args.a + (size_t)args.a_batch * sqn_dtype_size(d->dtype);
            args.b = (const char *)args.b + (size_t)args.b_batch * sqn_dtype_size(d->dtype);
        }
    }
    return SQN_OK;
}

sqn_status sqn_op_matmul(sqn_call *c, sqn_err *e) {
    sqn_tensor *a = NULL, *b = NULL, *y = NULL;
    sqn_node *node = NULL;
    shapes s;
    SQN_TRY(sqn_op_float(c, c->arg[0].t, e));
    SQN_TRY(sqn_op_same_dtype(c, c->arg[0].t, c->arg[1].t, e));
    SQN_TRY(find_shapes(c, c->arg[0].t, c->arg[1].t, &s, e));
    sqn_status status = SQN_NOMEM;
    if ((a = sqn_tensor_as(c->arg[0].t, c->arg[0].t->dtype, e)) == NULL ||
        (b = sqn_tensor_as(c->arg[1].t, a->dtype, e)) == NULL ||
        (y = sqn_tensor_new(sqn_tensor_device(a), a->dtype, s.ndim, s.out, e)) == NULL)
        goto fail;
    sqn_k_matmul k = {.dtype = a->dtype,
                      .c_dtype = a->dtype,
                      .batch = s.batch,
                      .m = s.m,
                      .n = s.n,
                      .k = s.k,
                      .a = sqn_tensor_data(a),
                      .b = sqn_tensor_data(b),
                      .c = sqn_tensor_data(y),
                      .lda = s.k,
                      .ldb = s.n,
                      .ldc = s.n,
                      .a_batch = s.a_batch,
                      .b_batch = s.b_batch,
                      .c_batch = s.m * s.n};
    SQN_GOTO(sqn_product(c->name, a, &k, e));
    SQN_GOTO(sqn_node_new(&node, c->name, matmul_back, 2,
                          (sqn_tensor *[]){c->arg[0].t, c->arg[1].t}, e));
    if (node != NULL) {
        sqn_node_save(node, a);
        sqn_node_save(node, b);
        node->i[0] = s.batch, node->i[1] = s.m, node->i[2] = s.n, node->i[3] = s.k;
    }
    status = sqn_op_result(c, node, 0, y);
    y = NULL;
fail:
    sqn_node_release(node);
    sqn_tensor_release(y);
    sqn_tensor_release(b);
    sqn_tensor_release(a);
    return status;
}

/* ---- linear ---- */

sqn_status sqn_weight_grad(sqn_node *node, int input, const char *name, const sqn_tensor *d,
                           const sqn_tensor *x, int64_t rows, sqn_tensor **out, sqn_err *e) {
    int64_t n = d->shape[d->ndim - 1], k = x->shape[x->ndim - 1], shape[2] = {n, k};
    sqn_tensor *grad;
    bool fresh;
    SQN_TRY(sqn_node_grad(node, input, d, 2, shape, out, &grad, &fresh, e));
    return sqn_product_2d(name, d, true, x, false, NULL, grad, !fresh, n, k, rows, e);
}

sqn_status sqn_bias_grad(sqn_node *node, int input, const sqn_tensor *d, sqn_tensor **out,
                         sqn_err *e) {
    int64_t n = d->shape[d->ndim - 1], rows = n ? sqn_tensor_numel(d) / n : 0;
    sqn_tensor *grad;
    bool fresh;
    SQN_TRY(sqn_node_grad(node, input, d, 1, &n, out, &grad, &fresh, e));
    sqn_k_reduce k = {.op = SQN_REDUCE_SUM,
                      .dtype = d->dtype,
                      .outer = 1,
                      .n = rows,
                      .inner = n,
                      .x = sqn_tensor_data(d),
                      .y = sqn_tensor_data(grad),
                      .scale = 1,
                      .wide = grad->dtype != d->dtype,
                      .add = !fresh};
    grad->storage->version++;
    return sqn_kernel_result(sqn_tensor_kernels(d)->reduce(&k, NULL), node->op, d, e);
}

/* saved: x, weight. dx = d W, dW = d^T x, db = column sums. */
static sqn_status linear_back(sqn_node *node, sqn_tensor *const dout[], sqn_tensor *din[],
                              sqn_err *e) {
    sqn_tensor *x = node->saved[0], *w = node->saved[1], *d = dout[0], *grad;
    int64_t rows = node->i[0], n = node->i[1], k = node->i[2], shape[SQN_MAX_DIMS];
    bool fresh;
    if (node->needs[0]) {
        memcpy(shape, d->shape, sizeof shape);
        shape[d->ndim - 1] = k;
        SQN_TRY(sqn_node_input_grad(node, 0, d, d->ndim, shape, &din[0], &grad, &fresh, e));
        SQN_TRY(sqn_product_2d(node->op, d, false, w, false, NULL, grad, !fresh, rows, k, n, e));
    }
    if (node->needs[1]) SQN_TRY(sqn_weight_grad(node, 1, node->op, d, x, rows, &din[1], e));
    if (node->inputs < 3 || !node->needs[2]) return SQN_OK;
    return sqn_bias_grad(node, 2, d, &din[2], e);
}

sqn_status sqn_op_linear(sqn_call *c, sqn_err *e) {
    sqn_tensor *in[3] = {c->arg[0].t, c->arg[1].t, c->arg[2].t}, *x = NULL, *w = NULL, *b = NULL,
               *y = NULL;
    sqn_node *node = NULL;
    char s[96], t[96];
    int64_t shape[SQN_MAX_DIMS], rows = 1;
    SQN_TRY(sqn_op_float(c, in[0], e));
    SQN_TRY(sqn_op_same_dtype(c, in[0], in[1], e));
    if (in[1]->ndim != 2 || in[0]->ndim < 1 || in[0]->shape[in[0]->ndim - 1] != in[1]->shape[1])
        return sqn_op_fail(c, e, "x %s does not fit weight %s", sqn_tensor_describe(in[0], s),
                           sqn_tensor_describe(in[1], t));
    int64_t n = in[1]->shape[0], k = in[1]->shape[1];
    if (in[2] != NULL && (in[2]->dtype != in[0]->dtype || in[2]->ndim != 1 || in[2]->shape[0] != n))
        return sqn_op_fail(c, e, "bias %s does not fit weight %s", sqn_tensor_describe(in[2], s),
                           sqn_tensor_describe(in[1], t));
    memcpy(shape, in[0]->shape, sizeof shape);
    shape[in[0]->ndim - 1] = n;
    for (int d = 0; d < in[0]->ndim - 1; d++) rows *= shape[d];
    sqn_status status = SQN_NOMEM;
    if ((x = sqn_tensor_as(in[0], in[0]->dtype, e)) == NULL ||
        (w = sqn_tensor_as(in[1], x->dtype, e)) == NULL ||
        (in[2] != NULL && (b = sqn_tensor_as(in[2], x->dtype, e)) == NULL) ||
        (y = sqn_tensor_new(sqn_tensor_device(x), x->dtype, x->ndim, shape, e)) == NULL)
        goto fail;
    SQN_GOTO(sqn_product_2d(c->name, x, false, w, true, b, y, false, rows, n, k, e));
    SQN_GOTO(sqn_node_new(&node, c->name, linear_back, in[2] ? 3 : 2, in, e));
    if (node != NULL) {
        sqn_node_save(node, node->needs[1] ? x : NULL);
        sqn_node_save(node, node->needs[0] ? w : NULL);
        node->i[0] = rows, node->i[1] = n, node->i[2] = k;
    }
    status = sqn_op_result(c, node, 0, y);
    y = NULL;
fail:
    sqn_node_release(node);
    sqn_tensor_release(y);
    sqn_tensor_release(b);
    sqn_tensor_release(w);
    sqn_tensor_release(x);
    return status;
}
