/* AdamW in one pass over the parameters, and the norms for gradient clipping. Memory-bound.
 *
 * Elements are worked in blocks of BLOCK: gradients of any float type, and moments stored as 8-bit
 * codes, are first brought to the accumulator type in buffers that stay in the first cache, so that
 * one loop serves every combination of types. */
#include "kernels/cpu/float.h"
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/state8.h"
#include "kernels/philox.h"

#define BLOCK 2048
#define CHUNKS 1024 /* partial sums of a norm, whatever the number of threads */
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
static void store_block_stochastic(const sqn_k_adamw *a, const sqn_k_adamw_tensor *t, int64_t first,
                                   int64_t n, const float *w) {
    sqn_bf16 *p = (sqn_bf16 *)t->param + first;
    uint32_t words[BLOCK / 2];
    const uint64_t position = a->offset + (uint64_t)first / 8;
    const int64_t groups = (n + 7) / 8;
#pragma omp simd
    for (int64_t k = 0; k < groups; k++) {
        sqn_philox r = sqn_philox_at(a->seed, t->stream, position + (uint64_t)k);
        for (int j = 0; j < 4; j++) words[4 * k + j] = r.v[j];
    }
    for (int64_t i = 0; i < n; i++)
        p[i] = store_stochastic(w[i], (words[i / 2] >> (16 * (i % 2))) & 0xffffu);
}

#define EACH_FLOAT "kernels/cpu/adamw.inc"
#include "kernels/cpu/each_float.h"

static sqn_status update_all(const sqn_k_adamw *a){BY_FLOAT(a->dtype, update, a)}

sqn_status sqn_cpu_adamw(const sqn_k_adamw *args, void *stream) {
    (void)stream;
    sqn_k_adamw a = *args;
    if (a.grad_dtype != SQN_F32 && a.grad_dtype != SQN_BF16 && a.grad_dtype != SQN_F64)
        return SQN_MISUSE;
    for (int64_t i = 0; i < a.count; i++)
        if (a.stochastic && (a.dtype != SQN_BF16 || a.tensors[i].master)) return SQN_MISUSE;
    if (a.grad_scale_at) a.grad_scale *= *a.grad_scale_at;
    if (!isfinite(a.grad_scale)) return SQN_OK;
    if (a.count > 0 && a.tensors->m_scale) pthread_once(&state8_made, state8_make);
    return update_all(&a);
}

static sqn_status square_sum(const sqn_k_norms_tensor *t, double *sum) {
    BY_FLOAT(t->dtype, square_sum, t, sum)
}

static void clip(const sqn_k_norms *a) {
    double norm = a->groups == 1 ? a->norms[1] : 0;
    for (int64_t g = 1; g <= a->groups && a->groups > 1; g++) norm += a->norms[g] * a->norms[g];
    a->norms[0] = norm = a->groups > 1 ? sqrt(norm) : norm;
    if (a->factor == NULL) return;
    const double most = a->max > 0 ? a->max / (norm + 1e-6) : 1.0;
    *a->factor = !isfinite(norm) ? (double)NAN : most < 1.0 ? most : 1.0;
}

sqn_status sqn_cpu_norms(const sqn_k_norms *a, void *stream) {
    scratch s;
    sqn_status status = SQN_OK;
    SQN_GOTO(scratch_open(&s, a->count ? a->count : 1, sizeof(double)));
    double *squares = s.at;
    for (int64_t i = 0; i < a->count; i++) SQN_GOTO(square_sum(&a->tensors[i], squares + i));
    for (int64_t g = 0; g < a->groups; g++) {
        const sqn_k_reduce total = {SQN_REDUCE_SUM,
                                    SQN_F64,
                                    1,
                                    a->start[g + 1] - a->start[g],
                                    1,
                                    squares + a->start[g],
                                    a->norms + 1 + g,
                                    1.0,
                                    0,
                                    0};
        SQN_GOTO(sqn_cpu_reduce(&total, stream));
        a->norms[1 + g] = sqrt(a->norms[1 + g]);
    }
    clip(a);
fail:
    scratch_close(&s);
    return status;
}
