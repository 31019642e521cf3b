/* Strided copies with conversion, and y += x. */
#include "kernels/cuda/strides.cuh"

namespace sqn {

template <class T> __device__ __forceinline__ auto fetch(const T *p) { return load(*p); }
template <> __device__ __forceinline__ auto fetch(const int64_t *p) { return *p; }
template <> __device__ __forceinline__ auto fetch(const int32_t *p) { return *p; }
template <> __device__ __forceinline__ auto fetch(const uint8_t *p) { return *p; }

template <class V> __device__ __forceinline__ void put(float *p, V v) { *p = (float)v; }
template <class V> __device__ __forceinline__ void put(double *p, V v) { *p = (double)v; }
template <class V> __device__ __forceinline__ void put(bf16 *p, V v) { store(p, (float)v); }
template <class V> __device__ __forceinline__ void put(f16 *p, V v) { store(p, (float)v); }
template <class V> __device__ __forceinline__ void put(int64_t *p, V v) { *p = (int64_t)v; }
template <class V> __device__ __forceinline__ void put(int32_t *p, V v) { *p = (int32_t)v; }
template <class V> __device__ __forceinline__ void put(uint8_t *p, V v) { *p = (uint8_t)v; }

template <class F, class T, bool ADD> __global__ void copy_kernel(const F *x, T *y, walk w) {
    const int64_t step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < w.n; i += step) {
        int64_t xo, yo;
        walk_at(w, i, &xo, &yo);
        if constexpr (ADD)
            put(y + yo, fetch(y + yo) + fetch(x + xo));
        else if constexpr (std::is_same_v<F, T>)
            y[yo] = x[xo]; /* bits: NaN payloads stay */
        else
            put(y + yo, fetch(x + xo));
    }
}

template <class F, class T, bool ADD>
sqn_status copy(const sqn_k_copy *k, const walk &w, void *stream) {
    auto run = copy_kernel<F, T, ADD>;
    SQN_LAUNCH(run, grid_for(w.n, 256), 256, 0, stream, (const F *)k->x, (T *)k->y, w);
    return sqn_cuda_launched();
}

/* Calls f with a null pointer of any storage type. */
template <class F> sqn_status by_type(sqn_dtype dtype, F f) {
    switch (dtype) {
    case SQN_I64:
        return f((int64_t *)nullptr);
    case SQN_I32:
        return f((int32_t *)nullptr);
    case SQN_U8:
        return f((uint8_t *)nullptr);
    default:
        return by_float(dtype, f);
    }
}
} // namespace sqn

extern "C" sqn_status sqn_cuda_copy(const sqn_k_copy *k, void *stream) {
    sqn::walk w = sqn::walk_make(k->ndim, k->shape, k->x_stride, k->y_stride);
    if (w.n == 0) return SQN_OK;
    if (k->add)
        return sqn::by_float(k->from, [&](auto *from) {
            return sqn::by_float(k->to, [&](auto *to) {
                return sqn::copy<std::remove_pointer_t<decltype(from)>,
                                 std::remove_pointer_t<decltype(to)>, true>(k, w, stream);
            });
        });
    return sqn::by_type(k->from, [&](auto *from) {
        return sqn::by_type(k->to, [&](auto *to) {
            return sqn::copy<std::remove_pointer_t<decltype(from)>,
                             std::remove_pointer_t<decltype(to)>, false>(k, w, stream);
        });
    });
}
