/* sq.json: decode, encode, read, write; streams are in json_stream.c. Described in
 * lua/sqlune/meta/json.lua. */
#include "bind/json.h"

#include "io/file.h"

static void release_reader(void *self) { sqn_json_reader_close(self); }
static void release_writer(void *self) { sqn_json_writer_close(self); }
static void release_file(void *self) { sqn_file_writer_close(self); }

static const bind_type reader_type = {"JSON reader", release_reader, NULL, NULL};
static const bind_type writer_type = {"JSON writer", release_writer, NULL, NULL};
static const bind_type file_type = {"file writer", release_file, NULL, NULL};

static bind_box *push_scratch_box(lua_State *L, bind_kind kind) { /* closed on return or throw */
    bind_box *box = bind_push_box(L, kind);
    lua_toclose(L, -1);
    return box;
}

static int push_whole(lua_State *L,
                      sqn_json_reader *r) { /* the one value of a text, or nil, message, code */
    sqn_err e = SQN_ERR_INIT;
    sqn_json_token t;
    sqn_status status = sqn_json_next(r, &t, &e);
    if (status == SQN_OK) status = bind_json_push(L, r, &t, &e);
    if (status == SQN_OK) status = sqn_json_next(r, &t, &e);
    return status == SQN_OK ? 1 : bind_error(L, &e);
}

static int l_decode(lua_State *L) {
    static const char *const allowed[] = {"name", NULL};
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);
    bind_options_check(L, 2, allowed);
    lua_settop(L, 2);
    const char *name = bind_option_string(L, 2, "name", "JSON text");
    sqn_err e = SQN_ERR_INIT;
    bind_box *box = push_scratch_box(L, BIND_JSON_READER);
    if (sqn_json_reader_memory((sqn_json_reader **)&box->self, text, n, name, &e))
        return bind_error(L, &e);
    return push_whole(L, box->self);
}

static int l_read(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    sqn_err e = SQN_ERR_INIT;
    bind_box *box = push_scratch_box(L, BIND_JSON_READER);
    if (sqn_json_reader_open((sqn_json_reader **)&box->self, path, &e)) return bind_error(L, &e);
    return push_whole(L, box->self);
}

sqn_json_style bind_json_style(lua_State *L, int idx, const char *extra) {
    const char *const allowed[] = {"indent", "level", "compact", "ascii", "replace", extra, NULL};
    bind_options_check(L, idx, allowed);
    int64_t indent = bind_option_integer(L, idx, "indent", 0);
    int64_t level = bind_option_integer(L, idx, "level", 0);
    if (indent < 0 || indent > 16) luaL_error(L, "option 'indent' must be 0 to 16");
    if (level < 0 || level > SQN_JSON_DEPTH) luaL_error(L, "option 'level' must be 0 to 512");
    return (sqn_json_style){.indent = (int)indent,
                            .level = (int)level,
                            .compact = bind_option_boolean(L, idx, "compact", false),
                            .ascii = bind_option_boolean(L, idx, "ascii", false),
                            .replace_bad = bind_option_boolean(L, idx, "replace", false)};
}

static int l_encode(lua_State *L) {
    luaL_checkany(L, 1);
    sqn_json_style style = bind_json_style(L, 2, NULL);
    sqn_err e = SQN_ERR_INIT;
    bind_box *box = push_scratch_box(L, BIND_JSON_WRITER);
    if (sqn_json_writer_new((sqn_json_writer **)&box->self, style, NULL, NULL, &e))
        return bind_error(L, &e);
    bind_json_put(L, 1, box->self);
    if (sqn_json_writer_finish(box->self, &e)) return bind_error(L, &e);
    size_t n;
    const char *text = sqn_json_writer_text(box->self, &n);
    lua_pushlstring(L, text, n);
    return 1;
}

static sqn_status to_file(void *to, const char *bytes, size_t n, sqn_err *e) {
    return sqn_file_writer_write(to, bytes, n, e);
}

