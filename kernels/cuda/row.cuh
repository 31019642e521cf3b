/* Rows that threads hold in registers between their passes over them.
 *
 * Rules: a block's x threads share a row, element (k blockDim.x + threadIdx.x) E + j being the j-th
 * of a thread's k-th pack of E; rows of up to 32 packs have a warp each and need no barrier. How
 * many threads there are depends on the row's length alone, so a row's sums are the same in any
 * batch, and whether its packs are read at once (WIDE), element by element, or again in every pass.
 */
#ifndef SQN_KERNELS_CUDA_ROW_H
#define SQN_KERNELS_CUDA_ROW_H

#include "kernels/cuda/pack.cuh"

namespace sqn {
constexpr int row_threads = 512; /* at most */
/* A thread's, of a long row that is held: more would not fit into the registers. */
template <class T> constexpr int row_packs = sizeof(T) == 4 ? 4 : 2;
/* The longest row that is held. */
template <class T> constexpr int64_t row_held = (int64_t)row_threads *row_packs<T> *per_pack<T>;
/* Up to so many packs a thread has one. */
constexpr int64_t row_single = 256;

/* One row of n as this thread sees it: P packs in registers, or none (P = 0), then it is read in
 * every pass. */
template <class T, int P, bool WIDE> class row {
  public:
    static constexpr int E = per_pack<T>;

    __device__ __forceinline__ row(const T *from, int64_t n) : from(from), n(n) {
#pragma unroll
        for (int k = 0; k < P; k++) {
            const int64_t i = ((int64_t)k * blockDim.x + threadIdx.x) * E;
            if (i < n) held[k] = read_pack<WIDE>(from, i, n);
        }
    }
    /* The pack at k, which begins at element i. */
    __device__ __forceinline__ pack<T, E> at(int k, int64_t i) const {
        if constexpr (P > 0)
            return held[k];
        else
            return i < n ? read_pack<WIDE>(from, i, n) : pack<T, E>{};
    }
    /* Writes the pack to `to`, from where a row that is not held is to be read by moved_to. */
    __device__ __forceinline__ void set(T *to, int k, int64_t i, const pack<T, E> &p) {
        if constexpr (P > 0) held[k] = p;
        write_pack<WIDE>(to, i, n, p);
    }
    __device__ __forceinline__ void moved_to(const T *to) { from = to; }

  private:
    const T *from;
    int64_t n;
    pack<T, E> held[P > 0 ? P : 1] = {};
};

/* f(k, i) for each of this thread's packs of a row of n. */
template <class T, int P, class F> __device__ __forceinline__ void each_of_row(int64_t n, F f) {
    constexpr int E = per_pack<T>;
    if constexpr (P > 0) {
#pragma unroll
        for (int k = 0; k < P; k++) {
            const int64_t i = ((int64_t)k * blockDim.x + threadIdx.x) * E;
            if (i < n) f(k, i);
        }
    } else {
        for (int64_t i = (int64_t)threadIdx.x * E; i < n; i += (int64_t)blockDim.x * E) f(0, i);
    }
}

/* Of the threads of a row; each gets the result. */
template <class A, class F> __device__ __forceinline__ A row_reduce(A v, F f, A empty) {
    return blockDim.x == 32 ? warp_reduce(v, f) : block_reduce(v, f, empty);
}

/* The row that this thread begins with, and how far it is to its next one. */
__device__ __forceinline__ int64_t row_first() {
    return (int64_t)blockIdx.x * blockDim.y + threadIdx.y;
}
__device__ __forceinline__ int64_t row_step() { return (int64_t)gridDim.x * blockDim.y; }

template <class T> dim3 row_block(int64_t n) {
    const int64_t packs = ceil_div(n, per_pack<T>),
                  a_thread = packs > row_single ? row_packs<T> : 1;
    const int64_t warps = ceil_div(ceil_div(packs, a_thread), 32);
    if (warps <= 1) return dim3(32, 8);
    return dim3(warps * 32 < row_threads ? (unsigned)(warps * 32) : row_threads);
}

/* Calls f(P, WIDE), both as types, for rows of n whose pointers are all aligned or not. */
template <class T, class F> sqn_status by_row(int64_t n, bool aligned, F f) {
    using none = std::integral_constant<int, 0>;
    if (!aligned || n % per_pack<T> != 0) return f(none{}, std::false_type{});
    if (n > row_held<T>) return f(none{}, std::true_type{});
    if (n > row_single * per_pack<T>)
        return f(std::integral_constant<int, row_packs<T>>{}, std::true_type{});
    return f(std::integral_constant<int, 1>{}, std::true_type{});
}
} // namespace sqn

#endif
