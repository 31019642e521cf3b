/* Grouped products of a mixture of LoRA experts, forward and backward, without the host knowing how
 * many tokens an expert has: a grid has as many tiles as there could be, and a tile finds its
 * expert in the table of starts.
 *
 * A pair is a token with one of its experts; pairs stand in order, by expert. Where a token's pairs
 * add to the same row, one launch for each slot adds them in turn: the sums have a fixed order.
 *
 * Versions: 1, tiles of 32 x 32 without tensor cores; 2, bf16 and f16 in tiles of 64 x 64 by
 * mma.sync (neither has run on a card).
 */
#include "kernels/cuda/moe_tile.cuh"
#include "kernels/cuda/philox.cuh"

namespace sqn {
constexpr int group_threads = 256;

/* ---- grouping ---- */

/* Ids that a router chose on the card have not been looked at by the host. */
__device__ __forceinline__ bool has_expert(const sqn_k_moe_group &a, int64_t i) {
    return a.ids[i] >= 0 && a.ids[i] < a.experts;
}

/* One block. counts: [experts, group_threads] of scratch. */
__global__ void moe_group_kernel(sqn_k_moe_group a, int *counts) {
    const int64_t per = (a.places + group_threads - 1) / group_threads, first = threadIdx.x * per;
    const int64_t end = first + per < a.places ? first + per : a.places;
    for (int64_t e = 0; e < a.experts; e++) counts[e * group_threads + threadIdx.x] = 0;
    for (int64_t i = first; i < end; i++)
        if (has_expert(a, i)) counts[a.ids[i] * group_threads + threadIdx.x]++;
    __syncthreads();
    for (int64_t e = threadIdx.x; e < a.experts; e += group_threads) { /* before: of this expert */
        int before = 0;
        for (int t = 0; t < group_threads; t++) {
            const int own = counts[e * group_threads + t];
            counts[e * group_threads + t] = before;
            before += own;
        }
        a.start[e + 1] = before;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        a.start[0] = 0;
        for (int64_t e = 0; e < a.experts; e++) a.start[e + 1] += a.start[e];
    }
    __syncthreads();
    for (int64_t i = first; i < end; i++)
        if (has_expert(a, i))
            a.order[a.start[a.ids[i]] + counts[a.ids[i] * group_threads + threadIdx.x]++] = i;
}

/* ---- tiles ---- */

struct pair_tile {
    int64_t expert, first, count; /* pairs */
};

template <int EDGE>
__device__ bool find_pairs(const sqn_k_moe_lora &a, int64_t number, pair_tile *t) {
    for (int64_t e = 0; e < a.experts; e++) {
        const int64_t pairs = a.start[e + 1] - a.start[e], tiles = (pairs + EDGE - 1) / EDGE;
        if (number >= tiles) {
            number -= tiles;
            continue;
        }
        const int64_t first = number * EDGE, left = pairs - first;
        *t = {e, a.start[e] + first, left < EDGE ? left : EDGE};
        return true;
    }
    return false;
}

/* 0, or 1 / (1 - p): what element i of a place's x is multiplied by. */
template <class A>
__device__ __forceinline__ A mask(const sqn_k_moe_lora &a, int64_t place, int64_t i) {
    if (a.p <= 0) return 1;
    const uint64_t at = a.offset + (uint64_t)(place * ((a.in + 3) / 4) + i / 4);
    const sqn_philox r = sqn_philox_at(a.seed, a.stream, at);
    return sqn_philox_unit(r.v[i % 4]) < (float)a.p ? (A)0 : (A)(1.0 / (1.0 - a.p));
}

template <class T> __device__ __forceinline__ acc<T> to_precision(acc<T> v) {
    T t;
    store(&t, v);
    return load(t);
}

/* x of a pair, dropped and rounded; what the expert sees. */
template <class T>
__device__ __forceinline__ acc<T> seen_by(const sqn_k_moe_lora &a, int64_t pair, int64_t i) {
    const int64_t place = a.order[pair];
    const acc<T> v = load(((const T *)a.x)[place / a.slots * a.in + i]);
    return a.p > 0 ? to_precision<T>(v * mask<acc<T>>(a, place, i)) : v;
}

/* A pair's value times scale and its weight, rounded. */
template <class T>
__device__ __forceinline__ acc<T> weighed(const sqn_k_moe_lora &a, const acc<T> *values,
                                          int64_t pair, int64_t q) {
    const acc<T> factor = (acc<T>)a.scale * load(((const T *)a.weights)[a.order[pair]]);
    return to_precision<T>(values[pair * a.rank + q] * factor);
}

/* ---- kernels ---- */

/* h = x A^T, or, UP, t = dy B, of all pairs. */
template <class T, bool UP>
__global__ void moe_down_kernel(sqn_k_moe_lora a, const T *dy, acc<T> *to) {
    using A = acc<T>;
    using tile = tile_of<T>;
    pair_tile t;
    if (!find_pairs<tile::edge>(a, blockIdx.x, &t)) return;
    const int64_t q0 = (int64_t)blockIdx.y * tile::edge;
    A c[tile::values];
    tile::template product<true, !UP>(
        c, UP ? a.out : a.in, a.rank - q0,
        [&](int row, int64_t k) -> A {
            if (row >= t.count) return 0;
            if constexpr (UP)
                return load(dy[a.order[t.first + row] / a.slots * a.out + k]);
            else
                return seen_by<T>(a, t.first + row, k);
        },
        [&](int64_t k, int col) -> A {
            const int64_t q = q0 + col;
            if (q >= a.rank) return 0;
            return UP ? load(((const T *)a.b)[(t.expert * a.out + k) * a.rank + q])
                      : load(((const T *)a.a)[(t.expert * a.rank + q) * a.in + k]);
        });
#pragma unroll
    for (int j = 0; j < tile::values; j++) {
        const int row = tile::row(j);
        const int64_t q = q0 + tile::column(j);
        if (row < t.count && q < a.rank) to[(t.first + row) * a.rank + q] = c[j];
    }
}

/* y[token] += weighed values B^T, or, BACK, dx[token] += (weighed values A) mask: of one slot's
 * pairs. */
template <class T, bool BACK>
__global__ void moe_spread_kernel(sqn_k_moe_lora a, const acc<T> *values, acc<T> *y, int64_t slot) {
    using A = acc<T>;
    using tile = tile_of<T>;
    pair_tile t;
    if (!find_pairs<tile::edge>(a, blockIdx.x, &t)) return;
    const int64_t c0 = (int64_t)blockIdx.y * tile::edge, width = BACK ? a.in : a.out;
    A c[tile::values];
    tile::template product<true, !BACK>(
        c, a.rank, width - c0,
        [&](int row, int64_t q) -> A {
            return row < t.count ? weighed<T>(a, values, t.first + row, q) : (A)0;
        },
        [&](int64_t q, int col) -> A {
            if (c0 + col >= width) return 0;
            return BACK ? load(((const T *)a.a)[(t.expert * a.rank + q) * a.in + c0 + col])
                        : load(((const T *)a.b)[(t.expert * a.out + c0 + col) * a.rank + q]);
        });
#pragma unroll
    for (int j = 0; j < tile::values; j++) {
        const int row = tile::row(j);
        const int64_t at = c0 + tile::column(j);
        if (row >= t.count || at >= width) continue;
        const int64_t place = a.order[t.first + row];
        if (place % a.slots != slot) continue;
        y[place / a.slots * width + at] += BACK ? c[j] * mask<A>(a, place, at) : c[j];
    }
}

/* dA_e += weighed^T x, or, OF_B, dB_e += dy^T weighed, over the expert's pairs; or set to it. */
template <class T, bool OF_B>
__global__ void moe_outer_kernel(sqn_k_moe_lora a, const T *dy, const acc<T> *values, acc<T> *to,
                                 int set) {
    using A = acc<T>;
    using tile = tile_of<T>;
    const int64_t e = blockIdx.z, r0 = (int64_t)blockIdx.y * tile::edge,
                  c0 = (int64_t)blockIdx.x * tile::edge;
    const int64_t first = a.start[e], pairs = a.start[e + 1] - first;
    const int64_t rows = OF_B ? a.out : a.rank, cols = OF_B ? a.rank : a.in;
    A c[tile::values];
    tile::template product<false, false>(
        c, pairs, cols - c0,
        [&](int row, int64_t p) -> A {
            if (r0 + row >= rows) return 0;
            if constexpr (OF_B)
                return load(dy[a.order[first + p] / a.slots * a.out + r0 + row]);
            else
                return weighed<T>(a, values, first + p, r0 + row);
        },
        [&](int64_t p, int col) -> A {
            if (c0 + col >= cols) return 0;
            if constexpr (OF_B)
                return weighed<T>(a, values, first + p, c0 + col);
            else
                return seen_by<T>(a, first + p, c0 + col);
        });
#pragma unroll
    for (int j = 0; j < tile::values; j++) {
        const int64_t row = r0 + tile::row(j), col = c0 + tile::column(j);
        if (row >= rows || col >= cols) continue;
        A *cell = to + (e * rows + row) * cols + col;
        *cell = set ? c[j] : *cell + c[j];
    }
}

/* dweights[place] += scale h t. */
template <class A> __global__ void moe_weight_kernel(sqn_k_moe_lora a, const A *t, A *dweights) {
    const int64_t pairs = a.start[a.experts], step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t p = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; p < pairs; p += step) {
        A sum = 0;
        for (int64_t q = 0; q < a.rank; q++)
            sum += ((const A *)a.h)[p * a.rank + q] * t[p * a.rank + q];
        dweights[a.order[p]] += (A)a.scale * sum;
    }
}

