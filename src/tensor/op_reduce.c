/* Reductions over one dimension or everything, softmax, argmax, topk. */
#include <string.h>

#include "tensor/ops.h"

typedef struct span { /* x seen as [outer, n, inner] */
    int64_t outer, n, inner;
    int ndim;
    int64_t shape[SQN_MAX_DIMS]; /* of the result */
} span;

/* Argument `at` is the dimension (absent: everything), `at + 1` keepdim. */
static sqn_status find_span(sqn_call *c, int at, span *s, sqn_err *e) {
    const sqn_tensor *x = c->arg[0].t;
    bool keep = c->arg[at + 1].i != 0;
    *s = (span){1, sqn_tensor_numel(x), 1, 0, {0}};
    if (!c->arg[at].present) return SQN_OK;
    int dim;
    SQN_TRY(sqn_op_dim(c, x, c->arg[at].i, &dim, e));
    s->n = x->shape[dim];
    for (int d = 0; d < x->ndim; d++) {
        if (d < dim) s->outer *= x->shape[d];
        if (d > dim) s->inner *= x->shape[d];
        if (d != dim || keep) s->shape[s->ndim++] = d == dim ? 1 : x->shape[d];
    }
    return SQN_OK;
}

static sqn_status reduce(const char *name, sqn_reduce op, const span *s, sqn_tensor *x,
                         double scale, sqn_tensor *y, sqn_err *e) {
    sqn_k_reduce k = {
        op,    x->dtype, s->outer, s->n, s->inner, sqn_tensor_data(x), sqn_tensor_data(y),
        scale, 0,        0};
    return sqn_kernel_result(sqn_tensor_kernels(x)->reduce(&k, NULL), name, x, e);
}

/* node->i: outer, n, inner; f[0] the scale; saved[0] carries the input's shape. */
static sqn_status sum_back(sqn_node *n, sqn_tensor *const dout[], sqn_tensor *din[], sqn_err *e) {
    const sqn_tensor *like = n->saved[0], *d = dout[0];
    din[0] = sqn_tensor_new(sqn_tensor_device(d), d->dtype, like->ndim, like->shape, e);
    if (din[0] == NULL) return SQN_NOMEM;
    int64_t shape[3] = {n->i[0], n->i[1], n->i[2]}, narrow[3] = {n->i[2], 0, 1};
    sqn_tensor *to = sqn_tensor_view(din[0], 3, shape, NULL, 0, e);
    sqn_tensor *from = to ? sqn_tensor_view(d, 3, shape, narrow, d->offset, e) : NULL;
    sqn_status status = from ? sqn_tensor_copy(to, from, false, e) : SQN_NOMEM;
    if (status == SQN_OK && n->f[0] != 1.0)
        status = sqn_op_affine_into(n->op, din[0], n->f[0], 0, NULL, din[0], e);
    sqn_tensor_release(from);
    sqn_tensor_release(to);
    return status;
}

static sqn_status sum(sqn_call *c, bool mean, sqn_err *e) {
    span s;
    sqn_node *node = NULL;
    sqn_tensor *y = NULL, *like = NULL;
    SQN_TRY(sqn_op_float(c, c->arg[0].t, e));
    SQN_TRY(find_span(c, 1, &s, e));
    double scale = mean ? 1.0 / (double)s.n : 1.0;
    sqn_tensor *x = sqn_tensor_as(c->arg[0].t, c->arg[0].t->dtype, e);
    sqn_status status = SQN_NOMEM;
    if (x == NULL ||
        (y = sqn_tensor_new(sqn_tensor_device(x), x->dtype, s.ndim, s.shape, e)) == NULL)
        goto fail;
    SQN_GOTO(reduce(c->name, SQN_REDUCE_SUM, &s, x, scale, y, e));
    SQN_GOTO(sqn_node_new(&node, c->name, sum_back, 1, &c->arg[0].t, e));
    if (node != NULL) {
        status = SQN_NOMEM;
        if ((like = sqn_op_shape_only(x, e)) == NULL) goto fail;
        sqn_node_save(node, like);
        node->i[0] = s.outer, node->i[1] = s.n, node->i[2] = s.inner;
        node->f[0] = scale;
    }
    status = sqn_op_result(c, node, 0, y);
    y = NULL;
fail:
    sqn_node_release(node);
    sqn_tensor_release(like);
    sqn_tensor_release(y);
    sqn_tensor_release(x);
    return status;
}

sqn_status sqn_op_sum(sqn_call *c, sqn_err *e) { return sum(c, false, e); }
sqn_status sqn_op_mean(sqn_call *c, sqn_err *e) { return sum(c, true, e); }

/* saved[0]: the input's shape; saved[1]: where the chosen ones stood (i64). On the host: no model's
 * training step takes a maximum. */
