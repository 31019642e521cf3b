/* sq.workers: Lua states on threads of their own. lua/sqlune/parallel.lua is what the library uses.
 *
 * Rules: a state shares nothing with others; a module, named, turns texts into texts in it. The
 * threads take no signals: ^C comes to the thread that waits for results, which closes the workers:
 * it sets a hook on their states (as the host's signal handler does), and that ends what they run.
 * A hook from the start would cost a tenth of the time. What a job raises is its result, as a
 * failure.
 */
#include <lualib.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "bind/bind.h"
#include "bind/lua_memory.h"
#include "core/alloc.h"
#include "core/jobs.h"

enum { MOST_WORKERS = 64, MOST_PRELOADED = 16 };

typedef struct preloaded {
    char *name; /* owned */
    lua_CFunction open;
} preloaded;

typedef struct crew {
    sqn_jobs *jobs;                                /* owned */
    char *module, *argument, *path, *cpath, *home; /* owned */
    size_t argument_length;
    preloaded preload[MOST_PRELOADED]; /* modules of C that the program brings */
    int preload_count;
    pthread_t threads[MOST_WORKERS];
    int started;
    pthread_mutex_t lock; /* of `states`: a state is hooked only while it is there */
    lua_State *states[MOST_WORKERS];
    int state_count;
} crew;

static const char *const start_keys[] = {"module", "argument", "workers", NULL};

/* ---- a thread ---- */

static const char crew_key; /* its address is the registry key of a state's crew */

static void stop_when_asked(lua_State *L, lua_Debug *where) {
    (void)where;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &crew_key);
    const crew *c = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (c != NULL && sqn_jobs_stopped(c->jobs)) luaL_error(L, "the workers are being closed");
}

static void set_package(lua_State *L, const char *key, const char *value) { /* [-0, +0, e] */
    lua_getglobal(L, "package");
    lua_pushstring(L, value);
    lua_setfield(L, -2, key);
    lua_pop(L, 1);
}

static int with_traceback(lua_State *L) {
    const char *message = lua_tostring(L, 1);
    luaL_traceback(L, L, message ? message : "an error that is no text", 1);
    return 1;
}

/* The state as the host's, without its arguments, its editor and its signals; leaves the module's
 * function for jobs. [-1, +1, e] */
static int open_state(lua_State *L) {
    crew *c = lua_touserdata(L, 1);
    lua_pushlightuserdata(L, c);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &crew_key);
    luaL_openlibs(L);
    bind_preload(L);
    bind_set_worker(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    for (int i = 0; i < c->preload_count; i++) {
        lua_pushcfunction(L, c->preload[i].open);
        lua_setfield(L, -2, c->preload[i].name);
    }
    set_package(L, "path", c->path);
    set_package(L, "cpath", c->cpath);
    set_package(L, "sqlune_home", c->home);
    /* What an item leaves behind is young: four fifths of the time of an incremental collector that
     * waits for four times the memory, and half of its memory (assemble, measured). */
    lua_gc(L, LUA_GCGEN, 0, 0);
    lua_getglobal(L, "require");
    lua_pushstring(L, c->module);
    lua_call(L, 1, 1);
    lua_pushlstring(L, c->argument, c->argument_length);
    lua_call(L, 1, 2); /* the function, or nil and a message */
    if (lua_isfunction(L, -2)) {
        lua_pop(L, 1);
        return 1;
    }
    if (!lua_isstring(L, -1)) luaL_error(L, "module '%s' gave no function", c->module);
    return lua_error(L);
}

/* Runs one job; function at 1, traceback at 2. [-0, +0, -] */
static void serve(lua_State *L, crew *c, sqn_job *job) {
    static const char no_memory[] = "not enough memory",
                      no_text[] = "a job's result must be a text";
    size_t n = 0;
    lua_settop(L, 2);
    lua_pushvalue(L, 1);
    if (!lua_checkstack(L, 8)) {
        sqn_jobs_answer(c->jobs, job, no_memory, sizeof no_memory - 1, true);
        return;
    }
    lua_pushlightuserdata(L, job);
    int status = lua_pcall(L, 1, 2, 2);
    int at = status == LUA_OK && lua_isnil(L, -2) ? -1 : status == LUA_OK ? -2 : -1;
    bool failed = status != LUA_OK || at == -1;
    const char *text = lua_type(L, at) == LUA_TSTRING ? lua_tolstring(L, at, &n) : NULL;
    if (text != NULL)
        sqn_jobs_answer(c->jobs, job, text, n, failed);
    else
        sqn_jobs_answer(c->jobs, job, no_text, sizeof no_text - 1, true);
}

