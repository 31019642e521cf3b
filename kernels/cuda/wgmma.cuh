/* Hopper's own instructions by name (sm_90a): products of a warpgroup, barriers in shared memory,
 * bulk copies of tensor tiles; each with its meaning on the host (tests/gpu/emulate_async.h).
 *
 * Rules: a tile of rows of D 16-bit values lies in panels of 64 columns, 128 bytes a row, each
 * panel at a multiple of 1024 bytes, in the 128-byte swizzle: chunk c of row r at c ^ (r & 7). The
 * copy engine writes that layout and wgmma reads it, by rows (K-major) or by columns (MN-major).
 * A product runs until products_wait; its registers are nobody's until then, and hold() after the
 * wait keeps the compiler from reading them earlier. products_fence stands between other uses of
 * its registers and the product. C and A have mma.sync's layout, warp w of the group having rows
 * 16 w to 16 w + 15. 128 threads are a warpgroup.
 *
 * Tiles come by cp.async.bulk.tensor: one thread starts a tile, no register or issue slot goes into
 * addresses, and rows past the tensor's end are zeros. The price is a map of each tensor, made by
 * the driver's encoder on the host (about a microsecond a launch), whose entry is asked of the
 * runtime, so that nothing links to libcuda.
 */
#ifndef SQN_KERNELS_CUDA_WGMMA_H
#define SQN_KERNELS_CUDA_WGMMA_H

#include "kernels/cuda/ptx.cuh"

#ifdef SQN_EMULATE
#include "tests/gpu/emulate_async.h"
#define SQN_HOPPER 1
#else
#include <cuda.h>
#if defined(__CUDA_ARCH_FEAT_SM90_ALL) || !defined(__CUDA_ARCH__)
#define SQN_HOPPER 1
#else
#define SQN_HOPPER 0 /* kernels are empty there, and nobody launches them */
#endif
#endif

