/* Methods, properties, arithmetic and printing of tensors. */
#include <math.h>
#include <string.h>

#include "bind/custom.h"
#include "bind/tensor.h"
#include "core/alloc.h"
#include "tensor/autograd.h"
#include "tensor/ops.h"

static int push_shared(lua_State *L, sqn_tensor *t) { /* a new handle of t, or nil */
    if (t == NULL) {
        lua_pushnil(L);
        return 1;
    }
    bind_handle *h = bind_push_tensor(L); /* first: it may raise */
    h->t = sqn_tensor_retain(t);
    return 1;
}

/* ---- methods ---- */

static int l_size(lua_State *L) {
    sqn_tensor *t = bind_check_tensor(L, 1);
    lua_Integer d = luaL_checkinteger(L, 2);
    if (d < 0) d += t->ndim + 1;
    luaL_argcheck(L, d >= 1 && d <= t->ndim, 2, "no such dimension");
    lua_pushinteger(L, t->shape[d - 1]);
    return 1;
}

static int l_numel(lua_State *L) {
    lua_pushinteger(L, sqn_tensor_numel(bind_check_tensor(L, 1)));
    return 1;
}

static void push_element(lua_State *L, const sqn_tensor *t, int64_t i) {
    if (sqn_dtype_is_float(t->dtype))
        lua_pushnumber(L, sqn_tensor_get(t, i));
    else
        lua_pushinteger(L, sqn_tensor_get_integer(t, i));
}

static int l_item(lua_State *L) {
    char text[96];
    sqn_tensor *t = bind_check_tensor(L, 1);
    if (sqn_tensor_numel(t) != 1)
        return luaL_error(L, "item: %s is not one number", sqn_tensor_describe(t, text));
    push_element(L, bind_push_on_host(L, t), 0);
    return 1;
}

static void push_table(lua_State *L, const sqn_tensor *t, int dim, int64_t *at) {
    luaL_checkstack(L, 3, "totable");
    if (dim == t->ndim) {
        push_element(L, t, (*at)++);
        return;
    }
    lua_createtable(L, (int)t->shape[dim], 0);
    for (int64_t i = 1; i <= t->shape[dim]; i++) {
        push_table(L, t, dim + 1, at);
        lua_rawseti(L, -2, i);
    }
}

static int l_totable(lua_State *L) {
    int64_t at = 0;
    push_table(L, bind_push_on_host(L, bind_check_tensor(L, 1)), 0, &at);
    return 1;
}

static int l_backward(lua_State *L) {
    sqn_err e = SQN_ERR_INIT;
    sqn_tensor *t = bind_check_tensor(L, 1);
    sqn_tensor *seed = lua_isnoneornil(L, 2) ? NULL : bind_check_tensor(L, 2);
    lua_State *before = bind_custom_enter(L);
    sqn_status status = sqn_backward_run(t, seed, &e);
    bind_custom_leave(before);
    if (status != SQN_OK) return bind_raise(L, &e);
    bind_settle(L);
    return 0;
}

static int l_detach(lua_State *L) {
    sqn_err e = SQN_ERR_INIT;
    sqn_tensor *t = bind_check_tensor(L, 1);
    bind_handle *h = bind_push_tensor(L);
    if ((h->t = sqn_tensor_detach(t, &e)) == NULL) return bind_raise(L, &e);
    return 1;
}

static int l_clone(lua_State *L) { /* a contiguous copy, off the tape */
    sqn_err e = SQN_ERR_INIT;
    sqn_tensor *t = bind_check_tensor(L, 1);
    bind_handle *h = bind_push_tensor(L);
    if ((h->t = sqn_tensor_new(sqn_tensor_device(t), t->dtype, t->ndim, t->shape, &e)) == NULL ||
        sqn_tensor_copy(h->t, t, false, &e) != SQN_OK)
        return bind_raise(L, &e);
    bind_settle_tensor(L, h->t);
    return 1;
}

