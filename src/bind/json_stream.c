/* json.items and json.writer: long lists of values, one at a time, in bounded memory. */
#include <string.h>

#include "bind/json.h"
#include "core/alloc.h"
#include "io/file.h"

typedef struct item_list {
    sqn_json_reader *reader; /* owned */
    bool lines;              /* values one after another; else one array */
    bool raw;                /* texts are given, not values */
    bool done;
    int64_t count;
} item_list;

static void release_items(void *self) {
    item_list *list = self;
    sqn_json_reader_close(list->reader);
    sqn_free(list);
}

static bool has_ending(const char *path, const char *ending) {
    size_t n = strlen(path), m = strlen(ending);
    return n >= m && strcmp(path + n - m, ending) == 0;
}

/* A file is a list of lines by its name, or when it does not begin with '['. */
static sqn_status items_open(item_list **out, const char *path, sqn_err *e) {
    item_list *list = *out = sqn_calloc(1, sizeof *list, e);
    if (list == NULL) return SQN_NOMEM;
    SQN_TRY(sqn_json_reader_open(&list->reader, path, e));
    list->lines = has_ending(path, ".jsonl") || has_ending(path, ".ndjson") ||
                  sqn_json_first_byte(list->reader) == '{';
    sqn_json_token t;
    if (list->lines) {
        sqn_json_reader_many(list->reader);
        return SQN_OK;
    }
    SQN_TRY(sqn_json_next(list->reader, &t, e));
    if (t.kind == SQN_JSON_ARRAY) return SQN_OK;
    return sqn_json_complain(list->reader, &t, e,
                             "expected a list of items: '[', or one object per line");
}

int l_json_items(lua_State *L) {
    static const char *const allowed[] = {"raw", NULL};
    const char *path = luaL_checkstring(L, 1);
    bind_options_check(L, 2, allowed);
    lua_settop(L, 2);
    bool raw = bind_option_boolean(L, 2, "raw", false);
    sqn_err e = SQN_ERR_INIT;
    bind_box *box = bind_push_box(L, BIND_JSON_ITEMS);
    if (items_open((item_list **)&box->self, path, &e)) return bind_error(L, &e);
    ((item_list *)box->self)->raw = raw;
    return 1;
}

/* __call: the next value, its number and its line; nil at the end. A broken file raises: a loop
 * that ended quietly would have lost the rest. */
static int l_next_item(lua_State *L) {
    item_list *list = bind_check(L, 1, BIND_JSON_ITEMS);
    sqn_err e = SQN_ERR_INIT;
    sqn_json_token t;
    const char *text = NULL;
    size_t n = 0;
    lua_settop(L, 1);
    if (list->done) return lua_pushnil(L), 1;
    sqn_status status = list->raw ? sqn_json_next_raw(list->reader, &t, &text, &n, &e)
                                  : sqn_json_next(list->reader, &t, &e);
    bool end = t.kind == SQN_JSON_END || t.kind == SQN_JSON_ARRAY_END;
    if (status == SQN_OK && end) {
        list->done = true;
        if (t.kind == SQN_JSON_ARRAY_END) status = sqn_json_next(list->reader, &t, &e);
        return status == SQN_OK ? (lua_pushnil(L), 1) : bind_raise(L, &e);
    }
    int64_t line = t.line;
    if (status == SQN_OK && list->raw)
        lua_pushlstring(L, text, n);
    else if (status == SQN_OK)
        status = bind_json_push(L, list->reader, &t, &e);
    if (status != SQN_OK) return bind_raise(L, &e);
    lua_pushinteger(L, ++list->count);
    lua_pushinteger(L, line);
    return 3;
}

static const luaL_Reg items_meta[] = {{"__call", l_next_item}, {NULL, NULL}};

typedef struct item_writer {
    sqn_file_writer *file; /* owned */
    sqn_json_writer *json; /* owned */
    bool lines;
} item_writer;

static void release_item_writer(void *self) {
    item_writer *w = self;
    sqn_json_writer_close(w->json);
    sqn_file_writer_close(w->file);
    sqn_free(w);
}

static sqn_status to_file(void *to, const char *bytes, size_t n, sqn_err *e) {
    return sqn_file_writer_write(to, bytes, n, e);
}

static sqn_status item_writer_open(item_writer **out, const char *path, bool lines,
                                   sqn_json_style style, sqn_err *e) {
    item_writer *w = *out = sqn_calloc(1, sizeof *w, e);
    if (w == NULL) return SQN_NOMEM;
    w->lines = lines;
    SQN_TRY(sqn_file_writer_open(&w->file, path, e));
    SQN_TRY(sqn_json_writer_new(&w->json, style, to_file, w->file, e));
    if (!lines) sqn_json_put_array(w->json);
    return SQN_OK;
}

int l_json_writer(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    sqn_json_style style = bind_json_style(L, 2, "lines");
    bool lines = bind_option_boolean(L, 2, "lines", has_ending(path, ".jsonl"));
    if (lines && style.indent > 0) return luaL_error(L, "JSON Lines cannot be indented");
    sqn_err e = SQN_ERR_INIT;
    bind_box *box = bind_push_box(L, BIND_JSON_ITEM_WRITER);
    if (item_writer_open((item_writer **)&box->self, path, lines, style, &e))
        return bind_error(L, &e);
    return 1;
}

static int end_item(lua_State *L, item_writer *w) { /* [-0, +1, e] */
    sqn_err e = SQN_ERR_INIT;
    if (w->lines) sqn_json_put_break(w->json);
    if (sqn_json_writer_status(w->json) != SQN_OK) {
        sqn_json_writer_finish(w->json, &e);
        return bind_error(L, &e);
    }
    lua_settop(L, 1);
    return 1;
}

static int l_add(lua_State *L) {
    item_writer *w = bind_check(L, 1, BIND_JSON_ITEM_WRITER);
    luaL_checkany(L, 2);
    bind_json_put(L, 2, w->json);
    return end_item(L, w);
}

/* writer:add_text(text): a value that json.encode printed elsewhere, as it is. */
static int l_add_text(lua_State *L) {
    size_t n;
    item_writer *w = bind_check(L, 1, BIND_JSON_ITEM_WRITER);
    const char *text = luaL_checklstring(L, 2, &n);
    sqn_json_put_text(w->json, text, n);
    return end_item(L, w);
}

static int l_commit(lua_State *L) {
    bind_box *box = bind_check_box(L, 1, BIND_JSON_ITEM_WRITER);
    item_writer *w = bind_check(L, 1, BIND_JSON_ITEM_WRITER);
    sqn_err e = SQN_ERR_INIT;
    if (!w->lines) sqn_json_put_array_end(w->json);
    sqn_status status = sqn_json_writer_finish(w->json, &e);
    if (status == SQN_OK) status = sqn_file_writer_commit(w->file, &e);
    box->self = NULL;
    release_item_writer(w);
    if (status != SQN_OK) return bind_error(L, &e);
    lua_pushboolean(L, 1);
    return 1;
}

static const luaL_Reg item_writer_methods[] = {
    {"add", l_add}, {"add_text", l_add_text}, {"commit", l_commit}, {NULL, NULL}};

static const bind_type items_type = {"JSON items", release_items, NULL, items_meta};
static const bind_type item_writer_type = {"JSON item writer", release_item_writer,
                                           item_writer_methods, NULL};

void bind_json_register_streams(lua_State *L) {
    bind_register(L, BIND_JSON_ITEMS, &items_type);
    bind_register(L, BIND_JSON_ITEM_WRITER, &item_writer_type);
}
