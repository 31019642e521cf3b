/* pcall, xpcall, coroutine.resume, wrap and close as Lua's, except that they pass an interrupt on
 * and tell which thread runs, so that ^C reaches it.
 */
#include "bind/bind.h"
#include "host/host.h"

/* Ends pcall and xpcall; `extra` values lie below the results. */
static int finish_call(lua_State *L, int status, lua_KContext extra) {
    if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L) - (int)extra;
    if (bind_is_interrupt(L, -1)) return lua_error(L);
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
}

static int l_pcall(lua_State *L) {
    luaL_checkany(L, 1);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    return finish_call(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, finish_call), 0);
}

/* The first upvalue makes the caller's handler one that leaves interrupts alone. */
static int l_xpcall(lua_State *L) {
    int arguments = lua_gettop(L) - 2;
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, 2);
    lua_call(L, 1, 1);
    lua_replace(L, 2);     /* f, handler, arguments … */
    lua_pushboolean(L, 1); /* the first result */
    lua_pushvalue(L, 1);   /* f, handler, arguments …, true, f */
    lua_rotate(L, 3, 2);   /* f, handler, true, f, arguments … */
    return finish_call(L, lua_pcallk(L, arguments, LUA_MULTRET, 2, 2, finish_call), 2);
}

static int l_is_interrupt(lua_State *L) {
    lua_pushboolean(L, bind_is_interrupt(L, 1));
    return 1;
}

/* The inner function calls the handler as a tail call: levels of debug.traceback stay as in
 * Lua's xpcall. */
static const char handler_text[] = "local is_interrupt = ...\n"
                                   "return function(handler)\n"
                                   "  return function(e)\n"
                                   "    if is_interrupt(e) then return e end\n"
                                   "    return handler(e)\n"
                                   "  end\n"
                                   "end\n";

static lua_State *check_thread(lua_State *L) {
    lua_State *co = lua_tothread(L, 1);
    luaL_argexpected(L, co != NULL, 1, "coroutine");
    return co;
}

/* The top `arguments` values go into the coroutine. Gives the number of results on L's top, or -1
 * with the error there, which stays on the coroutine's stack for its close. */
static int resume(lua_State *L, lua_State *co, int arguments) {
    int results = 0;
    if (!lua_checkstack(co, arguments + 1)) {
        lua_pushliteral(L, "too many arguments to resume");
        return -1;
    }
    lua_xmove(L, co, arguments);
    bool was_alive = lua_status(co) == LUA_OK || lua_status(co) == LUA_YIELD;
    lua_State *before = host_interrupt_running(co);
    int status = lua_resume(co, L, arguments, &results);
    host_interrupt_running(before);
    if (status == LUA_OK || status == LUA_YIELD) {
        if (!lua_checkstack(L, results + 1)) {
            lua_pop(co, results);
            lua_pushliteral(L, "too many results to resume");
            return -1;
        }
        lua_xmove(co, L, results);
        return results;
    }
    bool broke = was_alive && lua_status(co) != LUA_OK && lua_status(co) != LUA_YIELD;
    if (broke && lua_checkstack(co, 1)) lua_pushvalue(co, -1);
    lua_xmove(co, L, 1);
    return -1;
}

/* Closes the coroutine's pending variables; they run on its thread. */
static int close_thread(lua_State *co) {
    lua_State *before = host_interrupt_running(co);
    int status = lua_resetthread(co);
    host_interrupt_running(before);
    return status;
}

/* What a coroutine that ended by an interrupt must do: close, and raise it here. */
static void pass_interrupt(lua_State *L, lua_State *co) {
    if (!bind_is_interrupt(L, -1)) return;
    close_thread(co);
    lua_settop(co, 0);
    bind_raise_interrupt(L);
}

static int l_resume(lua_State *L) {
    lua_State *co = check_thread(L);
    int results = resume(L, co, lua_gettop(L) - 1);
    if (results < 0) pass_interrupt(L, co);
    lua_pushboolean(L, results >= 0);
    int count = results < 0 ? 1 : results;
    lua_insert(L, -(count + 1));
    return count + 1;
}

static int call_wrapped(lua_State *L) {
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    int results = resume(L, co, lua_gettop(L));
    if (results >= 0) return results;
    pass_interrupt(L, co);
    int status = lua_status(co);
    if (status != LUA_OK && status != LUA_YIELD) { /* it broke inside: close its variables */
        status = close_thread(co);
        lua_xmove(co, L, 1);
    }
    if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static int l_wrap(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    lua_pushcclosure(L, call_wrapped, 1);
    return 1;
}

static const char *thread_state(lua_State *L, lua_State *co) {
    lua_Debug frame;
    if (L == co) return "running";
    if (lua_status(co) == LUA_OK && lua_getstack(co, 0, &frame)) return "normal";
    return NULL; /* suspended or dead: it can be closed */
}

static int l_close(lua_State *L) {
    lua_State *co = check_thread(L);
    const char *state = thread_state(L, co);
    if (state != NULL) return luaL_error(L, "cannot close a %s coroutine", state);
    if (close_thread(co) == LUA_OK) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_xmove(co, L, 1);
    if (bind_is_interrupt(L, -1)) return lua_error(L);
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
}

static const luaL_Reg coroutine_functions[] = {
    {"resume", l_resume}, {"wrap", l_wrap}, {"close", l_close}, {NULL, NULL}};

void host_protect_open(lua_State *L) {
    lua_pushcfunction(L, l_pcall);
    lua_setglobal(L, "pcall");
    luaL_loadbuffer(L, handler_text, sizeof handler_text - 1, "=xpcall");
    lua_pushcfunction(L, l_is_interrupt);
    lua_call(L, 1, 1);
    lua_pushcclosure(L, l_xpcall, 1);
    lua_setglobal(L, "xpcall");
    lua_getglobal(L, "coroutine");
    luaL_setfuncs(L, coroutine_functions, 0);
    lua_pop(L, 1);
}
