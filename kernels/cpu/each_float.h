/* Includes the file named by EACH_FLOAT three times, for F32, BF16 and F64: see float.h. No include
 * guard on purpose. */
#include "kernels/cpu/float.h"

#define T float
#define A float
#define LOAD(p, i) ((p)[i])
#define STORE(p, i, a) ((p)[i] = (a))
#define NAME(f) f##_f32
#define EXP sqn_expf
#define SQRT sqrtf
#define C(x) x##f
#include EACH_FLOAT
#undef T
#undef LOAD
#undef STORE
#undef NAME

#define T sqn_bf16
#define LOAD(p, i) sqn_bf16_load((p)[i])
#define STORE(p, i, a) ((p)[i] = sqn_bf16_store(a))
#define NAME(f) f##_bf16
#include EACH_FLOAT
#undef T
#undef A
#undef LOAD
#undef STORE
#undef NAME
#undef EXP
#undef SQRT
#undef C

#define T double
#define A double
#define LOAD(p, i) ((p)[i])
#define STORE(p, i, a) ((p)[i] = (a))
#define NAME(f) f##_f64
#define EXP exp
#define SQRT sqrt
#define C(x) x
#include EACH_FLOAT
#undef T
#undef A
#undef LOAD
#undef STORE
#undef NAME
#undef EXP
#undef SQRT
#undef C
#undef EACH_FLOAT

/* Calls f_f32, f_bf16 or f_f64 by dtype; anything else is SQN_MISUSE. */
#ifndef BY_FLOAT
#define BY_FLOAT_STATUS(dtype, f, ...) \
    switch (dtype) {                   \
    case SQN_F32:                      \
        return f##_f32(__VA_ARGS__);   \
    case SQN_BF16:                     \
        return f##_bf16(__VA_ARGS__);  \
    case SQN_F64:                      \
        return f##_f64(__VA_ARGS__);   \
    default:                           \
        return SQN_MISUSE;             \
    }
#define BY_FLOAT(dtype, f, ...) \
    switch (dtype) {            \
    case SQN_F32:               \
        f##_f32(__VA_ARGS__);   \
        return SQN_OK;          \
    case SQN_BF16:              \
        f##_bf16(__VA_ARGS__);  \
        return SQN_OK;          \
    case SQN_F64:               \
        f##_f64(__VA_ARGS__);   \
        return SQN_OK;          \
    default:                    \
        return SQN_MISUSE;      \
    }
#endif
