/* Rows by index. Equal indexes of a scatter have a fixed order, without atomics: the block of the
 * first row of each index does all of them, or, where y is small, each number of y has a block. */
#include "kernels/cuda/pack.cuh"

namespace sqn {
__device__ __forceinline__ int64_t load(int64_t v) { return v; }
__device__ __forceinline__ void store(int64_t *p, int64_t v) { *p = v; }

__device__ __forceinline__ bool is_row(int64_t index, int64_t rows) {
    return index >= 0 && index < rows;
}

template <class P> __global__ void gather_kernel(sqn_k_gather_rows a, previous before) {
    before.wait_then_let_next_start();
    const int64_t n = a.row_bytes / (int64_t)sizeof(P), total = a.rows * n;
    const int64_t step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < total; i += step) {
        const quotient at = divide(i, n);
        const int64_t from = a.index[at.whole];
        ((P *)a.y)[i] = is_row(from, a.x_rows) ? ((const P *)a.x)[from * n + at.rest] : P{};
    }
}

/* True in every thread if index[i] does not occur before place i. */
__device__ bool is_first(const int64_t *index, int64_t i) {
    SQN_SHARED(int, seen, 32);
    const int64_t wanted = index[i];
    bool mine = false;
    for (int64_t j = threadIdx.x; j < i; j += blockDim.x) mine |= index[j] == wanted;
    int any = __any_sync(all_lanes, mine);
    if ((threadIdx.x & 31u) == 0) seen[threadIdx.x >> 5] = any;
    __syncthreads();
    any = 0;
    for (int w = 0; w < (int)(blockDim.x >> 5); w++) any |= seen[w];
    __syncthreads(); /* before the next row writes it */
    return any == 0;
}

template <class F, class T> __global__ void scatter_kernel(sqn_k_scatter_rows a, previous before) {
    before.wait_then_let_next_start();
    SQN_SHARED(unsigned, found, 32);
    const int warps = (int)(blockDim.x >> 5);
    for (int64_t i = blockIdx.x; i < a.rows; i += gridDim.x) {
        if (!is_row(a.index[i], a.y_rows) || !is_first(a.index, i)) continue;
        const int64_t wanted = a.index[i];
        T *y = (T *)a.y + wanted * a.n;
        for (int64_t j0 = i; j0 < a.rows; j0 += blockDim.x) {
            const int64_t j = j0 + threadIdx.x;
            unsigned hits = __ballot_sync(all_lanes, j < a.rows && a.index[j] == wanted);
            if ((threadIdx.x & 31u) == 0) found[threadIdx.x >> 5] = hits;
            __syncthreads();
            for (int w = 0; w < warps; w++) {
                for (unsigned left = found[w]; left != 0; left &= left - 1) {
                    const F *x = (const F *)a.x + (j0 + 32 * w + __ffs((int)left) - 1) * a.n;
                    for (int64_t c = threadIdx.x; c < a.n; c += blockDim.x)
                        store(y + c, (a.add ? load(y[c]) : 0) + load(x[c]));
                }
            }
            __syncthreads(); /* before the next piece writes the hits */
        }
    }
}

/* A block for each number of y: it looks at every index. */
template <class F, class T>
__global__ void scatter_few_kernel(sqn_k_scatter_rows a, previous before) {
    before.wait_then_let_next_start();
    const int64_t row = (int64_t)blockIdx.x / a.n, c = (int64_t)blockIdx.x % a.n;
    acc<T> sum = 0;
    for (int64_t i = threadIdx.x; i < a.rows; i += blockDim.x)
        if (a.index[i] == row) sum += load(((const F *)a.x)[i * a.n + c]);
    sum = block_reduce(sum, plus(), acc<T>(0));
    T *y = (T *)a.y + row * a.n + c;
    if (threadIdx.x == 0) store(y, load(*y) + sum);
}

template <class F, class T> sqn_status scatter(const sqn_k_scatter_rows *a, void *stream) {
    if constexpr (!std::is_same_v<F, int64_t>) {
        /* is_first() looks at rows^2 / 2 indexes, a block for each number at rows y_rows n. */
        if (a->add && a->y_rows * a->n <= a->rows / 2) {
            auto few = scatter_few_kernel<F, T>;
            SQN_LAUNCH_DEPENDENT(few, (unsigned)(a->y_rows * a->n), 256, 0, stream, *a);
            return sqn_cuda_launched();
        }
    }
    auto run = scatter_kernel<F, T>;
    SQN_LAUNCH_DEPENDENT(run, grid_for(a->rows, 1), 256, 0, stream, *a);
    return sqn_cuda_launched();
}
} // namespace sqn

extern "C" sqn_status sqn_cuda_gather_rows(const sqn_k_gather_rows *a, void *stream) {
    if (a->rows == 0 || a->row_bytes == 0) return SQN_OK;
    auto run = sqn::gather_kernel<uint8_t>;
    int64_t width = 1;
    if (a->row_bytes % 16 == 0 && sqn::all_aligned16(a->x, a->y))
        run = sqn::gather_kernel<uint4>, width = 16;
    else if (a->row_bytes % 2 == 0 && ((uintptr_t)a->x | (uintptr_t)a->y) % 2 == 0)
        run = sqn::gather_kernel<uint16_t>, width = 2;
    SQN_LAUNCH_DEPENDENT(run, sqn::grid_for(a->rows * (a->row_bytes / width), 256), 256, 0, stream,
                         *a);
    return sqn_cuda_launched();
}

extern "C" sqn_status sqn_cuda_scatter_rows(const sqn_k_scatter_rows *a, void *stream) {
    if (a->rows == 0 || a->n == 0) return SQN_OK;
    if (a->dtype == SQN_I64 && a->y_dtype == SQN_I64)
        return sqn::scatter<int64_t, int64_t>(a, stream);
    return sqn::by_float(a->dtype, [&](auto *type) {
        using F = std::remove_pointer_t<decltype(type)>;
        if (a->y_dtype == a->dtype) return sqn::scatter<F, F>(a, stream);
        if (a->y_dtype != SQN_F32 || sizeof(F) != 2) return SQN_MISUSE;
        return sqn::scatter<F, sqn::acc<F>>(a, stream);
    });
}
