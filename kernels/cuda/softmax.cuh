/* The largest of many numbers and the sum of their exponentials, in one pass over a row. */
#ifndef SQN_KERNELS_CUDA_SOFTMAX_H
#define SQN_KERNELS_CUDA_SOFTMAX_H

#include "kernels/cuda/row.cuh"

namespace sqn {
/* The largest number so far, and the sum of exp(x - top). A NaN stays in the sum. */
template <class A> struct soft { A top, sum; };
template <class A> constexpr soft<A> soft_empty = {-INFINITY, 0};

template <class A> __device__ __forceinline__ soft<A> other_lane(soft<A> v, int bits) {
    return {other_lane(v.top, bits), other_lane(v.sum, bits)};
}

struct join {
    template <class A> __device__ __forceinline__ soft<A> operator()(soft<A> a, soft<A> b) const {
        const A top = a.top > b.top ? a.top : b.top;
        if (top == (A)-INFINITY) return {top, a.sum + b.sum};
        return {top, a.sum * exp(a.top - top) + b.sum * exp(b.top - top)};
    }
};

/* Of the numbers of a row of n that this thread reads, 16 at a time (f64: 2), for which one factor
 * brings the sum so far to the new top. also(i, pack) sees them, too. */
template <bool WIDE, class T, class F>
__device__ __forceinline__ soft<acc<T>> soft_of(const T *x, int64_t n, F also) {
    using A = acc<T>;
    constexpr int E = per_pack<T>, P = sizeof(A) == 8 ? 1 : 16 / E;
    soft<A> all = soft_empty<A>;
    const int64_t step = (int64_t)blockDim.x * E;
    for (int64_t first = (int64_t)threadIdx.x * E; first < n; first += P * step) {
        pack<T, E> p[P] = {};
        A v[P * E], top = all.top, sum = 0;
#pragma unroll
        for (int k = 0; k < P; k++)
            if (first + k * step < n) p[k] = read_pack<WIDE>(x, first + k * step, n);
#pragma unroll
        for (int k = 0; k < P; k++) {
            const int64_t i = first + k * step;
            if (i < n) also(i, p[k]);
#pragma unroll
            for (int j = 0; j < E; j++) {
                v[k * E + j] = i + (WIDE ? 0 : j) < n ? load(p[k].v[j]) : (A)-INFINITY;
                if (v[k * E + j] > top) top = v[k * E + j];
            }
        }
        const A shift = top == (A)-INFINITY ? (A)0 : top; /* so that -inf is 0 and no NaN */
#pragma unroll
        for (int j = 0; j < P * E; j++) sum += exp(v[j] - shift);
        all = {top, all.sum * exp(all.top - shift) + sum};
    }
    return all;
}
} // namespace sqn

#endif