static int l_close(lua_State *L) {
    bind_handle *h = bind_check(L, 1, BIND_TENSOR);
    sqn_tensor *t = h->t;
    h->t = NULL;
    sqn_tensor_release(t);
    return 0;
}

static int l_keep(lua_State *L) { /* out of every scope */
    bind_check_tensor(L, 1);
    bind_scope_drop(bind_check(L, 1, BIND_TENSOR));
    lua_settop(L, 1);
    return 1;
}

/* The gradient is gone. On the host its memory stays for the next one: fresh pages cost. On a card
 * the pool gives it to the activations of the next forward pass. */
static int l_zero_grad(lua_State *L) {
    sqn_tensor *t = bind_check_tensor(L, 1);
    if (sqn_tensor_device(t) != SQN_CPU) {
        sqn_tensor_release(t->grad);
        t->grad = NULL;
    }
    t->grad_stale = t->grad != NULL;
    return 0;
}

static int l_is_contiguous(lua_State *L) {
    lua_pushboolean(L, sqn_tensor_is_contiguous(bind_check_tensor(L, 1)));
    return 1;
}

/* ---- properties ---- */

static int l_index(lua_State *L) {
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) return 1;
    const char *key = luaL_checkstring(L, 2);
    sqn_tensor *t = bind_check_tensor(L, 1);
    if (strcmp(key, "shape") == 0) {
        lua_createtable(L, t->ndim, 0);
        for (int d = 0; d < t->ndim; d++) {
            lua_pushinteger(L, t->shape[d]);
            lua_rawseti(L, -2, d + 1);
        }
    } else if (strcmp(key, "dtype") == 0) {
        lua_pushstring(L, sqn_dtype_name(t->dtype));
    } else if (strcmp(key, "device") == 0) {
        char name[16];
        lua_pushstring(L, sqn_device_name(sqn_tensor_device(t), name));
    } else if (strcmp(key, "ndim") == 0) {
        lua_pushinteger(L, t->ndim);
    } else if (strcmp(key, "version") == 0) {
        lua_pushinteger(L, t->storage->version);
    } else if (strcmp(key, "requires_grad") == 0) {
        lua_pushboolean(L, t->requires_grad);
    } else if (strcmp(key, "grad_dtype") == 0) {
        lua_pushstring(L, sqn_dtype_name(sqn_grad_dtype(t)));
    } else if (strcmp(key, "grad") == 0) {
        push_shared(L, t->grad_stale ? NULL : t->grad);
    } else {
        return luaL_error(L, "a tensor has no '%s'", key);
    }
    return 1;
}

/* Backward writes into it as into one that it made itself. */
static void check_grad(lua_State *L, const sqn_tensor *t, const sqn_tensor *g) {
    char s[96], u[96];
    sqn_dtype wanted = sqn_grad_dtype(t);
    if (!sqn_tensor_same_shape(g, t) || g->dtype != wanted ||
        sqn_tensor_device(g) != sqn_tensor_device(t) || !sqn_tensor_is_contiguous(g) || g == t)
        luaL_error(
            L,
            "%s is no gradient of %s: it wants that shape, %s, that device, and elements in order",
            sqn_tensor_describe(g, s), sqn_tensor_describe(t, u), sqn_dtype_name(wanted));
}

/* t.grad_dtype = "bf16": half the bytes for a bf16 leaf; the gradients of several backward passes
 * are added in bf16 then. */
static void set_grad_dtype(lua_State *L, sqn_tensor *t, const char *name) {
    const bool own = strcmp(name, sqn_dtype_name(t->dtype)) == 0;
    if (t->dtype != SQN_BF16 || !(own || strcmp(name, "f32") == 0))
        luaL_error(L, "the gradient of a %s tensor cannot be %s", sqn_dtype_name(t->dtype), name);
    if (t->narrow_grad == own) return;
    if (t->grad != NULL && !t->grad_stale)
        luaL_error(L, "grad_dtype is set while there is no gradient");
    sqn_tensor_release(t->grad);
    t->grad = NULL;
    t->grad_stale = false;
    t->narrow_grad = own;
}

