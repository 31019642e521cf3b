/* Sums, means and extremes over one dimension. The order of a sum depends on the sizes only. */
#include "kernels/cuda/cuda.cuh"

namespace sqn {
constexpr int64_t rows_a_part = 64;   /* of a sum down columns, at least */
constexpr int64_t run_a_part = 65536; /* of a sum along a row */

/* Where sums go: parts of them, or what was asked for. */
template <class T> struct sums {
    using A = acc<T>;
    A *parts; /* null: this is the whole sum */
    void *y;
    A scale;
    int wide, add;
    __device__ __forceinline__ void put(int64_t i, A sum) const {
        if (parts)
            parts[i] = sum;
        else if (wide)
            ((A *)y)[i] = sum * scale + (add ? ((const A *)y)[i] : (A)0);
        else
            store((T *)y + i, sum * scale + (add ? load(((const T *)y)[i]) : (A)0));
    }
};

/* Piece p of row o. */
template <class T> __global__ void sum_rows(const T *x, sums<T> to, int64_t n, int64_t pieces) {
    using A = acc<T>;
    const int64_t o = blockIdx.y, p = blockIdx.x;
    const T *row = x + o * n;
    const int64_t end = (p + 1) * run_a_part < n ? (p + 1) * run_a_part : n;
    A sum = 0;
    for (int64_t i = p * run_a_part + threadIdx.x; i < end; i += blockDim.x) sum += load(row[i]);
    sum = block_reduce(sum, plus{}, (A)0);
    if (threadIdx.x == 0) to.put(o * pieces + p, sum);
}

/* Rows p * per … of column c. */
template <class T>
__global__ void sum_columns(const T *x, sums<T> to, int64_t n, int64_t inner, int64_t pieces,
                            int64_t per) {
    using A = acc<T>;
    const int64_t c = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, p = blockIdx.y,
                  o = blockIdx.z;
    if (c >= inner) return;
    const int64_t end = (p + 1) * per < n ? (p + 1) * per : n;
    A sum = 0;
    for (int64_t r = p * per; r < end; r++) sum += load(x[(o * n + r) * inner + c]);
    to.put((o * pieces + p) * inner + c, sum);
}

template <class T>
__global__ void sum_parts(const acc<T> *parts, sums<T> to, int64_t total, int64_t inner,
                          int64_t pieces) {
    using A = acc<T>;
    const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= total) return;
    const A *from = parts + i / inner * pieces * inner + i % inner;
    A sum = 0;
    for (int64_t p = 0; p < pieces; p++) sum += from[p * inner];
    to.put(i, sum);
}

/* The sums of `outer` matrices from x on, of `pieces` parts each. */
template <class T>
void sum_pieces(const sqn_k_reduce *a, const T *x, sums<T> to, int64_t outer, int64_t pieces,
                int64_t per, void *stream) {
    if (a->inner == 1) {
        auto run = sum_rows<T>;
        SQN_LAUNCH(run, dim3((unsigned)pieces, (unsigned)outer), threads_for(a->n), 0, stream, x,
                   to, a->n, pieces);
    } else {
        auto run = sum_columns<T>;
        SQN_LAUNCH(run, dim3((unsigned)ceil_div(a->inner, 128), (unsigned)pieces, (unsigned)outer),
                   128, 0, stream, x, to, a->n, a->inner, pieces, per);
    }
}

template <class T> sqn_status sum(const sqn_k_reduce *a, void *stream) {
    using A = acc<T>;
    const int64_t most = 32768; /* a grid's y and z end at 65535 */
    int64_t per = a->inner == 1 ? run_a_part : rows_a_part;
    if (a->inner != 1 && ceil_div(a->n, per) > most) per = ceil_div(a->n, most);
    const int64_t pieces = a->n > per ? ceil_div(a->n, per) : 1, total = a->outer * a->inner;
    const sums<T> whole = {nullptr, a->y, (A)a->scale, a->wide, a->add};
    A *parts = nullptr;
    if (pieces > 1) {
        parts = (A *)sqn_cuda_scratch((size_t)(total * pieces) * sizeof(A), stream);
        if (parts == nullptr) return SQN_NOMEM;
    }
    for (int64_t o = 0; o < a->outer; o += most) {
        const int64_t now = a->outer - o < most ? a->outer - o : most;
        sums<T> to = whole;
        if (parts)
            to.parts = parts + o * pieces * a->inner;
        else
            to.y = (char *)a->y + (size_t)(o * a->inner) * (a->wide ? sizeof(A) : sizeof(T));
        sum_pieces(a, (const T *)a->x + o * a->n * a->inner, to, now, pieces, per, stream);
    }
    if (parts == nullptr) return sqn_cuda_launched();
    auto run = sum_parts<T>;
    SQN_LAUNCH(run, (unsigned)ceil_div(total, 256), 256, 0, stream, parts, whole, total, a->inner,
               pieces);
    sqn_cuda_scratch_release(parts, stream);
    return sqn_cuda_launched();
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
        if (a->op == SQN_REDUCE_SUM) return sqn::sum<T>(a, stream);
        auto run = sqn::extreme_kernel<T>;
        SQN_LAUNCH(run, sqn::grid_for(total, 1), sqn::threads_for(a->n), 0, stream, *a, total);
        return sqn_cuda_launched();
    });
}
