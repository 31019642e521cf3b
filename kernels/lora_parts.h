/* A product of sqn_k_lora out of the table's other kernels: what both devices do where they have no
 * kernel for it. */
#ifndef SQN_KERNELS_LORA_PARTS_H
#define SQN_KERNELS_LORA_PARTS_H

#include "kernels/kernels.h"

/* Numbers of x that are computed with beside x: converted or dropped. 0: x itself. */
static inline int64_t sqn_lora_wide(const sqn_k_lora *k) {
    return k->dtype == k->u_dtype && k->p == 0 ? 0 : k->rows * k->width;
}
/* Their type: what is dropped before it is rounded is of the accumulator's. */
static inline sqn_dtype sqn_lora_wide_dtype(const sqn_k_lora *k) {
    return k->make == SQN_LORA_X && k->u_dtype != SQN_F64 ? SQN_F32 : k->u_dtype;
}

static inline sqn_status sqn_lora_copy(const sqn_kernel_table *table, sqn_dtype from, const void *x,
                                       sqn_dtype to, void *y, int64_t n, int add, void *stream) {
    const sqn_k_copy k = {from, to, 1, {n}, {1}, {1}, x, y, add};
    return table->copy(&k, stream);
}

static inline sqn_status sqn_lora_drop(const sqn_kernel_table *table, const sqn_k_lora *k,
                                       void *wide, void *stream) {
    const sqn_k_dropout d = {sqn_lora_wide_dtype(k),
                             k->rows * k->width,
                             wide,
                             wide,
                             k->p,
                             k->seed,
                             k->stream,
                             k->offset};
    return k->p == 0 ? SQN_OK : table->dropout(&d, stream);
}

/* c [m, n] (+)= op(a) op(b); rows as long as the matrix is wide. */
static inline sqn_status sqn_lora_matmul(const sqn_kernel_table *table, sqn_dtype dtype,
                                         const void *a, int trans_a, const void *b, int trans_b,
                                         sqn_dtype c_dtype, void *c, int accumulate, int64_t m,
                                         int64_t n, int64_t k, void *stream) {
    const sqn_k_matmul product = {
        dtype,           c_dtype,         1, m, n, k, a,         b, NULL, c, trans_a, trans_b,
        trans_a ? m : k, trans_b ? k : n, n, 0, 0, 0, accumulate};
    return table->matmul(&product, stream);
}

/* x: k->x, or the numbers beside it. */
static inline sqn_status sqn_lora_product(const sqn_kernel_table *table, const sqn_k_lora *k,
                                          void *x, void *stream) {
    const int columns = k->w_columns, own = x == k->x;
    switch (k->make) {
    case SQN_LORA_U:
        return sqn_lora_matmul(table, k->u_dtype, x, 0, k->w, !columns, k->u_dtype, k->u, 0,
                               k->rows, k->rank, k->width, stream);
    case SQN_LORA_X:
        return sqn_lora_matmul(table, k->u_dtype, k->u, 0, k->w, columns,
                               own ? k->dtype : sqn_lora_wide_dtype(k), x, own && k->accumulate,
                               k->rows, k->width, k->rank, stream);
    default:
        return sqn_lora_matmul(table, k->u_dtype, columns ? x : k->u, 1, columns ? k->u : x, 0,
                               k->w_dtype, k->w, k->accumulate, columns ? k->width : k->rank,
                               columns ? k->rank : k->width, k->rows, stream);
    }
}

/* wide: sqn_lora_wide numbers, or NULL where that is 0. What is to be made beside it is not. */
static inline sqn_status sqn_lora_by_parts(const sqn_kernel_table *table, const sqn_k_lora *k,
                                           void *wide, void *stream) {
    const int64_t n = k->rows * k->width;
    void *x = wide ? wide : k->x;
    if (wide && k->make != SQN_LORA_X) {
        SQN_TRY(sqn_lora_copy(table, k->dtype, k->x, k->u_dtype, wide, n, 0, stream));
        SQN_TRY(sqn_lora_drop(table, k, wide, stream));
    }
    SQN_TRY(sqn_lora_product(table, k, x, stream));
    if (wide && k->make == SQN_LORA_X) {
        SQN_TRY(sqn_lora_drop(table, k, wide, stream));
        return sqn_lora_copy(table, sqn_lora_wide_dtype(k), wide, k->dtype, k->x, n, k->accumulate,
                             stream);
    }
    if (k->make != SQN_LORA_U || k->alpha == 1) return SQN_OK;
    const sqn_k_map scale = {
        SQN_MAP_AFFINE, k->u_dtype, k->rows * k->rank, k->u, k->u, k->alpha, 0, NULL};
    return table->map(&scale, stream);
}

#endif
