/* Root-mean-square norm with the residual's addition, and its gradients.
 *
 * Versions: 1, an element a thread and turn, read again in every pass; 2, rows held in registers,
 * a thread's part of dweight too (neither has run on a card).
 */
#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/row.cuh"

namespace sqn {
template <class T> __device__ acc<T> rounded(acc<T> v) { /* to the storage type's precision */
    T t;
    store(&t, v);
    return load(t);
}

template <class T, int P, bool WIDE>
__global__ void __launch_bounds__(row_threads) rms_norm_kernel(sqn_k_rms_norm a, previous before) {
    using A = acc<T>;
    constexpr int E = per_pack<T>;
    before.wait_then_let_next_start();
    for (int64_t r = row_first(); r < a.rows; r += row_step()) {
        row<T, P, WIDE> x((const T *)a.x + r * a.n, a.n), w((const T *)a.weight, a.n);
        if (a.residual) { /* each thread reads again only what it wrote itself */
            const row<T, P, WIDE> residual((const T *)a.residual + r * a.n, a.n);
            T *h = (T *)a.h + r * a.n;
            each_of_row<T, P>(a.n, [&](int k, int64_t i) {
                auto p = x.at(k, i);
                const auto q = residual.at(k, i);
                for (int j = 0; j < E; j++) store(&p.v[j], load(p.v[j]) + load(q.v[j]));
                x.set(h, k, i, p);
            });
            x.moved_to(h);
        }
        A sum = 0;
        each_of_row<T, P>(a.n, [&](int k, int64_t i) {
            const auto p = x.at(k, i);
            for (int j = 0; j < E; j++) sum += load(p.v[j]) * load(p.v[j]);
        });
        sum = row_reduce(sum, plus{}, (A)0);
        const A inv = (A)1 / sqrt(sum / (A)a.n + (A)a.eps);
        if (a.inv && threadIdx.x == 0) ((A *)a.inv)[r] = inv;
        T *y = (T *)a.y + r * a.n;
        each_of_row<T, P>(a.n, [&](int k, int64_t i) {
            auto p = x.at(k, i);
            const auto q = w.at(k, i);
            for (int j = 0; j < E; j++)
                store(&p.v[j], rounded<T>(load(p.v[j]) * inv) * load(q.v[j]));
            write_pack<WIDE>(y, i, a.n, p);
        });
    }
}

/* dx = dh + inv (w dy - h inv^2 mean(h w dy)); parts[g, i] = sum over the rows of group g, which
 * the same threads go through, of dy h inv. */
template <class T, int P, bool WIDE>
__global__ void __launch_bounds__(row_threads)
    rms_norm_grad_kernel(sqn_k_rms_norm_grad a, acc<T> *parts, int64_t rows_a_group) {
    using A = acc<T>;
    constexpr int E = per_pack<T>;
    const int64_t group = row_first(), first = group * rows_a_group;
    const int64_t end = first + rows_a_group < a.rows ? first + rows_a_group : a.rows;
    if (first >= end) return;
    A *part = parts ? parts + group * a.n : nullptr;
    pack<A, E> dw[P > 0 ? P : 1] = {}; /* where rows are held; else it stays in memory */
    if (P == 0 && part)
        each_of_row<T, P>(a.n, [&](int, int64_t i) { write_pack<WIDE>(part, i, a.n, dw[0]); });
    const row<T, P, WIDE> w((const T *)a.weight, a.n);
    for (int64_t r = first; r < end; r++) {
        const row<T, P, WIDE> h((const T *)a.h + r * a.n, a.n), dy((const T *)a.dy + r * a.n, a.n),
            dh((const T *)a.dh + (a.dh ? r * a.n : 0), a.dh ? a.n : 0);
        const A inv = ((const A *)a.inv)[r];
        A dot = 0;
        each_of_row<T, P>(a.n, [&](int k, int64_t i) {
            const auto v = h.at(k, i), f = w.at(k, i), d = dy.at(k, i);
            for (int j = 0; j < E; j++) dot += load(v.v[j]) * load(f.v[j]) * load(d.v[j]);
        });
        dot = row_reduce(dot, plus{}, (A)0);
        const A factor = inv * inv * dot / (A)a.n;
        T *dx = (T *)a.dx + r * a.n;
        each_of_row<T, P>(a.n, [&](int k, int64_t i) {
            const auto f = w.at(k, i), d = dy.at(k, i);
            auto v = h.at(k, i), out = dh.at(k, i);
            for (int j = 0; j < E; j++) {
                const A g = load(d.v[j]), x = load(v.v[j]), term = g * rounded<T>(x * inv);
                if constexpr (P > 0)
                    dw[k].v[j] += term;
                else if (part && i + j < a.n)
                    part[i + j] += term;
                store(&out.v[j], load(out.v[j]) + inv * (load(f.v[j]) * g - x * factor));
            }
            write_pack<WIDE>(dx, i, a.n, out);
        });
    }
    if constexpr (P > 0)
        if (part)
            each_of_row<T, P>(a.n,
                              [&](int k, int64_t i) { write_pack<WIDE>(part, i, a.n, dw[k]); });
}

template <class T> sqn_status rms_norm_grad(const sqn_k_rms_norm_grad *a, void *stream) {
    using A = acc<T>;
    const dim3 block = row_block<T>(a->n);
    const int64_t per = a->rows > 512 ? ceil_div(a->rows, 512) : 1, groups = ceil_div(a->rows, per);
    A *parts = nullptr;
    if (a->dweight) {
        parts = (A *)sqn_cuda_scratch((size_t)((groups ? groups : 1) * a->n) * sizeof(A), stream);
        if (parts == nullptr) return SQN_NOMEM;
    }
    if (groups > 0) {
        const bool aligned = all_aligned16(a->h, a->weight, a->dy, a->dh, a->dx);
        by_row<T>(a->n, aligned, [&](auto held, auto wide) {
            auto run = rms_norm_grad_kernel<T, decltype(held)::value, decltype(wide)::value>;
            SQN_LAUNCH(run, (unsigned)ceil_div(groups, block.y), block, 0, stream, *a, parts, per);
            return SQN_OK;
        });
    }
    if (parts == nullptr) return sqn_cuda_launched();
    const sqn_status status =
        sum_columns(parts, (A *)a->dweight, 1, groups, a->n, {1, a->add}, stream);
    sqn_cuda_scratch_release(parts, stream);
    return status;
}
} // namespace sqn

extern "C" sqn_status sqn_cuda_rms_norm(const sqn_k_rms_norm *a, void *stream) {
    if (a->rows == 0 || a->n == 0) return SQN_OK;
    return sqn::by_float(a->dtype, [&](auto *type) {
        using T = std::remove_pointer_t<decltype(type)>;
        const bool aligned = sqn::all_aligned16(a->x, a->residual, a->weight, a->h, a->y);
        return sqn::by_row<T>(a->n, aligned, [&](auto held, auto wide) {
            const dim3 block = sqn::row_block<T>(a->n);
            auto run = sqn::rms_norm_kernel<T, decltype(held)::value, decltype(wide)::value>;
            SQN_LAUNCH_DEPENDENT(run, sqn::grid_for(a->rows, block.y), block, 0, stream, *a);
            return sqn_cuda_launched();
        });
    });
}

extern "C" sqn_status sqn_cuda_rms_norm_grad(const sqn_k_rms_norm_grad *a, void *stream) {
    if (a->n == 0) return SQN_OK;
    return sqn::by_float(a->dtype, [&](auto *type) {
        return sqn::rms_norm_grad<std::remove_pointer_t<decltype(type)>>(a, stream);
    });
}
