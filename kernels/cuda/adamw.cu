/* One AdamW step of one tensor, and the sum of squares for the norm. */
#include "kernels/cuda/cuda.cuh"
#include "kernels/cuda/philox.cuh"

namespace sqn {
template <class A> struct adamw_factors { A keep, b1, b2, c2, eps, size, root, scale; };

/* Values of the 8-bit codes: kernels/cpu/state8.h states them. The constants are computed in f64
 * and rounded once, as there. */
__device__ float state8_magnitude(int code, bool is_signed) { /* of code counted from zero on */
    if (code == 0) return 0;
    if (code == (is_signed ? 128 : 255)) return 1;
    const int first = is_signed ? 0 : 1; /* decade i starts at code 2^i, or 2^(i+1) - 1 */
    int decade = 0;
    while (decade < 6 && code >= (is_signed ? 2 << decade : (4 << decade) - 1)) decade++;
    const int parts = (is_signed ? 1 : 2) << decade, k = code - (parts - first);
    double unit = 1e-6;
    for (int i = 0; i < decade; i++) unit *= 10;
    return (float)(unit * (0.1 + 0.9 * (k + 0.5) / parts));
}
__device__ float state8_value(uint8_t code, bool is_signed) {
    if (!is_signed) return state8_magnitude(code, false);
    return code >= 127 ? state8_magnitude(code - 127, true) : -state8_magnitude(127 - code, true);
}
/* The nearest code of x in [0, 1], of two equally near ones the smaller. */
__device__ int state8_nearest(float x, bool is_signed) {
    int low = 0, high = is_signed ? 128 : 255; /* value(low) <= x; value(high) > x or the end */
    if (x >= 1) return high;
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if (state8_magnitude(middle, is_signed) <= x)
            low = middle;
        else
            high = middle;
    }
    return state8_magnitude(high, is_signed) - x < x - state8_magnitude(low, is_signed) ? high
                                                                                        : low;
}
/* Every thread of the block encodes its value; gives the block's scale. */
__device__ float state8_encode(float x, bool is_signed, uint8_t *code) {
    const float scale = block_reduce(x == x ? fabsf(x) : 0.0f, larger{}, 0.0f);
    float share = fabsf(x) * (scale > 0 ? 1.0f / scale : 0.0f);
    if (!(share <= 1)) share = 1; /* also what is not a number */
    int c = state8_nearest(share, is_signed);
    if (is_signed) c = x < 0 ? (c == 128 ? 0 : 127 - c) : 127 + c; /* there is no -1 */
    *code = (uint8_t)c;
    return scale;
}

/* x to one of its two neighbours in bf16, each as likely as it is near. */
__device__ void store_stochastic(bf16 *p, float x, uint32_t bits16) {
    const uint32_t u = float_bits(x);
    if ((u & 0x7f800000u) == 0x7f800000u)
        store(p, x);
    else
        p->bits = (uint16_t)((u + bits16) >> 16);
}

/* Threads: one an element; blocks of SQN_STATE_BLOCK, which share a scale. */
template <class T, class G> __global__ void adamw_kernel(sqn_k_adamw a, adamw_factors<acc<T>> f) {
    using A = acc<T>;
    T *p = (T *)a.param;
    float *master = (float *)a.master;
    const int64_t blocks = (a.n + SQN_STATE_BLOCK - 1) / SQN_STATE_BLOCK;
    for (int64_t b = blockIdx.x; b < blocks; b += gridDim.x) {
        const int64_t i = b * SQN_STATE_BLOCK + threadIdx.x;
        const bool in = i < a.n;
        A m = 0, v = 0, w = 0;
        if (in) {
            const A g = (A)load(((const G *)a.grad)[i]) * f.scale;
            m = a.m_scale ? (A)(state8_value(((const uint8_t *)a.m)[i], true) * a.m_scale[b])
                          : ((const A *)a.m)[i];
            v = a.m_scale ? (A)(state8_value(((const uint8_t *)a.v)[i], false) * a.v_scale[b])
                          : ((const A *)a.v)[i];
            w = (master ? (A)master[i] : load(p[i])) * f.keep;
            m += f.b1 * (g - m);
            v = f.b2 * v + f.c2 * g * g;
            w -= f.size * m / (sqrt(v) * f.root + f.eps);
        }
        if (a.m_scale) {
            uint8_t code_m, code_v;
            const float scale_m = state8_encode((float)m, true, &code_m);
            const float scale_v = state8_encode((float)v, false, &code_v);
            if (threadIdx.x == 0) a.m_scale[b] = scale_m, a.v_scale[b] = scale_v;
            if (in) ((uint8_t *)a.m)[i] = code_m, ((uint8_t *)a.v)[i] = code_v;
        } else if (in) {
            ((A *)a.m)[i] = m;
            ((A *)a.v)[i] = v;
        }
        if (!in) continue;
        if (master) master[i] = (float)w;
        if constexpr (std::is_same_v<T, bf16>) {
            if (a.stochastic) {
                const sqn_philox r = sqn_philox_at(a.seed, a.stream, a.offset + (uint64_t)i / 8);
                store_stochastic(p + i, w, r.v[i % 8 / 2] >> (i % 2 ? 16 : 0) & 0xffffu);
                continue;
            }
        }
        store(p + i, w);
    }
}

