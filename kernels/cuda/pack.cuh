/* Contiguous elements in packs of 16 bytes, and the loop over them.
 *
 * Rules: a kernel over packs gets V elements a thread and turn; V is 1 where a pointer is not
 * aligned. The elements behind the last whole pack go one by one.
 */
#ifndef SQN_KERNELS_CUDA_PACK_H
#define SQN_KERNELS_CUDA_PACK_H

#include "kernels/cuda/cuda.cuh"

namespace sqn {
template <class T, int V> struct alignas(sizeof(T) * V < 16 ? sizeof(T) * V : 16) pack { T v[V]; };
template <class T> constexpr int per_pack = 16 / (int)sizeof(T);

/* Elements i … of the n at x, zero behind their end; WIDE: n is whole packs, and x aligned. */
template <bool WIDE, class T, int V = per_pack<T>>
__device__ __forceinline__ pack<T, V> read_pack(const T *x, int64_t i, int64_t n) {
    if constexpr (WIDE) {
        return *(const pack<T, V> *)(x + i);
    } else {
        pack<T, V> p = {};
        for (int j = 0; j < V && i + j < n; j++) p.v[j] = x[i + j];
        return p;
    }
}
/* Into device memory, in stores of 16 bytes: nvcc would make several of an assignment now and then.
 */
template <class T, int V> __device__ __forceinline__ void put_pack(T *y, const pack<T, V> &p) {
#ifndef SQN_EMULATE
    if constexpr (sizeof p % 16 == 0) {
        constexpr int parts = (int)sizeof p / 16;
        uint32_t w[4 * parts];
        memcpy(w, &p, sizeof w);
        for (int i = 0; i < parts; i++)
            asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"((char *)y + 16 * i),
                         "r"(w[4 * i]), "r"(w[4 * i + 1]), "r"(w[4 * i + 2]), "r"(w[4 * i + 3])
                         : "memory");
        return;
    }
#endif
    *(pack<T, V> *)y = p;
}
template <bool WIDE, class T, int V>
__device__ __forceinline__ void write_pack(T *y, int64_t i, int64_t n, const pack<T, V> &p) {
    if constexpr (WIDE)
        put_pack(y + i, p);
    else
        for (int j = 0; j < V && i + j < n; j++) y[i + j] = p.v[j];
}

/* f(i) for every element of this thread: whole packs first, then the rest. */
template <int V, class F> __device__ __forceinline__ void each_pack(int64_t n, F f) {
    const int64_t step = (int64_t)gridDim.x * blockDim.x;
    const int64_t me = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    for (int64_t p = me; p < n / V; p += step) f(p * V, std::integral_constant<int, V>{});
    if (V > 1)
        for (int64_t i = n / V * V + me; i < n; i += step) f(i, std::integral_constant<int, 1>{});
}

/* Calls f with op, one of the first N values of its type, as a constant: what it does to a pack is
 * chosen once, and the pack stays in registers. */
template <int N, int I = 0, class E, class F>
__device__ __forceinline__ void with_constant(E op, F f) {
    if constexpr (I < N) {
        if (op == (E)I) return f(std::integral_constant<E, (E)I>{});
        with_constant<N, I + 1>(op, f);
    }
}

inline bool aligned16(const void *p) { return ((uintptr_t)p & 15u) == 0; }
template <class... P> bool all_aligned16(P... p) { return (aligned16(p) && ...); }
} // namespace sqn

#endif
