/* sq.fs: files and folders. Described in lua/sqlune/meta/fs.lua. */
#include <string.h>

#include "bind/bind.h"
#include "core/alloc.h"
#include "io/file.h"
#include "io/sha256.h"

static int done(lua_State *L, sqn_status status,
                const sqn_err *e) { /* true, or nil, message, code */
    if (status != SQN_OK) return bind_error(L, e);
    lua_pushboolean(L, 1);
    return 1;
}

static bind_box *push_scratch_box(lua_State *L) { /* freed on return or throw */
    bind_box *box = bind_push_box(L, BIND_SCRATCH);
    lua_toclose(L, -1);
    return box;
}

static int l_read(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    sqn_err e = SQN_ERR_INIT;
    size_t n;
    bind_box *box = push_scratch_box(L);
    if (sqn_file_read(path, (char **)&box->self, &n, &e)) return bind_error(L, &e);
    lua_pushlstring(L, box->self, n);
    return 1;
}

static int l_write(lua_State *L) {
    size_t n;
    const char *path = luaL_checkstring(L, 1), *bytes = luaL_checklstring(L, 2, &n);
    sqn_err e = SQN_ERR_INIT;
    return done(L, sqn_file_write(path, bytes, n, &e), &e);
}

static int l_append(lua_State *L) {
    size_t n;
    const char *path = luaL_checkstring(L, 1), *bytes = luaL_checklstring(L, 2, &n);
    sqn_err e = SQN_ERR_INIT;
    return done(L, sqn_file_append(path, bytes, n, &e), &e);
}

static int l_exists(lua_State *L) {
    sqn_file_facts f;
    sqn_err e = SQN_ERR_INIT;
    if (sqn_file_stat(luaL_checkstring(L, 1), &f, &e)) return bind_error(L, &e);
    lua_pushboolean(L, f.exists);
    return 1;
}

static int l_is_dir(lua_State *L) {
    sqn_file_facts f;
    sqn_err e = SQN_ERR_INIT;
    if (sqn_file_stat(luaL_checkstring(L, 1), &f, &e)) return bind_error(L, &e);
    lua_pushboolean(L, f.folder);
    return 1;
}

static sqn_status facts_of(const char *path, sqn_file_facts *f, sqn_err *e) { /* it must exist */
    SQN_TRY(sqn_file_stat(path, f, e));
    return f->exists ? SQN_OK : SQN_FAIL(e, SQN_NOTFOUND, "%.300s: does not exist", path);
}

static int l_size(lua_State *L) {
    sqn_file_facts f;
    sqn_err e = SQN_ERR_INIT;
    if (facts_of(luaL_checkstring(L, 1), &f, &e)) return bind_error(L, &e);
    lua_pushinteger(L, f.size);
    return 1;
}

static int l_mtime(lua_State *L) {
    sqn_file_facts f;
    sqn_err e = SQN_ERR_INIT;
    if (facts_of(luaL_checkstring(L, 1), &f, &e)) return bind_error(L, &e);
    lua_pushnumber(L, f.mtime);
    return 1;
}

static int l_mkdir(lua_State *L) {
    sqn_err e = SQN_ERR_INIT;
    return done(L, sqn_folder_make(luaL_checkstring(L, 1), &e), &e);
}

static int l_remove(lua_State *L) {
    sqn_err e = SQN_ERR_INIT;
    return done(L, sqn_file_remove(luaL_checkstring(L, 1), &e), &e);
}

static int l_remove_tree(lua_State *L) {
    sqn_err e = SQN_ERR_INIT;
    return done(L, sqn_tree_remove(luaL_checkstring(L, 1), &e), &e);
}

static int l_rename(lua_State *L) {
    sqn_err e = SQN_ERR_INIT;
    return done(L, sqn_file_rename(luaL_checkstring(L, 1), luaL_checkstring(L, 2), &e), &e);
}

typedef struct name_list {
    char **names;
    size_t n;
} name_list;

static void release_names(void *self) {
    name_list *list = self;
    sqn_names_free(list->names, list->n);
    sqn_free(list);
}

static sqn_status list_names(name_list **out, const char *path, sqn_err *e) {
    name_list *list = *out = sqn_calloc(1, sizeof *list, e);
    if (list == NULL) return SQN_NOMEM;
    return sqn_folder_list(path, &list->names, &list->n, e);
}

