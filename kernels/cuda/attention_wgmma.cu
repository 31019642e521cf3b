/* Attention on Hopper's warpgroup products, forward: FlashAttention-3's scheme (Shah et al., 2024).
 *
 * A block has 64 queries of a head for each of its consumer warpgroups, two for heads of 128 and
 * three for heads of 64 (what the registers allow). One thread of the producer copies tiles of 128
 * keys and values into two stages. A consumer issues the scores of the next tile before it has
 * multiplied the probabilities of this one, so that the tensor cores work while it takes
 * exponentials; warpgroups take turns at issuing, so that one's exponentials fall beside
 * another's products. Keys are visited from the last to the first: masked tiles come at the start.
 * Blocks with the most keys start first.
 *
 * Versions: 1, wgmma and bulk tensor copies, sm_90a (never run on a card).
 */
#include "kernels/cuda/attention_wgmma.cuh"

namespace sqn {
template <class T, int D> struct forward_shape {
    static constexpr int consumers = D == 64 ? 3 : 2, rows = consumers * group_rows, keys = 128,
                         stages = 2, threads = (consumers + 1) * group_threads;
    static constexpr int registers = D == 64 ? 160 : 240, producer_registers = D == 64 ? 32 : 24;
    struct shared {
        T q[rows * D], k[stages][keys * D], v[stages][keys * D];
        uint64_t q_full, k_full[stages], v_full[stages], k_empty[stages], v_empty[stages];
    };
};

#if SQN_HOPPER
/* The tiles of keys that a block visits, from number count - 1 down to 0. */
struct key_tiles {
    int low, count;
};

template <class T, int D>
__device__ void produce(typename forward_shape<T, D>::shared *s, const small_tile &t, int head,
                        int kv, key_tiles tiles, const tensor_map *q, const tensor_map *k,
                        const tensor_map *v) {
    using shape = forward_shape<T, D>;
    constexpr uint32_t bytes = shape::keys * D * sizeof(T);
    if (threadIdx.x != 0) return;
    barrier_expect(&s->q_full, shape::rows * D * sizeof(T));
    load_rows<D, shape::rows>(s->q, q, head, t.q_row + t.first, &s->q_full);
#pragma unroll 1 /* it has few registers */
    for (int n = 0; n < tiles.count; n++) {
        const int stage = n % shape::stages;
        const unsigned turn = (unsigned)(n / shape::stages) & 1;
        const int row = t.k_row + tiles.low + (tiles.count - 1 - n) * shape::keys;
        barrier_wait(&s->k_empty[stage], turn ^ 1);
        barrier_expect(&s->k_full[stage], bytes);
        load_rows<D, shape::keys>(s->k[stage], k, kv, row, &s->k_full[stage]);
        barrier_wait(&s->v_empty[stage], turn ^ 1);
        barrier_expect(&s->v_full[stage], bytes);
        load_rows<D, shape::keys>(s->v[stage], v, kv, row, &s->v_full[stage]);
    }
}

struct softmax_rows { /* of a thread's two rows: maxima of the scores, sums of this thread's part */
    float top[2], sum[2];
};

/* Scores to probabilities against the maximum so far; keep: what earlier results are worth. NaN is
 * no maximum here: it reaches the sum as itself. */
template <int N>
__device__ __forceinline__ void softmax(float (&s)[N / 2], softmax_rows &r, float (&keep)[2],
                                        float scale) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float top = r.top[half];
#pragma unroll
        for (int n = 0; n < N / 8; n++)
            top = fmaxf(top, fmaxf(s[4 * n + 2 * half], s[4 * n + 2 * half + 1]));
        top = fmaxf(top, __shfl_xor_sync(all_lanes, top, 1));
        top = fmaxf(top, __shfl_xor_sync(all_lanes, top, 2));
        const float base = top == -INFINITY ? 0.0f : top * scale;
        keep[half] = exp2_fast(r.top[half] * scale - base);
        r.top[half] = top;
        float sum = 0;
#pragma unroll
        for (int n = 0; n < N / 8; n++)
#pragma unroll
            for (int i = 4 * n + 2 * half; i < 4 * n + 2 * half + 2; i++) {
                s[i] = exp2_fast(s[i] * scale - base);
                sum += s[i];
            }
        r.sum[half] = r.sum[half] * keep[half] + sum;
    }
}

