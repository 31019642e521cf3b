/* sq.tensor: making tensors, gradients on and off, random state; the tensor type itself. Methods:
 * tensor_methods.c. */
#include "bind/tensor.h"
#include "bind/custom.h"

#include <string.h>

#include "core/alloc.h"
#include "tensor/autograd.h"

static void release_handle(void *self) {
    bind_handle *h = self;
    bind_scope_drop(h);
    sqn_tensor_release(h->t);
    sqn_free(h);
}

static const bind_type tensor_type = {"tensor", release_handle, NULL, NULL};

bind_handle *bind_push_tensor(lua_State *L) {
    sqn_err e = SQN_ERR_INIT;
    bind_box *box = bind_push_box(L, BIND_TENSOR);
    bind_handle *h = box->self = sqn_calloc(1, sizeof *h, &e);
    if (h == NULL) bind_raise(L, &e);
    bind_scope_adopt(h);
    return h;
}

sqn_tensor *bind_check_tensor(lua_State *L, int idx) {
    bind_handle *h = bind_check(L, idx, BIND_TENSOR);
    if (h->t == NULL) luaL_argerror(L, idx, "this tensor was closed, by itself or with its scope");
    return h->t;
}

sqn_tensor *bind_test_tensor(lua_State *L, int idx) {
    bind_handle *h = bind_test(L, idx, BIND_TENSOR);
    return h ? h->t : NULL;
}

void bind_settle_tensor(lua_State *L, const sqn_tensor *t) {
    bind_account(L, (int64_t)sqn_tensor_bytes(t));
    bind_settle(L);
}

int bind_check_integers(lua_State *L, int idx, int64_t *v, int room, const char *what) {
    luaL_checktype(L, idx, LUA_TTABLE);
    int64_t n = luaL_len(L, idx);
    if (n > room) luaL_error(L, "%s: at most %d numbers, got %d", what, room, (int)n);
    for (int i = 0; i < n; i++) {
        int ok;
        lua_geti(L, idx, i + 1);
        v[i] = lua_tointegerx(L, -1, &ok);
        if (!ok) luaL_error(L, "%s: number %d is no integer", what, i + 1);
        lua_pop(L, 1);
    }
    return (int)n;
}

/* ---- values from Lua ---- */

static void check_fits(lua_State *L, sqn_dtype dtype, int idx) {
    int whole;
    if (sqn_dtype_is_float(dtype)) return;
    lua_Integer v = lua_tointegerx(L, idx, &whole);
    if (whole && (dtype != SQN_U8 || v == (uint8_t)v) && (dtype != SQN_I32 || v == (int32_t)v))
        return;
    luaL_error(L, "%s does not fit %s", luaL_tolstring(L, idx, NULL), sqn_dtype_name(dtype));
}

void bind_set_number(lua_State *L, sqn_tensor *t, int64_t i, int idx) {
    check_fits(L, t->dtype, idx);
    if (lua_isinteger(L, idx) || !sqn_dtype_is_float(t->dtype))
        sqn_tensor_set_integer(t, i, lua_tointeger(L, idx));
    else
        sqn_tensor_set(t, i, lua_tonumber(L, idx));
}

static int table_shape(lua_State *L, int idx, int64_t shape[SQN_MAX_DIMS]) {
    int ndim = 0, top = lua_gettop(L);
    lua_pushvalue(L, idx);
    while (lua_istable(L, -1)) {
        if (ndim == SQN_MAX_DIMS) luaL_error(L, "tensor: more than %d dimensions", SQN_MAX_DIMS);
        shape[ndim] = luaL_len(L, -1);
        if (shape[ndim++] == 0) break;
        lua_geti(L, -1, 1);
    }
    lua_settop(L, top);
    return ndim;
}

static void fill_from(lua_State *L, int idx, sqn_tensor *t, int dim, int64_t *at) {
    if (dim == t->ndim) {
        if (lua_type(L, idx) != LUA_TNUMBER)
            luaL_error(L, "tensor: element %d is a %s", (int)*at + 1, luaL_typename(L, idx));
        bind_set_number(L, t, (*at)++, idx);
        return;
    }
    if (!lua_istable(L, idx) || luaL_len(L, idx) != t->shape[dim])
        luaL_error(L, "tensor: the rows of dimension %d have different lengths", dim + 1);
    luaL_checkstack(L, 2, "tensor");
    for (int64_t i = 1; i <= t->shape[dim]; i++) {
        lua_geti(L, idx, i);
        fill_from(L, lua_gettop(L), t, dim + 1, at);
        lua_pop(L, 1);
    }
}