/* ---- launches ---- */

template <class T> unsigned pair_tiles(const sqn_k_moe_lora *a) {
    return (unsigned)(ceil_div(a->tokens * a->slots, tile_of<T>::edge) + a->experts);
}
template <class T> unsigned edges(int64_t n) { return (unsigned)ceil_div(n, tile_of<T>::edge); }

template <class T, bool BACK>
void spread(const sqn_k_moe_lora *a, const acc<T> *values, acc<T> *y, void *stream) {
    auto run = moe_spread_kernel<T, BACK>;
    for (int64_t slot = 0; slot < a->slots; slot++)
        SQN_LAUNCH(run, dim3(pair_tiles<T>(a), edges<T>(BACK ? a->in : a->out)),
                   tile_of<T>::threads, 0, stream, *a, values, y, slot);
}

template <class T> sqn_status moe_forward(const sqn_k_moe_lora *a, void *stream) {
    auto down = moe_down_kernel<T, false>;
    SQN_LAUNCH(down, dim3(pair_tiles<T>(a), edges<T>(a->rank)), tile_of<T>::threads, 0, stream, *a,
               (const T *)nullptr, (acc<T> *)a->h);
    spread<T, false>(a, (const acc<T> *)a->h, (acc<T> *)a->y, stream);
    return sqn_cuda_launched();
}

