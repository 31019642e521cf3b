/* Attention on tensor cores, bf16 and f16, heads of 64 and 128: FlashAttention-2's scheme (Dao,
 * 2023) with mma.sync, forward and backward.
 *
 * Four warps share a tile of 64 rows, 16 each. What they multiply with streams through shared
 * memory in two buffers. Products whose result is multiplied again stay in registers: the layout of
 * C is that of A. Backward is two kernels without atomics: dq goes over the keys, dk and dv over
 * the queries of all heads that share them; both make the probabilities again.
 *
 * Versions: 1, mma.sync and cp.async, sm_80 on (never run on a card).
 */
#include "kernels/cuda/attention_tile.cuh"

namespace sqn {
constexpr int warps = 4, tile_rows = 64;

/* Rows [0, ROWS) of a strided matrix into a tile; rows from `count` on are zeros. */
template <class T, int D, int ROWS>
__device__ __forceinline__ void load_tile(T *to, const T *from, int64_t stride, int64_t count) {
    for (int c = (int)threadIdx.x; c < ROWS * D / 8; c += 32 * warps) {
        const int row = c / (D / 8), chunk = c % (D / 8);
        const bool there = row < count;
        copy16(chunk_at<T, D>(to, row, chunk), from + (there ? row * stride + chunk * 8 : 0),
               there);
    }
}
/* The same of keys and values in pages, from key j0 on; one row at a time, or registers spill. */
template <class T, int D, int ROWS>
__device__ __forceinline__ void load_keys(T *k_to, T *v_to, const T *k, const T *v,
                                          const key_places &places, int64_t stride, int64_t j0,
                                          int64_t count) {
#pragma unroll 1
    for (int c = (int)threadIdx.x; c < ROWS * D / 8; c += 32 * warps) {
        const int row = c / (D / 8), chunk = c % (D / 8);
        const bool there = row < count;
        const int64_t at = there ? places(j0 + row) * stride + chunk * 8 : 0;
        copy16(chunk_at<T, D>(k_to, row, chunk), k + at, there);
        copy16(chunk_at<T, D>(v_to, row, chunk), v + at, there);
    }
}

/* Rows g and g + 8 of c [16, D] times factor[2], rounded, to rows of a strided matrix. */
template <class T, int D>
__device__ __forceinline__ void write_rows(const float c[][4], T *to, int64_t stride, int64_t count,
                                           const float factor[2]) {
    const int g = (int)(threadIdx.x & 31u) / 4, t = (int)threadIdx.x % 4;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        if (g + 8 * half >= count) continue;
        T *row = to + (g + 8 * half) * stride;
#pragma unroll
        for (int n = 0; n < D / 8; n++)
            *(uint32_t *)(row + 8 * n + 2 * t) =
                two<T>(c[n][2 * half] * factor[half], c[n][2 * half + 1] * factor[half]);
    }
}

