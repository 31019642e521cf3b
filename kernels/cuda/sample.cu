/* topk and sampling, one block a row. Nothing is sorted: a cut is found by bisection over the keys
 * that order the row (value, then smaller id first), so its cost does not hang on k; before that
 * one pass over the row puts aside what is so far below the largest value that it cannot stay. */
#include "kernels/cuda/cuda.cuh"
#include "kernels/cuda/philox.cuh"

namespace sqn {
/* Rises with the float; NaN below everything. */
__device__ __forceinline__ uint32_t order_of(float v) {
    if (v != v) return 0;
    uint32_t u = float_bits(v);
    return u & 0x80000000u ? ~u : u | 0x80000000u;
}
__device__ __forceinline__ uint64_t key_of(float v, int64_t id) {
    return (uint64_t)order_of(v) << 32 | (uint32_t) ~(uint32_t)id;
}

/* ---- topk ---- */

template <class A> struct entry {
    A value;
    int64_t id; /* -1: none */
};
/* The larger one comes first, of equals the smaller id; NaN is larger than all numbers. */
template <class A> __device__ bool comes_before(entry<A> a, entry<A> b) {
    const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
    if (a_nan != b_nan) return a_nan;
    if (!a_nan && a.value != b.value) return a.value > b.value;
    return a.id < b.id;
}
template <class A> __device__ entry<A> front(entry<A> a, entry<A> b) {
    if (a.id < 0) return b;
    return b.id < 0 || comes_before(a, b) ? a : b;
}

template <class T> __global__ void __launch_bounds__(most_threads) topk_kernel(sqn_k_topk a) {
    using A = acc<T>;
    SQN_SHARED(entry<A>, part, 33);
    const int lane = (int)(threadIdx.x & 31u), wid = (int)(threadIdx.x >> 5);
    for (int64_t r = blockIdx.x; r < a.rows; r += gridDim.x) {
        const T *x = (const T *)a.x + r * a.n;
        entry<A> last = {0, -1};
        for (int64_t k = 0; k < a.k; k++) { /* the front of all that come behind the last one */
            entry<A> mine = {0, -1};
            for (int64_t i = threadIdx.x; i < a.n; i += blockDim.x) {
                const entry<A> e = {load(x[i]), i};
                if (last.id < 0 || comes_before(last, e)) mine = front(mine, e);
            }
            for (int bits = 16; bits > 0; bits >>= 1)
                mine = front(mine, {__shfl_xor_sync(all_lanes, mine.value, bits),
                                    __shfl_xor_sync(all_lanes, mine.id, bits)});
            if (lane == 0) part[wid] = mine;
            __syncthreads();
            if (threadIdx.x == 0) {
                for (int w = 1; w < (int)(blockDim.x >> 5); w++) mine = front(mine, part[w]);
                part[32] = mine;
                store((T *)a.values + r * a.k + k, mine.value);
                a.indexes[r * a.k + k] = mine.id;
            }
            __syncthreads();
            last = part[32];
        }
    }
}

template <class T>
__global__ void __launch_bounds__(most_threads) topk_grad_kernel(sqn_k_topk_grad a) {
    for (int64_t r = blockIdx.x; r < a.rows; r += gridDim.x) {
        T *dx = (T *)a.dx + r * a.n;
        for (int64_t i = threadIdx.x; i < a.n; i += blockDim.x) store(dx + i, 0);
        __syncthreads();
        for (int64_t k = threadIdx.x; k < a.k; k += blockDim.x)
            dx[a.indexes[r * a.k + k]] = ((const T *)a.dvalues)[r * a.k + k];
    }
}

/* ---- sampling ---- */

/* The row in f32, with the penalty on every id of the context once. */
template <class T>
__device__ void prepare(const sqn_k_sample &a, int64_t r, float *logit, unsigned *marked) {
    const T *x = (const T *)a.logits + r * a.n;
    for (int64_t i = threadIdx.x; i < a.n; i += blockDim.x) logit[i] = (float)load(x[i]);
    for (int64_t i = threadIdx.x; i < (a.n + 31) / 32; i += blockDim.x) marked[i] = 0;
    __syncthreads();
    if (a.seen == nullptr || a.repetition_penalty == 1.0) return;
    const float penalty = (float)a.repetition_penalty;
    for (int64_t i = a.seen_start[r] + threadIdx.x; i < a.seen_start[r + 1]; i += blockDim.x) {
        const int64_t id = a.seen[i];
        if (id < 0) continue;
        const unsigned bit = 1u << (id & 31);
        if (atomicOr(&marked[id >> 5], bit) & bit) continue; /* another thread does it */
        logit[id] = logit[id] < 0 ? logit[id] * penalty : logit[id] / penalty;
    }
    __syncthreads();
}

template <class T> __device__ entry<float> largest(const T *x, int64_t n) {
    SQN_SHARED(entry<float>, part, 32);
    entry<float> mine = {0, -1};
#pragma unroll 8
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
        const float v = (float)load(x[i]);
        if (mine.id < 0 || v > mine.value) mine = {v, i};
    }
    for (int bits = 16; bits > 0; bits >>= 1)
        mine = front(mine, {__shfl_xor_sync(all_lanes, mine.value, bits),
                            __shfl_xor_sync(all_lanes, mine.id, bits)});
    if ((threadIdx.x & 31u) == 0)
        part[threadIdx.x >> 5] = mine; /* prepare's barriers part the rows */
    __syncthreads();
    mine = part[0];
    for (int w = 1; w < (int)(blockDim.x >> 5); w++) mine = front(mine, part[w]);
    return mine;
}

