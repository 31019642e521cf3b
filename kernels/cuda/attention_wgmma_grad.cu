/* Attention on Hopper's warpgroup products, backward: two kernels, as in attention_mma.cu.
 *
 * dk and dv: a block has 128 keys of a kv head, 64 for each of two consumer warpgroups, and 64
 * queries a step stream past, of all heads that share it; what is multiplied again (p and ds,
 * keys by queries) stays in registers as the A operand. dq: a block has 128 queries, keys stream
 * past. A producer warp copies ahead, three stages, and reads lse and delta of the queries to come.
 * A consumer takes exponentials while its next product runs, and the two fill each other's gaps.
 *
 * Two kernels multiply 7 times where one multiplies 5 times and adds dq up over the keys' blocks.
 * At the same rate that is 1.4 times the products; but dq in f32 through memory in a fixed order
 * serializes the blocks, atomics would lose the bits' order, and registers (dk, dv, and dq's part)
 * would leave no room: the simpler one ships.
 *
 * Versions: 1, wgmma and bulk tensor copies, sm_90a (never run on a card).
 */
#include "kernels/cuda/attention_wgmma.cuh"

namespace sqn {
/* What a producer reads, in boxes of the rows that its kernel takes at a time. */
struct tensor_maps {
    tensor_map q, k, v, dout;
};

/* rows: of a block; step: rows that stream past at a time. */
template <class T, int D, bool BY_KEYS> struct backward_shape {
    static constexpr int consumers = 2, rows = consumers * group_rows,
                         step = D == 64 && !BY_KEYS ? 128 : 64, stages = 3,
                         threads = (consumers + 1) * group_threads, registers = 240,
                         producer_registers = 24;
    struct shared {
        T own[2][rows * D], other[stages][2][step * D]; /* k v and q dout, or the reverse */
        float lse[stages][step], delta[stages][step];   /* of the queries that stream */
        uint64_t own_full, full[stages], empty[stages];
    };
};

#if SQN_HOPPER
/* The log2 of a query's sum of exponentials, so that 2^(score - it) is its probability: infinite
 * for a query without keys, whose probabilities are zeros. */
__device__ __forceinline__ float log2_sum(float lse) {
    return lse == -INFINITY ? INFINITY : lse * log2e;
}

/* filling: threads of the producer that put something into a stage. */
template <class S>
__device__ __forceinline__ void start_barriers(S *s, unsigned filling, int consumers, int stages) {
    if (threadIdx.x == 0) {
        barrier_new(&s->own_full, 1);
        for (int i = 0; i < stages; i++) {
            barrier_new(&s->full[i], filling);
            barrier_new(&s->empty[i], 4 * (unsigned)consumers);
        }
        barriers_visible();
    }
    __syncthreads();
}

/* Both tiles of a step to zeros from a row on, when their copies are there. */
template <int D, int STEP, int THREADS, class T>
__device__ __forceinline__ void clear_step(T (&tiles)[2][STEP * D], int first) {
    for (int i = 0; i < 2; i++)
        clear_rows<D, STEP, THREADS>(tiles[i], first, (int)threadIdx.x - group_threads);
    stores_visible();
    meet(cleared, THREADS);
}

/* ---- dk, dv ---- */

/* Steps of a block of keys: the queries [low, high) of each head of the group, `tiles` steps each.
 */
struct query_steps {
    int low, high, tiles, heads, first_head;
    __device__ __forceinline__ int count() const { return tiles * heads; }
    __device__ __forceinline__ int head(int n) const { return first_head + n / tiles; }
    template <int STEP> __device__ __forceinline__ int first(int n) const {
        return low + n % tiles * STEP;
    }
};

template <class T, int D>
__device__ void produce_queries(const sqn_k_attention_grad &a, const float *delta,
                                typename backward_shape<T, D, true>::shared *s, const small_tile &t,
                                int kv, query_steps steps, const tensor_maps &maps) {
    using shape = backward_shape<T, D, true>;
    constexpr int each = shape::step / 32;
    const int lane = (int)threadIdx.x;
    if (lane >= 32) return;
    if (lane == 0) {
        barrier_expect(&s->own_full, 2 * shape::rows * D * sizeof(T));
        load_rows<D, shape::rows>(s->own[0], &maps.k, kv, t.k_row + t.first, &s->own_full);
        load_rows<D, shape::rows>(s->own[1], &maps.v, kv, t.k_row + t.first, &s->own_full);
    }
#pragma unroll 1
    for (int n = 0; n < steps.count(); n++) {
        const int stage = n % shape::stages, head = steps.head(n),
                  i0 = steps.template first<shape::step>(n);
        float lse[each], del[each];
        for (int i = 0; i < each; i++) {
            const int query = i0 + lane + 32 * i;
            const int64_t row = (int64_t)(t.q_row + query) * a.heads + head;
            const bool there = query < steps.high;
            lse[i] = there ? log2_sum(((const float *)a.lse)[row]) : INFINITY;
            del[i] = there ? delta[row] : 0.0f;
        }
        barrier_wait(&s->empty[stage], ((unsigned)(n / shape::stages) & 1) ^ 1);
        for (int i = 0; i < each; i++) {
            s->lse[stage][lane + 32 * i] = lse[i];
            s->delta[stage][lane + 32 * i] = del[i];
        }
        if (lane > 0)
            barrier_arrive(&s->full[stage]);
        else {
            barrier_expect(&s->full[stage], 2 * shape::step * D * sizeof(T));
            load_rows<D, shape::step>(s->other[stage][0], &maps.q, head, t.q_row + i0,
                                      &s->full[stage]);
            load_rows<D, shape::step>(s->other[stage][1], &maps.dout, head, t.q_row + i0,
                                      &s->full[stage]);
        }
    }
}

/* Scores x [keys, queries] to probabilities; queries from `low` to `high` (of the step) read this
 * thread's two keys. */
template <int N>
__device__ __forceinline__ void probabilities(float (&x)[N / 2], const float *lse, float scale) {
    const int c = (int)threadIdx.x % 4 * 2;
#pragma unroll
    for (int n = 0; n < N / 8; n++) {
        const float2 sum = *(const float2 *)(lse + 8 * n + c);
#pragma unroll
        for (int i = 0; i < 4; i++)
            x[4 * n + i] = exp2_fast(x[4 * n + i] * scale - (i % 2 ? sum.y : sum.x));
    }
}

template <class T, int D>
__device__ void consume_queries(const sqn_k_attention_grad &a,
                                typename backward_shape<T, D, true>::shared *s, const small_tile &t,
                                int kv, query_steps steps, int mine) {
    using shape = backward_shape<T, D, true>;
    constexpr int STEP = shape::step, threads = shape::consumers * group_threads;
    const int lane = (int)threadIdx.x & 31, c = lane % 4 * 2,
              g = ((int)threadIdx.x / 32 & 3) * 16 + lane / 4;
    const int j0 = t.first + mine * group_rows;
    const float scale = (float)a.scale;
    const uint64_t k = matrix_at(shared_address(s->own[0] + mine * group_rows * panel), 0),
                   v = matrix_at(shared_address(s->own[1] + mine * group_rows * panel), 0);
    float dk[D / 2], dv[D / 2], x[STEP / 2], dx[STEP / 2];
    uint32_t p[STEP / 16][4], ds[STEP / 16][4];
#pragma unroll
    for (int i = 0; i < D / 2; i++) dk[i] = dv[i] = 0;

    const int count = steps.count();
    if (count > 0) barrier_wait(&s->own_full, 0);
    for (int n = 0; n < count; n++) {
        const int stage = n % shape::stages, i0 = steps.template first<STEP>(n);
        const uint32_t q_at = shared_address(s->other[stage][0]),
                       d_at = shared_address(s->other[stage][1]);
        barrier_wait(&s->full[stage], (unsigned)(n / shape::stages) & 1);
        if (i0 + STEP > t.queries) clear_step<D, STEP, threads>(s->other[stage], t.queries - i0);
        products_fence();
        rows_by_rows<T, D, shape::rows, STEP>(x, k, matrix_at(q_at, 0));
        products_commit();
        rows_by_rows<T, D, shape::rows, STEP>(dx, v, matrix_at(d_at, 0));
        products_commit();
        products_wait<1>();
        hold(x);
        if (!reads_all(t, i0, i0 + STEP, j0, j0 + group_rows))
#pragma unroll
            for (int i = 0; i < STEP / 2; i++) {
                const bounds b = keys_read(t, i0 + i / 4 * 8 + c + i % 2);
                const int key = j0 + g + i / 2 % 2 * 8;
                if (key < b.low || key >= b.high) x[i] = -INFINITY;
            }
        probabilities<STEP>(x, s->lse[stage], scale * log2e);
        round_to_a<T, STEP>(p, x);
        products_fence();
        add_product<T, D, STEP>(dv, p, matrix_at(d_at, STEP * panel_row));
        products_commit();
        products_wait<1>();
        hold(dx);
#pragma unroll
        for (int m = 0; m < STEP / 8; m++) {
            const float2 del = *(const float2 *)(s->delta[stage] + 8 * m + c);
#pragma unroll
            for (int i = 0; i < 4; i++)
                dx[4 * m + i] = x[4 * m + i] * (dx[4 * m + i] - (i % 2 ? del.y : del.x));
        }
        round_to_a<T, STEP>(ds, dx);
        products_fence();
        add_product<T, D, STEP>(dk, ds, matrix_at(q_at, STEP * panel_row));
        products_commit();
        products_wait<0>();
        hold(dk);
        hold(dv);
        warp_done(&s->empty[stage]);
    }
    const float one[2] = {1, 1}, scales[2] = {scale, scale};
    const int64_t at = ((int64_t)(t.k_row + j0) * a.kv_heads + kv) * D,
                  left = t.first + t.count - j0;
    write_rows<T, D>(dk, (T *)a.dk + at, a.kv_heads * D, left, scales);
    write_rows<T, D>(dv, (T *)a.dv + at, a.kv_heads * D, left, one);
}
#endif

template <class T, int D>
__global__ void __launch_bounds__((backward_shape<T, D, true>::threads), 1)
    attention_wgmma_dkv_kernel(const __grid_constant__ sqn_k_attention_grad a, const float *delta,
                               const __grid_constant__ tensor_maps maps) {
#if SQN_HOPPER
    using shape = backward_shape<T, D, true>;
    SQN_SHARED_DYNAMIC(char, bytes);
    auto *s = (typename shape::shared *)aligned_shared(bytes);
    tile t;
    if (!find_tile(a, blockIdx.y, shape::rows, true, &t)) return;
    const int kv = (int)blockIdx.x, heads = (int)(a.heads / a.kv_heads);
    int64_t low, high;
    query_range(a, t, t.first, t.first + t.count, &low, &high);
    const int queries = high > low ? (int)(high - low) : 0;
    const query_steps steps = {(int)low, (int)high, (queries + shape::step - 1) / shape::step,
                               heads, kv * heads};
    const small_tile st = small(a, t);
    start_barriers(s, 32, shape::consumers, shape::stages);
    const int group = (int)threadIdx.x / group_threads;
    if (group == 0) {
        registers_fewer<shape::producer_registers>();
        if (queries > 0) produce_queries<T, D>(a, delta, s, st, kv, steps, maps);
    } else {
        registers_more<shape::registers>();
        consume_queries<T, D>(a, s, st, kv, steps, group - 1);
    }
#else
    (void)a, (void)delta, (void)maps;
#endif
}

#if SQN_HOPPER
/* ---- dq ---- */

template <class T, int D>
__device__ void produce_keys(typename backward_shape<T, D, false>::shared *s, const small_tile &t,
                             int head, int kv, int low, int count, const tensor_maps &maps) {
    using shape = backward_shape<T, D, false>;
    if (threadIdx.x != 0) return;
    barrier_expect(&s->own_full, 2 * shape::rows * D * sizeof(T));
    load_rows<D, shape::rows>(s->own[0], &maps.q, head, t.q_row + t.first, &s->own_full);
    load_rows<D, shape::rows>(s->own[1], &maps.dout, head, t.q_row + t.first, &s->own_full);
#pragma unroll 1
    for (int n = 0; n < count; n++) {
        const int stage = n % shape::stages, row = t.k_row + low + n * shape::step;
        barrier_wait(&s->empty[stage], ((unsigned)(n / shape::stages) & 1) ^ 1);
        barrier_expect(&s->full[stage], 2 * shape::step * D * sizeof(T));
        load_rows<D, shape::step>(s->other[stage][0], &maps.k, kv, row, &s->full[stage]);
        load_rows<D, shape::step>(s->other[stage][1], &maps.v, kv, row, &s->full[stage]);
    }
}

template <class T, int D>
__device__ void consume_keys(const sqn_k_attention_grad &a, const float *delta,
                             typename backward_shape<T, D, false>::shared *s, const small_tile &t,
                             int head, int low, int count, int mine) {
    using shape = backward_shape<T, D, false>;
    constexpr int STEP = shape::step, threads = shape::consumers * group_threads;
    const int g = ((int)threadIdx.x / 32 & 3) * 16 + (int)threadIdx.x % 32 / 4;
    const int i0 = t.first + mine * group_rows;
    const float scale = (float)a.scale * log2e;
    const uint64_t q = matrix_at(shared_address(s->own[0] + mine * group_rows * panel), 0),
                   dout = matrix_at(shared_address(s->own[1] + mine * group_rows * panel), 0);
    float dq[D / 2], x[STEP / 2], dx[STEP / 2], lse[2], del[2];
    uint32_t ds[STEP / 16][4];
#pragma unroll
    for (int i = 0; i < D / 2; i++) dq[i] = 0;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int query = i0 + g + 8 * half;
        const int64_t row = (int64_t)(t.q_row + query) * a.heads + head;
        const bool there = query < t.first + t.count;
        lse[half] = there ? log2_sum(((const float *)a.lse)[row]) : INFINITY;
        del[half] = there ? delta[row] : 0.0f;
    }

