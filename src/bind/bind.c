/* Boxes, errors and accounting of all bindings: see bind.h. Per-state facts hang off
 * lua_getextraspace. */
#include "bind/bind.h"

#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "core/interrupt.h"
#include "tensor/storage.h"

typedef struct state_facts {
    const void *metatable[BIND_KIND_COUNT]; /* identity of each kind's metatable, anchored in the
                                               registry */
    int ref[BIND_KIND_COUNT];
    const bind_type *type[BIND_KIND_COUNT];
    int64_t foreign_since, foreign_base; /* bytes */
    int lua_base;                        /* KiB of Lua's own after the last full collection */
    bool worker;                         /* see bind_set_worker */
    int collect_every, boxes;            /* 0: never */
} state_facts;

/* Above this much growth a full collection runs; a young one every eighth of it. Measured:
 * spec/host.md §3. */
static const int64_t foreign_budget = (int64_t)256 << 20;
static const int lua_slack = 16 << 10; /* KiB that Lua's heap may grow by before it counts */

#define MODULE(name, doc) int l_open_##name(lua_State *L);
#include "bind/modules.def"
#undef MODULE

static state_facts *facts(lua_State *L) { return *(state_facts **)lua_getextraspace(L); }

static int close_box(lua_State *L) { /* __gc, __close and the method close */
    bind_kind kind = (bind_kind)lua_tointeger(L, lua_upvalueindex(1));
    bind_box *box = bind_check_box(L, 1, kind);
    void *self = box->self;
    box->self = NULL;
    state_facts *f = facts(L);
    if (self != NULL && f->type[kind]->release != NULL) f->type[kind]->release(self);
    return 0;
}

static int box_name(lua_State *L) { /* default __tostring */
    bind_box *box = lua_touserdata(L, 1);
    const char *name = lua_tostring(L, lua_upvalueindex(1));
    lua_pushfstring(L, box->self ? "%s: %p" : "%s (closed)", name, (const void *)box->self);
    return 1;
}

void bind_register(lua_State *L, bind_kind kind, const bind_type *type) {
    state_facts *f = facts(L);
    lua_newtable(L);
    lua_pushinteger(L, kind);
    lua_pushcclosure(L, close_box, 1);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__gc");
    lua_setfield(L, -2, "__close");
    lua_pushstring(L, type->name);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__name");
    lua_pushcclosure(L, box_name, 1);
    lua_setfield(L, -2, "__tostring");
    lua_newtable(L);
    lua_getfield(L, -2, "__close");
    lua_setfield(L, -2, "close");
    if (type->methods != NULL) luaL_setfuncs(L, type->methods, 0);
    lua_setfield(L, -2, "__index");
    if (type->meta != NULL) luaL_setfuncs(L, type->meta, 0);
    f->type[kind] = type;
    f->metatable[kind] = lua_topointer(L, -1);
    f->ref[kind] = luaL_ref(L, LUA_REGISTRYINDEX);
}

bind_box *bind_push_box(lua_State *L, bind_kind kind) {
    state_facts *f = facts(L);
    if (f->collect_every > 0 && ++f->boxes % f->collect_every == 0) lua_gc(L, LUA_GCCOLLECT);
    bind_box *box = lua_newuserdatauv(L, sizeof *box, 1);
    box->self = NULL;
    lua_rawgeti(L, LUA_REGISTRYINDEX, f->ref[kind]);
    lua_setmetatable(L, -2);
    return box;
}

static bind_box *box_at(lua_State *L, int idx, bind_kind kind) {
    if (lua_type(L, idx) != LUA_TUSERDATA || !lua_getmetatable(L, idx)) return NULL;
    const void *metatable = lua_topointer(L, -1);
    lua_pop(L, 1);
    return metatable == facts(L)->metatable[kind] && metatable != NULL ? lua_touserdata(L, idx)
                                                                       : NULL;
}

bind_box *bind_check_box(lua_State *L, int idx, bind_kind kind) {
    bind_box *box = box_at(L, idx, kind);
    if (box == NULL) {
        const bind_type *type = facts(L)->type[kind];
        luaL_typeerror(L, idx, type ? type->name : "sqlune object");
    }
    return box;
}

void *bind_check(lua_State *L, int idx, bind_kind kind) {
    bind_box *box = bind_check_box(L, idx, kind);
    if (box->self == NULL)
        luaL_argerror(L, idx, lua_pushfstring(L, "this %s was closed", facts(L)->type[kind]->name));
    return box->self;
}

void *bind_test(lua_State *L, int idx, bind_kind kind) {
    bind_box *box = box_at(L, idx, kind);
    return box ? box->self : NULL;
}

static const char interrupt_mark; /* its address is the error value */

void bind_set_worker(lua_State *L) { facts(L)->worker = true; }

int bind_raise_interrupt(lua_State *L) {
    if (!facts(L)->worker) sqn_interrupt_take();
    lua_pushlightuserdata(L, (void *)(uintptr_t)&interrupt_mark);
    return lua_error(L);
}

bool bind_is_interrupt(lua_State *L, int idx) {
    return lua_islightuserdata(L, idx) && lua_touserdata(L, idx) == &interrupt_mark;
}

int bind_fail(lua_State *L, const sqn_err *e) {
    if (e->code == SQN_INTERRUPT) return bind_raise_interrupt(L);
    luaL_pushfail(L);
    lua_pushstring(L, e->message);
    lua_pushstring(L, sqn_status_name(e->code));
    return 3;
}

