/* One AdamW step of many tensors.
 *
 * Versions: 1, a launch for each tensor, an element a thread; 2, a launch for all tensors of a type
 * in packs of 16 bytes, 8-bit codes from tables in shared memory, a warp to a scale (neither has
 * run on a card).
 */
#include "kernels/cuda/many.cuh"
#include "kernels/cuda/philox.cuh"

namespace sqn {
template <class A> struct adamw_factors {
    A keep, b1, b2, c2, eps, size, root;
    double scale;
    const double *scale_at;
    int stochastic;
    uint64_t seed, offset;
};
using adamw_table = many<sqn_k_adamw_tensor, 240>;
#ifdef SQN_EMULATE
constexpr int64_t adamw_piece = 512; /* so that small tensors have several */
#else
constexpr int64_t adamw_piece = 8192;
#endif
constexpr int adamw_threads = 256;

/* ---- 8-bit codes: kernels/cpu/state8.h states their values ---- */

struct state8 {
    float is_signed[129], is_unsigned[256];
};
/* Of code counted from zero on; computed in f64 and rounded once, as on the CPU. */
constexpr float state8_magnitude(int code, bool is_signed) {
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
constexpr state8 state8_make() {
    state8 all = {};
    for (int i = 0; i < 129; i++) all.is_signed[i] = state8_magnitude(i, true);
    for (int i = 0; i < 256; i++) all.is_unsigned[i] = state8_magnitude(i, false);
    return all;
}
__device__ constexpr state8 state8_all = state8_make();

/* The nearest of `high` + 1 rising values to x in [0, 1], of two equally near ones the smaller. */
__device__ __forceinline__ int state8_nearest(const float *values, int high, float x) {
    int low = 0;               /* values[low] <= x; values[high] > x or the end */
    if (!(x < 1)) return high; /* also what is not a number */
#pragma unroll 1               /* eight of them side by side would spill */
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if (values[middle] <= x)
            low = middle;
        else
            high = middle;
    }
    return values[high] - x < x - values[low] ? high : low;
}

/* ---- a step ---- */

/* x to one of its two neighbours in bf16, each as likely as it is near. */
__device__ __forceinline__ void store_stochastic(bf16 *p, float x, uint32_t bits16) {
    const uint32_t u = float_bits(x);
    if ((u & 0x7f800000u) == 0x7f800000u)
        store(p, x);
    else
        p->bits = (uint16_t)((u + bits16) >> 16);
}

template <class A>
__device__ __forceinline__ void adamw_element(const adamw_factors<A> &f, A g, A *m, A *v, A *w) {
    *w *= f.keep;
    *m += f.b1 * (g - *m);
    *v = f.b2 * *v + f.c2 * g * g;
    *w -= f.size * *m / (sqrt(*v) * f.root + f.eps);
}

/* Weights i to i + W - 1, from what was loaded of them. */
template <class T, int W>
__device__ __forceinline__ void store_weights(const sqn_k_adamw_tensor &t,
                                              const adamw_factors<acc<T>> &f, int64_t i,
                                              const acc<T> *w) {
    pack<T, W> p;
    if (t.master) {
        pack<float, W> full;
        for (int j = 0; j < W; j++) full.v[j] = (float)w[j];
        *(pack<float, W> *)((float *)t.master + i) = full;
    }
    if constexpr (std::is_same_v<T, bf16>) {
        if (f.stochastic) { /* W divides 8: all of them lie in one counter */
            const sqn_philox r = sqn_philox_at(f.seed, t.stream, f.offset + (uint64_t)i / 8);
#pragma unroll
            for (int j = 0; j < W; j++) { /* by comparisons: an index would put r into memory */
                const unsigned at = (unsigned)(i + j) & 7u, k = at / 2;
                const uint32_t word =
                    k < 2 ? (k == 0 ? r.v[0] : r.v[1]) : (k == 2 ? r.v[2] : r.v[3]);
                store_stochastic(&p.v[j], w[j], (at & 1u ? word >> 16 : word) & 0xffffu);
            }
            *(pack<T, W> *)((T *)t.param + i) = p;
            return;
        }
    }
    for (int j = 0; j < W; j++) store(&p.v[j], w[j]);
    *(pack<T, W> *)((T *)t.param + i) = p;
}

template <class T, int W>
__device__ __forceinline__ void load_weights(const sqn_k_adamw_tensor &t, int64_t i, acc<T> *w) {
    if (t.master) {
        const auto full = *(const pack<float, W> *)((const float *)t.master + i);
        for (int j = 0; j < W; j++) w[j] = (acc<T>)full.v[j];
    } else {
        const auto p = *(const pack<T, W> *)((const T *)t.param + i);
        for (int j = 0; j < W; j++) w[j] = load(p.v[j]);
    }
}

template <class T, class G, int W>
__device__ __forceinline__ void update(const sqn_k_adamw_tensor &t, const adamw_factors<acc<T>> &f,
                                       acc<T> scale, int64_t i) {
    using A = acc<T>;
    const auto g = *(const pack<G, W> *)((const G *)t.grad + i);
    auto m = *(const pack<A, W> *)((const A *)t.m + i);
    auto v = *(const pack<A, W> *)((const A *)t.v + i);
    A w[W];
    load_weights<T, W>(t, i, w);
#pragma unroll
    for (int j = 0; j < W; j++) adamw_element(f, (A)load(g.v[j]) * scale, &m.v[j], &v.v[j], &w[j]);
    *(pack<A, W> *)((A *)t.m + i) = m;
    *(pack<A, W> *)((A *)t.v + i) = v;
    store_weights<T, W>(t, f, i, w);
}

/* What gradients are multiplied by; false: nothing is to be done. */
template <class A> __device__ __forceinline__ bool scale_of(const adamw_factors<A> &f, A *scale) {
    const double factor = f.scale_at ? f.scale * *f.scale_at : f.scale;
    *scale = (A)factor;
    return fabs(factor) < (double)INFINITY;
}

template <class G> __device__ __forceinline__ bool wide_enough(const sqn_k_adamw_tensor &t) {
    return (((uintptr_t)t.param | (uintptr_t)t.master | (uintptr_t)t.grad | (uintptr_t)t.m |
             (uintptr_t)t.v) &
            15u) == 0;
}

/* A block to a piece. */
template <class T, class G>
__global__ void __launch_bounds__(adamw_threads, 4) /* more blocks would cost f16 a spill */
    adamw_kernel(SQN_PARAMETER adamw_table all, adamw_factors<acc<T>> f) {
    constexpr int W = 16 / sizeof(acc<T>);
    acc<T> scale;
    if (!scale_of(f, &scale)) return;
    const int me = owner_of(all, blockIdx.x);
    const sqn_k_adamw_tensor &t = all.of[me];
    const int64_t first = (int64_t)(blockIdx.x - all.first[me]) * adamw_piece;
    const int64_t end = first + adamw_piece < t.n ? first + adamw_piece : t.n;
    const bool wide = wide_enough<G>(t);
    for (int64_t i = first + (int64_t)threadIdx.x * W; i < end; i += adamw_threads * W) {
        if (wide && i + W <= end)
            update<T, G, W>(t, f, scale, i);
        else
            for (int64_t j = i; j < i + W && j < end; j++) update<T, G, 1>(t, f, scale, j);
    }
}

/* Moments as codes: a warp works on the SQN_STATE_BLOCK elements of a scale, each lane on packs of
 * 4 of them. */
template <class T, class G, bool WIDE>
__device__ void update8(const sqn_k_adamw_tensor &t, const adamw_factors<acc<T>> &f, acc<T> scale,
                        const state8 &values, int64_t b) {
    using A = acc<T>;
    constexpr int packs = SQN_STATE_BLOCK / 128;
    const int lane = (int)(threadIdx.x & 31u);
    A m[packs][4], v[packs][4], w[packs][4];
    float top_m = 0, top_v = 0;
    const float scale_m = t.m_scale[b], scale_v = t.v_scale[b];
#pragma unroll
    for (int k = 0; k < packs; k++) {
        const int64_t i = b * SQN_STATE_BLOCK + k * 128 + lane * 4;
        pack<G, 4> g = {};
        pack<uint8_t, 4> cm = {}, cv = {};
        const int live = t.n - i >= 4 ? 4 : t.n > i ? (int)(t.n - i) : 0;
        if (WIDE && live == 4) {
            g = *(const pack<G, 4> *)((const G *)t.grad + i);
            cm = *(const pack<uint8_t, 4> *)((const uint8_t *)t.m + i);
            cv = *(const pack<uint8_t, 4> *)((const uint8_t *)t.v + i);
            load_weights<T, 4>(t, i, w[k]);
        } else {
#pragma unroll
            for (int j = 0; j < 4; j++) {
                if (j >= live) continue;
                g.v[j] = ((const G *)t.grad)[i + j];
                cm.v[j] = ((const uint8_t *)t.m)[i + j], cv.v[j] = ((const uint8_t *)t.v)[i + j];
                load_weights<T, 1>(t, i + j, &w[k][j]);
            }
        }
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const int code = (int)cm.v[j] - 127;
            const float of_m = values.is_signed[code < 0 ? -code : code];
            m[k][j] = (A)((code < 0 ? -of_m : of_m) * scale_m);
            v[k][j] = (A)(values.is_unsigned[cv.v[j]] * scale_v);
            if (j >= live) continue;
            adamw_element(f, (A)load(g.v[j]) * scale, &m[k][j], &v[k][j], &w[k][j]);
            top_m = fmaxf(top_m, fabsf((float)m[k][j])); /* passes over NaN */
            top_v = fmaxf(top_v, fabsf((float)v[k][j]));
        }
    }
    top_m = warp_reduce(top_m, larger{});
    top_v = warp_reduce(top_v, larger{});
    const float share_m = top_m > 0 ? 1.0f / top_m : 0.0f,
                share_v = top_v > 0 ? 1.0f / top_v : 0.0f;
    if (lane == 0) t.m_scale[b] = top_m, t.v_scale[b] = top_v;
#pragma unroll
    for (int k = 0; k < packs; k++) {
        const int64_t i = b * SQN_STATE_BLOCK + k * 128 + lane * 4;
        const int live = t.n - i >= 4 ? 4 : t.n > i ? (int)(t.n - i) : 0;
        pack<uint8_t, 4> cm = {}, cv = {};
#pragma unroll
        for (int j = 0; j < 4; j++) {
            if (j >= live) continue;
            const float x = (float)m[k][j];
            const int c = state8_nearest(values.is_signed, 128, fabsf(x) * share_m);
            /* there is no -1 */
            cm.v[j] = (uint8_t)(x < 0 ? (c == 128 ? 0 : 127 - c) : 127 + c);
            cv.v[j] =
                (uint8_t)state8_nearest(values.is_unsigned, 255, fabsf((float)v[k][j]) * share_v);
        }
        if (WIDE && live == 4) {
            *(pack<uint8_t, 4> *)((uint8_t *)t.m + i) = cm;
            *(pack<uint8_t, 4> *)((uint8_t *)t.v + i) = cv;
            store_weights<T, 4>(t, f, i, w[k]);
        } else {
#pragma unroll
            for (int j = 0; j < 4; j++) {
                if (j >= live) continue;
                ((uint8_t *)t.m)[i + j] = cm.v[j], ((uint8_t *)t.v)[i + j] = cv.v[j];
                store_weights<T, 1>(t, f, i + j, &w[k][j]);
            }
        }
    }
}

