/* Cross entropy over rows of logits, with the gradient of the logits. Memory-bound.
 *
 * A row is worked in blocks of COLUMNS, which fit the first cache: a block gives its maximum and
 * its sum of exponentials, the row combines them in order (in f64), and a second pass writes
 * softmax - onehot. With fewer rows than threads the blocks of all rows run in parallel; the
 * arithmetic is the same. */
#include <omp.h>

#include "kernels/cpu/scratch.h"

#define COLUMNS 4096

#define EACH_FLOAT "kernels/cpu/cross_entropy.inc"
#include "kernels/cpu/each_float.h"

sqn_status sqn_cpu_cross_entropy(const sqn_k_cross_entropy *a, void *stream) {
    (void)stream;
    switch (a->dtype) {
    case SQN_F32:
        return loss_f32(a);
    case SQN_BF16:
        return loss_bf16(a);
    case SQN_F64:
        return loss_f64(a);
    default:
        return SQN_MISUSE;
    }
}
