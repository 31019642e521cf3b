/* A block's tile of a product whose operands are functions of (row, k) and (k, column).
 *
 * Rules: tile_of<T> has edge (rows and columns), threads of a block, values (of C in a thread), and
 * row(j) and column(j) of a thread's value j. product<LEFT_BY_K, RIGHT_BY_K>(c, inner, columns,
 * left, right) gives c = sum_k left(row, k) right(k, column) for columns below `columns`; both
 * functions give 0 beyond their ends and are asked for k below `inner` only. A flag says along
 * which index neighbours lie side by side in memory: threads of a warp read along it. 16-bit types
 * go through tensor cores; their functions give values that T holds.
 */
#ifndef SQN_KERNELS_CUDA_MOE_TILE_H
#define SQN_KERNELS_CUDA_MOE_TILE_H

#include "kernels/cuda/ptx.cuh"

namespace sqn {

/* Fused multiply-adds: 32 x 32 by 256 threads. */
template <class A> struct plain_tile {
    static constexpr int edge = 32, threads = 256, values = 4;
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
    __device__ static void product(A c[values], int64_t inner, int64_t columns, L left, R right) {
        SQN_SHARED(A, l_tile, edge * (edge + 1));
        SQN_SHARED(A, r_tile, edge * (edge + 1));
        (void)columns;
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

/* Tensor cores: 64 x 64 by four warps, 16 rows each; 32 of k at a time. Both operands lie in shared
 * memory as rows along k, their chunks of 16 bytes so that ldmatrix meets no bank twice. */
template <class T> struct mma_tile {
    static constexpr int edge = 64, threads = 128, values = 32, depth = 32;
    __device__ static int row(int j) {
        return 16 * (int)(threadIdx.x >> 5) + (int)(threadIdx.x & 31u) / 4 + (j & 2 ? 8 : 0);
    }
    __device__ static int column(int j) { return j / 4 * 8 + (int)threadIdx.x % 4 * 2 + (j & 1); }

    __device__ static T *chunk(T *tile, int r, int number) {
        return tile + r * depth + (number ^ (r >> 1 & 3)) * 8;
    }

    template <bool BY_K, class F>
    __device__ static void fill(T *to, int64_t k0, int64_t inner, int rows, F value) {
        for (int i = (int)threadIdx.x; i < rows * depth; i += threads) {
            const int k = BY_K ? i % depth : i / rows, r = BY_K ? i / depth : i % rows;
            store(chunk(to, r, k / 8) + k % 8, k0 + k < inner ? (float)value(r, k0 + k) : 0.0f);
        }
    }

    template <bool LEFT_BY_K, bool RIGHT_BY_K, class L, class R>
    __device__ static void product(float c[values], int64_t inner, int64_t columns, L left,
                                   R right) {
        SQN_SHARED(T, l_tile, edge * depth);
        SQN_SHARED(T, r_tile, edge * depth);
        const int lane = (int)(threadIdx.x & 31u), first = 16 * (int)(threadIdx.x >> 5);
        const int groups = columns < edge ? (int)((columns + 15) / 16) : edge / 16;
#pragma unroll
        for (int j = 0; j < values; j++) c[j] = 0;
        for (int64_t k0 = 0; k0 < inner; k0 += depth) {
            fill<LEFT_BY_K>(l_tile, k0, inner, edge, left);
            fill<RIGHT_BY_K>(r_tile, k0, inner, 16 * groups,
                             [&](int n, int64_t k) { return right(k, n); });
            __syncthreads();
#pragma unroll
            for (int k = 0; k < depth / 16; k++) {
                frag_a a;
                ldmatrix<false>(a.r, chunk(l_tile, first + (lane & 15), 2 * k + (lane >> 4)));
#pragma unroll
                for (int n = 0; n < edge / 16; n++) {
                    if (n >= groups) continue;
                    uint32_t r[4];
                    ldmatrix<false>(r, chunk(r_tile, 16 * n + (lane & 7) + (lane >> 4) * 8,
                                             2 * k + (lane >> 3 & 1)));
                    mma<T>(c + 8 * n, a, frag_b{{r[0], r[1]}});
                    mma<T>(c + 8 * n + 4, a, frag_b{{r[2], r[3]}});
                }
            }
            __syncthreads(); /* before the tiles are filled again */
        }
    }
};

template <class T>
using tile_of = std::conditional_t<sizeof(T) == 2, mma_tile<T>, plain_tile<acc<T>>>;
} // namespace sqn

#endif
