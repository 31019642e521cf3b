/* sq.sys: clock, terminal, memory counters, folders. Files as text or bytes go through io
 * (bind/io.c). */
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bind/bind.h"
#include "core/alloc.h"

static int l_clock(lua_State *L) { /* seconds of the monotonic clock */
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    lua_pushnumber(L, (double)t.tv_sec + 1e-9 * (double)t.tv_nsec);
    return 1;
}

static int l_isatty(lua_State *L) { /* 0 stdin, 1 stdout, 2 stderr */
    lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
    return 1;
}

static int l_memory(lua_State *L) { /* {live_bytes, live_blocks, peak_bytes} of the C side */
    sqn_alloc_stats s = sqn_alloc_get_stats();
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, s.live_bytes);
    lua_setfield(L, -2, "live_bytes");
    lua_pushinteger(L, s.live_blocks);
    lua_setfield(L, -2, "live_blocks");
    lua_pushinteger(L, s.peak_bytes);
    lua_setfield(L, -2, "peak_bytes");
    return 1;
}

/* Fails the k-th allocation from now, and all later ones if `persistent`; k < 0 lifts it. For
 * tests/fault. */
static int l_fail_allocation(lua_State *L) {
    sqn_alloc_fail_at(luaL_checkinteger(L, 1), lua_toboolean(L, 2));
    return 0;
}

static const luaL_Reg functions[] = {
    {"clock", l_clock},   {"isatty", l_isatty},
    {"memory", l_memory}, {"fail_allocation", l_fail_allocation},
    {NULL, NULL},
};

int l_open_sys(lua_State *L);
int l_open_sys(lua_State *L) {
    luaL_newlib(L, functions);
    return 1;
}
