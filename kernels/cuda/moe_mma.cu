/* Experts of 16-bit types on tensor cores, forward and backward: what MOMQ trains with.
 *
 * All products are tiles of 64 x 128 by mma.sync whose operands are rows that lie in memory as they
 * are, gathered through a table of tokens, so that they come by cp.async, three steps ahead. What
 * is not a plain row is made one first: x with its mask, hidden values with their weights, rounded
 * as the CPU rounds them. A token's experts do not write to the same place: each writes its term,
 * rounded, and a last kernel adds a token's terms in order. Masked x and terms are as wide as x or
 * y for every pair, so they are made for a part of the columns at a time. Nothing waits for the
 * host, and the order of all sums depends on sizes alone.
 *
 * Versions: 1 (never run on a card).
 */
#include "kernels/cuda/moe_mma.cuh"

#include "kernels/cuda/moe_pairs.cuh"
#include "kernels/cuda/ptx.cuh"

namespace sqn {
namespace {
constexpr int tile_rows = 64, tile_cols = 128, depth = 32, stages = 4, threads = 128;
#ifdef SQN_EMULATE
constexpr int64_t most_wide = 1; /* tile_cols columns at a time */
#else
constexpr int64_t most_wide = (int64_t)128 << 20; /* bytes of masked x or of terms */
#endif

/* ---- operands in shared memory ---- */

/* 16-byte chunks that ldmatrix reads together lie on different banks: tiles whose rows run along k
 * have 4 chunks, the others (rows are k) have COLS / 8. */
template <class T> __device__ __forceinline__ T *by_k(T *tile, int row, int chunk) {
    return tile + row * depth + (chunk ^ (row >> 1 & 3)) * 8;
}
template <class T, int COLS> __device__ __forceinline__ T *across(T *tile, int row, int chunk) {
    return tile + row * COLS + (chunk ^ (row & 7)) * 8;
}

/* Rows of memory: row i is at base + (index ? index[i] : i) * stride. */
template <class T> struct rows_of {
    const T *base;
    int64_t stride;
    const int *index;
    __device__ __forceinline__ const T *operator()(int64_t i) const {
        return base + (index ? (int64_t)index[i] : i) * stride;
    }
};

/* Copies step k0 of an operand of SIZE rows (or columns). ACROSS: its rows in memory are the
 * product's inner index; `limit` of its other index are there. */
template <class T, int SIZE, bool ACROSS>
__device__ __forceinline__ void fetch(T *tile, const rows_of<T> &rows, int64_t first, int64_t limit,
                                      int64_t k0, int64_t inner) {
#pragma unroll
    for (int i = 0; i < SIZE * depth / 8 / threads; i++) {
        const int n = (int)threadIdx.x + i * threads;
        if constexpr (ACROSS) {
            const int row = n / (SIZE / 8), chunk = n % (SIZE / 8);
            const bool there = k0 + row < inner && 8 * chunk < limit;
            copy16(across<T, SIZE>(tile, row, chunk),
                   there ? rows(first + k0 + row) + 8 * chunk : rows.base, there);
        } else {
            const int row = n / (depth / 8), chunk = n % (depth / 8);
            const bool there = row < limit && k0 + 8 * chunk < inner;
            copy16(by_k<T>(tile, row, chunk),
                   there ? rows(first + row) + k0 + 8 * chunk : rows.base, there);
        }
    }
}

/* ---- the product ---- */

/* c = left right over `inner`, of a warp's 32 x 64 of the block's tile. */
template <class T, bool LEFT_ACROSS, bool RIGHT_ACROSS>
__device__ __forceinline__ void
tile_product(float c[2][8][4], const rows_of<T> &left, int64_t left_first, int64_t rows,
             const rows_of<T> &right, int64_t right_first, int64_t cols, int64_t inner) {
    SQN_SHARED_DYNAMIC(T, shared);
    constexpr int left_size = tile_rows * depth, stage = (tile_rows + tile_cols) * depth;
    const int lane = (int)(threadIdx.x & 31u), warp = (int)(threadIdx.x >> 5);
    const int row0 = warp / 2 * 32, col0 = warp % 2 * 64;
    const int64_t steps = (inner + depth - 1) / depth;
    const auto fetch_step = [&](int64_t n) {
        T *to = shared + n % stages * stage;
        if (n < steps) {
            fetch<T, tile_rows, LEFT_ACROSS>(to, left, left_first, rows, n * depth, inner);
            fetch<T, tile_cols, RIGHT_ACROSS>(to + left_size, right, right_first, cols, n * depth,
                                              inner);
        }
        copies_commit();
    };
#pragma unroll
    for (int i = 0; i < 64; i++) c[i / 32][i / 4 % 8][i % 4] = 0;
    for (int n = 0; n < stages - 1; n++) fetch_step(n);
    for (int64_t n = 0; n < steps; n++) {
        copies_wait<stages - 2>();
        __syncthreads(); /* this step is there, the one before it is done with */
        fetch_step(n + stages - 1);
        T *l = shared + n % stages * stage, *r = l + left_size;
#pragma unroll
        for (int k = 0; k < depth / 16; k++) {
            frag_a a[2];
#pragma unroll
            for (int i = 0; i < 2; i++) {
                if constexpr (LEFT_ACROSS)
                    ldmatrix<true>(a[i].r,
                                   across<T, tile_rows>(l, 16 * k + (lane & 7) + (lane >> 4) * 8,
                                                        (row0 + 16 * i) / 8 + (lane >> 3 & 1)));
                else
                    ldmatrix<false>(a[i].r,
                                    by_k<T>(l, row0 + 16 * i + (lane & 15), 2 * k + (lane >> 4)));
            }
#pragma unroll
            for (int j = 0; j < 4; j++) {
                if (col0 + 16 * j >= cols) continue; /* experts of small rank */
                uint32_t b[4];
                if constexpr (RIGHT_ACROSS)
                    ldmatrix<true>(b, across<T, tile_cols>(r, 16 * k + (lane & 15),
                                                           (col0 + 16 * j) / 8 + (lane >> 4)));
                else
                    ldmatrix<false>(b, by_k<T>(r, col0 + 16 * j + (lane & 7) + (lane >> 4) * 8,
                                               2 * k + (lane >> 3 & 1)));
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    mma<T>(c[i][2 * j], a[i], frag_b{{b[0], b[1]}});
                    mma<T>(c[i][2 * j + 1], a[i], frag_b{{b[2], b[3]}});
                }
            }
        }
    }
    copies_wait<0>();
}

/* f(row, column, two values) for what a thread has of its tile. */
template <class F>
__device__ __forceinline__ void each_pair(const float c[2][8][4], int64_t rows, int64_t cols, F f) {
    const int lane = (int)(threadIdx.x & 31u), warp = (int)(threadIdx.x >> 5);
#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
        for (int n = 0; n < 8; n++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const int row = warp / 2 * 32 + 16 * i + 8 * half + lane / 4;
                const int col = warp % 2 * 64 + 8 * n + lane % 4 * 2;
                if (row < rows && col < cols) f(row, col, &c[i][n][2 * half]);
            }
}

/* For each expert the rows of its pairs times its matrix: terms, or hidden values. */
template <class T> struct grouped {
    int64_t inner, cols;
    rows_of<T> left;
    const T *right;                   /* of expert 0 */
    int64_t right_stride, right_size; /* between its rows; between experts */
    T *terms;                         /* [places, cols], rounded; or NULL: */
    float *wide;                      /* [pairs, cols] */
    bool add;                         /* to what wide holds */
    T *weighed; /* [pairs, cols] or NULL: wide times scale and weight, rounded */
};

template <class T>
__device__ __forceinline__ float factor_of(const sqn_k_moe_lora &a, int64_t pair) {
    return (float)a.scale * load(((const T *)a.weights)[a.order[pair]]);
}

/* RIGHT_ACROSS: the expert's matrix is [inner, cols], else [cols, inner]. */
template <class T, bool RIGHT_ACROSS>
__global__ void __launch_bounds__(threads) pairs_kernel(sqn_k_moe_lora a, grouped<T> g) {
    pair_tile t;
    if (!find_pairs<tile_rows>(a, blockIdx.x, &t)) return;
    const int64_t c0 = (int64_t)blockIdx.y * tile_cols;
    rows_of<T> right = {g.right + t.expert * g.right_size, g.right_stride, nullptr};
    if (RIGHT_ACROSS) right.base += c0;
    float c[2][8][4];
    tile_product<T, false, RIGHT_ACROSS>(c, g.left, t.first, t.count, right, RIGHT_ACROSS ? 0 : c0,
                                         g.cols - c0, g.inner);
    each_pair(c, t.count, g.cols - c0, [&](int row, int col, const float *v) {
        const int64_t pair = t.first + row, at = pair * g.cols + c0 + col;
        if (g.terms != nullptr) {
            *(uint32_t *)(g.terms + a.order[pair] * g.cols + c0 + col) = two<T>(v[0], v[1]);
            return;
        }
        float2 *to = (float2 *)(g.wide + at), sum = {v[0], v[1]};
        if (g.add) sum = {to->x + v[0], to->y + v[1]};
        *to = sum;
        if (g.weighed == nullptr) return;
        const float f = factor_of<T>(a, pair);
        *(uint32_t *)(g.weighed + at) = two<T>(sum.x * f, sum.y * f);
    });
}

/* For each expert the sum over its pairs of left row times right row. */
template <class T> struct outer {
    int64_t rows, cols;
    rows_of<T> left, right;
    float *to;            /* of expert 0 */
    int64_t stride, size; /* between its rows; between experts */
    int set;
};

template <class T>
__global__ void __launch_bounds__(threads) outer_kernel(sqn_k_moe_lora a, outer<T> o) {
    const int64_t e = blockIdx.z, r0 = (int64_t)blockIdx.y * tile_rows,
                  c0 = (int64_t)blockIdx.x * tile_cols;
    const int64_t first = a.start[e], pairs = a.start[e + 1] - first;
    rows_of<T> left = o.left, right = o.right;
    left.base += r0;
    right.base += c0;
    float c[2][8][4];
    tile_product<T, true, true>(c, left, first, o.rows - r0, right, first, o.cols - c0, pairs);
    each_pair(c, o.rows - r0, o.cols - c0, [&](int row, int col, const float *v) {
        float2 *cell = (float2 *)(o.to + e * o.size + (r0 + row) * o.stride + c0 + col);
        const float2 before = o.set ? float2{0, 0} : *cell;
        *cell = {before.x + v[0], before.y + v[1]};
    });
}

/* ---- what is made beside the products ---- */

/* tokens[pair], and marks[place]: whether it has an expert. */
__global__ void tables_kernel(sqn_k_moe_lora a, int *tokens, uint8_t *marks) {
    const int64_t step = (int64_t)gridDim.x * blockDim.x, pairs = a.start[a.experts],
                  places = a.tokens * a.slots;
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < places; i += step) {
        tokens[i] = (int)(a.order[i] / a.slots);
        marks[a.order[i]] = i < pairs;
    }
}

