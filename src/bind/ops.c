/* sq.ops: every operator of ops.def, called by its signature; the same functions are methods of
 * tensors. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bind/tensor.h"
#include "core/alloc.h"
#include "core/interrupt.h"
#include "tensor/ops.h"

typedef struct arg_spec {
    char name[24];
    char type; /* of ops.def: t n l f i b s v d */
    bool optional, has_default;
    double absent;
} arg_spec;

typedef struct op_spec {
    int count;
    arg_spec arg[SQN_OP_ARGS];
} op_spec;

static op_spec specs[SQN_OP_COUNT];
static pthread_once_t parsed = PTHREAD_ONCE_INIT;

static void parse_signature(const char *s, op_spec *spec) {
    while (*s) {
        SQN_ASSERT(spec->count < SQN_OP_ARGS);
        arg_spec *a = &spec->arg[spec->count++];
        size_t n = strcspn(s, ":");
        SQN_ASSERT(n < sizeof a->name);
        memcpy(a->name, s, n);
        a->type = s[n + 1];
        s += n + 2;
        if (*s == '?') a->optional = true, s++;
        if (*s == '=') {
            a->optional = a->has_default = true;
            a->absent = strncmp(s + 1, "true", 4) == 0 ? 1 : strtod(s + 1, NULL);
            if (a->type == 'd' && a->absent > 0) a->absent -= 1;
        }
        s += strcspn(s, " ");
        while (*s == ' ') s++;
    }
}

static void parse_all(void) {
    for (int op = 0; op < SQN_OP_COUNT; op++)
        parse_signature(sqn_op_list[op].signature, &specs[op]);
}

static int wrong_argument(lua_State *L, const char *op, const arg_spec *a, const char *wanted,
                          int at) {
    return luaL_error(L, "%s: '%s' must be %s, got %s", op, a->name, wanted, luaL_typename(L, at));
}

static void read_number(lua_State *L, const char *op, const arg_spec *a, int at, sqn_arg *out) {
    int ok;
    if (a->type == 'f') {
        out->f = lua_tonumberx(L, at, &ok);
        if (!ok || lua_type(L, at) != LUA_TNUMBER) wrong_argument(L, op, a, "a number", at);
        return;
    }
    out->i = lua_tointegerx(L, at, &ok);
    if (!ok || lua_type(L, at) != LUA_TNUMBER) wrong_argument(L, op, a, "an integer", at);
    if (a->type != 'd') return;
    if (out->i == 0) luaL_error(L, "%s: dimensions count from 1", op);
    if (out->i > 0) out->i--;
}

static void read_list(lua_State *L, const char *op, const arg_spec *a, int at, sqn_arg *out) {
    if (!lua_istable(L, at))
        wrong_argument(L, op, a, a->type == 'l' ? "a list of tensors" : "a list of integers", at);
    out->count = (int64_t)lua_rawlen(L, at); /* raw: the table itself keeps its tensors alive */
    size_t item = a->type == 'l' ? sizeof(sqn_tensor *) : sizeof(int64_t);
    void *block = lua_newuserdatauv(L, (size_t)(out->count + 1) * item,
                                    0); /* anchored on the stack until the call ends */
    for (int64_t i = 0; i < out->count; i++) {
        lua_rawgeti(L, at, i + 1);
        if (a->type == 'l') {
            sqn_tensor *t = bind_test_tensor(L, -1);
            if (t == NULL) luaL_error(L, "%s: '%s'[%d] is no live tensor", op, a->name, (int)i + 1);
            ((sqn_tensor **)block)[i] = t;
        } else {
            int ok;
            ((int64_t *)block)[i] = lua_tointegerx(L, -1, &ok);
            if (!ok) luaL_error(L, "%s: '%s'[%d] is no integer", op, a->name, (int)i + 1);
        }
        lua_pop(L, 1);
    }
    out->list = block;
    out->ints = block;
}

static void read_argument(lua_State *L, const char *op, const arg_spec *a, int at, sqn_arg *out) {
    out->present = true;
    switch (a->type) {
    case 't':
    case 'n':
        out->t = bind_test_tensor(L, at);
        if (out->t == NULL) {
            if (lua_isuserdata(L, at)) bind_check_tensor(L, at); /* a stale one says so */
            wrong_argument(L, op, a, "a tensor", at);
        }
        break;
    case 'b':
        if (!lua_isboolean(L, at)) wrong_argument(L, op, a, "true or false", at);
        out->i = lua_toboolean(L, at);
        break;
    case 's':
        if (lua_type(L, at) != LUA_TSTRING) wrong_argument(L, op, a, "a string", at);
        out->text = lua_tostring(L, at);
        break;
    case 'l':
    case 'v':
        read_list(L, op, a, at, out);
        break;
    default:
        read_number(L, op, a, at, out);
        break;
    }
}

/* Arguments by place; a plain table where a list is not wanted names the rest. Leaves anchors on
 * the stack. */
