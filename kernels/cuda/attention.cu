/* Attention of any head size up to 256 and any float type: a warp a row, 32 keys at a time, softmax
 * as it goes; few queries over many keys: a warp a range of a row's keys, and another kernel for
 * the rows. What bf16 and f16 models use runs on tensor cores: attention_mma.cu,
 * attention_decode.cu.
 *
 * Backward has no atomics: one kernel gives a warp a query and makes dq, another gives a warp a key
 * and makes dk and dv; both make the probabilities again from lse.
 */
#include "kernels/cuda/attention.cuh"

namespace sqn {
constexpr int rows_a_block = 4; /* warps */
constexpr int64_t rows_a_tile = 16;
constexpr int widest = 8; /* values of a row a lane owns: dim <= 256 */

template <class A> __device__ __forceinline__ A warp_sum(A v) { return warp_reduce(v, plus{}); }

/* Lane l's dot product of two rows of `dim`. */
template <class T> __device__ __forceinline__ acc<T> dot(const T *x, const T *y, int64_t dim) {
    acc<T> sum = 0;
    for (int64_t d = 0; d < dim; d++) sum += load(x[d]) * load(y[d]);
    return sum;
}

/* own[i] += sum over the 32 lanes of factor * row(lane)[lane_of_this + 32 i]; lane j's row starts
 * at rows + `place` of that lane. Lanes from `count` on have none. */
template <class T>
__device__ __forceinline__ void add_rows(acc<T> *own, acc<T> factor, const T *rows, int64_t place,
                                         int64_t count, int64_t dim) {
    const int lane = (int)(threadIdx.x & 31u);
    for (int j = 0; j < (int)count; j++) {
        const acc<T> f = __shfl_sync(all_lanes, factor, j);
        const T *row = rows + __shfl_sync(all_lanes, place, j);
        for (int i = 0; i < widest; i++)
            if (lane + 32 * i < dim) own[i] += f * load(row[lane + 32 * i]);
    }
}

/* What a warp has read for a row: running maximum, sum of weights, weighted values (not yet
 * divided), of which the lane owns every 32nd. */
template <class A> struct row_state {
    A top = -INFINITY, sum = 0, out[widest] = {};
};

/* Reads keys [low, high) for row q. */
template <class T>
__device__ __forceinline__ void read_keys(const sqn_k_attention &a, const key_places &places,
                                          const T *q, int64_t kv, int64_t low, int64_t high,
                                          row_state<acc<T>> *r) {
    using A = acc<T>;
    const int lane = (int)(threadIdx.x & 31u);
    for (int64_t j0 = low; j0 < high; j0 += 32) {
        const int64_t j = j0 + lane, count = high - j0 < 32 ? high - j0 : 32;
        const int64_t at = j < high ? (places(j) * a.kv_heads + kv) * a.dim : 0;
        const A s = j < high ? dot(q, (const T *)a.k + at, a.dim) * (A)a.scale : (A)-INFINITY;
        const A now = larger{}(warp_reduce(s, larger{}), r->top);
        const A keep = r->top == (A)-INFINITY ? (A)0 : exp(r->top - now);
        const A p = s == (A)-INFINITY ? (A)0 : exp(s - now);
        r->sum = r->sum * keep + warp_sum(p);
        for (int d = 0; d < widest; d++) r->out[d] *= keep;
        add_rows(r->out, p, (const T *)a.v, at, count, a.dim);
        r->top = now;
    }
}

template <class T>
__device__ __forceinline__ void write_row(const sqn_k_attention &a, int64_t row,
                                          const row_state<acc<T>> &r) {
    using A = acc<T>;
    T *y = (T *)a.out + row * a.dim;
    const int lane = (int)(threadIdx.x & 31u);
    for (int d = 0; d < widest; d++)
        if (lane + 32 * d < a.dim)
            store(y + lane + 32 * d, r.sum > 0 || r.sum != r.sum ? r.out[d] / r.sum : (A)0);
}

template <class T> __global__ void attention_kernel(sqn_k_attention a) {
    using A = acc<T>;
    tile t;
    if (!find_tile(a, blockIdx.x, rows_a_tile, false, &t)) return;
    const int64_t head = blockIdx.y, kv = head / (a.heads / a.kv_heads);
    const key_places places = places_of(a, t);
    for (int64_t n = threadIdx.x >> 5; n < t.count; n += rows_a_block) {
        const int64_t i = t.first + n, row = (t.q_row + i) * a.heads + head;
        row_state<A> r;
        int64_t low, high;
        key_range(a, t, i, i + 1, &low, &high);
        read_keys(a, places, (const T *)a.q + row * a.dim, kv, low, high, &r);
        write_row<T>(a, row, r);
        if (a.lse && (threadIdx.x & 31u) == 0) ((A *)a.lse)[row] = r.top + log(r.sum);
    }
}

/* Few queries: a warp takes a range of a row's keys. Row r has `there` of them, [top, sum] in soft
 * and the rest in out; one that is empty has the top -inf. How the keys are divided depends on
 * their number alone. */
constexpr int most_ranges = 32;
template <class A> struct range_states {
    A *soft, *out;
    int64_t there;
};

template <class T>
__global__ void attention_ranges_kernel(sqn_k_attention a, range_states<acc<T>> to,
                                        previous before) {
    before.wait_then_let_next_start();
    tile t;
    const int64_t n = blockIdx.z * rows_a_block + (threadIdx.x >> 5);
    if (!find_tile(a, blockIdx.x, 1, false, &t) || n >= to.there) return;
    const int64_t head = blockIdx.y, kv = head / (a.heads / a.kv_heads),
                  row = (t.q_row + t.first) * a.heads + head, part = row * to.there + n;
    int64_t low, high;
    key_range(a, t, t.first, t.first + 1, &low, &high);
    const int64_t keys = high > low ? high - low : 0,
                  size = (keys + most_ranges * 32 - 1) / (most_ranges * 32) * 32;
    const int64_t end = low + (n + 1) * size < high ? low + (n + 1) * size : high;
    row_state<acc<T>> r;
    read_keys(a, places_of(a, t), (const T *)a.q + row * a.dim, kv, low + n * size, end, &r);
    const int lane = (int)(threadIdx.x & 31u);
    if (lane == 0) to.soft[2 * part] = r.top, to.soft[2 * part + 1] = r.sum;
    for (int d = 0; d < widest; d++)
        if (lane + 32 * d < a.dim) to.out[part * a.dim + lane + 32 * d] = r.out[d];
}

/* The ranges of a row in order; a warp a row. */
template <class T>
__global__ void attention_sum_kernel(sqn_k_attention a, range_states<acc<T>> from,
                                     previous before) {
    using A = acc<T>;
    before.wait_then_let_next_start();
    const int64_t row = (int64_t)blockIdx.x * rows_a_block + (threadIdx.x >> 5),
                  part = row * from.there;
    if (row >= a.queries * a.heads) return;
    const int lane = (int)(threadIdx.x & 31u);
    row_state<A> r;
    for (int64_t n = 0; n < from.there; n++) r.top = larger{}(from.soft[2 * (part + n)], r.top);
    for (int64_t n = 0; n < from.there; n++) {
        const A top = from.soft[2 * (part + n)];
        if (top == (A)-INFINITY) continue;
        const A f = exp(top - r.top);
        r.sum += from.soft[2 * (part + n) + 1] * f;
        for (int d = 0; d < widest; d++)
            if (lane + 32 * d < a.dim) r.out[d] += from.out[(part + n) * a.dim + lane + 32 * d] * f;
    }
    write_row<T>(a, row, r);
}

/* Without lse, for few queries of each segment. */
template <class T> sqn_status attention_in_ranges(const sqn_k_attention *a, void *stream) {
    using A = acc<T>;
    const int64_t bound = ceil_div(most_keys(a), 32), rows = a->queries * a->heads;
    range_states<A> parts = {};
    parts.there = bound < 1 ? 1 : bound < most_ranges ? bound : most_ranges;
    const size_t count = (size_t)(rows * parts.there);
    parts.soft = (A *)sqn_cuda_scratch(count * (size_t)(2 + a->dim) * sizeof(A), stream);
    if (parts.soft == nullptr) return SQN_NOMEM;
    parts.out = parts.soft + 2 * count;
    auto ranges = attention_ranges_kernel<T>;
    SQN_LAUNCH_DEPENDENT(ranges,
                         dim3((unsigned)a->queries, (unsigned)a->heads,
                              (unsigned)ceil_div(parts.there, rows_a_block)),
                         32 * rows_a_block, 0, stream, *a, parts);
    auto sum = attention_sum_kernel<T>;
    SQN_LAUNCH_DEPENDENT(sum, dim3((unsigned)ceil_div(rows, rows_a_block)), 32 * rows_a_block, 0,
                         stream, *a, parts);
    const sqn_status status = sqn_cuda_launched();
    sqn_cuda_scratch_release(parts.soft, stream);
    return status;
}

/* delta[row] = sum of dout * out. */
template <class T> __global__ void delta_kernel(sqn_k_attention_grad a, acc<T> *delta) {
    const int64_t rows = a.queries * a.heads, step = (int64_t)gridDim.x * (blockDim.x >> 5);
    const int lane = (int)(threadIdx.x & 31u);
    for (int64_t r = (int64_t)blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5); r < rows;
         r += step) {
        acc<T> sum = 0;
        for (int64_t d = lane; d < a.dim; d += 32)
            sum +=
                load(((const T *)a.dout)[r * a.dim + d]) * load(((const T *)a.out)[r * a.dim + d]);
        sum = warp_sum(sum);
        if (lane == 0) delta[r] = sum;
    }
}