    if (count > 0) barrier_wait(&s->own_full, 0);
    for (int n = 0; n < count; n++) {
        const int stage = n % shape::stages, j0 = low + n * STEP;
        const uint32_t k_at = shared_address(s->other[stage][0]),
                       v_at = shared_address(s->other[stage][1]);
        barrier_wait(&s->full[stage], (unsigned)(n / shape::stages) & 1);
        if (j0 + STEP > t.keys) clear_step<D, STEP, threads>(s->other[stage], t.keys - j0);
        products_fence();
        rows_by_rows<T, D, shape::rows, STEP>(x, q, matrix_at(k_at, 0));
        products_commit();
        rows_by_rows<T, D, shape::rows, STEP>(dx, dout, matrix_at(v_at, 0));
        products_commit();
        products_wait<1>(); /* and the last step's is over */
        hold(x);
        if (n > 0) warp_done(&s->empty[(n - 1) % shape::stages]);
        if (!reads_all(t, i0, i0 + group_rows, j0, j0 + STEP)) {
            const bounds rows[2] = {keys_read(t, i0 + g), keys_read(t, i0 + g + 8)};
            mask<STEP>(x, rows, j0);
        }
#pragma unroll
        for (int i = 0; i < STEP / 2; i++) x[i] = exp2_fast(x[i] * scale - lse[i / 2 % 2]);
        products_wait<0>();
        hold(dx);
#pragma unroll
        for (int i = 0; i < STEP / 2; i++) dx[i] = x[i] * (dx[i] - del[i / 2 % 2]);
        round_to_a<T, STEP>(ds, dx);
        products_fence();
        add_product<T, D, STEP>(dq, ds, matrix_at(k_at, STEP * panel_row));
        products_commit();
    }
    products_wait<0>();
    hold(dq);
    const float scales[2] = {(float)a.scale, (float)a.scale};
    write_rows<T, D>(dq, (T *)a.dq + ((int64_t)(t.q_row + i0) * a.heads + head) * D, a.heads * D,
                     t.first + t.count - i0, scales);
}
#endif

