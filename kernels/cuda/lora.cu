/* The products of a low-rank correction: bf16 x with f32 u and w on tensor cores, read and written
 * once; of other types and widths by the other kernels.
 *
 * An f32 value is the sum of three bf16 values, so three products with bf16 x are as good as one in
 * f32. Where both factors are f32 and the result is bf16, the leading two of each give 16 bits. A
 * value of x that is dropped is zero in the operand; the others' factor is applied to the sums. The
 * warps' sums are added in order.
 *
 * Versions: 1 (never run on a card).
 */
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/many.cuh"
#include "kernels/cuda/philox.cuh"
#include "kernels/cuda/ptx.cuh"
#include "kernels/lora_parts.h"

extern "C" const sqn_kernel_table sqn_cuda_kernels;

namespace sqn {
constexpr int lora_warps = 8, lora_threads = 32 * lora_warps;
#ifdef SQN_EMULATE
constexpr int64_t lora_many_rows = 64;
#else
constexpr int64_t lora_many_rows = 4096; /* they fill a card; twice as many read w together */
#endif

/* a and b as the sums of N pairs of bf16, the leading ones first. */
template <int N> __device__ __forceinline__ void split(uint32_t to[N], float a, float b) {
#pragma unroll
    for (int i = 0; i < N; i++) {
        to[i] = two<bf16>(a, b);
        a -= bits_float(to[i] << 16);
        b -= bits_float(to[i] & 0xffff0000u);
    }
}

/* Which of the eight elements of x from i on (a multiple of 4) stay; a bit each. */
__device__ __forceinline__ unsigned kept(const sqn_k_lora &k, int64_t i) {
    const float p = (float)k.p;
    unsigned bits = 0;
#pragma unroll
    for (int h = 0; h < 2; h++) {
        const sqn_philox r = sqn_philox_at(k.seed, k.stream, k.offset + (uint64_t)(i / 4 + h));
#pragma unroll
        for (int j = 0; j < 4; j++) bits |= (sqn_philox_unit(r.v[j]) < p ? 0u : 1u) << (4 * h + j);
    }
    return bits;
}
__device__ __forceinline__ uint32_t kept_pair(uint32_t pair, unsigned bits) {
    return pair & ((bits & 1u ? 0xffffu : 0u) | (bits & 2u ? 0xffff0000u : 0u));
}
__device__ __forceinline__ uint4 dropped(uint4 v, const sqn_k_lora &k, int64_t i) {
    const unsigned bits = kept(k, i);
    return {kept_pair(v.x, bits), kept_pair(v.y, bits >> 2), kept_pair(v.z, bits >> 4),
            kept_pair(v.w, bits >> 6)};
}

__device__ __forceinline__ float factor_of(const sqn_k_lora &k) {
    return (float)(k.alpha / (1.0 - k.p));
}

/* The warps' sums: part [WARPS, ROWS, 8 RANKS + 1]. */
template <int WARPS, int ROWS, int RANKS>
constexpr int lora_part_bytes = WARPS *ROWS *(8 * RANKS + 1) * 4;

template <int ROWS, int RANKS>
__device__ __forceinline__ void put_sums(float *part, const float c[ROWS / 16][RANKS][4]) {
    const int warp = (int)(threadIdx.x >> 5), g = (int)threadIdx.x % 32 / 4,
              t = (int)threadIdx.x % 4;
#pragma unroll
    for (int m = 0; m < ROWS / 16; m++)
#pragma unroll
        for (int j = 0; j < RANKS; j++)
#pragma unroll
            for (int q = 0; q < 4; q++)
                part[(warp * ROWS + 16 * m + g + q / 2 * 8) * (8 * RANKS + 1) + 8 * j + 2 * t +
                     q % 2] = c[m][j][q];
}

template <int WARPS, int ROWS, int RANKS>
__device__ __forceinline__ float sum_at(const float *part, int row, int r) {
    float sum = 0;
    for (int warp = 0; warp < WARPS; warp++) sum += part[(warp * ROWS + row) * (8 * RANKS + 1) + r];
    return sum;
}

/* The parts of w's elements (r, at … at + 7). */
__device__ __forceinline__ void w_parts(uint32_t b[4][3], const sqn_k_lora &k, int64_t r,
                                        int64_t at) {
    const float *w = (const float *)k.w;
    pack<float, 4> v[2] = {};
    if (r < k.rank && at < k.width) {
        if (k.w_columns) {
#pragma unroll
            for (int i = 0; i < 8; i++) v[i / 4].v[i % 4] = w[(at + i) * k.rank + r];
        } else {
            const auto *from = (const pack<float, 4> *)(w + r * k.width + at);
            v[0] = from[0], v[1] = from[1];
        }
    }
#pragma unroll
    for (int i = 0; i < 4; i++) split<3>(b[i], v[i / 2].v[i % 2 * 2], v[i / 2].v[i % 2 * 2 + 1]);
}

/* u: a block makes 16 TILES rows, few with twice the warps; they share the width in steps of 32, of
 * which a lane has eight neighbours: the order inside a step is free as long as both operands have
 * the same. RANKS: of 8 columns of u. */
template <int TILES> constexpr int lora_u_warps = 16 / TILES;

template <int TILES, int RANKS>
__global__ void __launch_bounds__(32 * lora_u_warps<TILES>, RANKS < 8 ? TILES : 1)
    lora_u_kernel(sqn_k_lora k) {
    constexpr int ROWS = 16 * TILES, STEP = 32, WARPS = lora_u_warps<TILES>;
    SQN_SHARED_DYNAMIC(float, part);
    const int g = (int)threadIdx.x % 32 / 4, t = (int)threadIdx.x % 4;
    const int64_t row0 = (int64_t)blockIdx.x * ROWS, rank0 = (int64_t)blockIdx.y * 8 * RANKS;
    uint4 next[2 * TILES];
    const auto fetch = [&](int64_t at) {
#pragma unroll
        for (int i = 0; i < 2 * TILES; i++) {
            const int64_t row = row0 + g + 8 * i;
            const bool there = row < k.rows && at < k.width;
            next[i] = there ? *(const uint4 *)((const bf16 *)k.x + row * k.width + at) : uint4{};
        }
    };
    float c[TILES][RANKS][4] = {};
    /* A warp's first step; t's share of it may lie beyond the width while others' do not. */
    const int64_t first = (int64_t)(threadIdx.x >> 5) * STEP + 8 * t;
    fetch(first);
    for (int64_t at = first; at - 8 * t < k.width; at += STEP * WARPS) {
        uint4 x[2 * TILES];
#pragma unroll
        for (int i = 0; i < 2 * TILES; i++)
            x[i] = k.p > 0 ? dropped(next[i], k, (row0 + g + 8 * i) * k.width + at) : next[i];
        fetch(at + STEP * WARPS);
#pragma unroll
        for (int j = 0; j < RANKS; j++) {
            uint32_t b[4][3];
            w_parts(b, k, rank0 + 8 * j + g, at);
#pragma unroll
            for (int m = 0; m < TILES; m++)
#pragma unroll
                for (int i = 2; i >= 0; i--) { /* small ones first */
                    const uint4 low = x[2 * m], high = x[2 * m + 1];
                    mma<bf16>(c[m][j], {{low.x, high.x, low.y, high.y}}, {{b[0][i], b[1][i]}});
                    mma<bf16>(c[m][j], {{low.z, high.z, low.w, high.w}}, {{b[2][i], b[3][i]}});
                }
        }
    }
    put_sums<ROWS, RANKS>(part, c);
    __syncthreads();
    for (int i = (int)threadIdx.x; i < ROWS * 8 * RANKS; i += 32 * WARPS) {
        const int row = i / (8 * RANKS), r = i % (8 * RANKS);
        if (row0 + row < k.rows && rank0 + r < k.rank)
            ((float *)k.u)[(row0 + row) * k.rank + rank0 + r] =
                sum_at<WARPS, ROWS, RANKS>(part, row, r) * factor_of(k);
    }
}

/* x: a block makes 64 rows by 128 columns, a warp 32 by 32. The columns of a warp's four tiles are
 * dealt out so that a lane has eight neighbours, 16 bytes, of a row. */
__global__ void __launch_bounds__(lora_threads) lora_x_kernel(sqn_k_lora k) {
    const int warp = (int)(threadIdx.x >> 5), lane = (int)threadIdx.x & 31, g = lane / 4,
              t = lane % 4;
    const int64_t row0 = (int64_t)blockIdx.x * 64 + warp / 4 * 32;
    const int64_t column0 = (int64_t)blockIdx.y * 128 + warp % 4 * 32;
    const float *u = (const float *)k.u, *w = (const float *)k.w;
    const auto u_at = [&](int64_t row, int64_t r) {
        return row < k.rows && r < k.rank ? u[row * k.rank + r] : 0.0f;
    };
    const auto w_at = [&](int64_t r, int64_t column) {
        if (r >= k.rank || column >= k.width) return 0.0f;
        return w[k.w_columns ? column * k.rank + r : r * k.width + column];
    };
    float c[2][4][4] = {};
    for (int64_t r0 = 2 * t; r0 < k.rank + 2 * t; r0 += 16) {
        frag_a a[2][2]; /* of each tile the leading part and the rest */
#pragma unroll
        for (int m = 0; m < 2; m++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int64_t row = row0 + 16 * m + g + i % 2 * 8, r = r0 + i / 2 * 8;
                uint32_t pair[2];
                split<2>(pair, u_at(row, r), u_at(row, r + 1));
                a[m][0].r[i] = pair[0], a[m][1].r[i] = pair[1];
            }
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const int64_t column = column0 + g / 2 * 8 + 2 * j + g % 2;
            uint32_t b[2][2];
#pragma unroll
            for (int i = 0; i < 2; i++)
                split<2>(b[i], w_at(r0 + 8 * i, column), w_at(r0 + 8 * i + 1, column));
#pragma unroll
            for (int m = 0; m < 2; m++) {
                mma<bf16>(c[m][j], a[m][1], {{b[0][0], b[1][0]}});
                mma<bf16>(c[m][j], a[m][0], {{b[0][1], b[1][1]}});
                mma<bf16>(c[m][j], a[m][0], {{b[0][0], b[1][0]}});
            }
        }
    }
    const int64_t column = column0 + 8 * t;
    if (column >= k.width) return;
#pragma unroll
    for (int m = 0; m < 2; m++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int64_t row = row0 + 16 * m + g + 8 * half, at = row * k.width + column;
            if (row >= k.rows) continue;
            const unsigned bits = k.p > 0 ? kept(k, at) : 0xffu;
            uint4 *to = (uint4 *)((bf16 *)k.x + at), sum = k.accumulate ? *to : uint4{};
            uint32_t pair[4] = {sum.x, sum.y, sum.z, sum.w};
#pragma unroll
            for (int j = 0; j < 4; j++) {
                const float *of = c[m][j] + 2 * half;
                const float low = bits >> 2 * j & 1u ? of[0] * factor_of(k) : 0.0f;
                const float high = bits >> 2 * j & 2u ? of[1] * factor_of(k) : 0.0f;
                pair[j] = two<bf16>(bits_float(pair[j] << 16) + low,
                                    bits_float(pair[j] & 0xffff0000u) + high);
            }
            *to = {pair[0], pair[1], pair[2], pair[3]};
        }
}

