/* sq.db: read-only connections and their results. Results print through lua/sqlune/rows.lua. */
#include "bind/db.h"

#include <string.h>
#include <utf8proc.h>

static const char *const connection_keys[] = {
    "dialect", "path",   "host",    "port",     "user",      "password",   "database", "socket",
    "sslmode", "ssl_ca", "timeout", "max_rows", "max_bytes", "max_length", "reversed", NULL,
};
static const char *const query_keys[] = {"timeout", "max_rows", "max_bytes", NULL};

void bind_conn_options(lua_State *L, int idx, sqn_conn_options *o) {
    memset(o, 0, sizeof *o);
    if (lua_type(L, idx) == LUA_TSTRING) {
        o->path = lua_tostring(L, idx);
        return;
    }
    luaL_argexpected(L, lua_istable(L, idx), idx, "path or connection table");
    bind_options_check(L, idx, connection_keys);
    o->dialect = bind_option_string(L, idx, "dialect", NULL);
    o->path = bind_option_string(L, idx, "path", NULL);
    o->host = bind_option_string(L, idx, "host", NULL);
    o->port = (int)bind_option_integer(L, idx, "port", 0);
    o->user = bind_option_string(L, idx, "user", NULL);
    o->password = bind_option_string(L, idx, "password", NULL);
    o->database = bind_option_string(L, idx, "database", NULL);
    o->socket = bind_option_string(L, idx, "socket", NULL);
    o->sslmode = bind_option_string(L, idx, "sslmode", NULL);
    o->ssl_ca = bind_option_string(L, idx, "ssl_ca", NULL);
    o->timeout = bind_option_number(L, idx, "timeout", 0);
    o->max_rows = bind_option_integer(L, idx, "max_rows", 0);
    o->max_bytes = bind_option_integer(L, idx, "max_bytes", 0);
    o->max_length = bind_option_integer(L, idx, "max_length", 0);
    o->reversed = bind_option_boolean(L, idx, "reversed", false);
}

void bind_push_null(lua_State *L) {
    int top = lua_gettop(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, "sqlune.core") == LUA_TTABLE &&
        lua_getfield(L, -1, "json") == LUA_TTABLE && lua_getfield(L, -1, "null") != LUA_TNIL) {
        lua_replace(L, top + 1);
        lua_settop(L, top + 1);
        return;
    }
    lua_settop(L, top);
    lua_pushlightuserdata(L, NULL);
}

static int l_open(lua_State *L) { /* open(path | connection) -> db | nil, message, code */
    sqn_conn_options o;
    sqn_err e = SQN_ERR_INIT;
    bind_conn_options(L, 1, &o);
    bind_box *box = bind_push_box(L, BIND_DB);
    if (sqn_conn_open(&o, (sqn_conn **)&box->self, &e) != SQN_OK) return bind_error(L, &e);
    return 1;
}

/* create(path, sql[, from]) -> true | nil, message, code */
static int l_create(lua_State *L) {
    size_t n;
    sqn_err e = SQN_ERR_INIT;
    const char *path = luaL_checkstring(L, 1), *script = luaL_checklstring(L, 2, &n);
    const char *from = luaL_optstring(L, 3, NULL);
    if (sqn_sqlite_create(path, from, script, n, &e) != SQN_OK) return bind_error(L, &e);
    lua_pushboolean(L, 1);
    return 1;
}

void bind_push_cell(lua_State *L, const sqn_cell *cell, int null) {
    switch (cell->kind) {
    case SQN_CELL_NULL:
        lua_pushvalue(L, null);
        return;
    case SQN_CELL_INT:
        lua_pushinteger(L, cell->as.integer);
        return;
    case SQN_CELL_DOUBLE:
        lua_pushnumber(L, cell->as.real);
        return;
    case SQN_CELL_BOOL:
        lua_pushboolean(L, cell->as.integer != 0);
        return;
    case SQN_CELL_BLOB:
        lua_createtable(L, 0, 1);
        lua_pushlstring(L, cell->as.bytes, cell->length);
        lua_setfield(L, -2, "blob");
        return;
    default:
        lua_pushlstring(L, cell->as.bytes, cell->length);
        return;
    }
}

