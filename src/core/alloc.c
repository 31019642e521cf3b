/* Counted memory with fault injection: see alloc.h. */
#include "core/alloc.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static _Atomic int64_t live_bytes, live_blocks, peak_bytes, total_blocks;
static _Atomic int64_t fail_countdown = -1; /* -1: no limit */
static _Atomic int fail_persistent;
static _Atomic int overwrites;

int sqn_alloc_fault_tick(void) {
    int64_t k = atomic_load_explicit(&fail_countdown, memory_order_relaxed);
    if (k < 0) return 0;
    if (k == 0) {
        if (!atomic_load(&fail_persistent)) atomic_store(&fail_countdown, -1);
        return 1;
    }
    atomic_fetch_sub(&fail_countdown, 1);
    return 0;
}

void sqn_alloc_fail_at(int64_t k, int persistent) {
    atomic_store(&fail_persistent, persistent);
    atomic_store(&fail_countdown, k < 0 ? -1 : k);
}

int64_t sqn_alloc_fail_left(void) { return atomic_load(&fail_countdown); }

void sqn_alloc_overwrite_freed(void) { atomic_store(&overwrites, 1); }

static void count(int64_t bytes, int64_t blocks) {
    int64_t now = atomic_fetch_add(&live_bytes, bytes) + bytes;
    atomic_fetch_add(&live_blocks, blocks);
    if (blocks > 0) atomic_fetch_add(&total_blocks, 1);
    int64_t peak = atomic_load(&peak_bytes);
    while (now > peak && !atomic_compare_exchange_weak(&peak_bytes, &peak, now)) {
    }
}

static void *out_of_memory(size_t n, sqn_err *e) {
    SQN_FAIL(e, SQN_NOMEM, "out of memory (%zu bytes wanted)", n);
    return NULL;
}

void *sqn_alloc(size_t n, sqn_err *e) {
    void *p = sqn_alloc_fault_tick() ? NULL : malloc(n ? n : 1);
    if (p == NULL) return out_of_memory(n, e);
    count((int64_t)malloc_usable_size(p), 1);
    return p;
}

void *sqn_calloc(size_t number, size_t size, sqn_err *e) {
    void *p = sqn_alloc_fault_tick() ? NULL : calloc(number ? number : 1, size ? size : 1);
    if (p == NULL) return out_of_memory(number * size, e);
    count((int64_t)malloc_usable_size(p), 1);
    return p;
}

void *sqn_realloc(void *p, size_t n, sqn_err *e) {
    if (p == NULL) return sqn_alloc(n, e);
    int64_t before = (int64_t)malloc_usable_size(p);
    void *q = sqn_alloc_fault_tick() ? NULL : realloc(p, n ? n : 1);
    if (q == NULL) return out_of_memory(n, e);
    count((int64_t)malloc_usable_size(q) - before, 0);
    return q;
}

char *sqn_strndup(const char *s, size_t n, sqn_err *e) {
    char *p = sqn_alloc(n + 1, e);
    if (p == NULL) return NULL;
    memcpy(p, s, n);
    p[n] = '\0';
    return p;
}

char *sqn_strdup(const char *s, sqn_err *e) { return sqn_strndup(s, strlen(s), e); }

void sqn_free(void *p) {
    if (p == NULL) return;
    const size_t n = malloc_usable_size(p);
    count(-(int64_t)n, -1);
    if (atomic_load_explicit(&overwrites, memory_order_relaxed)) memset(p, 0xdd, n);
    free(p);
}

sqn_alloc_stats sqn_alloc_get_stats(void) {
    return (sqn_alloc_stats){atomic_load(&live_bytes), atomic_load(&live_blocks),
                             atomic_load(&peak_bytes), atomic_load(&total_blocks)};
}
