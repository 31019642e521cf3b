/* sq.sys: clock, terminal, memory counters, folders. Files as text or bytes go through io
 * (bind/io.c). */
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bind/bind.h"
#include "core/alloc.h"
#include "core/interrupt.h"

static int l_clock(lua_State *L) { /* seconds of the monotonic clock */
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    lua_pushnumber(L, (double)t.tv_sec + 1e-9 * (double)t.tv_nsec);
    return 1;
}

static int l_sleep(lua_State *L) { /* sleep(seconds); ^C ends it */
    double left = luaL_checknumber(L, 1);
    for (; left > 0; left -= 0.05) {
        double slice = left < 0.05 ? left : 0.05;
        struct timespec t = {0, (long)(1e9 * slice)};
        nanosleep(&t, NULL);
        if (sqn_interrupted()) return bind_raise_interrupt(L);
    }
    return 0;
}

static int l_isatty(lua_State *L) { /* 0 stdin, 1 stdout, 2 stderr */
    lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
    return 1;
}

static int l_columns(lua_State *L) { /* width of the terminal behind 0, 1 or 2; nil: no terminal */
    struct winsize size;
    if (ioctl((int)luaL_checkinteger(L, 1), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 0;
    lua_pushinteger(L, size.ws_col);
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

/* Whether ^C or a signal to end has come: what runs now is the clean-up. The signal's number or
 * false. */
static int l_interrupted(lua_State *L) {
    int signal_number = sqn_interrupt_signal();
    if (signal_number != 0)
        lua_pushinteger(L, signal_number);
    else
        lua_pushboolean(L, 0);
    return 1;
}

/* uninterrupted(f, …): f's results; ^C and signals to end wait until it has returned. For what must
 * not be left half done in memory. f cannot yield. */
static int l_uninterrupted(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    bool before = sqn_interrupt_hold(true);
    int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
    sqn_interrupt_hold(before);
    if (sqn_interrupted()) return bind_raise_interrupt(L);
    return status == LUA_OK ? lua_gettop(L) : lua_error(L);
}

static lua_Alloc plain_alloc; /* Lua's allocator; the states of all threads share one */

/* A frame for a call (CallInfo: untyped, 64 bytes in Lua 5.4) is always given: Lua calls a
 * finalizer once, and one that finds no frame is lost with what its object owns. */
static bool call_frame(const void *p, size_t before, size_t after) {
    return p == NULL && before == 0 && after == 64;
}

static void *failing_alloc(void *ud, void *p, size_t before, size_t after) {
    bool grows = after > (p == NULL ? 0 : before) && !call_frame(p, before, after);
    return grows && sqn_alloc_fault_tick() ? NULL : plain_alloc(ud, p, before, after);
}

/* Fails the k-th allocation from now, Lua's and ours, and all later ones if `persistent`; k < 0
 * lifts it. Gives how many were left until the failing one (< 0: it came). For tests/fault. */
static int l_fail_allocation(lua_State *L) {
    int64_t k = luaL_checkinteger(L, 1), left = sqn_alloc_fail_left();
    int persistent = lua_toboolean(L, 2);
    void *ud;
    lua_Alloc now = lua_getallocf(L, &ud);
    if (now != failing_alloc) {
        plain_alloc = now;
        lua_setallocf(L, failing_alloc, ud);
    }
    sqn_alloc_fail_at(k, persistent);
    lua_pushinteger(L, left);
    return 1;
}

static const luaL_Reg functions[] = {
    {"clock", l_clock},
    {"sleep", l_sleep},
    {"isatty", l_isatty},
    {"columns", l_columns},
    {"memory", l_memory},
    {"interrupted", l_interrupted},
    {"fail_allocation", l_fail_allocation},
    {"uninterrupted", l_uninterrupted},
    {NULL, NULL},
};

int l_open_sys(lua_State *L);
int l_open_sys(lua_State *L) {
    luaL_newlib(L, functions);
    return 1;
}
