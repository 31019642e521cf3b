/* The executable: sqlune [options] script.lua [arguments], sqlune RECIPE [arguments], or the REPL.
 */
#include <lauxlib.h>
#include <limits.h>
#include <locale.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bind/bind.h"

int luaopen_lpeg(lua_State *L);

/* The folder that holds lua/, recipes/, configs/: $SQLUNE_HOME, the source tree, or
 * PREFIX/share/sqlune. */
static void find_home(char home[PATH_MAX]) {
    const char *set = getenv("SQLUNE_HOME");
    char exe[PATH_MAX], probe[PATH_MAX + 64];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (set != NULL && *set) {
        snprintf(home, PATH_MAX, "%s", set);
        return;
    }
    exe[n < 0 ? 0 : n] = '\0';
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(exe, '/');
        if (slash) *slash = '\0';
    }
    snprintf(probe, sizeof probe, "%s/lua/sqlune/init.lua", exe);
    snprintf(home, PATH_MAX, access(probe, R_OK) == 0 ? "%.4000s" : "%.4000s/share/sqlune", exe);
}

static int traceback(lua_State *L) {
    const char *message = luaL_tolstring(L, 1, NULL);
    luaL_traceback(L, L, message, 1);
    return 1;
}

int main(int argc, char **argv) {
    char home[PATH_MAX], path[2 * PATH_MAX];
    setlocale(LC_CTYPE, "");
    find_home(home);
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    bind_preload(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_lpeg);
    lua_setfield(L, -2, "lpeg");
    lua_pop(L, 1);
    lua_getglobal(L, "package");
    snprintf(path, sizeof path, "%s/lua/?.lua;%s/lua/?/init.lua;", home, home);
    lua_pushstring(L, path);
    lua_getfield(L, -2, "path");
    lua_concat(L, 2);
    lua_setfield(L, -2, "path");
    lua_pushstring(L, home);
    lua_setfield(L, -2, "sqlune_home");
    lua_pop(L, 1);
    if (argc < 2) {
        fprintf(stderr, "usage: sqlune script.lua [arguments]\n");
        return 2;
    }
    lua_createtable(L, argc, 0);
    for (int i = 0; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i - 1);
    }
    lua_setglobal(L, "arg");
    char script[PATH_MAX + 64];
    snprintf(script, sizeof script, "%s", argv[1]);
    if (strchr(argv[1], '/') == NULL && strstr(argv[1], ".lua") == NULL)
        snprintf(script, sizeof script, "%s/recipes/%s.lua", home, argv[1]);
    lua_pushcfunction(L, traceback);
    int failed = luaL_loadfile(L, script);
    if (failed == LUA_OK) {
        for (int i = 2; i < argc; i++) lua_pushstring(L, argv[i]);
        failed = lua_pcall(L, argc - 2, 0, 1);
    }
    if (failed != LUA_OK) fprintf(stderr, "sqlune: %s\n", lua_tostring(L, -1));
    lua_close(L);
    return failed == LUA_OK ? 0 : 1;
}
