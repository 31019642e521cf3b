/* CUDA on the host: kernels compiled by the C++ compiler run with one fibre a thread.
 *
 * Rules: blocks run one after another; between two barriers the threads of a block run in random
 * order (emu::seed), each until it reaches the next barrier or warp instruction, so that a missing
 * barrier shows. Shared and device memory start as NaN (0xff bytes) and are fenced by canaries.
 * What hardware leaves undefined ends the program with the kernel's name and the thread: barriers
 * that not all threads reach at the same line, warp instructions whose lanes disagree, blocks that
 * are no multiple of a warp. Source: CUDA C++ Programming Guide, PTX ISA (fragment layouts).
 */
#ifndef SQN_TESTS_GPU_EMULATE_H
#define SQN_TESTS_GPU_EMULATE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "tests/gpu/launch.h"

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(8) uint2 {
    uint32_t x, y;
};
struct alignas(16) uint4 {
    uint32_t x, y, z, w;
};

namespace emu {
constexpr int warp = 32, value_bytes = 48;

/* What the thread that runs now sees. */
struct place {
    dim3 thread, block, threads, blocks;
    unsigned lane;
};
extern place now;

using site = std::pair<const char *, int>; /* file and line of a barrier */

extern site dropped;              /* a barrier that does nothing: the control of the tests */
extern std::set<site> barriers;   /* every block barrier that was reached */
extern std::set<site> warp_sites; /* every __syncwarp that was reached */

void sync_block(const char *file, int line);
void sync_warp(unsigned mask, const char *file, int line);
/* All lanes of `mask` meet here, each with `bytes` (at most value_bytes); gives the 32 values. */
const char (*exchange(unsigned mask, const void *value, size_t bytes, const char *file,
                      int line))[value_bytes];
void *dynamic_shared();
void *static_shared(const void *key, size_t bytes); /* one array a block and declaration */

/* Device memory. */
void *allocate(size_t bytes);
void release(void *p);
void check_canaries(); /* ends the program if one was written over */

/* cp.async: copies wait for their group; a seed decides whether they happen early or late. */
void copy_async(void *to, const void *from, size_t bytes, size_t zero_bytes);
void commit_async();
void wait_async(int groups_left);

template <class T, class = void> constexpr bool starts_early = false;
template <class T> constexpr bool starts_early<T, typename T::starts_early> = true;

/* The arguments are copied now, as the kernel's parameters. */
template <class... P, class... A>
void launch(const char *name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared,
            void *stream, A... arguments) {
    static_assert((sizeof(P) + ... + 0) <= 32764,
                  "more parameters than a kernel takes (CUDA 12.1)");
    submit({name,
            (const void *)kernel,
            {grid.x, grid.y, grid.z},
            {block.x, block.y, block.z},
            shared,
            shared_default,
            stream,
            (starts_early<P> || ...),
            [kernel, held = std::tuple<P...>(arguments...)] { std::apply(kernel, held); }});
}

template <class T> T shuffle(unsigned mask, T v, unsigned from, const char *file, int line) {
    static_assert(sizeof(T) <= value_bytes, "a shuffle moves up to 48 bytes");
    const char(*all)[value_bytes] = exchange(mask, &v, sizeof v, file, line);
    T out;
    memcpy(&out, all[from % warp], sizeof out);
    return out;
}
inline unsigned ballot(unsigned mask, bool v, const char *file, int line) {
    const char(*all)[value_bytes] = exchange(mask, &v, sizeof v, file, line);
    unsigned out = 0;
    for (unsigned i = 0; i < (unsigned)warp; i++)
        out |= (unsigned)((mask >> i & 1) && all[i][0] != 0) << i;
    return out;
}
} // namespace emu

enum { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
template <class F> int cudaFuncSetAttribute(F *kernel, int attribute, int value) {
    return attribute == cudaFuncAttributeMaxDynamicSharedMemorySize
               ? emu::set_shared_limit((const void *)kernel, value)
               : 0;
}

#define __global__ static
#define __device__
#define __host__
#define __forceinline__ inline
#define __grid_constant__
#define __launch_bounds__(...)
#define threadIdx (emu::now.thread)
#define blockIdx (emu::now.block)
#define blockDim (emu::now.threads)
#define gridDim (emu::now.blocks)
#define __syncthreads() emu::sync_block(__FILE__, __LINE__)
#define __syncwarp(...) emu::sync_warp(0xffffffffu, __FILE__, __LINE__)
#define __shfl_sync(mask, v, from) emu::shuffle(mask, v, (unsigned)(from), __FILE__, __LINE__)
#define __shfl_xor_sync(mask, v, bits) \
    emu::shuffle(mask, v, emu::now.lane ^ (unsigned)(bits), __FILE__, __LINE__)
#define __shfl_down_sync(mask, v, delta)                                                    \
    emu::shuffle(mask, v,                                                                   \
                 emu::now.lane + (unsigned)(delta) < 32 ? emu::now.lane + (unsigned)(delta) \
                                                        : emu::now.lane,                    \
                 __FILE__, __LINE__)
#define __shfl_up_sync(mask, v, delta)                                                  \
    emu::shuffle(mask, v,                                                               \
                 emu::now.lane >= (unsigned)(delta) ? emu::now.lane - (unsigned)(delta) \
                                                    : emu::now.lane,                    \
                 __FILE__, __LINE__)
#define __ballot_sync(mask, v) emu::ballot(mask, (v) != 0, __FILE__, __LINE__)
#define __any_sync(mask, v) (emu::ballot(mask, (v) != 0, __FILE__, __LINE__) != 0)
#define __all_sync(mask, v) (emu::ballot(mask, (v) != 0, __FILE__, __LINE__) == (mask))

/* Threads run one at a time: a plain read and write is atomic. */
template <class T, class V> T atomicAdd(T *p, V v) { return std::exchange(*p, *p + (T)v); }
template <class T, class V> T atomicMax(T *p, V v) { return std::exchange(*p, std::max(*p, (T)v)); }
template <class T, class V> T atomicMin(T *p, V v) { return std::exchange(*p, std::min(*p, (T)v)); }
template <class T, class V> T atomicOr(T *p, V v) { return std::exchange(*p, *p | (T)v); }
template <class T, class V> T atomicExch(T *p, V v) { return std::exchange(*p, (T)v); }
template <class T> T atomicCAS(T *p, T expected, T v) {
    T old = *p;
    if (old == expected) *p = v;
    return old;
}
inline void __threadfence() {}

using std::max;
using std::min;
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __uint_as_float(uint32_t u) {
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}
inline uint32_t __float_as_uint(float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}
inline int __float_as_int(float f) { return (int)__float_as_uint(f); }
inline int __popc(unsigned v) { return __builtin_popcount(v); }
inline int __ffs(int v) { return __builtin_ffs(v); }
inline int __clz(int v) { return v == 0 ? 32 : __builtin_clz((unsigned)v); }
inline uint64_t __umul64hi(uint64_t a, uint64_t b) {
    return (uint64_t)((unsigned __int128)a * b >> 64);
}

#endif
