/* Working memory of kernel calls: a few blocks kept between calls. See scratch.h. */
#include "kernels/cpu/scratch.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "core/alloc.h"

#define SLOTS 12
#define SMALL ((size_t)64 << 10) /* below it malloc is as good */
#define KEEP ((size_t)192 << 20) /* bytes of all kept blocks together, at most */
#define ALIGN ((size_t)64)
#define HUGE_PAGE ((size_t)2 << 20)

typedef struct block {
    void *at; /* owned; NULL: free slot */
    size_t size;
    int busy;
} block;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all below */
static block blocks[SLOTS];
static size_t kept;

static void drop(block *b) {
    free(b->at);
    kept -= b->size;
    *b = (block){0};
}

/* The smallest idle block of at least n bytes, but not of more than four times that. */
static block *find(size_t n) {
    block *best = NULL;
    for (block *b = blocks; b < blocks + SLOTS; b++)
        if (b->at && !b->busy && b->size >= n && b->size / 4 <= n &&
            (!best || b->size < best->size))
            best = b;
    return best;
}

/* A new block in an empty slot, or in one emptied for it; NULL: all busy, or out of memory or of
 * the limit. */
static block *add(size_t n) {
    block *slot = NULL;
    const size_t align = n >= HUGE_PAGE ? HUGE_PAGE : ALIGN, size = (n + align - 1) / align * align;
    for (block *b = blocks; b < blocks + SLOTS; b++)
        if (!b->busy && (!slot || !b->at)) slot = b;
    if (!slot) return NULL;
    if (slot->at) drop(slot);
    for (block *b = blocks; b < blocks + SLOTS && kept + size > KEEP; b++)
        if (b->at && !b->busy) drop(b);
    if (kept + size > KEEP) return NULL;
    *slot = (block){.at = aligned_alloc(align, size), .size = size};
    if (!slot->at) {
        *slot = (block){0};
        return NULL;
    }
    if (align == HUGE_PAGE) madvise(slot->at, size, MADV_HUGEPAGE);
    kept += size;
    return slot;
}

sqn_status scratch_open(scratch *s, int64_t count, size_t size) {
    *s = (scratch){.slot = -1};
    if ((size_t)count > (SIZE_MAX / 2 - ALIGN) / size) return SQN_NOMEM;
    if (sqn_alloc_fault_tick()) return SQN_NOMEM;
    const size_t n = (size_t)count * size;
    if (n >= SMALL && n <= KEEP) {
        pthread_mutex_lock(&lock);
        block *b = find(n);
        if (!b) b = add(n);
        if (b) {
            b->busy = 1;
            s->slot = (int)(b - blocks);
            s->at = b->at;
        }
        pthread_mutex_unlock(&lock);
        if (s->at) return SQN_OK;
    }
    s->raw = sqn_alloc(n + ALIGN, NULL);
    if (!s->raw) return SQN_NOMEM;
    s->at = (void *)(((uintptr_t)s->raw + ALIGN - 1) & ~(uintptr_t)(ALIGN - 1));
    return SQN_OK;
}

void scratch_close(scratch *s) {
    if (s->at && !s->raw) {
        pthread_mutex_lock(&lock);
        blocks[s->slot].busy = 0;
        pthread_mutex_unlock(&lock);
    }
    sqn_free(s->raw);
    *s = (scratch){0};
}
