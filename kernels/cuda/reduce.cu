/* Sums, means and extremes over one dimension. The order of a sum depends on the sizes only. */
#include "kernels/cuda/columns.cuh"

namespace sqn {
constexpr int64_t run_a_part = 65536; /* of a sum along a row */

/* y[o, p] (+)= scale times the sum of piece p of row o. */
template <class F, class T>
__global__ void sum_rows_kernel(const F *x, T *y, int64_t n, acc<F> scale, bool add) {
    using A = acc<F>;
    const int64_t o = blockIdx.y, p = blockIdx.x;
    const F *row = x + o * n;
    const int64_t end = (p + 1) * run_a_part < n ? (p + 1) * run_a_part : n;
    A sum = 0;
    for (int64_t i = p * run_a_part + threadIdx.x; i < end; i += blockDim.x) sum += load(row[i]);
    sum = block_reduce(sum, plus{}, (A)0);
    T *to = y + o * gridDim.x + p;
    if (threadIdx.x == 0) store(to, sum * scale + (add ? load(*to) : (A)0));
}

template <class F, class T>
void sum_runs(const F *x, T *y, int64_t rows, int64_t n, double scale, bool add, void *stream) {
    const int64_t most = 32768; /* a grid's y ends at 65535 */
    const int64_t pieces = n > run_a_part ? ceil_div(n, run_a_part) : 1;
    auto run = sum_rows_kernel<F, T>;
    for (int64_t o = 0; o < rows; o += most) {
        const int64_t now = rows - o < most ? rows - o : most;
        SQN_LAUNCH(run, dim3((unsigned)pieces, (unsigned)now), threads_for(n), 0, stream, x + o * n,
                   y + o * pieces, n, (acc<F>)scale, add);
    }
}

/* y[o] (+)= scale times the sum of row o; long rows in pieces, whose sums are summed then. */
template <class F, class T>
sqn_status sum_rows(const F *x, T *y, int64_t rows, int64_t n, double scale, bool add,
                    void *stream) {
    using A = acc<F>;
    const int64_t pieces = ceil_div(n, run_a_part);
    if (pieces <= 1) {
        sum_runs(x, y, rows, n, scale, add, stream);
        return sqn_cuda_launched();
    }
    A *parts = (A *)sqn_cuda_scratch((size_t)(rows * pieces) * sizeof(A), stream);
    if (parts == nullptr) return SQN_NOMEM;
    sum_runs(x, parts, rows, n, 1, false, stream);
    const sqn_status status = sum_rows(parts, y, rows, pieces, scale, add, stream);
    sqn_cuda_scratch_release(parts, stream);
    return status;
}

template <class F, class T> sqn_status sum(const sqn_k_reduce *a, T *y, void *stream) {
    const F *x = (const F *)a->x;
    if (a->inner == 1) return sum_rows(x, y, a->outer, a->n, a->scale, a->add != 0, stream);
    return sum_columns(x, y, a->outer, a->n, a->inner, a->scale, a->add != 0, stream);
}

template <class A> struct best {
    A value;
    int64_t place; /* -1: nothing yet */
};
/* The better of two, the first of equals; a NaN wins and stays. */
template <class A> struct better {
    bool smallest;
    __device__ best<A> operator()(best<A> a, best<A> b) const {
        if (a.place < 0) return b;
        if (b.place < 0) return a;
        bool nan_a = a.value != a.value, nan_b = b.value != b.value;
        bool b_wins = nan_a || nan_b ? nan_b && !nan_a
                      : smallest     ? b.value < a.value
                                     : b.value > a.value;
        bool equal = nan_a ? nan_b : a.value == b.value;
        if (equal) return a.place < b.place ? a : b;
        return b_wins ? b : a;
    }
};
template <class A> __device__ best<A> __shfl_best(best<A> v, int bits) {
    return {__shfl_xor_sync(all_lanes, v.value, bits), __shfl_xor_sync(all_lanes, v.place, bits)};
}

template <class T> __global__ void extreme_kernel(sqn_k_reduce a, int64_t total) {
    using A = acc<T>;
    SQN_SHARED(best<A>, part, 32);
    const better<A> f = {a.op == SQN_REDUCE_MIN};
    const int lane = (int)(threadIdx.x & 31u), wid = (int)(threadIdx.x >> 5);
    for (int64_t job = blockIdx.x; job < total; job += gridDim.x) {
        const T *x = (const T *)a.x + job / a.inner * a.n * a.inner + job % a.inner;
        best<A> mine = {0, -1};
        for (int64_t i = threadIdx.x; i < a.n; i += blockDim.x)
            mine = f(mine, {load(x[i * a.inner]), i});
        for (int bits = 16; bits > 0; bits >>= 1) mine = f(mine, __shfl_best(mine, bits));
        if (lane == 0) part[wid] = mine;
        __syncthreads();
        if (threadIdx.x == 0) {
            for (int i = 1; i < (int)(blockDim.x >> 5); i++) mine = f(mine, part[i]);
            if (a.op == SQN_REDUCE_ARGMAX)
                ((int64_t *)a.y)[job] = mine.place;
            else
                store((T *)a.y + job, mine.value);
        }
        __syncthreads(); /* the parts are read before the next row writes them */
    }
}
} // namespace sqn

extern "C" sqn_status sqn_cuda_reduce(const sqn_k_reduce *a, void *stream) {
    const int64_t total = a->outer * a->inner;
    if (total == 0) return SQN_OK;
    return sqn::by_float(a->dtype, [&](auto *type) {
        using T = std::remove_pointer_t<decltype(type)>;
        if (a->op == SQN_REDUCE_SUM)
            return a->wide ? sqn::sum<T>(a, (sqn::acc<T> *)a->y, stream)
                           : sqn::sum<T>(a, (T *)a->y, stream);
        auto run = sqn::extreme_kernel<T>;
        SQN_LAUNCH(run, sqn::grid_for(total, 1), sqn::threads_for(a->n), 0, stream, *a, total);
        return sqn_cuda_launched();
    });
}
