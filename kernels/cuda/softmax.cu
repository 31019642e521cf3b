/* Softmax, its logarithm, and their gradients. A row's length alone decides whether it is held in
 * registers or read twice. */
#include "kernels/cuda/softmax.cuh"

namespace sqn {
template <class T, int P, bool WIDE>
__device__ __forceinline__ void softmax_write(const row<T, P, WIDE> &x, T *y, int64_t n, int log_of,
                                              soft<acc<T>> of) {
    using A = acc<T>;
    const A factor = (A)1 / of.sum, shift = of.top + log(of.sum);
    each_of_row<T, P>(n, [&](int k, int64_t i) {
        auto p = x.at(k, i);
        for (int j = 0; j < per_pack<T>; j++) {
            const A v = load(p.v[j]);
            store(&p.v[j], log_of ? v - shift : exp(v - of.top) * factor);
        }
        write_pack<WIDE>(y, i, n, p);
    });
}

template <class T, int P, bool WIDE>
__global__ void __launch_bounds__(row_threads) softmax_kernel(sqn_k_softmax a) {
    using A = acc<T>;
    constexpr int E = per_pack<T>;
    for (int64_t r = row_first(); r < a.rows; r += row_step()) {
        const row<T, P, WIDE> x((const T *)a.x + r * a.n, a.n);
        soft<A> of = soft_empty<A>;
        each_of_row<T, P>(a.n, [&](int k, int64_t i) {
            const auto p = x.at(k, i);
            for (int j = 0; j < E; j++)
                if (WIDE || i + j < a.n) of.top = larger{}(load(p.v[j]), of.top);
        });
        of.top = row_reduce(of.top, larger{}, (A)-INFINITY);
        each_of_row<T, P>(a.n, [&](int k, int64_t i) {
            const auto p = x.at(k, i);
            for (int j = 0; j < E; j++)
                if (WIDE || i + j < a.n) of.sum += exp(load(p.v[j]) - of.top);
        });
        of.sum = row_reduce(of.sum, plus{}, (A)0);
        softmax_write(x, (T *)a.y + r * a.n, a.n, a.log, of);
    }
}

/* Rows that are too long to be held. */
template <class T, bool WIDE>
__global__ void __launch_bounds__(row_threads) softmax_long_kernel(sqn_k_softmax a) {
    for (int64_t r = row_first(); r < a.rows; r += row_step()) {
        const row<T, 0, WIDE> x((const T *)a.x + r * a.n, a.n);
        const auto of = row_reduce(soft_of<WIDE>((const T *)a.x + r * a.n, a.n,
                                                 [](int64_t, const pack<T, per_pack<T>> &) {}),
                                   join{}, soft_empty<acc<T>>);
        softmax_write(x, (T *)a.y + r * a.n, a.n, a.log, of);
    }
}

/* log: dx = dy - exp(y) sum(dy); else dx = y (dy - sum(y dy)). */
template <class T, int P, bool WIDE>
__global__ void __launch_bounds__(row_threads) softmax_grad_kernel(sqn_k_softmax_grad a) {
    using A = acc<T>;
    constexpr int E = per_pack<T>;
    for (int64_t r = row_first(); r < a.rows; r += row_step()) {
        const row<T, P, WIDE> y((const T *)a.y + r * a.n, a.n), dy((const T *)a.dy + r * a.n, a.n);
        T *dx = (T *)a.dx + r * a.n;
        A sum = 0;
        /* What is behind the row's end is 0. */
        each_of_row<T, P>(a.n, [&](int k, int64_t i) {
            const auto p = y.at(k, i), d = dy.at(k, i);
            for (int j = 0; j < E; j++) sum += a.log ? load(d.v[j]) : load(p.v[j]) * load(d.v[j]);
        });
        sum = row_reduce(sum, plus{}, (A)0);
        each_of_row<T, P>(a.n, [&](int k, int64_t i) {
            auto p = y.at(k, i);
            const auto d = dy.at(k, i);
            for (int j = 0; j < E; j++) {
                const A v = load(p.v[j]), g = load(d.v[j]);
                store(&p.v[j], a.log ? g - exp(v) * sum : v * (g - sum));
            }
            write_pack<WIDE>(dx, i, a.n, p);
        });
    }
}
} // namespace sqn

extern "C" sqn_status sqn_cuda_softmax(const sqn_k_softmax *a, void *stream) {
    if (a->rows == 0 || a->n == 0) return SQN_OK;
    return sqn::by_float(a->dtype, [&](auto *type) {
        using T = std::remove_pointer_t<decltype(type)>;
        return sqn::by_row<T>(a->n, sqn::all_aligned16(a->x, a->y), [&](auto held, auto wide) {
            constexpr bool WIDE = decltype(wide)::value;
            constexpr int P = decltype(held)::value;
            constexpr bool is_held = WIDE && P != 0;
            auto run = sqn::softmax_kernel<T, P, is_held>;
            if (a->n > sqn::row_held<T>) run = sqn::softmax_long_kernel<T, WIDE>;
            const dim3 block = sqn::row_block<T>(a->n);
            SQN_LAUNCH(run, sqn::grid_for(a->rows, block.y), block, 0, stream, *a);
            return sqn_cuda_launched();
        });
    });
}

extern "C" sqn_status sqn_cuda_softmax_grad(const sqn_k_softmax_grad *a, void *stream) {
    if (a->rows == 0 || a->n == 0) return SQN_OK;
    return sqn::by_float(a->dtype, [&](auto *type) {
        using T = std::remove_pointer_t<decltype(type)>;
        const bool aligned = sqn::all_aligned16(a->y, a->dy, a->dx);
        return sqn::by_row<T>(a->n, aligned, [&](auto held, auto wide) {
            auto run = sqn::softmax_grad_kernel<T, decltype(held)::value, decltype(wide)::value>;
            const dim3 block = sqn::row_block<T>(a->n);
            SQN_LAUNCH(run, sqn::grid_for(a->rows, block.y), block, 0, stream, *a);
            return sqn_cuda_launched();
        });
    });
}
