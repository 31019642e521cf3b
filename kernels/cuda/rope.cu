/* Rotary embedding: a thread rotates one pair (i, i + dim/2). y may be x. */
#include "kernels/cuda/cuda.cuh"

namespace sqn {
template <class T> __global__ void rope_kernel(sqn_k_rope a, previous before) {
    using A = acc<T>;
    before.wait_then_let_next_start();
    const int64_t half = a.dim / 2, total = a.tokens * a.heads * half;
    const int64_t step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < total; i += step) {
        const int64_t row = i / half, c = i - row * half, t = row / a.heads;
        const int64_t at = a.positions[t] * half + c;
        const A cosine = ((const A *)a.cosine)[at], sine = ((const A *)a.sine)[at];
        const A s = a.backward ? -sine : sine;
        const T *x = (const T *)a.x + row * a.dim + c;
        T *y = (T *)a.y + row * a.dim + c;
        const A p = load(x[0]), q = load(x[half]);
        store(y, p * cosine - q * s);
        store(y + half, q * cosine + p * s);
    }
}
} // namespace sqn

extern "C" sqn_status sqn_cuda_rope(const sqn_k_rope *a, void *stream) {
    const int64_t pairs = a->tokens * a->heads * (a->dim / 2);
    if (pairs == 0) return SQN_OK;
    return sqn::by_float(a->dtype, [&](auto *type) {
        auto run = sqn::rope_kernel<std::remove_pointer_t<decltype(type)>>;
        SQN_LAUNCH_DEPENDENT(run, sqn::grid_for(pairs, 256), 256, 0, stream, *a);
        return sqn_cuda_launched();
    });
}
