/* What every CUDA kernel file stands on: types, launches, reductions, scratch memory.
 *
 * Rules: the same source compiles with nvcc and, with SQN_EMULATE, with the host's C++ compiler
 * against tests/gpu/emulate.h. Kernels are deterministic: sums run in an order that depends on
 * sizes only, never on timing (no floating-point atomics). Blocks have a multiple of 32 threads.
 * Shared memory is declared by SQN_SHARED (fixed size) or SQN_SHARED_DYNAMIC (by the launch). Every
 * pointer of a kernel's struct is device memory; scalars are the host's.
 */
#ifndef SQN_KERNELS_CUDA_H
#define SQN_KERNELS_CUDA_H

#ifdef SQN_EMULATE
#include "tests/gpu/emulate.h"
#define SQN_TEXT_OF(x) #x
#define SQN_TEXT(x) SQN_TEXT_OF(x)
#define SQN_LAUNCH(kernel, grid, block, shared, stream, ...)                                      \
    (sqn_cuda_count_launch(), emu::launch(#kernel " of " __FILE__ ":" SQN_TEXT(__LINE__), kernel, \
                                          grid, block, shared, stream, __VA_ARGS__))
#define SQN_SHARED(type, name, count) \
    static const char name##_key = 0; \
    type *name = (type *)emu::static_shared(&name##_key, sizeof(type) * (count))
#define SQN_SHARED_DYNAMIC(type, name) type *name = (type *)emu::dynamic_shared()
#else
#include <cuda_runtime.h>
#include <math.h>
#include <stdint.h>
#define SQN_LAUNCH(kernel, grid, block, shared, stream, ...) \
    (sqn_cuda_count_launch(), kernel<<<grid, block, shared, (cudaStream_t)(stream)>>>(__VA_ARGS__))
#define SQN_SHARED(type, name, count) __shared__ type name[count]
#define SQN_SHARED_DYNAMIC(type, name)                                 \
    extern __shared__ __align__(128) unsigned char sqn_shared_bytes[]; \
    type *name = (type *)sqn_shared_bytes
#endif

#include <initializer_list>
#include <type_traits>

extern "C" {
#include "kernels/cuda/host.h"
#include "kernels/kernels.h"
}

namespace sqn {
constexpr unsigned all_lanes = 0xffffffffu;

/* ---- scalars: storage types and their accumulators ---- */

struct bf16 {
    uint16_t bits;
};
struct f16 {
    uint16_t bits;
};

template <class T> struct accumulator { using type = float; };
template <> struct accumulator<double> { using type = double; };
template <class T> using acc = typename accumulator<T>::type;

__host__ __device__ __forceinline__ uint32_t float_bits(float f) {
    union {
        float f;
        uint32_t u;
    } v;
    v.f = f;
    return v.u;
}
__host__ __device__ __forceinline__ float bits_float(uint32_t u) {
    union {
        uint32_t u;
        float f;
    } v;
    v.u = u;
    return v.f;
}

__device__ __forceinline__ float load(float v) { return v; }
__device__ __forceinline__ double load(double v) { return v; }
__device__ __forceinline__ float load(bf16 v) { return bits_float((uint32_t)v.bits << 16); }
__device__ __forceinline__ float load(f16 v) {
#ifdef __CUDA_ARCH__
    float f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(v.bits));
    return f;
#else /* exact; subnormals by scaling */
    uint32_t sign = (uint32_t)(v.bits & 0x8000u) << 16, rest = v.bits & 0x7fffu;
    if (rest >= 0x7c00u) return bits_float(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
    float scaled = bits_float(rest << 13) * 0x1p112f;
    return bits_float(sign | float_bits(scaled));
#endif
}

__device__ __forceinline__ void store(float *p, float v) { *p = v; }
__device__ __forceinline__ void store(double *p, double v) { *p = v; }
/* To the nearest even; NaN stays NaN. */
__device__ __forceinline__ void store(bf16 *p, float v) {
#ifdef __CUDA_ARCH__
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(p->bits) : "f"(v));
#else
    uint32_t u = float_bits(v);
    uint32_t rounded = (u + 0x7fffu + (u >> 16 & 1u)) >> 16;
    p->bits = (uint16_t)((u & 0x7fffffffu) > 0x7f800000u ? (u >> 16 | 0x40u) : rounded);
#endif
}
__device__ __forceinline__ void store(f16 *p, float v) {
#ifdef __CUDA_ARCH__
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(p->bits) : "f"(v));
#else
    uint32_t u = float_bits(v), sign = u >> 16 & 0x8000u, a = u & 0x7fffffffu, h;
    if (a > 0x7f800000u)
        h = 0x7e00u;
    else if (a >= 0x477ff000u) /* rounds to 65536 or more */
        h = 0x7c00u;
    else if (a < 0x38800000u) { /* subnormal: the adder rounds */
        h = float_bits(bits_float(a) + 0.5f) - 0x3f000000u;
    } else
        h = (a - 0x38000000u + 0xfffu + (a >> 13 & 1u)) >> 13;
    p->bits = (uint16_t)(sign | h);
#endif
}

/* ---- sums and maxima of a warp and of a block: fixed trees ---- */

