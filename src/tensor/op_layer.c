/* Parts of a decoder layer: rms_norm, rope, swiglu. */
#include <string.h>

#include "tensor/ops.h"

/* saved: h, weight, inv. dx serves x and residual alike. */
static sqn_status rms_norm_back(sqn_node *n, sqn_tensor *const dout[], sqn_tensor *din[],
                                sqn_err *e) {
    sqn_tensor *h = n->saved[0], *w = n->saved[1], *inv = n->saved[2], *dx = NULL, *dw = NULL;
    int64_t width = w->shape[0], rows = sqn_tensor_numel(h) / width;
    bool fresh = true;
    sqn_status status = SQN_NOMEM;
    if (dout[0] == NULL) { /* only h was used */
        dx = sqn_tensor_retain(dout[1]);
    } else {
        if ((dx = sqn_tensor_new(sqn_tensor_device(h), h->dtype, h->ndim, h->shape, e)) == NULL)
            goto fail;
        if (n->needs[1]) SQN_GOTO(sqn_node_grad(n, 1, inv, 1, &width, &din[1], &dw, &fresh, e));
        sqn_k_rms_norm_grad k = {.dtype = h->dtype,
                                 .rows = rows,
                                 .n = width,
                                 .h = sqn_tensor_data(h),
                                 .weight = sqn_tensor_data(w),
                                 .inv = sqn_tensor_data(inv),
                                 .dy = sqn_tensor_data(dout[0]),
                                 .dh = n->outputs > 1 && dout[1] ? sqn_tensor_data(dout[1]) : NULL,
                                 .dx = sqn_tensor_data(dx),
                                 .dweight = dw ? sqn_tensor_data(dw) : NULL,
                                 .add = !fresh};
        SQN_GOTO(sqn_kernel_result(sqn_tensor_kernels(h)->rms_norm_grad(&k, NULL), n->op, h, e));
    }
    if (n->inputs > 2 && n->needs[2]) din[2] = sqn_tensor_retain(dx);
    din[0] = dx;
    return SQN_OK;
fail:
    sqn_tensor_release(dx);
    return status;
}

/* in: x, weight, residual or NULL. */
static sqn_status check_rms_norm(sqn_call *c, sqn_tensor *const in[3], sqn_err *e) {
    char s[96], t[96];
    SQN_TRY(sqn_op_float(c, in[0], e));
    SQN_TRY(sqn_op_same_dtype(c, in[0], in[1], e));
    int64_t n = in[1]->ndim == 1 ? in[1]->shape[0] : -1;
    if (in[0]->ndim < 1 || n < 1 || in[0]->shape[in[0]->ndim - 1] != n)
        return sqn_op_fail(c, e, "x %s does not fit weight %s", sqn_tensor_describe(in[0], s),
                           sqn_tensor_describe(in[1], t));
    if (in[2] != NULL && (in[2]->dtype != in[0]->dtype || !sqn_tensor_same_shape(in[0], in[2])))
        return sqn_op_fail(c, e, "x %s and residual %s differ", sqn_tensor_describe(in[0], s),
                           sqn_tensor_describe(in[2], t));
    return SQN_OK;
}

