/* Memory of the C side: malloc with live counters, and in test builds a switch that makes any
 * allocation fail.
 *
 * Rules: everything under src/ allocates here (lint greps for malloc); sizes are checked for
 * overflow by the array forms; tensor bytes come from core/block.h, which counts per device. All
 * functions are thread-safe.
 */
#ifndef SQN_CORE_ALLOC_H
#define SQN_CORE_ALLOC_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

/* Each returns owned memory, or NULL with SQN_NOMEM in *e. n == 0 gives a unique block. */
void *sqn_alloc(size_t n, sqn_err *e);
void *sqn_calloc(size_t count, size_t size, sqn_err *e);
/* Grows or shrinks p (NULL: allocates). On failure p stays as it was. */
void *sqn_realloc(void *p, size_t n, sqn_err *e);
char *sqn_strdup(const char *s, sqn_err *e);
char *sqn_strndup(const char *s, size_t n, sqn_err *e);
void sqn_free(void *p); /* accepts NULL */

typedef struct sqn_alloc_stats {
    int64_t live_bytes, live_blocks, peak_bytes, total_blocks;
} sqn_alloc_stats;
sqn_alloc_stats sqn_alloc_get_stats(void);

/* From now on what is freed is overwritten first, so that who still reads it is found out. */
void sqn_alloc_overwrite_freed(void);

/* Fault injection, for the sweep of tests/fault. Fails allocation number k (0 = the next one) from
 * now; `persistent` fails all from k on. k < 0 lifts the limit. Counts sqn_* allocations and,
 * through sqn_alloc_fault_tick, those of Lua. */
void sqn_alloc_fail_at(int64_t k, int persistent);
int64_t
sqn_alloc_fail_left(void);      /* allocations until the failing one; < 0: it came, or no limit */
int sqn_alloc_fault_tick(void); /* 1: this allocation must fail */

#endif