static void push_result(lua_State *L, const sqn_result *r) { /* [-0, +1, e] */
    bind_push_null(L);
    int null = lua_gettop(L);
    lua_createtable(L, 0, 3);
    lua_createtable(L, r->columns, 0);
    for (int i = 0; i < r->columns; i++) {
        lua_pushstring(L, r->names[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "columns");
    lua_createtable(L, r->rows < 1 << 20 ? (int)r->rows : 1 << 20, 0);
    for (int64_t row = 0; row < r->rows; row++) {
        lua_createtable(L, r->columns, 0);
        for (int i = 0; i < r->columns; i++) {
            bind_push_cell(L, &r->cells[row * r->columns + i], null);
            lua_rawseti(L, -2, i + 1);
        }
        lua_rawseti(L, -2, row + 1);
    }
    lua_setfield(L, -2, "rows");
    lua_pushnumber(L, r->seconds);
    lua_setfield(L, -2, "seconds");
    luaL_setmetatable(L, "sqlune.db.result");
    lua_remove(L, null);
}

static int l_query(lua_State *L) { /* db:query(sql[, options]) -> result | nil, message, code */
    size_t n;
    sqn_err e = SQN_ERR_INIT;
    sqn_conn *conn = bind_check(L, 1, BIND_DB);
    const char *sql = luaL_checklstring(L, 2, &n);
    bind_options_check(L, 3, query_keys);
    sqn_run_options o = {
        .timeout = bind_option_number(L, 3, "timeout", 0),
        .max_rows = bind_option_integer(L, 3, "max_rows", 0),
        .max_bytes = bind_option_integer(L, 3, "max_bytes", 0),
    };
    bind_box *box = bind_push_box(L, BIND_DB_RESULT);
    lua_toclose(L, -1);
    if (sqn_conn_query(conn, sql, n, &o, (sqn_result **)&box->self, &e) != SQN_OK)
        return bind_error(L, &e);
    push_result(L, box->self);
    return 1;
}

static int l_close(lua_State *L) { /* db:close(): again is harmless */
    bind_box *box = bind_check_box(L, 1, BIND_DB);
    sqn_conn *conn = box->self;
    box->self = NULL;
    sqn_conn_close(conn);
    return 0;
}

static int l_width(lua_State *L) { /* width(text): columns that it takes on a terminal */
    size_t n;
    const char *s = luaL_checklstring(L, 1, &n);
    lua_Integer width = 0;
    for (size_t i = 0; i < n;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t k =
            utf8proc_iterate((const utf8proc_uint8_t *)s + i, (utf8proc_ssize_t)(n - i), &c);
        width += k > 0 ? utf8proc_charwidth(c) : 1;
        i += k > 0 ? (size_t)k : 1;
    }
    lua_pushinteger(L, width);
    return 1;
}

static int l_result_text(lua_State *L) { /* __tostring of a result */
    lua_getglobal(L, "require");
    lua_pushliteral(L, "sqlune.rows");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "format");
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

static void release_conn(void *self) { sqn_conn_close(self); }
static void release_result(void *self) { sqn_result_release(self); }

static const luaL_Reg methods[] = {{"query", l_query}, {"close", l_close}, {NULL, NULL}};
static const bind_type db_type = {"db", release_conn, methods, NULL};
static const bind_type result_type = {"db result", release_result, NULL, NULL};

static const luaL_Reg functions[] = {
    {"open", l_open}, {"create", l_create}, {"width", l_width}, {NULL, NULL}};

int l_open_db(lua_State *L);
int l_open_db(lua_State *L) {
    bind_register(L, BIND_DB, &db_type);
    bind_register(L, BIND_DB_RESULT, &result_type);
    luaL_newmetatable(L, "sqlune.db.result");
    lua_pushcfunction(L, l_result_text);
    lua_setfield(L, -2, "__tostring");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
