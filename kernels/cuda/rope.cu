/* Rotary embedding: a thread rotates V pairs (i, i + dim/2) side by side. y may be x. */
#include "kernels/cuda/pack.cuh"

namespace sqn {
template <class T, int V> __global__ void rope_kernel(sqn_k_rope a, previous before) {
    using A = acc<T>;
    before.wait_then_let_next_start();
    const int64_t half = a.dim / 2, packs = half / V, heads = a.heads[0] + a.heads[1];
    const int64_t total = a.tokens * heads * packs;
    const int64_t step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < total; i += step) {
        const quotient row = divide(i, packs);
        const int64_t c = row.rest * V;
        const quotient token = divide(row.whole, heads);
        const bool of = token.rest >= a.heads[0];
        const int64_t head = token.rest - (of ? a.heads[0] : 0);
        const int64_t in = (token.whole * (of ? a.heads[1] : a.heads[0]) + head) * a.dim + c;
        const int64_t at = a.positions[token.whole] * half + c;
        const T *x = (const T *)(of ? a.x[1] : a.x[0]) + in;
        T *y = (T *)(of ? a.y[1] : a.y[0]) + in;
        auto first = *(const pack<T, V> *)x, second = *(const pack<T, V> *)(x + half);
        const auto cosine = *(const pack<A, V> *)((const A *)a.cosine + at);
        const auto sine = *(const pack<A, V> *)((const A *)a.sine + at);
        for (int j = 0; j < V; j++) {
            const A p = load(first.v[j]), q = load(second.v[j]);
            const A s = a.backward ? -sine.v[j] : sine.v[j];
            store(&first.v[j], p * cosine.v[j] - q * s);
            store(&second.v[j], q * cosine.v[j] + p * s);
        }
        put_pack(y, first);
        put_pack(y + half, second);
    }
}
} // namespace sqn

extern "C" sqn_status sqn_cuda_rope(const sqn_k_rope *a, void *stream) {
    const int64_t half = a->dim / 2, pairs = a->tokens * (a->heads[0] + a->heads[1]) * half;
    if (pairs == 0) return SQN_OK;
    return sqn::by_float(a->dtype, [&](auto *type) {
        using T = std::remove_pointer_t<decltype(type)>;
        constexpr int V = sqn::per_pack<T>;
        const bool wide = half % V == 0 && sqn::all_aligned16(a->x[0], a->x[1], a->y[0], a->y[1],
                                                              a->cosine, a->sine);
        const auto run = wide ? sqn::rope_kernel<T, V> : sqn::rope_kernel<T, 1>;
        SQN_LAUNCH_DEPENDENT(run, sqn::grid_for(pairs, 256 * (wide ? V : 1)), 256, 0, stream, *a);
        return sqn_cuda_launched();
    });
}
