/* Blocked products of every float type in plain C: the reference, F64, and the way where oneDNN
 * refuses (BF16 without AVX512).
 *
 * A tile of C, [ROWS, COLS], belongs to one thread, which walks k in blocks of DEPTH: it packs the
 * blocks of A and B in the accumulator type and multiplies them in registers. Tiles and order do
 * not depend on the number of threads. */
#include <omp.h>

#include "kernels/cpu/matmul.h"
#include "kernels/cpu/scratch.h"

#define ROWS 64
#define COLS 128
#define DEPTH 256

#define EACH_FLOAT "kernels/cpu/matmul.inc"
#include "kernels/cpu/each_float.h"

sqn_status matmul_plain(const sqn_k_matmul *a) {
    switch (a->dtype) {
    case SQN_F32:
        return product_f32(a);
    case SQN_BF16:
        return product_bf16(a);
    case SQN_F64:
        return product_f64(a);
    default:
        return SQN_MISUSE;
    }
}
