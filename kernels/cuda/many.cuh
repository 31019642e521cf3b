/* Many tensors in one launch: they come as kernel parameters, and a block finds its own by
 * bisection.
 *
 * Rules: a tensor is cut into pieces, one a block; a table holds as many tensors as parameters have
 * room for (32 KiB from CUDA 12.1 on), so that a step of a whole model is a launch or two.
 */
#ifndef SQN_KERNELS_CUDA_MANY_H
#define SQN_KERNELS_CUDA_MANY_H

#include "kernels/cuda/pack.cuh"

#ifdef SQN_EMULATE
#define SQN_PARAMETER const
#else
#define SQN_PARAMETER const __grid_constant__ /* read where it lies: no copy in local memory */
#endif

namespace sqn {
/* Tensors of a launch. E: what is known of one. */
template <class E, int MOST> struct many {
    static constexpr int most = MOST;
    int count;
    unsigned first[MOST + 1]; /* the piece that each one begins with; at the end their number */
    E of[MOST];
};

/* The tensor of a piece. */
template <class M> __device__ __forceinline__ int owner_of(const M &all, unsigned piece) {
    int low = 0, high = all.count;
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if (all.first[middle] <= piece)
            low = middle;
        else
            high = middle;
    }
    return low;
}
} // namespace sqn

#endif
