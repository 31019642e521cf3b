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
    return gives(c, sqn_op_affine_into(c->name, x, c->arg[1].f, 0, NULL, x, e));
}

/* adamw_ and adamw8_: where their arguments after the five lists of tensors stand. */
enum { ADAMW_LISTS = 5, ADAMW8_LISTS = 7, ADAMW_STEP = 5 };

/* Moments of one tensor: of the accumulator type, or codes with a scale per block. */
static sqn_status adamw_states(sqn_call *c, int64_t i, int lists, sqn_k_adamw *k, sqn_err *e) {
    const sqn_tensor *m = c->arg[2].list[i], *v = c->arg[3].list[i];
    sqn_dtype wide = sqn_accumulator(k->dtype), want = lists == ADAMW8_LISTS ? SQN_U8 : wide;
    if (m->dtype != want || v->dtype != want)
        return sqn_op_fail(c, e, "tensor %lld: moments are %s", (long long)i + 1,
                           sqn_dtype_name(want));
    k->m = sqn_tensor_data(m);
    k->v = sqn_tensor_data(v);
    int64_t blocks = (k->n + SQN_STATE_BLOCK - 1) / SQN_STATE_BLOCK;
    for (int j = 0; j < lists - ADAMW_LISTS; j++) {
        const sqn_tensor *s = c->arg[5 + j].list[i];
        if (s->dtype != SQN_F32 || sqn_tensor_numel(s) != blocks || !sqn_tensor_is_contiguous(s))
            return sqn_op_fail(c, e, "tensor %lld: scales are f32 [%lld]", (long long)i + 1,
                               (long long)blocks);
        *(j ? &k->v_scale : &k->m_scale) = sqn_tensor_data(s);
    }
    return SQN_OK;
}

static sqn_status adamw_one(sqn_call *c, int64_t i, int lists, sqn_err *e) {
    sqn_tensor *p = c->arg[0].list[i], *g = c->arg[1].list[i];
    sqn_tensor *master = c->arg[4].present ? c->arg[4].list[i] : NULL;
    int64_t n = sqn_tensor_numel(p), seed = c->arg[lists + 7].i;
    const sqn_tensor *all[5] = {p, g, c->arg[2].list[i], c->arg[3].list[i], master ? master : p};
    for (int j = 0; j < 5; j++)
        if (sqn_tensor_numel(all[j]) != n || !sqn_tensor_is_contiguous(all[j]))
            return sqn_op_fail(c, e, "tensor %lld: sizes differ or elements do not lie in order",
                               (long long)i + 1);
    if (master && master != p && master->dtype != SQN_F32)
        return sqn_op_fail(c, e, "tensor %lld: master weights are f32", (long long)i + 1);
    const sqn_arg *number = &c->arg[lists];
    sqn_k_adamw k = {.dtype = p->dtype,
                     .grad_dtype = g->dtype,
                     .n = n,
                     .step = number[ADAMW_STEP].i,
                     .param = sqn_tensor_data(p),
                     .master = master ? sqn_tensor_data(master) : NULL,
                     .grad = sqn_tensor_data(g),
                     .lr = number[0].f,
                     .beta1 = number[1].f,
                     .beta2 = number[2].f,
                     .eps = number[3].f,
                     .weight_decay = number[4].f,
                     .grad_scale = number[6].f,
                     .stochastic = seed >= 0 && p->dtype == SQN_BF16 && master == NULL,
                     .seed = (uint64_t)seed,
                     .stream = (uint64_t)(number[8].i + i),
                     .offset = (uint64_t)number[ADAMW_STEP].i << 40}; /* 2^43 elements a step */
    SQN_TRY(adamw_states(c, i, lists, &k, e));
    p->storage->version++;
    return sqn_kernel_result(sqn_tensor_kernels(p)->adamw(&k, NULL), c->name, p, e);
}

static sqn_status adamw(sqn_call *c, int lists, sqn_err *e) {
    int64_t n = c->arg[0].count;
    for (int j = 1; j < lists; j++)
        if ((j != 4 || c->arg[j].present) && c->arg[j].count != n)
            return sqn_op_fail(c, e, "the lists have different lengths");
    int64_t step = c->arg[lists + ADAMW_STEP].i;
    if (step < 1) return sqn_op_fail(c, e, "step counts from 1, got %lld", (long long)step);
    for (int64_t i = 0; i < n; i++) SQN_TRY(adamw_one(c, i, lists, e));
    return SQN_OK;
}

sqn_status sqn_op_adamw_(sqn_call *c, sqn_err *e) { return adamw(c, ADAMW_LISTS, e); }
sqn_status sqn_op_adamw8_(sqn_call *c, sqn_err *e) { return adamw(c, ADAMW8_LISTS, e); }

/* y = sqrt(sum of x), f64. */
static sqn_status root_of_sum(const char *name, const sqn_tensor *x, sqn_tensor *y, sqn_err *e) {
    sqn_k_map root = {.op = SQN_MAP_SQRT,
                      .dtype = SQN_F64,
                      .n = 1,
                      .x = sqn_tensor_data(y),
                      .y = sqn_tensor_data(y)};
    SQN_TRY(sqn_op_total(name, x, y, e));
    return sqn_kernel_result(sqn_tensor_kernels(y)->map(&root, NULL), name, y, e);
}

/* squares[i] (f64, on the first tensor's device) = the sum of the squares of tensor i. */
static sqn_status sums_of_squares(sqn_call *c, sqn_tensor *squares, sqn_err *e) {
    for (int64_t i = 0; i < c->arg[0].count; i++) {
        sqn_tensor *x = c->arg[0].list[i];
        SQN_TRY(sqn_op_float(c, x, e));
        SQN_TRY(sqn_op_same_device(c, squares, x, e));
        if (!sqn_tensor_is_contiguous(x))
            return sqn_op_fail(c, e, "tensor %lld does not lie in order", (long long)i + 1);
        sqn_k_norm_sq k = {x->dtype, sqn_tensor_numel(x), sqn_tensor_data(x),
                           (double *)sqn_tensor_data(squares) + i};
        SQN_TRY(sqn_kernel_result(sqn_tensor_kernels(x)->norm_sq(&k, NULL), c->name, x, e));
    }
    return SQN_OK;
}

sqn_status sqn_op_global_norm(sqn_call *c, sqn_err *e) {
    int64_t n = c->arg[0].count;
    const int device = n > 0 ? sqn_tensor_device(c->arg[0].list[0]) : SQN_CPU;
    sqn_tensor *squares = sqn_tensor_new(device, SQN_F64, 1, &n, e);
    sqn_tensor *y = sqn_tensor_new(device, SQN_F64, 0, NULL, e);
    sqn_status status = squares && y ? sums_of_squares(c, squares, e) : SQN_NOMEM;
    if (status == SQN_OK) status = root_of_sum(c->name, squares, y, e);
    sqn_tensor_release(squares);
    if (status == SQN_OK) return sqn_op_result(c, NULL, 0, y);
    sqn_tensor_release(y);
    return status;
}
