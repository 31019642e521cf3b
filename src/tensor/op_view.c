/* Operators that only look at the same bytes another way, and conversions. */
#include <string.h>

#include "tensor/ops.h"

/* A view on the tape: backward gets the old shape from the saved description in node->i. */
static sqn_status finish(sqn_call *c, sqn_backward backward, sqn_tensor *x, sqn_tensor *view,
                         const int64_t *numbers, int count, sqn_err *e) {
    sqn_node *node = NULL;
    if (view == NULL) return SQN_NOMEM;
    sqn_status status = sqn_node_new(&node, c->name, backward, 1, &x, e);
    if (status != SQN_OK) {
        sqn_tensor_release(view);
        return status;
    }
    if (node != NULL) memcpy(node->i, numbers, (size_t)count * sizeof *numbers);
    status = sqn_op_result(c, node, 0, view);
    sqn_node_release(node);
    return status;
}

/* node->i: the input's shape. Serves reshape and, through copies, contiguous. */
static sqn_status reshape_back(sqn_node *n, sqn_tensor *const dout[], sqn_tensor *din[],
                               sqn_err *e) {
    int ndim = (int)n->f[0];
    din[0] = sqn_tensor_view(dout[0], ndim, n->i, NULL, dout[0]->offset, e);
    return din[0] ? SQN_OK : SQN_NOMEM;
}

static sqn_status reshaped(sqn_call *c, sqn_tensor *x, int ndim, const int64_t *shape, sqn_err *e) {
    sqn_node *node = NULL;
    sqn_tensor *flat = sqn_tensor_as(x, x->dtype, e);
    if (flat == NULL) return SQN_NOMEM;
    sqn_tensor *view = sqn_tensor_view(flat, ndim, shape, NULL, flat->offset, e);
    sqn_tensor_release(flat);
    if (view == NULL) return SQN_NOMEM;
    sqn_status status = sqn_node_new(&node, c->name, reshape_back, 1, &x, e);
    if (status != SQN_OK) {
        sqn_tensor_release(view);
        return status;
    }
    if (node != NULL) {
        memcpy(node->i, x->shape, sizeof node->i);
        node->f[0] = x->ndim;
    }
    status = sqn_op_result(c, node, 0, view);
    sqn_node_release(node);
    return status;
}

sqn_status sqn_op_reshape(sqn_call *c, sqn_err *e) {
    sqn_tensor *x = c->arg[0].t;
    int64_t shape[SQN_MAX_DIMS], known = 1, n = sqn_tensor_numel(x);
    int ndim = (int)c->arg[1].count, unknown = -1;
    char text[96];
    if (ndim > SQN_MAX_DIMS) return sqn_op_fail(c, e, "at most %d dimensions", SQN_MAX_DIMS);
    for (int d = 0; d < ndim; d++) {
        shape[d] = c->arg[1].ints[d];
        if (shape[d] == -1 && unknown < 0)
            unknown = d;
        else if (shape[d] < 0 || __builtin_mul_overflow(known, shape[d], &known))
            return sqn_op_fail(c, e, "size %lld of dimension %d", (long long)shape[d], d + 1);
    }
    if (unknown >= 0) shape[unknown] = known > 0 ? n / known : 0;
    if (unknown >= 0) known *= shape[unknown];
    if (known != n)
        return sqn_op_fail(c, e, "%s has %lld elements, the new shape %lld",
                           sqn_tensor_describe(x, text), (long long)n, (long long)known);
    return reshaped(c, x, ndim, shape, e);
}

sqn_status sqn_op_contiguous(sqn_call *c, sqn_err *e) {
    sqn_tensor *x = c->arg[0].t;
    return reshaped(c, x, x->ndim, x->shape, e);
}

/* node->i: where each dimension of the input went. */
static sqn_status permute_back(sqn_node *n, sqn_tensor *const dout[], sqn_tensor *din[],
                               sqn_err *e) {
    const sqn_tensor *d = dout[0];
    int64_t shape[SQN_MAX_DIMS], stride[SQN_MAX_DIMS];
    for (int k = 0; k < d->ndim; k++) {
        shape[n->i[k]] = d->shape[k];
        stride[n->i[k]] = d->stride[k];
    }
    din[0] = sqn_tensor_view(d, d->ndim, shape, stride, d->offset, e);
    return din[0] ? SQN_OK : SQN_NOMEM;
}

