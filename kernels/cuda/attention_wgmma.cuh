/* What attention on wgmma shares, forward and backward: tiles, products of them, masks.
 *
 * Rules: a block is a producer warpgroup, whose first warp starts the copies, and CONSUMERS
 * warpgroups with 64 rows each. A stage of tiles has two barriers: `full` counts the bytes that
 * come, `empty` the consumers' warps that are done. Use number n of a stage waits for parity n & 1
 * of full and for the other one of empty. Rows past a segment's end are another segment's or no
 * row's; where they are multiplied by zeros they are cleared first, since they may be NaN.
 */
#ifndef SQN_KERNELS_CUDA_ATTENTION_WGMMA_H
#define SQN_KERNELS_CUDA_ATTENTION_WGMMA_H

#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace sqn {
constexpr int group_rows = 64;
enum named_barrier { cleared = 1, first_turn };

/* Shared memory from the next multiple of 1024 on; launches ask for as much more. */
constexpr size_t alignment_slack = 1024;
__device__ __forceinline__ char *aligned_shared(char *p) {
    return p + ((1024u - (shared_address(p) & 1023u)) & 1023u);
}

#if SQN_HOPPER
/* A copy of rows [row, row + ROWS) of one head into a tile. One thread. */
template <int D, int ROWS, class T>
__device__ __forceinline__ void load_rows(T *tile, const tensor_map *m, int head, int row,
                                          uint64_t *done) {
#pragma unroll
    for (int p = 0; p < D / panel; p++)
        load_box(tile + p * ROWS * panel, m, p * panel, head, row, done);
}

/* Rows [first, ROWS) of a tile to zeros by THREADS threads, of which this is number `thread`. */
template <int D, int ROWS, int THREADS, class T>
__device__ __forceinline__ void clear_rows(T *tile, int first, int thread) {
    constexpr int chunks = panel / 8;
    for (int i = thread; i < (ROWS - first) * (D / 8); i += THREADS) {
        const int row = first + i % (ROWS - first), chunk = i / (ROWS - first);
        store_zeros(tile + (chunk / chunks * ROWS + row) * panel + chunk % chunks * 8);
    }
}

/* d [64, N] = rows of a tile of A_ROWS times rows of a tile of N, over D columns. */
template <class T, int D, int A_ROWS, int N>
__device__ __forceinline__ void rows_by_rows(float (&d)[N / 2], uint64_t a, uint64_t b) {
#pragma unroll
    for (int k = 0; k < D / 16; k++)
        multiply<T, N>(d, a + k_columns(k, A_ROWS), b + k_columns(k, N), k > 0);
}
/* d [64, D] += p [64, ROWS] times the rows of a tile. */
template <class T, int D, int ROWS>
__device__ __forceinline__ void add_product(float (&d)[D / 2], const uint32_t (&p)[ROWS / 16][4],
                                            uint64_t b) {
#pragma unroll
    for (int k = 0; k < ROWS / 16; k++) multiply_columns<T, D>(d, p[k], b + k_rows(k));
}
/* A result as the A operand of the next product. */
template <class T, int N>
__device__ __forceinline__ void round_to_a(uint32_t (&a)[N / 16][4], const float (&c)[N / 2]) {
#pragma unroll
    for (int k = 0; k < N / 16; k++)
#pragma unroll
        for (int r = 0; r < 4; r++) a[k][r] = two<T>(c[8 * k + 2 * r], c[8 * k + 2 * r + 1]);
}

/* A tile in the numbers that tensor maps have, which leaves registers to the products. */
struct small_tile {
    int first, count, queries, keys;
    int shift; /* position of query 0 */
    int q_row, k_row, window;
};
template <class K> __device__ __forceinline__ small_tile small(const K &a, const tile &t) {
    return {(int)t.first,
            (int)t.count,
            (int)t.queries,
            (int)t.keys,
            a.causal ? (int)(t.keys - t.queries) : (int)t.keys, /* every key is behind */
            (int)t.q_row,
            (int)t.k_row,
            a.causal && a.window > 0 && a.window < t.keys ? (int)a.window : 0};
}

/* Keys [low, high) that query i reads. */
struct bounds {
    int low, high;
};
__device__ __forceinline__ bounds keys_read(const small_tile &t, int i) {
    const int p = t.shift + i;
    return {t.window > 0 ? p - t.window + 1 : 0, p < t.keys ? p + 1 : t.keys};
}
/* Do queries [i0, i1) read all keys [j0, j1)? */
__device__ __forceinline__ bool reads_all(const small_tile &t, int i0, int i1, int j0, int j1) {
    return keys_read(t, i1 - 1).low <= j0 && keys_read(t, i0).high >= j1;
}

/* Scores outside a thread's rows' bounds to -infinity. */
template <int N>
__device__ __forceinline__ void mask(float (&s)[N / 2], const bounds (&row)[2], int j0) {
    const int c = j0 + (int)threadIdx.x % 4 * 2;
#pragma unroll
    for (int i = 0; i < N / 2; i++) {
        const int key = i / 4 * 8 + c + i % 2;
        const bounds &b = row[i / 2 % 2];
        if (key < b.low || key >= b.high) s[i] = -INFINITY;
    }
}

/* Rows g and g + 8 of this warp's 16 rows of c [64, D], times a factor each, to a strided matrix
 * whose row 0 is the warpgroup's first. */
template <class T, int D>
__device__ __forceinline__ void write_rows(const float (&c)[D / 2], T *to, int64_t stride,
                                           int64_t count, const float (&factor)[2]) {
    const int lane = (int)threadIdx.x & 31, first = ((int)threadIdx.x / 32 & 3) * 16 + lane / 4;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        if (first + 8 * half >= count) continue;
        T *row = to + (first + 8 * half) * stride + lane % 4 * 2;
#pragma unroll
        for (int n = 0; n < D / 8; n++)
            *(uint32_t *)(row + 8 * n) =
                two<T>(c[4 * n + 2 * half] * factor[half], c[4 * n + 2 * half + 1] * factor[half]);
    }
}

/* A warp is done with a stage: what its lanes loaded of it went into products of the whole warp,
 * and those are over. */
__device__ __forceinline__ void warp_done(uint64_t *empty) {
    if ((threadIdx.x & 31u) == 0) barrier_arrive(empty);
}
#endif

/* Is this call for wgmma? Where a training batch's segments have few queries most of a block's rows
 * would be nobody's. Without gradients nearly all are: a row's bits depend on no other row then. */
inline bool on_wgmma(sqn_dtype dtype, int64_t dim, int64_t queries, int64_t keys, int64_t segments,
                     bool training, double scale, std::initializer_list<const void *> pointers) {
#if defined(SQN_EMULATE)
    const int64_t least = 1;
    (void)training;
#elif defined(SQN_WGMMA)
    const int64_t least = training ? 64 : 1;
#else /* not compiled for sm_90a */
    (void)training;
    const int64_t least = INT64_MAX;
#endif
    return queries < INT32_MAX && keys < INT32_MAX && queries / segments >= least && keys > 0 &&
           scale > 0 && fits(dtype, dim, pointers) && sqn_cuda_capability() == 90;
}
} // namespace sqn

#endif
