/* Random tensors and dropout from Philox: element i takes word i%4 of counter offset + i/4, as on
 * the CPU. */
#include "kernels/cuda/cuda.cuh"
#include "kernels/cuda/philox.cuh"

namespace sqn {
template <class T> __global__ void random_kernel(sqn_k_random a) {
    using A = acc<T>;
    const int64_t groups = (a.n + 3) / 4, step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t g = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; g < groups; g += step) {
        sqn_philox r = sqn_philox_at(a.seed, a.stream, a.offset + (uint64_t)g);
        double v[4];
        for (int j = 0; j < 4; j++) v[j] = sqn_philox_unit(r.v[j]);
        for (int j = 0; j < 4 && a.normal; j += 2) { /* Box-Muller; 1 - u is never 0 */
            double radius = sqrt(-2.0 * log(1.0 - v[j])), angle = 6.283185307179586 * v[j + 1];
            v[j] = radius * cos(angle);
            v[j + 1] = radius * sin(angle);
        }
        for (int j = 0; j < 4 && 4 * g + j < a.n; j++)
            store((T *)a.y + 4 * g + j,
                  (A)(a.normal ? a.a + a.b * v[j] : a.a + (a.b - a.a) * v[j]));
    }
}

template <class T> __global__ void dropout_kernel(sqn_k_dropout a) {
    using A = acc<T>;
    const A scale = (A)(1.0 / (1.0 - a.p));
    const float p = (float)a.p;
    const int64_t groups = (a.n + 3) / 4, step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t g = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; g < groups; g += step) {
        sqn_philox r = sqn_philox_at(a.seed, a.stream, a.offset + (uint64_t)g);
        for (int64_t j = 0, i = 4 * g; j < 4 && i < a.n; j++, i++)
            store((T *)a.y + i,
                  sqn_philox_unit(r.v[j]) < p ? (A)0 : load(((const T *)a.x)[i]) * scale);
    }
}
} // namespace sqn

extern "C" sqn_status sqn_cuda_random(const sqn_k_random *a, void *stream) {
    if (a->n == 0) return SQN_OK;
    return sqn::by_float(a->dtype, [&](auto *type) {
        auto run = sqn::random_kernel<std::remove_pointer_t<decltype(type)>>;
        SQN_LAUNCH(run, sqn::grid_for(a->n, 1024), 256, 0, stream, *a);
        return sqn_cuda_launched();
    });
}

extern "C" sqn_status sqn_cuda_dropout(const sqn_k_dropout *a, void *stream) {
    if (a->n == 0) return SQN_OK;
    return sqn::by_float(a->dtype, [&](auto *type) {
        auto run = sqn::dropout_kernel<std::remove_pointer_t<decltype(type)>>;
        SQN_LAUNCH(run, sqn::grid_for(a->n, 1024), 256, 0, stream, *a);
        return sqn_cuda_launched();
    });
}