static int l_newindex(lua_State *L) { /* t.requires_grad = true, t.grad = nil */
    sqn_tensor *t = bind_check_tensor(L, 1);
    const char *key = luaL_checkstring(L, 2);
    if (strcmp(key, "requires_grad") == 0 && lua_isboolean(L, 3)) {
        if (t->node != NULL) return luaL_error(L, "requires_grad is set on leaves only");
        if (!sqn_dtype_is_float(t->dtype))
            return luaL_error(L, "%s tensors have no gradient", sqn_dtype_name(t->dtype));
        t->requires_grad = lua_toboolean(L, 3);
        return 0;
    }
    if (strcmp(key, "grad") == 0) {
        sqn_tensor *g = lua_isnil(L, 3) ? NULL : bind_check_tensor(L, 3);
        if (g != NULL) check_grad(L, t, g);
        sqn_tensor *before = t->grad;
        t->grad = g ? sqn_tensor_retain(g) : NULL;
        t->grad_stale = false;
        sqn_tensor_release(before);
        return 0;
    }
    if (strcmp(key, "grad_dtype") == 0) {
        set_grad_dtype(L, t, luaL_checkstring(L, 3));
        return 0;
    }
    return luaL_error(L, "'%s' of a tensor cannot be set", key);
}

/* ---- arithmetic: tensors and numbers ---- */

/* The number at idx as a tensor of one element with the other operand's dtype. */
static sqn_tensor *push_operand(lua_State *L, int idx, const sqn_tensor *other) {
    sqn_err e = SQN_ERR_INIT;
    bind_handle *h = bind_push_tensor(L);
    if ((h->t = sqn_tensor_new(SQN_CPU, other->dtype, 0, NULL, &e)) == NULL) bind_raise(L, &e);
    bind_set_number(L, h->t, 0, idx);
    sqn_tensor *number = h->t;
    if ((h->t = sqn_tensor_on(number, sqn_tensor_device(other), &e)) == NULL) {
        h->t = number;
        bind_raise(L, &e);
    }
    sqn_tensor_release(number);
    return h->t;
}

static int arithmetic(lua_State *L, const char *name, sqn_op_fn run) {
    sqn_err e = SQN_ERR_INIT;
    sqn_tensor *a = lua_type(L, 1) == LUA_TNUMBER ? NULL : bind_check_tensor(L, 1);
    sqn_tensor *b = lua_type(L, 2) == LUA_TNUMBER ? NULL : bind_check_tensor(L, 2);
    sqn_call c = {.name = name};
    if (a == NULL) a = push_operand(L, 1, b);
    if (b == NULL) b = push_operand(L, 2, a);
    c.arg[0] = (sqn_arg){.present = true, .t = a};
    c.arg[1] = (sqn_arg){.present = true, .t = b};
    bind_handle *h = bind_push_tensor(L);
    if (run(&c, &e) != SQN_OK) return bind_raise(L, &e);
    h->t = c.out[0];
    bind_settle_tensor(L, h->t);
    return 1;
}

static int l_add(lua_State *L) { return arithmetic(L, "add", sqn_op_add); }
static int l_sub(lua_State *L) { return arithmetic(L, "sub", sqn_op_sub); }
static int l_mul(lua_State *L) { return arithmetic(L, "mul", sqn_op_mul); }
static int l_div(lua_State *L) { return arithmetic(L, "div", sqn_op_div); }

static int l_unm(lua_State *L) {
    sqn_err e = SQN_ERR_INIT;
    sqn_call c = {.name = "neg"};
    c.arg[0] = (sqn_arg){.present = true, .t = bind_check_tensor(L, 1)};
    bind_handle *h = bind_push_tensor(L);
    if (sqn_op_neg(&c, &e) != SQN_OK) return bind_raise(L, &e);
    h->t = c.out[0];
    bind_settle_tensor(L, h->t);
    return 1;
}

/* ---- printing: dtype, shape, device, then up to 8 rows of 8 columns, the middle left out ---- */

