/* Element types: see dtype.h. */
#include "core/dtype.h"

#include <string.h>

static const struct {
    size_t size;
    const char *name, *file;
} types[] = {
#define DTYPE(name, bytes, text, file) {bytes, text, file},
    SQN_DTYPES(DTYPE)
#undef DTYPE
};
_Static_assert(sizeof types / sizeof *types == SQN_DTYPE_COUNT, "a row per dtype");

size_t sqn_dtype_size(sqn_dtype t) { return types[t].size; }
const char *sqn_dtype_name(sqn_dtype t) { return types[t].name; }
const char *sqn_dtype_file_name(sqn_dtype t) { return types[t].file; }

sqn_dtype sqn_dtype_parse(const char *name) {
    int t = 0;
    while (t < SQN_DTYPE_COUNT && strcmp(types[t].name, name) != 0) t++;
    return (sqn_dtype)t;
}

sqn_dtype sqn_dtype_parse_file(const char *name) {
    int t = 0;
    while (t < SQN_DTYPE_COUNT && strcmp(types[t].file, name) != 0) t++;
    return (sqn_dtype)t;
}
