/* Elementwise operators: maps of one tensor, pairs with broadcasting, dropout. */
#include <string.h>

#include "tensor/ops.h"

sqn_status sqn_op_sum_to(sqn_tensor *d, int ndim, const int64_t *shape, sqn_tensor **out,
                         sqn_err *e) {
    sqn_tensor *now = sqn_tensor_as(d, d->dtype, e);
    int lead = d->ndim - ndim;
    for (int k = 0; k < d->ndim && now != NULL; k++) {
        bool gone = k < lead;
        if (!gone && shape[k - lead] == d->shape[k]) continue;
        int64_t outer = 1, inner = 1, reduced[SQN_MAX_DIMS];
        memcpy(reduced, now->shape, sizeof reduced);
        for (int j = 0; j < k; j++) outer *= now->shape[j];
        for (int j = k + 1; j < now->ndim; j++) inner *= now->shape[j];
        reduced[k] = 1;
        sqn_tensor *next =
            sqn_tensor_new(sqn_tensor_device(now), now->dtype, now->ndim, reduced, e);
        sqn_status status = SQN_NOMEM;
        if (next != NULL) {
            sqn_k_reduce r = {SQN_REDUCE_SUM,
                              now->dtype,
                              outer,
                              now->shape[k],
                              inner,
                              sqn_tensor_data(now),
                              sqn_tensor_data(next),
                              1.0,
                              0,
                              0};
            status = sqn_kernel_result(sqn_tensor_kernels(now)->reduce(&r, NULL), "sum", now, e);
        }
        sqn_tensor_release(now);
        if (status != SQN_OK) {
            sqn_tensor_release(next);
            return status;
        }
        now = next;
    }
    if (now == NULL) return SQN_NOMEM;
    *out = sqn_tensor_view(now, ndim, shape, NULL, now->offset, e);
    sqn_tensor_release(now);
    return *out ? SQN_OK : SQN_NOMEM;
}

/* ---- maps ---- */

static sqn_status map_back(sqn_node *n, sqn_tensor *const dout[], sqn_tensor *din[], sqn_err *e) {
    sqn_tensor *x = n->saved[0], *y = n->saved[1];
    din[0] = sqn_tensor_new(sqn_tensor_device(dout[0]), dout[0]->dtype, dout[0]->ndim,
                            dout[0]->shape, e);
    if (din[0] == NULL) return SQN_NOMEM;
    sqn_k_map_grad k = {(sqn_map)n->i[0],
                        dout[0]->dtype,
                        sqn_tensor_numel(dout[0]),
                        x ? sqn_tensor_data(x) : NULL,
                        y ? sqn_tensor_data(y) : NULL,
                        sqn_tensor_data(dout[0]),
                        sqn_tensor_data(din[0]),
                        n->f[0],
                        n->f[1]};
    return sqn_kernel_result(sqn_tensor_kernels(din[0])->map_grad(&k, NULL), n->op, din[0], e);
}

/* Which of x and y the derivative is written in: no more is kept alive than it needs. */
static bool needs_x(sqn_map op) {
    return op != SQN_MAP_NEG && op != SQN_MAP_AFFINE && op != SQN_MAP_EXP && op != SQN_MAP_SQRT &&
           op != SQN_MAP_RSQRT && op != SQN_MAP_SIGMOID && op != SQN_MAP_TANH && op != SQN_MAP_RELU;
}
static bool needs_y(sqn_map op) {
    return op == SQN_MAP_EXP || op == SQN_MAP_SQRT || op == SQN_MAP_RSQRT ||
           op == SQN_MAP_SIGMOID || op == SQN_MAP_TANH || op == SQN_MAP_RELU;
}

