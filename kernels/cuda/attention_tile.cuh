/* Tiles of attention on tensor cores: rows of 16-bit values in shared memory, as operands of
 * mma.sync, and products of them.
 *
 * Rules: a tile's rows have D values, D 64 or 128. Its 16-byte chunks lie where the 8 rows that
 * ldmatrix reads together fall on different banks. All lanes of a warp call together.
 */
#ifndef SQN_KERNELS_CUDA_ATTENTION_TILE_H
#define SQN_KERNELS_CUDA_ATTENTION_TILE_H

#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/ptx.cuh"

namespace sqn {
template <class T, int D> __device__ __forceinline__ T *chunk_at(T *tile, int row, int chunk) {
    return tile + row * D + (chunk ^ (row & 7)) * 8;
}

/* Rows first … first + 15, columns 16 k … of a tile as an A operand. */
template <class T, int D> __device__ __forceinline__ frag_a rows_as_a(T *tile, int first, int k) {
    const int lane = (int)(threadIdx.x & 31u);
    frag_a a;
    ldmatrix<false>(a.r, chunk_at<T, D>(tile, first + (lane & 15), 2 * k + (lane >> 4)));
    return a;
}
/* Rows first … first + 15 as two B operands (n: rows, k: columns 16 k …). */
template <class T, int D>
__device__ __forceinline__ void rows_as_b(frag_b b[2], T *tile, int first, int k) {
    const int lane = (int)(threadIdx.x & 31u);
    uint32_t r[4];
    ldmatrix<false>(
        r, chunk_at<T, D>(tile, first + (lane & 7) + (lane >> 4) * 8, 2 * k + (lane >> 3 & 1)));
    b[0] = {{r[0], r[1]}};
    b[1] = {{r[2], r[3]}};
}
/* Rows first … first + 15 (k), columns 16 n … (n) as two B operands. */
template <class T, int D>
__device__ __forceinline__ void columns_as_b(frag_b b[2], T *tile, int first, int n) {
    const int lane = (int)(threadIdx.x & 31u);
    uint32_t r[4];
    ldmatrix<true>(r, chunk_at<T, D>(tile, first + (lane & 15), 2 * n + (lane >> 4)));
    b[0] = {{r[0], r[1]}};
    b[1] = {{r[2], r[3]}};
}

/* c [16, COLS] = a rows (first … of a tile) times the transposed rows of another tile. */
template <class T, int D, int COLS>
__device__ __forceinline__ void rows_by_rows(float c[][4], T *a_tile, int first, T *b_tile) {
#pragma unroll
    for (int n = 0; n < COLS / 8; n++)
#pragma unroll
        for (int j = 0; j < 4; j++) c[n][j] = 0;
#pragma unroll
    for (int k = 0; k < D / 16; k++) {
        const frag_a a = rows_as_a<T, D>(a_tile, first, k);
#pragma unroll
        for (int n = 0; n < COLS / 16; n++) {
            frag_b b[2];
            rows_as_b<T, D>(b, b_tile, 16 * n, k);
            mma<T>(c[2 * n], a, b[0]);
            mma<T>(c[2 * n + 1], a, b[1]);
        }
    }
}

/* out [16, D] += p [16, COLS], rounded, times a tile's COLS rows. */
template <class T, int D, int COLS>
__device__ __forceinline__ void add_product(float out[][4], const float p[][4], T *tile) {
#pragma unroll
    for (int k = 0; k < COLS / 16; k++) {
        const frag_a a = {{two<T>(p[2 * k][0], p[2 * k][1]), two<T>(p[2 * k][2], p[2 * k][3]),
                           two<T>(p[2 * k + 1][0], p[2 * k + 1][1]),
                           two<T>(p[2 * k + 1][2], p[2 * k + 1][3])}};
#pragma unroll
        for (int n = 0; n < D / 16; n++) {
            frag_b b[2];
            columns_as_b<T, D>(b, tile, 16 * k, n);
            mma<T>(out[2 * n], a, b[0]);
            mma<T>(out[2 * n + 1], a, b[1]);
        }
    }
}

/* Sum or maximum over the four lanes that share a row of C. */
template <class F> __device__ __forceinline__ float row_reduce(float v, F f) {
    v = f(v, __shfl_xor_sync(all_lanes, v, 1));
    return f(v, __shfl_xor_sync(all_lanes, v, 2));
}

/* Takes scores s [16, COLS] into the running maximum and sum of each row and turns them into
 * weights exp2(scale s - maximum); out is scaled to the new maximum. seen(half, n, j): is the score
 * s[n][j], of row g + 8 half, one of a key that the row reads? */
template <int D, int COLS, class F>
__device__ __forceinline__ void soften(float s[][4], float scale, float top[2], float sum[2],
                                       float out[][4], F seen) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float now = top[half];
#pragma unroll
        for (int n = 0; n < COLS / 8; n++)
#pragma unroll
            for (int j = 2 * half; j < 2 * half + 2; j++) {
                s[n][j] = seen(half, n, j) ? s[n][j] * scale : -INFINITY;
                now = larger{}(s[n][j], now);
            }
        now = row_reduce(now, larger{});
        const float keep = top[half] == -INFINITY ? 0.0f : exp2_fast(top[half] - now);
        float part = 0;
#pragma unroll
        for (int n = 0; n < COLS / 8; n++)
#pragma unroll
            for (int j = 2 * half; j < 2 * half + 2; j++) {
                s[n][j] = s[n][j] == -INFINITY ? 0.0f : exp2_fast(s[n][j] - now);
                part += s[n][j];
            }
        sum[half] = sum[half] * keep + part;
        top[half] = now;
#pragma unroll
        for (int n = 0; n < D / 8; n++) out[n][2 * half] *= keep, out[n][2 * half + 1] *= keep;
    }
}

} // namespace sqn

#endif
