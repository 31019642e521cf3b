/* Storage and the CPU's block cache: see storage.h. */
#include "tensor/storage.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/alloc.h"

/* Size classes: eighths of powers of two (at most 12.5% unused), from 64 bytes to 2^47. */
enum { CLASSES = 48 * 8 };

typedef struct free_block {
    struct free_block *next;
    size_t size;
} free_block;

static struct {
    pthread_mutex_t lock;
    free_block *list[CLASSES];
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

static void flush_locked(void) {
    for (int i = 0; i < CLASSES; i++) {
        while (pool.list[i] != NULL) {
            free_block *b = pool.list[i];
            pool.list[i] = b->next;
            return_block(b, b->size);
        }
    }
    pool.cached = 0;
}

static void *take_block(size_t bytes) {
    int index;
    size_t size = class_size(bytes, &index);
    if (index >= CLASSES) return NULL; /* no machine has that much */
    pthread_mutex_lock(&pool.lock);
    free_block *b = pool.list[index];
    if (b != NULL) {
        pool.list[index] = b->next;
        pool.cached -= (int64_t)size;
    }
    pthread_mutex_unlock(&pool.lock);
    void *p = b != NULL ? b : system_block(size);
    if (p == NULL) return NULL;
    pthread_mutex_lock(&pool.lock);
    pool.live += (int64_t)size;
    pool.blocks++;
    if (pool.live > pool.peak) pool.peak = pool.live;
    pthread_mutex_unlock(&pool.lock);
    return p;
}

/* Keeps the block for reuse while the cache stays below an eighth of what is alive; gives it back
 * otherwise. */
static void give_block(void *p, size_t bytes) {
    int index;
    int64_t size = (int64_t)class_size(bytes, &index);
    pthread_mutex_lock(&pool.lock);
    pool.live -= size;
    pool.blocks--;
    int64_t limit = pool.peak / 8 > cache_floor ? pool.peak / 8 : cache_floor;
    int keep = pool.cached + size <= limit;
    if (keep) {
        free_block *b = p;
        b->next = pool.list[index];
        b->size = (size_t)size;
        pool.list[index] = b;
        pool.cached += size;
    }
    pthread_mutex_unlock(&pool.lock);
    if (!keep) return_block(p, (size_t)size);
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
    flush_locked();
    pthread_mutex_unlock(&pool.lock);
}