static sqn_status map(sqn_call *c, sqn_map op, double alpha, double beta, sqn_err *e) {
    sqn_node *node = NULL;
    SQN_TRY(sqn_op_float(c, c->arg[0].t, e));
    sqn_tensor *x = sqn_tensor_as(c->arg[0].t, c->arg[0].t->dtype, e);
    sqn_tensor *y = x ? sqn_tensor_new(sqn_tensor_device(x), x->dtype, x->ndim, x->shape, e) : NULL;
    sqn_status status = SQN_NOMEM;
    if (y == NULL) goto fail;
    sqn_k_map k = {.op = op,
                   .dtype = x->dtype,
                   .n = sqn_tensor_numel(x),
                   .x = sqn_tensor_data(x),
                   .y = sqn_tensor_data(y),
                   .alpha = alpha,
                   .beta = beta};
    SQN_GOTO(sqn_kernel_result(sqn_tensor_kernels(x)->map(&k, NULL), c->name, x, e));
    SQN_GOTO(sqn_node_new(&node, c->name, map_back, 1, &c->arg[0].t, e));
    if (node != NULL) {
        sqn_tensor *alone = needs_y(op) ? sqn_tensor_detach(y, e) : NULL;
        if (needs_y(op) && alone == NULL) {
            status = SQN_NOMEM;
            goto fail;
        }
        sqn_node_save(node, needs_x(op) ? x : NULL);
        sqn_node_save(node, alone);
        sqn_tensor_release(alone);
        node->i[0] = op;
        node->f[0] = alpha;
        node->f[1] = beta;
    }
    status = sqn_op_result(c, node, 0, y);
    y = NULL;
fail:
    sqn_node_release(node);
    sqn_tensor_release(y);
    sqn_tensor_release(x);
    return status;
}

#define MAP_OP(name, op) \
    sqn_status sqn_op_##name(sqn_call *c, sqn_err *e) { return map(c, SQN_MAP_##op, 0, 0, e); }
MAP_OP(neg, NEG)
MAP_OP(exp, EXP)
MAP_OP(log, LOG)
MAP_OP(sqrt, SQRT)
MAP_OP(rsqrt, RSQRT)
MAP_OP(abs, ABS)
MAP_OP(sigmoid, SIGMOID)
MAP_OP(silu, SILU)
MAP_OP(tanh, TANH)
MAP_OP(relu, RELU)
MAP_OP(gelu, GELU)
MAP_OP(cos, COS)
MAP_OP(sin, SIN)
MAP_OP(square, SQUARE)

sqn_status sqn_op_pow(sqn_call *c, sqn_err *e) { return map(c, SQN_MAP_POW, c->arg[1].f, 0, e); }
sqn_status sqn_op_affine(sqn_call *c, sqn_err *e) {
    return map(c, SQN_MAP_AFFINE, c->arg[1].f, c->arg[2].f, e);
}

/* ---- pairs ---- */

static sqn_status zip_kernel(const char *name, sqn_zip op, const sqn_tensor *a, const sqn_tensor *b,
                             sqn_tensor *y, sqn_err *e) {
    sqn_k_zip k = {.op = op,
                   .dtype = a->dtype,
                   .ndim = y->ndim,
                   .a = sqn_tensor_data(a),
                   .b = sqn_tensor_data(b),
                   .y = sqn_tensor_data(y)};
    for (int d = 0; d < y->ndim; d++) {
        int da = d - (y->ndim - a->ndim), db = d - (y->ndim - b->ndim);
        k.shape[d] = y->shape[d];
        k.a_stride[d] = da < 0 || a->shape[da] == 1 ? 0 : a->stride[da];
        k.b_stride[d] = db < 0 || b->shape[db] == 1 ? 0 : b->stride[db];
    }
    return sqn_kernel_result(sqn_tensor_kernels(a)->zip(&k, NULL), name, a, e);
}

static sqn_tensor *zipped(const char *name, sqn_zip op, const sqn_tensor *a, const sqn_tensor *b,
                          const sqn_tensor *like, sqn_dtype dtype, sqn_err *e) {
    sqn_tensor *y = sqn_tensor_new(sqn_tensor_device(a), dtype, like->ndim, like->shape, e);
    if (y != NULL && zip_kernel(name, op, a, b, y, e) != SQN_OK) {
        sqn_tensor_release(y);
        return NULL;
    }
    return y;
}

/* d * (1 where the input won), summed back to the input's shape. */
static sqn_status chosen_back(sqn_node *n, sqn_tensor *d, int which, sqn_tensor **din, sqn_err *e) {
    sqn_tensor *a = n->saved[0], *b = n->saved[1];
    bool maximum = n->i[0] == SQN_ZIP_MAXIMUM;
    /* a wins where b < a or equal: 1 - (a loses) */
    sqn_tensor *loses = maximum ? zipped(n->op, SQN_ZIP_LT, a, b, d, SQN_U8, e)
                                : zipped(n->op, SQN_ZIP_LT, b, a, d, SQN_U8, e);
    sqn_tensor *mask = loses ? sqn_tensor_as(loses, d->dtype, e) : NULL, *g = NULL;
    sqn_status status = SQN_NOMEM;
    if (mask == NULL) goto fail;
    if (which == 0) {
        SQN_GOTO(sqn_op_affine_into(n->op, mask, -1, 1, NULL, mask, e));
    }
    status = SQN_NOMEM;
    g = zipped(n->op, SQN_ZIP_MUL, d, mask, d, d->dtype, e);
    if (g != NULL)
        status = sqn_op_sum_to(g, which ? b->ndim : a->ndim, which ? b->shape : a->shape, din, e);
fail:
    sqn_tensor_release(g);
    sqn_tensor_release(mask);
    sqn_tensor_release(loses);
    return status;
}