static sqn_dtype option_dtype(lua_State *L, int idx, const char *absent) {
    const char *name = bind_option_string(L, idx, "dtype", absent);
    sqn_dtype dtype = sqn_dtype_parse(name);
    if (dtype == SQN_DTYPE_COUNT)
        luaL_error(L, "no dtype '%s' (f32, bf16, f16, f64, i64, i32, u8)", name);
    return dtype;
}

int bind_option_device(lua_State *L, int idx) {
    sqn_err e = SQN_ERR_INIT;
    int device;
    if (sqn_device_parse(bind_option_string(L, idx, "device", "cpu"), &device, &e) != SQN_OK)
        bind_raise(L, &e);
    return device;
}

sqn_tensor *bind_push_on_host(lua_State *L, sqn_tensor *t) {
    sqn_err e = SQN_ERR_INIT;
    if (sqn_tensor_device(t) == SQN_CPU) {
        lua_pushnil(L);
        return t;
    }
    bind_handle *h = bind_push_tensor(L);
    if ((h->t = sqn_tensor_on(t, SQN_CPU, &e)) == NULL) bind_raise(L, &e);
    return h->t;
}

static const char *const options[] = {"dtype",  "device", "requires_grad", "seed", "stream",
                                      "offset", NULL};

/* Makes a tensor of that shape into a new handle on the top; retries once after a full collection.
 */
static sqn_tensor *push_new(lua_State *L, int device, sqn_dtype dtype, int ndim,
                            const int64_t *shape) {
    bind_handle *h = bind_push_tensor(L);
    for (int attempt = 0; h->t == NULL; attempt++) {
        sqn_err e = SQN_ERR_INIT;
        h->t = sqn_tensor_new(device, dtype, ndim, shape, &e);
        if (h->t != NULL) break;
        if (e.code != SQN_NOMEM || attempt > 0) bind_raise(L, &e);
        lua_gc(L, LUA_GCCOLLECT);
        sqn_storage_flush_cache(); /* what was collected, too */
    }
    return h->t;
}

/* The handle of t is on the top. */
static int finish(lua_State *L, sqn_tensor *t, int opts) {
    t->requires_grad = bind_option_boolean(L, opts, "requires_grad", false);
    if (t->requires_grad && !sqn_dtype_is_float(t->dtype))
        return luaL_error(L, "%s tensors have no gradient", sqn_dtype_name(t->dtype));
    bind_settle_tensor(L, t);
    return 1;
}

/* The tensor of the handle on the top, now on that device. */
static sqn_tensor *move(lua_State *L, int device) {
    sqn_err e = SQN_ERR_INIT;
    bind_handle *h = bind_check(L, -1, BIND_TENSOR);
    sqn_tensor *before = h->t, *t = sqn_tensor_on(before, device, &e);
    if (t == NULL) bind_raise(L, &e);
    h->t = t;
    sqn_tensor_release(before);
    return t;
}

static int l_tensor(lua_State *L) {
    int64_t shape[SQN_MAX_DIMS], at = 0;
    lua_settop(L, 2); /* absent options must not be the handle that is pushed next */
    bind_options_check(L, 2, options);
    sqn_dtype dtype = option_dtype(L, 2, "f32");
    if (!lua_istable(L, 1)) luaL_checknumber(L, 1);
    int ndim = table_shape(L, 1, shape);
    const int device = bind_option_device(L, 2);
    sqn_tensor *t = push_new(L, SQN_CPU, dtype, ndim, shape);
    fill_from(L, 1, t, 0, &at);
    return finish(L, move(L, device), 2);
}

static sqn_tensor *push_shaped(lua_State *L, int opts) {
    int64_t shape[SQN_MAX_DIMS];
    lua_settop(L, opts); /* absent options must not be the handle that is pushed next */
    bind_options_check(L, opts, options);
    sqn_dtype dtype = option_dtype(L, opts, "f32");
    const int device = bind_option_device(L, opts);
    int ndim = bind_check_integers(L, 1, shape, SQN_MAX_DIMS, "shape");
    return push_new(L, device, dtype, ndim, shape);
}

static int filled(lua_State *L, double value, int opts) {
    sqn_err e = SQN_ERR_INIT;
    sqn_tensor *t = push_shaped(L, opts);
    if ((value == 0 ? sqn_tensor_clear(t, &e) : sqn_tensor_fill(t, value, &e)) != SQN_OK)
        return bind_raise(L, &e);
    return finish(L, t, opts);
}