static int l_write(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    luaL_checkany(L, 2);
    sqn_json_style style = bind_json_style(L, 3, NULL);
    sqn_err e = SQN_ERR_INIT;
    bind_box *file = push_scratch_box(L, BIND_FILE_WRITER),
             *box = push_scratch_box(L, BIND_JSON_WRITER);
    if (sqn_file_writer_open((sqn_file_writer **)&file->self, path, &e)) return bind_error(L, &e);
    if (sqn_json_writer_new((sqn_json_writer **)&box->self, style, to_file, file->self, &e))
        return bind_error(L, &e);
    bind_json_put(L, 2, box->self);
    if (sqn_json_writer_finish(box->self, &e)) return bind_error(L, &e);
    if (sqn_file_writer_commit(file->self, &e)) return bind_error(L, &e);
    lua_pushboolean(L, 1);
    return 1;
}

static int l_array(lua_State *L) {
    lua_settop(L, 1);
    if (lua_isnil(L, 1))
        lua_newtable(L);
    else
        luaL_checktype(L, 1, LUA_TTABLE);
    bind_json_mark_array(L, -1);
    return 1;
}

/* Sets table[key] = value, in order; key and value are on top. [-2, +0, e] */
static void set_pair(lua_State *L, int table) {
    if (lua_type(L, -2) != LUA_TSTRING)
        luaL_error(L, "a key of an object must be a string, got a %s", luaL_typename(L, -2));
    lua_settable(L, table);
}

static int l_object(lua_State *L) {
    int n = lua_gettop(L);
    bool list = n == 1 && lua_istable(L, 1);
    if (!list && n % 2 != 0)
        return luaL_error(L, "json.object wants key, value, key, value … or {{key, value}, …}");
    bind_json_push_object(L);
    int object = lua_gettop(L);
    for (int i = 1; !list && i < n; i += 2) {
        lua_pushvalue(L, i);
        lua_pushvalue(L, i + 1);
        set_pair(L, object);
    }
    for (lua_Integer i = 1; list && lua_geti(L, 1, i) != LUA_TNIL; i++, lua_settop(L, object)) {
        if (!lua_istable(L, -1))
            return luaL_error(L, "json.object: item %I is not a pair {key, value}", i);
        lua_geti(L, -1, 1);
        lua_geti(L, -2, 2);
        set_pair(L, object);
    }
    lua_settop(L, object);
    return 1;
}

static int l_like(lua_State *L) { /* like(object, table) -> table, which takes its order */
    luaL_argexpected(L, bind_json_is_object(L, 1), 1, "object");
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    lua_getmetatable(L, 1);
    lua_setmetatable(L, 2);
    return 1;
}

static int l_is_array(lua_State *L) {
    lua_pushboolean(L, bind_json_is_array(L, 1));
    return 1;
}

static int l_is_object(lua_State *L) {
    lua_pushboolean(L, bind_json_is_object(L, 1));
    return 1;
}

static int l_keys(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    if (!bind_json_is_object(L, 1)) {
        if (!bind_json_push_sorted_keys(L, 1))
            return luaL_error(L, "this table has keys that are not strings");
        bind_json_mark_array(L, -1);
        return 1;
    }
    lua_Integer n = 0;
    lua_newtable(L);
    lua_getmetatable(L, 1);
    for (lua_Integer i = 1; lua_rawgeti(L, 3, i) != LUA_TNIL; i++, lua_settop(L, 3)) {
        lua_pushvalue(L, 4);
        if (lua_rawget(L, 1) == LUA_TNIL) continue; /* a key whose value was taken away */
        lua_pop(L, 1);
        lua_rawseti(L, 2, ++n);
    }
    lua_settop(L, 2);
    bind_json_mark_array(L, 2);
    return 1;
}

static const luaL_Reg functions[] = {
    {"decode", l_decode},
    {"encode", l_encode},
    {"read", l_read},
    {"write", l_write},
    {"array", l_array},
    {"object", l_object},
    {"keys", l_keys},
    {"like", l_like},
    {"is_array", l_is_array},
    {"is_object", l_is_object},
    {"items", l_json_items},
    {"writer", l_json_writer},
    {NULL, NULL},
};

int l_open_json(lua_State *L);
int l_open_json(lua_State *L) {
    bind_json_register(L);
    bind_register(L, BIND_JSON_READER, &reader_type);
    bind_register(L, BIND_JSON_WRITER, &writer_type);
    bind_register(L, BIND_FILE_WRITER, &file_type);
    bind_json_register_streams(L);
    luaL_newlib(L, functions);
    bind_json_push_null(L);
    lua_setfield(L, -2, "null");
    return 1;
}