static sqn_status permuted(sqn_call *c, sqn_tensor *x, const int64_t *order, sqn_err *e) {
    int64_t shape[SQN_MAX_DIMS], stride[SQN_MAX_DIMS];
    for (int d = 0; d < x->ndim; d++) {
        shape[d] = x->shape[order[d]];
        stride[d] = x->stride[order[d]];
    }
    return finish(c, permute_back, x, sqn_tensor_view(x, x->ndim, shape, stride, x->offset, e),
                  order, x->ndim, e);
}

sqn_status sqn_op_permute(sqn_call *c, sqn_err *e) {
    sqn_tensor *x = c->arg[0].t;
    int64_t order[SQN_MAX_DIMS];
    unsigned seen = 0;
    if (c->arg[1].count != x->ndim) return sqn_op_fail(c, e, "%d dimensions to name", x->ndim);
    for (int d = 0; d < x->ndim; d++) {
        int at;
        int64_t named = c->arg[1].ints[d];
        SQN_TRY(sqn_op_dim(c, x, named > 0 ? named - 1 : named, &at, e));
        order[d] = at;
        seen |= 1u << at;
    }
    if (seen != (1u << x->ndim) - 1) return sqn_op_fail(c, e, "every dimension must be named once");
    return permuted(c, x, order, e);
}

sqn_status sqn_op_transpose(sqn_call *c, sqn_err *e) {
    sqn_tensor *x = c->arg[0].t;
    int64_t order[SQN_MAX_DIMS] = {0, 1, 2, 3, 4, 5};
    int a, b;
    SQN_TRY(sqn_op_dim(c, x, c->arg[1].i, &a, e));
    SQN_TRY(sqn_op_dim(c, x, c->arg[2].i, &b, e));
    order[a] = b;
    order[b] = a;
    return permuted(c, x, order, e);
}

static sqn_status expand_back(sqn_node *n, sqn_tensor *const dout[], sqn_tensor *din[],
                              sqn_err *e) {
    return sqn_op_sum_to(dout[0], (int)n->f[0], n->i, &din[0], e);
}

sqn_status sqn_op_expand(sqn_call *c, sqn_err *e) {
    sqn_tensor *x = c->arg[0].t;
    int64_t shape[SQN_MAX_DIMS], stride[SQN_MAX_DIMS];
    int ndim = (int)c->arg[1].count, lead = ndim - x->ndim;
    char text[96];
    if (ndim > SQN_MAX_DIMS || lead < 0) return sqn_op_fail(c, e, "%d dimensions", ndim);
    for (int d = 0; d < ndim; d++) {
        int64_t have = d < lead ? 1 : x->shape[d - lead], want = c->arg[1].ints[d];
        shape[d] = want == -1 ? have : want;
        stride[d] = have == 1 && shape[d] != 1 ? 0 : d < lead ? 0 : x->stride[d - lead];
        if (have != 1 && have != shape[d])
            return sqn_op_fail(c, e, "%s does not repeat to size %lld in dimension %d",
                               sqn_tensor_describe(x, text), (long long)shape[d], d + 1);
    }
    sqn_node *node = NULL;
    SQN_TRY(sqn_node_new(&node, c->name, expand_back, 1, &x, e));
    if (node != NULL) {
        memcpy(node->i, x->shape, sizeof node->i);
        node->f[0] = x->ndim;
    }
    sqn_status status =
        sqn_op_result(c, node, 0, sqn_tensor_view(x, ndim, shape, stride, x->offset, e));
    sqn_node_release(node);
    return status;
}

/* A zero gradient of the input's shape with dout copied into the part that was looked at. Saved:
 * the input's shape through a view that holds no bytes worth mentioning is not possible, so the
 * shape stands in node->i and the part in node->f. */
