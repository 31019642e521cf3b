/* 2-norms of groups of tensors and of all, and the factor that clips them. */
#include "kernels/cuda/many.cuh"

namespace sqn {
struct norm_item {
    const void *x;
    int64_t n;
};
using norm_table = many<norm_item, 480>;
struct norm_groups {
    static constexpr int most = 256;
    int count;
    unsigned first[most + 1]; /* the part that each one begins with */
};
constexpr int norm_threads = 256, norm_last_threads = 1024;

constexpr int norm_packs = 4;

/* The sum of the squares of packs that a thread holds: in the accumulator type, whose error is that
 * of some 30 additions; in f64 where f32 would overflow or lose them. Only if they are all smaller
 * than 2^-75 they count as nothing. */
template <class T, int W>
__device__ __forceinline__ double squares(const pack<T, W> (&p)[norm_packs]) {
    using A = acc<T>;
    A all = 0;
#pragma unroll
    for (int k = 0; k < norm_packs; k++) {
        A some = 0;
        for (int j = 0; j < W; j++) some += load(p[k].v[j]) * load(p[k].v[j]);
        all += some;
    }
    if (sizeof(A) == 8 || all == 0 || (all > (A)0x1p-100 && all < (A)0x1p100)) return (double)all;
    double exact = 0;
#pragma unroll
    for (int k = 0; k < norm_packs; k++)
        for (int j = 0; j < W; j++) exact += (double)load(p[k].v[j]) * (double)load(p[k].v[j]);
    return exact;
}

/* parts[block] = sum of the squares of a piece of `size` elements. */
template <class T>
__global__ void __launch_bounds__(norm_threads)
    norm_parts_kernel(SQN_PARAMETER norm_table all, double *parts, int64_t size) {
    constexpr int W = per_pack<T>;
    const int me = owner_of(all, blockIdx.x);
    const int64_t n = all.of[me].n, first = (int64_t)(blockIdx.x - all.first[me]) * size;
    const int64_t end = first + size < n ? first + size : n;
    const T *x = (const T *)all.of[me].x;
    const bool wide = ((uintptr_t)x & 15u) == 0;
    double sum = 0;
    for (int64_t i = first + (int64_t)threadIdx.x * W; i < end;
         i += norm_packs * norm_threads * W) {
        pack<T, W> p[norm_packs];
#pragma unroll
        for (int k = 0; k < norm_packs; k++) {
            const int64_t at = i + k * norm_threads * W;
            if (wide && at + W <= end)
                p[k] = read_pack<true>(x, at, end);
            else
                p[k] = read_pack<false>(x, at, end);
        }
        sum += squares(p);
    }
    sum = block_reduce(sum, plus{}, 0.0);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

/* One block: the norms of some groups, and behind the last of `all` groups what is made of them
 * (all is -1 before). */
__global__ void norm_groups_kernel(SQN_PARAMETER norm_groups groups, const double *parts,
                                   double *norms, int64_t all, double max, double *factor) {
    for (int g = 0; g < groups.count; g++) {
        double sum = 0;
#pragma unroll 4
        for (unsigned i = groups.first[g] + threadIdx.x; i < groups.first[g + 1]; i += blockDim.x)
            sum += parts[i];
        sum = block_reduce(sum, plus{}, 0.0);
        if (threadIdx.x == 0) norms[1 + g] = sqrt(sum);
    }
    if (threadIdx.x != 0 || all < 0) return;
    norms += groups.count - all; /* to where the first group's launch had them */
    double norm = all == 1 ? norms[1] : 0;
    for (int64_t g = 1; g <= all && all > 1; g++) norm += norms[g] * norms[g];
    norms[0] = norm = all > 1 ? sqrt(norm) : norm;
    if (factor == nullptr) return;
    const double most = max > 0 ? max / (norm + 1e-6) : 1.0;
    *factor = !(norm < (double)INFINITY) ? (double)NAN : most < 1.0 ? most : 1.0;
}

/* Elements of a piece: at least 65536, and some thousands of pieces at most. */
inline int64_t norm_piece(const sqn_k_norms *a) {
    int64_t n = 0;
#ifdef SQN_EMULATE
    const int64_t least = 4096; /* so that small tensors have several */
#else
    const int64_t least = 65536;
#endif
    for (int64_t i = 0; i < a->count; i++) n += a->tensors[i].n;
    return ceil_div(ceil_div(n, 8192) > least ? ceil_div(n, 8192) : least, 4096) * 4096;
}

sqn_status norm_parts(const sqn_k_norms *a, int64_t size, double *parts, void *stream) {
    norm_table all = {};
    unsigned before = 0;
    for (int64_t i = 0; i < a->count; i++) {
        const sqn_k_norms_tensor &t = a->tensors[i];
        const unsigned end = all.first[all.count] + (unsigned)ceil_div(t.n, size);
        if (t.n > 0) all.of[all.count++] = {t.x, t.n};
        all.first[all.count] = end;
        const bool last = i + 1 == a->count || a->tensors[i + 1].dtype != t.dtype;
        if (all.count == 0 || (!last && all.count < norm_table::most)) continue;
        const sqn_status status = by_float(t.dtype, [&](auto *type) {
            auto run = norm_parts_kernel<std::remove_pointer_t<decltype(type)>>;
            SQN_LAUNCH(run, end, norm_threads, 0, stream, all, parts + before, size);
            return sqn_cuda_launched();
        });
        if (status != SQN_OK) return status;
        before += end;
        all.count = 0;
    }
    return SQN_OK;
}

sqn_status norm_sums(const sqn_k_norms *a, int64_t size, const double *parts, void *stream) {
    auto run = norm_groups_kernel;
    unsigned at = 0;
    int64_t g = 0;
    do {
        norm_groups some = {};
        double *norms = a->norms + g;
        some.first[0] = at;
        for (; g < a->groups && some.count < norm_groups::most; g++) {
            for (int64_t i = a->start[g]; i < a->start[g + 1]; i++)
                at += (unsigned)ceil_div(a->tensors[i].n, size);
            some.first[++some.count] = at;
        }
        SQN_LAUNCH(run, 1, norm_last_threads, 0, stream, some, parts, norms,
                   g == a->groups ? a->groups : (int64_t)-1, a->max, a->factor);
    } while (g < a->groups);
    return sqn_cuda_launched();
}
} // namespace sqn

extern "C" sqn_status sqn_cuda_norms(const sqn_k_norms *a, void *stream) {
    const int64_t size = sqn::norm_piece(a);
    int64_t pieces = 0;
    for (int64_t i = 0; i < a->count; i++) pieces += sqn::ceil_div(a->tensors[i].n, size);
    double *parts = (double *)sqn_cuda_scratch((size_t)(pieces + 1) * sizeof(double), stream);
    if (parts == nullptr) return SQN_NOMEM;
    sqn_status status = sqn::norm_parts(a, size, parts, stream);
    if (status == SQN_OK) status = sqn::norm_sums(a, size, parts, stream);
    sqn_cuda_scratch_release(parts, stream);
    return status;
}