template <class T, int D, bool PAGES>
__global__ void __launch_bounds__(32 * warps) attention_mma_kernel(sqn_k_attention a) {
    constexpr int KEYS = 64;
    SQN_SHARED_DYNAMIC(T, shared);
    T *q_tile = shared, *k_tiles = shared + tile_rows * D,
      *v_tiles = k_tiles + 2 * KEYS * D; /* two buffers each */
    tile t;
    if (!find_tile(a, blockIdx.x, tile_rows, false, &t)) return;
    const int64_t head = blockIdx.y, kv = head / (a.heads / a.kv_heads), k_stride = a.kv_heads * D;
    const int64_t row0 = ((t.q_row + t.first) * a.heads + head) * D,
                  k0 = (t.k_row * a.kv_heads + kv) * D;
    const T *k = (const T *)a.k + k0, *v = (const T *)a.v + k0;
    const int mine = 16 * (int)(threadIdx.x >> 5), g = (int)(threadIdx.x & 31u) / 4,
              c = (int)threadIdx.x % 4 * 2;
    const float scale = (float)a.scale * log2e;
    int64_t low, high;
    key_range(a, t, t.first, t.first + t.count, &low, &high);
    const key_places places = places_of(a, t);
    const auto fetch = [&](int64_t j0, int into) {
        T *k_tile = k_tiles + into * KEYS * D, *v_tile = v_tiles + into * KEYS * D;
        if constexpr (PAGES) {
            load_keys<T, D, KEYS>(k_tile, v_tile, k, v, places, k_stride, j0, high - j0);
        } else {
            load_tile<T, D, KEYS>(k_tile, k + j0 * k_stride, k_stride, high - j0);
            load_tile<T, D, KEYS>(v_tile, v + j0 * k_stride, k_stride, high - j0);
        }
    };
    float out[D / 8][4] = {}, top[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0};

    load_tile<T, D, tile_rows>(q_tile, (const T *)a.q + row0, a.heads * D, t.count);
    fetch(low, 0);
    copies_commit();
    int buffer = 0;
    for (int64_t j0 = low; j0 < high; j0 += KEYS, buffer ^= 1) {
        if (j0 + KEYS < high) fetch(j0 + KEYS, buffer ^ 1); /* while this one is worked on */
        copies_commit();
        copies_wait<1>();
        __syncthreads(); /* everybody's copies are there */
        float s[KEYS / 8][4];
        rows_by_rows<T, D, KEYS>(s, q_tile, mine, k_tiles + buffer * KEYS * D);
        const int64_t i0 = t.first + mine + g;
        const int64_t last = t.keys - t.queries + t.first; /* position of the tile's first query */
        const bool whole =
            j0 + KEYS <= high && (!a.causal || (j0 + KEYS - 1 <= last && a.window <= 0));
        soften<D, KEYS>(s, scale, top, sum, out, [&](int half, int n, int j) {
            const int64_t key = j0 + 8 * n + c + j % 2;
            return whole || (key < high && reads(a, t, i0 + 8 * half, key));
        });
        add_product<T, D, KEYS>(out, s, v_tiles + buffer * KEYS * D);
        __syncthreads(); /* before the buffer is filled again */
    }
    copies_wait<0>();
    float inverse[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
        sum[half] = row_reduce(sum[half], plus{});
        inverse[half] = sum[half] > 0 || sum[half] != sum[half] ? 1.0f / sum[half] : 0.0f;
        if (a.lse && c == 0 && mine + g + 8 * half < t.count)
            ((float *)a.lse)[(t.q_row + t.first + mine + g + 8 * half) * a.heads + head] =
                top[half] * ln2 + logf(sum[half]);
    }
    write_rows<T, D>(out, (T *)a.out + row0 + mine * a.heads * D, a.heads * D, t.count - mine,
                     inverse);
}

/* s [16, COLS] of rows i (or i: columns, if by_keys) to p = exp(s scale - lse) in place, and dp to
 * ds = p (dp - delta) scale. i0, j0: the tile's first query and key, at this lane's row and column.
 */
template <class K>
__device__ __forceinline__ void probabilities(const K &a, const tile &t, float *s, float *dp,
                                              int64_t i, int64_t j, int64_t i_end, int64_t j_end,
                                              const float *lse, const float *delta, int64_t head) {
    const bool seen = i < i_end && j < j_end && reads(a, t, i, j);
    const int64_t row = (t.q_row + i) * a.heads + head;
    const float p = seen ? exp2_fast(*s * (float)a.scale * log2e - lse[row] * log2e) : 0.0f;
    *dp = seen ? p * (*dp - delta[row]) * (float)a.scale : 0.0f;
    *s = p;
}