template <class T>
__global__ void attention_dq_kernel(sqn_k_attention_grad a, const acc<T> *delta) {
    using A = acc<T>;
    tile t;
    if (!find_tile(a, blockIdx.x, rows_a_tile, false, &t)) return;
    const int lane = (int)(threadIdx.x & 31u);
    const int64_t head = blockIdx.y, kv = head / (a.heads / a.kv_heads),
                  stride = a.kv_heads * a.dim;
    for (int64_t r = threadIdx.x >> 5; r < t.count; r += rows_a_block) {
        const int64_t i = t.first + r, row = (t.q_row + i) * a.heads + head;
        const T *q = (const T *)a.q + row * a.dim, *dout = (const T *)a.dout + row * a.dim;
        const A lse = ((const A *)a.lse)[row];
        A dq[widest] = {};
        int64_t low, high;
        key_range(a, t, i, i + 1, &low, &high);
        for (int64_t j0 = low; j0 < high; j0 += 32) {
            const int64_t j = j0 + lane, count = high - j0 < 32 ? high - j0 : 32;
            const int64_t at = ((t.k_row + j0) * a.kv_heads + kv) * a.dim;
            const T *k = (const T *)a.k + at, *v = (const T *)a.v + at;
            A ds = 0;
            if (j < high) {
                const A p = exp(dot(q, k + lane * stride, a.dim) * (A)a.scale - lse);
                ds = p * (dot(dout, v + lane * stride, a.dim) - delta[row]) * (A)a.scale;
            }
            add_rows(dq, ds, k, lane * stride, count, a.dim);
        }
        for (int d = 0; d < widest; d++)
            if (lane + 32 * d < a.dim) store((T *)a.dq + row * a.dim + lane + 32 * d, dq[d]);
    }
}

