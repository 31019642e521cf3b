/* Sums down the columns of a matrix. Their order depends on the number of rows and columns only. */
#ifndef SQN_KERNELS_CUDA_COLUMNS_H
#define SQN_KERNELS_CUDA_COLUMNS_H

#include "kernels/cuda/pack.cuh"

namespace sqn {
constexpr int column_warps = 16;
constexpr int64_t column_blocks = 512; /* of a sum in pieces, about */
#ifdef SQN_EMULATE
constexpr int64_t column_rows = 60, piece_rows = 20; /* so that small tests have pieces */
#else
constexpr int64_t column_rows = 512, piece_rows = 64;
#endif

/* y = scale times a sum, or y += that. */
template <class A> struct sum_into {
    A scale;
    int add;
    template <class T> __device__ __forceinline__ void put(T *y, A sum) const {
        store(y, sum * scale + (add ? (A)load(*y) : (A)0));
    }
};

/* y[o, p, c] gets the sum of rows p * per … of column c of x[o] [rows, n]. A warp has 32 V
 * columns and every column_warps-th row. */
template <class F, class T, int V>
__global__ void __launch_bounds__(32 * column_warps)
    sum_columns_kernel(const F *x, T *y, int64_t rows, int64_t n, int64_t per,
                       sum_into<acc<F>> into) {
    using A = acc<F>;
    SQN_SHARED(A, part, column_warps * V * 32);
    const int lane = (int)(threadIdx.x & 31u), warp = (int)(threadIdx.x >> 5);
    const int64_t first = ((int64_t)blockIdx.x * 32 + lane) * V, p = blockIdx.y, o = blockIdx.z;
    const int64_t end = (p + 1) * per < rows ? (p + 1) * per : rows;
    A sum[V] = {};
    if (first < n) {
        const F *from = x + o * rows * n + first;
#pragma unroll 8
        for (int64_t r = p * per + warp; r < end; r += column_warps) {
            const auto v = *(const pack<F, V> *)(from + r * n);
            for (int j = 0; j < V; j++) sum[j] += load(v.v[j]);
        }
    }
    for (int j = 0; j < V; j++) part[(warp * V + j) * 32 + lane] = sum[j];
    __syncthreads();
    for (int i = (int)threadIdx.x; i < 32 * V; i += 32 * column_warps) {
        A all = part[i];
        for (int w = 1; w < column_warps; w++) all += part[w * V * 32 + i];
        const int64_t c = ((int64_t)blockIdx.x * 32 + i % 32) * V + i / 32;
        if (c < n) into.put(y + (o * gridDim.y + p) * n + c, all);
    }
}

template <class F, class T>
void sum_pieces(const F *x, T *y, int64_t outer, int64_t rows, int64_t n, int64_t pieces,
                sum_into<acc<F>> into, void *stream) {
    constexpr int V = per_pack<F>;
    const int64_t most = 32768; /* a grid's z ends at 65535 */
    const bool wide = n % V == 0 && all_aligned16(x);
    const auto run = wide ? sum_columns_kernel<F, T, V> : sum_columns_kernel<F, T, 1>;
    const unsigned across = (unsigned)ceil_div(n, 32 * (wide ? V : 1));
    const int64_t per = ceil_div(rows, pieces);
    for (int64_t o = 0; o < outer; o += most) {
        const unsigned now = (unsigned)(outer - o < most ? outer - o : most);
        SQN_LAUNCH(run, dim3(across, (unsigned)pieces, now), 32 * column_warps, 0, stream,
                   x + o * rows * n, y + o * pieces * n, rows, n, per, into);
    }
}

/* y[o, :] gets the sum of the rows of x[o]. Many rows are cut into pieces, whose sums are
 * summed then. */
template <class F, class T>
sqn_status sum_columns(const F *x, T *y, int64_t outer, int64_t rows, int64_t n,
                       sum_into<acc<F>> into, void *stream) {
    using A = acc<F>;
    int64_t pieces = 1;
    if (rows > column_rows) {
        const int64_t blocks = outer * ceil_div(n, 32 * per_pack<F>);
        pieces = blocks < column_blocks ? column_blocks / blocks : 1;
        if (pieces > ceil_div(rows, piece_rows)) pieces = ceil_div(rows, piece_rows);
    }
    if (pieces == 1) {
        sum_pieces(x, y, outer, rows, n, 1, into, stream);
        return sqn_cuda_launched();
    }
    A *parts = (A *)sqn_cuda_scratch((size_t)(outer * pieces * n) * sizeof(A), stream);
    if (parts == nullptr) return SQN_NOMEM;
    sum_pieces(x, parts, outer, rows, n, pieces, {1, 0}, stream);
    sum_pieces(parts, y, outer, pieces, n, 1, into, stream);
    sqn_cuda_scratch_release(parts, stream);
    return sqn_cuda_launched();
}
} // namespace sqn

#endif
