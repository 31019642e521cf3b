/* The emulated cards' settings and counters for Lua: a library that tests/card.lua opens, whose
 * functions of card.h and of Lua are the program's. */
#include <lua.hpp>

#include "tests/gpu/card.h"

static int l_fault(lua_State *L) { /* fault(function, nth, code) */
    card_fault(luaL_checkstring(L, 1), (long)luaL_checkinteger(L, 2),
               (long)luaL_checkinteger(L, 3));
    return 0;
}
static int l_calls(lua_State *L) { /* calls(function) -> how many there were */
    lua_pushinteger(L, card_calls(luaL_checkstring(L, 1)));
    return 1;
}
static int l_set(lua_State *L) { /* set(name, value) */
    card_set(luaL_checkstring(L, 1), (long)luaL_checkinteger(L, 2));
    return 0;
}
static int l_count(lua_State *L) { /* count(what) -> how many are alive */
    lua_pushinteger(L, card_count(luaL_checkstring(L, 1)));
    return 1;
}

static const luaL_Reg functions[] = {
    {"fault", l_fault}, {"calls", l_calls}, {"set", l_set}, {"count", l_count}, {nullptr, nullptr}};

extern "C" int luaopen_control(lua_State *L) {
    luaL_newlib(L, functions);
    return 1;
}