/* w: a block makes 32 columns (of x) by 8 RANKS of u's. It takes 128 rows of x at a time through a
 * ring in shared memory, of which each warp multiplies 16. */
constexpr int lora_columns = 32, lora_rows = 16 * lora_warps, lora_stages = 4;
constexpr int lora_chunks = lora_rows * lora_columns / 8; /* of 16 bytes, in a stage */
constexpr int lora_ring_bytes = lora_stages * lora_chunks * 16;

/* Its places lie where ldmatrix meets no bank twice. */
__device__ __forceinline__ uint4 *chunk_of(uint4 *ring, int64_t turn, int row, int number) {
    return ring + turn % lora_stages * lora_chunks + row * 4 + (number ^ (row >> 1 & 3));
}

/* f(place in the ring, element of x, is it there?) for the chunks that this thread copies. */
template <class F>
__device__ __forceinline__ void each_chunk(uint4 *ring, const sqn_k_lora &k, int64_t turn, F f) {
#pragma unroll
    for (int i = 0; i < lora_chunks / lora_threads; i++) {
        const int id = (int)threadIdx.x + i * lora_threads, row = id / 4, number = id % 4;
        const int64_t from = turn * lora_rows + row,
                      column = (int64_t)blockIdx.x * lora_columns + 8 * number;
        f(chunk_of(ring, turn, row, number), from * k.width + column,
          from < k.rows && column < k.width);
    }
}

