/* Strided copies with conversion, and y += x. */
#include "kernels/cpu/float.h"
#include "kernels/cpu/strides.h"

typedef void (*run_fn)(int64_t n, const void *x, int64_t sx, void *y, int64_t sy);

static inline float load_f16(_Float16 h) { return (float)h; }
static inline _Float16 store_f16(double f) { return (_Float16)f; }
#define SAME(x) (x)

/* X(name, type, load as a double or integer) for sources; targets convert from it. */
#define PAIR(from, FT, FLOAD, to, TT, TSTORE)                                                   \
    static void copy_##from##_##to(int64_t n, const void *x, int64_t sx, void *y, int64_t sy) { \
        const FT *px = x;                                                                       \
        TT *py = y;                                                                             \
        if (sx == 1 && sy == 1)                                                                 \
            for (int64_t i = 0; i < n; i++) py[i] = (TT)TSTORE(FLOAD(px[i]));                   \
        else                                                                                    \
            for (int64_t i = 0; i < n; i++) py[i * sy] = (TT)TSTORE(FLOAD(px[i * sx]));         \
    }
#define TO_BF16(v) sqn_bf16_store((float)(v))
#define TO_F16(v) store_f16((double)(v))
#define FROM(from, FT, FLOAD)                      \
    PAIR(from, FT, FLOAD, f32, float, SAME)        \
    PAIR(from, FT, FLOAD, bf16, sqn_bf16, TO_BF16) \
    PAIR(from, FT, FLOAD, f16, _Float16, TO_F16)   \
    PAIR(from, FT, FLOAD, f64, double, SAME)       \
    PAIR(from, FT, FLOAD, i64, int64_t, SAME)      \
    PAIR(from, FT, FLOAD, i32, int32_t, SAME)      \
    PAIR(from, FT, FLOAD, u8, uint8_t, SAME)
FROM(f32, float, SAME)
FROM(bf16, sqn_bf16, sqn_bf16_load)
FROM(f16, _Float16, load_f16)
FROM(f64, double, SAME)
FROM(i64, int64_t, SAME)
FROM(i32, int32_t, SAME)
FROM(u8, uint8_t, SAME)

/* Same 2-byte types move bits: NaN payloads and speed. */
static void move_16(int64_t n, const void *x, int64_t sx, void *y, int64_t sy) {
    const uint16_t *px = x;
    uint16_t *py = y;
    for (int64_t i = 0; i < n; i++) py[i * sy] = px[i * sx];
}

#define ROW(from)                                                                    \
    {                                                                                \
        copy_##from##_f32, copy_##from##_bf16, copy_##from##_f16, copy_##from##_f64, \
            copy_##from##_i64, copy_##from##_i32, copy_##from##_u8                   \
    }
static const run_fn copies[SQN_DTYPE_COUNT][SQN_DTYPE_COUNT] = {
    ROW(f32), ROW(bf16), ROW(f16), ROW(f64), ROW(i64), ROW(i32), ROW(u8)};

#define ADD(from, FT, FLOAD, to, TT, TLOAD, TSTORE, A)                                         \
    static void add_##from##_##to(int64_t n, const void *x, int64_t sx, void *y, int64_t sy) { \
        const FT *px = x;                                                                      \
        TT *py = y;                                                                            \
        for (int64_t i = 0; i < n; i++)                                                        \
            py[i * sy] = (TT)TSTORE((A)TLOAD(py[i * sy]) + (A)FLOAD(px[i * sx]));              \
    }
ADD(f32, float, SAME, f32, float, SAME, SAME, float)
ADD(bf16, sqn_bf16, sqn_bf16_load, f32, float, SAME, SAME, float)
ADD(bf16, sqn_bf16, sqn_bf16_load, bf16, sqn_bf16, sqn_bf16_load, TO_BF16, float)
ADD(f32, float, SAME, bf16, sqn_bf16, sqn_bf16_load, TO_BF16, float)
ADD(f64, double, SAME, f64, double, SAME, SAME, double)
ADD(f32, float, SAME, f64, double, SAME, SAME, double)

static run_fn find_run(const sqn_k_copy *k) {
    if (!k->add)
        return k->from == k->to && sqn_dtype_size(k->from) == 2 ? move_16 : copies[k->from][k->to];
    if (k->from == SQN_F32 && k->to == SQN_F32) return add_f32_f32;
    if (k->from == SQN_BF16 && k->to == SQN_F32) return add_bf16_f32;
    if (k->from == SQN_BF16 && k->to == SQN_BF16) return add_bf16_bf16;
    if (k->from == SQN_F32 && k->to == SQN_BF16) return add_f32_bf16;
    if (k->from == SQN_F64 && k->to == SQN_F64) return add_f64_f64;
    if (k->from == SQN_F32 && k->to == SQN_F64) return add_f32_f64;
    return NULL;
}

/* A contiguous whole is cut into pieces so that all threads work on it. */
enum { PIECE = 1 << 16 };

sqn_status sqn_cpu_copy(const sqn_k_copy *k, void *stream) {
    (void)stream;
    run_fn run = find_run(k);
    if (run == NULL) return SQN_MISUSE;
    for (int d = 0; d < k->ndim; d++)
        if (k->shape[d] == 0) return SQN_OK;
    walk w = walk_make(k->ndim, k->shape, k->x_stride, k->y_stride);
    int64_t pieces = (w.inner + PIECE - 1) / PIECE, sx = w.a[w.ndim - 1], sy = w.b[w.ndim - 1];
    size_t ex = sqn_dtype_size(k->from), ey = sqn_dtype_size(k->to);
#pragma omp parallel for schedule(static) if (w.outer * w.inner > 32768)
    for (int64_t job = 0; job < w.outer * pieces; job++) {
        int64_t xo, yo, first = job % pieces * PIECE;
        walk_at(&w, job / pieces, &xo, &yo);
        int64_t n = w.inner - first < PIECE ? w.inner - first : PIECE;
        run(n, (const char *)k->x + (size_t)(xo + first * sx) * ex, sx,
            (char *)k->y + (size_t)(yo + first * sy) * ey, sy);
    }
    return SQN_OK;
}