template <class T>
__global__ void attention_dkv_kernel(sqn_k_attention_grad a, const acc<T> *delta) {
    using A = acc<T>;
    tile t;
    if (!find_tile(a, blockIdx.x, rows_a_tile, true, &t)) return;
    const int lane = (int)(threadIdx.x & 31u);
    const int64_t kv = blockIdx.y, group = a.heads / a.kv_heads, stride = a.heads * a.dim;
    for (int64_t r = threadIdx.x >> 5; r < t.count; r += rows_a_block) {
        const int64_t j = t.first + r, at = ((t.k_row + j) * a.kv_heads + kv) * a.dim;
        const T *k = (const T *)a.k + at, *v = (const T *)a.v + at;
        A dk[widest] = {}, dv[widest] = {};
        int64_t low, high;
        query_range(a, t, j, j + 1, &low, &high);
        for (int64_t head = kv * group; head < (kv + 1) * group; head++)
            for (int64_t i0 = low; i0 < high; i0 += 32) {
                const int64_t i = i0 + lane, count = high - i0 < 32 ? high - i0 : 32;
                const int64_t first = (t.q_row + i0) * a.heads + head, row = first + lane * a.heads;
                const T *q = (const T *)a.q + first * a.dim,
                        *dout = (const T *)a.dout + first * a.dim;
                A p = 0, ds = 0;
                if (i < high) {
                    p = exp(dot(q + lane * stride, k, a.dim) * (A)a.scale -
                            ((const A *)a.lse)[row]);
                    ds = p * (dot(dout + lane * stride, v, a.dim) - delta[row]) * (A)a.scale;
                }
                add_rows(dv, p, dout, lane * stride, count, a.dim);
                add_rows(dk, ds, q, lane * stride, count, a.dim);
            }
        for (int d = 0; d < widest; d++)
            if (lane + 32 * d < a.dim) {
                store((T *)a.dk + at + lane + 32 * d, dk[d]);
                store((T *)a.dv + at + lane + 32 * d, dv[d]);
            }
    }
}

