/* Lua values from JSON tokens and back: see json.h. */
#include <stdlib.h>
#include <string.h>

#include "bind/json.h"

static sqn_status push_value(lua_State *L, sqn_json_reader *r, const sqn_json_token *t, sqn_err *e);

static sqn_status push_array(lua_State *L, sqn_json_reader *r, sqn_err *e) {
    sqn_json_token t;
    lua_newtable(L);
    for (lua_Integer i = 1;; i++) {
        SQN_TRY(sqn_json_next(r, &t, e));
        if (t.kind == SQN_JSON_ARRAY_END) break;
        SQN_TRY(push_value(L, r, &t, e));
        lua_rawseti(L, -2, i);
    }
    bind_json_mark_array(L, -1);
    return SQN_OK;
}

/* A key that comes twice keeps its first place and its last value, as in Python. */
static sqn_status push_object(lua_State *L, sqn_json_reader *r, sqn_err *e) {
    sqn_json_token t;
    lua_newtable(L);
    bind_json_push_order(L);
    int order = lua_gettop(L), table = order - 1, key = order + 1;
    for (;;) {
        SQN_TRY(sqn_json_next(r, &t, e));
        if (t.kind == SQN_JSON_OBJECT_END) break;
        lua_pushlstring(L, t.text, t.length);
        SQN_TRY(sqn_json_next(r, &t, e));
        SQN_TRY(push_value(L, r, &t, e));
        lua_pushvalue(L, key);
        bool known = lua_rawget(L, table) != LUA_TNIL;
        lua_pop(L, 1);
        if (!known) bind_json_extend_order(L, order, key);
        lua_rawset(L, table);
    }
    lua_setmetatable(L, table);
    return SQN_OK;
}

static sqn_status push_value(lua_State *L, sqn_json_reader *r, const sqn_json_token *t,
                             sqn_err *e) {
    luaL_checkstack(L, 12, "JSON");
    switch (t->kind) {
    case SQN_JSON_ARRAY:
        return push_array(L, r, e);
    case SQN_JSON_OBJECT:
        return push_object(L, r, e);
    case SQN_JSON_STRING:
        lua_pushlstring(L, t->text, t->length);
        break;
    case SQN_JSON_INTEGER:
        lua_pushinteger(L, t->integer);
        break;
    case SQN_JSON_FLOAT:
        lua_pushnumber(L, t->number);
        break;
    case SQN_JSON_TRUE:
    case SQN_JSON_FALSE:
        lua_pushboolean(L, t->kind == SQN_JSON_TRUE);
        break;
    default:
        bind_json_push_null(L);
    }
    return SQN_OK;
}

sqn_status bind_json_push(lua_State *L, sqn_json_reader *r, const sqn_json_token *first,
                          sqn_err *e) {
    return push_value(L, r, first, e);
}

typedef struct place { /* one step from the value's top to where the encoder stands */
    const char *key;   /* borrowed from the Lua stack; NULL: an index */
    lua_Integer index;
} place;

typedef struct encoder {
    sqn_json_writer *w;
    int depth;
    place path[SQN_JSON_DEPTH];
} encoder;

/* Raises "cannot write …: WHAT at $.tables[3].name". */
static void cannot(lua_State *L, const encoder *c, const char *what) {
    luaL_Buffer b;
    luaL_checkstack(L, 40, NULL);
    luaL_buffinit(L, &b);
    luaL_where(L, 1);
    luaL_addvalue(&b);
    luaL_addstring(&b, "cannot write as JSON: ");
    luaL_addstring(&b, what);
    luaL_addstring(&b, " at $");
    for (int i = 0; i < c->depth && i < 20;
         i++) { /* the first steps say enough, and a cycle repeats */
        if (c->path[i].key == NULL)
            lua_pushfstring(L, "[%I]", c->path[i].index);
        else
            lua_pushfstring(L, ".%s", c->path[i].key);
        luaL_addvalue(&b);
    }
    if (c->depth > 20) luaL_addstring(&b, "…");
    luaL_pushresult(&b);
    lua_error(L);
}

static void put_value(lua_State *L, encoder *c, int idx);

static void put_array(lua_State *L, encoder *c, int idx) {
    lua_Integer n = (lua_Integer)lua_rawlen(L, idx);
    place *at = &c->path[c->depth++];
    at->key = NULL;
    sqn_json_put_array(c->w);
    for (lua_Integer i = 1; i <= n && sqn_json_writer_status(c->w) == SQN_OK; i++) {
        at->index = i;
        lua_rawgeti(L, idx, i);
        put_value(L, c, lua_gettop(L));
        lua_pop(L, 1);
    }
    sqn_json_put_array_end(c->w);
    c->depth--;
}

