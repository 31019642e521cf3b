/* sq.custom: operators written in Lua, on the tape; and Lua functions as hooks of gradients.
 *
 * Rules: forward runs off the tape; backward and hooks are called from inside sqn_backward_run, so
 * their errors are caught there, kept, and raised by whoever called t:backward(). Node and hook
 * hold a reference to a Lua value; it is given back when they go.
 */
#include "bind/custom.h"

#include "bind/tensor.h"
#include "core/alloc.h"
#include "tensor/grad_hook.h"

/* The state that runs a backward now: a node may have been made in a coroutine that is gone. */
static _Thread_local lua_State *running;

lua_State *bind_custom_enter(lua_State *L) {
    lua_State *before = running;
    running = L;
    return before;
}

void bind_custom_leave(lua_State *before) { running = before; }

typedef struct context {
    lua_State *main;
    int ref; /* of a node: {backward, ctx, index of each tensor among the arguments}; of a hook: the
                function */
} context;

/* A context that takes over the reference; NULL: no memory, and the reference is given back. */
static context *context_new(lua_State *L, int ref, sqn_err *e) {
    context *c = sqn_alloc(sizeof *c, e);
    if (c == NULL) {
        luaL_unref(L, LUA_REGISTRYINDEX, ref);
        return NULL;
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    *c = (context){lua_tothread(L, -1), ref};
    lua_pop(L, 1);
    return c;
}

static void release_context(void *p) {
    context *c = p;
    luaL_unref(c->main, LUA_REGISTRYINDEX, c->ref);
    sqn_free(c);
}

typedef struct back_call {
    sqn_node *n;                                   /* borrowed */
    sqn_tensor *const *dout /* borrowed */, **din; /* receives owned gradients */
} back_call;

/* The function's results stand from `base` on: gradients in the order of the arguments. */
static void take_gradients(lua_State *L, const back_call *b, int base, int table) {
    const sqn_node *n = b->n;
    for (int i = 0; i < n->inputs; i++) {
        lua_rawgeti(L, table, i + 3);
        int at = base + (int)lua_tointeger(L, -1) - 1;
        lua_pop(L, 1);
        if (!n->needs[i] || at > lua_gettop(L) || lua_isnil(L, at)) continue;
        sqn_tensor *d = bind_test_tensor(L, at);
        if (d == NULL)
            luaL_error(L, "backward gave a %s for argument %d", luaL_typename(L, at),
                       at - base + 1);
        b->din[i] = sqn_tensor_retain(d);
    }
}

static int call_backward(lua_State *L) {
    const back_call *b = lua_touserdata(L, 1);
    const context *c = b->n->context;
    luaL_checkstack(L, SQN_NODE_OUTPUTS + 8, b->n->op);
    lua_rawgeti(L, LUA_REGISTRYINDEX, c->ref);
    int table = lua_gettop(L);
    lua_rawgeti(L, table, 1);
    lua_rawgeti(L, table, 2);
    for (int j = 0; j < b->n->outputs; j++) {
        if (b->dout[j] == NULL) {
            lua_pushnil(L);
            continue;
        }
        bind_handle *h = bind_push_tensor(L); /* first: it may raise */
        h->t = sqn_tensor_retain(b->dout[j]);
    }
    lua_call(L, b->n->outputs + 1, LUA_MULTRET);
    take_gradients(L, b, table + 1, table);
    return 0;
}

/* Calls `call` with a pointer, protected: whatever raises may not jump over sqn_backward_run. */
static sqn_status run_protected(lua_CFunction call, void *argument, const char *name, sqn_err *e) {
    lua_State *L = running;
    int top = lua_gettop(L);
    if (!lua_checkstack(L, 4)) return SQN_FAIL(e, SQN_NOMEM, "%s: the stack is full", name);
    lua_pushcfunction(L, call);
    lua_pushlightuserdata(L, argument);
    int result = lua_pcall(L, 1, 0, 0);
    sqn_status status = SQN_OK;
    if (result == LUA_ERRMEM)
        status = SQN_FAIL(e, SQN_NOMEM, "%s: out of memory", name);
    else if (result != LUA_OK && bind_is_interrupt(L, -1))
        status = SQN_FAIL(e, SQN_INTERRUPT, "interrupted");
    else if (result != LUA_OK && lua_isstring(L, -1))
        status = SQN_FAIL(e, SQN_MISUSE, "%s: %s", name, lua_tostring(L, -1));
    else if (result != LUA_OK)
        status = SQN_FAIL(e, SQN_MISUSE, "%s: it raised a %s", name, luaL_typename(L, -1));
    lua_settop(L, top);
    return status;
}

static sqn_status custom_back(sqn_node *n, sqn_tensor *const dout[], sqn_tensor *din[],
                              sqn_err *e) {
    back_call b = {n, dout, din};
    return run_protected(call_backward, &b, n->op, e);
}

/* Records the call: results are on the top, `count` of them, from `first`. ctx is at 1, arguments
 * from 2 to `last`; `hidden` are the leaves that forward used by itself. */
static void record(lua_State *L, int last, int first, int count, sqn_leaf_list *hidden) {
    sqn_err e = SQN_ERR_INIT;
    sqn_tensor *in[64];
    int inputs = 0;
    lua_createtable(L, last + 2, 0);
    int table = lua_gettop(L);
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_rawseti(L, table, 1);
    lua_pushvalue(L, 1);
    lua_rawseti(L, table, 2);
    for (int i = 2; i <= last; i++) {
        sqn_tensor *t = bind_test_tensor(L, i);
        if (t == NULL) continue;
        if (inputs == 64) luaL_error(L, "custom: at most 64 tensors");
        in[inputs++] = t;
        lua_pushinteger(L, i - 1);
        lua_rawseti(L, table, inputs + 2);
    }
    int ref = luaL_ref(L, LUA_REGISTRYINDEX);
    sqn_node *node = NULL;
    context *c = context_new(L, ref, &e);
    if (c == NULL) bind_raise(L, &e);
    sqn_status status =
        sqn_node_new(&node, lua_tostring(L, lua_upvalueindex(3)), custom_back, inputs, in, &e);
    if (node == NULL) {
        release_context(c);
        if (status != SQN_OK) bind_raise(L, &e);
        return;
    }
    node->context = c;
    node->release_context = release_context;
    node->hidden = *hidden;
    *hidden = (sqn_leaf_list){0};
    for (int j = 0; j < count; j++) sqn_node_output(node, bind_test_tensor(L, first + j));
    sqn_node_release(node);
}

static void release_leaves(void *self) {
    sqn_leaf_list_clear(self);
    sqn_free(self);
}
static const bind_type leaves_type = {"list of leaves", release_leaves, NULL, NULL};

/* The operator: f(…) calls forward(ctx, …) off the tape. upvalues: forward, backward, name. */
static int l_call(lua_State *L) {
    sqn_err e = SQN_ERR_INIT;
    int last = lua_gettop(L) + 1;
    lua_newtable(L); /* ctx */
    lua_insert(L, 1);
    bind_box *leaves = bind_push_box(L, BIND_LEAVES);
    if ((leaves->self = sqn_calloc(1, sizeof(sqn_leaf_list), &e)) == NULL) bind_raise(L, &e);
    lua_pushvalue(L, lua_upvalueindex(1));
    for (int i = 1; i <= last; i++) lua_pushvalue(L, i);
    bool before = sqn_grad_set_enabled(false);
    sqn_leaf_list *around = before ? sqn_grad_watch(leaves->self) : NULL;
    int status = lua_pcall(L, last, LUA_MULTRET, 0);
    if (before) sqn_grad_watch(around);
    sqn_grad_set_enabled(before);
    if (status != LUA_OK) return lua_error(L);
    int first = last + 2, count = lua_gettop(L) - last - 1; /* the box stands between */
    if (count < 1 || count > SQN_NODE_OUTPUTS)
        return luaL_error(L, "custom: forward gives 1 to %d tensors", SQN_NODE_OUTPUTS);
    for (int j = 0; j < count; j++) { /* results of their own: a returned argument keeps its place
                                         on the tape */
        sqn_tensor *t = bind_check_tensor(L, first + j);
        bind_handle *h = bind_push_tensor(L);
        if ((h->t = sqn_tensor_detach(t, &e)) == NULL) return bind_raise(L, &e);
        lua_replace(L, first + j);
    }
    if (sqn_grad_enabled()) record(L, last, first, count, leaves->self);
    lua_settop(L, last + 1 + count);
    return count;
}

/* custom{forward = function(ctx, …), backward = function(ctx, …), name = "…"} -> function(…) */
static int l_custom(lua_State *L) {
    static const char *const allowed[] = {"forward", "backward", "name", NULL};
    bind_options_check(L, 1, allowed);
    lua_settop(L, 1);
    if (lua_getfield(L, 1, "forward") != LUA_TFUNCTION ||
        lua_getfield(L, 1, "backward") != LUA_TFUNCTION)
        return luaL_error(L, "custom: 'forward' and 'backward' must be functions");
    if (lua_getfield(L, 1, "name") != LUA_TSTRING) {
        lua_pop(L, 1);
        lua_pushliteral(L, "custom");
    }
    lua_pushvalue(L, -1); /* the name outlives every node that points to it */
    luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushcclosure(L, l_call, 3);
    return 1;
}

/* with_grad(fn, …): calls fn with recording on, inside a backward or no_grad. */
static int l_with_grad(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    bool before = sqn_grad_set_enabled(true);
    int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
    sqn_grad_set_enabled(before);
    return status == LUA_OK ? lua_gettop(L) : lua_error(L);
}

typedef struct hook_call {
    context *c;       /* borrowed until the function is on the stack: it may take its hook away */
    sqn_tensor *leaf; /* borrowed */
} hook_call;

static int call_hook(lua_State *L) {
    const hook_call *call = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, call->c->ref);
    bind_handle *h = bind_push_tensor(L);
    h->t = sqn_tensor_retain(call->leaf);
    lua_call(L, 1, 0);
    return 0;
}

