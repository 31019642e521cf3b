/* Element types of tensors and weight files. */
#ifndef SQN_CORE_DTYPE_H
#define SQN_CORE_DTYPE_H

#include <stddef.h>
#include <stdint.h>

/* DTYPE(name, bytes, "text in Lua", "text in safetensors") */
// clang-format off
#define SQN_DTYPES(DTYPE) \
    DTYPE(F32, 4, "f32", "F32") \
    DTYPE(BF16, 2, "bf16", "BF16") \
    DTYPE(F16, 2, "f16", "F16") \
    DTYPE(F64, 8, "f64", "F64") \
    DTYPE(I64, 8, "i64", "I64") \
    DTYPE(I32, 4, "i32", "I32") \
    DTYPE(U8, 1, "u8", "U8")
// clang-format on

typedef enum sqn_dtype {
#define DTYPE(name, bytes, text, file) SQN_##name,
    SQN_DTYPES(DTYPE)
#undef DTYPE
        SQN_DTYPE_COUNT
} sqn_dtype;

size_t sqn_dtype_size(sqn_dtype t);
const char *sqn_dtype_name(sqn_dtype t);      /* "bf16"; borrowed, static */
const char *sqn_dtype_file_name(sqn_dtype t); /* "BF16"; borrowed, static */
/* SQN_DTYPE_COUNT if there is no such type. */
sqn_dtype sqn_dtype_parse(const char *name);
sqn_dtype sqn_dtype_parse_file(const char *name);
static inline int sqn_dtype_is_float(sqn_dtype t) { return t <= SQN_F64; }

#endif
