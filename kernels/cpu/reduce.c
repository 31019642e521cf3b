/* Sums and extremes over one dimension. Fixed blocks: the result does not depend on the number of
 * threads. */
#include <stdbool.h>

#define EACH_FLOAT "kernels/cpu/reduce.inc"
#include "kernels/cpu/each_float.h"

sqn_status sqn_cpu_reduce(const sqn_k_reduce *a, void *stream) {
    (void)stream;
    if (a->op == SQN_REDUCE_SUM) BY_FLOAT(a->dtype, sum, a)
    BY_FLOAT(a->dtype, extreme, a)
}