/* What serve calls, protected: the job's text becomes a string, the module's function runs. */
static int run_job(lua_State *L) {
    const sqn_job *job = lua_touserdata(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushlstring(L, job->text, job->length);
    lua_call(L, 1, 2);
    return 2;
}

static int
close_over(lua_State *L) { /* the module's function becomes run_job over it, and the handler */
    lua_pushcclosure(L, run_job, 1);
    lua_pushcfunction(L, with_traceback);
    return 2;
}

/* Every job fails with the message of what kept the state from starting. */
static void refuse_all(crew *c, const char *message) {
    sqn_job *job;
    while ((job = sqn_jobs_take(c->jobs)) != NULL)
        sqn_jobs_answer(c->jobs, job, message, strlen(message), true);
}

/* From here on closing the workers hooks the state; a close that came before is seen at once. */
static int enter(crew *c, lua_State *L) {
    pthread_mutex_lock(&c->lock);
    int place = c->state_count++;
    c->states[place] = L;
    pthread_mutex_unlock(&c->lock);
    return place;
}

static void leave(crew *c, int place, lua_State *L) {
    pthread_mutex_lock(&c->lock);
    c->states[place] = NULL;
    pthread_mutex_unlock(&c->lock);
    lua_sethook(L, NULL, 0, 0);
}

static void *work(void *of) {
    crew *c = of;
    sqn_job *job;
    lua_memory memory = {0};
    lua_State *L = lua_newstate(lua_memory_allocate, &memory);
    if (L == NULL) {
        refuse_all(c, "not enough memory for a worker");
        lua_memory_release(&memory);
        return NULL;
    }
    int place = enter(c, L);
    lua_pushcfunction(L, close_over);
    lua_pushcfunction(L, open_state);
    lua_pushlightuserdata(L, c);
    bool opened = lua_pcall(L, 1, 1, 0) == LUA_OK && lua_pcall(L, 1, 2, 0) == LUA_OK;
    if (opened)
        while ((job = sqn_jobs_take(c->jobs)) != NULL) serve(L, c, job);
    else
        refuse_all(c, lua_tostring(L, -1) ? lua_tostring(L, -1) : "a worker could not start");
    leave(c, place, L);
    lua_close(L);
    lua_memory_release(&memory);
    return NULL;
}

/* ---- the crew ---- */

static void release_crew(void *self) {
    crew *c = self;
    if (c->jobs != NULL) sqn_jobs_stop(c->jobs);
    pthread_mutex_lock(&c->lock);
    for (int i = 0; i < c->state_count; i++)
        if (c->states[i] != NULL)
            lua_sethook(c->states[i], stop_when_asked, LUA_MASKCALL | LUA_MASKCOUNT, 1000);
    pthread_mutex_unlock(&c->lock);
    for (int i = 0; i < c->started; i++) pthread_join(c->threads[i], NULL);
    pthread_mutex_destroy(&c->lock);
    sqn_jobs_release(c->jobs);
    for (int i = 0; i < c->preload_count; i++) sqn_free(c->preload[i].name);
    sqn_free(c->module);
    sqn_free(c->argument);
    sqn_free(c->path);
    sqn_free(c->cpath);
    sqn_free(c->home);
    sqn_free(c);
}

/* A copy of a field of `package`. [-0, +0, e] */
static sqn_status copy_package(lua_State *L, const char *key, char **out, sqn_err *e) {
    lua_getglobal(L, "package");
    lua_getfield(L, -1, key);
    const char *text = lua_tostring(L, -1);
    *out = sqn_strdup(text ? text : "", e);
    lua_pop(L, 2);
    return *out ? SQN_OK : SQN_NOMEM;
}

/* The functions of package.preload, which other states need as well. [-0, +0, e] */
static sqn_status copy_preload(lua_State *L, crew *c, sqn_err *e) {
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        lua_CFunction open = lua_tocfunction(L, -1);
        if (open == NULL || lua_type(L, -2) != LUA_TSTRING || c->preload_count == MOST_PRELOADED)
            continue;
        preloaded *p = &c->preload[c->preload_count];
        p->open = open;
        p->name = sqn_strdup(lua_tostring(L, -2), e);
        if (p->name == NULL) return SQN_NOMEM;
        c->preload_count++;
    }
    lua_pop(L, 1);
    return SQN_OK;
}

