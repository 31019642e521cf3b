/* topk and sampling, one block a row. Nothing is sorted: a cut is found by bisection over the keys
 * that order the row (value, then smaller id first), so its cost does not hang on k. */
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
/* The larger, of equals the smaller id. */
template <class A> __device__ entry<A> front(entry<A> a, entry<A> b) {
    if (a.id < 0) return b;
    if (b.id < 0) return a;
    if (a.value != b.value) return a.value > b.value ? a : b;
    return a.id < b.id ? a : b;
}

template <class T> __global__ void topk_kernel(sqn_k_topk a) {
    using A = acc<T>;
    SQN_SHARED(entry<A>, part, 33);
    const int lane = (int)(threadIdx.x & 31u), wid = (int)(threadIdx.x >> 5);
    for (int64_t r = blockIdx.x; r < a.rows; r += gridDim.x) {
        const T *x = (const T *)a.x + r * a.n;
        entry<A> last = {0, -1};
        for (int64_t k = 0; k < a.k; k++) { /* the front of all that come behind the last one */
            entry<A> mine = {0, -1};
            for (int64_t i = threadIdx.x; i < a.n; i += blockDim.x) {
                entry<A> e = {load(x[i]), i};
                bool behind =
                    last.id < 0 || e.value < last.value || (e.value == last.value && i > last.id);
                if (behind) mine = front(mine, e);
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

template <class T> __global__ void topk_grad_kernel(sqn_k_topk_grad a) {
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

__device__ entry<float> largest(const float *x, int64_t n) {
    SQN_SHARED(entry<float>, part, 32);
    entry<float> mine = {0, -1};
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x)
        if (mine.id < 0 || x[i] > mine.value) mine = {x[i], i};
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

/* The k-th largest value's order: ties with it stay. */
__device__ uint32_t kth_order(const float *x, int64_t n, int64_t k) {
    uint32_t low = 0;
    for (int bit = 31; bit >= 0; bit--) { /* the greatest order that k values reach */
        const uint32_t middle = low | 1u << bit;
        int64_t count = 0;
        for (int64_t i = threadIdx.x; i < n; i += blockDim.x) count += order_of(x[i]) >= middle;
        if (block_reduce(count, plus{}, (int64_t)0) >= k) low = middle;
    }
    return low;
}

/* The least key that stays: from below, entries leave while their probabilities together are at
 * most 1 - top_p. The sums are f64 in a fixed order. */
__device__ uint64_t least_key(const float *x, int64_t n, uint32_t from, float top, double top_p) {
    double sum = 0;
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x)
        if (order_of(x[i]) >= from) sum += exp((double)x[i] - top);
    sum = block_reduce(sum, plus{}, 0.0);
    uint64_t low = 0; /* the greatest key up to which (itself apart) all may leave */
    for (int bit = 63; bit >= 0; bit--) {
        const uint64_t middle = low | (uint64_t)1 << bit;
        double below = 0;
        for (int64_t i = threadIdx.x; i < n; i += blockDim.x)
            if (order_of(x[i]) >= from && key_of(x[i], i) < middle)
                below += exp((double)x[i] - top);
        if (block_reduce(below, plus{}, 0.0) / sum <= 1.0 - top_p) low = middle;
    }
    return low;
}

/* Softmax in place; gives the first id whose cumulated probability passes `unit`. Thread t owns a
 * run of ids. */
__device__ int64_t draw(float *logit, int64_t n, entry<float> top, double unit) {
    SQN_SHARED(double, run, 1025);
    SQN_SHARED(long long, chosen, 1);
    const int64_t per = (n + blockDim.x - 1) / blockDim.x, first = threadIdx.x * per;
    const int64_t end = first + per < n ? first + per : n;
    double mine = 0;
    for (int64_t i = first; i < end; i++) mine += logit[i] = exp(logit[i] - top.value);
    run[threadIdx.x + 1] = mine;
    if (threadIdx.x == 0) *chosen = n, run[0] = 0;
    __syncthreads();
    if (threadIdx.x == 0)
        for (unsigned t = 1; t <= blockDim.x; t++) run[t] += run[t - 1];
    __syncthreads();
    const double sum = run[blockDim.x];
    double cumulated = run[threadIdx.x];
    int64_t found = n;
    for (int64_t i = first; i < end; i++) {
        cumulated += logit[i];
        logit[i] = (float)(logit[i] / sum);
        if (found == n && logit[i] > 0 && cumulated > unit * sum) found = i;
    }
    if (found < n) atomicMin(chosen, (long long)found); /* a minimum does not hang on the order */
    __syncthreads();
    return *chosen < n ? (int64_t)*chosen : top.id;
}

template <class T>
__global__ void sample_kernel(sqn_k_sample a, float *rows, unsigned *marks, previous before) {
    before.wait_then_let_next_start();
    float *logit = rows + blockIdx.x * a.n;
    unsigned *marked = marks + blockIdx.x * ((a.n + 31) / 32);
    for (int64_t r = blockIdx.x; r < a.rows; r += gridDim.x) {
        prepare<T>(a, r, logit, marked);
        int64_t id;
        if (a.temperature == 0) {
            id = largest(logit, a.n).id;
            for (int64_t i = threadIdx.x; i < a.n; i += blockDim.x) logit[i] = i == id;
        } else {
            for (int64_t i = threadIdx.x; i < a.n; i += blockDim.x)
                logit[i] /= (float)a.temperature; /* a thread's own ids, up to draw */
            const entry<float> top = largest(logit, a.n);
            const uint32_t from = a.top_k > 0 && a.top_k < a.n ? kth_order(logit, a.n, a.top_k) : 0;
            uint64_t least = a.top_p < 1.0 ? least_key(logit, a.n, from, top.value, a.top_p) : 0;
            if (least > key_of(top.value, top.id)) least = key_of(top.value, top.id);
            for (int64_t i = threadIdx.x; i < a.n; i += blockDim.x)
                if (order_of(logit[i]) < from || key_of(logit[i], i) < least) logit[i] = -INFINITY;
            __syncthreads();
            const uint64_t stream = a.streams ? (uint64_t)a.streams[r] : (uint64_t)r;
            const sqn_philox p =
                sqn_philox_at(a.seed, stream, a.offsets ? (uint64_t)a.offsets[r] : 0);
            id = draw(logit, a.n, top, ((double)p.v[0] + 0.5) * 0x1p-32);
        }
        if (a.ids && threadIdx.x == 0) a.ids[r] = id;
        for (int64_t i = threadIdx.x; a.probabilities && i < a.n; i += blockDim.x)
            a.probabilities[r * a.n + i] = logit[i];
    }
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
    const int64_t blocks = sqn::grid_for(a->rows, 1), marks = (a->n + 31) / 32;
    const size_t floats = (size_t)(blocks * a->n) * sizeof(float);
    char *scratch = (char *)sqn_cuda_scratch(floats + (size_t)(blocks * marks) * 4, stream);
    if (scratch == nullptr) return SQN_NOMEM;
    sqn_status status = sqn::by_float(a->dtype, [&](auto *type) {
        auto run = sqn::sample_kernel<std::remove_pointer_t<decltype(type)>>;
        SQN_LAUNCH_DEPENDENT(run, (unsigned)blocks, sqn::threads_for(a->n), 0, stream, *a,
                             (float *)scratch, (unsigned *)(scratch + floats));
        return sqn_cuda_launched();
    });
    sqn_cuda_scratch_release(scratch, stream);
    return status;
}
