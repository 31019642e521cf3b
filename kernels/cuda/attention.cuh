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
constexpr float log2e = 1.4426950408889634f, ln2 = 0.6931471805599453f;

/* The part of a segment that a block works on. */
struct tile {
    int64_t segment;
    int64_t first, count;  /* rows of the tile, from the segment's first */
    int64_t queries, keys; /* of the segment */
    int64_t q_row, k_row;  /* the segment's first rows in q and in k (of keys in pages: 0) */
};

/* Tile `number` of all segments' tiles of `size` rows; whole warps call, each lane looks at one
 * segment in 32. */
template <class K>
__device__ bool find_tile(const K &a, int64_t number, int64_t size, bool by_keys, tile *t) {
    const int lane = (int)(threadIdx.x & 31u);
    for (int64_t s0 = 0; s0 < a.segments; s0 += 32) {
        const int64_t mine = s0 + lane;
        int64_t rows = 0;
        if (mine < a.segments)
            rows = by_keys ? a.k_len[mine] : a.q_start[mine + 1] - a.q_start[mine];
        const int64_t tiles = (rows + size - 1) / size;
        int64_t end = tiles; /* of this segment's tiles, from those of s0 */
        for (int by = 1; by < 32; by *= 2) {
            const int64_t before = __shfl_up_sync(all_lanes, end, by);
            if (lane >= by) end += before;
        }
        const unsigned behind = __ballot_sync(all_lanes, end > number);
        if (behind == 0) {
            number -= __shfl_sync(all_lanes, end, 31);
            continue;
        }
        const int owner = __ffs((int)behind) - 1;
        const int64_t s = s0 + owner, start = a.q_start[s], queries = a.q_start[s + 1] - start;
        const int64_t first = (number - __shfl_sync(all_lanes, end - tiles, owner)) * size;
        const int64_t left = __shfl_sync(all_lanes, rows, owner) - first;
        *t = {s,          first, left < size ? left : size, queries,
              a.k_len[s], start, a.k_row ? a.k_row[s] : 0};
        return true;
    }
    return false;
}

/* The row of key j of a tile's segment. */
struct key_places {
    const int64_t *pages; /* of the segment; NULL: its keys lie one after the other */
    int64_t first;
    uint32_t size;
    __device__ __forceinline__ int64_t operator()(int64_t j) const {
        if (pages == nullptr) return first + j;
        const uint32_t i = (uint32_t)j;
        return pages[i / size] * size + i % size;
    }
};
__device__ __forceinline__ key_places places_of(const sqn_k_attention &a, const tile &t) {
    return {a.pages ? a.pages + t.segment * a.most_pages : nullptr, t.k_row, (uint32_t)a.page_rows};
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

/* Few queries of each segment, on average, as far as the host knows; no gradient is wanted. */
inline bool is_decoding(const sqn_k_attention *a) {
    return a->lse == nullptr && a->queries <= 8 * a->segments;
}
/* Keys that a segment can have at most. */
inline int64_t most_keys(const sqn_k_attention *a) {
    return a->pages ? a->most_pages * a->page_rows : a->keys;
}

/* ---- launches ---- */

/* Shared memory beyond 48 KiB has to be asked for. */
template <class F> void allow_shared(F kernel, size_t bytes) {
    if (bytes > 48 << 10)
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes);
}

/* Can the kernels on tensor cores do it? */
inline bool fits(sqn_dtype dtype, int64_t dim, std::initializer_list<const void *> pointers) {
    for (const void *p : pointers)
        if (((uintptr_t)p & 15u) != 0) return false;
    return (dtype == SQN_BF16 || dtype == SQN_F16) && (dim == 64 || dim == 128);
}

/* Tiles of `size` rows that `rows` rows in that many segments can need. */
inline unsigned most_tiles(int64_t rows, int64_t size, int64_t segments) {
    return (unsigned)(ceil_div(rows, size) + segments);
}

/* The kernels on tensor cores, for bf16 and f16 and dim 64 or 128. SQN_NOTFOUND: not for this call
 * or card. delta [queries, heads]: sums of dout * out. */
sqn_status attention_mma(const sqn_k_attention *a, void *stream);
sqn_status attention_mma_grad(const sqn_k_attention_grad *a, const float *delta, void *stream);
/* Hopper's (attention_wgmma.cu). */
sqn_status attention_wgmma(const sqn_k_attention *a, void *stream);
sqn_status attention_wgmma_grad(const sqn_k_attention_grad *a, const float *delta, void *stream);
/* Few queries of each segment against many keys, without lse (attention_decode.cu). */
sqn_status attention_decode(const sqn_k_attention *a, void *stream);
} // namespace sqn

#endif