static sqn_status run_hook(void *c, sqn_tensor *leaf, sqn_err *e) {
    hook_call call = {c, leaf};
    return run_protected(call_hook, &call, "hook of a gradient", e);
}

/* t:on_grad(f): each backward calls f(t) once, when t's gradient is complete; nil: no more. */
int bind_on_grad(lua_State *L) {
    sqn_err e = SQN_ERR_INIT;
    sqn_tensor *t = bind_check_tensor(L, 1);
    if (t->node != NULL || !t->requires_grad)
        return luaL_argerror(L, 1, "only a leaf that wants a gradient has a hook");
    if (lua_isnil(L, 2)) {
        sqn_grad_hook_set(t, NULL);
        return 0;
    }
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    context *c = context_new(L, luaL_ref(L, LUA_REGISTRYINDEX), &e);
    if (c == NULL) return bind_raise(L, &e);
    sqn_grad_hook *hook = sqn_calloc(1, sizeof *hook, &e);
    if (hook == NULL) {
        release_context(c);
        return bind_raise(L, &e);
    }
    *hook = (sqn_grad_hook){.call = run_hook, .release = release_context, .context = c};
    sqn_grad_hook_set(t, hook);
    return 0;
}

void bind_open_custom(lua_State *L, int table) {
    table = lua_absindex(L, table);
    bind_register(L, BIND_LEAVES, &leaves_type);
    lua_pushcfunction(L, l_custom);
    lua_setfield(L, table, "custom");
    lua_pushcfunction(L, l_with_grad);
    lua_setfield(L, table, "with_grad");
}
