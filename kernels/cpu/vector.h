/* Vectors of LANES floats in the compiler's portable vector types: one AVX-512 register, or what
 * the target has for it. */
#ifndef SQN_CPU_VECTOR_H
#define SQN_CPU_VECTOR_H

#include <stdint.h>
#include <string.h>

#ifdef __AVX512F__
#include <immintrin.h>
#endif

#include "kernels/cpu/float.h"

#ifdef __AVX512F__
#define LANES 16
#else
#define LANES 8
#endif
typedef float vec __attribute__((vector_size(4 * LANES)));
typedef double vec_f64 __attribute__((vector_size(4 * LANES)));
typedef uint32_t vec_u32 __attribute__((vector_size(4 * LANES)));
typedef uint16_t vec_bf16 __attribute__((vector_size(2 * LANES)));

/* x[i] = exp((x[i] - shift[i]) * scale) over n floats, n a multiple of 16; where it falls below
 * 1e-38, 0. Within 2 ulp. */
static inline void vec_exp_shifted(float *x, const float *shift, float scale, int64_t n) {
#ifdef __AVX512F__
    const __m512 least = _mm512_set1_ps(-87.3F), factor = _mm512_set1_ps(scale);
    for (int64_t i = 0; i < n; i += 16) {
        __m512 y = _mm512_sub_ps(_mm512_loadu_ps(x + i), _mm512_loadu_ps(shift + i));
        y = _mm512_mul_ps(y, factor);
        const __mmask16 kept = _mm512_cmp_ps_mask(y, least, _CMP_NLE_UQ); /* NaN is kept */
        const __m512 e = _mm512_roundscale_ps(_mm512_mul_ps(y, _mm512_set1_ps(1.44269504F)), 8);
        __m512 r = _mm512_fnmadd_ps(e, _mm512_set1_ps(0.693359375F), y);
        r = _mm512_fnmadd_ps(e, _mm512_set1_ps(-2.12194440e-4F), r);
        __m512 p = _mm512_set1_ps(1.9875691500e-4F);
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.3981999507e-3F));
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3F));
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2F));
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1F));
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.0000001201e-1F));
        p = _mm512_fmadd_ps(_mm512_mul_ps(p, r), r, _mm512_add_ps(r, _mm512_set1_ps(1.0F)));
        _mm512_storeu_ps(x + i, _mm512_maskz_scalef_ps(kept, p, e));
    }
#else
#pragma omp simd
    for (int64_t i = 0; i < n; i++) x[i] = sqn_expf((x[i] - shift[i]) * scale);
#endif
}

/* Macros, not functions: a vector wider than the target's registers may not be an argument. */
#define VEC_LOAD(v, p) memcpy(&(v), (p), sizeof(v))
#define VEC_STORE(p, v) memcpy((p), &(v), sizeof(v))
#define VEC_LOAD_BF16(v, p)                                         \
    do {                                                            \
        vec_bf16 half_;                                             \
        memcpy(&half_, (p), sizeof half_);                          \
        (v) = (vec)(__builtin_convertvector(half_, vec_u32) << 16); \
    } while (0)

#endif
