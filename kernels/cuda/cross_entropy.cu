/* The head's loss for one chunk of labelled rows: one block a row, maximum and sum in one pass. */
#include "kernels/cuda/softmax.cuh"

namespace sqn {
constexpr int head_threads = 1024; /* at most; rows are few and long */

/* share is what every label has of the smoothed target, hit what the right one has besides. */
template <class T, bool WIDE>
__global__ void __launch_bounds__(head_threads)
    cross_entropy_kernel(sqn_k_cross_entropy a, acc<T> share, acc<T> hit) {
    using A = acc<T>;
    constexpr int E = per_pack<A>;
    SQN_SHARED(A, shared, 1);
    for (int64_t r = blockIdx.x; r < a.rows; r += gridDim.x) {
        const A *x = (const A *)a.logits + r * a.vocab;
        A total = 0;
        soft<A> all = soft_of<WIDE>(x, a.vocab, [&](int64_t, const pack<A, E> &p) {
            for (int j = 0; j < E && a.smoothing != 0; j++) total += p.v[j];
        });
        all = row_reduce(all, join{}, soft_empty<A>);
        if (a.smoothing != 0) total = row_reduce(total, plus{}, (A)0);
        const int64_t label = a.labels[r];
        if (threadIdx.x == 0) { /* one thread: f64 is slow on many cards */
            const double lse = (double)all.top + log((double)all.sum);
            a.losses[r] = (1.0 - a.smoothing) * (lse - (double)x[label]) +
                          a.smoothing * (lse - (double)total / (double)a.vocab) +
                          a.z_loss * lse * lse;
            *shared = (A)((1.0 + 2.0 * a.z_loss * lse) / (double)all.sum);
        }
        if (a.dlogits == nullptr) continue;
        __syncthreads(); /* x[label] is read before it is written over */
        const A factor = *shared;
        T *d = (T *)a.dlogits + r * a.vocab; /* may be x: a thread reads a pack, then writes it */
        each_of_row<A, 0>(a.vocab, [&](int, int64_t i) {
            const auto p = read_pack<WIDE>(x, i, a.vocab);
            pack<T, E> out;
            for (int j = 0; j < E; j++)
                store(&out.v[j],
                      exp(p.v[j] - all.top) * factor - share - (i + j == label ? hit : (A)0));
            write_pack<WIDE>(d, i, a.vocab, out);
        });
    }
}
} // namespace sqn

extern "C" sqn_status sqn_cuda_cross_entropy(const sqn_k_cross_entropy *a, void *stream) {
    if (a->rows == 0 || a->vocab == 0) return SQN_OK;
    return sqn::by_float(a->dtype, [&](auto *type) {
        using T = std::remove_pointer_t<decltype(type)>;
        const bool wide =
            a->vocab % sqn::per_pack<sqn::acc<T>> == 0 && sqn::all_aligned16(a->logits, a->dlogits);
        const auto run =
            wide ? sqn::cross_entropy_kernel<T, true> : sqn::cross_entropy_kernel<T, false>;
        SQN_LAUNCH(run, sqn::grid_for(a->rows, 1), sqn::threads_for(a->vocab), 0, stream, *a,
                   (sqn::acc<T>)(a->smoothing / (double)a->vocab),
                   (sqn::acc<T>)(1.0 - a->smoothing));
        return sqn_cuda_launched();
    });
}