static sqn_status extreme_back(sqn_node *n, sqn_tensor *const dout[], sqn_tensor *din[],
                               sqn_err *e) {
    const sqn_tensor *like = n->saved[0];
    const int device = sqn_tensor_device(dout[0]);
    sqn_tensor *d = sqn_tensor_on(dout[0], SQN_CPU, e);
    sqn_tensor *where = sqn_tensor_on(n->saved[1], SQN_CPU, e);
    sqn_tensor *dx = sqn_tensor_zeros(SQN_CPU, dout[0]->dtype, like->ndim, like->shape, e);
    if (d != NULL && where != NULL && dx != NULL) {
        int64_t inner = n->i[2];
        for (int64_t i = 0, count = n->i[0] * inner; i < count; i++) {
            int64_t chosen = sqn_tensor_get_integer(where, i);
            sqn_tensor_set(dx, (i / inner * n->i[1] + chosen) * inner + i % inner,
                           sqn_tensor_get(d, i));
        }
        din[0] = sqn_tensor_on(dx, device, e);
    }
    sqn_tensor_release(dx);
    sqn_tensor_release(where);
    sqn_tensor_release(d);
    return din[0] ? SQN_OK : e->code;
}

static sqn_status extreme(sqn_call *c, bool maximum, sqn_err *e) {
    span s;
    sqn_node *node = NULL;
    sqn_tensor *y = NULL, *like = NULL, *place = NULL, *flipped = NULL;
    SQN_TRY(sqn_op_float(c, c->arg[0].t, e));
    SQN_TRY(find_span(c, 1, &s, e));
    if (s.n == 0) return sqn_op_fail(c, e, "of nothing");
    sqn_tensor *x = sqn_tensor_as(c->arg[0].t, c->arg[0].t->dtype, e);
    sqn_status status = SQN_NOMEM;
    if (x == NULL ||
        (y = sqn_tensor_new(sqn_tensor_device(x), x->dtype, s.ndim, s.shape, e)) == NULL)
        goto fail;
    SQN_GOTO(reduce(c->name, maximum ? SQN_REDUCE_MAX : SQN_REDUCE_MIN, &s, x, 1.0, y, e));
    SQN_GOTO(sqn_node_new(&node, c->name, extreme_back, 1, &c->arg[0].t, e));
    if (node != NULL) { /* the smallest stands where the largest of -x stands */
        status = SQN_NOMEM;
        if ((like = sqn_op_shape_only(x, e)) == NULL ||
            (place = sqn_tensor_new(sqn_tensor_device(x), SQN_I64, s.ndim, s.shape, e)) == NULL ||
            (flipped = sqn_tensor_new(sqn_tensor_device(x), x->dtype, x->ndim, x->shape, e)) ==
                NULL)
            goto fail;
        SQN_GOTO(sqn_op_affine_into(c->name, x, maximum ? 1 : -1, 0, NULL, flipped, e));
        SQN_GOTO(reduce(c->name, SQN_REDUCE_ARGMAX, &s, flipped, 1.0, place, e));
        sqn_node_save(node, like);
        sqn_node_save(node, place);
        node->i[0] = s.outer, node->i[1] = s.n, node->i[2] = s.inner;
    }
    status = sqn_op_result(c, node, 0, y);
    y = NULL;
fail:
    sqn_node_release(node);
    sqn_tensor_release(flipped);
    sqn_tensor_release(place);
    sqn_tensor_release(like);
    sqn_tensor_release(y);
    sqn_tensor_release(x);
    return status;
}

sqn_status sqn_op_max(sqn_call *c, sqn_err *e) { return extreme(c, true, e); }
sqn_status sqn_op_min(sqn_call *c, sqn_err *e) { return extreme(c, false, e); }

sqn_status sqn_op_argmax(sqn_call *c, sqn_err *e) {
    span s;
    SQN_TRY(sqn_op_float(c, c->arg[0].t, e));
    c->arg[2] = (sqn_arg){.present = true};
    SQN_TRY(find_span(c, 1, &s, e));
    if (s.n == 0) return sqn_op_fail(c, e, "of nothing");
    sqn_tensor *x = sqn_tensor_as(c->arg[0].t, c->arg[0].t->dtype, e);
    sqn_tensor *y = x ? sqn_tensor_new(sqn_tensor_device(x), SQN_I64, s.ndim, s.shape, e) : NULL;
    sqn_status status = y ? reduce(c->name, SQN_REDUCE_ARGMAX, &s, x, 1.0, y, e) : SQN_NOMEM;
    sqn_tensor_release(x);
    if (status == SQN_OK) return sqn_op_result(c, NULL, 0, y);
    sqn_tensor_release(y);
    return status;
}

/* ---- softmax ---- */

static void last_dim(const sqn_tensor *x, int64_t *rows, int64_t *n) {
    *n = x->ndim ? x->shape[x->ndim - 1] : 1;
    *rows = *n ? sqn_tensor_numel(x) / *n : 0;
}

static sqn_status softmax_back(sqn_node *node, sqn_tensor *const dout[], sqn_tensor *din[],
                               sqn_err *e) {
    sqn_tensor *y = node->saved[0];
    int64_t rows, n;
    last_dim(y, &rows, &n);
    din[0] = sqn_tensor_new(sqn_tensor_device(y), y->dtype, y->ndim, y->shape, e);
    if (din[0] == NULL) return SQN_NOMEM;
    sqn_k_softmax_grad k = {y->dtype,
                            rows,
                            n,
                            sqn_tensor_data(y),
                            sqn_tensor_data(dout[0]),
                            sqn_tensor_data(din[0]),
                            (int)node->i[0]};
    return sqn_kernel_result(sqn_tensor_kernels(y)->softmax_grad(&k, NULL), node->op, y, e);
}

