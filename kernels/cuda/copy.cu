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

template <class F, class T, bool ADD, int V> __global__ void copy_kernel(const F *x, T *y, walk w) {
    const bool repeats = w.a[w.ndim - 1] == 0;
    each_of_walk<V>(w, [&](int64_t, int64_t from, int64_t to, auto width) {
        constexpr int W = decltype(width)::value;
        const auto p = operand<W>(x + from, repeats);
        if constexpr (std::is_same_v<F, T> && !ADD) {
            put_pack(y + to, p); /* bits: NaN payloads stay */
        } else {
            pack<T, W> out;
            if constexpr (ADD) out = *(const pack<T, W> *)(y + to);
            for (int j = 0; j < W; j++) {
                if constexpr (ADD)
                    put(&out.v[j], fetch(&out.v[j]) + fetch(&p.v[j]));
                else
                    put(&out.v[j], fetch(&p.v[j]));
            }
            put_pack(y + to, out);
        }
    });
}

template <class F, class T, bool ADD> sqn_status copy(const sqn_k_copy *k, walk w, void *stream) {
    constexpr int narrow = sizeof(F) < sizeof(T) ? sizeof(F) : sizeof(T);
    constexpr int V = std::is_same_v<F, T> || narrow > 2 ? 16 / narrow : 8;
    const bool wide = w.b[w.ndim - 1] == 1 && walk_by_packs(&w, V, k->x, k->y);
    const auto run = wide ? copy_kernel<F, T, ADD, V> : copy_kernel<F, T, ADD, 1>;
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
