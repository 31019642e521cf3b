/* Products with few rows, y [m, n] = x [m, k] W [n, k]^T with m <= 16, as decoding asks for them:
 * bound by reading W once.
 *
 * A block makes 16 columns of y; its eight warps share k, each in steps of 32. W is the A operand
 * of mma.sync and x the B operand: the order of k inside a step is free as long as both have the
 * same, so a lane's share of a row is 16 bytes as they lie, eight neighbours along k. They come
 * through a ring in shared memory, three steps ahead, of which each lane has its own part. The
 * warps' sums are added in order; a row's result does not depend on how many others there are (up
 * to 16).
 *
 * Versions: 1 (never run on a card).
 */
#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/matmul_few.cuh"
#include "kernels/cuda/ptx.cuh"

namespace sqn {
constexpr int few_warps = 8, few_columns = 16, few_step = 32, few_stages = 4, few_early = 8;

/* Bytes of a block: a ring of 16 bytes for each lane, stage and row that it takes from; the sums.
 */
template <int TILES> constexpr int few_ring = few_stages *(2 + TILES) * 32 * few_warps * 16;
template <int TILES>
constexpr int few_bytes = few_ring<TILES> + few_warps *few_columns *(8 * TILES + 1) * 4;

/* TILES: of 8 rows of x. */
template <class T, class C, int TILES>
__global__ void __launch_bounds__(32 * few_warps)
    matmul_few_kernel(sqn_k_matmul k, previous before) {
    constexpr int WIDE = 8 * TILES + 1, ROWS = 2 + TILES;
    SQN_SHARED_DYNAMIC(uint4, ring);
    float *part = (float *)((char *)ring + few_ring<TILES>);
    const int warp = (int)(threadIdx.x >> 5), lane = (int)threadIdx.x & 31, g = lane / 4,
              t = lane % 4;
    const int64_t n0 = (int64_t)blockIdx.x * few_columns, steps = (k.k + few_step - 1) / few_step;
    const T *row[ROWS]; /* two of W, then those of x; null: zeros */
#pragma unroll
    for (int i = 0; i < ROWS; i++) {
        const int64_t r = i < 2 ? n0 + g + 8 * i : g + 8 * (i - 2);
        row[i] = r >= (i < 2 ? k.n : k.m) ? nullptr
                 : i < 2                  ? (const T *)k.b + r * k.ldb
                                          : (const T *)k.a + r * k.lda;
    }
    const auto slot = [&](int64_t n) {
        return ring + ((n % few_stages * few_warps + warp) * ROWS) * 32 + lane;
    };
    const auto fetch =
        [&](int64_t n) { /* the n-th step of this warp; what a lane copies is its own */
                         const int64_t at = (warp + n * few_warps) * few_step + 8 * t;
#pragma unroll
                         for (int i = 0; i < ROWS; i++) {
                             const bool there = row[i] != nullptr && at < k.k;
                             copy16(slot(n) + 32 * i, there ? row[i] + at : (const T *)k.b, there);
                         }
                         copies_commit();
        };
    float c[TILES][4] = {};
    const int64_t mine = (steps - warp + few_warps - 1) / few_warps;
    before.let_next_start();
    for (int64_t n = 0; n < few_early && n < mine;
         n++) /* W on its way while the last kernel ends */
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const int64_t at = (warp + n * few_warps) * few_step + 8 * t;
            if (row[i] != nullptr && at < k.k) prefetch(row[i] + at);
        }
    before.wait();
    for (int n = 0; n < few_stages - 1; n++) fetch(n);
    for (int64_t n = 0; n < mine; n++) {
        copies_wait<few_stages - 2>();
        const uint4 *from = slot(n), a = from[0], b = from[32];
#pragma unroll
        for (int i = 0; i < TILES; i++) {
            const uint4 x = from[32 * (2 + i)];
            mma<T>(c[i], {{a.x, b.x, a.y, b.y}}, {{x.x, x.y}});
            mma<T>(c[i], {{a.z, b.z, a.w, b.w}}, {{x.z, x.w}});
        }
        fetch(n + few_stages - 1);
    }
    copies_wait<0>();
#pragma unroll
    for (int i = 0; i < TILES; i++)
#pragma unroll
        for (int j = 0; j < 4; j++)
            part[(warp * few_columns + g + (j >= 2 ? 8 : 0)) * WIDE + 8 * i + 2 * t + j % 2] =
                c[i][j];
    __syncthreads();
    for (int i = (int)threadIdx.x; i < few_columns * (int)k.m; i += 32 * few_warps) {
        const int column = i % few_columns, r = i / few_columns;
        if (n0 + column >= k.n) continue;
        float sum = k.bias ? load(((const T *)k.bias)[n0 + column]) : 0.0f;
        for (int w = 0; w < few_warps; w++) sum += part[(w * few_columns + column) * WIDE + r];
        C *to = (C *)k.c + r * k.ldc + n0 + column;
        store(to, sum + (k.accumulate ? load(*to) : 0.0f));
    }
}

template <class T, class C, int TILES> sqn_status run_few(const sqn_k_matmul *k, void *stream) {
    auto run = matmul_few_kernel<T, C, TILES>;
    allow_shared(run, few_bytes<TILES>);
    SQN_LAUNCH_DEPENDENT(run, (unsigned)ceil_div(k->n, few_columns), 32 * few_warps,
                         few_bytes<TILES>, stream, *k);
    return sqn_cuda_launched();
}

template <class T, class C> sqn_status by_rows(const sqn_k_matmul *k, void *stream) {
    return k->m <= 8 ? run_few<T, C, 1>(k, stream) : run_few<T, C, 2>(k, stream);
}

sqn_status matmul_few(const sqn_k_matmul *k, void *stream) {
    const bool fits = k->batch == 1 && k->m <= 16 && !k->trans_a && k->trans_b && k->k % 8 == 0 &&
                      k->lda % 8 == 0 && k->ldb % 8 == 0 && (uintptr_t)k->a % 16 == 0 &&
                      (uintptr_t)k->b % 16 == 0;
    if (!fits || sqn_dtype_size(k->dtype) != 2) return SQN_NOTFOUND;
    if (k->dtype == SQN_BF16)
        return k->c_dtype == SQN_F32 ? by_rows<bf16, float>(k, stream)
                                     : by_rows<bf16, bf16>(k, stream);
    return k->c_dtype == SQN_F32 ? by_rows<f16, float>(k, stream) : by_rows<f16, f16>(k, stream);
}
} // namespace sqn
