/* Softmax, its logarithm, and their gradients: one block a row. */
#include "kernels/cuda/cuda.cuh"

namespace sqn {
template <class T> __global__ void softmax_kernel(sqn_k_softmax a) {
    using A = acc<T>;
    for (int64_t r = blockIdx.x; r < a.rows; r += gridDim.x) {
        const T *x = (const T *)a.x + r * a.n;
        T *y = (T *)a.y + r * a.n;
        A top = -INFINITY, sum = 0;
        for (int64_t i = threadIdx.x; i < a.n; i += blockDim.x) top = larger{}(load(x[i]), top);
        top = block_reduce(top, larger{}, (A)-INFINITY);
        for (int64_t i = threadIdx.x; i < a.n; i += blockDim.x) sum += exp(load(x[i]) - top);
        sum = block_reduce(sum, plus{}, (A)0);
        const A factor = (A)1 / sum, shift = top + log(sum);
        for (int64_t i = threadIdx.x; i < a.n; i += blockDim.x)
            store(y + i, a.log ? load(x[i]) - shift : exp(load(x[i]) - top) * factor);
    }
}

/* log: dx = dy - exp(y) sum(dy); else dx = y (dy - sum(y dy)). */
template <class T> __global__ void softmax_grad_kernel(sqn_k_softmax_grad a) {
    using A = acc<T>;
    for (int64_t r = blockIdx.x; r < a.rows; r += gridDim.x) {
        const T *y = (const T *)a.y + r * a.n, *dy = (const T *)a.dy + r * a.n;
        T *dx = (T *)a.dx + r * a.n;
        A sum = 0;
        for (int64_t i = threadIdx.x; i < a.n; i += blockDim.x)
            sum += a.log ? load(dy[i]) : load(y[i]) * load(dy[i]);
        sum = block_reduce(sum, plus{}, (A)0);
        for (int64_t i = threadIdx.x; i < a.n; i += blockDim.x)
            store(dx + i,
                  a.log ? load(dy[i]) - exp(load(y[i])) * sum : load(y[i]) * (load(dy[i]) - sum));
    }
}
} // namespace sqn

extern "C" sqn_status sqn_cuda_softmax(const sqn_k_softmax *a, void *stream) {
    if (a->rows == 0 || a->n == 0) return SQN_OK;
    return sqn::by_float(a->dtype, [&](auto *type) {
        auto run = sqn::softmax_kernel<std::remove_pointer_t<decltype(type)>>;
        SQN_LAUNCH(run, sqn::grid_for(a->rows, 1), sqn::threads_for(a->n), 0, stream, *a);
        return sqn_cuda_launched();
    });
}

extern "C" sqn_status sqn_cuda_softmax_grad(const sqn_k_softmax_grad *a, void *stream) {
    if (a->rows == 0 || a->n == 0) return SQN_OK;
    return sqn::by_float(a->dtype, [&](auto *type) {
        auto run = sqn::softmax_grad_kernel<std::remove_pointer_t<decltype(type)>>;
        SQN_LAUNCH(run, sqn::grid_for(a->rows, 1), sqn::threads_for(a->n), 0, stream, *a);
        return sqn_cuda_launched();
    });
}
