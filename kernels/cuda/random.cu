/* Random tensors and dropout from Philox: element i takes word i%4 of counter offset + i/4, as on
 * the CPU. */
#include "kernels/cuda/pack.cuh"
#include "kernels/cuda/philox.cuh"

namespace sqn {
template <class T, bool WIDE> __global__ void random_kernel(sqn_k_random a) {
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
        pack<T, 4> y;
        for (int j = 0; j < 4; j++)
            store(&y.v[j], (A)(a.normal ? a.a + a.b * v[j] : a.a + (a.b - a.a) * v[j]));
        write_pack<WIDE>((T *)a.y, 4 * g, a.n, y);
    }
}

/* A thread takes whole counters. */
template <class T> constexpr int dropout_pack = per_pack<T> < 4 ? 4 : per_pack<T>;

template <class T, bool WIDE>
__global__ void dropout_kernel(sqn_k_dropout a, float p, acc<T> scale) {
    using A = acc<T>;
    constexpr int V = dropout_pack<T>;
    const int64_t step = (int64_t)gridDim.x * blockDim.x * V;
    for (int64_t i = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) * V; i < a.n; i += step) {
        auto x = read_pack<WIDE, T, V>((const T *)a.x, i, a.n);
#pragma unroll
        for (int k = 0; k < V; k += 4) {
            const sqn_philox r = sqn_philox_at(a.seed, a.stream, a.offset + (uint64_t)(i + k) / 4);
            for (int j = 0; j < 4; j++)
                store(&x.v[k + j], sqn_philox_unit(r.v[j]) < p ? (A)0 : load(x.v[k + j]) * scale);
        }
        write_pack<WIDE>((T *)a.y, i, a.n, x);
    }
}
} // namespace sqn

extern "C" sqn_status sqn_cuda_random(const sqn_k_random *a, void *stream) {
    if (a->n == 0) return SQN_OK;
    return sqn::by_float(a->dtype, [&](auto *type) {
        using T = std::remove_pointer_t<decltype(type)>;
        const bool wide = a->n % 4 == 0 && sqn::aligned16(a->y);
        const auto run = wide ? sqn::random_kernel<T, true> : sqn::random_kernel<T, false>;
        SQN_LAUNCH(run, sqn::grid_for(a->n, 1024), 256, 0, stream, *a);
        return sqn_cuda_launched();
    });
}

extern "C" sqn_status sqn_cuda_dropout(const sqn_k_dropout *a, void *stream) {
    if (a->n == 0) return SQN_OK;
    return sqn::by_float(a->dtype, [&](auto *type) {
        using T = std::remove_pointer_t<decltype(type)>;
        constexpr int V = sqn::dropout_pack<T>;
        const bool wide = a->n % V == 0 && sqn::all_aligned16(a->x, a->y);
        const auto run = wide ? sqn::dropout_kernel<T, true> : sqn::dropout_kernel<T, false>;
        SQN_LAUNCH(run, sqn::grid_for(a->n, 256 * V), 256, 0, stream, *a, (float)a->p,
                   (sqn::acc<T>)(1.0 / (1.0 - a->p)));
        return sqn_cuda_launched();
    });
}
