/* Working memory of a kernel call: counted, aligned to cache lines, gone when the call returns. */
#ifndef SQN_CPU_SCRATCH_H
#define SQN_CPU_SCRATCH_H

#include "core/alloc.h"

typedef struct scratch {
    void *raw; /* owned */
    void *at;  /* the first cache line in raw */
} scratch;

static inline sqn_status scratch_open(scratch *s, int64_t count, size_t size) {
    *s = (scratch){0};
    if ((size_t)count > (SIZE_MAX / 2 - 64) / size) return SQN_NOMEM;
    s->raw = sqn_alloc((size_t)count * size + 64, NULL);
    if (!s->raw) return SQN_NOMEM;
    s->at = (void *)(((uintptr_t)s->raw + 63) & ~(uintptr_t)63);
    return SQN_OK;
}

static inline void scratch_close(scratch *s) { sqn_free(s->raw); }

#endif
