/* Sums, means and extremes over one dimension. The order of a sum depends on the sizes only. */
#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/row.cuh"

namespace sqn {
constexpr int64_t run_a_part = 32768; /* of a sum along a row */

/* y[o, p] gets the sum of piece p of row o. */
template <class F, class T, bool WIDE>
__global__ void __launch_bounds__(row_threads)
    sum_rows_kernel(const F *x, T *y, int64_t rows, int64_t n, sum_into<acc<F>> into) {
    using A = acc<F>;
    constexpr int E = per_pack<F>;
    const int64_t o = (int64_t)blockIdx.y * blockDim.y + threadIdx.y,
                  first = blockIdx.x * run_a_part;
    if (o >= rows) return;
    const int64_t end = first + run_a_part < n ? first + run_a_part : n;
    A sum = 0;
#pragma unroll 4
    for (int64_t i = first + (int64_t)threadIdx.x * E; i < end; i += (int64_t)blockDim.x * E) {
        const auto p = read_pack<WIDE>(x + o * n, i, end);
        A part = 0;
        for (int j = 0; j < E; j++) part += load(p.v[j]);
        sum += part;
    }
    sum = row_reduce(sum, plus{}, (A)0);
    if (threadIdx.x == 0) into.put(y + o * gridDim.x + blockIdx.x, sum);
}

template <class F, class T>
void sum_runs(const F *x, T *y, int64_t rows, int64_t n, sum_into<acc<F>> into, void *stream) {
    const int64_t most = 32768,
                  pieces = n > 0 ? ceil_div(n, run_a_part) : 1; /* a grid's y ends at 65535 */
    const bool wide = n % per_pack<F> == 0 && aligned16(x);
    const auto run = wide ? sum_rows_kernel<F, T, true> : sum_rows_kernel<F, T, false>;
    const dim3 block = row_block<F>(n < run_a_part ? n : run_a_part);
    for (int64_t o = 0; o < rows; o += most) {
        const int64_t now = rows - o < most ? rows - o : most;
        SQN_LAUNCH(run, dim3((unsigned)pieces, (unsigned)ceil_div(now, block.y)), block, 0, stream,
                   x + o * n, y + o * pieces, now, n, into);
    }
}

/* y[o] gets the sum of row o; long rows in pieces, whose sums are summed then. */
template <class F, class T>
sqn_status sum_rows(const F *x, T *y, int64_t rows, int64_t n, sum_into<acc<F>> into,
                    void *stream) {
    using A = acc<F>;
    const int64_t pieces = ceil_div(n, run_a_part);
    if (pieces <= 1) {
        sum_runs(x, y, rows, n, into, stream);
        return sqn_cuda_launched();
    }
    A *parts = (A *)sqn_cuda_scratch((size_t)(rows * pieces) * sizeof(A), stream);
    if (parts == nullptr) return SQN_NOMEM;
    sum_runs(x, parts, rows, n, {1, 0}, stream);
    const sqn_status status = sum_rows(parts, y, rows, pieces, into, stream);
    sqn_cuda_scratch_release(parts, stream);
    return status;
}

template <class F, class T> sqn_status sum(const sqn_k_reduce *a, void *stream) {
    const sum_into<acc<F>> into = {(acc<F>)a->scale, a->add};
    if (a->inner == 1) return sum_rows((const F *)a->x, (T *)a->y, a->outer, a->n, into, stream);
    return sum_columns((const F *)a->x, (T *)a->y, a->outer, a->n, a->inner, into, stream);
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
template <class A> __device__ __forceinline__ best<A> other_lane(best<A> v, int bits) {
    return {other_lane(v.value, bits), other_lane(v.place, bits)};
}

template <class T>
__global__ void __launch_bounds__(most_threads) extreme_kernel(sqn_k_reduce a, int64_t total) {
    using A = acc<T>;
    const better<A> f = {a.op == SQN_REDUCE_MIN};
    const best<A> none = {0, -1};
    for (int64_t job = blockIdx.x; job < total; job += gridDim.x) {
        const T *x = (const T *)a.x + job / a.inner * a.n * a.inner + job % a.inner;
        best<A> mine = none;
        for (int64_t i = threadIdx.x; i < a.n; i += blockDim.x)
            mine = f(mine, {load(x[i * a.inner]), i});
        mine = block_reduce(mine, f, none);
        if (threadIdx.x != 0) continue;
        if (a.op == SQN_REDUCE_ARGMAX)
            ((int64_t *)a.y)[job] = mine.place;
        else
            store((T *)a.y + job, mine.value);
    }
}
} // namespace sqn

extern "C" sqn_status sqn_cuda_reduce(const sqn_k_reduce *a, void *stream) {
    const int64_t total = a->outer * a->inner;
    if (total == 0) return SQN_OK;
    return sqn::by_float(a->dtype, [&](auto *type) {
        using T = std::remove_pointer_t<decltype(type)>;
        if (a->op == SQN_REDUCE_SUM && a->wide) return sqn::sum<T, sqn::acc<T>>(a, stream);
        if (a->op == SQN_REDUCE_SUM) return sqn::sum<T, T>(a, stream);
        auto run = sqn::extreme_kernel<T>;
        SQN_LAUNCH(run, sqn::grid_for(total, 1), sqn::threads_for(a->n), 0, stream, *a, total);
        return sqn_cuda_launched();
    });
}
