/* The products of a low-rank correction. Where x has to be converted or dropped first this is done
 * for some rows at a time, so that what is computed with stays in the cache. */
#include "kernels/cpu/scratch.h"
#include "kernels/lora_parts.h"

/* Numbers of x at a time: of one thread, whose cache holds them, and of all threads. */
enum { OF_ONE = 1 << 18, OF_ALL = 1 << 21 };

/* Rows first … of the same product. */
static sqn_k_lora part_of(const sqn_k_lora *k, int64_t first, int64_t rows) {
    sqn_k_lora part = *k;
    part.rows = rows;
    part.x = (char *)k->x + (size_t)(first * k->width) * sqn_dtype_size(k->dtype);
    part.u = (char *)k->u + (size_t)(first * k->rank) * sqn_dtype_size(k->u_dtype);
    part.offset += (uint64_t)(first * k->width / 4);
    part.accumulate |= k->make == SQN_LORA_W && first > 0;
    return part;
}

/* Rows that are computed with at a time. A counter of Philox is of four numbers. */
static int64_t rows_of(const sqn_k_lora *k, int64_t numbers) {
    int64_t rows = numbers / k->width & ~(int64_t)63;
    if (rows == 0) rows = 64;
    return rows < k->rows ? rows : k->rows;
}

/* Parts first, first + rows, … below `end`, one after the other. */
static sqn_status make_parts(const sqn_k_lora *k, int64_t first, int64_t end, int64_t rows,
                             void *stream) {
    scratch wide = {0};
    sqn_status status =
        scratch_open(&wide, rows * k->width, sqn_dtype_size(sqn_lora_wide_dtype(k)));
    for (; first < end && status == SQN_OK; first += rows) {
        const sqn_k_lora part = part_of(k, first, end - first < rows ? end - first : rows);
        status = sqn_lora_by_parts(&sqn_cpu_kernels, &part, wide.at, stream);
    }
    scratch_close(&wide);
    return status;
}

/* Parts of u and of x do not meet, so each is a thread's; w is a sum over all of them. */
static sqn_status make(const sqn_k_lora *k, void *stream) {
    if (sqn_lora_wide(k) == 0) return sqn_lora_by_parts(&sqn_cpu_kernels, k, NULL, stream);
    if (k->make == SQN_LORA_W) return make_parts(k, 0, k->rows, rows_of(k, OF_ALL), stream);
    const int64_t rows = rows_of(k, OF_ONE);
    sqn_status status = SQN_OK;
#pragma omp parallel for schedule(dynamic)
    for (int64_t first = 0; first < k->rows; first += rows) {
        const int64_t end = first + rows < k->rows ? first + rows : k->rows;
        const sqn_status mine = make_parts(k, first, end, rows, stream);
        if (mine != SQN_OK) {
#pragma omp atomic write
            status = mine;
        }
    }
    return status;
}

sqn_status sqn_cpu_lora(const sqn_k_lora *k, void *stream) {
    for (; k->beside; k = k->beside) SQN_TRY(make(k, stream));
    return make(k, stream);
}
