/* Free lists by size for Lua's many small objects: see lua_memory.h. A quarter of a worker's time
 * went to malloc and free. Chunks are kept until the state is closed. */
#include "bind/lua_memory.h"

#include <string.h>

#include "core/alloc.h"

enum { CHUNK = 128 << 10, MOST_SMALL = LUA_MEMORY_STEP * LUA_MEMORY_CLASSES };

static size_t class_of(size_t n) { return (n - 1) / LUA_MEMORY_STEP; }

static void *take(lua_memory *m, size_t n) {
    if (n > MOST_SMALL) return sqn_alloc(n, NULL);
    size_t class = class_of(n), size = (class + 1) * LUA_MEMORY_STEP;
    void *p = m->free[class];
    if (p != NULL) {
        m->free[class] = *(void **)p;
        return p;
    }
    if ((size_t)(m->end - m->at) <
        size) { /* what is left of the chunk is lost: at most 512 bytes */
        char *chunk = sqn_alloc(CHUNK, NULL);
        if (chunk == NULL) return NULL;
        *(void **)(void *)chunk = m->chunks;
        m->chunks = chunk;
        m->at = chunk + LUA_MEMORY_STEP;
        m->end = chunk + CHUNK;
    }
    p = m->at;
    m->at += size;
    return p;
}

static void give(lua_memory *m, void *p, size_t n) {
    if (n > MOST_SMALL) {
        sqn_free(p);
        return;
    }
    size_t class = class_of(n);
    *(void **)p = m->free[class];
    m->free[class] = p;
}

void *lua_memory_allocate(void *of, void *p, size_t before, size_t after) {
    lua_memory *m = of;
    if (after == 0) {
        if (p != NULL && before > 0) give(m, p, before);
        return NULL;
    }
    if (p == NULL || before == 0) return take(m, after);
    if (before > MOST_SMALL && after > MOST_SMALL) return sqn_realloc(p, after, NULL);
    if (before <= MOST_SMALL && after <= MOST_SMALL && class_of(before) == class_of(after))
        return p;
    void *fresh = take(m, after);
    if (fresh == NULL) return after < before ? p : NULL; /* Lua counts on shrinking */
    memcpy(fresh, p, before < after ? before : after);
    give(m, p, before);
    return fresh;
}

void lua_memory_release(lua_memory *m) {
    for (void *chunk = m->chunks, *next; chunk != NULL; chunk = next) {
        next = *(void **)chunk;
        sqn_free(chunk);
    }
    m->chunks = NULL;
}
