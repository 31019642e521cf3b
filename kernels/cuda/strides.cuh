/* Walks over strided tensors: dimensions that lie together are merged on the host, a thread finds
 * its element by division. */
#ifndef SQN_KERNELS_CUDA_STRIDES_H
#define SQN_KERNELS_CUDA_STRIDES_H

#include "kernels/cuda/pack.cuh"

namespace sqn {
struct walk { /* two tensors of one shape; at least one dimension */
    int ndim;
    int64_t n; /* elements, or packs */
    int tail;  /* elements behind the last pack, of one dimension */
    int64_t shape[SQN_MAX_DIMS], a[SQN_MAX_DIMS], b[SQN_MAX_DIMS];
};

inline walk walk_make(int ndim, const int64_t *shape, const int64_t *a, const int64_t *b) {
    walk w = {1, 1, 0, {1}, {0}, {0}};
    int last = -1; /* of the merged dimensions, from the innermost, written backwards below */
    int64_t s[SQN_MAX_DIMS], sa[SQN_MAX_DIMS], sb[SQN_MAX_DIMS];
    for (int d = ndim - 1; d >= 0; d--) {
        w.n *= shape[d];
        if (shape[d] == 1) continue;
        if (last >= 0 && a[d] == sa[last] * s[last] && b[d] == sb[last] * s[last]) {
            s[last] *= shape[d];
            continue;
        }
        last++;
        s[last] = shape[d], sa[last] = a[d], sb[last] = b[d];
    }
    if (last < 0) return w;
    w.ndim = last + 1;
    for (int d = 0; d <= last; d++)
        w.shape[d] = s[last - d], w.a[d] = sa[last - d], w.b[d] = sb[last - d];
    return w;
}

__device__ __forceinline__ void walk_at(const walk &w, int64_t i, int64_t *a, int64_t *b) {
    int64_t ao = 0, bo = 0;
    for (int d = w.ndim - 1; d > 0; d--) {
        const quotient q = divide(i, w.shape[d]);
        ao += q.rest * w.a[d];
        bo += q.rest * w.b[d];
        i = q.whole;
    }
    *a = ao + i * w.a[0];
    *b = bo + i * w.b[0];
}
/* True if packs of V innermost elements of both can be walked, as w does then: they lie side by
 * side and begin at multiples of 16 bytes, or one element stands for all. */
inline bool walk_by_packs(walk *w, int V, const void *a, const void *b) {
    const int last = w->ndim - 1;
    const auto fits = [&](const int64_t *stride, const void *p) {
        if (stride[last] == 0) return true;
        for (int d = 0; d < last; d++)
            if (stride[d] % V != 0) return false;
        return stride[last] == 1 && aligned16(p);
    };
    if (!fits(w->a, a) || !fits(w->b, b) || (w->ndim > 1 && w->shape[last] % V != 0)) return false;
    w->n /= V;
    w->tail = (int)(w->shape[last] % V);
    w->shape[last] /= V;
    w->a[last] *= V;
    w->b[last] *= V;
    return true;
}

/* W elements from x on, or x[0] W times. */
template <int W, class T> __device__ __forceinline__ pack<T, W> operand(const T *x, bool repeats) {
    if (!repeats) return *(const pack<T, W> *)x;
    pack<T, W> p;
    const T v = *x;
    for (int j = 0; j < W; j++) p.v[j] = v;
    return p;
}

/* f(i, a, b, width) for this thread's packs, width elements from i on that lie at a and b. */
template <int V, class F> __device__ __forceinline__ void each_of_walk(const walk &w, F f) {
    const int64_t step = (int64_t)gridDim.x * blockDim.x;
    const int64_t me = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    for (int64_t i = me; i < w.n; i += step) {
        int64_t a, b;
        walk_at(w, i, &a, &b);
        f(i * V, a, b, std::integral_constant<int, V>{});
    }
    if (V > 1 && me < w.tail) {
        const int64_t i = w.n * V + me;
        f(i, w.a[0] / V * i, w.b[0] / V * i, std::integral_constant<int, 1>{});
    }
}
} // namespace sqn

#endif