/* The parts of u's elements (row, r), (row + 1, r) and eight rows on. */
__device__ __forceinline__ void u_parts(uint32_t b[2][3], const sqn_k_lora &k, int64_t row,
                                        int64_t r) {
    const float *u = (const float *)k.u + r;
#pragma unroll
    for (int i = 0; i < 2; i++) {
        const int64_t low = row + 8 * i, high = low + 1;
        split<3>(b[i], low < k.rows && r < k.rank ? u[low * k.rank] : 0.0f,
                 high < k.rows && r < k.rank ? u[high * k.rank] : 0.0f);
    }
}

/* Two of one rank in a launch: A's gradient and B's. */
template <int RANKS>
__global__ void __launch_bounds__(lora_threads)
    lora_w_kernel(SQN_PARAMETER sqn_k_lora one, SQN_PARAMETER sqn_k_lora other) {
    SQN_SHARED_DYNAMIC(uint4, ring);
    const sqn_k_lora &k = blockIdx.z == 0 ? one : other;
    if ((int64_t)blockIdx.x * lora_columns >= k.width) return; /* the other is wider */
    float *part = (float *)((char *)ring + lora_ring_bytes);
    const int warp = (int)(threadIdx.x >> 5), lane = (int)threadIdx.x & 31;
    const int64_t column0 = (int64_t)blockIdx.x * lora_columns,
                  rank0 = (int64_t)blockIdx.y * 8 * RANKS;
    const auto fetch = [&](int64_t turn) {
        each_chunk(ring, k, turn, [&](uint4 *to, int64_t at, bool there) {
            copy16(to, there ? (const bf16 *)k.x + at : k.x, there);
        });
        copies_commit();
    };
    float c[2][RANKS][4] = {};
    for (int turn = 0; turn < lora_stages - 1; turn++) fetch(turn);
    for (int64_t turn = 0; turn * lora_rows < k.rows; turn++) {
        copies_wait<lora_stages - 2>();
        if (k.p > 0)
            each_chunk(ring, k, turn, [&](uint4 *to, int64_t at, bool there) {
                if (there) *to = dropped(*to, k, at);
            });
        __syncthreads(); /* this turn's rows are there, those of the last are read */
        fetch(turn + lora_stages - 1);
        frag_a a[2]; /* (column, row) */
#pragma unroll
        for (int m = 0; m < 2; m++)
            ldmatrix<true>(a[m].r, chunk_of(ring, turn, 16 * warp + (lane & 7) + (lane >> 4) * 8,
                                            2 * m + (lane >> 3 & 1)));
#pragma unroll
        for (int j = 0; j < RANKS; j++) {
            uint32_t b[2][3];
            u_parts(b, k, turn * lora_rows + 16 * warp + lane % 4 * 2, rank0 + 8 * j + lane / 4);
#pragma unroll
            for (int m = 0; m < 2; m++)
#pragma unroll
                for (int i = 2; i >= 0; i--) mma<bf16>(c[m][j], a[m], {{b[0][i], b[1][i]}});
        }
    }
    copies_wait<0>();
    put_sums<lora_columns, RANKS>(part, c);
    __syncthreads();
    for (int i = (int)threadIdx.x; i < lora_columns * 8 * RANKS; i += lora_threads) {
        const int column = k.w_columns ? i / (8 * RANKS) : i % lora_columns;
        const int r = k.w_columns ? i % (8 * RANKS) : i / lora_columns;
        if (column0 + column >= k.width || rank0 + r >= k.rank) continue;
        float *to = (float *)k.w + (k.w_columns ? (column0 + column) * k.rank + rank0 + r
                                                : (rank0 + r) * k.width + column0 + column);
        *to = sum_at<lora_warps, lora_columns, RANKS>(part, column, r) * factor_of(k) +
              (k.accumulate ? *to : 0.0f);
    }
}