namespace sqn {
constexpr int group_threads = 128, panel = 64 /* columns */, panel_row = 128 /* bytes */;

/* Bits of a matrix descriptor: 128-byte swizzle, 1024 bytes from 8 rows to the next 8; `panels`:
 * bytes from one panel to the next, for an operand by columns. */
__device__ __forceinline__ uint64_t matrix_at(uint32_t address, uint32_t panels) {
    return (uint64_t)1 << 62 | (uint64_t)(1024 >> 4) << 32 | (uint64_t)(panels >> 4) << 16 |
           (uint64_t)(address >> 4 & 0x3fff);
}
/* Where columns 16 k … of a tile of `rows` rows begin, in units of a descriptor's address. */
__device__ __forceinline__ constexpr uint32_t k_columns(int k, int rows) {
    return (uint32_t)(k / 4 * rows * panel_row + k % 4 * 32) >> 4;
}
/* Where rows 16 k … begin. */
__device__ __forceinline__ constexpr uint32_t k_rows(int k) {
    return (uint32_t)(k * 16 * panel_row) >> 4;
}

#ifdef SQN_EMULATE

using tensor_map = emu::tensor_map;
inline sqn_status tensor_map_new(tensor_map *m, sqn_dtype, const void *p, int64_t rows,
                                 int64_t heads, int64_t dim, int box) {
    *m = {(const char *)p, rows, heads, dim, box};
    return SQN_OK;
}

inline uint32_t shared_address(const void *p) { return emu::shared_address(p); }
inline void barrier_new(uint64_t *b, unsigned count) { emu::barrier_new(b, count); }
inline void barriers_visible() {}
inline void barrier_arrive(uint64_t *b, EMU_HERE) { emu::barrier_arrive(b, 0, file, line); }
inline void barrier_expect(uint64_t *b, uint32_t bytes, EMU_HERE) {
    emu::barrier_arrive(b, bytes, file, line);
}
inline void barrier_wait(uint64_t *b, unsigned parity, EMU_HERE) {
    emu::barrier_wait(b, parity, file, line);
}
inline void meet(int id, unsigned threads, EMU_HERE) {
    emu::named_sync(id, threads, false, file, line);
}
inline void turn_take(int id, unsigned threads, EMU_HERE) {
    emu::named_sync(id, threads, true, file, line);
}
inline void turn_give(int id, unsigned threads) { emu::named_arrive(id, threads); }
inline void load_box(void *to, const tensor_map *m, int column, int head, int row, uint64_t *b) {
    emu::copy_tensor(to, *m, column, head, row, b);
}
inline void store_zeros(void *to) {
    const uint32_t zeros[4] = {};
    emu::store_for_units(to, zeros);
}
inline void stores_visible(EMU_HERE) { emu::units_fence(file, line); }
template <int N> void registers_more() {}
template <int N> void registers_fewer() {}

inline void products_fence(EMU_HERE) { emu::products_fence(file, line); }
inline void products_commit() { emu::products_commit(); }
template <int LEFT> void products_wait(EMU_HERE) { emu::products_wait(LEFT, file, line); }
template <int N> void hold(float (&)[N]) {}

template <class T, int N>
void multiply(float (&d)[N / 2], uint64_t a, uint64_t b, bool add, EMU_HERE) {
    emu::multiply({d, nullptr, a, b, N, false, add, std::is_same_v<T, f16>}, file, line);
}
template <class T, int N>
void multiply_columns(float (&d)[N / 2], const uint32_t (&a)[4], uint64_t b, EMU_HERE) {
    emu::multiply({d, a, 0, b, N, true, true, std::is_same_v<T, f16>}, file, line);
}

#else

using tensor_map = CUtensorMap;

/* A map of a [rows, heads, dim] tensor whose boxes are 64 columns of one head and `box` rows. */
inline sqn_status tensor_map_new(tensor_map *m, sqn_dtype dtype, const void *p, int64_t rows,
                                 int64_t heads, int64_t dim, int box) {
    static decltype(&cuTensorMapEncodeTiled) encode = [] {
        void *entry = nullptr;
        cudaDriverEntryPointQueryResult found;
        if (cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000,
                                             cudaEnableDefault, &found) != cudaSuccess)
            cudaGetLastError(), entry = nullptr;
        return (decltype(&cuTensorMapEncodeTiled))entry;
    }();
    if (encode == nullptr) return SQN_NOTFOUND;
    const cuuint64_t sizes[3] = {(cuuint64_t)dim, (cuuint64_t)heads, (cuuint64_t)rows};
    const cuuint64_t strides[2] = {(cuuint64_t)dim * 2, (cuuint64_t)(heads * dim) * 2};
    const cuuint32_t boxes[3] = {panel, 1, (cuuint32_t)box}, steps[3] = {1, 1, 1};
    const CUresult status = encode(
        m, dtype == SQN_BF16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_FLOAT16,
        3, (void *)p, sizes, strides, boxes, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
        CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
        CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    return status == CUDA_SUCCESS ? SQN_OK : SQN_NOTFOUND;
}

__device__ __forceinline__ uint32_t shared_address(const void *p) {
    return (uint32_t)__cvta_generic_to_shared(p);
}

/* ---- barriers: mbarrier, which counts threads and bytes; named barriers of a part of a block ----
 */

#if SQN_HOPPER
__device__ __forceinline__ void barrier_new(uint64_t *b, unsigned count) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(b)), "r"(count)
                 : "memory");
}
/* Before __syncthreads: what barrier_new wrote is there for the copy engine, too. */
__device__ __forceinline__ void barriers_visible() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
__device__ __forceinline__ void barrier_arrive(uint64_t *b) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(b)) : "memory");
}
/* Arrives, and the phase has to see that many bytes. */
__device__ __forceinline__ void barrier_expect(uint64_t *b, uint32_t bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(b)),
                 "r"(bytes)
                 : "memory");
}
/* Until the phase of that parity is over. The phase before the first counts as over. */
__device__ __forceinline__ void barrier_wait(uint64_t *b, unsigned parity) {
    asm volatile("{\n"
                 ".reg .pred done;\n"
                 "again:\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
                 "@done bra over;\n"
                 "bra again;\n"
                 "over:\n"
                 "}" ::"r"(shared_address(b)),
                 "r"(parity)
                 : "memory");
}
/* Until that many threads are at barrier `id` (1 to 15). */
__device__ __forceinline__ void meet(int id, unsigned threads) {
    asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
/* The same, where warpgroups go in turns for speed and nothing else depends on it. */
__device__ __forceinline__ void turn_take(int id, unsigned threads) { meet(id, threads); }
__device__ __forceinline__ void turn_give(int id, unsigned threads) {
    asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

/* ---- the copy engine ---- */

/* A box of a map to a panel; its bytes count at b. One thread. */
__device__ __forceinline__ void load_box(void *to, const tensor_map *m, int column, int head,
                                         int row, uint64_t *b) {
    asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%2, %3, %4}], [%5];" ::"r"(shared_address(to)),
                 "l"(m), "r"(column), "r"(head), "r"(row), "r"(shared_address(b))
                 : "memory");
}
/* 16 bytes of an operand to zeros; seen by products after stores_visible and a barrier. */
__device__ __forceinline__ void store_zeros(void *to) { *(uint4 *)to = make_uint4(0, 0, 0, 0); }
__device__ __forceinline__ void stores_visible() {
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

/* Registers of each thread of the warpgroup from here on. */
template <int N> __device__ __forceinline__ void registers_more() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N));
}
template <int N> __device__ __forceinline__ void registers_fewer() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N));
}