/* Rows [first, first + 64) of the tile, which are consumer number `mine`'s. */
template <class T, int D>
__device__ void consume(const sqn_k_attention &a, typename forward_shape<T, D>::shared *s,
                        const small_tile &t, int head, key_tiles tiles, int mine) {
    using shape = forward_shape<T, D>;
    constexpr int KEYS = shape::keys, threads = shape::consumers * group_threads;
    const int lane = (int)threadIdx.x & 31, g = ((int)threadIdx.x / 32 & 3) * 16 + lane / 4;
    const int i0 = t.first + mine * group_rows;
    const float scale = (float)a.scale * log2e;
    const uint64_t q = matrix_at(shared_address(s->q + mine * group_rows * panel), 0);
    const auto k_at = [&](int n) { return matrix_at(shared_address(s->k[n % shape::stages]), 0); };
    const auto v_at = [&](int n) {
        return matrix_at(shared_address(s->v[n % shape::stages]), KEYS * panel_row);
    };
    const auto wait = [&](uint64_t *full, int n) {
        barrier_wait(full + n % shape::stages, (unsigned)(n / shape::stages) & 1);
    };
    const auto attend = [&](float(&x)[KEYS / 2], softmax_rows &r, float(&keep)[2], int n) {
        const int j0 = tiles.low + (tiles.count - 1 - n) * KEYS;
        if (!reads_all(t, i0, i0 + group_rows, j0, j0 + KEYS)) {
            const bounds rows[2] = {keys_read(t, i0 + g), keys_read(t, i0 + g + 8)};
            mask<KEYS>(x, rows, j0);
        }
        softmax<KEYS>(x, r, keep, scale);
    };
    float out[D / 2], x[KEYS / 2], keep[2];
    uint32_t p[KEYS / 16][4];
    softmax_rows r = {{-INFINITY, -INFINITY}, {0, 0}};
#pragma unroll
    for (int i = 0; i < D / 2; i++) out[i] = 0;

    if (tiles.count > 0) {
        barrier_wait(&s->q_full, 0);
        wait(s->k_full, 0);
        products_fence();
        rows_by_rows<T, D, shape::rows, KEYS>(x, q, k_at(0));
        products_commit();
        const int past = t.keys - tiles.low - (tiles.count - 1) * KEYS;
        if (past < KEYS) { /* the last tile's end is beyond the segment's */
            wait(s->v_full, 0);
            clear_rows<D, KEYS, threads>(s->v[0], (int)past, (int)threadIdx.x - group_threads);
            stores_visible();
            meet(cleared, threads);
        }
        products_wait<0>();
        hold(x);
        warp_done(&s->k_empty[0]);
        attend(x, r, keep, 0);
        round_to_a<T, KEYS>(p, x);
        for (int n = 1; n < tiles.count; n++) {
            wait(s->k_full, n);
            turn_take(first_turn + mine, 2 * group_threads);
            products_fence();
            rows_by_rows<T, D, shape::rows, KEYS>(x, q, k_at(n));
            products_commit();
            wait(s->v_full, n - 1);
            add_product<T, D, KEYS>(out, p, v_at(n - 1));
            products_commit();
            turn_give(first_turn + (mine + 1) % shape::consumers, 2 * group_threads);
            products_wait<1>();
            hold(x);
            warp_done(&s->k_empty[n % shape::stages]);
            attend(x, r, keep, n);
            products_wait<0>();
            hold(out);
            warp_done(&s->v_empty[(n - 1) % shape::stages]);
#pragma unroll
            for (int i = 0; i < D / 2; i++) out[i] *= keep[i / 2 % 2];
            round_to_a<T, KEYS>(p, x);
        }
        wait(s->v_full, tiles.count - 1);
        products_fence();
        add_product<T, D, KEYS>(out, p, v_at(tiles.count - 1));
        products_commit();
        products_wait<0>();
        hold(out);
    }

    float inverse[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float sum = r.sum[half];
        sum += __shfl_xor_sync(all_lanes, sum, 1);
        sum += __shfl_xor_sync(all_lanes, sum, 2);
        inverse[half] = sum > 0 || sum != sum ? 1.0f / sum : 0.0f;
        const int row = g + 8 * half;
        if (a.lse && lane % 4 == 0 && i0 + row < t.first + t.count)
            ((float *)a.lse)[(int64_t)(t.q_row + i0 + row) * a.heads + head] =
                r.top[half] * (float)a.scale + logf(sum);
    }
    write_rows<T, D>(out, (T *)a.out + ((int64_t)(t.q_row + i0) * a.heads + head) * D, a.heads * D,
                     t.first + t.count - i0, inverse);
}
#endif

