/* Memory that is given back all at once: see arena.h. */
#include "core/arena.h"

#include <stdalign.h>
#include <string.h>

enum { BLOCK_BYTES = 16 << 10, FIRST_PLACES = 8 };

typedef struct block {
    struct block *older;
    size_t used, size;
    alignas(max_align_t) char data[];
} block;

static char *take(sqn_arena *a, size_t n, size_t alignment, sqn_err *e) {
    block *b = a->blocks;
    size_t start = b ? (b->used + alignment - 1) / alignment * alignment : 0;
    if (b == NULL || start > b->size || b->size - start < n) {
        size_t size = n > BLOCK_BYTES / 4 ? n : BLOCK_BYTES;
        block *fresh = sqn_alloc(sizeof *fresh + size, e);
        if (fresh == NULL) return NULL;
        *fresh = (block){.size = size};
        a->held += (int64_t)(sizeof *fresh + size);
        if (b != NULL && size == n) { /* a block of its own, behind the one that fills up */
            fresh->older = b->older;
            b->older = fresh;
        } else {
            fresh->older = b;
            a->blocks = fresh;
        }
        b = fresh;
        start = 0;
    }
    b->used = start + n;
    return b->data + start;
}

void *sqn_arena_alloc(sqn_arena *a, size_t n, sqn_err *e) {
    char *p = take(a, n, alignof(max_align_t), e);
    return p ? memset(p, 0, n) : NULL;
}

char *sqn_arena_copy(sqn_arena *a, const char *bytes, size_t n, sqn_err *e) {
    char *p = take(a, n + 1, 1, e);
    if (p == NULL) return NULL;
    if (n > 0) memcpy(p, bytes, n);
    p[n] = '\0';
    return p;
}

void *sqn_arena_list(sqn_arena *a, void *list, size_t count, size_t size, sqn_err *e) {
    bool full = count == 0 || (count >= FIRST_PLACES && (count & (count - 1)) == 0);
    if (!full) return list;
    char *grown = sqn_arena_alloc(a, (count ? 2 * count : FIRST_PLACES) * size, e);
    if (grown != NULL && count > 0) memcpy(grown, list, count * size);
    return grown;
}

void sqn_arena_release(sqn_arena *a) {
    for (block *b = a->blocks, *older; b != NULL; b = older) {
        older = b->older;
        sqn_free(b);
    }
    *a = (sqn_arena){0};
}
