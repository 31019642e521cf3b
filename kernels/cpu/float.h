/* Scalars of the CPU kernels: bf16 and f16 conversion, fast exp, and the loop that compiles one
 * body for three dtypes.
 *
 * A kernel file that serves F32, BF16 and F64 writes its bodies once in <name>.inc, in terms of
 *   T (storage), A (accumulator), LOAD(p, i), STORE(p, i, a), NAME(f) (f_f32 …), EXP, SQRT …
 * and includes "kernels/cpu/each_float.h" with EACH_FLOAT set to that file's name.
 */
#ifndef SQN_CPU_FLOAT_H
#define SQN_CPU_FLOAT_H

#ifdef __clang__ /* maxima with NaN rules do not vectorise in clang; gcc's do, and correctness \
                    does not hang on it */
#pragma clang diagnostic ignored "-Wpass-failed"
#endif

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/kernels.h"

static inline float sqn_bf16_load(sqn_bf16 h) {
    uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline sqn_bf16 sqn_bf16_store(float f) { /* nearest even; NaN stays NaN */
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
    return (sqn_bf16)((u & 0x7fffffffu) > 0x7f800000u ? (u >> 16) | 0x40u : rounded);
}

/* e^x in f32 within 2 ulp over the whole range; branch-free, so that loops over it vectorise.
 * Source: Cephes' reduction x = n ln2 + r, |r| <= ln2/2, and a degree-6 polynomial in r. 2^n is
 * applied in two halves, which run over to infinity and under to 0 by themselves; NaN passes. */
static inline float sqn_expf(float x) {
    float clipped = x < -104.0f ? -104.0f : x;
    clipped = clipped > 89.0f ? 89.0f : clipped;
    float n = __builtin_rintf(clipped * 1.44269504f);
    float r = clipped - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    int32_t whole = (int32_t)(n == n ? n : 0.0f), half = whole >> 1;
    uint32_t bits = (uint32_t)(half + 127) << 23, rest = (uint32_t)(whole - half + 127) << 23;
    float scale, scale_2;
    memcpy(&scale, &bits, sizeof scale);
    memcpy(&scale_2, &rest, sizeof scale_2);
    return p * scale * scale_2;
}

#endif
