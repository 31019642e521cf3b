/* Storage and the CPU's block cache: see storage.h. */
#include "tensor/storage.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/alloc.h"
#include "tensor/recording.h"

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

enum { CARDS = 64 };
static struct { int64_t live, peak, blocks; } card[CARDS]; /* under pool.lock */

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

static void count_card(int device, int64_t bytes, int64_t blocks) {
    pthread_mutex_lock(&pool.lock);
    card[device].live += bytes;
    card[device].blocks += blocks;
    if (card[device].live > card[device].peak) card[device].peak = card[device].live;
    pthread_mutex_unlock(&pool.lock);
}

static sqn_status full(int device, size_t bytes, sqn_err *e) {
    const bool on_card = device != SQN_CPU;
    char name[16];
    return SQN_FAIL(e, SQN_NOMEM, "out of memory%s%s: %.1f MiB wanted, tensors hold %.1f MiB",
                    on_card ? " on " : "", on_card ? sqn_device_name(device, name) : "",
                    (double)bytes / 1048576.0,
                    (double)(on_card ? card[device].live : pool.live) / 1048576.0);
}

sqn_status sqn_storage_take_card(int device, size_t bytes, void **out, sqn_err *e) {
    SQN_ASSERT(device < CARDS);
    sqn_status status =
        sqn_alloc_fault_tick() ? SQN_NOMEM : sqn_backend_get()->take(device, bytes, out);
    if (status == SQN_NOMEM) return full(device, bytes, e);
    if (status == SQN_OK) count_card(device, (int64_t)bytes, 1);
    return sqn_device_result(status, device, "memory", e);
}

void sqn_storage_give_card(int device, void *p, size_t bytes) {
    sqn_backend_get()->give(device, p);
    count_card(device, -(int64_t)bytes, -1);
}

static sqn_status take_bytes(sqn_storage *s, sqn_err *e) {
    if (s->device == SQN_CPU)
        return (s->data = take_block(s->bytes)) ? SQN_OK : full(SQN_CPU, s->bytes, e);
    sqn_recording *r = sqn_recording_of_thread(s->device);
    if (r == NULL) return sqn_storage_take_card(s->device, s->bytes, &s->data, e);
    SQN_TRY(sqn_recording_take(r, s->bytes, &s->data, e));
    s->recording = r;
    return SQN_OK;
}

static void give_bytes(sqn_storage *s) {
    if (s->device == SQN_CPU)
        give_block(s->data, s->bytes);
    else if (s->recording != NULL)
        sqn_recording_give(s->recording, s->data);
    else
        sqn_storage_give_card(s->device, s->data, s->bytes);
}

sqn_storage *sqn_storage_borrow(void *data, size_t bytes, void *owner,
                                void (*release_owner)(void *), sqn_err *e) {
    sqn_storage *s = sqn_alloc(sizeof *s, e);
    if (s == NULL) return NULL;
    *s = (sqn_storage){.references = 1,
                       .device = SQN_CPU,
                       .bytes = bytes,
                       .data = data,
                       .release_owner = release_owner,
                       .owner = owner};
    return s;
}

sqn_storage *sqn_storage_new(int device, size_t bytes, sqn_err *e) {
    sqn_storage *s = sqn_storage_borrow(NULL, bytes, NULL, NULL, e);
    if (s == NULL) return NULL;
    s->device = device;
    if (take_bytes(s, e) == SQN_OK) return s;
    sqn_free(s);
    return NULL;
}

sqn_storage *sqn_storage_retain(sqn_storage *s) {
    s->references++;
    return s;
}

void sqn_storage_release(sqn_storage *s) {
    if (s == NULL || --s->references > 0) return;
    sqn_storage_release(s->mirror);
    if (s->release_owner != NULL)
        s->release_owner(s->owner);
    else
        give_bytes(s);
    sqn_free(s);
}

sqn_status sqn_storage_mirror(sqn_storage *s, int device, sqn_err *e) {
    if (s->device == device) return SQN_OK;
    sqn_storage *m = s->mirror;
    if (m != NULL && m->device == device && s->mirror_version == s->version) return SQN_OK;
    if (m == NULL || m->device != device) {
        if ((m = sqn_storage_new(device, s->bytes, e)) == NULL) return SQN_NOMEM;
        sqn_storage_release(s->mirror);
        s->mirror = m;
    }
    s->mirror_version = s->version - 1; /* nothing to trust until the copy is there */
    SQN_TRY(sqn_device_copy(device, m->data, s->device, s->data, s->bytes, e));
    s->mirror_version = s->version;
    return SQN_OK;
}

sqn_storage_stats sqn_storage_get_stats(int device) {
    pthread_mutex_lock(&pool.lock);
    sqn_storage_stats stats =
        device == SQN_CPU
            ? (sqn_storage_stats){pool.live, pool.peak, pool.cached, pool.blocks}
            : (sqn_storage_stats){card[device].live, card[device].peak, 0, card[device].blocks};
    pthread_mutex_unlock(&pool.lock);
    return stats;
}

int64_t sqn_storage_live_bytes(void) {
    pthread_mutex_lock(&pool.lock);
    int64_t sum = pool.live;
    for (int d = 0; d < CARDS; d++) sum += card[d].live;
    pthread_mutex_unlock(&pool.lock);
    return sum;
}

void sqn_storage_reset_peak(int device) {
    pthread_mutex_lock(&pool.lock);
    if (device == SQN_CPU)
        pool.peak = pool.live;
    else
        card[device].peak = card[device].live;
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
    if (sqn_backend_get() != NULL) sqn_backend_get()->trim();
}
