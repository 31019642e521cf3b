/* Attention of few queries over many keys, as decoding asks for it: bf16 and f16, heads of 64 and
 * 128, the keys split over blocks (Flash-Decoding, Dao et al. 2023).
 *
 * A block has up to 16 rows, queries times heads of one kv head, so that a key and its value are
 * read once for all of them, and one range of the keys; its four warps take 16 keys each of a step
 * of 64. The products are mma.sync's; what bounds the kernel is the reading of K and V, which
 * stays STAGES - 1 steps ahead. The warps' results are added in order, those of the ranges by a
 * second kernel, in order, too.
 *
 * How many ranges a row's keys fall into depends on their number alone, neither on the batch nor on
 * the card: a row's result is the same in any company. The grid has the most that there can be and
 * knows no length, so a recorded launch stays right while the lengths on the card grow.
 *
 * Versions: 1, mma.sync and cp.async, sm_80 on (never run on a card).
 */
#include "kernels/cuda/attention_tile.cuh"

namespace sqn {
constexpr int warps = 4, rows_a_tile = 16, keys_a_step = 64;

/* How rows are laid into tiles: `heads` of a kv head (of which a block may have a part) times
 * `queries`; most: ranges of a row's keys. */
struct decode_plan {
    int64_t heads, parts, queries, most;
};

inline decode_plan plan_decode(const sqn_k_attention *a) {
    const int64_t group = a->heads / a->kv_heads;
    decode_plan p;
    p.heads = group < rows_a_tile ? group : rows_a_tile;
    p.parts = ceil_div(group, p.heads);
    p.queries = rows_a_tile / p.heads;
    const int64_t blocks = a->kv_heads * p.parts; /* 128 ranges fill a card with one sequence */
    p.most = blocks <= 2 ? 64 : blocks >= 128 ? 1 : 128 / blocks;
    return p;
}

/* The keys that a tile reads, and its ranges of them: `count` of `size` keys each from `low` on. */
struct ranges {
    int64_t low, high, size;
    int count;
};
__device__ __forceinline__ ranges find_ranges(const sqn_k_attention &a, const tile &t, int64_t most,
                                              int64_t there) {
    ranges r;
    key_range(a, t, t.first, t.first + t.count, &r.low, &r.high);
    const int64_t keys = r.high > r.low ? r.high - r.low : 0, share = (keys + most - 1) / most;
    r.size = (share + keys_a_step - 1) / keys_a_step * keys_a_step;
    const int64_t count = r.size > 0 ? (keys + r.size - 1) / r.size : 1;
    r.count = (int)(count < there ? count : there);
    return r;
}

/* The queries of a tile as A operands for all steps along D; row r is q[r / heads, r % heads]. */
template <class T, int D>
__device__ __forceinline__ void load_queries(frag_a q[D / 16], const T *from, int64_t stride,
                                             int64_t heads, int64_t rows) {
    const int g = (int)(threadIdx.x & 31u) / 4, c = (int)threadIdx.x % 4 * 2;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int64_t r = g + 8 * half;
        const T *row = from + r / heads * stride + r % heads * D + c;
#pragma unroll
        for (int k = 0; k < D / 16; k++)
#pragma unroll
            for (int j = 0; j < 2; j++)
                q[k].r[half + 2 * j] = r < rows ? *(const uint32_t *)(row + 16 * k + 8 * j) : 0;
    }
}

/* s [16, 16] = queries times 16 rows of a tile. */
template <class T, int D>
__device__ __forceinline__ void scores(float s[2][4], const frag_a q[D / 16], T *keys) {
#pragma unroll
    for (int n = 0; n < 2; n++)
#pragma unroll
        for (int j = 0; j < 4; j++) s[n][j] = 0;
#pragma unroll
    for (int k = 0; k < D / 16; k++) {
        frag_b b[2];
        rows_as_b<T, D>(b, keys, 0, k);
        mma<T>(s[0], q[k], b[0]);
        mma<T>(s[1], q[k], b[1]);
    }
}

/* K and V of 64 keys from j0 on into a stage; from `high` on they are zeros. */
template <class T, int D>
__device__ __forceinline__ void load_step(T *k_tile, const sqn_k_attention &a,
                                          const key_places &places, int64_t kv, int64_t j0,
                                          int64_t high) {
#pragma unroll
    for (int c = (int)threadIdx.x; c < keys_a_step * D / 8; c += 32 * warps) {
        const int row = c / (D / 8), chunk = c % (D / 8);
        const bool there = j0 + row < high;
        const int64_t from = there ? (places(j0 + row) * a.kv_heads + kv) * D + chunk * 8 : 0;
        T *to = chunk_at<T, D>(k_tile, row, chunk);
        copy16(to, (const T *)a.k + from, there);
        copy16(to + keys_a_step * D, (const T *)a.v + from, there);
    }
}

