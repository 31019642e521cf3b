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

template <class A> __device__ A pair(sqn_zip op, A a, A b) {
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
template <> __device__ int64_t pair(sqn_zip op, int64_t a, int64_t b) { /* wraps; by 0 as by 1 */
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
template <class A> __device__ bool compare(sqn_zip op, A a, A b) {
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

template <class T> __global__ void zip_kernel(sqn_k_zip k, walk w) {
    const T *a = (const T *)k.a, *b = (const T *)k.b;
    const int64_t step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < w.n; i += step) {
        int64_t ao, bo;
        walk_at(w, i, &ao, &bo);
        if (k.op >= SQN_ZIP_EQ)
            ((uint8_t *)k.y)[i] = compare(k.op, load(a[ao]), load(b[bo]));
        else
            store((T *)k.y + i, pair(k.op, load(a[ao]), load(b[bo])));
    }
}

template <class T> sqn_status zip(const sqn_k_zip *k, const walk &w, void *stream) {
    auto run = zip_kernel<T>;
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