template <class T, int D, int KEYS>
__global__ void __launch_bounds__(32 * warps)
    attention_mma_dq_kernel(sqn_k_attention_grad a, const float *delta) {
    SQN_SHARED_DYNAMIC(T, shared);
    T *q_tile = shared, *d_tile = shared + tile_rows * D, *k_tiles = shared + 2 * tile_rows * D,
      *v_tiles = k_tiles + 2 * KEYS * D;
    tile t;
    if (!find_tile(a, blockIdx.x, tile_rows, false, &t)) return;
    const int64_t head = blockIdx.y, kv = head / (a.heads / a.kv_heads), k_stride = a.kv_heads * D;
    const int64_t row0 = ((t.q_row + t.first) * a.heads + head) * D,
                  k0 = (t.k_row * a.kv_heads + kv) * D;
    const T *k = (const T *)a.k + k0, *v = (const T *)a.v + k0;
    const int mine = 16 * (int)(threadIdx.x >> 5), g = (int)(threadIdx.x & 31u) / 4,
              c = (int)threadIdx.x % 4 * 2;
    int64_t low, high;
    key_range(a, t, t.first, t.first + t.count, &low, &high);
    float dq[D / 8][4] = {};

    load_tile<T, D, tile_rows>(q_tile, (const T *)a.q + row0, a.heads * D, t.count);
    load_tile<T, D, tile_rows>(d_tile, (const T *)a.dout + row0, a.heads * D, t.count);
    load_tile<T, D, KEYS>(k_tiles, k + low * k_stride, k_stride, high - low);
    load_tile<T, D, KEYS>(v_tiles, v + low * k_stride, k_stride, high - low);
    copies_commit();
    int buffer = 0;
    for (int64_t j0 = low; j0 < high; j0 += KEYS, buffer ^= 1) {
        if (j0 + KEYS < high) {
            load_tile<T, D, KEYS>(k_tiles + (buffer ^ 1) * KEYS * D, k + (j0 + KEYS) * k_stride,
                                  k_stride, high - j0 - KEYS);
            load_tile<T, D, KEYS>(v_tiles + (buffer ^ 1) * KEYS * D, v + (j0 + KEYS) * k_stride,
                                  k_stride, high - j0 - KEYS);
        }
        copies_commit();
        copies_wait<1>();
        __syncthreads();
        float s[KEYS / 8][4], ds[KEYS / 8][4];
        rows_by_rows<T, D, KEYS>(s, q_tile, mine, k_tiles + buffer * KEYS * D);
        rows_by_rows<T, D, KEYS>(ds, d_tile, mine, v_tiles + buffer * KEYS * D);
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
            for (int j = 0; j < 4; j++)
                probabilities(a, t, &s[n][j], &ds[n][j], t.first + mine + g + (j >= 2 ? 8 : 0),
                              j0 + 8 * n + c + j % 2, t.first + t.count, high, (const float *)a.lse,
                              delta, head);
        add_product<T, D, KEYS>(dq, ds, k_tiles + buffer * KEYS * D);
        __syncthreads();
    }
    copies_wait<0>();
    const float one[2] = {1, 1};
    write_rows<T, D>(dq, (T *)a.dq + row0 + mine * a.heads * D, a.heads * D, t.count - mine, one);
}

template <class T, int D, int QUERIES>
__global__ void __launch_bounds__(32 * warps)
    attention_mma_dkv_kernel(sqn_k_attention_grad a, const float *delta) {
    SQN_SHARED_DYNAMIC(T, shared);
    T *k_tile = shared, *v_tile = shared + tile_rows * D, *q_tiles = shared + 2 * tile_rows * D,
      *d_tiles = q_tiles + 2 * QUERIES * D;
    tile t;
    if (!find_tile(a, blockIdx.x, tile_rows, true, &t)) return;
    const int64_t kv = blockIdx.y, group = a.heads / a.kv_heads, stride = a.heads * D,
                  k_stride = a.kv_heads * D;
    const int64_t row0 = ((t.k_row + t.first) * a.kv_heads + kv) * D;
    const int mine = 16 * (int)(threadIdx.x >> 5), g = (int)(threadIdx.x & 31u) / 4,
              c = (int)threadIdx.x % 4 * 2;
    int64_t low, high;
    query_range(a, t, t.first, t.first + t.count, &low, &high);
    float dk[D / 8][4] = {}, dv[D / 8][4] = {};

    /* Step n: queries of one head after the other. */
    const int64_t tiles = high > low ? (high - low + QUERIES - 1) / QUERIES : 0,
                  steps = tiles * group;
    const auto fetch = [&](int64_t n, int into) {
        const int64_t head = kv * group + n / tiles, i0 = low + n % tiles * QUERIES;
        const int64_t from = ((t.q_row + i0) * a.heads + head) * D;
        load_tile<T, D, QUERIES>(q_tiles + into * QUERIES * D, (const T *)a.q + from, stride,
                                 high - i0);
        load_tile<T, D, QUERIES>(d_tiles + into * QUERIES * D, (const T *)a.dout + from, stride,
                                 high - i0);
    };
    load_tile<T, D, tile_rows>(k_tile, (const T *)a.k + row0, k_stride, t.count);
    load_tile<T, D, tile_rows>(v_tile, (const T *)a.v + row0, k_stride, t.count);
    if (steps > 0) fetch(0, 0);
    copies_commit();
    for (int64_t n = 0; n < steps; n++) {
        const int buffer = (int)(n & 1);
        if (n + 1 < steps) fetch(n + 1, buffer ^ 1);
        copies_commit();
        copies_wait<1>();
        __syncthreads();
        const int64_t head = kv * group + n / tiles, i0 = low + n % tiles * QUERIES;
        float s[QUERIES / 8][4], ds[QUERIES / 8][4];
        rows_by_rows<T, D, QUERIES>(s, k_tile, mine, q_tiles + buffer * QUERIES * D);
        rows_by_rows<T, D, QUERIES>(ds, v_tile, mine, d_tiles + buffer * QUERIES * D);
#pragma unroll
        for (int m = 0; m < QUERIES / 8; m++)
#pragma unroll
            for (int j = 0; j < 4; j++)
                probabilities(a, t, &s[m][j], &ds[m][j], i0 + 8 * m + c + j % 2,
                              t.first + mine + g + (j >= 2 ? 8 : 0), high, t.first + t.count,
                              (const float *)a.lse, delta, head);
        add_product<T, D, QUERIES>(dv, s, d_tiles + buffer * QUERIES * D);
        add_product<T, D, QUERIES>(dk, ds, q_tiles + buffer * QUERIES * D);
        __syncthreads();
    }
    copies_wait<0>();
    const float one[2] = {1, 1};
    write_rows<T, D>(dk, (T *)a.dk + row0 + mine * k_stride, k_stride, t.count - mine, one);
    write_rows<T, D>(dv, (T *)a.dv + row0 + mine * k_stride, k_stride, t.count - mine, one);
}

