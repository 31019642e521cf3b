/* Walks two strided arrays of one shape: the innermost run is left to the caller, outer dimensions
 * are merged where they can be. */
#ifndef SQN_CPU_STRIDES_H
#define SQN_CPU_STRIDES_H

#include "kernels/kernels.h"

typedef struct walk {
    int ndim;
    int64_t shape[SQN_MAX_DIMS], a[SQN_MAX_DIMS], b[SQN_MAX_DIMS];
    int64_t outer, inner; /* runs, and elements of each */
} walk;

static inline walk walk_make(int ndim, const int64_t *shape, const int64_t *a, const int64_t *b) {
    walk w = {.ndim = 0, .outer = 1, .inner = 1};
    for (int d = 0; d < ndim; d++) {
        if (shape[d] == 1) continue;
        int last = w.ndim - 1;
        if (last >= 0 && w.a[last] == a[d] * shape[d] && w.b[last] == b[d] * shape[d]) {
            w.shape[last] *= shape[d];
            w.a[last] = a[d];
            w.b[last] = b[d];
        } else {
            w.shape[w.ndim] = shape[d];
            w.a[w.ndim] = a[d];
            w.b[w.ndim++] = b[d];
        }
    }
    if (w.ndim == 0) {
        w.ndim = 1;
        w.shape[0] = 1;
        w.a[0] = w.b[0] = 0;
    }
    w.inner = w.shape[w.ndim - 1];
    for (int d = 0; d < w.ndim - 1; d++) w.outer *= w.shape[d];
    return w;
}

/* Offsets of run r. */
static inline void walk_at(const walk *w, int64_t r, int64_t *a, int64_t *b) {
    *a = *b = 0;
    for (int d = w->ndim - 2; d >= 0; d--) {
        int64_t i = r % w->shape[d];
        r /= w->shape[d];
        *a += i * w->a[d];
        *b += i * w->b[d];
    }
}

#endif