static sqn_status narrow_back(sqn_node *n, sqn_tensor *const dout[], sqn_tensor *din[],
                              sqn_err *e) {
    int ndim = (int)n->f[0], dim = (int)n->f[1];
    int64_t first = (int64_t)n->f[2], part[SQN_MAX_DIMS];
    bool selected = n->f[3] != 0;
    sqn_tensor *d = sqn_tensor_zeros(sqn_tensor_device(dout[0]), dout[0]->dtype, ndim, n->i, e);
    if (d == NULL) return SQN_NOMEM;
    memcpy(part, n->i, sizeof part);
    part[dim] = selected ? 1 : dout[0]->shape[dim];
    sqn_tensor *window = sqn_tensor_view(d, ndim, part, d->stride, first * d->stride[dim], e);
    sqn_tensor *source =
        window ? sqn_tensor_view(dout[0], ndim, part, NULL, dout[0]->offset, e) : NULL;
    sqn_status status = source ? sqn_tensor_copy(window, source, false, e) : SQN_NOMEM;
    sqn_tensor_release(source);
    sqn_tensor_release(window);
    din[0] = d;
    return status;
}

static sqn_status narrowed(sqn_call *c, sqn_tensor *x, int dim, int64_t first, int64_t count,
                           bool selected, sqn_err *e) {
    int64_t shape[SQN_MAX_DIMS], stride[SQN_MAX_DIMS];
    char text[96];
    if (first < 0 || count < 0 || first > x->shape[dim] - count)
        return sqn_op_fail(c, e, "places %lld to %lld of dimension %d in %s", (long long)first + 1,
                           (long long)(first + count), dim + 1, sqn_tensor_describe(x, text));
    int ndim = 0;
    for (int d = 0; d < x->ndim; d++) {
        if (selected && d == dim) continue;
        shape[ndim] = d == dim ? count : x->shape[d];
        stride[ndim++] = x->stride[d];
    }
    sqn_node *node = NULL;
    SQN_TRY(sqn_node_new(&node, c->name, narrow_back, 1, &x, e));
    if (node != NULL) {
        memcpy(node->i, x->shape, sizeof node->i);
        node->f[0] = x->ndim;
        node->f[1] = dim;
        node->f[2] = (double)first;
        node->f[3] = selected;
    }
    sqn_status status = sqn_op_result(
        c, node, 0, sqn_tensor_view(x, ndim, shape, stride, x->offset + first * x->stride[dim], e));
    sqn_node_release(node);
    return status;
}

sqn_status sqn_op_narrow(sqn_call *c, sqn_err *e) {
    int dim;
    SQN_TRY(sqn_op_dim(c, c->arg[0].t, c->arg[1].i, &dim, e));
    return narrowed(c, c->arg[0].t, dim, c->arg[2].i - 1, c->arg[3].i, false, e);
}

sqn_status sqn_op_select(sqn_call *c, sqn_err *e) {
    int dim;
    SQN_TRY(sqn_op_dim(c, c->arg[0].t, c->arg[1].i, &dim, e));
    return narrowed(c, c->arg[0].t, dim, c->arg[2].i - 1, 1, true, e);
}

/* node->i: the input's dtype and device. */
static sqn_status to_back(sqn_node *n, sqn_tensor *const dout[], sqn_tensor *din[], sqn_err *e) {
    sqn_tensor *d = sqn_tensor_as(dout[0], (sqn_dtype)n->i[0], e);
    din[0] = d ? sqn_tensor_on(d, (int)n->i[1], e) : NULL;
    sqn_tensor_release(d);
    return din[0] ? SQN_OK : e->code;
}

/* A word of the call: a dtype or a device. */
static sqn_status read_target(const sqn_call *c, const char *word, sqn_dtype *dtype, int *device,
                              sqn_err *e) {
    const sqn_dtype named = sqn_dtype_parse(word);
    if (named != SQN_DTYPE_COUNT) {
        *dtype = named;
        return SQN_OK;
    }
    if (strncmp(word, "cpu", 3) == 0 || strncmp(word, "cuda", 4) == 0)
        return sqn_device_parse(word, device, e);
    return sqn_op_fail(c, e, "no dtype '%s' (f32, bf16, f16, f64, i64, i32, u8)", word);
}

