/* The head's loss for one chunk of labelled rows: one block a row, maximum and sum in one pass. */
#include "kernels/cuda/cuda.cuh"

namespace sqn {
/* max and sum of exp(x - max) so far. */
template <class A> struct soft { A top, sum; };
struct join {
    template <class A> __device__ soft<A> operator()(soft<A> a, soft<A> b) const {
        const A top = a.top > b.top ? a.top : b.top;
        if (top == (A)-INFINITY) return {top, a.sum + b.sum};
        return {top, a.sum * exp(a.top - top) + b.sum * exp(b.top - top)};
    }
};

template <class T> __global__ void cross_entropy_kernel(sqn_k_cross_entropy a) {
    using A = acc<T>;
    SQN_SHARED(soft<A>, part, 32);
    const int lane = (int)(threadIdx.x & 31u), wid = (int)(threadIdx.x >> 5);
    for (int64_t r = blockIdx.x; r < a.rows; r += gridDim.x) {
        const A *x = (const A *)a.logits + r * a.vocab;
        soft<A> all = {-INFINITY, 0};
        for (int64_t i = threadIdx.x; i < a.vocab; i += blockDim.x) {
            const A v = x[i];
            if (v <= all.top)
                all.sum += exp(v - all.top);
            else /* a larger one, or NaN, which stays in the sum */
                all = {v, all.top == (A)-INFINITY ? (A)1 : all.sum * exp(all.top - v) + 1};
        }
        for (int bits = 16; bits > 0; bits >>= 1)
            all = join{}(all, {__shfl_xor_sync(all_lanes, all.top, bits),
                               __shfl_xor_sync(all_lanes, all.sum, bits)});
        if (lane == 0) part[wid] = all;
        __syncthreads();
        all = part[0];
        for (int i = 1; i < (int)(blockDim.x >> 5); i++) all = join{}(all, part[i]);
        const int64_t label = a.labels[r];
        const double at_label = (double)x[label];
        double mean = 0;
        if (a.smoothing != 0) {
            for (int64_t i = threadIdx.x; i < a.vocab; i += blockDim.x) mean += (double)x[i];
            mean = block_reduce(mean, plus{}, 0.0) / (double)a.vocab;
        }
        __syncthreads(); /* the parts and x[label] are read before they are written over */
        const double lse = (double)all.top + log((double)all.sum);
        if (threadIdx.x == 0)
            a.losses[r] = (1.0 - a.smoothing) * (lse - at_label) + a.smoothing * (lse - mean) +
                          a.z_loss * lse * lse;
        if (a.dlogits == nullptr) continue;
        const A factor = (A)((1.0 + 2.0 * a.z_loss * lse) / (double)all.sum);
        const A share = (A)(a.smoothing / (double)a.vocab), hit = (A)(1.0 - a.smoothing);
        T *d =
            (T *)a.dlogits + r * a.vocab; /* may be x: a thread reads an element, then writes it */
        for (int64_t i = threadIdx.x; i < a.vocab; i += blockDim.x)
            store(d + i, exp(x[i] - all.top) * factor - share - (i == label ? hit : (A)0));
    }
}
} // namespace sqn

extern "C" sqn_status sqn_cuda_cross_entropy(const sqn_k_cross_entropy *a, void *stream) {
    if (a->rows == 0 || a->vocab == 0) return SQN_OK;
    return sqn::by_float(a->dtype, [&](auto *type) {
        auto run = sqn::cross_entropy_kernel<std::remove_pointer_t<decltype(type)>>;
        SQN_LAUNCH(run, sqn::grid_for(a->rows, 1), sqn::threads_for(a->vocab), 0, stream, *a);
        return sqn_cuda_launched();
    });
}
