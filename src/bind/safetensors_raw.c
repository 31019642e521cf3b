/* sq.safetensors without tensors: what a file holds, and its bytes. Described in
 * lua/sqlune/meta/safetensors.lua. */
#include "bind/safetensors_raw.h"

#include <string.h>

#include "bind/json.h"
#include "io/safetensors.h"

static void release_file(void *self) { sqn_safetensors_close(self); }
static void release_writer(void *self) { sqn_safetensors_writer_close(self); }

static const bind_type file_type = {"safetensors file", release_file, NULL, NULL};
static const bind_type writer_type = {"safetensors writer", release_writer, NULL, NULL};

static bind_box *push_scratch_box(lua_State *L, bind_kind kind) { /* closed on return or throw */
    bind_box *box = bind_push_box(L, kind);
    lua_toclose(L, -1);
    return box;
}

static void push_entry(lua_State *L, const sqn_safetensors_entry *t) {
    bind_json_push_object(L);
    lua_pushstring(L, t->type);
    lua_setfield(L, -2, "dtype");
    lua_createtable(L, t->ndim, 0);
    for (int i = 0; i < t->ndim; i++) {
        lua_pushinteger(L, t->shape[i]);
        lua_rawseti(L, -2, i + 1);
    }
    bind_json_mark_array(L, -1);
    lua_setfield(L, -2, "shape");
    lua_pushinteger(L, (lua_Integer)t->bytes);
    lua_setfield(L, -2, "bytes");
    lua_pushstring(L, sqn_mapping_path(t->mapping));
    lua_setfield(L, -2, "file");
}

static int l_header(lua_State *L) {
    const char *path = luaL_checkstring(L, 1), *key, *value;
    sqn_err e = SQN_ERR_INIT;
    bind_box *box = push_scratch_box(L, BIND_SAFETENSORS_RAW);
    if (sqn_safetensors_open((sqn_safetensors **)&box->self, path, &e)) return bind_error(L, &e);
    const sqn_safetensors *file = box->self;
    bind_json_push_object(L);
    for (size_t i = 0; i < sqn_safetensors_count(file); i++) {
        const sqn_safetensors_entry *t = sqn_safetensors_at(file, i);
        push_entry(L, t);
        lua_setfield(L, -2, t->name);
    }
    bind_json_push_object(L);
    for (size_t i = 0; sqn_safetensors_metadata(file, i, &key, &value); i++) {
        lua_pushstring(L, value);
        lua_setfield(L, -2, key);
    }
    return 2;
}

static int l_read_raw(lua_State *L) {
    const char *path = luaL_checkstring(L, 1), *name = luaL_checkstring(L, 2);
    const sqn_safetensors_entry *t;
    sqn_err e = SQN_ERR_INIT;
    bind_box *box = push_scratch_box(L, BIND_SAFETENSORS_RAW);
    if (sqn_safetensors_open((sqn_safetensors **)&box->self, path, &e)) return bind_error(L, &e);
    if (sqn_safetensors_get(box->self, name, &t, &e)) return bind_error(L, &e);
    lua_pushlstring(L, t->data, t->bytes);
    push_entry(L, t);
    return 2;
}

/* Declares the tensor that the table at idx describes. */
static sqn_status add_tensor(lua_State *L, int idx, sqn_safetensors_writer *w, sqn_err *e) {
    int64_t shape[SQN_SAFETENSORS_DIMS];
    int top = lua_gettop(L);
    if (!lua_istable(L, idx) || lua_getfield(L, idx, "name") != LUA_TSTRING ||
        lua_getfield(L, idx, "dtype") != LUA_TSTRING ||
        lua_getfield(L, idx, "shape") != LUA_TTABLE || lua_getfield(L, idx, "bytes") != LUA_TSTRING)
        luaL_error(L, "a tensor to write is {name=, dtype=, shape={…}, bytes=}");
    const char *name = lua_tostring(L, top + 1), *type = lua_tostring(L, top + 2);
    lua_Integer dims = luaL_len(L, top + 3);
    uint64_t wanted = sqn_safetensors_type_size(type);
    if (dims > SQN_SAFETENSORS_DIMS) luaL_error(L, "tensor '%s' has too many dimensions", name);
    for (lua_Integer i = 0; i < dims; i++) {
        lua_geti(L, top + 3, i + 1);
        shape[i] = luaL_checkinteger(L, -1);
        wanted *= (uint64_t)shape[i];
        lua_pop(L, 1);
    }
    SQN_TRY(sqn_safetensors_writer_add(w, name, type, (int)dims, shape, e));
    if (lua_rawlen(L, top + 4) != wanted)
        luaL_error(L, "tensor '%s': %I bytes do not fill its shape", name,
                   (lua_Integer)lua_rawlen(L, top + 4));
    lua_settop(L, top);
    return SQN_OK;
}

static void add_metadata(lua_State *L, int idx, sqn_safetensors_writer *w, sqn_err *e) {
    if (lua_isnoneornil(L, idx)) return;
    luaL_checktype(L, idx, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "metadata must map strings to strings");
        sqn_safetensors_writer_metadata(w, lua_tostring(L, -2), lua_tostring(L, -1), e);
    }
}

static sqn_status write_bytes(lua_State *L, sqn_safetensors_writer *w, lua_Integer count,
                              sqn_err *e) {
    SQN_TRY(sqn_safetensors_writer_start(w, e));
    for (lua_Integer i = 0; i < count; i++) {
        size_t n;
        lua_geti(L, 2, (lua_Integer)sqn_safetensors_writer_order(w, (size_t)i) + 1);
        lua_getfield(L, -1, "bytes");
        const char *bytes = luaL_checklstring(L, -1, &n);
        SQN_TRY(sqn_safetensors_writer_write(w, bytes, n, e));
        lua_pop(L, 2);
    }
    return sqn_safetensors_writer_commit(w, e);
}

static int l_write_raw(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_Integer count = luaL_len(L, 2);
    sqn_err e = SQN_ERR_INIT;
    sqn_status status = SQN_OK;
    lua_settop(L, 3);
    bind_box *box = push_scratch_box(L, BIND_SAFETENSORS_RAW_WRITER);
    if (sqn_safetensors_writer_open((sqn_safetensors_writer **)&box->self, path, &e))
        return bind_error(L, &e);
    add_metadata(L, 3, box->self, &e);
    for (lua_Integer i = 1; i <= count && status == SQN_OK; i++) {
        lua_geti(L, 2, i);
        status = add_tensor(L, lua_gettop(L), box->self, &e);
        lua_settop(L, 4);
    }
    if (status == SQN_OK && e.code == SQN_OK) write_bytes(L, box->self, count, &e);
    if (e.code != SQN_OK) return bind_error(L, &e);
    lua_pushboolean(L, 1);
    return 1;
}

const luaL_Reg bind_safetensors_raw[] = {
    {"header", l_header}, {"read_raw", l_read_raw}, {"write_raw", l_write_raw}, {NULL, NULL}};

void bind_safetensors_raw_register(lua_State *L) {
    bind_register(L, BIND_SAFETENSORS_RAW, &file_type);
    bind_register(L, BIND_SAFETENSORS_RAW_WRITER, &writer_type);
}
