/* What the kernels of experts share: tiles of pairs, masks, the gradient of the weights.
 *
 * A pair is a token with one of its experts; pairs stand in order, by expert. order[pair] is its
 * place, token * slots + slot.
 */
#ifndef SQN_KERNELS_CUDA_MOE_PAIRS_H
#define SQN_KERNELS_CUDA_MOE_PAIRS_H

#include "kernels/cuda/cuda.cuh"
#include "kernels/cuda/philox.cuh"

namespace sqn {
struct pair_tile {
    int64_t expert, first, count; /* pairs */
};

/* Tile `number` of EDGE pairs of one expert; there are at most pairs / EDGE + experts of them. */
template <int EDGE, class K>
__device__ __forceinline__ bool find_pairs(const K &a, int64_t number, pair_tile *t) {
    for (int64_t e = 0; e < a.experts; e++) {
        const int64_t pairs = a.start[e + 1] - a.start[e], tiles = (pairs + EDGE - 1) / EDGE;
        if (number >= tiles) {
            number -= tiles;
            continue;
        }
        const int64_t first = number * EDGE, left = pairs - first;
        *t = {e, a.start[e] + first, left < EDGE ? left : EDGE};
        return true;
    }
    return false;
}

/* The draws for elements i / 4 * 4 to i / 4 * 4 + 3 of a place's x, and what one makes of its
 * element: 0, or 1 / (1 - p) times it. */
__device__ __forceinline__ sqn_philox draws(const sqn_k_moe_lora &a, int64_t place, int64_t i) {
    const uint64_t at = a.offset + (uint64_t)(place * ((a.in + 3) / 4) + i / 4);
    return sqn_philox_at(a.seed, a.stream, at);
}
template <class A> __device__ __forceinline__ A mask_of(const sqn_k_moe_lora &a, uint32_t drawn) {
    return sqn_philox_unit(drawn) < (float)a.p ? (A)0 : (A)(1.0 / (1.0 - a.p));
}
template <class A>
__device__ __forceinline__ A mask(const sqn_k_moe_lora &a, int64_t place, int64_t i) {
    return a.p <= 0 ? (A)1 : mask_of<A>(a, draws(a, place, i).v[i % 4]);
}
/* Those of elements i to i + 7; i is a multiple of 8. */
__device__ __forceinline__ void masks(const sqn_k_moe_lora &a, int64_t place, int64_t i,
                                      float m[8]) {
#pragma unroll
    for (int half = 0; half < 8; half += 4) {
        const sqn_philox r = draws(a, place, i + half);
#pragma unroll
        for (int j = 0; j < 4; j++) m[half + j] = mask_of<float>(a, r.v[j]);
    }
}

/* dweights[place] = scale h t, or 0 where there is no expert: a warp for each place. */
template <class T>
__global__ void moe_weight_kernel(sqn_k_moe_lora a, const acc<T> *t, T *dweights) {
    using A = acc<T>;
    const int64_t pairs = a.start[a.experts], step = (int64_t)gridDim.x * blockDim.x / 32;
    const int64_t first = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) / 32;
    const int lane = (int)(threadIdx.x & 31u);
    for (int64_t p = first; p < a.tokens * a.slots; p += step) {
        A sum = 0;
        for (int64_t q = lane; p < pairs && q < a.rank; q += 32)
            sum += ((const A *)a.h)[p * a.rank + q] * t[p * a.rank + q];
        sum = warp_reduce(sum, plus());
        if (lane == 0) store(dweights + a.order[p], (A)a.scale * sum);
    }
}
template <class T>
void moe_weight_gradient(const sqn_k_moe_lora *a, const acc<T> *t, void *dweights, void *stream) {
    auto run = moe_weight_kernel<T>;
    SQN_LAUNCH(run, grid_for(a->tokens * a->slots * 32, 256), 256, 0, stream, *a, t, (T *)dweights);
}
} // namespace sqn

#endif