/* ---- products ---- */

__device__ __forceinline__ void products_fence() {
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void products_commit() {
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int LEFT> __device__ __forceinline__ void products_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(LEFT) : "memory");
}
template <int N> __device__ __forceinline__ void hold(float (&d)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++) asm volatile("" : "+f"(d[i])::"memory");
}

#define SQN_D8(i)                                                                               \
    "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), \
        "+f"(d[i + 6]), "+f"(d[i + 7])
#define SQN_D32(i) SQN_D8(i), SQN_D8(i + 8), SQN_D8(i + 16), SQN_D8(i + 24)
#define SQN_R32                                                                                  \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, " \
    "%20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define SQN_R64                                                                                  \
    SQN_R32 ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
            "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define SQN_BY_ROWS(N, TYPE, REGISTERS, A, B, ADD, ...)                                        \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, " ADD ", 0;\n"                              \
                 "wgmma.mma_async.sync.aligned.m64n" N "k16.f32." TYPE "." TYPE " {" REGISTERS \
                 "}, " A ", " B ", p, 1, 1, 0, 0;\n}"                                          \
                 : __VA_ARGS__                                                                 \
                 : "l"(a), "l"(b), "r"((int)add))
#define SQN_BY_COLUMNS(N, TYPE, REGISTERS, A, B, ...)                                          \
    asm volatile("wgmma.mma_async.sync.aligned.m64n" N "k16.f32." TYPE "." TYPE " {" REGISTERS \
                 "}, {" A "}, " B ", 1, 1, 1, 1;"                                              \
                 : __VA_ARGS__                                                                 \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b))

/* d [64, N] = (d +) A B, 16 columns of A and of B's N rows. */
template <class T, int N>
__device__ __forceinline__ void multiply(float (&d)[N / 2], uint64_t a, uint64_t b, bool add) {
    static_assert(N == 64 || N == 128, "the widths in use");
    constexpr bool half = std::is_same_v<T, f16>;
    if constexpr (N == 64 && half)
        SQN_BY_ROWS("64", "f16", SQN_R32, "%32", "%33", "%34", SQN_D32(0));
    else if constexpr (N == 64)
        SQN_BY_ROWS("64", "bf16", SQN_R32, "%32", "%33", "%34", SQN_D32(0));
    else if constexpr (half)
        SQN_BY_ROWS("128", "f16", SQN_R64, "%64", "%65", "%66", SQN_D32(0), SQN_D32(32));
    else
        SQN_BY_ROWS("128", "bf16", SQN_R64, "%64", "%65", "%66", SQN_D32(0), SQN_D32(32));
}
/* d [64, N] += A B, A [64, 16] in registers, 16 rows of B of N columns. */
template <class T, int N>
__device__ __forceinline__ void multiply_columns(float (&d)[N / 2], const uint32_t (&a)[4],
                                                 uint64_t b) {
    static_assert(N == 64 || N == 128, "the widths in use");
    constexpr bool half = std::is_same_v<T, f16>;
    if constexpr (N == 64 && half)
        SQN_BY_COLUMNS("64", "f16", SQN_R32, "%32, %33, %34, %35", "%36", SQN_D32(0));
    else if constexpr (N == 64)
        SQN_BY_COLUMNS("64", "bf16", SQN_R32, "%32, %33, %34, %35", "%36", SQN_D32(0));
    else if constexpr (half)
        SQN_BY_COLUMNS("128", "f16", SQN_R64, "%64, %65, %66, %67", "%68", SQN_D32(0), SQN_D32(32));
    else
        SQN_BY_COLUMNS("128", "bf16", SQN_R64, "%64, %65, %66, %67", "%68", SQN_D32(0),
                       SQN_D32(32));
}
#undef SQN_D8
#undef SQN_D32
#undef SQN_R32
#undef SQN_R64
#undef SQN_BY_ROWS
#undef SQN_BY_COLUMNS
#endif
#endif
} // namespace sqn

#endif