template <class T> struct alignas(16) eight { T v[8]; };

/* Columns [c0, c0 + cols) of every pair's x, dropped and rounded. */
template <class T> __global__ void drop_kernel(sqn_k_moe_lora a, int64_t c0, int64_t cols, T *to) {
    const int64_t step = (int64_t)gridDim.x * blockDim.x, chunks = cols / 8,
                  total = a.start[a.experts] * chunks;
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < total; i += step) {
        const int64_t pair = i / chunks, c = (i - pair * chunks) * 8, place = a.order[pair];
        auto x = *(const eight<T> *)((const T *)a.x + place / a.slots * a.in + c0 + c);
        float m[8];
        masks(a, place, c0 + c, m);
#pragma unroll
        for (int j = 0; j < 8; j++) store(&x.v[j], load(x.v[j]) * m[j]);
        *(eight<T> *)(to + pair * cols + c) = x;
    }
}

/* Hidden values times scale and their pair's weight, rounded. */
template <class T> __global__ void weigh_kernel(sqn_k_moe_lora a, T *to) {
    const int64_t step = (int64_t)gridDim.x * blockDim.x, total = a.start[a.experts] * a.rank;
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < total; i += step)
        store(to + i, ((const float *)a.h)[i] * factor_of<T>(a, i / a.rank));
}

