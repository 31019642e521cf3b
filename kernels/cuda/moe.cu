/* Grouped products of a mixture of LoRA experts, forward and backward, without the host knowing how
 * many tokens an expert has: a grid has as many tiles as there could be, and a tile finds its
 * expert in the table of starts.
 *
 * 16-bit types of even sizes go through moe_mma.cu. Here is what serves all: tiles of 32 x 32 by
 * fused multiply-adds. Where a token's pairs add to the same row, one launch for each slot adds
 * them in turn: the sums have a fixed order.
 *
 * Versions: 1 (never run on a card).
 */
#include "kernels/cuda/moe_mma.cuh"
#include "kernels/cuda/moe_pairs.cuh"

namespace sqn {
constexpr int threads = 256; /* of a block */

/* ---- grouping ---- */

/* The expert of place i, or `experts`: none. Nobody has looked at ids that a router chose on the
 * card. */
__device__ __forceinline__ int64_t expert_of(const sqn_k_moe_group &a, int64_t i) {
    return a.ids[i] >= 0 && a.ids[i] < a.experts ? a.ids[i] : a.experts;
}

/* One block. counts: [experts + 1, threads] of scratch. */
__global__ void moe_group_kernel(sqn_k_moe_group a, int *counts) {
    const int64_t per = (a.places + threads - 1) / threads, first = threadIdx.x * per;
    const int64_t end = first + per < a.places ? first + per : a.places;
    for (int64_t e = 0; e <= a.experts; e++) counts[e * threads + threadIdx.x] = 0;
    for (int64_t i = first; i < end; i++) counts[expert_of(a, i) * threads + threadIdx.x]++;
    __syncthreads();
    for (int64_t e = threadIdx.x; e <= a.experts; e += threads) { /* before: of this expert */
        int before = 0;
        for (int t = 0; t < threads; t++) {
            const int own = counts[e * threads + t];
            counts[e * threads + t] = before;
            before += own;
        }
        if (e < a.experts) a.start[e + 1] = before;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        a.start[0] = 0;
        for (int64_t e = 0; e < a.experts; e++) a.start[e + 1] += a.start[e];
    }
    __syncthreads();
    for (int64_t i = first; i < end; i++) {
        const int64_t e = expert_of(a, i);
        a.order[a.start[e] + counts[e * threads + threadIdx.x]++] = i;
    }
}

/* ---- tiles ---- */

/* A block's 32 x 32 of a product whose operands are functions of (row, k) and (k, column): they
 * give 0 beyond their ends and are asked for k below `inner` only. A thread has `values` of C; its
 * value j lies at row(j), column(j). A flag says along which index neighbours lie side by side in
 * memory: threads of a warp read along it. */
constexpr int edge = 32;
template <class A> struct tile_of {
    static constexpr int values = 4;
    __device__ static int row(int j) { return (int)threadIdx.x / edge + 8 * j; }
    __device__ static int column(int) { return (int)threadIdx.x % edge; }

    /* Reads along k where BY_K, else along the other index. */
    template <bool BY_K, class F>
    __device__ static void fill(A *to, int64_t k0, int64_t inner, F value) {
        for (int j = 0; j < 4; j++) {
            const int slow = (int)threadIdx.x / edge + 8 * j, fast = (int)threadIdx.x % edge;
            const int k = BY_K ? fast : slow, other = BY_K ? slow : fast;
            to[other * (edge + 1) + k] = k0 + k < inner ? value(other, k0 + k) : (A)0;
        }
    }

    template <bool LEFT_BY_K, bool RIGHT_BY_K, class L, class R>
    __device__ static void product(A c[values], int64_t inner, L left, R right) {
        SQN_SHARED(A, l_tile, edge * (edge + 1));
        SQN_SHARED(A, r_tile, edge * (edge + 1));
        for (int j = 0; j < values; j++) c[j] = 0;
        for (int64_t k0 = 0; k0 < inner; k0 += edge) {
            fill<LEFT_BY_K>(l_tile, k0, inner, left);
            fill<RIGHT_BY_K>(r_tile, k0, inner, [&](int n, int64_t k) { return right(k, n); });
            __syncthreads();
            for (int k = 0; k < edge; k++)
                for (int j = 0; j < values; j++)
                    c[j] += l_tile[row(j) * (edge + 1) + k] * r_tile[column(j) * (edge + 1) + k];
            __syncthreads(); /* before the tiles are filled again */
        }
    }
};

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
    using tile = tile_of<A>;
    pair_tile t;
    if (!find_pairs<edge>(a, blockIdx.x, &t)) return;
    const int64_t q0 = (int64_t)blockIdx.y * edge;
    A c[tile::values];
    tile::template product<true, !UP>(
        c, UP ? a.out : a.in,
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
    using tile = tile_of<A>;
    pair_tile t;
    if (!find_pairs<edge>(a, blockIdx.x, &t)) return;
    const int64_t c0 = (int64_t)blockIdx.y * edge, width = BACK ? a.in : a.out;
    A c[tile::values];
    tile::template product<true, !BACK>(
        c, a.rank,
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
    using tile = tile_of<A>;
    const int64_t e = blockIdx.z, r0 = (int64_t)blockIdx.y * edge, c0 = (int64_t)blockIdx.x * edge;
    const int64_t first = a.start[e], pairs = a.start[e + 1] - first;
    const int64_t rows = OF_B ? a.out : a.rank, cols = OF_B ? a.rank : a.in;
    A c[tile::values];
    tile::template product<false, false>(
        c, pairs,
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

/* to = from, rounded or widened; from NULL: 0. */
template <class F, class T> __global__ void moe_convert_kernel(const F *from, T *to, int64_t n) {
    const int64_t step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step)
        store(to + i, from ? load(from[i]) : acc<F>(0));
}

/* ---- launches ---- */

static unsigned pair_tiles(const sqn_k_moe_lora *a) {
    return (unsigned)(ceil_div(a->tokens * a->slots, edge) + a->experts);
}
static unsigned edges(int64_t n) { return (unsigned)ceil_div(n, edge); }

/* total = base (NULL: 0) + what spread kernels add, rounded once. */
template <class T, bool BACK>
sqn_status spread(const sqn_k_moe_lora *a, const acc<T> *values, const T *base, T *total,
                  void *stream) {
    const int64_t width = BACK ? a->in : a->out, n = a->tokens * width;
    if (n == 0) return SQN_OK;
    constexpr bool rounded = !std::is_same_v<T, acc<T>>;
    acc<T> *y = (acc<T> *)total;
    if (rounded) y = (acc<T> *)sqn_cuda_scratch((size_t)n * sizeof(acc<T>), stream);
    if (y == nullptr) return SQN_NOMEM;
    auto widen = moe_convert_kernel<T, acc<T>>;
    SQN_LAUNCH(widen, grid_for(n, 256), 256, 0, stream, base, y, n);
    auto run = moe_spread_kernel<T, BACK>;
    for (int64_t slot = 0; slot < a->slots; slot++)
        SQN_LAUNCH(run, dim3(pair_tiles(a), edges(width)), threads, 0, stream, *a, values, y, slot);
    if constexpr (rounded) {
        auto round = moe_convert_kernel<acc<T>, T>;
        SQN_LAUNCH(round, grid_for(n, 256), 256, 0, stream, (const acc<T> *)y, total, n);
        sqn_cuda_scratch_release(y, stream);
    }
    return sqn_cuda_launched();
}

template <class T> sqn_status moe_forward(const sqn_k_moe_lora *a, void *stream) {
    auto down = moe_down_kernel<T, false>;
    SQN_LAUNCH(down, dim3(pair_tiles(a), edges(a->rank)), threads, 0, stream, *a,
               (const T *)nullptr, (acc<T> *)a->h);
    return spread<T, false>(a, (const acc<T> *)a->h, (const T *)a->base, (T *)a->total, stream);
}

template <class T> sqn_status moe_backward(const sqn_k_moe_lora_grad *g, void *stream) {
    using A = acc<T>;
    const sqn_k_moe_lora *a = &g->forward;
    const T *dy = (const T *)g->dy;
    const unsigned experts = (unsigned)a->experts;
    A *t = (A *)sqn_cuda_scratch((size_t)(a->tokens * a->slots * a->rank) * sizeof(A), stream);
    if (t == nullptr) return SQN_NOMEM;
    auto up = moe_down_kernel<T, true>;
    SQN_LAUNCH(up, dim3(pair_tiles(a), edges(a->rank)), threads, 0, stream, *a, dy, t);
    if (g->dweights) moe_weight_gradient<T>(a, t, g->dweights, stream);
    if (g->db) {
        auto run = moe_outer_kernel<T, true>;
        SQN_LAUNCH(run, dim3(edges(a->rank), edges(a->out), experts), threads, 0, stream, *a, dy,
                   (const A *)a->h, (A *)g->db, g->set_b);
    }
    if (g->da) {
        auto run = moe_outer_kernel<T, false>;
        SQN_LAUNCH(run, dim3(edges(a->in), edges(a->rank), experts), threads, 0, stream, *a, dy,
                   (const A *)t, (A *)g->da, g->set_a);
    }
    sqn_status status = sqn_cuda_launched();
    if (g->dx && status == SQN_OK)
        status = spread<T, true>(a, t, (const T *)nullptr, (T *)g->dx, stream);
    sqn_cuda_scratch_release(t, stream);
    return status;
}
} // namespace sqn

extern "C" sqn_status sqn_cuda_moe_group(const sqn_k_moe_group *a, void *stream) {
    const size_t bytes = (size_t)((a->experts + 1) * sqn::threads) * sizeof(int);
    int *counts = (int *)sqn_cuda_scratch(bytes, stream);
    if (counts == nullptr) return SQN_NOMEM;
    auto run = sqn::moe_group_kernel;
    SQN_LAUNCH(run, 1, sqn::threads, 0, stream, *a, counts);
    sqn_cuda_scratch_release(counts, stream);
    return sqn_cuda_launched();
}

extern "C" sqn_status sqn_cuda_moe_lora(const sqn_k_moe_lora *a, void *stream) {
    if (a->tokens == 0) return SQN_OK;
    const sqn_status status = sqn::moe_mma(a, stream);
    if (status != SQN_NOTFOUND) return status;
    return sqn::by_float(a->dtype, [&](auto *type) {
        return sqn::moe_forward<std::remove_pointer_t<decltype(type)>>(a, stream);
    });
}

extern "C" sqn_status sqn_cuda_moe_lora_grad(const sqn_k_moe_lora_grad *g, void *stream) {
    if (g->forward.tokens == 0) return SQN_OK;
    const sqn_status status = sqn::moe_mma_grad(g, stream);
    if (status != SQN_NOTFOUND) return status;
    return sqn::by_float(g->forward.dtype, [&](auto *type) {
        return sqn::moe_backward<std::remove_pointer_t<decltype(type)>>(g, stream);
    });
}
