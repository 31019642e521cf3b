/* silu(gate) * up, forward and backward. Memory-bound: 3 and 5 streams of n elements. */
#define EACH_FLOAT "kernels/cpu/swiglu.inc"
#include "kernels/cpu/each_float.h"

sqn_status sqn_cpu_swiglu(const sqn_k_swiglu *a, void *stream) {
    (void)stream;
    BY_FLOAT(a->dtype, forward, a)
}

sqn_status sqn_cpu_swiglu_grad(const sqn_k_swiglu_grad *a, void *stream) {
    (void)stream;
    BY_FLOAT(a->dtype, backward, a)
}
