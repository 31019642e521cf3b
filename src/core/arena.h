/* Memory that is given back all at once: for results and documents whose parts live equally long.
 *
 * Rules: zero is the empty arena; the owner calls _release; nothing is freed before.
 */
#ifndef SQN_CORE_ARENA_H
#define SQN_CORE_ARENA_H

#include <stdbool.h>
#include <stdint.h>

#include "core/alloc.h"

typedef struct sqn_arena {
    void *blocks; /* owned */
    int64_t held; /* bytes taken from the system */
} sqn_arena;

/* Zeroed, aligned for any type. NULL with SQN_NOMEM in *e. */
void *sqn_arena_alloc(sqn_arena *a, size_t n, sqn_err *e);
/* A copy of n bytes with a NUL behind them. */
char *sqn_arena_copy(sqn_arena *a, const char *bytes, size_t n, sqn_err *e);
/* Room for one more element in a list: gives `list`, or a copy of twice the size. Lists made this
 * way have 0, 8, 16, 32 … places. */
void *sqn_arena_list(sqn_arena *a, void *list, size_t count, size_t size, sqn_err *e);
void sqn_arena_release(sqn_arena *a);

#endif
