/* Vectors of LANES floats in the compiler's portable vector types: one AVX-512 register, or what
 * the target has for it. */
#ifndef SQN_CPU_VECTOR_H
#define SQN_CPU_VECTOR_H

#include <stdint.h>
#include <string.h>

#include "kernels/kernels.h"

#ifdef __AVX512F__
#define LANES 16
#else
#define LANES 8
#endif
typedef float vec __attribute__((vector_size(4 * LANES)));
typedef double vec_f64 __attribute__((vector_size(4 * LANES)));
typedef uint32_t vec_u32 __attribute__((vector_size(4 * LANES)));
typedef uint16_t vec_bf16 __attribute__((vector_size(2 * LANES)));

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
