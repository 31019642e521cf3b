/* Operators that write into their argument, and the optimiser's. Off the tape. */
#include <math.h>

#include "core/alloc.h"
#include "tensor/ops.h"

static sqn_status gives(sqn_call *c, sqn_status status) {
    return status == SQN_OK ? sqn_op_result(c, NULL, 0, sqn_tensor_retain(c->arg[0].t)) : status;
}

sqn_status sqn_op_copy_(sqn_call *c, sqn_err *e) {
    return gives(c, sqn_tensor_copy(c->arg[0].t, c->arg[1].t, false, e));
}
sqn_status sqn_op_add_(sqn_call *c, sqn_err *e) {
    SQN_TRY(sqn_op_float(c, c->arg[0].t, e));
    SQN_TRY(sqn_op_float(c, c->arg[1].t, e));
    return gives(c, sqn_tensor_copy(c->arg[0].t, c->arg[1].t, true, e));
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

/* adamw_ and adamw8_: where their arguments after the lists of tensors stand. */
enum { ADAMW_LISTS = 5, ADAMW8_LISTS = 7 };
enum { LR, BETA1, BETA2, EPS, WEIGHT_DECAY, STEP, GRAD_SCALE, SEED, STREAM, FACTOR };

/* Moments of one tensor: of the accumulator type, or codes with a scale per block. */
static sqn_status adamw_states(sqn_call *c, int64_t i, int lists, sqn_k_adamw_tensor *k,
                               sqn_err *e) {
    const sqn_tensor *m = c->arg[2].list[i], *v = c->arg[3].list[i];
    sqn_dtype wide = sqn_accumulator(c->arg[0].list[i]->dtype);
    sqn_dtype want = lists == ADAMW8_LISTS ? SQN_U8 : wide;
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

/* Master weights of tensor i; NULL: it has none. */
static sqn_tensor *master_of(const sqn_call *c, int64_t i) {
    sqn_tensor *master = c->arg[4].present ? c->arg[4].list[i] : NULL;
    return master != c->arg[0].list[i] ? master : NULL;
}

static sqn_status adamw_tensor(sqn_call *c, int64_t i, int lists, sqn_k_adamw_tensor *k,
                               sqn_err *e) {
    sqn_tensor *p = c->arg[0].list[i], *g = c->arg[1].list[i], *master = master_of(c, i);
    int64_t n = sqn_tensor_numel(p);
    const sqn_tensor *all[5] = {p, g, c->arg[2].list[i], c->arg[3].list[i], master ? master : p};
    SQN_TRY(sqn_op_float(c, p, e));
    for (int j = 0; j < 5; j++)
        if (sqn_tensor_numel(all[j]) != n || !sqn_tensor_is_contiguous(all[j]))
            return sqn_op_fail(c, e, "tensor %lld: sizes differ or elements do not lie in order",
                               (long long)i + 1);
    if (g->dtype != p->dtype && !(p->dtype == SQN_BF16 && g->dtype == SQN_F32))
        return sqn_op_fail(c, e, "tensor %lld: %s has no gradient in %s", (long long)i + 1,
                           sqn_dtype_name(p->dtype), sqn_dtype_name(g->dtype));
    if (master != NULL && master->dtype != SQN_F32)
        return sqn_op_fail(c, e, "tensor %lld: master weights are f32", (long long)i + 1);
    *k = (sqn_k_adamw_tensor){.n = n,
                              .param = sqn_tensor_data(p),
                              .master = master ? sqn_tensor_data(master) : NULL,
                              .grad = sqn_tensor_data(g),
                              .stream = (uint64_t)(c->arg[lists + STREAM].i + i)};
    return adamw_states(c, i, lists, k, e);
}

/* Tensors first to last - 1, which are of one kind. */
static sqn_status adamw_some(sqn_call *c, int lists, const sqn_k_adamw_tensor *tensors,
                             int64_t first, int64_t last, sqn_err *e) {
    const sqn_arg *number = &c->arg[lists];
    const sqn_tensor *p = c->arg[0].list[first], *factor = number[FACTOR].t;
    sqn_k_adamw k = {.dtype = p->dtype,
                     .grad_dtype = c->arg[1].list[first]->dtype,
                     .count = last - first,
                     .step = number[STEP].i,
                     .tensors = tensors + first,
                     .lr = number[LR].f,
                     .beta1 = number[BETA1].f,
                     .beta2 = number[BETA2].f,
                     .eps = number[EPS].f,
                     .weight_decay = number[WEIGHT_DECAY].f,
                     .grad_scale = number[GRAD_SCALE].f,
                     .grad_scale_at = factor ? sqn_tensor_data(factor) : NULL,
                     .stochastic = number[SEED].i >= 0 && p->dtype == SQN_BF16 &&
                                   tensors[first].master == NULL,
                     .seed = (uint64_t)number[SEED].i,
                     .offset = (uint64_t)number[STEP].i << 40}; /* 2^43 elements a step */
    for (int64_t i = first; i < last; i++) c->arg[0].list[i]->storage->version++;
    return sqn_kernel_result(sqn_tensor_kernels(p)->adamw(&k, NULL), c->name, p, e);
}

static bool same_kind(const sqn_call *c, const sqn_k_adamw_tensor *tensors, int64_t i, int64_t j) {
    return c->arg[0].list[i]->dtype == c->arg[0].list[j]->dtype &&
           c->arg[1].list[i]->dtype == c->arg[1].list[j]->dtype &&
           (tensors[i].master == NULL) == (tensors[j].master == NULL);
}

static sqn_status adamw_all(sqn_call *c, int lists, sqn_k_adamw_tensor *tensors, sqn_err *e) {
    const int64_t n = c->arg[0].count;
    for (int64_t i = 0; i < n; i++) SQN_TRY(adamw_tensor(c, i, lists, &tensors[i], e));
    for (int64_t first = 0, i = 1; first < n; i++) {
        if (i < n && same_kind(c, tensors, first, i)) continue;
        SQN_TRY(adamw_some(c, lists, tensors, first, i, e));
        first = i;
    }
    return SQN_OK;
}

static sqn_status adamw(sqn_call *c, int lists, sqn_err *e) {
    const sqn_tensor *factor = c->arg[lists + FACTOR].t;
    int64_t n = c->arg[0].count, step = c->arg[lists + STEP].i;
    for (int j = 1; j < lists; j++)
        if ((j != 4 || c->arg[j].present) && c->arg[j].count != n)
            return sqn_op_fail(c, e, "the lists have different lengths");
    if (step < 1) return sqn_op_fail(c, e, "step counts from 1, got %lld", (long long)step);
    if (factor != NULL && (factor->dtype != SQN_F64 || sqn_tensor_numel(factor) != 1))
        return sqn_op_fail(c, e, "factor is one number in f64");
    sqn_k_adamw_tensor *tensors = sqn_alloc((size_t)(n + 1) * sizeof *tensors, e);
    if (tensors == NULL) return SQN_NOMEM;
    sqn_status status = adamw_all(c, lists, tensors, e);
    sqn_free(tensors);
    return status;
}

sqn_status sqn_op_adamw_(sqn_call *c, sqn_err *e) { return adamw(c, ADAMW_LISTS, e); }
sqn_status sqn_op_adamw8_(sqn_call *c, sqn_err *e) { return adamw(c, ADAMW8_LISTS, e); }

/* ---- norms ---- */

static sqn_status norm_tensor(sqn_call *c, int64_t i, sqn_k_norms_tensor *k, sqn_err *e) {
    const sqn_tensor *x = c->arg[0].list[i];
    SQN_TRY(sqn_op_float(c, x, e));
    SQN_TRY(sqn_op_same_device(c, c->arg[0].list[0], x, e));
    if (!sqn_tensor_is_contiguous(x))
        return sqn_op_fail(c, e, "tensor %lld does not lie in order", (long long)i + 1);
    *k = (sqn_k_norms_tensor){x->dtype, sqn_tensor_numel(x), sqn_tensor_data(x)};
    return SQN_OK;
}

/* Norms of the call's list: of all tensors, and of `groups` groups, of sizes[g] tensors each. */
static sqn_status norms(sqn_call *c, int64_t groups, const int64_t *sizes, double max,
                        const sqn_tensor *y, const sqn_tensor *factor, sqn_err *e) {
    const int64_t n = c->arg[0].count;
    int64_t *start = sqn_alloc((size_t)(groups + 1) * sizeof *start, e);
    sqn_k_norms_tensor *tensors = sqn_alloc((size_t)(n + 1) * sizeof *tensors, e);
    sqn_status status = SQN_NOMEM;
    if (start == NULL || tensors == NULL) goto fail;
    start[0] = 0;
    for (int64_t g = 0; g < groups; g++) start[g + 1] = start[g] + sizes[g];
    for (int64_t i = 0; i < n; i++) SQN_GOTO(norm_tensor(c, i, &tensors[i], e));
    sqn_k_norms k = {.count = n,
                     .groups = groups,
                     .tensors = tensors,
                     .start = start,
                     .max = max,
                     .norms = sqn_tensor_data(y),
                     .factor = factor ? sqn_tensor_data(factor) : NULL};
    status = sqn_kernel_result(sqn_tensor_kernels(y)->norms(&k, NULL), c->name, y, e);
fail:
    sqn_free(tensors);
    sqn_free(start);
    return status;
}

static int device_of_list(const sqn_call *c) {
    return c->arg[0].count > 0 ? sqn_tensor_device(c->arg[0].list[0]) : SQN_CPU;
}

sqn_status sqn_op_global_norm(sqn_call *c, sqn_err *e) {
    const int64_t both = 2;
    sqn_tensor *all = sqn_tensor_new(device_of_list(c), SQN_F64, 1, &both, e);
    sqn_status status = all ? norms(c, 1, &c->arg[0].count, 0, all, NULL, e) : SQN_NOMEM;
    sqn_tensor *y = status == SQN_OK ? sqn_tensor_view(all, 0, &both, NULL, 0, e) : NULL;
    sqn_tensor_release(all);
    return status == SQN_OK ? sqn_op_result(c, NULL, 0, y) : status;
}

sqn_status sqn_op_clip_norms(sqn_call *c, sqn_err *e) {
    const int64_t *sizes = c->arg[1].present ? c->arg[1].ints : &c->arg[0].count;
    const int64_t groups = c->arg[1].present ? c->arg[1].count : 1, length = 1 + groups;
    int64_t sum = 0;
    for (int64_t g = 0; g < groups; g++) {
        if (sizes[g] < 0)
            return sqn_op_fail(c, e, "group %lld has %lld", (long long)g + 1, (long long)sizes[g]);
        sum += sizes[g];
    }
    if (sum != c->arg[0].count)
        return sqn_op_fail(c, e, "the groups have %lld tensors, the list %lld", (long long)sum,
                           (long long)c->arg[0].count);
    sqn_tensor *y = sqn_tensor_new(device_of_list(c), SQN_F64, 1, &length, e);
    sqn_tensor *factor = sqn_tensor_new(device_of_list(c), SQN_F64, 0, NULL, e);
    sqn_status status =
        y && factor ? norms(c, groups, sizes, c->arg[2].f, y, factor, e) : SQN_NOMEM;
    if (status == SQN_OK) {
        sqn_op_result(c, NULL, 0, y);
        return sqn_op_result(c, NULL, 1, factor);
    }
    sqn_tensor_release(y);
    sqn_tensor_release(factor);
    return status;
}