template <class T, int D>
__global__ void __launch_bounds__((backward_shape<T, D, false>::threads), 1)
    attention_wgmma_dq_kernel(const __grid_constant__ sqn_k_attention_grad a, const float *delta,
                              const __grid_constant__ tensor_maps maps) {
#if SQN_HOPPER
    using shape = backward_shape<T, D, false>;
    SQN_SHARED_DYNAMIC(char, bytes);
    auto *s = (typename shape::shared *)aligned_shared(bytes);
    tile t;
    if (!find_tile(a, gridDim.y - 1 - blockIdx.y, shape::rows, false, &t)) return;
    const int head = (int)blockIdx.x, kv = head / (int)(a.heads / a.kv_heads);
    int64_t low, high;
    key_range(a, t, t.first, t.first + t.count, &low, &high);
    const int keys = high > low ? (int)(high - low) : 0,
              count = (keys + shape::step - 1) / shape::step;
    const small_tile st = small(a, t);
    start_barriers(s, 1, shape::consumers, shape::stages);
    const int group = (int)threadIdx.x / group_threads;
    if (group == 0) {
        registers_fewer<shape::producer_registers>();
        if (count > 0) produce_keys<T, D>(s, st, head, kv, (int)low, count, maps);
    } else {
        registers_more<shape::registers>();
        consume_keys<T, D>(a, delta, s, st, head, (int)low, count, group - 1);
    }
#else
    (void)a, (void)delta, (void)maps;
#endif
}