/* What is left of a row: values by rising id. */
struct row_part {
    float *value;
    int *id; /* null: the row itself */
    int64_t n;
    __device__ __forceinline__ int64_t id_of(int64_t i) const { return id ? (int64_t)id[i] : i; }
};

/* ---- what neither top_k nor top_p can leave is put aside first ---- */

constexpr int cuts = 8;
__device__ __forceinline__ float cut_below(float top, int i) { /* in steps from 1 to 24 */
    return top - (i < 2    ? 1.0f + (float)i
                  : i < 5  ? 2.0f * (float)i
                  : i == 5 ? 12.0f
                           : 8.0f * (float)(i - 4));
}

/* The highest of some cuts below the largest value above which all that may stay lies, -INFINITY if
 * none does; *rest: what lies below it of sum exp(x - top), 0 with top_k. */
__device__ float find_cut(const float *x, int64_t n, float top, int64_t top_k, double top_p,
                          double *rest) {
    double below[cuts] = {}, sum = 0;
    int64_t above[cuts] = {};
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
        const float v = x[i];
        const double e = top_k > 0 ? 0.0 : (double)expf(v - top);
        sum += e;
#pragma unroll
        for (int c = 0; c < cuts; c++)
            if (v >= cut_below(top, c))
                above[c]++;
            else
                below[c] += e;
    }
    sum = block_reduce(sum, plus{}, 0.0);
    *rest = 0;
    for (int c = 0; c < cuts; c++) {
        if (top_k > 0) {
            if (block_reduce(above[c], plus{}, (int64_t)0) >= top_k) return cut_below(top, c);
        } else {
            const double under = block_reduce(below[c], plus{}, 0.0);
            *rest = under;
            if (under <= (1.0 - top_p) * sum) return cut_below(top, c);
        }
    }
    *rest = 0;
    return -INFINITY;
}

/* The values from `cut` on, in order. */
__device__ row_part above_cut(const float *x, int64_t n, float cut, float *value, int *id) {
    SQN_SHARED(int, count, 33);
    const int lane = (int)(threadIdx.x & 31u), wid = (int)(threadIdx.x >> 5);
    int64_t before = 0;
    for (int64_t i0 = 0; i0 < n; i0 += blockDim.x) {
        const int64_t i = i0 + threadIdx.x;
        const unsigned stays = __ballot_sync(all_lanes, i < n && x[i] >= cut);
        if (lane == 0) count[wid] = __popc(stays);
        __syncthreads();
        int64_t at = before + __popc(stays & ((1u << lane) - 1));
        for (int w = 0; w < (int)(blockDim.x >> 5); w++) {
            if (w < wid) at += count[w];
            before += count[w];
        }
        if (stays >> lane & 1u) value[at] = x[i], id[at] = (int)i;
        __syncthreads(); /* before the next piece's counts */
    }
    return {value, id, before};
}

/* ---- what stays ---- */

/* The k-th largest value's order: ties with it stay. */
__device__ uint32_t kth_order(const row_part &x, int64_t k) {
    uint32_t low = 0;
    for (int bit = 31; bit >= 0; bit--) { /* the greatest order that k values reach */
        const uint32_t middle = low | 1u << bit;
        int64_t count = 0;
        for (int64_t i = threadIdx.x; i < x.n; i += blockDim.x)
            count += order_of(x.value[i]) >= middle;
        if (block_reduce(count, plus{}, (int64_t)0) >= k) low = middle;
    }
    return low;
}

