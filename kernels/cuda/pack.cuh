/* Contiguous elements in packs of 16 bytes, and the loop over them.
 *
 * Rules: a kernel over packs gets V elements a thread and turn; V is 1 where a pointer is not
 * aligned. The elements behind the last whole pack go one by one.
 */
#ifndef SQN_KERNELS_CUDA_PACK_H
#define SQN_KERNELS_CUDA_PACK_H

#include "kernels/cuda/cuda.cuh"

namespace sqn {
template <class T, int V> struct alignas(sizeof(T) * V) pack { T v[V]; };

/* f(i) for every element of this thread: whole packs first, then the rest. */
template <int V, class F> __device__ __forceinline__ void each_pack(int64_t n, F f) {
    const int64_t step = (int64_t)gridDim.x * blockDim.x;
    const int64_t me = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    for (int64_t p = me; p < n / V; p += step) f(p * V, std::integral_constant<int, V>{});
    if (V > 1)
        for (int64_t i = n / V * V + me; i < n; i += step) f(i, std::integral_constant<int, 1>{});
}

inline bool aligned16(const void *p) { return ((uintptr_t)p & 15u) == 0; }
template <class... P> bool all_aligned16(P... p) { return (aligned16(p) && ...); }
} // namespace sqn

#endif
