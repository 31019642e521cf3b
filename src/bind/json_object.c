/* Ordered objects: tables that remember the order in which their keys came.
 *
 * Rules: the order lives in the metatable ("order"): keys at 1..n. Orders of up to SHARED_KEYS keys
 * are shared by all tables with the same keys in the same order, found through a tree: an order
 * holds its parent at -1 and, weakly, the orders with one more key in the table at 0. A longer
 * order belongs to one table ("own") and grows in place. A key keeps its place while its value is
 * nil.
 */
#include "bind/json.h"

enum { SHARED_KEYS = 32, PARENT = -1, CHILDREN = 0 };

static const char root_key, array_key,
    weak_key; /* addresses are keys of the registry; root_key also marks orders */

static bool is_order(lua_State *L, int idx) {
    bool marked = lua_rawgetp(L, idx, &root_key) != LUA_TNIL;
    lua_pop(L, 1);
    return marked;
}

static int next_pair(lua_State *L) { /* (table) -> key, value; upvalues: order, position */
    lua_Integer at = lua_tointeger(L, lua_upvalueindex(2));
    lua_settop(L, 1);
    while (lua_rawgeti(L, lua_upvalueindex(1), ++at) != LUA_TNIL) {
        lua_pushvalue(L, 2);
        if (lua_rawget(L, 1) != LUA_TNIL) {
            lua_pushinteger(L, at);
            lua_replace(L, lua_upvalueindex(2));
            return 2;
        }
        lua_settop(L, 1);
    }
    return 1;
}

static int ordered_pairs(lua_State *L) { /* __pairs */
    luaL_checktype(L, 1, LUA_TTABLE);
    if (!lua_getmetatable(L, 1)) lua_newtable(L);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, next_pair, 2);
    lua_pushvalue(L, 1);
    return 2;
}

/* Is the key at index 2 in the order at index 4? It may be, with a value that was set to nil. */
static bool in_order(lua_State *L) {
    lua_Integer n = (lua_Integer)lua_rawlen(L, 4);
    if (n > SHARED_KEYS) {
        if (lua_getfield(L, 4, "known") == LUA_TNIL) {
            lua_newtable(L);
            for (lua_Integer i = 1; i <= n; i++) {
                lua_rawgeti(L, 4, i);
                lua_pushboolean(L, 1);
                lua_rawset(L, -3);
            }
            lua_pushvalue(L, -1);
            lua_setfield(L, 4, "known");
        }
        lua_pushvalue(L, 2);
        bool known = lua_rawget(L, -2) != LUA_TNIL;
        lua_pushvalue(L, 2);
        lua_pushboolean(L, 1);
        lua_rawset(L, -4);
        return known;
    }
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, 4, i);
        if (lua_rawequal(L, -1, 2)) return true;
        lua_pop(L, 1);
    }
    return false;
}

static int ordered_assign(lua_State *L) { /* __newindex: the key has no value yet */
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 3);
    if (!lua_isnil(L, 3) && !lua_isnil(L, 2) && lua_getmetatable(L, 1)) {
        if (is_order(L, 4) && !in_order(L)) {
            lua_settop(L, 4);
            bind_json_extend_order(L, 4, 2);
            lua_setmetatable(L, 1);
        }
        lua_settop(L, 3);
    }
    lua_rawset(L, 1);
    return 0;
}

static void push_bare_order(lua_State *L, int keys) { /* [-0, +1, e] */
    lua_createtable(L, keys, 8);
    lua_pushboolean(L, 1);
    lua_rawsetp(L, -2, &root_key);
    lua_pushcfunction(L, ordered_pairs);
    lua_setfield(L, -2, "__pairs");
    lua_pushcfunction(L, ordered_assign);
    lua_setfield(L, -2, "__newindex");
    lua_pushliteral(L, "json.object");
    lua_setfield(L, -2, "__name");
}

/* Pushes a copy of the order with the key added. [-0, +1, e] */
static void push_longer(lua_State *L, int order, int key) {
    lua_Integer n = (lua_Integer)lua_rawlen(L, order);
    push_bare_order(L, (int)n + 1);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, order, i);
        lua_rawseti(L, -2, i);
    }
    lua_pushvalue(L, key);
    lua_rawseti(L, -2, n + 1);
}

void bind_json_extend_order(lua_State *L, int order, int key) {
    int top = lua_gettop(L);
    lua_Integer n = (lua_Integer)lua_rawlen(L, order);
    luaL_checkstack(L, 8, NULL);
    if (n > SHARED_KEYS) { /* its own: grows */
        lua_pushvalue(L, key);
        lua_rawseti(L, order, n + 1);
        return;
    }
    if (n == SHARED_KEYS) {
        push_longer(L, order, key);
        lua_replace(L, order);
        return;
    }
    if (lua_rawgeti(L, order, CHILDREN) == LUA_TNIL) {
        lua_newtable(L);
        lua_rawgetp(L, LUA_REGISTRYINDEX, &weak_key);
        lua_setmetatable(L, -2);
        lua_pushvalue(L, -1);
        lua_rawseti(L, order, CHILDREN);
        lua_replace(L, top + 1);
    }
    lua_pushvalue(L, key);
    if (lua_rawget(L, top + 1) == LUA_TNIL) {
        push_longer(L, order, key);
        lua_pushvalue(L, order);
        lua_rawseti(L, -2, PARENT);
        lua_pushvalue(L, key);
        lua_pushvalue(L, -2);
        lua_rawset(L, top + 1);
    }
    lua_replace(L, order);
    lua_settop(L, top);
}

void bind_json_push_order(lua_State *L) { lua_rawgetp(L, LUA_REGISTRYINDEX, &root_key); }

void bind_json_push_object(lua_State *L) {
    lua_newtable(L);
    bind_json_push_order(L);
    lua_setmetatable(L, -2);
}

void bind_json_push_null(lua_State *L) { lua_pushlightuserdata(L, NULL); }

bool bind_json_is_null(lua_State *L, int idx) {
    return lua_type(L, idx) == LUA_TLIGHTUSERDATA && lua_touserdata(L, idx) == NULL;
}

bool bind_json_is_array(lua_State *L, int idx) {
    if (lua_type(L, idx) != LUA_TTABLE || !lua_getmetatable(L, idx)) return false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

bool bind_json_is_object(lua_State *L, int idx) {
    if (lua_type(L, idx) != LUA_TTABLE || !lua_getmetatable(L, idx)) return false;
    bool object = is_order(L, -1);
    lua_pop(L, 1);
    return object;
}

void bind_json_mark_array(lua_State *L, int idx) {
    idx = lua_absindex(L, idx);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key);
    lua_setmetatable(L, idx);
}

static int
null_text(lua_State *L) { /* __tostring of all light userdata; only null is handed to Lua */
    if (lua_touserdata(L, 1) == NULL)
        lua_pushliteral(L, "null");
    else
        lua_pushfstring(L, "userdata: %p", lua_touserdata(L, 1));
    return 1;
}

void bind_json_register(lua_State *L) {
    push_bare_order(L, 0);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &root_key);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "json.array");
    lua_setfield(L, -2, "__name");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &array_key);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &weak_key);
    bind_json_push_null(L);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, null_text);
    lua_setfield(L, -2, "__tostring");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}