/* Gradient of input `which` (0: a, 1: b) of add, sub, mul, div before summing to its shape: owned.
 */
static sqn_tensor *pair_grad(sqn_node *n, sqn_tensor *d, int which, sqn_err *e) {
    sqn_tensor *a = n->saved[0], *b = n->saved[1];
    switch ((sqn_zip)n->i[0]) {
    case SQN_ZIP_ADD:
        return sqn_tensor_retain(d);
    case SQN_ZIP_MUL:
        return zipped(n->op, SQN_ZIP_MUL, d, which ? a : b, d, d->dtype, e);
    case SQN_ZIP_SUB:
        break;
    default: { /* DIV: d / b, and -(d / b) a / b */
        sqn_tensor *q = zipped(n->op, SQN_ZIP_DIV, d, b, d, d->dtype, e);
        if (which == 0 || q == NULL) return q;
        sqn_tensor *r = zipped(n->op, SQN_ZIP_DIV, a, b, d, d->dtype, e);
        sqn_tensor *p = r ? zipped(n->op, SQN_ZIP_MUL, q, r, d, d->dtype, e) : NULL;
        sqn_tensor_release(q);
        sqn_tensor_release(r);
        if (p == NULL) return NULL;
        d = p;
        break;
    }
    }
    if (n->i[0] == SQN_ZIP_SUB && which == 0) return sqn_tensor_retain(d);
    sqn_tensor *negative = sqn_tensor_new(sqn_tensor_device(d), d->dtype, d->ndim, d->shape, e);
    if (negative != NULL) {
        if (sqn_op_affine_into(n->op, d, -1, 0, NULL, negative, e) != SQN_OK) {
            sqn_tensor_release(negative);
            negative = NULL;
        }
    }
    if (n->i[0] == SQN_ZIP_DIV) sqn_tensor_release(d);
    return negative;
}

static sqn_status zip_back(sqn_node *n, sqn_tensor *const dout[], sqn_tensor *din[], sqn_err *e) {
    for (int which = 0; which < 2; which++) {
        if (!n->needs[which]) continue;
        if (n->i[0] == SQN_ZIP_MAXIMUM || n->i[0] == SQN_ZIP_MINIMUM) {
            SQN_TRY(chosen_back(n, dout[0], which, &din[which], e));
            continue;
        }
        sqn_tensor *g = pair_grad(n, dout[0], which, e);
        if (g == NULL) return SQN_NOMEM;
        const sqn_tensor *like = n->saved[2 + which];
        sqn_status status = sqn_op_sum_to(g, like->ndim, like->shape, &din[which], e);
        sqn_tensor_release(g);
        SQN_TRY(status);
    }
    return SQN_OK;
}

static sqn_status broadcast_shape(sqn_call *c, const sqn_tensor *a, const sqn_tensor *b, int *ndim,
                                  int64_t *shape, sqn_err *e) {
    char s[96], t[96];
    *ndim = a->ndim > b->ndim ? a->ndim : b->ndim;
    for (int d = 0; d < *ndim; d++) {
        int da = d - (*ndim - a->ndim), db = d - (*ndim - b->ndim);
        int64_t na = da < 0 ? 1 : a->shape[da], nb = db < 0 ? 1 : b->shape[db];
        if (na != nb && na != 1 && nb != 1)
            return sqn_op_fail(c, e, "shapes do not fit: %s, %s", sqn_tensor_describe(a, s),
                               sqn_tensor_describe(b, t));
        shape[d] = na == 1 ? nb : na;
    }
    return SQN_OK;
}

