/* Walks over strided tensors: dimensions that lie together are merged on the host, a thread finds
 * its element by division. */
#ifndef SQN_KERNELS_CUDA_STRIDES_H
#define SQN_KERNELS_CUDA_STRIDES_H

#include "kernels/cuda/cuda.cuh"

namespace sqn {
struct walk { /* two tensors of one shape; at least one dimension */
    int ndim;
    int64_t n; /* elements */
    int64_t shape[SQN_MAX_DIMS], a[SQN_MAX_DIMS], b[SQN_MAX_DIMS];
};

inline walk walk_make(int ndim, const int64_t *shape, const int64_t *a, const int64_t *b) {
    walk w = {1, 1, {1}, {0}, {0}};
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
} // namespace sqn

#endif