static void read_arguments(lua_State *L, int op, sqn_call *c) {
    const op_spec *spec = &specs[op];
    const char *name = c->name;
    int given = lua_gettop(L), options = 0, known = 0;
    luaL_checkstack(L, 2 * SQN_OP_ARGS + 8, name);
    if (given > 0 && lua_istable(L, given) && given <= spec->count + 1) {
        char type = given <= spec->count ? spec->arg[given - 1].type : 0;
        if (type != 'l' && type != 'v') options = given--;
    }
    if (given > spec->count)
        luaL_error(L, "%s takes %d arguments, got %d", name, spec->count, given);
    for (int i = 0; i < spec->count; i++) {
        const arg_spec *a = &spec->arg[i];
        int at = i + 1;
        if (at > given || lua_isnil(L, at)) {
            at = 0;
            if (options && lua_getfield(L, options, a->name) != LUA_TNIL)
                at = lua_gettop(L), known++;
        }
        if (at != 0) {
            read_argument(L, name, a, at, &c->arg[i]);
        } else if (!a->optional) {
            luaL_error(L, "%s: '%s' is missing", name, a->name);
        } else {
            c->arg[i].present = a->has_default;
            c->arg[i].f = a->absent;
            c->arg[i].i = (int64_t)a->absent;
        }
    }
    if (!options) return;
    for (lua_pushnil(L); lua_next(L, options); lua_pop(L, 1)) known--;
    if (known == 0) return;
    for (lua_pushnil(L); lua_next(L, options); lua_pop(L, 1)) {
        bool found = false;
        for (int i = 0; i < spec->count; i++)
            found |= lua_type(L, -2) == LUA_TSTRING &&
                     strcmp(lua_tostring(L, -2), spec->arg[i].name) == 0;
        if (!found) luaL_error(L, "%s: unknown option '%s'", name, luaL_tolstring(L, -2, NULL));
    }
}

/* All tensors but indexes lie on one device. */
static sqn_status check_devices(const op_spec *spec, const sqn_call *c, sqn_err *e) {
    const sqn_tensor *first = NULL;
    for (int i = 0; i < spec->count; i++) {
        const sqn_arg *a = &c->arg[i];
        const int64_t count = spec->arg[i].type == 'l' ? a->count : spec->arg[i].type == 't';
        for (int64_t j = 0; j < count && a->present; j++) {
            const sqn_tensor *t = spec->arg[i].type == 'l' ? a->list[j] : a->t;
            if (first == NULL) first = t;
            SQN_TRY(sqn_op_same_device(c, first, t, e));
        }
    }
    return SQN_OK;
}

static int l_op(lua_State *L) {
    int op = (int)lua_tointeger(L, lua_upvalueindex(1));
    sqn_err e = SQN_ERR_INIT;
    sqn_call c = {.name = sqn_op_list[op].name};
    bind_handle *result[SQN_OP_OUTPUTS];
    int outputs = sqn_op_list[op].outputs;
    if (sqn_interrupt_check(&e) != SQN_OK) return bind_raise(L, &e);
    read_arguments(L, op, &c);
    if (check_devices(&specs[op], &c, &e) != SQN_OK) return bind_raise(L, &e);
    for (int j = 0; j < outputs; j++) result[j] = bind_push_tensor(L); /* boxes first */
    for (int attempt = 0;; attempt++) {
        sqn_status status = sqn_op_list[op].run(&c, &e);
        for (int j = 0; j < outputs; j++) {
            if (status == SQN_OK)
                result[j]->t = c.out[j];
            else
                sqn_tensor_release(c.out[j]);
            c.out[j] = NULL;
        }
        if (status == SQN_OK) break;
        if (status != SQN_NOMEM || attempt > 0) return bind_raise(L, &e);
        sqn_err_clear(&e);
        lua_gc(L, LUA_GCCOLLECT);
        sqn_storage_flush_cache(); /* what was collected, too */
    }
    for (int j = 0; j < outputs; j++)
        if (result[j]->t != NULL) bind_account(L, (int64_t)sqn_tensor_bytes(result[j]->t));
    bind_settle(L);
    return outputs;
}

void bind_open_ops(lua_State *L, int methods) {
    methods = lua_absindex(L, methods);
    pthread_once(&parsed, parse_all);
    lua_createtable(L, 0, SQN_OP_COUNT);
    for (int op = 0; op < SQN_OP_COUNT; op++) {
        lua_pushinteger(L, op);
        lua_pushcclosure(L, l_op, 1);
        const char first = specs[op].count > 0 ? specs[op].arg[0].type : 0;
        if (first == 't' || first == 'n') {
            lua_pushvalue(L, -1);
            lua_setfield(L, methods, sqn_op_list[op].name);
        }
        lua_setfield(L, -2, sqn_op_list[op].name);
    }
}

/* List of {name, signature, doc, outputs, differentiable}: what tests and documents are made from.
 */
static int l_operators(lua_State *L) {
    lua_createtable(L, SQN_OP_COUNT, 0);
    for (int op = 0; op < SQN_OP_COUNT; op++) {
        const sqn_op_info *info = &sqn_op_list[op];
        lua_createtable(L, 0, 5);
        lua_pushstring(L, info->name);
        lua_setfield(L, -2, "name");
        lua_pushstring(L, info->signature);
        lua_setfield(L, -2, "signature");
        lua_pushstring(L, info->doc);
        lua_setfield(L, -2, "doc");
        lua_pushinteger(L, info->outputs);
        lua_setfield(L, -2, "outputs");
        lua_pushboolean(L, info->differentiable);
        lua_setfield(L, -2, "differentiable");
        lua_rawseti(L, -2, op + 1);
    }
    return 1;
}

int l_open_ops(lua_State *L);
int l_open_ops(lua_State *L) { /* the table that tensor.c made, with the list */
    lua_getfield(L, LUA_REGISTRYINDEX, "sqlune.ops");
    if (lua_isnil(L, -1))
        return luaL_error(L, "sqlune.ops: the tensor module must be opened first");
    lua_pushcfunction(L, l_operators);
    lua_setfield(L, -2, "list");
    return 1;
}