static int l_list(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    sqn_err e = SQN_ERR_INIT;
    bind_box *box = bind_push_box(L, BIND_NAMES);
    lua_toclose(L, -1);
    if (list_names((name_list **)&box->self, path, &e)) return bind_error(L, &e);
    const name_list *list = box->self;
    lua_createtable(L, (int)list->n, 0);
    for (size_t i = 0; i < list->n; i++) {
        lua_pushstring(L, list->names[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int l_tmpdir(lua_State *L) {
    sqn_err e = SQN_ERR_INIT;
    bind_box *box = push_scratch_box(L);
    if (sqn_folder_temporary((char **)&box->self, &e)) return bind_error(L, &e);
    lua_pushstring(L, box->self);
    return 1;
}

static int l_realpath(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    sqn_err e = SQN_ERR_INIT;
    bind_box *box = push_scratch_box(L);
    if (sqn_file_real_path(path, (char **)&box->self, &e)) return bind_error(L, &e);
    lua_pushstring(L, box->self);
    return 1;
}

static int l_free_space(lua_State *L) {
    int64_t bytes;
    sqn_err e = SQN_ERR_INIT;
    if (sqn_folder_free_space(luaL_checkstring(L, 1), &bytes, &e)) return bind_error(L, &e);
    lua_pushinteger(L, bytes);
    return 1;
}

static int l_sha256(lua_State *L) {
    char hex[65];
    sqn_err e = SQN_ERR_INIT;
    if (sqn_file_sha256(luaL_checkstring(L, 1), hex, &e)) return bind_error(L, &e);
    lua_pushstring(L, hex);
    return 1;
}

static int l_sha256_bytes(lua_State *L) {
    char hex[65];
    size_t n;
    const char *bytes = luaL_checklstring(L, 1, &n);
    sqn_sha256 h;
    sqn_sha256_start(&h);
    sqn_sha256_add(&h, bytes, n);
    sqn_sha256_finish(&h, hex);
    lua_pushstring(L, hex);
    return 1;
}

/* Length of the path without slashes at its end; "/" stays. */
static size_t trimmed(const char *path, size_t n) {
    while (n > 1 && path[n - 1] == '/') n--;
    return n;
}

static int l_basename(lua_State *L) {
    size_t n;
    const char *path = luaL_checklstring(L, 1, &n);
    n = trimmed(path, n);
    size_t from = n;
    while (from > 0 && path[from - 1] != '/') from--;
    if (n == 1 && path[0] == '/') from = 0;
    lua_pushlstring(L, path + from, n - from);
    return 1;
}

static int l_dirname(lua_State *L) {
    size_t n;
    const char *path = luaL_checklstring(L, 1, &n);
    n = trimmed(path, n);
    while (n > 0 && path[n - 1] != '/') n--;
    if (n == 0)
        lua_pushliteral(L, ".");
    else
        lua_pushlstring(L, path, trimmed(path, n));
    return 1;
}

static int
l_join(lua_State *L) { /* an absolute part drops what stands before it; empty parts vanish */
    int parts = lua_gettop(L), first = 1;
    for (int i = 1; i <= parts; i++)
        if (luaL_checkstring(L, i)[0] == '/') first = i;
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    bool slash = true; /* no slash is wanted before the next part */
    for (int i = first; i <= parts; i++) {
        size_t n;
        const char *part = lua_tolstring(L, i, &n);
        if (n == 0) continue;
        if (!slash) luaL_addchar(&b, '/');
        luaL_addlstring(&b, part, n);
        slash = part[n - 1] == '/';
    }
    luaL_pushresult(&b);
    return 1;
}

static const luaL_Reg functions[] = {
    {"read", l_read},         {"write", l_write},       {"append", l_append},
    {"exists", l_exists},     {"is_dir", l_is_dir},     {"size", l_size},
    {"mtime", l_mtime},       {"mkdir", l_mkdir},       {"remove", l_remove},
    {"list", l_list},         {"tmpdir", l_tmpdir},     {"remove_tree", l_remove_tree},
    {"rename", l_rename},     {"realpath", l_realpath}, {"free_space", l_free_space},
    {"sha256", l_sha256},     {"join", l_join},         {"sha256_bytes", l_sha256_bytes},
    {"basename", l_basename}, {"dirname", l_dirname},   {NULL, NULL},
};

static const bind_type names_type = {"names", release_names, NULL, NULL};

int l_open_fs(lua_State *L);
int l_open_fs(lua_State *L) {
    bind_register(L, BIND_NAMES, &names_type);
    luaL_newlib(L, functions);
    return 1;
}