int bind_raise(lua_State *L, const sqn_err *e) {
    if (e->code == SQN_INTERRUPT) return bind_raise_interrupt(L);
    return luaL_error(L, "%s", e->message);
}

int bind_error(lua_State *L, const sqn_err *e) {
    bool raises = e->code == SQN_MISUSE || e->code == SQN_NOMEM || e->code == SQN_INTERRUPT;
    return raises ? bind_raise(L, e) : bind_fail(L, e);
}

void *bind_scratch(lua_State *L, size_t bytes) {
    sqn_err e = SQN_ERR_INIT;
    bind_box *box = bind_push_box(L, BIND_SCRATCH);
    lua_toclose(L, -1);
    box->self = sqn_alloc(bytes, &e);
    if (box->self == NULL) bind_raise(L, &e);
    return box->self;
}

void bind_options_check(lua_State *L, int idx, const char *const allowed[]) {
    idx = lua_absindex(L, idx);
    if (lua_isnoneornil(L, idx)) return;
    luaL_checktype(L, idx, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "options must have names, got a %s", luaL_typename(L, -2));
        const char *key = lua_tostring(L, -2);
        bool known = false;
        for (int i = 0; allowed[i] && !known; i++) known = strcmp(allowed[i], key) == 0;
        if (!known) luaL_error(L, "unknown option '%s'", key);
    }
}

static int push_option(lua_State *L, int idx, const char *key) {
    if (lua_isnoneornil(L, idx)) return LUA_TNIL;
    luaL_checktype(L, idx, LUA_TTABLE);
    return lua_getfield(L, idx, key) == LUA_TNIL ? (lua_pop(L, 1), LUA_TNIL) : lua_type(L, -1);
}

static void wrong_option(lua_State *L, const char *key, const char *wanted) {
    luaL_error(L, "option '%s' must be %s, got %s", key, wanted, luaL_typename(L, -1));
}

int64_t bind_option_integer(lua_State *L, int idx, const char *key, int64_t absent) {
    if (push_option(L, idx, key) == LUA_TNIL) return absent;
    int ok;
    lua_Integer v = lua_tointegerx(L, -1, &ok);
    if (!ok) wrong_option(L, key, "an integer");
    lua_pop(L, 1);
    return v;
}

double bind_option_number(lua_State *L, int idx, const char *key, double absent) {
    if (push_option(L, idx, key) == LUA_TNIL) return absent;
    int ok;
    lua_Number v = lua_tonumberx(L, -1, &ok);
    if (!ok) wrong_option(L, key, "a number");
    lua_pop(L, 1);
    return v;
}

bool bind_option_boolean(lua_State *L, int idx, const char *key, bool absent) {
    if (push_option(L, idx, key) == LUA_TNIL) return absent;
    if (!lua_isboolean(L, -1)) wrong_option(L, key, "true or false");
    bool v = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return v;
}

const char *bind_option_string(lua_State *L, int idx, const char *key, const char *absent) {
    if (push_option(L, idx, key) == LUA_TNIL) return absent;
    if (lua_type(L, -1) != LUA_TSTRING) wrong_option(L, key, "a string");
    const char *v = lua_tostring(L, -1);
    lua_pop(L, 1);
    return v;
}

void bind_account(lua_State *L, int64_t bytes) {
    if (bytes > 0) facts(L)->foreign_since += bytes;
}

void bind_settle(lua_State *L) {
    state_facts *f = facts(L);
    if (f->foreign_since < foreign_budget / 8) return;
    f->foreign_since = 0;
    lua_gc(L, LUA_GCSTEP, 0);
    int64_t live = sqn_alloc_get_stats().live_bytes + sqn_storage_live_bytes();
    if (live < f->foreign_base) f->foreign_base = live;
    /* An explicit step of 5.4's generational mode is never a major one and puts the automatic one
     * off, so what has grown old stays: measured 1.6 GB of dead Lua objects after 2,300 training
     * steps. */
    bool grown = lua_gc(L, LUA_GCCOUNT) > 2 * f->lua_base + lua_slack;
    if (!grown && live <= f->foreign_base + foreign_budget) return;
    lua_gc(L, LUA_GCCOLLECT);
    f->lua_base = lua_gc(L, LUA_GCCOUNT);
    f->foreign_base = sqn_alloc_get_stats().live_bytes + sqn_storage_live_bytes();
}

void bind_collect_every(lua_State *L, int n) { facts(L)->collect_every = n; }

static const bind_type scratch_type = {"scratch", sqn_free, NULL, NULL};

static int open_core(lua_State *L) {
    lua_newtable(L);
#define MODULE(name, doc)                \
    lua_pushcfunction(L, l_open_##name); \
    lua_call(L, 0, 1);                   \
    lua_setfield(L, -2, #name);
#include "bind/modules.def"
#undef MODULE
    return 1;
}

void bind_preload(lua_State *L) {
    state_facts *f = lua_newuserdatauv(L, sizeof *f, 0);
    memset(f, 0, sizeof *f);
    luaL_ref(L, LUA_REGISTRYINDEX); /* memory goes after all finalizers have run */
    *(state_facts **)lua_getextraspace(L) = f;
    bind_register(L, BIND_SCRATCH, &scratch_type);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, open_core);
    lua_setfield(L, -2, "sqlune.core");
    lua_pop(L, 1);
}
