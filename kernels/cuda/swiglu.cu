/* silu(gate) * up and its gradients. */
#include "kernels/cuda/pack.cuh"

namespace sqn {
template <class T, int V> __global__ void swiglu_kernel(sqn_k_swiglu a, previous before) {
    using A = acc<T>;
    before.wait_then_let_next_start();
    each_pack<V>(a.n, [&](int64_t i, auto width) {
        constexpr int W = decltype(width)::value;
        auto gate = *(const pack<T, W> *)((const T *)a.gate + i);
        auto up = *(const pack<T, W> *)((const T *)a.up + i);
        for (int j = 0; j < W; j++) {
            A g = load(gate.v[j]);
            store(&up.v[j], g / ((A)1 + exp(-g)) * load(up.v[j]));
        }
        *(pack<T, W> *)((T *)a.y + i) = up;
    });
}

template <class T, int V> __global__ void swiglu_grad_kernel(sqn_k_swiglu_grad a) {
    using A = acc<T>;
    each_pack<V>(a.n, [&](int64_t i, auto width) {
        constexpr int W = decltype(width)::value;
        auto gate = *(const pack<T, W> *)((const T *)a.gate + i);
        auto up = *(const pack<T, W> *)((const T *)a.up + i);
        auto dy = *(const pack<T, W> *)((const T *)a.dy + i);
        for (int j = 0; j < W; j++) {
            A g = load(gate.v[j]), u = load(up.v[j]), d = load(dy.v[j]);
            A s = (A)1 / ((A)1 + exp(-g));
            store(&up.v[j], d * g * s);
            store(&gate.v[j], d * u * s * ((A)1 + g * ((A)1 - s)));
        }
        *(pack<T, W> *)((T *)a.dup + i) = up;
        *(pack<T, W> *)((T *)a.dgate + i) = gate;
    });
}
} // namespace sqn

extern "C" sqn_status sqn_cuda_swiglu(const sqn_k_swiglu *a, void *stream) {
    if (a->n == 0) return SQN_OK;
    return sqn::by_float(a->dtype, [&](auto *type) {
        using T = std::remove_pointer_t<decltype(type)>;
        constexpr int V = 16 / sizeof(T);
        bool wide = sqn::all_aligned16(a->gate, a->up, a->y);
        auto run = wide ? sqn::swiglu_kernel<T, V> : sqn::swiglu_kernel<T, 1>;
        SQN_LAUNCH_DEPENDENT(run, sqn::grid_for(a->n, 256 * V), 256, 0, stream, *a);
        return sqn_cuda_launched();
    });
}

extern "C" sqn_status sqn_cuda_swiglu_grad(const sqn_k_swiglu_grad *a, void *stream) {
    if (a->n == 0) return SQN_OK;
    return sqn::by_float(a->dtype, [&](auto *type) {
        using T = std::remove_pointer_t<decltype(type)>;
        constexpr int V = 16 / sizeof(T);
        bool wide = sqn::all_aligned16(a->gate, a->up, a->dy, a->dgate, a->dup);
        auto run = wide ? sqn::swiglu_grad_kernel<T, V> : sqn::swiglu_grad_kernel<T, 1>;
        SQN_LAUNCH(run, sqn::grid_for(a->n, 256 * V), 256, 0, stream, *a);
        return sqn_cuda_launched();
    });
}