/* ---- launches ---- */

template <class T, int D, bool PAGES>
sqn_status forward_of(const sqn_k_attention *a, void *stream) {
    const size_t bytes = (size_t)(tile_rows + 4 * 64) * D * sizeof(T);
    auto run = attention_mma_kernel<T, D, PAGES>;
    allow_shared(run, bytes);
    SQN_LAUNCH(run,
               dim3((unsigned)(ceil_div(a->queries, tile_rows) + a->segments), (unsigned)a->heads),
               32 * warps, bytes, stream, *a);
    return sqn_cuda_launched();
}

template <class T, int D> sqn_status forward(const sqn_k_attention *a, void *stream) {
    return a->pages ? forward_of<T, D, true>(a, stream) : forward_of<T, D, false>(a, stream);
}

template <class T, int D>
sqn_status backward(const sqn_k_attention_grad *a, const float *delta, void *stream) {
    constexpr int OTHER =
        D == 64 ? 64 : 32; /* rows that stream: registers hold two [16, OTHER] and two [16, D] */
    const size_t bytes = (size_t)(2 * tile_rows + 4 * OTHER) * D * sizeof(T);
    auto dq = attention_mma_dq_kernel<T, D, OTHER>;
    allow_shared(dq, bytes);
    SQN_LAUNCH(dq,
               dim3((unsigned)(ceil_div(a->queries, tile_rows) + a->segments), (unsigned)a->heads),
               32 * warps, bytes, stream, *a, delta);
    auto dkv = attention_mma_dkv_kernel<T, D, OTHER>;
    allow_shared(dkv, bytes);
    SQN_LAUNCH(dkv,
               dim3((unsigned)(ceil_div(a->keys, tile_rows) + a->segments), (unsigned)a->kv_heads),
               32 * warps, bytes, stream, *a, delta);
    return sqn_cuda_launched();
}

sqn_status attention_mma(const sqn_k_attention *a, void *stream) {
    if (!fits(a->dtype, a->dim, {a->q, a->k, a->v, a->out})) return SQN_NOTFOUND;
    if (a->dtype == SQN_BF16)
        return a->dim == 64 ? forward<bf16, 64>(a, stream) : forward<bf16, 128>(a, stream);
    return a->dim == 64 ? forward<f16, 64>(a, stream) : forward<f16, 128>(a, stream);
}

sqn_status attention_mma_grad(const sqn_k_attention_grad *a, const float *delta, void *stream) {
    if (!fits(a->dtype, a->dim, {a->q, a->k, a->v, a->dout, a->dq, a->dk, a->dv}))
        return SQN_NOTFOUND;
    if (a->dtype == SQN_BF16)
        return a->dim == 64 ? backward<bf16, 64>(a, delta, stream)
                            : backward<bf16, 128>(a, delta, stream);
    return a->dim == 64 ? backward<f16, 64>(a, delta, stream)
                        : backward<f16, 128>(a, delta, stream);
}
} // namespace sqn
