/* Elementwise functions and their derivatives. */
#include "kernels/cuda/pack.cuh"

namespace sqn {
template <class A> __device__ __forceinline__ A apply(sqn_map op, A v, A alpha, A beta) {
    const A one = 1;
    switch (op) {
    case SQN_MAP_NEG:
        return -v;
    case SQN_MAP_EXP:
        return exp(v);
    case SQN_MAP_LOG:
        return log(v);
    case SQN_MAP_SQRT:
        return sqrt(v);
    case SQN_MAP_RSQRT:
        return one / sqrt(v);
    case SQN_MAP_ABS:
        return v < 0 ? -v : v;
    case SQN_MAP_SIGMOID:
        return one / (one + exp(-v));
    case SQN_MAP_SILU:
        return v / (one + exp(-v));
    case SQN_MAP_TANH:
        return tanh(v);
    case SQN_MAP_RELU:
        return v > 0 ? v : v == v ? (A)0 : v;
    case SQN_MAP_GELU:
        return (A)0.5 * v * (one + erf(v * (A)0.70710678118654752));
    case SQN_MAP_COS:
        return cos(v);
    case SQN_MAP_SIN:
        return sin(v);
    case SQN_MAP_SQUARE:
        return v * v;
    case SQN_MAP_POW:
        return pow(v, alpha);
    case SQN_MAP_AFFINE:
        return alpha * v + beta;
    case SQN_MAP_COUNT:
        break;
    }
    return v;
}

template <class A> __device__ __forceinline__ A derivative(sqn_map op, A x, A y, A alpha) {
    const A one = 1, s = one / (one + exp(-x));
    switch (op) {
    case SQN_MAP_NEG:
        return -one;
    case SQN_MAP_EXP:
        return y;
    case SQN_MAP_LOG:
        return one / x;
    case SQN_MAP_SQRT:
        return (A)0.5 / y;
    case SQN_MAP_RSQRT:
        return (A)-0.5 * y * y * y;
    case SQN_MAP_ABS:
        return x > 0 ? one : x < 0 ? -one : (A)0;
    case SQN_MAP_SIGMOID:
        return y * (one - y);
    case SQN_MAP_SILU:
        return s * (one + x * (one - s));
    case SQN_MAP_TANH:
        return one - y * y;
    case SQN_MAP_RELU:
        return y > 0 ? one : (A)0;
    case SQN_MAP_GELU:
        return (A)0.5 * (one + erf(x * (A)0.70710678118654752)) +
               x * (A)0.39894228040143268 * exp((A)-0.5 * x * x);
    case SQN_MAP_COS:
        return -sin(x);
    case SQN_MAP_SIN:
        return cos(x);
    case SQN_MAP_SQUARE:
        return 2 * x;
    case SQN_MAP_POW:
        return alpha * pow(x, alpha - 1);
    case SQN_MAP_AFFINE:
        return alpha;
    case SQN_MAP_COUNT:
        break;
    }
    return 0;
}

template <class T, int V> __global__ void map_kernel(sqn_k_map a) {
    using A = acc<T>;
    const A alpha = (A)a.alpha * (a.alpha_at ? *(const A *)a.alpha_at : (A)1), beta = (A)a.beta;
    each_pack<V>(a.n, [&](int64_t i, auto width) {
        constexpr int W = decltype(width)::value;
        auto p = *(const pack<T, W> *)((const T *)a.x + i);
        with_constant<SQN_MAP_COUNT>(a.op, [&](auto op) {
#pragma unroll
            for (int j = 0; j < W; j++)
                store(&p.v[j], apply<A>(decltype(op)::value, load(p.v[j]), alpha, beta));
        });
        put_pack((T *)a.y + i, p);
    });
}

template <class T, int V> __global__ void map_grad_kernel(sqn_k_map_grad a) {
    using A = acc<T>;
    const A alpha = (A)a.alpha;
    each_pack<V>(a.n, [&](int64_t i, auto width) {
        constexpr int W = decltype(width)::value;
        pack<T, W> x = {}, y = {}, d = *(const pack<T, W> *)((const T *)a.dy + i);
        if (a.x) x = *(const pack<T, W> *)((const T *)a.x + i);
        if (a.y) y = *(const pack<T, W> *)((const T *)a.y + i);
        with_constant<SQN_MAP_COUNT>(a.op, [&](auto op) {
#pragma unroll
            for (int j = 0; j < W; j++)
                store(&d.v[j], load(d.v[j]) * derivative<A>(decltype(op)::value, load(x.v[j]),
                                                            load(y.v[j]), alpha));
        });
        put_pack((T *)a.dx + i, d);
    });
}
} // namespace sqn

extern "C" sqn_status sqn_cuda_map(const sqn_k_map *a, void *stream) {
    if (a->n == 0) return SQN_OK;
    return sqn::by_float(a->dtype, [&](auto *type) {
        using T = std::remove_pointer_t<decltype(type)>;
        constexpr int V = 16 / sizeof(T);
        bool wide = sqn::all_aligned16(a->x, a->y);
        auto run = wide ? sqn::map_kernel<T, V> : sqn::map_kernel<T, 1>;
        SQN_LAUNCH(run, sqn::grid_for(a->n, 256 * V), 256, 0, stream, *a);
        return sqn_cuda_launched();
    });
}

extern "C" sqn_status sqn_cuda_map_grad(const sqn_k_map_grad *a, void *stream) {
    if (a->n == 0) return SQN_OK;
    return sqn::by_float(a->dtype, [&](auto *type) {
        using T = std::remove_pointer_t<decltype(type)>;
        constexpr int V = 16 / sizeof(T);
        bool wide = sqn::all_aligned16(a->x, a->y, a->dy, a->dx);
        auto run = wide ? sqn::map_grad_kernel<T, V> : sqn::map_grad_kernel<T, 1>;
        SQN_LAUNCH(run, sqn::grid_for(a->n, 256 * V), 256, 0, stream, *a);
        return sqn_cuda_launched();
    });
}