/* One range's share of a row: its running maximum (in powers of 2) and sum, and D sums of values
 * that are not yet divided. Row (query, head) has `ranges` of them. */
struct partial {
    float2 *soft;
    float *out;
};

/* Adds the warps' results of a block, and writes them: to `part` as they are, or divided to y. */
template <class T, int D>
__device__ __forceinline__ void
join_warps(const float out[D / 8][4], const float top[2], const float sum[2], float *shared,
           int64_t rows, int64_t heads, const sqn_k_attention &a, int64_t row0, const partial &part,
           int64_t range, int64_t ranges, bool last) {
    constexpr int WIDE = D + 8; /* rows g and g + 1 fall on different banks */
    float *tops = shared + warps * rows_a_tile * WIDE, *sums = tops + warps * rows_a_tile;
    const int g = (int)(threadIdx.x & 31u) / 4, c = (int)threadIdx.x % 4 * 2;
    const int mine = rows_a_tile * (int)(threadIdx.x >> 5) + g;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int row = mine + 8 * half;
#pragma unroll
        for (int n = 0; n < D / 8; n++)
            *(float2 *)(shared + row * WIDE + 8 * n + c) = {out[n][2 * half], out[n][2 * half + 1]};
        if (c == 0) tops[row] = top[half], sums[row] = sum[half];
    }
    __syncthreads();
    for (int64_t i = threadIdx.x; i < rows * D; i += 32 * warps) {
        const int row = (int)(i / D), d = (int)(i % D);
        float most = -INFINITY, all = 0, value = 0;
        for (int w = 0; w < warps; w++) most = larger{}(tops[w * rows_a_tile + row], most);
        for (int w = 0; w < warps; w++) {
            const int r = w * rows_a_tile + row;
            const float f = tops[r] == -INFINITY ? 0.0f : exp2_fast(tops[r] - most);
            all += sums[r] * f;
            value += shared[r * WIDE + d] * f;
        }
        const int64_t to = row0 + row / heads * a.heads + row % heads;
        if (last) {
            store((T *)a.out + to * D + d, all > 0 || all != all ? value / all : 0.0f);
            continue;
        }
        part.out[(to * ranges + range) * D + d] = value;
        if (d == 0) part.soft[to * ranges + range] = {most, all};
    }
}

template <class T, int D, int STAGES>
__global__ void __launch_bounds__(32 * warps)
    attention_decode_kernel(sqn_k_attention a, decode_plan p, partial part, previous before) {
    before.wait_then_let_next_start();
    SQN_SHARED_DYNAMIC(T, shared);
    constexpr int stage = 2 * keys_a_step * D;
    tile t;
    if (!find_tile(a, blockIdx.x, p.queries, false, &t)) return;
    const key_places places = places_of(a, t);
    const ranges r = find_ranges(a, t, p.most, gridDim.z);
    if ((int)blockIdx.z >= r.count) return;
    const int64_t group = a.heads / a.kv_heads, kv = blockIdx.y / p.parts;
    const int64_t head = blockIdx.y % p.parts * p.heads; /* of the group */
    const int64_t heads = group - head < p.heads ? group - head : p.heads;
    const int64_t row0 = (t.q_row + t.first) * a.heads + kv * group + head;
    const int64_t low = r.low + blockIdx.z * r.size;
    const int64_t high =
        low + r.size < r.high && (int)blockIdx.z + 1 < r.count ? low + r.size : r.high;
    const int mine = 16 * (int)(threadIdx.x >> 5), g = (int)(threadIdx.x & 31u) / 4,
              c = (int)threadIdx.x % 4 * 2;
    const float scale = (float)a.scale * log2e;
    float out[D / 8][4] = {}, top[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0};

#pragma unroll
    for (int n = 0; n < STAGES - 1; n++) {
        if (low + n * keys_a_step < high)
            load_step<T, D>(shared + n * stage, a, places, kv, low + n * keys_a_step, high);
        copies_commit();
    }
    frag_a q[D / 16];
    load_queries<T, D>(q, (const T *)a.q + row0 * D, a.heads * D, heads, t.count * heads);
    int from = 0, into = STAGES - 1;
    for (int64_t j0 = low; j0 < high; j0 += keys_a_step) {
        copies_wait<STAGES - 2>();
        __syncthreads(); /* this step's copies are there, and the last one is done with */
        if (j0 + (STAGES - 1) * keys_a_step < high)
            load_step<T, D>(shared + into * stage, a, places, kv, j0 + (STAGES - 1) * keys_a_step,
                            high);
        copies_commit();
        T *keys = shared + from * stage + mine * D;
        float s[2][4];
        scores<T, D>(s, q, keys);
        soften<D, 16>(s, scale, top, sum, out, [&](int half, int n, int j) {
            const int64_t key = j0 + mine + 8 * n + c + j % 2;
            return key < high && reads(a, t, t.first + (g + 8 * half) / heads, key);
        });
        add_product<T, D, 16>(out, s, keys + keys_a_step * D);
        from = from + 1 < STAGES ? from + 1 : 0;
        into = into + 1 < STAGES ? into + 1 : 0;
    }
    copies_wait<0>();
    __syncthreads(); /* the stages are free */
#pragma unroll
    for (int half = 0; half < 2; half++) sum[half] = row_reduce(sum[half], plus{});
    join_warps<T, D>(out, top, sum, (float *)shared, t.count * heads, heads, a, row0, part,
                     blockIdx.z, gridDim.z, r.count == 1);
}

