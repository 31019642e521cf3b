/* Signals that end the work: ^C, SIGTERM, SIGHUP.
 *
 * Rules: the first and the second raise an error that nothing in Lua can catch, so that <close>
 * variables are closed on the way out; the third ends the process at once. A hook on the thread
 * that runs raises it, or a loop in C that polls the flag. Worker threads hand signals over.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "bind/bind.h"
#include "core/interrupt.h"
#include "host/host.h"

enum { PATIENCE = 3 }; /* signals until the process ends without clean-up */

static lua_State *volatile running;
static pthread_t lua_thread;
static volatile sig_atomic_t signals;

static void raise_in_hook(lua_State *L, lua_Debug *where) {
    (void)where;
    lua_sethook(L, NULL, 0, 0);
    if (sqn_interrupted()) bind_raise_interrupt(L);
}

static void set_hook(lua_State *L) {
    lua_sethook(L, raise_in_hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

static void on_signal(int number) {
    if (!pthread_equal(pthread_self(), lua_thread)) {
        pthread_kill(lua_thread, number);
        return;
    }
    signals = signals + 1;
    if (signals >= PATIENCE) _exit(128 + number);
    sqn_interrupt_set(number);
    if (running != NULL) set_hook(running); /* as lua.c does: sethook is meant for this */
}

lua_State *host_interrupt_running(lua_State *L) {
    lua_State *before = running;
    running = L;
    if (sqn_interrupted()) set_hook(L); /* the signal came while the other thread was named */
    return before;
}

void host_interrupt_reset(lua_State *L) {
    signals = 0;
    sqn_interrupt_forget();
    lua_sethook(L, NULL, 0, 0);
    clearerr(stdout); /* a write that the signal broke off is no failure; others fail again */
}

void host_interrupt_open(lua_State *L) {
    /* No SA_RESTART: a read that waits for a person ends. */
    struct sigaction action = {.sa_handler = on_signal}, before;
    lua_thread = pthread_self();
    running = L;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) /* not under nohup */
        sigaction(SIGHUP, &action, NULL);
}
