/* Root-mean-square norm with an optional residual, forward and backward. Memory-bound.
 *
 * The gradient of the weight is a sum over rows: rows are cut into at most 64 blocks, whatever the
 * number of threads, each block sums into its own row of a scratch table, and the table is summed
 * in order. */
#include "kernels/cpu/scratch.h"

#define ROW_BLOCKS 64
static inline int64_t row_block(int64_t rows) {
    int64_t share = (rows + ROW_BLOCKS - 1) / ROW_BLOCKS;
    return share < 16 ? 16 : share;
}

#define EACH_FLOAT "kernels/cpu/rms_norm.inc"
#include "kernels/cpu/each_float.h"

sqn_status sqn_cpu_rms_norm(const sqn_k_rms_norm *a, void *stream) {
    (void)stream;
    BY_FLOAT(a->dtype, forward, a)
}

sqn_status sqn_cpu_rms_norm_grad(const sqn_k_rms_norm_grad *a, void *stream) {
    (void)stream;
    BY_FLOAT_STATUS(a->dtype, backward, a)
}
