/* sq.http: requests to web servers. */
#include <ctype.h>

#include "bind/bind.h"
#include "io/http.h"

static const char *const request_keys[] = {"url",     "method",    "headers", "body",
                                           "timeout", "max_bytes", NULL};

/* {Name = value} as "Name: value" lines in scratch memory. [-0, +?, e] */
static const char **option_headers(lua_State *L, size_t *n) {
    *n = 0;
    if (lua_getfield(L, 1, "headers") == LUA_TNIL) return NULL;
    luaL_argexpected(L, lua_istable(L, -1), 1, "table 'headers'");
    int table = lua_gettop(L);
    size_t count = 0;
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) count++;
    const char **lines = bind_scratch(L, (count + 1) * sizeof *lines);
    luaL_checkstack(L, (int)count + 10, "too many headers");
    lua_newtable(L); /* keeps the lines alive */
    int kept = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING || !lua_isstring(L, -1))
            luaL_error(L, "'headers' maps names to texts");
        const char *name = lua_tostring(L, -2), *value = lua_tostring(L, -1);
        if (strpbrk(name, "\r\n:") || strpbrk(value, "\r\n"))
            luaL_error(L, "the header '%s' holds a line break", name);
        lines[*n] = lua_pushfstring(L, "%s: %s", name, value);
        lua_rawseti(L, kept, (lua_Integer)++ * n);
    }
    return lines;
}

/* {["content-type"] = "…"}: names in lower case. [-0, +1, e] */
static void push_headers(lua_State *L, const sqn_buf *headers) {
    const char *at = headers->data, *end = at ? at + headers->n : at;
    lua_newtable(L);
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (stop == NULL) stop = end;
        const char *colon = memchr(at, ':', (size_t)(stop - at)), *last = stop;
        if (colon != NULL) {
            luaL_Buffer name;
            luaL_buffinit(L, &name);
            for (const char *c = at; c < colon; c++)
                luaL_addchar(&name, (char)tolower((unsigned char)*c));
            luaL_pushresult(&name);
            for (colon++; colon < last && isspace((unsigned char)*colon);) colon++;
            while (last > colon && isspace((unsigned char)last[-1])) last--;
            lua_pushlstring(L, colon, (size_t)(last - colon));
            lua_rawset(L, -3);
        }
        at = stop + 1;
    }
}

static void release_answer(void *self) {
    sqn_http_answer_release(self);
    sqn_free(self);
}

static int l_request(lua_State *L) { /* request(options) -> answer | nil, message, code */
    sqn_err e = SQN_ERR_INIT;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    bind_options_check(L, 1, request_keys);
    sqn_http_request r = {
        .url = bind_option_string(L, 1, "url", NULL),
        .method = bind_option_string(L, 1, "method", NULL),
        .timeout = bind_option_number(L, 1, "timeout", 0),
        .max_bytes = bind_option_integer(L, 1, "max_bytes", 0),
    };
    if (r.url == NULL) return luaL_error(L, "a request needs a 'url'");
    r.headers = option_headers(L, &r.header_count);
    if (lua_getfield(L, 1, "body") != LUA_TNIL) r.body = luaL_checklstring(L, -1, &r.body_length);
    bind_box *box = bind_push_box(L, BIND_HTTP_ANSWER);
    lua_toclose(L, -1);
    sqn_http_answer *answer = box->self = sqn_calloc(1, sizeof *answer, &e);
    if (answer == NULL || sqn_http_send(&r, answer, &e) != SQN_OK) return bind_error(L, &e);
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, answer->status);
    lua_setfield(L, -2, "status");
    lua_pushlstring(L, answer->body.data ? answer->body.data : "", answer->body.n);
    lua_setfield(L, -2, "body");
    push_headers(L, &answer->headers);
    lua_setfield(L, -2, "headers");
    return 1;
}

static const bind_type answer_type = {"http answer", release_answer, NULL, NULL};
static const luaL_Reg functions[] = {{"request", l_request}, {NULL, NULL}};

int l_open_http(lua_State *L);
int l_open_http(lua_State *L) {
    bind_register(L, BIND_HTTP_ANSWER, &answer_type);
    luaL_newlib(L, functions);
    return 1;
}
