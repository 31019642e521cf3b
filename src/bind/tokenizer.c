/* sq.tokenizer: load, encode, decode, stream. What Lua sees is described in meta/tokenizer.lua. */
#include <string.h>

#include "bind/bind.h"
#include "core/alloc.h"
#include "text/bpe_train.h"
#include "text/tokenizer.h"

/* What one call needs for a while; freed when it returns or throws. */
typedef struct work {
    sqn_bytes text;
    sqn_words ids;
    sqn_text *texts; /* owned; their bytes are the caller's Lua strings */
    sqn_encoding *encodings;
    size_t count;
} work;

static void work_release(void *self) {
    work *w = self;
    sqn_bytes_release(&w->text);
    sqn_words_release(&w->ids);
    for (size_t i = 0; i < w->count; i++) sqn_encoding_release(&w->encodings[i]);
    sqn_free(w->encodings);
    sqn_free(w->texts);
    sqn_free(w);
}

/* [-0, +1, e] with room for `count` texts */
static work *push_work(lua_State *L, size_t count) {
    sqn_err e = SQN_ERR_INIT;
    bind_box *box = bind_push_box(L, BIND_TOKENIZER_WORK);
    lua_toclose(L, -1);
    work *w = box->self = sqn_calloc(1, sizeof *w, &e);
    if (w == NULL) bind_raise(L, &e);
    w->texts = sqn_calloc(count, sizeof *w->texts, &e);
    w->encodings = w->texts ? sqn_calloc(count, sizeof *w->encodings, &e) : NULL;
    if (w->encodings == NULL) bind_raise(L, &e);
    w->count = count;
    return w;
}

static sqn_tokenizer *check(lua_State *L) { return bind_check(L, 1, BIND_TOKENIZER); }

static int l_load(lua_State *L) { /* path of a tokenizer.json or its folder */
    const char *path = luaL_checkstring(L, 1);
    sqn_err e = SQN_ERR_INIT;
    bind_box *box = bind_push_box(L, BIND_TOKENIZER);
    sqn_tokenizer *t = NULL;
    if (sqn_tokenizer_open(path, &t, &e)) return bind_error(L, &e);
    box->self = t;
    /* Work for the collector, but not live bytes: the release cannot take them back. */
    bind_account(L, (int64_t)sqn_tokenizer_bytes(t));
    bind_account(L, -(int64_t)sqn_tokenizer_bytes(t));
    bind_settle(L);
    return 1;
}

static void release_tokenizer(void *self) { sqn_tokenizer_close(self); }

static sqn_encode_options check_options(lua_State *L, int idx) {
    static const char *const allowed[] = {"add_special_tokens", "offsets", "literal", NULL};
    bind_options_check(L, idx, allowed);
    return (sqn_encode_options){.add_special_tokens =
                                    bind_option_boolean(L, idx, "add_special_tokens", false),
                                .offsets = bind_option_boolean(L, idx, "offsets", false),
                                .literal = bind_option_boolean(L, idx, "literal", false)};
}

