/* AdamW in one pass over the parameters, and the sum of squares for gradient clipping.
 * Memory-bound.
 *
 * Elements are worked in blocks of BLOCK: gradients of any float type are first brought to the
 * accumulator type in a buffer that stays in the first cache, so that one loop serves every
 * combination of types. */
#include "kernels/cpu/float.h"

#define BLOCK 2048
#define CHUNKS 1024 /* partial sums of norm_sq, whatever the number of threads */

#define EACH_FLOAT "kernels/cpu/adamw.inc"
#include "kernels/cpu/each_float.h"

sqn_status sqn_cpu_adamw(const sqn_k_adamw *a, void *stream) {
    (void)stream;
    if (a->grad_dtype != SQN_F32 && a->grad_dtype != SQN_BF16 && a->grad_dtype != SQN_F64)
        return SQN_MISUSE;
    BY_FLOAT(a->dtype, update, a)
}

sqn_status sqn_cpu_norm_sq(const sqn_k_norm_sq *a, void *stream) {
    (void)stream;
    BY_FLOAT(a->dtype, norm, a)
}