/* Writes the keys at 1..n of the table at `keys` that have a value. */
static void put_object(lua_State *L, encoder *c, int idx, int keys) {
    place *at = &c->path[c->depth++];
    sqn_json_put_object(c->w);
    for (lua_Integer i = 1; lua_rawgeti(L, keys, i) != LUA_TNIL; i++) {
        if (lua_type(L, -1) != LUA_TSTRING) {
            c->depth--;
            cannot(L, c,
                   lua_pushfstring(L, "a key that is a %s, not a string,", luaL_typename(L, -1)));
        }
        size_t n;
        at->key = lua_tolstring(L, -1, &n);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, idx) != LUA_TNIL && sqn_json_writer_status(c->w) == SQN_OK) {
            sqn_json_put_key(c->w, at->key, n);
            put_value(L, c, lua_gettop(L));
        }
        lua_pop(L, 2);
    }
    lua_pop(L, 1);
    sqn_json_put_object_end(c->w);
    c->depth--;
}

typedef struct name {
    const char *text; /* borrowed: the key stands in the table that is being written */
    size_t length;
} name;

static int by_bytes(const void *a, const void *b) {
    const name *x = a, *y = b;
    int order = memcmp(x->text, y->text, x->length < y->length ? x->length : y->length);
    return order != 0 ? order : x->length < y->length ? -1 : x->length > y->length;
}

bool bind_json_push_sorted_keys(lua_State *L, int idx) {
    idx = lua_absindex(L, idx);
    size_t n = 0, count = 0;
    for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) count++;
    lua_createtable(L, (int)count, 0);
    name *names = lua_newuserdatauv(L, count * sizeof *names + 1, 0);
    for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1), n++) {
        if (lua_type(L, -2) != LUA_TSTRING) {
            lua_pop(L, 4);
            return false;
        }
        names[n].text = lua_tolstring(L, -2, &names[n].length);
    }
    qsort(names, n, sizeof *names, by_bytes);
    for (size_t i = 0; i < n; i++) {
        lua_pushlstring(L, names[i].text, names[i].length);
        lua_rawseti(L, -3, (lua_Integer)i + 1);
    }
    lua_pop(L, 1);
    return true;
}

static void put_table(lua_State *L, encoder *c, int idx) {
    if (c->depth == SQN_JSON_DEPTH) cannot(L, c, "a value nested too deep (or a cycle)");
    luaL_checkstack(L, 12, "JSON");
    if (bind_json_is_array(L, idx)) {
        put_array(L, c, idx);
        return;
    }
    if (bind_json_is_object(L, idx)) {
        lua_getmetatable(L, idx);
        put_object(L, c, idx, lua_gettop(L));
        lua_pop(L, 1);
        return;
    }
    size_t count = 0;
    for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) count++;
    if (count > 0 && count == lua_rawlen(L, idx)) {
        put_array(L, c, idx);
        return;
    }
    if (!bind_json_push_sorted_keys(L, idx))
        cannot(L, c, "a table with string keys and others, or with gaps,");
    put_object(L, c, idx, lua_gettop(L));
    lua_pop(L, 1);
}

static void put_value(lua_State *L, encoder *c, int idx) {
    size_t n;
    const char *text;
    switch (lua_type(L, idx)) {
    case LUA_TSTRING:
        text = lua_tolstring(L, idx, &n);
        sqn_json_put_string(c->w, text, n);
        break;
    case LUA_TNUMBER:
        if (lua_isinteger(L, idx))
            sqn_json_put_integer(c->w, lua_tointeger(L, idx));
        else
            sqn_json_put_number(c->w, lua_tonumber(L, idx));
        break;
    case LUA_TBOOLEAN:
        sqn_json_put_boolean(c->w, lua_toboolean(L, idx));
        break;
    case LUA_TTABLE:
        put_table(L, c, idx);
        break;
    default:
        if (!bind_json_is_null(L, idx) &&
            !(lua_isnil(L, idx) && c->depth > 0)) /* nil: a gap in an array */
            cannot(L, c, lua_pushfstring(L, "a %s", luaL_typename(L, idx)));
        sqn_json_put_null(c->w);
    }
    if (sqn_json_writer_status(c->w) != SQN_FORMAT) return;
    sqn_err e = SQN_ERR_INIT;
    sqn_json_writer_finish(c->w, &e);
    cannot(L, c, lua_pushstring(L, e.message));
}

void bind_json_put(lua_State *L, int idx, sqn_json_writer *w) {
    encoder c = {.w = w, .depth = 0};
    put_value(L, &c, lua_absindex(L, idx));
}
