/* What the attention kernels share: which segment a tile belongs to, which keys a query reads.
 *
 * Rules: query i of a segment of Q queries stands at position p = k_len - Q + i and, if causal,
 * reads keys j with p - window < j <= p (window 0: no limit). The tables of segments lie on the
 * card, so a grid has as many tiles as there could be, ceil(rows / size) + segments, and a tile
 * that has no segment does nothing.
 */
#ifndef SQN_KERNELS_CUDA_ATTENTION_H
#define SQN_KERNELS_CUDA_ATTENTION_H

#include "kernels/cuda/cuda.cuh"

namespace sqn {
/* The part of a segment that a block works on. */
struct tile {
    int64_t first, count;  /* rows of the tile, from the segment's first */
    int64_t queries, keys; /* of the segment */
    int64_t q_row, k_row;  /* the segment's first rows in q and in k */
};

template <class K>
__device__ bool find_tile(const K &a, int64_t number, int64_t size, bool by_keys, tile *t) {
    for (int64_t s = 0; s < a.segments; s++) {
        const int64_t queries = a.q_start[s + 1] - a.q_start[s];
        const int64_t rows = by_keys ? a.k_len[s] : queries, tiles = (rows + size - 1) / size;
        if (number >= tiles) {
            number -= tiles;
            continue;
        }
        const int64_t first = number * size;
        *t = {first,        rows - first < size ? rows - first : size,
              queries,      a.k_len[s],
              a.q_start[s], a.k_row[s]};
        return true;
    }
    return false;
}

/* Does query i (of the segment) read key j? */
template <class K>
__device__ __forceinline__ bool reads(const K &a, const tile &t, int64_t i, int64_t j) {
    if (!a.causal) return true;
    const int64_t p = t.keys - t.queries + i;
    return j <= p && (a.window <= 0 || j > p - a.window);
}

/* Keys [*low, *high) that queries [i0, i1) read. */
template <class K>
__device__ __forceinline__ void key_range(const K &a, const tile &t, int64_t i0, int64_t i1,
                                          int64_t *low, int64_t *high) {
    *low = 0, *high = t.keys;
    if (!a.causal) return;
    const int64_t p0 = t.keys - t.queries + i0, p1 = t.keys - t.queries + i1 - 1;
    if (p1 + 1 < *high) *high = p1 + 1;
    if (a.window > 0 && p0 - a.window + 1 > 0) *low = p0 - a.window + 1;
}

/* Queries [*low, *high) that read some key of [j0, j1). */
template <class K>
__device__ __forceinline__ void query_range(const K &a, const tile &t, int64_t j0, int64_t j1,
                                            int64_t *low, int64_t *high) {
    *low = 0, *high = t.queries;
    if (!a.causal) return;
    const int64_t shift = t.keys - t.queries; /* position of query 0 */
    if (j0 - shift > 0) *low = j0 - shift;
    if (a.window > 0 && j1 - 1 + a.window - shift < *high) *high = j1 - 1 + a.window - shift;
}

/* The kernels on tensor cores, for bf16 and f16 and dim 64 or 128 (attention_mma.cu). SQN_NOTFOUND:
 * not for this call. */
sqn_status attention_mma(const sqn_k_attention *a, void *stream);
sqn_status attention_mma_grad(const sqn_k_attention_grad *a, const float *delta, void *stream);
} // namespace sqn

#endif