enum { SHOWN = 8 };

static void add_number(luaL_Buffer *b, const sqn_tensor *t, int64_t i) {
    char text[40];
    double v = sqn_tensor_get(t, i), size = fabs(v);
    if (isnan(v))
        snprintf(text, sizeof text, " %10s", "nan");
    else if (sqn_dtype_is_float(t->dtype) && size > 0 && (size < 1e-3 || size >= 1e5) &&
             size < INFINITY)
        snprintf(text, sizeof text, " %10.3e", v);
    else if (sqn_dtype_is_float(t->dtype))
        snprintf(text, sizeof text, " %10.4f", v);
    else
        snprintf(text, sizeof text, " %6lld", (long long)sqn_tensor_get_integer(t, i));
    luaL_addstring(b, text);
}

static void add_row(luaL_Buffer *b, const sqn_tensor *t, int64_t first, int64_t n) {
    for (int64_t j = 0; j < n; j++) {
        if (n > SHOWN && j == SHOWN / 2) {
            luaL_addstring(b, " ..");
            j = n - SHOWN / 2;
        }
        add_number(b, t, first + j);
    }
}

static int l_tostring(lua_State *L) {
    char text[96], name[16];
    luaL_Buffer b;
    bind_handle *h = bind_test(L, 1, BIND_TENSOR);
    if (h == NULL || h->t == NULL) {
        lua_pushliteral(L, "tensor (closed)");
        return 1;
    }
    const sqn_tensor *t = bind_push_on_host(L, h->t);
    int64_t count = sqn_tensor_numel(t), columns = t->ndim ? t->shape[t->ndim - 1] : 1;
    int64_t rows = columns ? count / columns : 0;
    luaL_buffinit(L, &b);
    luaL_addstring(&b, sqn_tensor_describe(t, text));
    luaL_addstring(&b, " ");
    luaL_addstring(&b, sqn_device_name(sqn_tensor_device(h->t), name));
    int64_t bad = 0;
    for (int64_t i = 0; i < count && count <= 1 << 20 && sqn_dtype_is_float(t->dtype); i++)
        bad += isnan(sqn_tensor_get(t, i)) != 0;
    if (bad > 0) {
        snprintf(text, sizeof text, ", %lld NaN", (long long)bad);
        luaL_addstring(&b, text);
    }
    for (int64_t r = 0; r < rows; r++) {
        if (rows > SHOWN && r == SHOWN / 2) {
            luaL_addstring(&b, "\n ..");
            r = rows - SHOWN / 2;
        }
        luaL_addstring(&b, "\n");
        add_row(&b, t, r * columns, columns);
    }
    luaL_pushresult(&b);
    return 1;
}

static const luaL_Reg methods[] = {
    {"size", l_size},
    {"numel", l_numel},
    {"item", l_item},
    {"totable", l_totable},
    {"backward", l_backward},
    {"detach", l_detach},
    {"clone", l_clone},
    {"close", l_close},
    {"keep", l_keep},
    {"zero_grad", l_zero_grad},
    {"on_grad", bind_on_grad},
    {"is_contiguous", l_is_contiguous},
    {NULL, NULL},
};

static const luaL_Reg meta[] = {
    {"__newindex", l_newindex}, {"__add", l_add}, {"__sub", l_sub},           {"__mul", l_mul},
    {"__div", l_div},           {"__unm", l_unm}, {"__tostring", l_tostring}, {NULL, NULL},
};

/* The table of methods, which holds the operators, is on the top. [-1, +0, e] */
void bind_open_tensor_methods(lua_State *L) {
    luaL_setfuncs(L, methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, LUA_REGISTRYINDEX, "sqlune.tensor_methods");
    bind_push_box(L, BIND_TENSOR);
    lua_getmetatable(L, -1);
    lua_remove(L, -2);
    luaL_setfuncs(L, meta, 0);
    lua_insert(L, -2);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__methods"); /* completion in the REPL reads it */
    lua_pushcclosure(L, l_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}