static void push_ids(lua_State *L, const sqn_encoding *x) { /* [-0, +1, e] */
    lua_createtable(L, (int)x->ids.count, 0);
    for (size_t i = 0; i < x->ids.count; i++) {
        lua_pushinteger(L, x->ids.data[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void push_offsets(lua_State *L, const sqn_encoding *x) { /* [-0, +1, e] */
    const sqn_words *w = &x->offsets;
    lua_createtable(L, (int)(w->count / 2), 0);
    for (size_t i = 0; i < w->count; i += 2) {
        lua_createtable(L, 2, 0);
        lua_pushinteger(L, w->data[i]);
        lua_rawseti(L, -2, 1);
        lua_pushinteger(L, w->data[i + 1]);
        lua_rawseti(L, -2, 2);
        lua_rawseti(L, -2, (lua_Integer)(i / 2) + 1);
    }
}

static int l_encode(lua_State *L) { /* text, options */
    sqn_tokenizer *t = check(L);
    sqn_text text;
    text.data = luaL_checklstring(L, 2, &text.count);
    sqn_encode_options options = check_options(L, 3);
    lua_settop(L, 3);
    work *w = push_work(L, 1);
    sqn_err e = SQN_ERR_INIT;
    if (sqn_tokenizer_encode(t, text, options, &w->encodings[0], &e)) return bind_error(L, &e);
    push_ids(L, &w->encodings[0]);
    if (!options.offsets) return 1;
    push_offsets(L, &w->encodings[0]);
    return 2;
}

static int l_encode_many(lua_State *L) { /* list of texts, options */
    sqn_tokenizer *t = check(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    sqn_encode_options options = check_options(L, 3);
    lua_settop(L, 3);
    size_t count = lua_rawlen(L, 2);
    work *w = push_work(L, count);
    for (size_t i = 0; i < count; i++) { /* the list keeps the strings alive */
        if (lua_rawgeti(L, 2, (lua_Integer)i + 1) != LUA_TSTRING)
            return luaL_error(L, "text %d is no string but %s", (int)i + 1, luaL_typename(L, -1));
        w->texts[i].data = lua_tolstring(L, -1, &w->texts[i].count);
        lua_pop(L, 1);
    }
    sqn_err e = SQN_ERR_INIT;
    if (sqn_tokenizer_encode_many(t, w->texts, count, options, w->encodings, &e))
        return bind_error(L, &e);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        push_ids(L, &w->encodings[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    if (!options.offsets) return 1;
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        push_offsets(L, &w->encodings[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 2;
}

static uint32_t check_id(lua_State *L, int idx) {
    lua_Integer id = luaL_checkinteger(L, idx);
    luaL_argcheck(L, id >= 0 && id <= UINT32_MAX, idx, "a token id is not negative");
    return (uint32_t)id;
}

static bool check_skip(lua_State *L, int idx) {
    static const char *const allowed[] = {"skip_special_tokens", NULL};
    bind_options_check(L, idx, allowed);
    return bind_option_boolean(L, idx, "skip_special_tokens", true);
}

static int l_decode(lua_State *L) { /* list of ids, options */
    sqn_tokenizer *t = check(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    bool skip = check_skip(L, 3);
    lua_settop(L, 3);
    sqn_err e = SQN_ERR_INIT;
    size_t count = lua_rawlen(L, 2);
    work *w = push_work(L, 0);
    if (sqn_words_reserve(&w->ids, count, &e)) return bind_raise(L, &e);
    for (size_t i = 0; i < count; i++) {
        int whole = 0;
        lua_rawgeti(L, 2, (lua_Integer)i + 1);
        lua_Integer id = lua_tointegerx(L, -1, &whole);
        if (!whole || id < 0 || id > UINT32_MAX)
            return luaL_error(L, "id %d of the list is no token id: %s", (int)i + 1,
                              luaL_tolstring(L, -1, NULL));
        lua_pop(L, 1);
        w->ids.data[w->ids.count++] = (uint32_t)id;
    }
    if (sqn_tokenizer_decode(t, w->ids.data, count, skip, &w->text, &e)) return bind_error(L, &e);
    lua_pushlstring(L, w->text.data ? w->text.data : "", w->text.count);
    return 1;
}

static int l_id(lua_State *L) { /* token as the file spells it -> id or nil */
    size_t n;
    sqn_tokenizer *t = check(L);
    const char *token = luaL_checklstring(L, 2, &n);
    int32_t id = sqn_tokenizer_id(t, token, n);
    if (id < 0)
        lua_pushnil(L);
    else
        lua_pushinteger(L, id);
    return 1;
}

static int l_token(lua_State *L) { /* id -> token as the file spells it, or nil */
    size_t n;
    sqn_tokenizer *t = check(L);
    const char *token = sqn_tokenizer_token(t, check_id(L, 2), &n);
    if (token == NULL)
        lua_pushnil(L);
    else
        lua_pushlstring(L, token, n);
    return 1;
}

static int l_vocab_size(lua_State *L) {
    lua_pushinteger(L, sqn_tokenizer_vocab_size(check(L)));
    return 1;
}

static int l_special_ids(lua_State *L) { /* ids of special tokens, ascending */
    sqn_tokenizer *t = check(L);
    lua_newtable(L);
    lua_Integer n = 0;
    for (uint32_t id = 0; id < sqn_tokenizer_vocab_size(t); id++) {
        if (!sqn_tokenizer_is_special(t, id)) continue;
        lua_pushinteger(L, id);
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

static int l_close(lua_State *L) {
    bind_box *box = bind_check_box(L, 1, BIND_TOKENIZER);
    sqn_tokenizer *t = box->self;
    box->self = NULL;
    sqn_tokenizer_close(t);
    return 0;
}

static int l_stream(lua_State *L) { /* options */
    sqn_tokenizer *t = check(L);
    bool skip = check_skip(L, 2);
    sqn_err e = SQN_ERR_INIT;
    bind_box *box = bind_push_box(L, BIND_TOKEN_STREAM);
    sqn_token_stream *s = NULL;
    if (sqn_token_stream_new(t, skip, &s, &e)) return bind_error(L, &e);
    box->self = s;
    return 1;
}

static void release_stream(void *self) { sqn_token_stream_close(self); }

static int l_stream_push(lua_State *L) { /* id -> the piece of text it makes visible */
    sqn_token_stream *s = bind_check(L, 1, BIND_TOKEN_STREAM);
    uint32_t id = check_id(L, 2);
    lua_settop(L, 2);
    sqn_err e = SQN_ERR_INIT;
    work *w = push_work(L, 0);
    if (sqn_token_stream_push(s, id, &w->text, &e)) return bind_error(L, &e);
    lua_pushlstring(L, w->text.data ? w->text.data : "", w->text.count);
    return 1;
}

static int l_stream_finish(lua_State *L) { /* -> what was held back */
    sqn_token_stream *s = bind_check(L, 1, BIND_TOKEN_STREAM);
    lua_settop(L, 1);
    sqn_err e = SQN_ERR_INIT;
    work *w = push_work(L, 0);
    if (sqn_token_stream_finish(s, &w->text, &e)) return bind_error(L, &e);
    lua_pushlstring(L, w->text.data ? w->text.data : "", w->text.count);
    return 1;
}

/* Gives every text of the list or iterator at idx to the trainer. [-0, +0, e] */
static bool add_texts(lua_State *L, int idx, sqn_bpe_trainer *t, sqn_err *e) {
    bool list = lua_type(L, idx) == LUA_TTABLE && luaL_getmetafield(L, idx, "__call") == LUA_TNIL;
    lua_settop(L, idx);
    for (lua_Integer i = 1;; i++) {
        if (list) {
            lua_rawgeti(L, idx, i);
        } else {
            lua_pushvalue(L, idx);
            lua_call(L, 0, 1);
        }
        if (lua_isnil(L, -1)) return true;
        sqn_text text;
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "text %d is no string but %s", (int)i, luaL_typename(L, -1));
        text.data = lua_tolstring(L, -1, &text.count);
        sqn_status status = sqn_bpe_trainer_add(t, text, e);
        if (status != SQN_OK) {
            sqn_err_prefix(e, status, "text %lld", (long long)i);
            return false;
        }
        lua_pop(L, 1);
    }
}

/* The special tokens at idx, nil or a list of strings, as borrowed texts. [-0, +0, e] */
static void check_specials(lua_State *L, int idx, work *w) {
    for (size_t i = 0; i < w->count; i++) {
        if (lua_rawgeti(L, idx, (lua_Integer)i + 1) != LUA_TSTRING)
            luaL_error(L, "option 'special' must be a list of strings");
        w->texts[i].data = lua_tolstring(L, -1, &w->texts[i].count);
        lua_pop(L, 1);
    }
}

static int l_train(lua_State *L) { /* {texts=, vocab_size=, special=, path=, min_count=} */
    static const char *const allowed[] = {"texts", "vocab_size", "special",
                                          "path",  "min_count",  NULL};
    luaL_checktype(L, 1, LUA_TTABLE);
    bind_options_check(L, 1, allowed);
    int64_t vocab_size = bind_option_integer(L, 1, "vocab_size", 0);
    int64_t min_count = bind_option_integer(L, 1, "min_count", 2);
    const char *path = bind_option_string(L, 1, "path", NULL);
    if (path == NULL) return luaL_error(L, "option 'path' is missing: the tokenizer.json to write");
    if (vocab_size < 0) vocab_size = 0;
    lua_settop(L, 1);
    lua_getfield(L, 1, "special"); /* 2 */
    lua_getfield(L, 1, "texts");   /* 3 */
    if (!lua_isnil(L, 2) && !lua_istable(L, 2))
        return luaL_error(L, "option 'special' must be a list of strings");
    work *w = push_work(L, lua_isnil(L, 2) ? 0 : lua_rawlen(L, 2)); /* 4 */
    check_specials(L, 2, w);
    sqn_err e = SQN_ERR_INIT;
    bind_box *box = bind_push_box(L, BIND_BPE_TRAINER); /* 5 */
    lua_toclose(L, 5);
    sqn_bpe_trainer *t = NULL;
    if (sqn_bpe_trainer_new(&t, (size_t)vocab_size, w->texts, w->count, &e))
        return bind_error(L, &e);
    box->self = t;
    lua_pushvalue(L, 3); /* 6 */
    if (!add_texts(L, 6, t, &e) ||
        sqn_bpe_trainer_run(t, (uint64_t)(min_count < 1 ? 1 : min_count), &e) ||
        sqn_bpe_trainer_write(t, path, &e))
        return bind_error(L, &e);
    int before = lua_gettop(L);
    lua_pushcfunction(L, l_load);
    lua_pushstring(L, path);
    lua_call(L, 1, LUA_MULTRET);
    return lua_gettop(L) - before;
}

static void release_trainer(void *self) { sqn_bpe_trainer_close(self); }

static const luaL_Reg methods[] = {
    {"encode", l_encode},
    {"encode_many", l_encode_many},
    {"decode", l_decode},
    {"stream", l_stream},
    {"id", l_id},
    {"token", l_token},
    {"close", l_close},
    {"vocab_size", l_vocab_size},
    {"special_ids", l_special_ids},
    {NULL, NULL},
};

static int l_index(lua_State *L) { /* methods, and the field path */
    bind_box *box = bind_check_box(L, 1, BIND_TOKENIZER);
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    for (const luaL_Reg *m = methods; m->name != NULL; m++)
        if (strcmp(m->name, key) == 0) {
            lua_pushcfunction(L, m->func);
            return 1;
        }
    if (box->self != NULL && strcmp(key, "path") == 0)
        lua_pushstring(L, sqn_tokenizer_path(box->self));
    else
        lua_pushnil(L);
    return 1;
}

static const luaL_Reg tokenizer_meta[] = {{"__index", l_index}, {NULL, NULL}};
static const luaL_Reg stream_methods[] = {
    {"push", l_stream_push}, {"finish", l_stream_finish}, {NULL, NULL}};
static const bind_type tokenizer_type = {"tokenizer", release_tokenizer, NULL, tokenizer_meta};
static const bind_type stream_type = {"token stream", release_stream, stream_methods, NULL};
static const bind_type work_type = {"tokenizer work", work_release, NULL, NULL};

static const bind_type trainer_type = {"BPE trainer", release_trainer, NULL, NULL};

static const luaL_Reg functions[] = {{"load", l_load}, {"train", l_train}, {NULL, NULL}};

int l_open_tokenizer(lua_State *L);
int l_open_tokenizer(lua_State *L) {
    bind_register(L, BIND_TOKENIZER, &tokenizer_type);
    bind_register(L, BIND_TOKEN_STREAM, &stream_type);
    bind_register(L, BIND_TOKENIZER_WORK, &work_type);
    bind_register(L, BIND_BPE_TRAINER, &trainer_type);
    luaL_newlib(L, functions);
    return 1;
}