template <class T, int D>
__global__ void __launch_bounds__((forward_shape<T, D>::threads), 1)
    attention_wgmma_kernel(const __grid_constant__ sqn_k_attention a,
                           const __grid_constant__ tensor_map q,
                           const __grid_constant__ tensor_map k,
                           const __grid_constant__ tensor_map v) {
#if SQN_HOPPER
    using shape = forward_shape<T, D>;
    SQN_SHARED_DYNAMIC(char, bytes);
    auto *s = (typename shape::shared *)aligned_shared(bytes);
    tile t;
    if (!find_tile(a, gridDim.y - 1 - blockIdx.y, shape::rows, false, &t)) return;
    const int head = (int)blockIdx.x, kv = head / (int)(a.heads / a.kv_heads);
    int64_t low, high;
    key_range(a, t, t.first, t.first + t.count, &low, &high);
    const int keys = high > low ? (int)(high - low) : 0;
    const key_tiles tiles = {(int)low, (keys + shape::keys - 1) / shape::keys};
    const small_tile st = small(a, t);
    if (threadIdx.x == 0) {
        barrier_new(&s->q_full, 1);
        for (int i = 0; i < shape::stages; i++) {
            barrier_new(&s->k_full[i], 1);
            barrier_new(&s->v_full[i], 1);
            barrier_new(&s->k_empty[i], 4 * shape::consumers);
            barrier_new(&s->v_empty[i], 4 * shape::consumers);
        }
        barriers_visible();
    }
    __syncthreads();
    const int group = (int)threadIdx.x / group_threads;
    if (group == 0) {
        registers_fewer<shape::producer_registers>();
        if (tiles.count > 0) produce<T, D>(s, st, head, kv, tiles, &q, &k, &v);
    } else {
        registers_more<shape::registers>();
        if (group == shape::consumers) turn_give(first_turn, 2 * group_threads);
        consume<T, D>(a, s, st, head, tiles, group - 1);
    }
#else
    (void)a, (void)q, (void)k, (void)v;
#endif
}

template <class T, int D> sqn_status forward_hopper(const sqn_k_attention *a, void *stream) {
    using shape = forward_shape<T, D>;
    tensor_map q, k, v;
    SQN_TRY(tensor_map_new(&q, a->dtype, a->q, a->queries, a->heads, D, shape::rows));
    SQN_TRY(tensor_map_new(&k, a->dtype, a->k, a->keys, a->kv_heads, D, shape::keys));
    SQN_TRY(tensor_map_new(&v, a->dtype, a->v, a->keys, a->kv_heads, D, shape::keys));
    const size_t bytes = sizeof(typename shape::shared) + alignment_slack;
    auto run = attention_wgmma_kernel<T, D>;
    allow_shared(run, bytes);
    SQN_LAUNCH(run, dim3((unsigned)a->heads, most_tiles(a->queries, shape::rows, a->segments)),
               shape::threads, bytes, stream, *a, q, k, v);
    return sqn_cuda_launched();
}

sqn_status attention_wgmma(const sqn_k_attention *a, void *stream) {
    if (a->pages != nullptr || !on_wgmma(a->dtype, a->dim, a->queries, a->keys, a->segments,
                                         a->lse != nullptr, a->scale, {a->q, a->k, a->v, a->out}))
        return SQN_NOTFOUND;
    if (a->dtype == SQN_BF16)
        return a->dim == 64 ? forward_hopper<bf16, 64>(a, stream)
                            : forward_hopper<bf16, 128>(a, stream);
    return a->dim == 64 ? forward_hopper<f16, 64>(a, stream) : forward_hopper<f16, 128>(a, stream);
}
} // namespace sqn
