/* Root-mean-square norm with the residual's addition, and its gradients. */
#include "kernels/cuda/cuda.cuh"

namespace sqn {
template <class T> __device__ acc<T> rounded(acc<T> v) { /* to the storage type's precision */
    T t;
    store(&t, v);
    return load(t);
}

template <class T> __global__ void rms_norm_kernel(sqn_k_rms_norm a, previous before) {
    using A = acc<T>;
    before.wait_then_let_next_start();
    const T *w = (const T *)a.weight;
    for (int64_t r = blockIdx.x; r < a.rows; r += gridDim.x) {
        const T *x = (const T *)a.x + r * a.n;
        T *y = (T *)a.y + r * a.n;
        A sum = 0;
        if (a.residual) { /* each thread reads again only what it wrote itself */
            const T *residual = (const T *)a.residual + r * a.n;
            T *h = (T *)a.h + r * a.n;
            for (int64_t i = threadIdx.x; i < a.n; i += blockDim.x)
                store(h + i, load(x[i]) + load(residual[i]));
            x = h;
        }
        for (int64_t i = threadIdx.x; i < a.n; i += blockDim.x) sum += load(x[i]) * load(x[i]);
        sum = block_reduce(sum, plus{}, (A)0);
        const A inv = (A)1 / sqrt(sum / (A)a.n + (A)a.eps);
        if (a.inv && threadIdx.x == 0) ((A *)a.inv)[r] = inv;
        for (int64_t i = threadIdx.x; i < a.n; i += blockDim.x)
            store(y + i, rounded<T>(load(x[i]) * inv) * load(w[i]));
    }
}

/* dx = dh + inv (w dy - h inv^2 mean(h w dy)); parts[block, i] = sum over its rows of dy h inv.
 * Thread t owns columns t, t + blockDim … of its block's part. */
template <class T>
__global__ void rms_norm_grad_kernel(sqn_k_rms_norm_grad a, acc<T> *parts, int64_t rows_a_block) {
    using A = acc<T>;
    const T *w = (const T *)a.weight;
    A *part = parts ? parts + blockIdx.x * a.n : nullptr;
    for (int64_t i = threadIdx.x; part && i < a.n; i += blockDim.x) part[i] = 0;
    const int64_t first = blockIdx.x * rows_a_block;
    const int64_t end = first + rows_a_block < a.rows ? first + rows_a_block : a.rows;
    for (int64_t r = first; r < end; r++) {
        const T *h = (const T *)a.h + r * a.n, *dy = (const T *)a.dy + r * a.n;
        const T *dh = a.dh ? (const T *)a.dh + r * a.n : nullptr;
        T *dx = (T *)a.dx + r * a.n;
        const A inv = ((const A *)a.inv)[r];
        A dot = 0;
        for (int64_t i = threadIdx.x; i < a.n; i += blockDim.x)
            dot += load(h[i]) * load(w[i]) * load(dy[i]);
        dot = block_reduce(dot, plus{}, (A)0);
        const A factor = inv * inv * dot / (A)a.n;
        for (int64_t i = threadIdx.x; i < a.n; i += blockDim.x) {
            const A d = load(dy[i]), v = load(h[i]);
            if (part) part[i] += d * rounded<T>(v * inv);
            store(dx + i, (dh ? load(dh[i]) : (A)0) + inv * (load(w[i]) * d - v * factor));
        }
    }
}

template <class A>
__global__ void sum_parts_kernel(const A *parts, A *y, int64_t blocks, int64_t n) {
    const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    A sum = 0;
    for (int64_t b = 0; b < blocks; b++) sum += parts[b * n + i];
    y[i] = sum;
}

template <class T> sqn_status rms_norm_grad(const sqn_k_rms_norm_grad *a, void *stream) {
    using A = acc<T>;
    const int64_t per = a->rows > 512 ? ceil_div(a->rows, 512) : 1, blocks = ceil_div(a->rows, per);
    A *parts = nullptr;
    if (a->dweight) {
        parts = (A *)sqn_cuda_scratch((size_t)((blocks ? blocks : 1) * a->n) * sizeof(A), stream);
        if (parts == nullptr) return SQN_NOMEM;
    }
    if (blocks > 0) {
        auto run = rms_norm_grad_kernel<T>;
        SQN_LAUNCH(run, (unsigned)blocks, threads_for(a->n), 0, stream, *a, parts, per);
    }
    if (parts) {
        auto run = sum_parts_kernel<A>;
        SQN_LAUNCH(run, (unsigned)ceil_div(a->n, 128), 128, 0, stream, parts, (A *)a->dweight,
                   blocks, a->n);
        sqn_cuda_scratch_release(parts, stream);
    }
    return sqn_cuda_launched();
}
} // namespace sqn

extern "C" sqn_status sqn_cuda_rms_norm(const sqn_k_rms_norm *a, void *stream) {
    if (a->rows == 0 || a->n == 0) return SQN_OK;
    return sqn::by_float(a->dtype, [&](auto *type) {
        auto run = sqn::rms_norm_kernel<std::remove_pointer_t<decltype(type)>>;
        SQN_LAUNCH_DEPENDENT(run, sqn::grid_for(a->rows, 1), sqn::threads_for(a->n), 0, stream, *a);
        return sqn_cuda_launched();
    });
}

extern "C" sqn_status sqn_cuda_rms_norm_grad(const sqn_k_rms_norm_grad *a, void *stream) {
    if (a->n == 0) return SQN_OK;
    return sqn::by_float(a->dtype, [&](auto *type) {
        return sqn::rms_norm_grad<std::remove_pointer_t<decltype(type)>>(a, stream);
    });
}
