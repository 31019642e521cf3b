/* Tensors from and into weight files: sq.safetensors.load and save. */
#include <string.h>

#include "bind/safetensors_tensor.h"
#include "bind/tensor.h"
#include "io/safetensors.h"

static void close_file(void *self) { sqn_safetensors_close(self); }
static void close_writer(void *self) { sqn_safetensors_writer_close(self); }
static void release_mapping(void *owner) { sqn_mapping_release(owner); }

static const bind_type file_type = {"safetensors file", close_file, NULL, NULL};
static const bind_type writer_type = {"safetensors writer", close_writer, NULL, NULL};

void bind_safetensors_tensor_register(lua_State *L) {
    bind_register(L, BIND_SAFETENSORS, &file_type);
    bind_register(L, BIND_SAFETENSORS_WRITER, &writer_type);
}

/* A view of the mapping, or a copy where another writer left the bytes unaligned. */
static sqn_status take_entry(const char *path, const sqn_safetensors_entry *x, sqn_tensor **out,
                             sqn_err *e) {
    if (x->dtype == SQN_DTYPE_COUNT)
        return SQN_FAIL(e, SQN_FORMAT, "%s: tensor '%s' has type %s, which tensors do not have",
                        path, x->name, x->type);
    if (x->ndim > SQN_MAX_DIMS)
        return SQN_FAIL(e, SQN_FORMAT, "%s: tensor '%s' has %d dimensions, at most %d are read",
                        path, x->name, x->ndim, SQN_MAX_DIMS);
    if ((uintptr_t)x->data % sqn_dtype_size(x->dtype) != 0) {
        *out = sqn_tensor_new(SQN_CPU, x->dtype, x->ndim, x->shape, e);
        if (*out != NULL) memcpy(sqn_tensor_data(*out), x->data, x->bytes);
        return *out ? SQN_OK : SQN_NOMEM;
    }
    union {
        const void *in;
        void *out;
    } bytes = {x->data}; /* the mapping is private: a write stays in this process */
    sqn_storage *s =
        sqn_storage_borrow(bytes.out, x->bytes, sqn_mapping_retain(x->mapping), release_mapping, e);
    if (s == NULL) {
        sqn_mapping_release(x->mapping);
        return SQN_NOMEM;
    }
    *out = sqn_tensor_over(s, x->dtype, x->ndim, x->shape, 0, e);
    sqn_storage_release(s);
    return *out ? SQN_OK : SQN_NOMEM;
}

static int l_load(lua_State *L) {
    sqn_err e = SQN_ERR_INIT;
    const char *path = luaL_checkstring(L, 1);
    bind_box *box = bind_push_box(L, BIND_SAFETENSORS);
    lua_toclose(L, -1);
    sqn_safetensors *file = NULL;
    sqn_status status = sqn_safetensors_open(&file, path, &e);
    box->self = file;
    if (status != SQN_OK) return bind_error(L, &e);
    lua_newtable(L);
    for (size_t i = 0; i < sqn_safetensors_count(file); i++) {
        const sqn_safetensors_entry *x = sqn_safetensors_at(file, i);
        bind_handle *h = bind_push_tensor(L);
        if (take_entry(path, x, &h->t, &e) != SQN_OK) return bind_error(L, &e);
        lua_setfield(L, -2, x->name);
    }
    lua_newtable(L);
    const char *key, *value;
    for (size_t i = 0; sqn_safetensors_metadata(file, i, &key, &value); i++) {
        lua_pushstring(L, value);
        lua_setfield(L, -2, key);
    }
    return 2;
}

/* Strings of the table at idx, sorted, into a new list on the top: files come out the same every
 * time. */
static void push_sorted_keys(lua_State *L, int idx) {
    lua_newtable(L);
    int n = 0;
    for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "names must be strings, got a %s", luaL_typename(L, -2));
        lua_pushvalue(L, -2);
        lua_rawseti(L, -4, ++n);
    }
    lua_getglobal(L, "table");
    lua_getfield(L, -1, "sort");
    lua_pushvalue(L, -3);
    lua_call(L, 1, 0);
    lua_pop(L, 1);
}

static sqn_status write_all(lua_State *L, sqn_safetensors_writer *w, int keys, size_t count,
                            sqn_err *e) {
    SQN_TRY(sqn_safetensors_writer_start(w, e));
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, keys, (lua_Integer)sqn_safetensors_writer_order(w, i) + 1);
        lua_gettable(L, 2);
        sqn_tensor *t = bind_check_tensor(L, -1), *near = sqn_tensor_on(t, SQN_CPU, e);
        sqn_tensor *flat = near ? sqn_tensor_as(near, t->dtype, e) : NULL;
        sqn_tensor_release(near);
        sqn_status status =
            flat ? sqn_safetensors_writer_write(w, sqn_tensor_data(flat), sqn_tensor_bytes(flat), e)
                 : SQN_NOMEM;
        sqn_tensor_release(flat);
        lua_pop(L, 1);
        SQN_TRY(status);
    }
    return sqn_safetensors_writer_commit(w, e);
}

/* save(path, {name = tensor}, {key = value}): true, or nil, message, code. Atomic. */
static int l_save(lua_State *L) {
    sqn_err e = SQN_ERR_INIT;
    const char *path = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 3);
    push_sorted_keys(L, 2);
    int keys = lua_gettop(L);
    bind_box *box = bind_push_box(L, BIND_SAFETENSORS_WRITER);
    lua_toclose(L, -1);
    sqn_safetensors_writer *w = NULL;
    sqn_status status = sqn_safetensors_writer_open(&w, path, &e);
    box->self = w;
    if (status != SQN_OK) return bind_error(L, &e);
    size_t count = lua_rawlen(L, keys);
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, keys, (lua_Integer)i);
        lua_pushvalue(L, -1);
        lua_gettable(L, 2);
        sqn_tensor *t = bind_check_tensor(L, -1);
        status = sqn_safetensors_writer_add(w, lua_tostring(L, -2), sqn_dtype_file_name(t->dtype),
                                            t->ndim, t->shape, &e);
        if (status != SQN_OK) return bind_error(L, &e);
        lua_pop(L, 2);
    }
    if (!lua_isnil(L, 3)) {
        luaL_checktype(L, 3, LUA_TTABLE);
        for (lua_pushnil(L); lua_next(L, 3); lua_pop(L, 1))
            if (sqn_safetensors_writer_metadata(w, luaL_checkstring(L, -2), luaL_checkstring(L, -1),
                                                &e) != SQN_OK)
                return bind_error(L, &e);
    }
    if (write_all(L, w, keys, count, &e) != SQN_OK) return bind_error(L, &e);
    lua_pushboolean(L, 1);
    return 1;
}

const luaL_Reg bind_safetensors_tensor[] = {{"load", l_load}, {"save", l_save}, {NULL, NULL}};
