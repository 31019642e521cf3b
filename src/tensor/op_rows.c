/* Rows by index: gather, scatter, embedding, writing rows of a cache. */
#include <string.h>

#include "tensor/ops.h"

/* [rows, ...]: elements of one row. */
static int64_t row_size(const sqn_tensor *x) {
    int64_t n = 1;
    for (int d = 1; d < x->ndim; d++) n *= x->shape[d];
    return n;
}

/* The end of an operator: releases what it holds. What went wrong is told by *e, where that knows.
 */
static sqn_status let_go(sqn_status status, sqn_node *node, sqn_tensor *const held[], int count,
                         const sqn_err *e) {
    sqn_node_release(node);
    for (int i = 0; i < count; i++) sqn_tensor_release(held[i]);
    return status != SQN_OK && e->code != SQN_OK ? e->code : status;
}

static sqn_tensor *gathered(const char *name, sqn_tensor *x, const sqn_tensor *index, int lead,
                            const int64_t *lead_shape, sqn_err *e) {
    int64_t shape[2 * SQN_MAX_DIMS];
    int ndim = lead + x->ndim - 1;
    if (ndim > SQN_MAX_DIMS) {
        SQN_FAIL(e, SQN_MISUSE, "%s: too many dimensions", name);
        return NULL;
    }
    memcpy(shape, lead_shape, (size_t)lead * sizeof *shape);
    memcpy(shape + lead, x->shape + 1, (size_t)(x->ndim - 1) * sizeof *shape);
    sqn_tensor *y = sqn_tensor_new(sqn_tensor_device(x), x->dtype, ndim, shape, e);
    if (y == NULL) return NULL;
    sqn_k_gather_rows k = {sqn_tensor_numel(index),
                           row_size(x) * (int64_t)sqn_dtype_size(x->dtype),
                           x->shape[0],
                           sqn_tensor_data(x),
                           sqn_tensor_data_on(index, sqn_tensor_device(x)),
                           sqn_tensor_data(y)};
    if (sqn_kernel_result(sqn_tensor_kernels(x)->gather_rows(&k, NULL), name, x, e) == SQN_OK)
        return y;
    sqn_tensor_release(y);
    return NULL;
}

static sqn_status scatter(const char *name, const sqn_tensor *x, const sqn_tensor *index,
                          sqn_tensor *y, bool add, sqn_err *e) {
    sqn_k_scatter_rows k = {x->dtype,
                            y->dtype,
                            sqn_tensor_numel(index),
                            row_size(y),
                            y->shape[0],
                            sqn_tensor_data(x),
                            sqn_tensor_data_on(index, sqn_tensor_device(x)),
                            sqn_tensor_data(y),
                            add};
    y->storage->version++;
    return sqn_kernel_result(sqn_tensor_kernels(x)->scatter_rows(&k, NULL), name, x, e);
}

/* +1: the index with -1, which a scatter passes over, in the place of `padding`; on the host with a
 * mirror on `device`. */
static sqn_tensor *without_padding(const sqn_tensor *index, int64_t padding, int device,
                                   sqn_err *e) {
    const int64_t *from = sqn_tensor_data(index), n = sqn_tensor_numel(index);
    sqn_tensor *kept = sqn_tensor_new(SQN_CPU, SQN_I64, 1, &n, e);
    if (kept == NULL) return NULL;
    int64_t *to = sqn_tensor_data(kept);
    for (int64_t i = 0; i < n; i++) to[i] = from[i] == padding ? -1 : from[i];
    if (sqn_tensor_mirror(kept, device, e) == SQN_OK) return kept;
    sqn_tensor_release(kept);
    return NULL;
}

/* saved[0]: index; i: shape of x; f: its dimensions, padding row. Adds straight into a leaf's
 * gradient, so an embedding's is never made twice. */
static sqn_status gather_back(sqn_node *n, sqn_tensor *const dout[], sqn_tensor *din[],
                              sqn_err *e) {
    sqn_tensor *grad;
    bool fresh;
    SQN_TRY(sqn_node_leaf_grad(n, 0, dout[0]->dtype, &grad, &fresh, e));
    if (grad == NULL) {
        grad = din[0] =
            sqn_tensor_zeros(sqn_tensor_device(dout[0]), dout[0]->dtype, (int)n->f[0], n->i, e);
        if (grad == NULL) return SQN_NOMEM;
    } else if (fresh) {
        SQN_TRY(sqn_tensor_clear(grad, e));
    }
    if (n->f[1] < 0) return scatter(n->op, dout[0], n->saved[0], grad, true, e);
    sqn_tensor *kept =
        without_padding(n->saved[0], (int64_t)n->f[1], sqn_tensor_device(dout[0]), e);
    if (kept == NULL) return SQN_NOMEM;
    sqn_status status = scatter(n->op, dout[0], kept, grad, true, e);
    sqn_tensor_release(kept);
    return status;
}