template <class T> sqn_status attention_grad(const sqn_k_attention_grad *a, void *stream) {
    using A = acc<T>;
    A *delta = (A *)sqn_cuda_scratch((size_t)(a->queries * a->heads) * sizeof(A), stream);
    if (delta == nullptr) return SQN_NOMEM;
    auto sums = delta_kernel<T>;
    SQN_LAUNCH(sums, grid_for(a->queries * a->heads, 8), 256, 0, stream, *a, delta);
    sqn_status status = SQN_NOTFOUND;
    if constexpr (sizeof(T) == 2) {
        status = attention_wgmma_grad(a, delta, stream);
        if (status == SQN_NOTFOUND) status = attention_mma_grad(a, delta, stream);
    }
    if (status == SQN_NOTFOUND) {
        auto dq = attention_dq_kernel<T>;
        SQN_LAUNCH(dq, dim3(most_tiles(a->queries, rows_a_tile, a->segments), (unsigned)a->heads),
                   32 * rows_a_block, 0, stream, *a, delta);
        auto dkv = attention_dkv_kernel<T>;
        SQN_LAUNCH(dkv, dim3(most_tiles(a->keys, rows_a_tile, a->segments), (unsigned)a->kv_heads),
                   32 * rows_a_block, 0, stream, *a, delta);
        status = sqn_cuda_launched();
    }
    sqn_cuda_scratch_release(delta, stream);
    return status;
}
} // namespace sqn

extern "C" sqn_status sqn_cuda_attention(const sqn_k_attention *a, void *stream) {
    if (a->queries == 0) return SQN_OK;
    if (a->dim > 32 * sqn::widest) return SQN_MISUSE;
    sqn_status status = sqn::attention_decode(a, stream);
    if (status == SQN_NOTFOUND) status = sqn::attention_wgmma(a, stream);
    if (status == SQN_NOTFOUND) status = sqn::attention_mma(a, stream);
    if (status != SQN_NOTFOUND) return status;
    return sqn::by_float(a->dtype, [&](auto *type) {
        using T = std::remove_pointer_t<decltype(type)>;
        if (sqn::is_decoding(a)) return sqn::attention_in_ranges<T>(a, stream);
        auto run = sqn::attention_kernel<T>;
        SQN_LAUNCH(
            run,
            dim3(sqn::most_tiles(a->queries, sqn::rows_a_tile, a->segments), (unsigned)a->heads),
            32 * sqn::rows_a_block, 0, stream, *a);
        return sqn_cuda_launched();
    });
}

extern "C" sqn_status sqn_cuda_attention_grad(const sqn_k_attention_grad *a, void *stream) {
    if (a->queries == 0) return SQN_OK;
    if (a->dim > 32 * sqn::widest) return SQN_MISUSE;
    return sqn::by_float(a->dtype, [&](auto *type) {
        return sqn::attention_grad<std::remove_pointer_t<decltype(type)>>(a, stream);
    });
}
