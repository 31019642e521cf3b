/* AdamW in one pass over the parameters, and the sum of squares for gradient clipping.
 * Memory-bound.
 *
 * Elements are worked in blocks of BLOCK: gradients of any float type, and moments stored as 8-bit
 * codes, are first brought to the accumulator type in buffers that stay in the first cache, so that
 * one loop serves every combination of types. */
#include "kernels/cpu/float.h"
#include "kernels/cpu/state8.h"
#include "kernels/philox.h"

#define BLOCK 2048
#define CHUNKS 1024 /* partial sums of norm_sq, whatever the number of threads */
_Static_assert(BLOCK % SQN_STATE_BLOCK == 0 && BLOCK % 8 == 0, "blocks of a thread are whole");

/* x to one of its two neighbours in bf16, each as likely as it is near; what is not finite rounds
 * to nearest. 16 random bits are added below the ones that stay. */
static inline sqn_bf16 store_stochastic(float x, uint32_t bits16) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    if ((u & 0x7f800000u) == 0x7f800000u) return sqn_bf16_store(x);
    return (sqn_bf16)((u + bits16) >> 16);
}

/* Elements [first, first + n) of a bf16 parameter; first is a multiple of 8. */
static void store_block_stochastic(const sqn_k_adamw *a, int64_t first, int64_t n, const float *w) {
    sqn_bf16 *p = (sqn_bf16 *)a->param + first;
    uint32_t words[BLOCK / 2];
    const uint64_t position = a->offset + (uint64_t)first / 8;
    const int64_t groups = (n + 7) / 8;
#pragma omp simd
    for (int64_t k = 0; k < groups; k++) {
        sqn_philox r = sqn_philox_at(a->seed, a->stream, position + (uint64_t)k);
        for (int j = 0; j < 4; j++) words[4 * k + j] = r.v[j];
    }
    for (int64_t i = 0; i < n; i++)
        p[i] = store_stochastic(w[i], (words[i / 2] >> (16 * (i % 2))) & 0xffffu);
}

#define EACH_FLOAT "kernels/cpu/adamw.inc"
#include "kernels/cpu/each_float.h"

sqn_status sqn_cpu_adamw(const sqn_k_adamw *a, void *stream) {
    (void)stream;
    if (a->grad_dtype != SQN_F32 && a->grad_dtype != SQN_BF16 && a->grad_dtype != SQN_F64)
        return SQN_MISUSE;
    if (a->stochastic && (a->dtype != SQN_BF16 || a->master)) return SQN_MISUSE;
    if (a->m_scale) pthread_once(&state8_made, state8_make);
    BY_FLOAT(a->dtype, update, a)
}

sqn_status sqn_cpu_norm_sq(const sqn_k_norm_sq *a, void *stream) {
    (void)stream;
    BY_FLOAT(a->dtype, norm, a)
}