static sqn_status gather(sqn_call *c, sqn_tensor *x0, sqn_tensor *ids, int64_t padding,
                         sqn_err *e) {
    sqn_node *node = NULL;
    sqn_tensor *index = NULL, *y = NULL;
    if (x0->ndim < 1) return sqn_op_fail(c, e, "rows of a single number");
    sqn_tensor *x = sqn_tensor_as(x0, x0->dtype, e);
    sqn_status status = e->code ? e->code : SQN_MISUSE;
    if (x == NULL) goto fail;
    /* Backward looks for a padding row on the host. */
    index = (padding < 0 ? sqn_op_guarded_index : sqn_op_index)(c, ids, x->shape[0], 0,
                                                                sqn_tensor_device(x), e);
    if (index == NULL) goto fail;
    y = gathered(c->name, x, index, ids->ndim, ids->shape, e);
    if (y == NULL) goto fail;
    SQN_GOTO(sqn_node_new(&node, c->name, gather_back, 1, &x0, e));
    if (node != NULL) {
        sqn_node_save(node, index);
        memcpy(node->i, x->shape, sizeof node->i);
        node->f[0] = x->ndim;
        node->f[1] = (double)padding;
    }
    status = sqn_op_result(c, node, 0, y);
    y = NULL;
fail:
    return let_go(status, node, (sqn_tensor *[]){y, index, x}, 3, e);
}

sqn_status sqn_op_gather_rows(sqn_call *c, sqn_err *e) {
    return gather(c, c->arg[0].t, c->arg[1].t, -1, e);
}

sqn_status sqn_op_embedding(sqn_call *c, sqn_err *e) {
    SQN_TRY(sqn_op_float(c, c->arg[1].t, e));
    if (c->arg[1].t->ndim != 2) return sqn_op_fail(c, e, "weight is [V, C]");
    return gather(c, c->arg[1].t, c->arg[0].t, c->arg[2].i, e);
}

static sqn_status scatter_back(sqn_node *n, sqn_tensor *const dout[], sqn_tensor *din[],
                               sqn_err *e) {
    din[0] = gathered(n->op, dout[0], n->saved[0], 1, n->saved[0]->shape, e);
    return din[0] ? SQN_OK : SQN_NOMEM;
}

sqn_status sqn_op_scatter_rows(sqn_call *c, sqn_err *e) {
    sqn_tensor *x0 = c->arg[0].t, *index = NULL, *y = NULL;
    sqn_node *node = NULL;
    int64_t shape[SQN_MAX_DIMS];
    SQN_TRY(sqn_op_float(c, x0, e));
    if (x0->ndim < 1 || c->arg[1].t->ndim != 1 || x0->shape[0] != c->arg[1].t->shape[0])
        return sqn_op_fail(c, e, "x is [n, ...] and index [n]");
    memcpy(shape, x0->shape, sizeof shape);
    shape[0] = c->arg[2].i;
    sqn_tensor *x = sqn_tensor_as(x0, x0->dtype, e);
    sqn_status status = SQN_MISUSE;
    if (x == NULL ||
        (index = sqn_op_guarded_index(c, c->arg[1].t, shape[0], 0, sqn_tensor_device(x), e)) ==
            NULL ||
        (y = sqn_tensor_zeros(sqn_tensor_device(x), x->dtype, x->ndim, shape, e)) == NULL)
        goto fail;
    SQN_GOTO(scatter(c->name, x, index, y, true, e));
    SQN_GOTO(sqn_node_new(&node, c->name, scatter_back, 1, &x0, e));
    if (node != NULL) sqn_node_save(node, index);
    status = sqn_op_result(c, node, 0, y);
    y = NULL;
fail:
    return let_go(status, node, (sqn_tensor *[]){y, index, x}, 3, e);
}

sqn_status sqn_op_write_rows_(sqn_call *c, sqn_err *e) {
    sqn_tensor *x = c->arg[0].t, *rows = NULL, *index = NULL;
    char s[96], t[96];
    SQN_TRY(sqn_op_same_dtype(c, x, c->arg[2].t, e));
    if (!sqn_tensor_is_contiguous(x) || x->ndim < 1 || row_size(x) != row_size(c->arg[2].t) ||
        c->arg[2].t->shape[0] != sqn_tensor_numel(c->arg[1].t))
        return sqn_op_fail(c, e, "%s does not fit into %s", sqn_tensor_describe(c->arg[2].t, s),
                           sqn_tensor_describe(x, t));
    sqn_status status = SQN_MISUSE;
    if ((index = sqn_op_guarded_index(c, c->arg[1].t, x->shape[0], 0, sqn_tensor_device(x), e)) ==
            NULL ||
        (rows = sqn_tensor_as(c->arg[2].t, x->dtype, e)) == NULL)
        goto fail;
    SQN_GOTO(scatter(c->name, rows, index, x, false, e));
    status = sqn_op_result(c, NULL, 0, sqn_tensor_retain(x));
fail:
    return let_go(status, NULL, (sqn_tensor *[]){rows, index}, 2, e);
}