/* The least key that stays: from below, entries leave while their probabilities together are at
 * most 1 - top_p; `rest` of them have left. The sums are f64 in a fixed order. */
__device__ uint64_t least_key(const row_part &x, uint32_t from, float top, double top_p,
                              double rest) {
    double sum = 0;
    for (int64_t i = threadIdx.x; i < x.n; i += blockDim.x)
        if (order_of(x.value[i]) >= from) sum += exp((double)x.value[i] - top);
    sum = block_reduce(sum, plus{}, 0.0) + rest;
    uint64_t low = 0; /* the greatest key up to which (itself apart) all may leave */
    for (int bit = 63; bit >= 0; bit--) {
        const uint64_t middle = low | (uint64_t)1 << bit;
        double below = 0;
        for (int64_t i = threadIdx.x; i < x.n; i += blockDim.x)
            if (order_of(x.value[i]) >= from && key_of(x.value[i], x.id_of(i)) < middle)
                below += exp((double)x.value[i] - top);
        if ((block_reduce(below, plus{}, 0.0) + rest) / sum <= 1.0 - top_p) low = middle;
    }
    return low;
}

/* Softmax in place; gives the place whose cumulated probability is the first to pass `unit`, or -1.
 * Thread t owns a run of places. */
__device__ int64_t draw(const row_part &x, float top, double unit) {
    SQN_SHARED(double, run, 1025);
    SQN_SHARED(long long, chosen, 1);
    float *logit = x.value;
    const int64_t per = (x.n + blockDim.x - 1) / blockDim.x, first = threadIdx.x * per;
    const int64_t end = first + per < x.n ? first + per : x.n;
    double mine = 0;
    for (int64_t i = first; i < end; i++) mine += logit[i] = exp(logit[i] - top);
    run[threadIdx.x + 1] = mine;
    if (threadIdx.x == 0) *chosen = x.n, run[0] = 0;
    __syncthreads();
    if (threadIdx.x == 0)
        for (unsigned t = 1; t <= blockDim.x; t++) run[t] += run[t - 1];
    __syncthreads();
    const double sum = run[blockDim.x];
    double cumulated = run[threadIdx.x];
    int64_t found = x.n;
    for (int64_t i = first; i < end; i++) {
        cumulated += logit[i];
        logit[i] = (float)(logit[i] / sum);
        if (found == x.n && logit[i] > 0 && cumulated > unit * sum) found = i;
    }
    if (found < x.n) atomicMin(chosen, (long long)found); /* a minimum does not hang on the order */
    __syncthreads();
    return *chosen < x.n ? (int64_t)*chosen : -1;
}

/* The id of one row; what stays of `x` (the whole row) ends as probabilities in the part returned.
 */
__device__ int64_t choose(const sqn_k_sample &a, int64_t r, row_part *x, float *value, int *id) {
    for (int64_t i = threadIdx.x; i < a.n; i += blockDim.x)
        x->value[i] /= (float)a.temperature; /* a thread's own ids */
    const entry<float> top = largest(x->value, a.n);
    const bool by_count = a.top_k > 0 && a.top_k < a.n;
    double rest = 0;
    if (by_count || a.top_p < 1.0) {
        const float cut =
            find_cut(x->value, a.n, top.value, by_count ? a.top_k : 0, a.top_p, &rest);
        if (cut > -INFINITY) *x = above_cut(x->value, a.n, cut, value, id);
    }
    const uint32_t from = by_count ? kth_order(*x, a.top_k) : 0;
    uint64_t least = a.top_p < 1.0 ? least_key(*x, from, top.value, a.top_p, rest) : 0;
    if (least > key_of(top.value, top.id)) least = key_of(top.value, top.id);
    for (int64_t i = threadIdx.x; i < x->n; i += blockDim.x)
        if (order_of(x->value[i]) < from || key_of(x->value[i], x->id_of(i)) < least)
            x->value[i] = -INFINITY;
    __syncthreads();
    const uint64_t stream = a.streams ? (uint64_t)a.streams[r] : (uint64_t)r;
    const sqn_philox p = sqn_philox_at(a.seed, stream, a.offsets ? (uint64_t)a.offsets[r] : 0);
    const int64_t at = draw(*x, top.value, ((double)p.v[0] + 0.5) * 0x1p-32);
    return at >= 0 ? x->id_of(at) : top.id;
}

/* Scratch of a block: the row, and what stays of it. */
struct sample_room {
    float *row, *value;
    int *id;
    unsigned *marked;
};

