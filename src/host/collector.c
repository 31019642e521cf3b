/* The collector that finds values which nothing holds: SQLUNE_GC=stress.
 *
 * Rules: small incremental steps without a pause, and every 499th allocation is refused once, upon
 * which Lua collects everything and asks again.
 */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "host/host.h"

enum { REFUSE_EVERY = 499 };

static lua_Alloc plain;
static unsigned allocations;

static void *stressed(void *ud, void *p, size_t before, size_t after) {
    bool grows = after > (p == NULL ? 0 : before);
    if (grows && ++allocations % REFUSE_EVERY == 0) return NULL;
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
    lua_gc(L, LUA_GCINC, 1, 1000, 6);
    return true;
}