struct plus {
    template <class A> __device__ __forceinline__ A operator()(A a, A b) const { return a + b; }
};
struct larger { /* NaN wins */
    template <class A> __device__ __forceinline__ A operator()(A a, A b) const {
        return a > b || a != a ? a : b;
    }
};

/* v of the lane whose number differs in these bits; there is one for each struct that is reduced.
 */
template <class A> __device__ __forceinline__ A other_lane(A v, int bits) {
    return __shfl_xor_sync(all_lanes, v, bits);
}
template <class A, class F> __device__ __forceinline__ A warp_reduce(A v, F f) {
    for (int bits = 16; bits > 0; bits >>= 1) v = f(v, other_lane(v, bits));
    return v;
}

/* Every thread gets the result. `empty` is what threads without a value stand for. The block has
 * one dimension. */
template <class A, class F> __device__ A block_reduce(A v, F f, A empty) {
    SQN_SHARED(A, part, 32);
    int lane = (int)(threadIdx.x & 31u), wid = (int)(threadIdx.x >> 5),
        warps = (int)(blockDim.x >> 5);
    v = warp_reduce(v, f);
    __syncthreads(); /* the previous call's readers are done */
    if (lane == 0) part[wid] = v;
    __syncthreads();
    return warp_reduce(lane < warps ? part[lane] : empty, f);
}

/* i / d and i % d of numbers that are not negative; 32-bit division is far cheaper. */
struct quotient {
    int64_t whole, rest;
};
__device__ __forceinline__ quotient divide(int64_t i, int64_t d) {
    if ((i | d) <= 0xffffffff) {
        const uint32_t whole = (uint32_t)i / (uint32_t)d;
        return {whole, (uint32_t)i - whole * (uint32_t)d};
    }
    return {i / d, i % d};
}

/* ---- launches ---- */

/* The last parameter of a kernel that may start while the one before it still runs (programmatic
 * dependent launch, Hopper on): it calls wait() before it reads or writes what others do. Launched
 * by SQN_LAUNCH_DEPENDENT, so that one kernel's start hides behind another's end. */
struct previous {
    using starts_early = void;
    /* The kernel after this one may start, when all blocks of this one have said so or ended. */
    __device__ __forceinline__ void let_next_start() const {
#if !defined SQN_EMULATE && defined __CUDA_ARCH__ && __CUDA_ARCH__ >= 900
        asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
    }
    /* Until all that was launched before has ended, its writes in sight. */
    __device__ __forceinline__ void wait() const {
#ifdef SQN_EMULATE
        emu::previous_has_ended();
#elif defined __CUDA_ARCH__ && __CUDA_ARCH__ >= 900
        asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
    }
    __device__ __forceinline__ void wait_then_let_next_start() const {
        wait();
        let_next_start();
    }
};

#ifdef SQN_EMULATE
#define SQN_LAUNCH_DEPENDENT(kernel, grid, block, shared, stream, ...) \
    SQN_LAUNCH(kernel, grid, block, shared, stream, __VA_ARGS__, sqn::previous{})
#else
#define SQN_LAUNCH_DEPENDENT(kernel, grid, block, shared, stream, ...) \
    sqn::launch_dependent(kernel, grid, block, shared, stream, __VA_ARGS__, sqn::previous{})

/* What it fails with is told by sqn_cuda_launched. */
template <class F, class... A>
void launch_dependent(F *kernel, dim3 grid, dim3 block, size_t shared, void *stream,
                      A... argument) {
    cudaLaunchAttribute early = {};
    early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    early.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t how = {};
    how.gridDim = grid, how.blockDim = block;
    how.dynamicSmemBytes = shared, how.stream = (cudaStream_t)stream;
    how.attrs = &early;
    how.numAttrs = sqn_cuda_capability() >= 90 ? 1 : 0;
    sqn_cuda_count_launch();
    cudaLaunchKernelEx(&how, kernel, argument...);
}
#endif

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
#ifdef SQN_EMULATE
constexpr int64_t most_blocks = 2; /* so that small tests run the loops over rows, too */
#else
constexpr int64_t most_blocks = 4096; /* fills a card */
#endif
/* Blocks for a loop with a stride over n elements. */
inline unsigned grid_for(int64_t n, int64_t per_block) {
    int64_t blocks = ceil_div(n, per_block);
    return (unsigned)(blocks < 1 ? 1 : blocks > most_blocks ? most_blocks : blocks);
}
/* Threads for a row of n: a warp to 1024. */
constexpr unsigned most_threads = 1024; /* the launch bound of who takes as many as these */
inline unsigned threads_for(int64_t n) {
    unsigned t = 32;
    while (t < most_threads && (int64_t)t * 4 < n) t *= 2;
    return t;
}

/* Calls f with a null pointer of the storage type of dtype. SQN_MISUSE for other types. */
template <class F> sqn_status by_float(sqn_dtype dtype, F f) {
    switch (dtype) {
    case SQN_F32:
        return f((float *)nullptr);
    case SQN_BF16:
        return f((bf16 *)nullptr);
    case SQN_F16:
        return f((f16 *)nullptr);
    case SQN_F64:
        return f((double *)nullptr);
    default:
        return SQN_MISUSE;
    }
}
} // namespace sqn

#endif