template <class T, class G>
__global__ void __launch_bounds__(adamw_threads)
    adamw8_kernel(SQN_PARAMETER adamw_table all, adamw_factors<acc<T>> f) {
    SQN_SHARED(state8, values, 1);
    acc<T> scale;
    if (!scale_of(f, &scale)) return;
    for (int i = (int)threadIdx.x; i < 129 + 256; i += adamw_threads) {
        if (i < 129)
            values->is_signed[i] = state8_all.is_signed[i];
        else
            values->is_unsigned[i - 129] = state8_all.is_unsigned[i - 129];
    }
    __syncthreads();
    const int me = owner_of(all, blockIdx.x);
    const sqn_k_adamw_tensor &t = all.of[me];
    const int64_t first = (int64_t)(blockIdx.x - all.first[me]) * (adamw_piece / SQN_STATE_BLOCK);
    const int64_t blocks = (t.n + SQN_STATE_BLOCK - 1) / SQN_STATE_BLOCK;
    int64_t end = first + adamw_piece / SQN_STATE_BLOCK;
    if (end > blocks) end = blocks;
    const bool wide = wide_enough<G>(t);
    for (int64_t b = first + (threadIdx.x >> 5); b < end; b += adamw_threads / 32) {
        if (wide)
            update8<T, G, true>(t, f, scale, *values, b);
        else
            update8<T, G, false>(t, f, scale, *values, b);
    }
}

