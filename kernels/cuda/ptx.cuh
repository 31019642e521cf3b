/* PTX instructions by name, each with its meaning on the host (PTX ISA 8.x, sections on mma,
 * ldmatrix and cp.async give the layouts).
 *
 * Rules: g = lane / 4 and t = lane % 4. mma m16n8k16: A a0 (g, 2t) a1 (g+8, 2t) a2 (g, 2t+8)
 * a3 (g+8, 2t+8), each two elements along k; B b0 (k 2t, n g) b1 (k 2t+8, n g); C c0 c1 (g, 2t
 * 2t+1) c2 c3 (g+8, 2t 2t+1). All lanes of a warp take part.
 */
#ifndef SQN_KERNELS_CUDA_PTX_H
#define SQN_KERNELS_CUDA_PTX_H

#include "kernels/cuda/cuda.cuh"

namespace sqn {
struct frag_a {
    uint32_t r[4];
};
struct frag_b {
    uint32_t r[2];
};

#ifdef SQN_EMULATE

/* Two values of a 16-bit type in a register, the first in the low half. */
template <class T> uint32_t two(float low, float high) {
    T a, b;
    store(&a, low);
    store(&b, high);
    return (uint32_t)a.bits | (uint32_t)b.bits << 16;
}

template <class T> float half_of(uint32_t r, int high) {
    T v;
    v.bits = (uint16_t)(high ? r >> 16 : r);
    return load(v);
}

template <class T> void mma(float c[4], const frag_a &a, const frag_b &b) {
    struct operands { /* (row, k) of A: [row >= 8][k >= 8][k % 2]; of B: [k >= 8][k % 2] */
        float a[2][2][2], b[2][2];
    } mine;
    for (int i = 0; i < 8; i++) mine.a[i & 1][i >> 1 & 1][i >> 2] = half_of<T>(a.r[i & 3], i >> 2);
    for (int i = 0; i < 4; i++) mine.b[i & 1][i >> 1] = half_of<T>(b.r[i & 1], i >> 1);
    const char(*all)[emu::value_bytes] = emu::exchange(all_lanes, &mine, sizeof mine, "mma", 0);
    for (int j = 0; j < 4; j++) {
        const int row = (int)emu::now.lane / 4, col = (int)emu::now.lane % 4 * 2 + j % 2;
        float sum = 0;
        for (int k = 0; k < 16; k++)
            sum += ((const operands *)all[row * 4 + k % 8 / 2])->a[j >> 1][k >> 3][k & 1] *
                   ((const operands *)all[col * 4 + k % 8 / 2])->b[k >> 3][k & 1];
        c[j] += sum;
    }
}

template <bool TRANS> void ldmatrix(uint32_t r[4], const void *row) {
    const char(*all)[emu::value_bytes] =
        emu::exchange(all_lanes, &row, sizeof row, "ldmatrix", TRANS);
    const int g = (int)emu::now.lane / 4, t = (int)emu::now.lane % 4;
    for (int i = 0; i < 4; i++) {
        const uint16_t *rows[8];
        for (int k = 0; k < 8; k++) memcpy(&rows[k], all[8 * i + k], sizeof rows[k]);
        r[i] = TRANS ? (uint32_t)rows[2 * t][g] | (uint32_t)rows[2 * t + 1][g] << 16
                     : (uint32_t)rows[g][2 * t] | (uint32_t)rows[g][2 * t + 1] << 16;
    }
}

inline void copy16(void *shared, const void *global, bool there) {
    emu::copy_async(shared, global, there ? 16 : 0, there ? 0 : 16);
}
inline void copies_commit() { emu::commit_async(); }
template <int LEFT> void copies_wait() { emu::wait_async(LEFT); }
inline float exp2_fast(float x) { return exp2f(x); }
inline void prefetch(const void *p) { (void)p; }

#else

template <class T> __device__ __forceinline__ uint32_t two(float low, float high) {
    uint32_t r;
    if constexpr (std::is_same_v<T, bf16>)
        asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
    else
        asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
    return r;
}

/* c += a b */
template <class T>
__device__ __forceinline__ void mma(float c[4], const frag_a &a, const frag_b &b) {
    if constexpr (std::is_same_v<T, bf16>)
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, "
                     "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                     : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                     : "r"(a.r[0]), "r"(a.r[1]), "r"(a.r[2]), "r"(a.r[3]), "r"(b.r[0]),
                       "r"(b.r[1]));
    else
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, "
                     "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                     : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                     : "r"(a.r[0]), "r"(a.r[1]), "r"(a.r[2]), "r"(a.r[3]), "r"(b.r[0]),
                       "r"(b.r[1]));
}

/* Four 8x8 matrices of 16-bit values; lanes 8i to 8i+7 name the rows of matrix i. */
template <bool TRANS> __device__ __forceinline__ void ldmatrix(uint32_t r[4], const void *row) {
    const uint32_t at = (uint32_t)__cvta_generic_to_shared(row);
    if constexpr (TRANS)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"(at)
                     : "memory");
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"(at)
                     : "memory");
}

/* 16 bytes to shared memory while the thread goes on; zeros if they are not there. */
__device__ __forceinline__ void copy16(void *shared, const void *global, bool there) {
    const uint32_t at = (uint32_t)__cvta_generic_to_shared(shared);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(global),
                 "r"(there ? 16 : 0)
                 : "memory");
}
__device__ __forceinline__ void copies_commit() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}
/* Until at most LEFT of this thread's groups of copies are under way. */
template <int LEFT> __device__ __forceinline__ void copies_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
}
/* To the second cache. */
__device__ __forceinline__ void prefetch(const void *p) {
    asm volatile("prefetch.global.L2 [%0];" ::"l"(p));
}
__device__ __forceinline__ float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

#endif
} // namespace sqn

#endif
