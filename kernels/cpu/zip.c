/* Pairs of tensors with broadcasting. y is contiguous: run r of the walk is elements r*inner … of
 * y. */
#include "kernels/cpu/float.h"
#include "kernels/cpu/strides.h"

#define RUN(T, A, LOADF, Y, STOREF, expression)                                                   \
    _Pragma("omp parallel for schedule(static) if (w.outer * w.inner > 16384)") for (int64_t r =  \
                                                                                         0;       \
                                                                                     r < w.outer; \
                                                                                     r++) {       \
        int64_t ao, bo, sa = w.a[w.ndim - 1], sb = w.b[w.ndim - 1];                               \
        walk_at(&w, r, &ao, &bo);                                                                 \
        const T *pa = (const T *)k->a + ao, *pb = (const T *)k->b + bo;                           \
        Y *py = (Y *)k->y + r * w.inner;                                                          \
        for (int64_t i = 0; i < w.inner; i++) {                                                   \
            A a = LOADF(pa[i * sa]), b = LOADF(pb[i * sb]);                                       \
            py[i] = (Y)STOREF(expression);                                                        \
        }                                                                                         \
    }                                                                                             \
    return SQN_OK

#define SAME(x) (x)
#define ALL(T, A, L, S)                                \
    switch (k->op) {                                   \
    case SQN_ZIP_ADD:                                  \
        RUN(T, A, L, T, S, a + b);                     \
    case SQN_ZIP_SUB:                                  \
        RUN(T, A, L, T, S, a - b);                     \
    case SQN_ZIP_MUL:                                  \
        RUN(T, A, L, T, S, a *b);                      \
    case SQN_ZIP_DIV:                                  \
        RUN(T, A, L, T, S, a / b);                     \
    case SQN_ZIP_MAXIMUM:                              \
        RUN(T, A, L, T, S, (a < b || b != b ? b : a)); \
    case SQN_ZIP_MINIMUM:                              \
        RUN(T, A, L, T, S, (b < a || b != b ? b : a)); \
    case SQN_ZIP_EQ:                                   \
        RUN(T, A, L, uint8_t, SAME, a == b);           \
    case SQN_ZIP_NE:                                   \
        RUN(T, A, L, uint8_t, SAME, a != b);           \
    case SQN_ZIP_LT:                                   \
        RUN(T, A, L, uint8_t, SAME, a < b);            \
    case SQN_ZIP_LE:                                   \
        RUN(T, A, L, uint8_t, SAME, a <= b);           \
    case SQN_ZIP_COUNT:                                \
        break;                                         \
    }                                                  \
    return SQN_MISUSE

static sqn_status zip_f32(const sqn_k_zip *k, walk w) { ALL(float, float, SAME, SAME); }
static sqn_status zip_bf16(const sqn_k_zip *k, walk w) {
    ALL(sqn_bf16, float, sqn_bf16_load, sqn_bf16_store);
}
static sqn_status zip_f64(const sqn_k_zip *k, walk w) { ALL(double, double, SAME, SAME); }
static int64_t divisor(int64_t b) { return b ? b : 1; } /* integers divide by 0 as by 1: no trap */
#undef ALL
#define ALL(T)                                                                \
    switch (k->op) {                                                          \
    case SQN_ZIP_ADD:                                                         \
        RUN(T, int64_t, SAME, T, SAME, (int64_t)((uint64_t)a + (uint64_t)b)); \
    case SQN_ZIP_SUB:                                                         \
        RUN(T, int64_t, SAME, T, SAME, (int64_t)((uint64_t)a - (uint64_t)b)); \
    case SQN_ZIP_MUL:                                                         \
        RUN(T, int64_t, SAME, T, SAME, (int64_t)((uint64_t)a * (uint64_t)b)); \
    case SQN_ZIP_DIV:                                                         \
        RUN(T, int64_t, SAME, T, SAME, a / divisor(b));                       \
    case SQN_ZIP_MAXIMUM:                                                     \
        RUN(T, int64_t, SAME, T, SAME, (a < b ? b : a));                      \
    case SQN_ZIP_MINIMUM:                                                     \
        RUN(T, int64_t, SAME, T, SAME, (b < a ? b : a));                      \
    case SQN_ZIP_EQ:                                                          \
        RUN(T, int64_t, SAME, uint8_t, SAME, a == b);                         \
    case SQN_ZIP_NE:                                                          \
        RUN(T, int64_t, SAME, uint8_t, SAME, a != b);                         \
    case SQN_ZIP_LT:                                                          \
        RUN(T, int64_t, SAME, uint8_t, SAME, a < b);                          \
    case SQN_ZIP_LE:                                                          \
        RUN(T, int64_t, SAME, uint8_t, SAME, a <= b);                         \
    case SQN_ZIP_COUNT:                                                       \
        break;                                                                \
    }                                                                         \
    return SQN_MISUSE
static sqn_status zip_i64(const sqn_k_zip *k, walk w) { ALL(int64_t); }
static sqn_status zip_i32(const sqn_k_zip *k, walk w) { ALL(int32_t); }
static sqn_status zip_u8(const sqn_k_zip *k, walk w) { ALL(uint8_t); }

sqn_status sqn_cpu_zip(const sqn_k_zip *k, void *stream) {
    (void)stream;
    walk w = walk_make(k->ndim, k->shape, k->a_stride, k->b_stride);
    switch (k->dtype) {
    case SQN_F32:
        return zip_f32(k, w);
    case SQN_BF16:
        return zip_bf16(k, w);
    case SQN_F64:
        return zip_f64(k, w);
    case SQN_I64:
        return zip_i64(k, w);
    case SQN_I32:
        return zip_i32(k, w);
    case SQN_U8:
        return zip_u8(k, w);
    default:
        return SQN_MISUSE;
    }
}