sqn_status sqn_op_rms_norm(sqn_call *c, sqn_err *e) {
    sqn_tensor *in[3] = {c->arg[0].t, c->arg[1].t, c->arg[3].t}, *x = NULL, *r = NULL, *w = NULL,
               *h = NULL, *y = NULL, *inv = NULL;
    sqn_tensor *own = NULL;
    sqn_node *node = NULL;
    SQN_TRY(check_rms_norm(c, in, e));
    int64_t n = in[1]->shape[0], one = 1;
    int64_t rows = sqn_tensor_numel(in[0]) / n;
    sqn_status status = SQN_NOMEM;
    if ((x = sqn_tensor_as(in[0], in[0]->dtype, e)) == NULL ||
        (w = sqn_tensor_as(in[1], x->dtype, e)) == NULL ||
        (y = sqn_tensor_new(sqn_tensor_device(x), x->dtype, x->ndim, x->shape, e)) == NULL ||
        (inv = sqn_tensor_new(sqn_tensor_device(x), sqn_accumulator(x->dtype), 1,
                              rows ? &rows : &one, e)) == NULL)
        goto fail;
    if (in[2] != NULL &&
        ((r = sqn_tensor_as(in[2], x->dtype, e)) == NULL ||
         (h = sqn_tensor_new(sqn_tensor_device(x), x->dtype, x->ndim, x->shape, e)) == NULL))
        goto fail;
    sqn_k_rms_norm k = {.dtype = x->dtype,
                        .rows = rows,
                        .n = n,
                        .x = sqn_tensor_data(x),
                        .residual = r ? sqn_tensor_data(r) : NULL,
                        .weight = sqn_tensor_data(w),
                        .h = h ? sqn_tensor_data(h) : NULL,
                        .y = sqn_tensor_data(y),
                        .inv = sqn_tensor_data(inv),
                        .eps = c->arg[2].f};
    SQN_GOTO(sqn_kernel_result(sqn_tensor_kernels(x)->rms_norm(&k, NULL), c->name, x, e));
    SQN_GOTO(sqn_node_new(&node, c->name, rms_norm_back, in[2] ? 3 : 2, in, e));
    if (node != NULL) {
        own = h ? sqn_tensor_detach(h, e) : sqn_tensor_retain(x);
        status = SQN_NOMEM;
        if (own == NULL) goto fail;
        sqn_node_save(node, own);
        sqn_node_save(node, w);
        sqn_node_save(node, inv);
    }
    if (h == NULL) { /* the sum is x: one kernel adds up what comes back through both results */
        status = SQN_NOMEM;
        if ((h = sqn_tensor_detach(x, e)) == NULL) goto fail;
    }
    status = sqn_op_result(c, node, 0, y);
    sqn_op_result(c, node, 1, h);
    y = h = NULL;
fail:
    sqn_node_release(node);
    sqn_tensor_release(own);
    sqn_tensor_release(inv);
    sqn_tensor_release(y);
    sqn_tensor_release(h);
    sqn_tensor_release(r);
    sqn_tensor_release(w);
    sqn_tensor_release(x);
    return status;
}

/* ---- rope ---- */

/* y[j] (owned) = x[j] rotated, of two in one call; either may be NULL. */
static sqn_status rotate(const char *name, sqn_tensor *const x[2], sqn_tensor *positions,
                         sqn_tensor *cosine, sqn_tensor *sine, bool backward, sqn_tensor *y[2],
                         sqn_err *e) {
    const sqn_tensor *any = x[0] ? x[0] : x[1];
    sqn_k_rope k = {.dtype = any->dtype,
                    .tokens = any->shape[0],
                    .dim = any->shape[2],
                    .cosine = sqn_tensor_data(cosine),
                    .sine = sqn_tensor_data(sine),
                    .positions = sqn_tensor_data_on(positions, sqn_tensor_device(any)),
                    .backward = backward};
    for (int j = 0; j < 2; j++) {
        if (x[j] == NULL) continue;
        y[j] = sqn_tensor_new(sqn_tensor_device(any), x[j]->dtype, x[j]->ndim, x[j]->shape, e);
        if (y[j] == NULL) return SQN_NOMEM;
        k.heads[j] = x[j]->shape[1];
        k.x[j] = sqn_tensor_data(x[j]), k.y[j] = sqn_tensor_data(y[j]);
    }
    return sqn_kernel_result(sqn_tensor_kernels(any)->rope(&k, NULL), name, any, e);
}

static sqn_status rope_back(sqn_node *n, sqn_tensor *const dout[], sqn_tensor *din[], sqn_err *e) {
    sqn_tensor *d[2];
    for (int j = 0; j < 2; j++) d[j] = n->needs[j] ? dout[j] : NULL;
    if (d[0] == NULL && d[1] == NULL) return SQN_OK;
    return rotate(n->op, d, n->saved[0], n->saved[1], n->saved[2], true, din, e);
}

static sqn_status check_rope(sqn_call *c, const sqn_tensor *x, sqn_err *e) {
    const sqn_tensor *cosine = c->arg[3].t, *sine = c->arg[4].t;
    char s[96], t[96];
    SQN_TRY(sqn_op_float(c, x, e));
    bool fits = x->ndim == 3 && cosine->ndim == 2 && 2 * cosine->shape[1] == x->shape[2] &&
                sqn_tensor_same_shape(cosine, sine) && cosine->dtype == sqn_accumulator(x->dtype) &&
                sine->dtype == cosine->dtype && sqn_tensor_is_contiguous(cosine) &&
                sqn_tensor_is_contiguous(sine) && c->arg[2].t->ndim == 1 &&
                c->arg[2].t->shape[0] == x->shape[0];
    if (fits) return SQN_OK;
    return sqn_op_fail(c, e,
                       "%s does not fit tables %s (f32, f64 for f64) or the number of positions",
                       sqn_tensor_describe(x, s), sqn_tensor_describe(cosine, t));
}