template <class T> sqn_status moe_backward(const sqn_k_moe_lora_grad *g, void *stream) {
    using A = acc<T>;
    const sqn_k_moe_lora *a = &g->forward;
    const T *dy = (const T *)g->dy;
    const unsigned experts = (unsigned)a->experts, threads = tile_of<T>::threads;
    A *t = (A *)sqn_cuda_scratch((size_t)(a->tokens * a->slots * a->rank) * sizeof(A), stream);
    if (t == nullptr) return SQN_NOMEM;
    auto up = moe_down_kernel<T, true>;
    SQN_LAUNCH(up, dim3(pair_tiles<T>(a), edges<T>(a->rank)), threads, 0, stream, *a, dy, t);
    if (g->dweights) {
        auto run = moe_weight_kernel<A>;
        SQN_LAUNCH(run, grid_for(a->tokens * a->slots, 256), 256, 0, stream, *a, (const A *)t,
                   (A *)g->dweights);
    }
    if (g->db) {
        auto run = moe_outer_kernel<T, true>;
        SQN_LAUNCH(run, dim3(edges<T>(a->rank), edges<T>(a->out), experts), threads, 0, stream, *a,
                   dy, (const A *)a->h, (A *)g->db, g->set_b);
    }
    if (g->da) {
        auto run = moe_outer_kernel<T, false>;
        SQN_LAUNCH(run, dim3(edges<T>(a->in), edges<T>(a->rank), experts), threads, 0, stream, *a,
                   dy, (const A *)t, (A *)g->da, g->set_a);
    }
    if (g->dx) spread<T, true>(a, t, (A *)g->dx, stream);
    sqn_cuda_scratch_release(t, stream);
    return sqn_cuda_launched();
}
} // namespace sqn

extern "C" sqn_status sqn_cuda_moe_group(const sqn_k_moe_group *a, void *stream) {
    const size_t bytes = (size_t)(a->experts * sqn::group_threads) * sizeof(int);
    int *counts = (int *)sqn_cuda_scratch(bytes, stream);
    if (counts == nullptr) return SQN_NOMEM;
    auto run = sqn::moe_group_kernel;
    SQN_LAUNCH(run, 1, sqn::group_threads, 0, stream, *a, counts);
    sqn_cuda_scratch_release(counts, stream);
    return sqn_cuda_launched();
}

extern "C" sqn_status sqn_cuda_moe_lora(const sqn_k_moe_lora *a, void *stream) {
    if (a->tokens == 0 || a->experts == 0) return SQN_OK;
    return sqn::by_float(a->dtype, [&](auto *type) {
        return sqn::moe_forward<std::remove_pointer_t<decltype(type)>>(a, stream);
    });
}

extern "C" sqn_status sqn_cuda_moe_lora_grad(const sqn_k_moe_lora_grad *g, void *stream) {
    if (g->forward.tokens == 0 || g->forward.experts == 0) return SQN_OK;
    return sqn::by_float(g->forward.dtype, [&](auto *type) {
        return sqn::moe_backward<std::remove_pointer_t<decltype(type)>>(g, stream);
    });
}
