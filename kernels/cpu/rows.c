/* Rows by index. Scatter with addition is deterministic: each thread owns a range of columns and
 * takes the rows in order. */
#include <stdbool.h>

#include "kernels/cpu/float.h"

static bool is_row(int64_t index, int64_t rows) { return index >= 0 && index < rows; }

sqn_status sqn_cpu_gather_rows(const sqn_k_gather_rows *a, void *stream) {
    (void)stream;
    size_t bytes = (size_t)a->row_bytes;
#pragma omp parallel for schedule(static) if (a->rows * a->row_bytes > 65536)
    for (int64_t i = 0; i < a->rows; i++)
        if (is_row(a->index[i], a->x_rows))
            memcpy((char *)a->y + (size_t)i * bytes,
                   (const char *)a->x + (size_t)a->index[i] * bytes, bytes);
        else
            memset((char *)a->y + (size_t)i * bytes, 0, bytes);
    return SQN_OK;
}

enum { COLUMNS = 64 };

#define SCATTER(from, FT, FLOAD, to, TT, TLOAD, TSTORE, A)                                        \
    static void add_##from##_##to(const sqn_k_scatter_rows *a) {                                  \
        int64_t blocks = (a->n + COLUMNS - 1) / COLUMNS;                                          \
        _Pragma("omp parallel for schedule(static) if (a->rows * a->n > 16384)") for (int64_t b = \
                                                                                          0;      \
                                                                                      b < blocks; \
                                                                                      b++) {      \
            int64_t c0 = b * COLUMNS, c1 = c0 + COLUMNS < a->n ? c0 + COLUMNS : a->n;             \
            for (int64_t i = 0; i < a->rows; i++) {                                               \
                if (!is_row(a->index[i], a->y_rows)) continue;                                    \
                const FT *x = (const FT *)a->x + i * a->n;                                        \
                TT *y = (TT *)a->y + a->index[i] * a->n;                                          \
                for (int64_t c = c0; c < c1; c++)                                                 \
                    y[c] = TSTORE((a->add ? (A)TLOAD(y[c]) : 0) + (A)FLOAD(x[c]));                \
            }                                                                                     \
        }                                                                                         \
    }
#define SAME(x) (x)
SCATTER(f32, float, SAME, f32, float, SAME, SAME, float)
SCATTER(bf16, sqn_bf16, sqn_bf16_load, bf16, sqn_bf16, sqn_bf16_load, sqn_bf16_store, float)
SCATTER(bf16, sqn_bf16, sqn_bf16_load, f32, float, SAME, SAME, float)
SCATTER(f64, double, SAME, f64, double, SAME, SAME, double)
SCATTER(i64, int64_t, SAME, i64, int64_t, SAME, SAME, int64_t)

sqn_status sqn_cpu_scatter_rows(const sqn_k_scatter_rows *a, void *stream) {
    (void)stream;
    if (a->dtype == SQN_F32 && a->y_dtype == SQN_F32)
        add_f32_f32(a);
    else if (a->dtype == SQN_BF16 && a->y_dtype == SQN_BF16)
        add_bf16_bf16(a);
    else if (a->dtype == SQN_BF16 && a->y_dtype == SQN_F32)
        add_bf16_f32(a);
    else if (a->dtype == SQN_F64 && a->y_dtype == SQN_F64)
        add_f64_f64(a);
    else if (a->dtype == SQN_I64 && a->y_dtype == SQN_I64)
        add_i64_i64(a);
    else
        return SQN_MISUSE;
    return SQN_OK;
}