static sqn_status start_threads(crew *c, int wanted, sqn_err *e) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    while (c->started < wanted && pthread_create(&c->threads[c->started], NULL, work, c) == 0)
        c->started++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return c->started > 0 ? SQN_OK : SQN_FAIL(e, SQN_IO, "no thread could be started");
}

static int processors(void) {
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > MOST_WORKERS ? MOST_WORKERS : (int)n;
}

static int l_processors(lua_State *L) { /* processors() -> how many there are */
    lua_pushinteger(L, processors());
    return 1;
}

static int l_start(lua_State *L) { /* start{module=, argument=, workers=} -> workers */
    sqn_err e = SQN_ERR_INIT;
    sqn_status status = SQN_OK;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    bind_options_check(L, 1, start_keys);
    const char *module = bind_option_string(L, 1, "module", NULL);
    int64_t wanted = bind_option_integer(L, 1, "workers", 0);
    if (module == NULL) return luaL_error(L, "option 'module' is missing");
    luaL_argcheck(L, wanted >= 0 && wanted <= MOST_WORKERS, 1, "'workers' must be 0 … 64");
    lua_getfield(L, 1, "argument");
    size_t length;
    const char *argument = luaL_optlstring(L, 2, "", &length);
    bind_box *box = bind_push_box(L, BIND_WORKERS);
    crew *c = box->self = sqn_calloc(1, sizeof *c, &e);
    if (c == NULL) return bind_error(L, &e);
    pthread_mutex_init(&c->lock, NULL);
    status = sqn_jobs_new(&c->jobs, &e);
    if (status == SQN_OK) status = copy_package(L, "path", &c->path, &e);
    if (status == SQN_OK) status = copy_package(L, "cpath", &c->cpath, &e);
    if (status == SQN_OK) status = copy_package(L, "sqlune_home", &c->home, &e);
    if (status == SQN_OK) status = copy_preload(L, c, &e);
    if (status == SQN_OK && (c->module = sqn_strdup(module, &e)) == NULL) status = SQN_NOMEM;
    if (status == SQN_OK && (c->argument = sqn_alloc(length, &e)) == NULL) status = SQN_NOMEM;
    if (status != SQN_OK) return bind_error(L, &e);
    memcpy(c->argument, argument, length);
    c->argument_length = length;
    if (start_threads(c, wanted ? (int)wanted : processors(), &e) != SQN_OK)
        return bind_error(L, &e);
    return 1;
}

static int l_send(lua_State *L) { /* workers:send(text) */
    size_t n;
    sqn_err e = SQN_ERR_INIT;
    crew *c = bind_check(L, 1, BIND_WORKERS);
    const char *text = luaL_checklstring(L, 2, &n);
    if (sqn_jobs_add(c->jobs, text, n, &e) != SQN_OK) return bind_error(L, &e);
    lua_settop(L, 1);
    return 1;
}

static void free_job(void *self) { sqn_job_free(self); }

/* workers:receive() -> text | nil, message: the oldest job's result. Raises on ^C. */
static int l_receive(lua_State *L) {
    sqn_err e = SQN_ERR_INIT;
    crew *c = bind_check(L, 1, BIND_WORKERS);
    bind_box *box = bind_push_box(L, BIND_WORKER_RESULT);
    if (sqn_jobs_wait(c->jobs, (sqn_job **)&box->self, &e) != SQN_OK) return bind_error(L, &e);
    sqn_job *job = box->self;
    int values = job->failed ? 2 : 1;
    if (job->failed) luaL_pushfail(L);
    if (job->result != NULL)
        lua_pushlstring(L, job->result, job->result_length);
    else
        lua_pushliteral(L, "not enough memory for a worker's result");
    box->self = NULL;
    sqn_job_free(job);
    return values;
}

static int l_count(lua_State *L) { /* workers:count() -> jobs sent and not yet received */
    crew *c = bind_check(L, 1, BIND_WORKERS);
    lua_pushinteger(L, sqn_jobs_count(c->jobs));
    return 1;
}

static const luaL_Reg methods[] = {
    {"send", l_send}, {"receive", l_receive}, {"count", l_count}, {NULL, NULL}};
static const bind_type crew_type = {"workers", release_crew, methods, NULL};
static const bind_type result_type = {"worker's result", free_job, NULL, NULL};

static const luaL_Reg functions[] = {
    {"start", l_start}, {"processors", l_processors}, {NULL, NULL}};

int l_open_workers(lua_State *L);
int l_open_workers(lua_State *L) {
    bind_register(L, BIND_WORKERS, &crew_type);
    bind_register(L, BIND_WORKER_RESULT, &result_type);
    luaL_newlib(L, functions);
    return 1;
}
