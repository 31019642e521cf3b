/* Memory of a worker's Lua state: small blocks from free lists, one thread only. */
#ifndef SQN_BIND_LUA_MEMORY_H
#define SQN_BIND_LUA_MEMORY_H

#include <stddef.h>

enum { LUA_MEMORY_STEP = 16, LUA_MEMORY_CLASSES = 32 }; /* blocks up to 512 bytes are small */

typedef struct lua_memory {
    void *free[LUA_MEMORY_CLASSES]; /* blocks of (i + 1) * LUA_MEMORY_STEP bytes */
    char *at, *end;                 /* what is left of the newest chunk */
    void *chunks;                   /* owned; each begins with the one before it */
} lua_memory;

/* A lua_Alloc; `of` is a lua_memory that began as zeros. */
void *lua_memory_allocate(void *of, void *p, size_t before, size_t after);
/* After lua_close: gives the chunks back. */
void lua_memory_release(lua_memory *m);

#endif