sqn_status sqn_op_to(sqn_call *c, sqn_err *e) {
    sqn_tensor *x = c->arg[0].t;
    sqn_dtype dtype = x->dtype;
    int device = sqn_tensor_device(x);
    for (int at = 1; at <= 2; at++)
        if (c->arg[at].present) SQN_TRY(read_target(c, c->arg[at].text, &dtype, &device, e));
    const int64_t from[2] = {x->dtype, sqn_tensor_device(x)};
    sqn_tensor *y = sqn_tensor_new(device, dtype, x->ndim, x->shape, e);
    if (y == NULL) return SQN_NOMEM;
    sqn_status status = sqn_tensor_copy(y, x, false, e);
    if (status != SQN_OK) {
        sqn_tensor_release(y);
        return status;
    }
    if (!sqn_dtype_is_float(dtype)) return sqn_op_result(c, NULL, 0, y);
    return finish(c, to_back, x, y, from, 2, e);
}

static sqn_status cat_back(sqn_node *n, sqn_tensor *const dout[], sqn_tensor *din[], sqn_err *e) {
    int dim = (int)n->i[0];
    const sqn_tensor *d = dout[0];
    int64_t at = 0;
    for (int k = 0; k < n->inputs; k++) {
        sqn_tensor *like = n->saved[0]; /* i64 [inputs]: sizes along dim */
        int64_t shape[SQN_MAX_DIMS], size = sqn_tensor_get_integer(like, k);
        memcpy(shape, d->shape, sizeof shape);
        shape[dim] = size;
        if (n->needs[k]) {
            din[k] =
                sqn_tensor_view(d, d->ndim, shape, d->stride, d->offset + at * d->stride[dim], e);
            if (din[k] == NULL) return SQN_NOMEM;
        }
        at += size;
    }
    return SQN_OK;
}

sqn_status sqn_op_cat(sqn_call *c, sqn_err *e) {
    int64_t count = c->arg[0].count, shape[SQN_MAX_DIMS], total = 0;
    sqn_tensor *const *list = c->arg[0].list, *y = NULL, *sizes = NULL, *part = NULL;
    sqn_node *node = NULL;
    int dim;
    if (count < 1 || count > 64)
        return sqn_op_fail(c, e, "1 to 64 tensors, got %lld", (long long)count);
    SQN_TRY(sqn_op_dim(c, list[0], c->arg[1].i, &dim, e));
    for (int64_t k = 0; k < count; k++) {
        SQN_TRY(sqn_op_same_dtype(c, list[0], list[k], e));
        for (int d = 0; d < list[0]->ndim; d++)
            if (list[k]->ndim != list[0]->ndim ||
                (d != dim && list[k]->shape[d] != list[0]->shape[d]))
                return sqn_op_fail(c, e, "tensor %lld has another shape", (long long)k + 1);
        total += list[k]->shape[dim];
    }
    memcpy(shape, list[0]->shape, sizeof shape);
    shape[dim] = total;
    sqn_status status = SQN_NOMEM;
    y = sqn_tensor_new(sqn_tensor_device(list[0]), list[0]->dtype, list[0]->ndim, shape, e);
    sizes = sqn_tensor_new(SQN_CPU, SQN_I64, 1, &count, e);
    if (y == NULL || sizes == NULL) goto fail;
    int64_t at = 0;
    for (int64_t k = 0; k < count; k++) {
        sqn_tensor_set_integer(sizes, k, list[k]->shape[dim]);
        part = sqn_tensor_view(y, y->ndim, list[k]->shape, y->stride, at * y->stride[dim], e);
        if (part == NULL) goto fail;
        status = sqn_tensor_copy(part, list[k], false, e);
        sqn_tensor_release(part);
        if (status != SQN_OK) goto fail;
        at += list[k]->shape[dim];
        status = SQN_NOMEM;
    }
    SQN_GOTO(sqn_node_new(&node, c->name, cat_back, (int)count, list, e));
    if (node != NULL) {
        node->i[0] = dim;
        sqn_node_save(node, sizes);
    }
    status = sqn_op_result(c, node, 0, y);
    y = NULL;
fail:
    sqn_node_release(node);
    sqn_tensor_release(sizes);
    sqn_tensor_release(y);
    return status;
}