/* Columns [c0, c0 + cols) of a result of `width`: base and a token's terms in order, each times its
 * mask where MASKED, rounded. */
template <class T> struct gathered {
    const T *terms; /* [places, cols] */
    const uint8_t *marks;
    int64_t c0, cols, width;
    const T *base; /* NULL: 0 */
    T *total;
};

template <class T, bool MASKED>
__global__ void gather_terms_kernel(sqn_k_moe_lora a, gathered<T> g) {
    const int64_t step = (int64_t)gridDim.x * blockDim.x, chunks = g.cols / 8,
                  total = a.tokens * chunks;
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < total; i += step) {
        const int64_t token = i / chunks, c = (i - token * chunks) * 8;
        const int64_t at = token * g.width + g.c0 + c;
        float sum[8] = {};
        if (g.base != nullptr) {
            const auto v = *(const eight<T> *)(g.base + at);
#pragma unroll
            for (int j = 0; j < 8; j++) sum[j] = load(v.v[j]);
        }
        for (int64_t place = token * a.slots; place < (token + 1) * a.slots; place++) {
            if (!g.marks[place]) continue;
            const auto v = *(const eight<T> *)(g.terms + place * g.cols + c);
            float m[8] = {1, 1, 1, 1, 1, 1, 1, 1};
            if constexpr (MASKED) masks(a, place, g.c0 + c, m);
#pragma unroll
            for (int j = 0; j < 8; j++) sum[j] += load(v.v[j]) * m[j];
        }
        eight<T> v;
#pragma unroll
        for (int j = 0; j < 8; j++) store(&v.v[j], sum[j]);
        *(eight<T> *)(g.total + at) = v;
    }
}