/* ---- launches ---- */

template <int TILES, int RANKS> void launch_u(const sqn_k_lora *k, void *stream) {
    auto run = lora_u_kernel<TILES, RANKS>;
    constexpr size_t bytes = lora_part_bytes<lora_u_warps<TILES>, 16 * TILES, RANKS>;
    allow_shared(run, bytes);
    SQN_LAUNCH(
        run, dim3((unsigned)ceil_div(k->rows, 16 * TILES), (unsigned)ceil_div(k->rank, 8 * RANKS)),
        32 * lora_u_warps<TILES>, bytes, stream, *k);
}

template <int RANKS> void launch_w(const sqn_k_lora *k, void *stream) {
    auto run = lora_w_kernel<RANKS>;
    constexpr size_t bytes = lora_ring_bytes + lora_part_bytes<lora_warps, lora_columns, RANKS>;
    const sqn_k_lora *other = k->beside ? k->beside : k;
    const int64_t width = k->width > other->width ? k->width : other->width;
    allow_shared(run, bytes);
    SQN_LAUNCH(run,
               dim3((unsigned)ceil_div(width, lora_columns), (unsigned)ceil_div(k->rank, 8 * RANKS),
                    k->beside ? 2 : 1),
               lora_threads, bytes, stream, *k, *other);
}