/* ---- launches ---- */

/* Maps of q, k, v, dout for tiles of `by_queries` and `by_keys` rows. */
inline sqn_status make_maps(tensor_maps *m, const sqn_k_attention_grad *a, int by_queries,
                            int by_keys) {
    SQN_TRY(tensor_map_new(&m->q, a->dtype, a->q, a->queries, a->heads, a->dim, by_queries));
    SQN_TRY(tensor_map_new(&m->k, a->dtype, a->k, a->keys, a->kv_heads, a->dim, by_keys));
    SQN_TRY(tensor_map_new(&m->v, a->dtype, a->v, a->keys, a->kv_heads, a->dim, by_keys));
    return tensor_map_new(&m->dout, a->dtype, a->dout, a->queries, a->heads, a->dim, by_queries);
}

template <class T, int D>
sqn_status backward_hopper(const sqn_k_attention_grad *a, const float *delta, void *stream) {
    using by_keys = backward_shape<T, D, true>;
    using by_queries = backward_shape<T, D, false>;
    tensor_maps m;
    SQN_TRY(make_maps(&m, a, by_keys::step, by_keys::rows));
    auto dkv = attention_wgmma_dkv_kernel<T, D>;
    size_t bytes = sizeof(typename by_keys::shared) + alignment_slack;
    allow_shared(dkv, bytes);
    SQN_LAUNCH(dkv, dim3((unsigned)a->kv_heads, most_tiles(a->keys, by_keys::rows, a->segments)),
               by_keys::threads, bytes, stream, *a, delta, m);
    SQN_TRY(make_maps(&m, a, by_queries::rows, by_queries::step));
    auto dq = attention_wgmma_dq_kernel<T, D>;
    bytes = sizeof(typename by_queries::shared) + alignment_slack;
    allow_shared(dq, bytes);
    SQN_LAUNCH(dq, dim3((unsigned)a->heads, most_tiles(a->queries, by_queries::rows, a->segments)),
               by_queries::threads, bytes, stream, *a, delta, m);
    return sqn_cuda_launched();
}

sqn_status attention_wgmma_grad(const sqn_k_attention_grad *a, const float *delta, void *stream) {
    if (!on_wgmma(a->dtype, a->dim, a->queries, a->keys, a->segments, true, a->scale,
                  {a->q, a->k, a->v, a->dout, a->dq, a->dk, a->dv}))
        return SQN_NOTFOUND;
    if (a->dtype == SQN_BF16)
        return a->dim == 64 ? backward_hopper<bf16, 64>(a, delta, stream)
                            : backward_hopper<bf16, 128>(a, delta, stream);
    return a->dim == 64 ? backward_hopper<f16, 64>(a, delta, stream)
                        : backward_hopper<f16, 128>(a, delta, stream);
}
} // namespace sqn
