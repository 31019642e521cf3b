/* Operators that write into their argument, and the optimiser's. Off the tape. */
#include <math.h>

#include "tensor/ops.h"

static sqn_status gives(sqn_call *c, sqn_status status) {
    return status == SQN_OK ? sqn_op_result(c, NULL, 0, sqn_tensor_retain(c->arg[0].t)) : status;
}

sqn_status sqn_op_copy_(sqn_call *c, sqn_err *e) {
    return gives(c, sqn_tensor_copy(c->arg[0].t, c->arg[1].t, false, e));
}
sqn_status sqn_op_fill_(sqn_call *c, sqn_err *e) {
    char text[96];
    sqn_tensor *x = c->arg[0].t;
    if (!sqn_dtype_is_float(x->dtype) && c->arg[1].f != trunc(c->arg[1].f))
        return sqn_op_fail(c, e, "%g does not fit %s", c->arg[1].f, sqn_tensor_describe(x, text));
    return gives(c, sqn_tensor_fill(x, c->arg[1].f, e));
}

sqn_status sqn_op_scale_(sqn_call *c, sqn_err *e) {
    sqn_tensor *x = c->arg[0].t;
    SQN_TRY(sqn_op_float(c, x, e));
    if (!sqn_tensor_is_contiguous(x)) return sqn_op_fail(c, e, "the elements do not lie in order");
    sqn_k_map k = {
        SQN_MAP_AFFINE, x->dtype, sqn_tensor_numel(x), sqn_tensor_data(x), sqn_tensor_data(x),
        c->arg[1].f,    0};
    x->storage->version++;
    return gives(c, sqn_kernel_result(sqn_tensor_kernels(x)->map(&k, NULL), c->name, x, e));
}

static sqn_status adamw_one(sqn_call *c, int64_t i, sqn_err *e) {
    sqn_tensor *p = c->arg[0].list[i], *g = c->arg[1].list[i], *m = c->arg[2].list[i],
               *v = c->arg[3].list[i];
    sqn_tensor *master = c->arg[4].present ? c->arg[4].list[i] : NULL;
    sqn_dtype wide = sqn_accumulator(p->dtype);
    int64_t n = sqn_tensor_numel(p);
    const sqn_tensor *all[5] = {p, g, m, v, master ? master : p};
    for (int j = 0; j < 5; j++)
        if (sqn_tensor_numel(all[j]) != n || !sqn_tensor_is_contiguous(all[j]))
            return sqn_op_fail(c, e, "tensor %lld: sizes differ or elements do not lie in order",
                               (long long)i + 1);
    if (m->dtype != wide || v->dtype != wide || (master && master->dtype != SQN_F32))
        return sqn_op_fail(c, e, "tensor %lld: moments are %s, master weights f32",
                           (long long)i + 1, sqn_dtype_name(wide));
    sqn_k_adamw k = {.dtype = p->dtype,
                     .grad_dtype = g->dtype,
                     .n = n,
                     .step = c->arg[10].i,
                     .param = sqn_tensor_data(p),
                     .master = master ? sqn_tensor_data(master) : NULL,
                     .grad = sqn_tensor_data(g),
                     .m = sqn_tensor_data(m),
                     .v = sqn_tensor_data(v),
                     .lr = c->arg[5].f,
                     .beta1 = c->arg[6].f,
                     .beta2 = c->arg[7].f,
                     .eps = c->arg[8].f,
                     .weight_decay = c->arg[9].f,
                     .grad_scale = c->arg[11].f};
    p->storage->version++;
    return sqn_kernel_result(sqn_tensor_kernels(p)->adamw(&k, NULL), c->name, p, e);
}

sqn_status sqn_op_adamw_(sqn_call *c, sqn_err *e) {
    int64_t n = c->arg[0].count;
    for (int j = 1; j < 5; j++)
        if ((j < 4 || c->arg[j].present) && c->arg[j].count != n)
            return sqn_op_fail(c, e, "the lists have different lengths");
    if (c->arg[10].i < 1)
        return sqn_op_fail(c, e, "step counts from 1, got %lld", (long long)c->arg[10].i);
    for (int64_t i = 0; i < n; i++) SQN_TRY(adamw_one(c, i, e));
    return SQN_OK;
}

sqn_status sqn_op_global_norm(sqn_call *c, sqn_err *e) {
    double sum = 0;
    for (int64_t i = 0; i < c->arg[0].count; i++) {
        sqn_tensor *x = c->arg[0].list[i];
        double one = 0;
        SQN_TRY(sqn_op_float(c, x, e));
        if (!sqn_tensor_is_contiguous(x))
            return sqn_op_fail(c, e, "tensor %lld does not lie in order", (long long)i + 1);
        sqn_k_norm_sq k = {x->dtype, sqn_tensor_numel(x), sqn_tensor_data(x), &one};
        SQN_TRY(sqn_kernel_result(sqn_tensor_kernels(x)->norm_sq(&k, NULL), c->name, x, e));
        sum += one;
    }
    sqn_tensor *y = sqn_tensor_new(SQN_F64, 0, NULL, e);
    if (y != NULL) sqn_tensor_set(y, 0, sqrt(sum));
    return sqn_op_result(c, NULL, 0, y);
}
