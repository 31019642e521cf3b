/* Storage and the CPU's block cache: see storage.h. */
#include "tensor/storage.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/alloc.h"

/* Size classes: eighths of powers of two (at most 12.5% unused), from 64 bytes to 2^47. */
enum { CLASSES = 48 * 8 };

typedef struct link {
    struct link *before, *after;
} link;

typedef struct free_block { /* at the start of a cached block */
    link of_class, of_all;
    size_t size;
} free_block;

/* Rings of cached blocks, the youngest behind the head: one a class, and one of all. */
static struct {
    pthread_mutex_t lock;
    link list[CLASSES], all;
    int64_t live, peak, cached, blocks;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const size_t huge_page = (size_t)2 << 20, huge_from = (size_t)4 << 20;
static const size_t mapped_from = (size_t)256 << 10;
static const int64_t cache_floor = (int64_t)64 << 20;

static size_t class_size(size_t bytes, int *index) {
    if (bytes < 64) bytes = 64;
    int power = 63 - __builtin_clzll((unsigned long long)bytes);
    size_t step = power > 8 ? (size_t)1 << (power - 3) : 64;
    size_t size = (bytes + step - 1) / step * step;
    power = 63 - __builtin_clzll((unsigned long long)size);
    *index = power * 8 + (int)((size - ((size_t)1 << power)) >> (power > 3 ? power - 3 : 0));
    return size;
}

/* Blocks of 256 KiB and more are mappings of their own: in malloc's heap the shapes of packed
 * batches, never twice the same, leave holes that nothing fits (measured: 1 MB a step). */
static void *system_block(size_t size) {
    if (sqn_alloc_fault_tick()) return NULL;
    if (size < mapped_from) return aligned_alloc(64, size);
    size_t align = size >= huge_from ? huge_page : 0;
    char *p = mmap(NULL, size + align, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    if (align == 0) return p;
    size_t before = (align - (size_t)((uintptr_t)p % align)) % align;
    if (before > 0) munmap(p, before);
    munmap(p + before + size, align - before);
    madvise(p + before, size, MADV_HUGEPAGE);
    return p + before;
}

static void return_block(void *p, size_t size) {
    if (size < mapped_from)
        free(p);
    else
        munmap(p, size);
}

static void push(link *head, link *l) {
    if (head->after == NULL) head->before = head->after = head;
    *l = (link){head, head->after};
    head->after->before = l;
    head->after = l;
}

static void cut(link *l) {
    l->before->after = l->after;
    l->after->before = l->before;
}

static bool holds(const link *head) { return head->after != NULL && head->after != head; }

static free_block *uncache(free_block *b) {
    cut(&b->of_class);
    cut(&b->of_all);
    pool.cached -= (int64_t)b->size;
    return b;
}

/* Gives the blocks back that waited longest until `room` more bytes fit. What is alive and what is
 * cached stay together within the peak and an eighth of it: a step's blocks wait for the next step,
 * and sizes that do not come back make room for those that do. */
static void evict_locked(int64_t room) {
    int64_t spare = pool.peak / 8 > cache_floor ? pool.peak / 8 : cache_floor;
    while (holds(&pool.all) && pool.live + pool.cached + room > pool.peak + spare) {
        free_block *b =
            uncache((free_block *)((char *)pool.all.before - offsetof(free_block, of_all)));
        return_block(b, b->size);
    }
}

static void *take_block(size_t bytes) {
    int index;
    size_t size = class_size(bytes, &index);
    if (index >= CLASSES) return NULL; /* no machine has that much */
    pthread_mutex_lock(&pool.lock);
    void *p = NULL;
    if (holds(&pool.list[index]))
        p = uncache((free_block *)pool.list[index].after);
    else
        evict_locked((int64_t)size);
    pthread_mutex_unlock(&pool.lock);
    if (p == NULL) p = system_block(size);
    if (p == NULL) return NULL;
    pthread_mutex_lock(&pool.lock);
    pool.live += (int64_t)size;
    pool.blocks++;
    if (pool.live > pool.peak) pool.peak = pool.live;
    pthread_mutex_unlock(&pool.lock);
    return p;
}

static void give_block(void *p, size_t bytes) {
    int index;
    size_t size = class_size(bytes, &index);
    free_block *b = p;
    pthread_mutex_lock(&pool.lock);
    pool.live -= (int64_t)size;
    pool.blocks--;
    b->size = size;
    push(&pool.list[index], &b->of_class);
    push(&pool.all, &b->of_all);
    pool.cached += (int64_t)size;
    evict_locked(0);
    pthread_mutex_unlock(&pool.lock);
}

sqn_storage *sqn_storage_borrow(void *data, size_t bytes, void *owner,
                                void (*release_owner)(void *), sqn_err *e) {
    sqn_storage *s = sqn_alloc(sizeof *s, e);
    if (s == NULL) return NULL;
    *s = (sqn_storage){1, 0, bytes, data, release_owner, owner};
    return s;
}

sqn_storage *sqn_storage_new(size_t bytes, sqn_err *e) {
    sqn_storage *s = sqn_storage_borrow(NULL, bytes, NULL, NULL, e);
    if (s == NULL) return NULL;
    s->data = take_block(bytes);
    if (s->data == NULL) {
        sqn_free(s);
        SQN_FAIL(e, SQN_NOMEM, "out of memory: %.1f MiB wanted, tensors hold %.1f MiB",
                 (double)bytes / 1048576.0, (double)pool.live / 1048576.0);
        return NULL;
    }
    return s;
}

sqn_storage *sqn_storage_retain(sqn_storage *s) {
    s->references++;
    return s;
}

void sqn_storage_release(sqn_storage *s) {
    if (s == NULL || --s->references > 0) return;
    if (s->release_owner != NULL)
        s->release_owner(s->owner);
    else
        give_block(s->data, s->bytes);
    sqn_free(s);
}

sqn_storage_stats sqn_storage_get_stats(void) {
    pthread_mutex_lock(&pool.lock);
    sqn_storage_stats stats = {pool.live, pool.peak, pool.cached, pool.blocks};
    pthread_mutex_unlock(&pool.lock);
    return stats;
}

void sqn_storage_reset_peak(void) {
    pthread_mutex_lock(&pool.lock);
    pool.peak = pool.live;
    pthread_mutex_unlock(&pool.lock);
}

void sqn_storage_flush_cache(void) {
    pthread_mutex_lock(&pool.lock);
    while (holds(&pool.all)) {
        free_block *b =
            uncache((free_block *)((char *)pool.all.after - offsetof(free_block, of_all)));
        return_block(b, b->size);
    }
    pthread_mutex_unlock(&pool.lock);
}
