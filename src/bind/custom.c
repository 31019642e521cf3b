/* sq.custom: operators written in Lua, on the tape.
 *
 * Rules: forward runs off the tape; backward is called from inside sqn_backward_run, so its errors
 * are caught there, kept, and raised by whoever called t:backward(). The node holds a reference to
 * a Lua table; it is given back when the node goes.
 */
#include "bind/custom.h"

#include "bind/tensor.h"
#include "core/alloc.h"
#include "tensor/autograd.h"

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
    int ref; /* {backward, ctx, index of each tensor among the arguments} */
} context;

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

/* Runs protected: whatever raises here may not jump over sqn_backward_run. */
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

static sqn_status custom_back(sqn_node *n, sqn_tensor *const dout[], sqn_tensor *din[],
                              sqn_err *e) {
    lua_State *L = running;
    back_call b = {n, dout, din};
    int top = lua_gettop(L);
    if (!lua_checkstack(L, 4)) return SQN_FAIL(e, SQN_NOMEM, "%s: the stack is full", n->op);
    lua_pushcfunction(L, call_backward);
    lua_pushlightuserdata(L, &b);
    int result = lua_pcall(L, 1, 0, 0);
    sqn_status status = SQN_OK;
    if (result == LUA_ERRMEM)
        status = SQN_FAIL(e, SQN_NOMEM, "%s: out of memory", n->op);
    else if (result != LUA_OK && lua_islightuserdata(L, -1))
        status = SQN_FAIL(e, SQN_INTERRUPT, "interrupted");
    else if (result != LUA_OK && lua_isstring(L, -1))
        status = SQN_FAIL(e, SQN_MISUSE, "%s: %s", n->op, lua_tostring(L, -1));
    else if (result != LUA_OK)
        status = SQN_FAIL(e, SQN_MISUSE, "%s: backward raised a %s", n->op, luaL_typename(L, -1));
    lua_settop(L, top);
    return status;
}

/* Records the call: results are on the top, `count` of them, from `first`. ctx is at 1, arguments
 * from 2 to `last`. */
static void record(lua_State *L, int last, int first, int count) {
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
    context *c = NULL;
    sqn_status status =
        sqn_node_new(&node, lua_tostring(L, lua_upvalueindex(3)), custom_back, inputs, in, &e);
    if (status == SQN_OK && node != NULL && (c = sqn_alloc(sizeof *c, &e)) == NULL)
        status = SQN_NOMEM;
    if (status != SQN_OK || node == NULL) {
        sqn_node_release(node);
        luaL_unref(L, LUA_REGISTRYINDEX, ref);
        if (status != SQN_OK) bind_raise(L, &e);
        return;
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    *c = (context){lua_tothread(L, -1), ref};
    lua_pop(L, 1);
    node->context = c;
    node->release_context = release_context;
    for (int j = 0; j < count; j++) sqn_node_output(node, bind_test_tensor(L, first + j));
    sqn_node_release(node);
}

/* The operator: f(…) calls forward(ctx, …) off the tape. upvalues: forward, backward, name. */
static int l_call(lua_State *L) {
    int last = lua_gettop(L) + 1;
    lua_newtable(L); /* ctx */
    lua_insert(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    for (int i = 1; i <= last; i++) lua_pushvalue(L, i);
    bool before = sqn_grad_set_enabled(false);
    int status = lua_pcall(L, last, LUA_MULTRET, 0);
    sqn_grad_set_enabled(before);
    if (status != LUA_OK) return lua_error(L);
    int count = lua_gettop(L) - last;
    if (count < 1 || count > SQN_NODE_OUTPUTS)
        return luaL_error(L, "custom: forward gives 1 to %d tensors", SQN_NODE_OUTPUTS);
    for (int j = 0; j < count;
         j++) { /* results of their own: a returned argument keeps its place on the tape */
        sqn_err e = SQN_ERR_INIT;
        sqn_tensor *t = bind_check_tensor(L, last + 1 + j);
        bind_handle *h = bind_push_tensor(L);
        if ((h->t = sqn_tensor_detach(t, &e)) == NULL) return bind_raise(L, &e);
        lua_replace(L, last + 1 + j);
    }
    if (sqn_grad_enabled()) record(L, last, last + 1, count);
    lua_settop(L, last + count);
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

void bind_open_custom(lua_State *L, int table) {
    table = lua_absindex(L, table);
    lua_pushcfunction(L, l_custom);
    lua_setfield(L, table, "custom");
    lua_pushcfunction(L, l_with_grad);
    lua_setfield(L, table, "with_grad");
}