static sqn_status zip(sqn_call *c, sqn_zip op, sqn_err *e) {
    sqn_tensor *a = c->arg[0].t, *b = c->arg[1].t;
    bool compares = op >= SQN_ZIP_EQ;
    int64_t shape[SQN_MAX_DIMS];
    int ndim;
    sqn_node *node = NULL;
    SQN_TRY(sqn_op_same_dtype(c, a, b, e));
    SQN_TRY(broadcast_shape(c, a, b, &ndim, shape, e));
    sqn_tensor *y =
        sqn_tensor_new(sqn_tensor_device(a), compares ? SQN_U8 : a->dtype, ndim, shape, e);
    if (y == NULL) return SQN_NOMEM;
    sqn_status status = zip_kernel(c->name, op, a, b, y, e);
    if (status == SQN_OK && !compares)
        status = sqn_node_new(&node, c->name, zip_back, 2, (sqn_tensor *[]){a, b}, e);
    if (status == SQN_OK && node != NULL) {
        bool values = op != SQN_ZIP_ADD && op != SQN_ZIP_SUB;
        sqn_node_save(node, values && (op != SQN_ZIP_MUL || node->needs[1]) ? a : NULL);
        sqn_node_save(node, values && (op != SQN_ZIP_MUL || node->needs[0]) ? b : NULL);
        node->i[0] = op;
        for (int which = 0; which < 2 && status == SQN_OK; which++) { /* shapes to sum back to */
            sqn_tensor *like = sqn_op_shape_only(which ? b : a, e);
            if (like == NULL) status = SQN_NOMEM;
            sqn_node_save(node, like);
            sqn_tensor_release(like);
        }
    }
    if (status == SQN_OK)
        status = sqn_op_result(c, node, 0, y);
    else
        sqn_tensor_release(y);
    sqn_node_release(node);
    return status;
}

#define ZIP_OP(name, op) \
    sqn_status sqn_op_##name(sqn_call *c, sqn_err *e) { return zip(c, SQN_ZIP_##op, e); }
ZIP_OP(add, ADD)
ZIP_OP(sub, SUB)
ZIP_OP(mul, MUL)
ZIP_OP(div, DIV)
ZIP_OP(maximum, MAXIMUM)
ZIP_OP(minimum, MINIMUM)
ZIP_OP(eq, EQ)
ZIP_OP(ne, NE)
ZIP_OP(lt, LT)
ZIP_OP(le, LE)

/* ---- dropout ---- */

static sqn_status dropped(const char *name, sqn_tensor *x, sqn_tensor **y, double p,
                          const int64_t key[3], sqn_err *e) {
    *y = sqn_tensor_new(sqn_tensor_device(x), x->dtype, x->ndim, x->shape, e);
    if (*y == NULL) return SQN_NOMEM;
    sqn_k_dropout k = {x->dtype, sqn_tensor_numel(x), sqn_tensor_data(x), sqn_tensor_data(*y),
                       p,        (uint64_t)key[0],    (uint64_t)key[1],   (uint64_t)key[2]};
    return sqn_kernel_result(sqn_tensor_kernels(x)->dropout(&k, NULL), name, x, e);
}

static sqn_status dropout_back(sqn_node *n, sqn_tensor *const dout[], sqn_tensor *din[],
                               sqn_err *e) {
    return dropped(n->op, dout[0], &din[0], n->f[0], n->i, e);
}

sqn_status sqn_op_dropout(sqn_call *c, sqn_err *e) {
    double p = c->arg[1].f;
    int64_t key[3] = {c->arg[2].i, c->arg[3].i, c->arg[4].i};
    SQN_TRY(sqn_op_float(c, c->arg[0].t, e));
    if (!(p >= 0 && p < 1)) return sqn_op_fail(c, e, "p is in [0, 1), got %g", p);
    sqn_node *node = NULL;
    sqn_tensor *y = NULL, *x = sqn_tensor_as(c->arg[0].t, c->arg[0].t->dtype, e);
    if (x == NULL) return SQN_NOMEM;
    sqn_status status = dropped(c->name, x, &y, p, key, e);
    if (status == SQN_OK) status = sqn_node_new(&node, c->name, dropout_back, 1, &c->arg[0].t, e);
    if (node != NULL) {
        node->f[0] = p;
        memcpy(node->i, key, sizeof key);
    }
    if (status == SQN_OK)
        status = sqn_op_result(c, node, 0, y);
    else
        sqn_tensor_release(y);
    sqn_node_release(node);
    sqn_tensor_release(x);
    return status;
}
