/* Running chunks: scripts, recipes, text of options, stdin, LUA_INIT. Errors end here.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bind/bind.h"
#include "core/interrupt.h"
#include "host/host.h"

static void complain(const char *message) {
    fflush(stdout);
    fprintf(stderr, "sqlune: %s\n", message);
}

/* The outermost handler: adds a traceback to whatever can be shown as text. */
static int with_traceback(lua_State *L) {
    if (bind_is_interrupt(L, 1)) return 1;
    if (luaL_getmetafield(L, 1, "__tostring") == LUA_TNIL && !lua_isstring(L, 1))
        lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
    else
        luaL_tolstring(L, 1, NULL);
    luaL_traceback(L, L, lua_tostring(L, -1), 1);
    return 1;
}

/* Prints the error on the top and pops it. Gives the exit status. */
static int report(lua_State *L) {
    int status = 1;
    if (bind_is_interrupt(L, -1)) {
        int number = sqn_interrupt_signal();
        complain(number == 2 ? "interrupted" : "ended by a signal");
        status = 128 + number;
    } else {
        const char *message = lua_tostring(L, -1);
        complain(message ? message : "(no error message)");
    }
    lua_pop(L, 1);
    return status;
}

int host_call(lua_State *L, int arguments) {
    int base = lua_gettop(L) - arguments;
    lua_pushcfunction(L, with_traceback);
    lua_insert(L, base);
    int status = lua_pcall(L, arguments, 0, base);
    lua_remove(L, base);
    return status == LUA_OK ? 0 : report(L);
}

int host_run_text(lua_State *L, const char *text, const char *name) {
    if (luaL_loadbuffer(L, text, strlen(text), name) != LUA_OK) return report(L);
    return host_call(L, 0);
}

int host_run_environment(lua_State *L) {
    const char *name = "=LUA_INIT_5_4", *text = getenv(name + 1);
    if (text == NULL) text = getenv((name = "=LUA_INIT") + 1);
    if (text == NULL) return 0;
    if (text[0] != '@') return host_run_text(L, text, name);
    return luaL_loadfile(L, text + 1) == LUA_OK ? host_call(L, 0) : report(L);
}

int host_run_module(lua_State *L, const char *module, const char *name, const char *argument) {
    lua_getglobal(L, "require");
    lua_pushstring(L, module);
    int status = lua_pcall(L, 1, 1, 0);
    if (status != LUA_OK) return report(L);
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
    lua_pushstring(L, argument);
    lua_pushcfunction(L, with_traceback);
    lua_insert(L, -3);
    if (lua_pcall(L, 1, 1, -3) != LUA_OK) return report(L);
    int result = (int)lua_tointeger(L, -1);
    lua_pop(L, 2);
    return result;
}

/* Prepends the script's folder to package.path, behind the library itself. */
static void add_folder(lua_State *L, const char *path) {
    const char *slash = strrchr(path, '/');
    int length = slash ? (int)(slash - path) : 1;
    const char *folder = slash ? (length == 0 ? "/" : path) : ".";
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "sqlune_home");
    lua_getfield(L, -2, "path");
    lua_pushlstring(L, folder, length == 0 ? 1 : (size_t)length);
    const char *home = lua_tostring(L, -3), *before = lua_tostring(L, -2),
               *dir = lua_tostring(L, -1);
    size_t library = strlen(home) * 2 + strlen("/lua/?.lua;/lua/?/init.lua;");
    if (strlen(before) < library) library = 0;
    lua_pushlstring(L, before, library);
    lua_pushfstring(L, "%s%s/?.lua;%s/?/init.lua;%s", lua_tostring(L, -1), dir, dir,
                    before + library);
    lua_setfield(L, -6, "path");
    lua_pop(L, 5);
}

/* A bare word names a recipe, with - or _ between its words, or a file where there is no such
 * recipe. Pushes the file's path. */
static bool find_recipe(lua_State *L, const char *name) {
    if (strpbrk(name, "/.") != NULL) return false;
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "sqlune_home");
    lua_remove(L, -2);
    luaL_gsub(L, name, "-", "_");
    lua_pushfstring(L, "%s/recipes/%s.lua", lua_tostring(L, -2), lua_tostring(L, -1));
    lua_replace(L, -3);
    lua_pop(L, 1);
    if (access(lua_tostring(L, -1), R_OK) == 0) return true;
    lua_pop(L, 1);
    return false;
}

int host_run_script(lua_State *L, const char *path, char **argv, int argc, int script) {
    int before = lua_gettop(L);
    const char *file = path;
    if (path != NULL) {
        if (find_recipe(L, path)) {
            file = lua_tostring(L, -1);
        } else if (access(path, R_OK) != 0) {
            if (strpbrk(path, "/.") == NULL)
                return host_run_module(L, "sqlune.cli", "unknown_recipe", path);
            fprintf(stderr, "sqlune: cannot open %s: %s\n", path, strerror(errno));
            return 1;
        } else {
            add_folder(L, path);
        }
    }
    if (luaL_loadfile(L, file) != LUA_OK) return report(L);
    luaL_checkstack(L, argc - script + 2, "too many arguments to the script");
    int arguments = 0;
    for (int i = script + 1; i < argc; i++, arguments++) lua_pushstring(L, argv[i]);
    int status = host_call(L, arguments);
    lua_settop(L, before);
    return status;
}

/* attempt(f, …): true and f's results; false and the error with a traceback; nil after ^C. */
static int l_attempt(lua_State *L) {
    lua_pushcfunction(L, with_traceback);
    lua_insert(L, 1);
    int status = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 1);
    bool interrupt = status != LUA_OK && bind_is_interrupt(L, -1);
    if (interrupt && sqn_interrupt_signal() != 2) return lua_error(L); /* asked to end: ends */
    if (interrupt) {
        host_interrupt_reset(L);
        return 0;
    }
    lua_pushboolean(L, status == LUA_OK);
    lua_replace(L, 1);
    return lua_gettop(L);
}

int host_run_repl(lua_State *L) {
    lua_getglobal(L, "require");
    lua_pushliteral(L, "sqlune.repl");
    int status = lua_pcall(L, 1, 1, 0);
    if (status != LUA_OK) return report(L);
    lua_getfield(L, -1, "run");
    lua_remove(L, -2);
    host_push_editor(L);
    lua_pushcfunction(L, l_attempt);
    lua_setfield(L, -2, "attempt");
    return host_call(L, 1);
}