static int l_zeros(lua_State *L) { return filled(L, 0, 2); }
static int l_ones(lua_State *L) { return filled(L, 1, 2); }
static int l_full(lua_State *L) {
    double value = luaL_checknumber(L, 2);
    check_fits(L, option_dtype(L, 3, "f32"), 2);
    return filled(L, value, 3);
}
static int l_empty(lua_State *L) { return finish(L, push_shaped(L, 2), 2); }

static int l_arange(lua_State *L) { /* arange(first, last, opts): integers first … last */
    lua_Integer first = luaL_checkinteger(L, 1), last = luaL_checkinteger(L, 2);
    lua_settop(L, 3);
    bind_options_check(L, 3, options);
    int64_t n = last < first ? 0 : last - first + 1;
    const int device = bind_option_device(L, 3);
    sqn_tensor *t = push_new(L, SQN_CPU, option_dtype(L, 3, "i64"), 1, &n);
    for (int64_t i = 0; i < n; i++) sqn_tensor_set_integer(t, i, first + i);
    return finish(L, move(L, device), 3);
}

typedef struct field {
    const char *name;
    int64_t value;
} field;

/* A table of them on the top; the last has no name. */
static int push_fields(lua_State *L, const field *f) {
    lua_newtable(L);
    for (; f->name != NULL; f++) {
        lua_pushinteger(L, f->value);
        lua_setfield(L, -2, f->name);
    }
    return 1;
}

/* ---- random numbers ---- */

static _Thread_local struct { uint64_t seed, offset; } generator = {1, 0};

static int l_manual_seed(lua_State *L) {
    generator.seed = (uint64_t)luaL_checkinteger(L, 1);
    generator.offset = 0;
    return 0;
}

/* Random state of tensors made without a seed of their own: get() -> {seed, offset}; set by passing
 * the table. */
static int l_random_state(lua_State *L) {
    if (!lua_isnoneornil(L, 1)) {
        generator.seed = (uint64_t)bind_option_integer(L, 1, "seed", 1);
        generator.offset = (uint64_t)bind_option_integer(L, 1, "offset", 0);
    }
    return push_fields(L, (const field[]){{"seed", (int64_t)generator.seed},
                                          {"offset", (int64_t)generator.offset},
                                          {NULL, 0}});
}

static int random_tensor(lua_State *L, int normal, double a, double b) {
    sqn_tensor *t = push_shaped(L, 2);
    int64_t n = sqn_tensor_numel(t);
    sqn_k_random k = {
        .dtype = t->dtype, .n = n, .y = sqn_tensor_data(t), .normal = normal, .a = a, .b = b};
    bool own = lua_istable(L, 2) && lua_getfield(L, 2, "seed") != LUA_TNIL;
    if (lua_istable(L, 2)) lua_pop(L, 1);
    k.seed = (uint64_t)bind_option_integer(L, 2, "seed", (int64_t)generator.seed);
    k.stream = (uint64_t)bind_option_integer(L, 2, "stream", 0);
    k.offset = (uint64_t)bind_option_integer(L, 2, "offset", own ? 0 : (int64_t)generator.offset);
    if (!own) generator.offset += (uint64_t)(n + 3) / 4;
    sqn_err e = SQN_ERR_INIT;
    if (sqn_kernel_result(sqn_tensor_kernels(t)->random(&k, NULL), normal ? "randn" : "rand", t,
                          &e) != SQN_OK)
        return bind_raise(L, &e);
    return finish(L, t, 2);
}

static int l_randn(lua_State *L) { return random_tensor(L, 1, 0, 1); }
static int l_rand(lua_State *L) { return random_tensor(L, 0, 0, 1); }

/* ---- gradients on and off ---- */

/* no_grad(fn, …): calls fn with recording off, and gives back what it returns. Without a
 * continuation, so that fn cannot yield: whoever runs meanwhile would find recording off. */
static int l_no_grad(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    bool before = sqn_grad_set_enabled(false);
    int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
    sqn_grad_set_enabled(before);
    return status == LUA_OK ? lua_gettop(L) : lua_error(L);
}

static int l_grad_enabled(lua_State *L) {
    lua_pushboolean(L, sqn_grad_enabled());
    return 1;
}