/* ---- launches ---- */

/* Scratch of a call, taken in one piece. */
template <class T> struct room {
    const sqn_k_moe_lora *a;
    void *stream;
    char *at = nullptr;
    int *tokens;
    uint8_t *marks;
    T *weighed;      /* [places, rank] */
    T *part;         /* [places, columns]: masked x, or terms */
    float *wide;     /* [places, rank], if asked for */
    int64_t columns; /* of `part` */

    room(const sqn_k_moe_lora *of, void *on) : a(of), stream(on) {}
    ~room() { sqn_cuda_scratch_release(at, stream); }

    /* For terms of `width`, and x where it is dropped. */
    sqn_status open(int64_t width, bool with_wide) {
        const int64_t places = a->tokens * a->slots,
                      most = a->p > 0 && a->in > width ? a->in : width;
        size_t bytes = 0;
        const auto piece = [&](int64_t n, size_t size) {
            const size_t from = bytes;
            bytes += ((size_t)n * size + 255) / 256 * 256;
            return from;
        };
        columns = most_wide / (int64_t)sizeof(T) / places / tile_cols * tile_cols;
        columns = columns < tile_cols ? tile_cols : columns;
        columns = columns < most ? columns : most;
        const size_t t = piece(places, sizeof(int)), m = piece(places, 1),
                     w = piece(places * a->rank, sizeof(T)), v = piece(places * columns, sizeof(T)),
                     f = piece(with_wide ? places * a->rank : 0, sizeof(float));
        at = (char *)sqn_cuda_scratch(bytes, stream);
        if (at == nullptr) return SQN_NOMEM;
        tokens = (int *)(at + t), marks = (uint8_t *)(at + m), weighed = (T *)(at + w);
        part = (T *)(at + v), wide = (float *)(at + f);
        auto tables = tables_kernel;
        SQN_LAUNCH(tables, grid_for(places, 256), 256, 0, stream, *a, tokens, marks);
        return sqn_cuda_launched();
    }

    /* f(x of the pairs, first column, columns): what the experts see, as much as there is room. */
    template <class F> void each_input(F f) const {
        if (a->p <= 0) return f(rows_of<T>{(const T *)a->x, a->in, tokens}, (int64_t)0, a->in);
        for (int64_t c0 = 0; c0 < a->in; c0 += columns) {
            const int64_t cols = a->in - c0 < columns ? a->in - c0 : columns;
            auto drop = drop_kernel<T>;
            SQN_LAUNCH(drop, grid_for(a->tokens * a->slots * cols / 8, 256), 256, 0, stream, *a, c0,
                       cols, part);
            f(rows_of<T>{part, cols, nullptr}, c0, cols);
        }
    }

    template <bool RIGHT_ACROSS> void pairs(const grouped<T> &g) const {
        auto run = pairs_kernel<T, RIGHT_ACROSS>;
        const dim3 grid((unsigned)(ceil_div(a->tokens * a->slots, tile_rows) + a->experts),
                        (unsigned)ceil_div(g.cols, tile_cols));
        SQN_LAUNCH(run, grid, threads, tile_bytes, stream, *a, g);
    }

    void outer_products(const outer<T> &o) const {
        auto run = outer_kernel<T>;
        const dim3 grid((unsigned)ceil_div(o.cols, tile_cols),
                        (unsigned)ceil_div(o.rows, tile_rows), (unsigned)a->experts);
        SQN_LAUNCH(run, grid, threads, tile_bytes, stream, *a, o);
    }

    /* Weighed values through the experts' matrices, [width, rank] or, BACK, [rank, width]. */
    template <bool BACK> void spread(gathered<T> to) const {
        const T *matrices = (const T *)(BACK ? a->a : a->b);
        for (to.c0 = 0; to.c0 < to.width; to.c0 += columns) {
            to.cols = to.width - to.c0 < columns ? to.width - to.c0 : columns;
            grouped<T> g = {};
            g.inner = a->rank, g.cols = to.cols, g.left = {weighed, a->rank, nullptr};
            g.right = matrices + (BACK ? to.c0 : to.c0 * a->rank);
            g.right_stride = BACK ? to.width : a->rank, g.right_size = to.width * a->rank;
            g.terms = part;
            pairs<BACK>(g);
            to.terms = part, to.marks = marks;
            auto run =
                BACK && a->p > 0 ? gather_terms_kernel<T, true> : gather_terms_kernel<T, false>;
            SQN_LAUNCH(run, grid_for(a->tokens * to.cols / 8, 256), 256, 0, stream, *a, to);
        }
    }

    static constexpr size_t tile_bytes =
        (size_t)stages * (tile_rows + tile_cols) * depth * sizeof(T);
};

