/* The table of operators and what their files share: see ops.h. */
#include <stdarg.h>
#include <stdio.h>

#include "tensor/ops.h"
#include "tensor/recording.h"

#define DIFF true
#define FIXED false
const sqn_op_info sqn_op_list[SQN_OP_COUNT] = {
#define OP(name, outputs, signature, grad, doc) \
    {#name, signature, doc, outputs, grad, sqn_op_##name},
#include "tensor/ops.def"
#undef OP
};

sqn_status sqn_op_fail(const sqn_call *c, sqn_err *e, const char *format, ...) {
    char text[400];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return SQN_FAIL(e, SQN_MISUSE, "%s: %s", c->name, text);
}

sqn_status sqn_op_float(const sqn_call *c, const sqn_tensor *x, sqn_err *e) {
    char text[96];
    if (x->dtype == SQN_F32 || x->dtype == SQN_BF16 || x->dtype == SQN_F64) return SQN_OK;
    return sqn_op_fail(c, e, "wants f32, bf16 or f64, got %s", sqn_tensor_describe(x, text));
}

sqn_status sqn_op_same_dtype(const sqn_call *c, const sqn_tensor *a, const sqn_tensor *b,
                             sqn_err *e) {
    char s[96], t[96];
    if (a->dtype != b->dtype)
        return sqn_op_fail(c, e, "dtypes differ: %s, %s", sqn_tensor_describe(a, s),
                           sqn_tensor_describe(b, t));
    return sqn_op_same_device(c, a, b, e);
}

sqn_status sqn_op_same_device(const sqn_call *c, const sqn_tensor *a, const sqn_tensor *b,
                              sqn_err *e) {
    char s[96], t[96], u[16], v[16];
    const int of_a = sqn_tensor_device(a), of_b = sqn_tensor_device(b);
    if (of_a == of_b) return SQN_OK;
    return sqn_op_fail(c, e, "devices differ: %s on %s, %s on %s", sqn_tensor_describe(a, s),
                       sqn_device_name(of_a, u), sqn_tensor_describe(b, t),
                       sqn_device_name(of_b, v));
}

sqn_status sqn_op_dim(const sqn_call *c, const sqn_tensor *x, int64_t dim, int *out, sqn_err *e) {
    char text[96];
    int64_t d = dim < 0 ? dim + x->ndim : dim;
    if (d < 0 || d >= x->ndim)
        return sqn_op_fail(c, e, "no dimension %lld in %s", (long long)(dim < 0 ? dim : dim + 1),
                           sqn_tensor_describe(x, text));
    *out = (int)d;
    return SQN_OK;
}

sqn_dtype sqn_accumulator(sqn_dtype t) { return t == SQN_F64 ? SQN_F64 : SQN_F32; }

sqn_tensor *sqn_op_index(const sqn_call *c, sqn_tensor *x, int64_t limit, int64_t also, int device,
                         sqn_err *e) {
    char text[96];
    if (x->dtype != SQN_I64 && x->dtype != SQN_I32) {
        sqn_op_fail(c, e, "indexes are i64 or i32, got %s", sqn_tensor_describe(x, text));
        return NULL;
    }
    if (x->dtype == SQN_I64 && sqn_tensor_device(x) == device && sqn_recording_is_open(device))
        return sqn_tensor_as(x, SQN_I64, e);
    sqn_tensor *near = sqn_tensor_on(x, SQN_CPU, e);
    sqn_tensor *index = near ? sqn_tensor_as(near, SQN_I64, e) : NULL;
    sqn_tensor_release(near);
    if (index == NULL) return NULL;
    const int64_t *v = sqn_tensor_data(index);
    for (int64_t i = 0, n = sqn_tensor_numel(index); i < n; i++) {
        if ((v[i] >= 0 && v[i] < limit) || v[i] == also) continue;
        sqn_op_fail(c, e, "index %lld (place %lld) is not below %lld", (long long)v[i],
                    (long long)i + 1, (long long)limit);
        sqn_tensor_release(index);
        return NULL;
    }
    if (sqn_tensor_mirror(index, device, e) == SQN_OK) return index;
    sqn_tensor_release(index);
    return NULL;
}

sqn_tensor *sqn_op_guarded_index(const sqn_call *c, sqn_tensor *x, int64_t limit, int64_t also,
                                 int device, sqn_err *e) {
    if (device != SQN_CPU && x->dtype == SQN_I64 && sqn_tensor_device(x) == device)
        return sqn_tensor_as(x, SQN_I64, e);
    return sqn_op_index(c, x, limit, also, device, e);
}

sqn_status sqn_op_affine_into(const char *name, const sqn_tensor *x, double alpha, double beta,
                              const sqn_tensor *factor, sqn_tensor *y, sqn_err *e) {
    sqn_k_map k = {.op = SQN_MAP_AFFINE,
                   .dtype = x->dtype,
                   .n = sqn_tensor_numel(x),
                   .x = sqn_tensor_data(x),
                   .y = sqn_tensor_data(y),
                   .alpha = alpha,
                   .beta = beta,
                   .alpha_at = factor ? sqn_tensor_data(factor) : NULL};
    y->storage->version++;
    return sqn_kernel_result(sqn_tensor_kernels(x)->map(&k, NULL), name, x, e);
}

sqn_status sqn_op_total(const char *name, const sqn_tensor *x, sqn_tensor *y, sqn_err *e) {
    sqn_k_reduce k = {SQN_REDUCE_SUM,
                      x->dtype,
                      1,
                      sqn_tensor_numel(x),
                      1,
                      sqn_tensor_data(x),
                      sqn_tensor_data(y),
                      1.0,
                      0,
                      0};
    return sqn_kernel_result(sqn_tensor_kernels(x)->reduce(&k, NULL), name, x, e);
}

sqn_tensor *sqn_op_shape_only(const sqn_tensor *x, sqn_err *e) {
    int64_t one = 1, zero[SQN_MAX_DIMS] = {0};
    sqn_tensor *dot = sqn_tensor_new(SQN_CPU, SQN_U8, 1, &one, e);
    sqn_tensor *like = dot ? sqn_tensor_view(dot, x->ndim, x->shape, zero, 0, e) : NULL;
    sqn_tensor_release(dot);
    return like;
}

sqn_status sqn_op_result(sqn_call *c, sqn_node *node, int place, sqn_tensor *out) {
    if (out == NULL) return SQN_NOMEM;
    if (node != NULL) sqn_node_output(node, out);
    c->out[place] = out;
    return SQN_OK;
}