/* tensor_memory(reset, device): bytes of tensors, {live_bytes, peak_bytes, cached_bytes,
 * live_blocks}; reset = true starts the peak anew. */
static int l_tensor_memory(lua_State *L) {
    sqn_err e = SQN_ERR_INIT;
    int device;
    if (sqn_device_parse(luaL_optstring(L, 2, "cpu"), &device, &e) != SQN_OK)
        return bind_raise(L, &e);
    sqn_storage_stats s = sqn_storage_get_stats(device);
    if (lua_toboolean(L, 1)) sqn_storage_reset_peak(device);
    return push_fields(L, (const field[]){{"live_bytes", s.live_bytes},
                                          {"peak_bytes", s.peak_bytes},
                                          {"cached_bytes", s.cached_bytes},
                                          {"live_blocks", s.live_blocks},
                                          {NULL, 0}});
}

/* ---- devices ---- */

static int l_devices(lua_State *L) { /* {{name, description, …}}, the cpu first */
    char name[16];
    lua_createtable(L, 1 + sqn_device_count(), 0);
    for (int d = SQN_CPU; d < sqn_device_count(); d++) {
        sqn_err e = SQN_ERR_INIT;
        sqn_device_info info = {0};
        if (d != SQN_CPU && sqn_backend_get()->info(d, &info, &e) != SQN_OK)
            return bind_raise(L, &e);
        lua_createtable(L, 0, 5);
        lua_pushstring(L, sqn_device_name(d, name));
        lua_setfield(L, -2, "name");
        if (d != SQN_CPU) {
            lua_pushstring(L, info.name);
            lua_setfield(L, -2, "description");
            lua_pushinteger(L, info.total_bytes);
            lua_setfield(L, -2, "total_bytes");
            if (info.free_bytes >= 0) {
                lua_pushinteger(L, info.free_bytes);
                lua_setfield(L, -2, "free_bytes");
            }
            lua_pushfstring(L, "%d.%d", info.major, info.minor);
            lua_setfield(L, -2, "capability");
        }
        lua_rawseti(L, -2, d + 2);
    }
    return 1;
}

/* synchronize(device): waits until all that was asked of it is done. */
static int l_synchronize(lua_State *L) {
    sqn_err e = SQN_ERR_INIT;
    int device;
    if (sqn_device_parse(luaL_checkstring(L, 1), &device, &e) != SQN_OK ||
        sqn_device_wait(device, &e) != SQN_OK)
        return bind_raise(L, &e);
    return 0;
}

static int l_allow_tf32(lua_State *L) {
    luaL_checktype(L, 1, LUA_TBOOLEAN);
    if (sqn_backend_get() != NULL) sqn_backend_get()->allow_tf32(lua_toboolean(L, 1));
    return 0;
}

/* device_counts(): what this thread asked of cards so far. */
static int l_device_counts(lua_State *L) {
    const sqn_device_counts n = sqn_device_counts_get();
    return push_fields(L, (const field[]){{"launches", n.launches},
                                          {"plain_products", n.plain_products},
                                          {"uploads", n.uploads},
                                          {"zeros", n.zeros},
                                          {"fetches", n.fetches},
                                          {"waits", n.waits},
                                          {NULL, 0}});
}

static const luaL_Reg functions[] = {
    {"allow_tf32", l_allow_tf32},
    {"device_counts", l_device_counts},
    {"devices", l_devices},
    {"synchronize", l_synchronize},
    {"tensor", l_tensor},
    {"zeros", l_zeros},
    {"ones", l_ones},
    {"full", l_full},
    {"empty", l_empty},
    {"arange", l_arange},
    {"randn", l_randn},
    {"rand", l_rand},
    {"no_grad", l_no_grad},
    {"grad_enabled", l_grad_enabled},
    {"manual_seed", l_manual_seed},
    {"random_state", l_random_state},
    {"tensor_memory", l_tensor_memory},
    {NULL, NULL},
};

int l_open_tensor(lua_State *L);
int l_open_tensor(lua_State *L) {
    bind_register(L, BIND_TENSOR, &tensor_type);
    luaL_newlib(L, functions);
    bind_open_scopes(L, -1);
    bind_open_custom(L, -1);
    lua_newtable(L); /* methods */
    bind_open_ops(L, -1);
    lua_setfield(L, LUA_REGISTRYINDEX, "sqlune.ops");
    bind_open_fetch(L, -1);
    bind_open_tensor_methods(L); /* takes the methods */
    return 1;
}