template <class T> sqn_status forward(const sqn_k_moe_lora *a, void *stream) {
    room<T> r(a, stream);
    SQN_TRY(r.open(a->out, false));
    r.each_input([&](const rows_of<T> &x, int64_t c0, int64_t cols) {
        grouped<T> g = {};
        g.inner = cols, g.cols = a->rank, g.left = x;
        g.right = (const T *)a->a + c0, g.right_stride = a->in, g.right_size = a->rank * a->in;
        g.wide = (float *)a->h, g.add = c0 > 0,
        g.weighed = c0 + cols == a->in ? r.weighed : nullptr;
        r.template pairs<false>(g);
    });
    gathered<T> to = {};
    to.width = a->out, to.base = (const T *)a->base, to.total = (T *)a->total;
    r.template spread<false>(to);
    return sqn_cuda_launched();
}

template <class T> sqn_status backward(const sqn_k_moe_lora_grad *k, void *stream) {
    const sqn_k_moe_lora *a = &k->forward;
    room<T> r(a, stream);
    SQN_TRY(r.open(a->in, true));
    const rows_of<T> dy = {(const T *)k->dy, a->out, r.tokens},
                     weighed = {r.weighed, a->rank, nullptr};
    if (k->db) {
        auto weigh = weigh_kernel<T>;
        SQN_LAUNCH(weigh, grid_for(a->tokens * a->slots * a->rank, 256), 256, 0, stream, *a,
                   r.weighed);
        r.outer_products(
            {a->out, a->rank, dy, weighed, (float *)k->db, a->rank, a->out * a->rank, k->set_b});
    }
    grouped<T> up = {}; /* t = dy B */
    up.inner = a->out, up.cols = a->rank, up.left = dy;
    up.right = (const T *)a->b, up.right_stride = a->rank, up.right_size = a->out * a->rank;
    up.wide = r.wide, up.weighed = r.weighed;
    if (k->dweights || k->da || k->dx) r.template pairs<true>(up);
    if (k->dweights) moe_weight_gradient<T>(a, r.wide, k->dweights, stream);
    if (k->da)
        r.each_input([&](const rows_of<T> &x, int64_t c0, int64_t cols) {
            r.outer_products(
                {a->rank, cols, weighed, x, (float *)k->da + c0, a->in, a->rank * a->in, k->set_a});
        });
    if (k->dx) {
        gathered<T> to = {};
        to.width = a->in, to.total = (T *)k->dx;
        r.template spread<true>(to);
    }
    return sqn_cuda_launched();
}

/* Whole chunks of 16 bytes, everywhere. */
bool fits(const sqn_k_moe_lora *a, std::initializer_list<const void *> more) {
    for (const void *p : {a->x, a->a, a->b, (const void *)a->h, a->base, (const void *)a->total})
        if ((uintptr_t)p % 16 != 0) return false;
    for (const void *p : more)
        if ((uintptr_t)p % 16 != 0) return false;
    return (a->dtype == SQN_BF16 || a->dtype == SQN_F16) && a->in % 8 == 0 && a->out % 8 == 0 &&
           a->rank % 8 == 0 && a->in > 0 && a->out > 0 && a->slots > 0 &&
           a->tokens * a->slots < INT32_MAX;
}
} // namespace

sqn_status moe_mma(const sqn_k_moe_lora *a, void *stream) {
    if (!fits(a, {})) return SQN_NOTFOUND;
    return a->dtype == SQN_BF16 ? forward<bf16>(a, stream) : forward<f16>(a, stream);
}

sqn_status moe_mma_grad(const sqn_k_moe_lora_grad *g, void *stream) {
    if (!fits(&g->forward, {g->dy, g->dx, g->da, g->db})) return SQN_NOTFOUND;
    return g->forward.dtype == SQN_BF16 ? backward<bf16>(g, stream) : backward<f16>(g, stream);
}
} // namespace sqn
