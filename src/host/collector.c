/* The collector that finds values which nothing holds: SQLUNE_GC=stress.
 *
 * Rules: small incremental steps without a pause; a full collection, finalizers included, before
 * every 29th box that a binding makes; and every 101st object of Lua is refused once, upon which
 * Lua collects everything, inside whatever C function runs, and asks again. Only the memory of new
 * objects is refused (the old size then tells their type): luaL_Buffer and LPeg ask Lua's allocator
 * for blocks of their own, and give up at once. What is freed is overwritten, so that who still
 * reads it is found out.
 */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "bind/bind.h"
#include "core/alloc.h"
#include "host/host.h"

enum { REFUSE_EVERY = 101, COLLECT_EVERY = 29, STEP_SPEED = 400 };

static lua_Alloc plain;
static unsigned objects;

static bool is_object(const void *p, size_t before) {
    return p == NULL && before >= LUA_TSTRING && before < LUA_NUMTYPES;
}

static void *stressed(void *ud, void *p, size_t before, size_t after) {
    if (is_object(p, before) && ++objects % REFUSE_EVERY == 0) return NULL;
    if (p != NULL && after < before) memset((char *)p + after, 0xdd, before - after);
    return plain(ud, p, before, after);
}

bool host_collector_open(lua_State *L) {
    const char *mode = getenv("SQLUNE_GC");
    lua_gc(L, LUA_GCGEN, 0, 0);
    if (mode == NULL || *mode == '\0') return true;
    if (strcmp(mode, "stress") != 0) return false;
    void *ud;
    plain = lua_getallocf(L, &ud);
    lua_setallocf(L, stressed, ud);
    sqn_alloc_overwrite_freed();
    lua_gc(L, LUA_GCINC, 1, STEP_SPEED, 6);
    bind_collect_every(L, COLLECT_EVERY);
    return true;
}