template <class T> sqn_status adamw(const sqn_k_adamw *a, void *stream) {
    using A = acc<T>;
    const double step = (double)a->step;
    const adamw_factors<A> f = {(A)(1.0 - a->lr * a->weight_decay),
                                (A)(1.0 - a->beta1),
                                (A)a->beta2,
                                (A)(1.0 - a->beta2),
                                (A)a->eps,
                                (A)(a->lr / (1.0 - pow(a->beta1, step))),
                                (A)(1.0 / sqrt(1.0 - pow(a->beta2, step))),
                                (A)a->grad_scale};
    return by_float(a->grad_dtype, [&](auto *type) {
        auto run = adamw_kernel<T, std::remove_pointer_t<decltype(type)>>;
        SQN_LAUNCH(run, grid_for(a->n, SQN_STATE_BLOCK), SQN_STATE_BLOCK, 0, stream, *a, f);
        return sqn_cuda_launched();
    });
}

constexpr int64_t norm_piece = 65536, norm_pieces = 1024;

template <class T>
__global__ void norm_parts_kernel(const T *x, double *parts, int64_t n, int64_t size) {
    const int64_t first = blockIdx.x * size, end = first + size < n ? first + size : n;
    double sum = 0;
    for (int64_t i = first + threadIdx.x; i < end; i += blockDim.x)
        sum += (double)load(x[i]) * (double)load(x[i]);
    sum = block_reduce(sum, plus{}, 0.0);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

__global__ void norm_sum_kernel(const double *parts, double *sum, int64_t n) {
    double all = 0;
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) all += parts[i];
    all = block_reduce(all, plus{}, 0.0);
    if (threadIdx.x == 0) *sum = all;
}
} // namespace sqn

extern "C" sqn_status sqn_cuda_adamw(const sqn_k_adamw *a, void *stream) {
    if (a->n == 0) return SQN_OK;
    if (a->stochastic && (a->dtype != SQN_BF16 || a->master)) return SQN_MISUSE;
    return sqn::by_float(a->dtype, [&](auto *type) {
        return sqn::adamw<std::remove_pointer_t<decltype(type)>>(a, stream);
    });
}

/* *sum is device memory. */
extern "C" sqn_status sqn_cuda_norm_sq(const sqn_k_norm_sq *a, void *stream) {
    int64_t size = sqn::ceil_div(a->n, sqn::norm_pieces);
    if (size < sqn::norm_piece) size = sqn::norm_piece;
    const int64_t pieces = sqn::ceil_div(a->n, size);
    double *parts = (double *)sqn_cuda_scratch((size_t)(pieces + 1) * sizeof(double), stream);
    if (parts == nullptr) return SQN_NOMEM;
    sqn_status status = sqn::by_float(a->dtype, [&](auto *type) {
        using T = std::remove_pointer_t<decltype(type)>;
        if (pieces > 0) {
            auto run = sqn::norm_parts_kernel<T>;
            SQN_LAUNCH(run, (unsigned)pieces, 256, 0, stream, (const T *)a->x, parts, a->n, size);
        }
        auto run = sqn::norm_sum_kernel;
        SQN_LAUNCH(run, 1, 256, 0, stream, parts, a->sum, pieces);
        return sqn_cuda_launched();
    });
    sqn_cuda_scratch_release(parts, stream);
    return status;
}