template <int RANKS> void launch_by_rank(const sqn_k_lora *k, void *stream) {
    if (k->make == SQN_LORA_W)
        launch_w<RANKS>(k, stream);
    else if (k->rows > lora_many_rows)
        launch_u<2, RANKS>(k, stream);
    else
        launch_u<1, RANKS>(k, stream);
}

static sqn_status on_tensor_cores(const sqn_k_lora *k, void *stream) {
    if (k->make == SQN_LORA_X) {
        auto run = lora_x_kernel;
        SQN_LAUNCH(run, dim3((unsigned)ceil_div(k->rows, 64), (unsigned)ceil_div(k->width, 128)),
                   lora_threads, 0, stream, *k);
    } else if (k->rank <= 8)
        launch_by_rank<1>(k, stream);
    else if (k->rank <= 16)
        launch_by_rank<2>(k, stream);
    else if (k->rank <= 32)
        launch_by_rank<4>(k, stream);
    else
        launch_by_rank<8>(k, stream);
    return sqn_cuda_launched();
}

static bool fits_tensor_cores(const sqn_k_lora *k) {
    return k->dtype == SQN_BF16 && k->u_dtype == SQN_F32 && k->w_dtype == SQN_F32 &&
           k->width % 8 == 0 && k->rows > 0 && k->width > 0 && k->rank > 0 &&
           all_aligned16(k->x, k->w);
}

static sqn_status by_parts(const sqn_k_lora *k, void *stream) {
    void *wide = nullptr;
    if (sqn_lora_wide(k) > 0) {
        wide = sqn_cuda_scratch((size_t)sqn_lora_wide(k) * sqn_dtype_size(sqn_lora_wide_dtype(k)),
                                stream);
        if (wide == nullptr) return SQN_NOMEM;
    }
    const sqn_status status = sqn_lora_by_parts(&sqn_cuda_kernels, k, wide, stream);
    if (wide != nullptr) sqn_cuda_scratch_release(wide, stream);
    return status;
}
} // namespace sqn

extern "C" sqn_status sqn_cuda_lora(const sqn_k_lora *k, void *stream) {
    const bool fits = sqn::fits_tensor_cores(k);
    if (fits && (k->beside == nullptr || sqn::fits_tensor_cores(k->beside)))
        return sqn::on_tensor_cores(k, stream);
    sqn_k_lora alone = *k;
    alone.beside = nullptr;
    SQN_TRY(fits ? sqn::on_tensor_cores(&alone, stream) : sqn::by_parts(k, stream));
    return k->beside ? sqn_cuda_lora(k->beside, stream) : SQN_OK;
}
