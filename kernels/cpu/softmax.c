/* softmax and log-softmax over the last dimension, forward and backward. One thread a row. */
#define KEPT 8192 /* longest row whose exponentials wait on the stack */

#define EACH_FLOAT "kernels/cpu/softmax.inc"
#include "kernels/cpu/each_float.h"

sqn_status sqn_cpu_softmax(const sqn_k_softmax *a, void *stream) {
    (void)stream;
    BY_FLOAT(a->dtype, forward, a)
}

sqn_status sqn_cpu_softmax_grad(const sqn_k_softmax_grad *a, void *stream) {
    (void)stream;
    BY_FLOAT(a->dtype, backward, a)
}
