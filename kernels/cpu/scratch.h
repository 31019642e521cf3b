/* Working memory of a kernel call, aligned to cache lines. Blocks of common sizes are kept between
 * calls: fresh memory costs a page fault every 4 KiB. Thread-safe. */
#ifndef SQN_CPU_SCRATCH_H
#define SQN_CPU_SCRATCH_H

#include <stdint.h>

#include "core/err.h"

typedef struct scratch {
    void *at;
    int slot;  /* of the kept block, or -1 */
    void *raw; /* owned when not kept */
} scratch;

/* SQN_NOMEM if there is no memory; *s may then be closed all the same, as may a zeroed one. */
sqn_status scratch_open(scratch *s, int64_t count, size_t size);
void scratch_close(scratch *s);

#endif