template <class T, class G> sqn_status adamw(const sqn_k_adamw *a, void *stream) {
    using A = acc<T>;
    const double step = (double)a->step;
    const adamw_factors<A> f = {(A)(1.0 - a->lr * a->weight_decay),
                                (A)(1.0 - a->beta1),
                                (A)a->beta2,
                                (A)(1.0 - a->beta2),
                                (A)a->eps,
                                (A)(a->lr / (1.0 - pow(a->beta1, step))),
                                (A)(1.0 / sqrt(1.0 - pow(a->beta2, step))),
                                a->grad_scale,
                                a->grad_scale_at,
                                a->stochastic,
                                a->seed,
                                a->offset};
    const auto run = a->tensors->m_scale ? adamw8_kernel<T, G> : adamw_kernel<T, G>;
    adamw_table all = {};
    for (int64_t i = 0; i < a->count; i++) {
        const sqn_k_adamw_tensor &t = a->tensors[i];
        const unsigned before = all.first[all.count];
        if (t.n > 0) all.of[all.count++] = t;
        all.first[all.count] = before + (unsigned)ceil_div(t.n, adamw_piece);
        if (all.count > 0 && (all.count == adamw_table::most || i + 1 == a->count)) {
            SQN_LAUNCH(run, all.first[all.count], adamw_threads, 0, stream, all, f);
            all.count = 0;
        }
    }
    return sqn_cuda_launched();
}
} // namespace sqn

extern "C" sqn_status sqn_cuda_adamw(const sqn_k_adamw *a, void *stream) {
    for (int64_t i = 0; i < a->count; i++)
        if (a->stochastic && (a->dtype != SQN_BF16 || a->tensors[i].master)) return SQN_MISUSE;
    if (a->count == 0) return SQN_OK;
    return sqn::by_float(a->dtype, [&](auto *type) {
        using T = std::remove_pointer_t<decltype(type)>;
        if (a->grad_dtype == a->dtype) return sqn::adamw<T, T>(a, stream);
        if (sizeof(T) != 2 || a->grad_dtype != SQN_F32) return SQN_MISUSE;
        return sqn::adamw<T, sqn::acc<T>>(a, stream);
    });
}
