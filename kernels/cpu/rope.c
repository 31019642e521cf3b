/* Rotary positions: rotates the pairs (i, i + dim/2) of every head, forward and inverse.
 * Memory-bound. */
#define EACH_FLOAT "kernels/cpu/rope.inc"
#include "kernels/cpu/each_float.h"

sqn_status sqn_cpu_rope(const sqn_k_rope *a, void *stream) {
    (void)stream;
    BY_FLOAT(a->dtype, rotate, a)
}
