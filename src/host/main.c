/* The executable: sqlune [options] script.lua [arguments], sqlune RECIPE [arguments], or the REPL.
 */
#include <errno.h>
#include <langinfo.h>
#include <lauxlib.h>
#include <limits.h>
#include <locale.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bind/bind.h"
#include "core/interrupt.h"
#include "host/host.h"
#include "tensor/device.h"

int luaopen_lpeg(lua_State *L);

typedef struct start {
    int argc, status;
    char **argv;
} start;

/* Waiting OpenMP threads must sleep: they share the machine with databases and other programs
 * (docs/design.md). libgomp reads its settings before main, so the program starts itself again. */
static void set_wait_policy(char **argv) {
    char path[PATH_MAX];
    if (getenv("OMP_WAIT_POLICY") != NULL) return;
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0 || setenv("OMP_WAIT_POLICY", "passive", 1) != 0) return;
    path[n] = '\0';
    execv(path, argv);
}

/* Text is UTF-8, wherever the program runs; numbers keep their decimal point. */
static void set_locale(void) {
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0) setlocale(LC_CTYPE, "C.UTF-8");
}

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

/* Built-in modules come first, then the library of `home`, then what LUA_PATH says. */
static void open_modules(lua_State *L) {
    char home[PATH_MAX];
    find_home(home);
    luaL_openlibs(L);
    bind_preload(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_lpeg);
    lua_setfield(L, -2, "lpeg");
    lua_pop(L, 1);
    lua_getglobal(L, "package");
    lua_pushstring(L, home);
    lua_setfield(L, -2, "sqlune_home");
    lua_getfield(L, -1, "path");
    lua_pushfstring(L, "%s/lua/?.lua;%s/lua/?/init.lua;%s", home, home, lua_tostring(L, -1));
    lua_setfield(L, -3, "path");
    lua_pop(L, 2);
}

static void set_arguments(lua_State *L, char **argv, int argc, int script) {
    int origin = script < argc ? script : 0;
    lua_createtable(L, argc - origin, origin + 1);
    for (int i = 0; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i - origin);
    }
    lua_setglobal(L, "arg");
}

/* However the program ends (return, os.exit), what it printed must have arrived: a full disk or a
 * closed stdout is an error also where nobody looked at what print and io.write gave back. */
static void finish_output(int status, void *unused) {
    (void)unused;
    bool failed = ferror(stdout) != 0 && sqn_interrupt_signal() == 0; /* it breaks off writes */
    errno = 0;
    if (fflush(stdout) == 0 && !failed) return;
    const char *why = errno ? strerror(errno) : "it failed"; /* print has lost the reason */
    fprintf(stderr, "sqlune: standard output could not be written: %s\n", why);
    _exit(status ? status : 1);
}

static void print_version(void) {
    printf("sqlune 0.1  %s  %s", LUA_RELEASE, sqn_device_count() > 0 ? "" : "cpu only");
    for (int d = 0; d < sqn_device_count(); d++) {
        sqn_err e = SQN_ERR_INIT;
        sqn_device_info card;
        if (sqn_backend_get()->info(d, &card, &e) == SQN_OK)
            printf("%scuda:%d %s", d > 0 ? ", " : "", d, card.name);
        else
            printf("%s%s", d > 0 ? ", " : "", e.message);
        sqn_err_clear(&e);
    }
    putchar('\n');
}

/* What the command line asks for, once the state is ready. Gives the exit status. */
static int obey(lua_State *L, const start *s, const host_options *o) {
    int status = 0;
    bool has_script = o->script < s->argc;
    if (o->unknown != NULL) return host_run_module(L, "sqlune.cli", "unknown_option", o->unknown);
    if (o->lacking != NULL) return host_run_module(L, "sqlune.cli", "lacking_value", o->lacking);
    if (o->color != NULL) status = host_run_module(L, "sqlune.cli", "color", o->color);
    if (status != 0) return status;
    if (o->help) return host_run_module(L, "sqlune.cli", "help", "");
    if (o->list) return host_run_module(L, "sqlune.cli", "list", "");
    if (o->version && !o->interactive) print_version();
    if (!o->no_environment) status = host_run_environment(L);
    if (status == 0) status = host_options_run(L, s->argv, o);
    if (status != 0) return status;
    if (has_script) {
        const char *path = s->argv[o->script];
        bool is_stdin = strcmp(path, "-") == 0 && strcmp(s->argv[o->script - 1], "--") != 0;
        status = host_run_script(L, is_stdin ? NULL : path, s->argv, s->argc, o->script);
    }
    if (o->interactive) return host_run_repl(L); /* as lua.c: also after an error */
    if (has_script || o->executes || o->version) return status;
    return isatty(0) ? host_run_repl(L) : host_run_script(L, NULL, s->argv, s->argc, s->argc);
}

static int run(lua_State *L) { /* protected: memory may be out at any call */
    start *s = lua_touserdata(L, 1);
    host_options o = host_options_parse(s->argc, s->argv);
    if (o.no_environment) {
        lua_pushboolean(L, 1);
        lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
    }
    open_modules(L);
    host_protect_open(L);
    set_arguments(L, s->argv, s->argc, o.script);
    if (!host_collector_open(L)) {
        fputs("sqlune: SQLUNE_GC must be stress or empty\n", stderr);
        s->status = 2;
        return 0;
    }
    host_interrupt_open(L);
    s->status = obey(L, s, &o);
    return 0;
}

int main(int argc, char **argv) {
    start s = {.argc = argc, .argv = argv, .status = 1};
    set_wait_policy(argv);
    set_locale();
    on_exit(finish_output, NULL);
    lua_State *L = luaL_newstate();
    if (L == NULL) {
        fputs("sqlune: out of memory\n", stderr);
        return 1;
    }
    lua_pushcfunction(L, run);
    lua_pushlightuserdata(L, &s);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        const char *message = lua_tostring(L, -1);
        fprintf(stderr, "sqlune: %s\n", message ? message : "it could not start");
    }
    lua_close(L);
    return s.status;
}