template <class T>
__global__ void __launch_bounds__(most_threads)
    sample_kernel(sqn_k_sample a, sample_room room, previous before) {
    before.wait_then_let_next_start();
    float *logit = room.row + blockIdx.x * a.n, *value = room.value + blockIdx.x * a.n;
    int *id = room.id + blockIdx.x * a.n;
    unsigned *marked = room.marked + blockIdx.x * ((a.n + 31) / 32);
    for (int64_t r = blockIdx.x; r < a.rows; r += gridDim.x) {
        prepare<T>(a, r, logit, marked);
        row_part left = {logit, nullptr, a.n};
        const int64_t chosen =
            a.temperature == 0 ? largest(logit, a.n).id : choose(a, r, &left, value, id);
        if (a.ids && threadIdx.x == 0) a.ids[r] = chosen;
        if (a.probabilities == nullptr) continue;
        float *p = a.probabilities + r * a.n;
        const bool whole = left.id == nullptr && a.temperature != 0;
        for (int64_t i = threadIdx.x; i < a.n; i += blockDim.x)
            p[i] = whole ? logit[i] : a.temperature == 0 && i == chosen ? 1.0f : 0.0f;
        __syncthreads();
        for (int64_t i = threadIdx.x; left.id != nullptr && i < left.n; i += blockDim.x)
            p[left.id[i]] = left.value[i];
    }
}

/* The likeliest id of rows that nothing changes, straight from the logits. */
template <class T>
__global__ void __launch_bounds__(most_threads) greedy_kernel(sqn_k_sample a, previous before) {
    before.wait_then_let_next_start();
    for (int64_t r = blockIdx.x; r < a.rows; r += gridDim.x) {
        const entry<float> top = largest((const T *)a.logits + r * a.n, a.n);
        if (threadIdx.x == 0) a.ids[r] = top.id;
        __syncthreads(); /* before the next row's parts */
    }
}

template <class T> sqn_status greedy(const sqn_k_sample *a, void *stream) {
    auto run = greedy_kernel<T>;
    SQN_LAUNCH_DEPENDENT(run, grid_for(a->rows, 1), threads_for(a->n), 0, stream, *a);
    return sqn_cuda_launched();
}

template <class T> sqn_status sample(const sqn_k_sample *a, void *stream) {
    const int64_t blocks = grid_for(a->rows, 1), marks = (a->n + 31) / 32;
    const size_t each = (size_t)(blocks * a->n) * 4;
    char *scratch = (char *)sqn_cuda_scratch(3 * each + (size_t)(blocks * marks) * 4, stream);
    if (scratch == nullptr) return SQN_NOMEM;
    const sample_room room = {(float *)scratch, (float *)(scratch + each),
                              (int *)(scratch + 2 * each), (unsigned *)(scratch + 3 * each)};
    auto run = sample_kernel<T>;
    SQN_LAUNCH_DEPENDENT(run, (unsigned)blocks, threads_for(a->n), 0, stream, *a, room);
    sqn_cuda_scratch_release(scratch, stream);
    return sqn_cuda_launched();
}
} // namespace sqn

extern "C" sqn_status sqn_cuda_topk(const sqn_k_topk *a, void *stream) {
    if (a->rows == 0 || a->k == 0) return SQN_OK;
    return sqn::by_float(a->dtype, [&](auto *type) {
        auto run = sqn::topk_kernel<std::remove_pointer_t<decltype(type)>>;
        SQN_LAUNCH(run, sqn::grid_for(a->rows, 1), sqn::threads_for(a->n), 0, stream, *a);
        return sqn_cuda_launched();
    });
}

extern "C" sqn_status sqn_cuda_topk_grad(const sqn_k_topk_grad *a, void *stream) {
    if (a->rows == 0 || a->n == 0) return SQN_OK;
    return sqn::by_float(a->dtype, [&](auto *type) {
        auto run = sqn::topk_grad_kernel<std::remove_pointer_t<decltype(type)>>;
        SQN_LAUNCH(run, sqn::grid_for(a->rows, 1), sqn::threads_for(a->n), 0, stream, *a);
        return sqn_cuda_launched();
    });
}

extern "C" sqn_status sqn_cuda_sample(const sqn_k_sample *a, void *stream) {
    if (a->rows == 0 || a->n == 0) return SQN_OK;
    const bool plain = a->temperature == 0 && a->probabilities == nullptr &&
                       (a->seen == nullptr || a->repetition_penalty == 1.0);
    return sqn::by_float(a->dtype, [&](auto *type) {
        using T = std::remove_pointer_t<decltype(type)>;
        return plain ? sqn::greedy<T>(a, stream) : sqn::sample<T>(a, stream);
    });
}
