/* The products of a low-rank correction. Where x has to be converted or dropped first this is done
 * for some rows at a time, so that what is computed with stays in the cache. */
#include "kernels/cpu/scratch.h"
#include "kernels/lora_parts.h"

enum { NUMBERS = 1 << 18 }; /* of x at a time */

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

static sqn_status make(const sqn_k_lora *k, void *stream) {
    if (sqn_lora_wide(k) == 0) return sqn_lora_by_parts(&sqn_cpu_kernels, k, NULL, stream);
    int64_t rows = NUMBERS / k->width & ~(int64_t)63; /* a counter of Philox is of four numbers */
    if (rows == 0) rows = 64;
    if (rows > k->rows) rows = k->rows;
    scratch wide = {0};
    sqn_status status =
        scratch_open(&wide, rows * k->width, sqn_dtype_size(sqn_lora_wide_dtype(k)));
    for (int64_t first = 0; first < k->rows && status == SQN_OK; first += rows) {
        const int64_t left = k->rows - first;
        const sqn_k_lora part = part_of(k, first, left < rows ? left : rows);
        status = sqn_lora_by_parts(&sqn_cpu_kernels, &part, wide.at, stream);
    }
    scratch_close(&wide);
    return status;
}

sqn_status sqn_cpu_lora(const sqn_k_lora *k, void *stream) {
    for (; k->beside; k = k->beside) SQN_TRY(make(k, stream));
    return make(k, stream);
}
