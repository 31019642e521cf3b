/* Pairs of tensors with broadcasting. y is contiguous. */
#include "kernels/cuda/strides.cuh"

namespace sqn {
/* What an element is computed in: floats in their accumulator, integers in 64 bits. */
__device__ __forceinline__ int64_t load(int64_t v) { return v; }
__device__ __forceinline__ int64_t load(int32_t v) { return v; }
__device__ __forceinline__ int64_t load(uint8_t v) { return v; }
__device__ __forceinline__ void store(int64_t *p, int64_t v) { *p = v; }
__device__ __forceinline__ void store(int32_t *p, int64_t v) { *p = (int32_t)v; }
__device__ __forceinline__ void store(uint8_t *p, int64_t v) { *p = (uint8_t)v; }

template <class A> __device__ __forceinline__ A pair(sqn_zip op, A a, A b) {
    switch (op) {
    case SQN_ZIP_ADD:
        return a + b;
    case SQN_ZIP_SUB:
        return a - b;
    case SQN_ZIP_MUL:
        return a * b;
    case SQN_ZIP_DIV:
        return a / b;
    case SQN_ZIP_MAXIMUM:
        return a < b || b != b ? b : a;
    default:
        return b < a || b != b ? b : a;
    }
}
template <>
__device__ __forceinline__ int64_t pair(sqn_zip op, int64_t a,
                                        int64_t b) { /* wraps; by 0 as by 1 */
    switch (op) {
    case SQN_ZIP_ADD:
        return (int64_t)((uint64_t)a + (uint64_t)b);
    case SQN_ZIP_SUB:
        return (int64_t)((uint64_t)a - (uint64_t)b);
    case SQN_ZIP_MUL:
        return (int64_t)((uint64_t)a * (uint64_t)b);
    case SQN_ZIP_DIV:
        return b == 0 ? a : b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
    case SQN_ZIP_MAXIMUM:
        return a < b ? b : a;
    default:
        return b < a ? b : a;
    }
}
template <class A> __device__ __forceinline__ bool compare(sqn_zip op, A a, A b) {
    switch (op) {
    case SQN_ZIP_EQ:
        return a == b;
    case SQN_ZIP_NE:
        return a != b;
    case SQN_ZIP_LT:
        return a < b;
    default:
        return a <= b;
    }
}

template <class T, int V> __global__ void zip_kernel(sqn_k_zip k, walk w) {
    const bool a_repeats = w.a[w.ndim - 1] == 0, b_repeats = w.b[w.ndim - 1] == 0;
    each_of_walk<V>(w, [&](int64_t i, int64_t at_a, int64_t at_b, auto width) {
        constexpr int W = decltype(width)::value;
        const auto a = operand<W>((const T *)k.a + at_a, a_repeats);
        const auto b = operand<W>((const T *)k.b + at_b, b_repeats);
        with_constant<SQN_ZIP_COUNT>(k.op, [&](auto op) {
            constexpr sqn_zip OP = decltype(op)::value;
            if constexpr (OP >= SQN_ZIP_EQ) {
                pack<uint8_t, W> y;
                for (int j = 0; j < W; j++) y.v[j] = compare(OP, load(a.v[j]), load(b.v[j]));
                put_pack((uint8_t *)k.y + i, y);
            } else {
                pack<T, W> y;
                for (int j = 0; j < W; j++) store(&y.v[j], pair(OP, load(a.v[j]), load(b.v[j])));
                put_pack((T *)k.y + i, y);
            }
        });
    });
}

template <class T> sqn_status zip(const sqn_k_zip *k, walk w, void *stream) {
    constexpr int V = per_pack<T>;
    const bool wide = aligned16(k->y) && walk_by_packs(&w, V, k->a, k->b);
    const auto run = wide ? zip_kernel<T, V> : zip_kernel<T, 1>;
    SQN_LAUNCH(run, grid_for(w.n, 256), 256, 0, stream, *k, w);
    return sqn_cuda_launched();
}
} // namespace sqn

extern "C" sqn_status sqn_cuda_zip(const sqn_k_zip *k, void *stream) {
    sqn::walk w = sqn::walk_make(k->ndim, k->shape, k->a_stride, k->b_stride);
    if (w.n == 0) return SQN_OK;
    switch (k->dtype) {
    case SQN_I64:
        return sqn::zip<int64_t>(k, w, stream);
    case SQN_I32:
        return sqn::zip<int32_t>(k, w, stream);
    case SQN_U8:
        return sqn::zip<uint8_t>(k, w, stream);
    default:
        return sqn::by_float(k->dtype, [&](auto *type) {
            return sqn::zip<std::remove_pointer_t<decltype(type)>>(k, w, stream);
        });
    }
}
