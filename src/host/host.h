/* The parts of the executable.
 *
 * Rules: exit status 0 fine, 1 an error, 2 wrong usage, 128 + n ended by signal n. Messages go to
 * stderr as "sqlune: text".
 */
#ifndef SQN_HOST_HOST_H
#define SQN_HOST_HOST_H

#include <lua.h>
#include <stdbool.h>

/* What stands before the script on the command line; lua.c's short options keep their meaning. */
typedef struct host_options {
    bool interactive, version, no_environment, executes, list, help;
    const char *color;   /* borrowed from argv; NULL: not given */
    const char *unknown; /* the argument that is no option; NULL: all are */
    const char *lacking; /* the option that lacks its value; NULL: none */
    int script;          /* index in argv; argc: there is none */
    int end;             /* the options stand before this index */
} host_options;

host_options host_options_parse(int argc, char **argv);
/* Runs -e, -l and -W in their order. Gives the exit status. */
int host_options_run(lua_State *L, char **argv, const host_options *o);

/* Each of these prints what goes wrong and gives the exit status. */
int host_call(lua_State *L, int arguments); /* function and arguments on the stack; drops results */
int host_run_text(lua_State *L, const char *text, const char *name);
int host_run_environment(lua_State *L); /* LUA_INIT */
int host_run_script(lua_State *L, const char *path, char **argv, int argc, int script);
/* Calls the function `name` of a Lua module with strings; its result is the exit status. */
int host_run_module(lua_State *L, const char *module, const char *name, const char *argument);
int host_run_repl(lua_State *L);

/* pcall, xpcall and coroutine.* that pass an interrupt on, and the signal handlers. */
void host_interrupt_open(lua_State *L);
/* Forgets what came so far: the REPL is back at its prompt. */
void host_interrupt_reset(lua_State *L);
/* The thread that runs now; gives the one before. The hook of an interrupt moves along. */
lua_State *host_interrupt_running(lua_State *L);
void host_protect_open(lua_State *L);

/* Pushes a table {read, remember, attempt, size}: what lua/sqlune/repl.lua asks of the host. */
void host_push_editor(lua_State *L);

/* SQLUNE_GC=stress: full collections in the middle of bindings and small steps all the time. False
 * for another value of SQLUNE_GC. */
bool host_collector_open(lua_State *L);

#endif