static sqn_status softmax(sqn_call *c, bool log, sqn_err *e) {
    sqn_node *node = NULL;
    sqn_tensor *y = NULL, *alone = NULL;
    SQN_TRY(sqn_op_float(c, c->arg[0].t, e));
    sqn_tensor *x = sqn_tensor_as(c->arg[0].t, c->arg[0].t->dtype, e);
    sqn_status status = SQN_NOMEM;
    if (x == NULL ||
        (y = sqn_tensor_new(sqn_tensor_device(x), x->dtype, x->ndim, x->shape, e)) == NULL)
        goto fail;
    int64_t rows, n;
    last_dim(x, &rows, &n);
    sqn_k_softmax k = {x->dtype, rows, n, sqn_tensor_data(x), sqn_tensor_data(y), log};
    SQN_GOTO(sqn_kernel_result(sqn_tensor_kernels(x)->softmax(&k, NULL), c->name, x, e));
    SQN_GOTO(sqn_node_new(&node, c->name, softmax_back, 1, &c->arg[0].t, e));
    if (node != NULL) {
        status = SQN_NOMEM;
        if ((alone = sqn_tensor_detach(y, e)) == NULL) goto fail;
        sqn_node_save(node, alone);
        node->i[0] = log;
    }
    status = sqn_op_result(c, node, 0, y);
    y = NULL;
fail:
    sqn_node_release(node);
    sqn_tensor_release(alone);
    sqn_tensor_release(y);
    sqn_tensor_release(x);
    return status;
}

sqn_status sqn_op_softmax(sqn_call *c, sqn_err *e) { return softmax(c, false, e); }
sqn_status sqn_op_log_softmax(sqn_call *c, sqn_err *e) { return softmax(c, true, e); }

/* saved[0]: places. i[0]: n. */
static sqn_status topk_back(sqn_node *node, sqn_tensor *const dout[], sqn_tensor *din[],
                            sqn_err *e) {
    const sqn_tensor *places = node->saved[0], *d = dout[0];
    int64_t shape[SQN_MAX_DIMS], k = places->shape[places->ndim - 1], n = node->i[0];
    memcpy(shape, places->shape, sizeof shape);
    shape[places->ndim - 1] = n;
    if ((din[0] = sqn_tensor_new(sqn_tensor_device(d), d->dtype, d->ndim, shape, e)) == NULL)
        return SQN_NOMEM;
    sqn_k_topk_grad args = {d->dtype,
                            sqn_tensor_numel(places) / k,
                            n,
                            k,
                            sqn_tensor_data(d),
                            sqn_tensor_data(places),
                            sqn_tensor_data(din[0])};
    return sqn_kernel_result(sqn_tensor_kernels(d)->topk_grad(&args, NULL), node->op, d, e);
}

sqn_status sqn_op_topk(sqn_call *c, sqn_err *e) {
    sqn_tensor *x0 = c->arg[0].t, *values = NULL, *places = NULL;
    sqn_node *node = NULL;
    int64_t k = c->arg[1].i, rows, n, shape[SQN_MAX_DIMS];
    SQN_TRY(sqn_op_float(c, x0, e));
    last_dim(x0, &rows, &n);
    if (x0->ndim == 0 || k < 1 || k > n)
        return sqn_op_fail(c, e, "k is 1 to %lld, got %lld", (long long)n, (long long)k);
    memcpy(shape, x0->shape, sizeof shape);
    shape[x0->ndim - 1] = k;
    sqn_tensor *x = sqn_tensor_as(x0, x0->dtype, e);
    sqn_status status = SQN_NOMEM;
    if (x == NULL ||
        (values = sqn_tensor_new(sqn_tensor_device(x), x->dtype, x->ndim, shape, e)) == NULL ||
        (places = sqn_tensor_new(sqn_tensor_device(x), SQN_I64, x->ndim, shape, e)) == NULL)
        goto fail;
    sqn_k_topk args = {
        x->dtype, rows, n, k, sqn_tensor_data(x), sqn_tensor_data(values), sqn_tensor_data(places)};
    SQN_GOTO(sqn_kernel_result(sqn_tensor_kernels(x)->topk(&args, NULL), c->name, x, e));
    SQN_GOTO(sqn_node_new(&node, c->name, topk_back, 1, &x0, e));
    if (node != NULL) {
        sqn_node_save(node, places);
        node->i[0] = n;
    }
    sqn_op_result(c, node, 0, values);
    sqn_op_result(c, NULL, 1, places);
    values = places = NULL;
fail:
    sqn_node_release(node);
    sqn_tensor_release(places);
    sqn_tensor_release(values);
    sqn_tensor_release(x);
    return status;
}
