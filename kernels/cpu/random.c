/* Random tensors and dropout from Philox: element i takes word i%4 of counter offset + i/4, on any
 * number of threads. */
#include <math.h>

#include "kernels/philox.h"
#define EACH_FLOAT "kernels/cpu/random.inc"
#include "kernels/cpu/each_float.h"

sqn_status sqn_cpu_random(const sqn_k_random *a, void *stream) {
    (void)stream;
    BY_FLOAT(a->dtype, fill, a)
}

sqn_status sqn_cpu_dropout(const sqn_k_dropout *a, void *stream) {
    (void)stream;
    BY_FLOAT(a->dtype, drop, a)
}