sqn_status sqn_op_rope(sqn_call *c, sqn_err *e) {
    sqn_tensor *in[2] = {c->arg[0].t, c->arg[1].t}, *flat[2] = {0}, *y[2] = {0}, *positions = NULL;
    sqn_node *node = NULL;
    SQN_TRY(check_rope(c, in[0], e));
    SQN_TRY(check_rope(c, in[1], e));
    SQN_TRY(sqn_op_same_dtype(c, in[0], in[1], e));
    sqn_status status = SQN_MISUSE;
    if ((positions = sqn_op_index(c, c->arg[2].t, c->arg[3].t->shape[0], 0,
                                  sqn_tensor_device(in[0]), e)) == NULL)
        return e->code;
    for (int j = 0; j < 2; j++) {
        status = SQN_NOMEM;
        if ((flat[j] = sqn_tensor_as(in[j], in[j]->dtype, e)) == NULL) goto fail;
    }
    SQN_GOTO(rotate(c->name, flat, positions, c->arg[3].t, c->arg[4].t, false, y, e));
    SQN_GOTO(sqn_node_new(&node, c->name, rope_back, 2, in, e));
    if (node != NULL) {
        sqn_node_save(node, positions);
        sqn_node_save(node, c->arg[3].t);
        sqn_node_save(node, c->arg[4].t);
    }
    for (int j = 0; j < 2; j++) {
        sqn_op_result(c, node, j, y[j]);
        y[j] = NULL;
    }
fail:
    sqn_node_release(node);
    for (int j = 0; j < 2; j++) {
        sqn_tensor_release(flat[j]);
        sqn_tensor_release(y[j]);
    }
    sqn_tensor_release(positions);
    return status;
}

/* ---- swiglu ---- */

static sqn_status swiglu_back(sqn_node *n, sqn_tensor *const dout[], sqn_tensor *din[],
                              sqn_err *e) {
    sqn_tensor *gate = n->saved[0], *up = n->saved[1];
    for (int j = 0; j < 2; j++)
        if ((din[j] = sqn_tensor_new(sqn_tensor_device(gate), gate->dtype, gate->ndim, gate->shape,
                                     e)) == NULL)
            return SQN_NOMEM;
    sqn_k_swiglu_grad k = {gate->dtype,
                           sqn_tensor_numel(gate),
                           sqn_tensor_data(gate),
                           sqn_tensor_data(up),
                           sqn_tensor_data(dout[0]),
                           sqn_tensor_data(din[0]),
                           sqn_tensor_data(din[1])};
    return sqn_kernel_result(sqn_tensor_kernels(gate)->swiglu_grad(&k, NULL), n->op, gate, e);
}

sqn_status sqn_op_swiglu(sqn_call *c, sqn_err *e) {
    sqn_tensor *in[2] = {c->arg[0].t, c->arg[1].t}, *gate = NULL, *up = NULL, *y = NULL;
    sqn_node *node = NULL;
    char s[96], t[96];
    SQN_TRY(sqn_op_float(c, in[0], e));
    SQN_TRY(sqn_op_same_dtype(c, in[0], in[1], e));
    if (!sqn_tensor_same_shape(in[0], in[1]))
        return sqn_op_fail(c, e, "shapes differ: %s, %s", sqn_tensor_describe(in[0], s),
                           sqn_tensor_describe(in[1], t));
    sqn_status status = SQN_NOMEM;
    if ((gate = sqn_tensor_as(in[0], in[0]->dtype, e)) == NULL ||
        (up = sqn_tensor_as(in[1], gate->dtype, e)) == NULL ||
        (y = sqn_tensor_new(sqn_tensor_device(gate), gate->dtype, gate->ndim, gate->shape, e)) ==
            NULL)
        goto fail;
    sqn_k_swiglu k = {gate->dtype, sqn_tensor_numel(gate), sqn_tensor_data(gate),
                      sqn_tensor_data(up), sqn_tensor_data(y)};
    SQN_GOTO(sqn_kernel_result(sqn_tensor_kernels(gate)->swiglu(&k, NULL), c->name, gate, e));
    SQN_GOTO(sqn_node_new(&node, c->name, swiglu_back, 2, in, e));
    if (node != NULL) {
        sqn_node_save(node, gate);
        sqn_node_save(node, up);
    }
    status = sqn_op_result(c, node, 0, y);
    y = NULL;
fail:
    sqn_node_release(node);
    sqn_tensor_release(y);
    sqn_tensor_release(up);
    sqn_tensor_release(gate);
    return status;
}