/* The ranges of a row in order; a block has the queries of a tile, of one head. */
template <class T, int D>
__global__ void attention_join_kernel(sqn_k_attention a, decode_plan p, partial part, int64_t most,
                                      previous before) {
    before.wait_then_let_next_start();
    tile t;
    if (!find_tile(a, blockIdx.x, p.queries, false, &t)) return;
    const ranges r = find_ranges(a, t, p.most, most);
    if (r.count == 1) return;
    for (int64_t i = 0; i < t.count; i++) {
        const int64_t row = (t.q_row + t.first + i) * a.heads + blockIdx.y;
        const float2 *soft = part.soft + row * most;
        float top = -INFINITY, all = 0, value = 0;
#pragma unroll 8
        for (int n = 0; n < r.count; n++) top = larger{}(soft[n].x, top);
#pragma unroll 8
        for (int n = 0; n < r.count; n++) {
            const float f = soft[n].x == -INFINITY ? 0.0f : exp2_fast(soft[n].x - top);
            all += soft[n].y * f;
            value += part.out[(row * most + n) * D + threadIdx.x] * f;
        }
        store((T *)a.out + row * D + threadIdx.x, all > 0 || all != all ? value / all : 0.0f);
    }
}

template <class T, int D> sqn_status decode(const sqn_k_attention *a, void *stream) {
    constexpr int STAGES = D == 64 ? 4 : 3; /* 64 or 96 KiB */
    const decode_plan p = plan_decode(a);
    const int64_t rows = a->queries * a->heads,
                  tiles = ceil_div(a->queries, p.queries) + a->segments;
    const unsigned blocks = (unsigned)(tiles < a->queries ? tiles : a->queries);
    int64_t most = ceil_div(most_keys(a), keys_a_step);
    most = most < 1 ? 1 : most < p.most ? most : p.most;
    void *scratch = nullptr;
    partial part = {};
    if (most > 1) {
        const size_t soft = (size_t)(rows * most) * sizeof(float2);
        scratch = sqn_cuda_scratch(soft + (size_t)(rows * most) * D * sizeof(float), stream);
        if (scratch == nullptr) return SQN_NOMEM;
        part = {(float2 *)scratch, (float *)((char *)scratch + soft)};
    }
    const size_t bytes = (size_t)STAGES * 2 * keys_a_step * D * sizeof(T);
    auto run = attention_decode_kernel<T, D, STAGES>;
    allow_shared(run, bytes);
    SQN_LAUNCH_DEPENDENT(run, dim3(blocks, (unsigned)(a->kv_heads * p.parts), (unsigned)most),
                         32 * warps, bytes, stream, *a, p, part);
    if (most > 1) {
        auto join = attention_join_kernel<T, D>;
        SQN_LAUNCH_DEPENDENT(join, dim3(blocks, (unsigned)a->heads), D, 0, stream, *a, p, part,
                             most);
    }
    const sqn_status status = sqn_cuda_launched();
    sqn_cuda_scratch_release(scratch, stream);
    return status;
}

sqn_status attention_decode(const sqn_k_attention *a, void *stream) {
    if (!is_decoding(a) || !fits(a->dtype, a->dim, {a->q, a->k, a->v})) return SQN_NOTFOUND;
    if (a->dtype == SQN_BF16)
        return a->dim == 64 ? decode<bf16, 64>(a, stream) : decode<bf16, 128>(a, stream);
    return a->dim == 64 ? decode<f16, 64>(a, stream) : decode<f16, 128>(a, stream);
}
} // namespace sqn
