/* sq.schema: schemas read from databases and files, their M-Schema text, and the reader of such
 * texts. */
#include "bind/bind.h"
#include "bind/db.h"
#include "db/mschema.h"

static const char *const read_keys[] = {
    "db_id", "schema", "include_tables", "ignore_tables", "view_support", "example_seconds", NULL};
static const char *const text_keys[] = {"selected_tables",  "example_num", "each_example_max_len",
                                        "show_type_detail", "table_type",  NULL};
static const char *const filtered_keys[] = {"selected_tables",    "select_col_list",
                                            "select_values_dict", "example_num",
                                            "show_type_detail",   NULL};

/* Values longer than this cost a column its examples. */
static const int64_t longest_value = (int64_t)64 << 20;

/* The list of strings at options[key] as an array in scratch memory, which stays on the stack; the
 * strings are borrowed from the table. NULL if it is absent. [-0, +?, e] */
static sqn_text *option_list(lua_State *L, int idx, const char *key, size_t *n) {
    *n = 0;
    if (lua_isnoneornil(L, idx) || lua_getfield(L, idx, key) == LUA_TNIL) return NULL;
    if (lua_type(L, -1) != LUA_TTABLE)
        luaL_error(L, "option '%s' must be a list of strings, got %s", key, luaL_typename(L, -1));
    int list = lua_gettop(L);
    *n = (size_t)luaL_len(L, list);
    sqn_text *items = bind_scratch(L, (*n + 1) * sizeof *items);
    for (size_t i = 0; i < *n; i++) {
        if (lua_rawgeti(L, list, (lua_Integer)i + 1) != LUA_TSTRING)
            luaL_error(L, "option '%s': item %d is no string", key, (int)i + 1);
        items[i].at = lua_tolstring(L, -1, &items[i].n);
        lua_pop(L, 1);
    }
    return items;
}

static const char **option_names(lua_State *L, int idx, const char *key, size_t *n) {
    sqn_text *items = option_list(L, idx, key, n);
    if (items == NULL) return NULL;
    const char **names = bind_scratch(L, (*n + 1) * sizeof *names);
    for (size_t i = 0; i < *n; i++) names[i] = items[i].at;
    return names;
}

/* The file's name without its folder and last ending. [-0, +1, e] */
static const char *default_db_id(lua_State *L, const char *path) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    return lua_pushlstring(L, name, dot && dot > name ? (size_t)(dot - name) : strlen(name));
}

static int l_read(lua_State *L) { /* read(path | connection | db[, options]) -> schema */
    sqn_err e = SQN_ERR_INIT;
    sqn_conn_options conn = {0};
    sqn_conn *opened = bind_test(L, 1, BIND_DB);
    if (opened == NULL) bind_conn_options(L, 1, &conn);
    if (conn.max_length == 0) conn.max_length = longest_value;
    lua_settop(L, 2);
    bind_options_check(L, 2, read_keys);
    sqn_catalog_options o = {
        .schema = bind_option_string(L, 2, "schema", NULL),
        .view_support = bind_option_boolean(L, 2, "view_support", false),
        .example_seconds = bind_option_number(L, 2, "example_seconds", 0),
    };
    o.include = option_names(L, 2, "include_tables", &o.include_count);
    o.ignore = option_names(L, 2, "ignore_tables", &o.ignore_count);
    o.db_id = bind_option_string(L, 2, "db_id", NULL);
    if (o.db_id == NULL) o.db_id = conn.path ? default_db_id(L, conn.path) : conn.database;
    if (opened == NULL) {
        bind_box *box = bind_push_box(L, BIND_DB);
        lua_toclose(L, -1);
        if (sqn_conn_open(&conn, (sqn_conn **)&box->self, &e) != SQN_OK) return bind_error(L, &e);
        opened = box->self;
    }
    bind_box *box = bind_push_box(L, BIND_SCHEMA);
    sqn_status status = sqn_catalog_read(opened, &o, (sqn_schema **)&box->self, &e);
    if (status != SQN_OK && (conn.path != NULL || conn.dialect != NULL)) {
        char name[300];
        sqn_conn_options_name(&conn, name, sizeof name);
        sqn_err_prefix(&e, status, "%s", name);
    }
    return status == SQN_OK ? 1 : bind_error(L, &e);
}

static int l_load(lua_State *L) { /* load(path) -> schema | nil, message, code */
    sqn_err e = SQN_ERR_INIT;
    const char *path = luaL_checkstring(L, 1);
    bind_box *box = bind_push_box(L, BIND_SCHEMA);
    if (sqn_mschema_load(path, (sqn_schema **)&box->self, &e) != SQN_OK) return bind_error(L, &e);
    return 1;
}

static int l_from_json(lua_State *L) { /* from_json(text) -> schema | nil, message, code */
    size_t n;
    sqn_err e = SQN_ERR_INIT;
    const char *text = luaL_checklstring(L, 1, &n);
    bind_box *box = bind_push_box(L, BIND_SCHEMA);
    if (sqn_mschema_from_json(text, n, "schema", (sqn_schema **)&box->self, &e) != SQN_OK)
        return bind_error(L, &e);
    return 1;
}

static void release_buf(void *self) {
    sqn_buf_release(self);
    sqn_free(self);
}

/* A text that is freed when the function returns or throws. [-0, +1, e] */
static sqn_buf *push_buf(lua_State *L) {
    sqn_err e = SQN_ERR_INIT;
    bind_box *box = bind_push_box(L, BIND_TEXT);
    lua_toclose(L, -1);
    box->self = sqn_calloc(1, sizeof(sqn_buf), &e);
    if (box->self == NULL) bind_raise(L, &e);
    return box->self;
}

static int print_with(lua_State *L, const sqn_mschema_options *o) {
    sqn_err e = SQN_ERR_INIT;
    const sqn_schema *s = bind_check(L, 1, BIND_SCHEMA);
    sqn_buf *text = push_buf(L);
    if (sqn_mschema_print(s, o, text, &e) != SQN_OK) return bind_error(L, &e);
    lua_pushlstring(L, text->data, text->n);
    return 1;
}

static void selected_tables(lua_State *L, sqn_mschema_options *o) {
    o->tables.items = option_list(L, 2, "selected_tables", &o->tables.n);
    o->select_tables = o->tables.items != NULL;
    o->example_num = bind_option_integer(L, 2, "example_num", 3);
    o->show_type_detail = bind_option_boolean(L, 2, "show_type_detail", false);
}

static int l_text(lua_State *L) { /* schema:text([options]) -> M-Schema */
    sqn_mschema_options o = {0};
    lua_settop(L, 2);
    bind_options_check(L, 2, text_keys);
    selected_tables(L, &o);
    o.max_length = bind_option_integer(L, 2, "each_example_max_len", 30);
    o.table_type = bind_option_string(L, 2, "table_type", NULL);
    return print_with(L, &o);
}

/* {["table.column"] = {values}}; the order of columns does not matter. [-0, +?, e] */
static void option_values(lua_State *L, sqn_mschema_options *o) {
    size_t count = 0;
    if (lua_isnoneornil(L, 2) || lua_getfield(L, 2, "select_values_dict") == LUA_TNIL) return;
    luaL_argexpected(L, lua_istable(L, -1), 2, "table 'select_values_dict'");
    int dict = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, dict); lua_pop(L, 1)) count++;
    sqn_mschema_values *values = bind_scratch(L, (count + 1) * sizeof *values);
    lua_pushnil(L);
    for (size_t i = 0; i < count && lua_next(L, dict); i++) {
        if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TTABLE)
            luaL_error(L, "'select_values_dict' maps \"table.column\" to a list of values");
        values[i].column.at = lua_tolstring(L, -2, &values[i].column.n);
        lua_pop(L, 1);
    }
    for (size_t i = 0; i < count; i++)
        values[i].values.items = option_list(L, dict, values[i].column.at, &values[i].values.n);
    o->values = values;
    o->value_count = count;
}

static int l_filtered(lua_State *L) { /* schema:text_selected([options]) -> M-Schema */
    sqn_mschema_options o = {.filtered = true, .max_length = 100};
    lua_settop(L, 2);
    bind_options_check(L, 2, filtered_keys);
    selected_tables(L, &o);
    o.columns.items = option_list(L, 2, "select_col_list", &o.columns.n);
    o.select_columns = o.columns.items != NULL;
    option_values(L, &o);
    return print_with(L, &o);
}

static int l_json(lua_State *L) { /* schema:json() -> text of the saved form */
    sqn_err e = SQN_ERR_INIT;
    const sqn_schema *s = bind_check(L, 1, BIND_SCHEMA);
    sqn_buf *text = push_buf(L);
    if (sqn_mschema_to_json(s, text, &e) != SQN_OK) return bind_error(L, &e);
    lua_pushlstring(L, text->data, text->n);
    return 1;
}

static int l_save(lua_State *L) { /* schema:save(path) -> true | nil, message, code */
    sqn_err e = SQN_ERR_INIT;
    const sqn_schema *s = bind_check(L, 1, BIND_SCHEMA);
    if (sqn_mschema_save(s, luaL_checkstring(L, 2), &e) != SQN_OK) return bind_error(L, &e);
    lua_pushboolean(L, 1);
    return 1;
}

static void set_text(lua_State *L, const char *key, sqn_text t) { /* null sets nothing */
    if (t.at == NULL) return;
    lua_pushlstring(L, t.at, t.n);
    lua_setfield(L, -2, key);
}

/* The examples, cut at ", ". Values that hold it come apart: the text does not say where they end.
 */
static void push_examples(lua_State *L, sqn_text all) {
    lua_Integer n = 0;
    const char *at = all.at, *end = all.n > 0 ? at + all.n : at;
    lua_newtable(L);
    while (all.n > 0) {
        const char *cut = memmem(at, (size_t)(end - at), ", ", 2);
        lua_pushlstring(L, at, (size_t)((cut ? cut : end) - at));
        lua_rawseti(L, -2, ++n);
        if (cut == NULL) break;
        at = cut + 2;
    }
}

static void push_parsed_column(lua_State *L, const sqn_parsed_column *c) {
    lua_createtable(L, 0, 8);
    set_text(L, "name", c->name);
    set_text(L, "type", c->type);
    set_text(L, "comment", c->comment);
    set_text(L, "line", c->line);
    set_text(L, "prefix", c->prefix);
    set_text(L, "examples_text", c->examples);
    lua_pushboolean(L, c->primary_key);
    lua_setfield(L, -2, "primary_key");
    push_examples(L, c->examples);
    lua_setfield(L, -2, "examples");
}

static void push_parsed_table(lua_State *L, const sqn_parsed_table *t) {
    lua_createtable(L, 0, 4);
    set_text(L, "key", t->key);
    set_text(L, "name", t->name);
    set_text(L, "comment", t->comment);
    lua_createtable(L, (int)t->column_count, 0);
    for (size_t i = 0; i < t->column_count; i++) {
        push_parsed_column(L, &t->columns[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "columns");
}

static void push_parsed(lua_State *L, const sqn_parsed *p) {
    lua_createtable(L, 0, 3);
    set_text(L, "db_id", p->db_id);
    lua_createtable(L, (int)p->table_count, 0);
    for (size_t i = 0; i < p->table_count; i++) {
        push_parsed_table(L, &p->tables[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "tables");
    lua_createtable(L, (int)p->key_count, 0);
    for (size_t i = 0; i < p->key_count; i++) {
        const sqn_parsed_key *k = &p->keys[i];
        lua_createtable(L, 0, 4);
        set_text(L, "table", k->table);
        set_text(L, "column", k->column);
        set_text(L, "ref_table", k->ref_table);
        set_text(L, "ref_column", k->ref_column);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "foreign_keys");
}

static int l_parse(lua_State *L) { /* parse(text) -> structure */
    size_t n;
    sqn_err e = SQN_ERR_INIT;
    const char *text = luaL_checklstring(L, 1, &n);
    bind_box *box = bind_push_box(L, BIND_PARSED_SCHEMA);
    lua_toclose(L, -1);
    if (sqn_mschema_parse(text, n, (sqn_parsed **)&box->self, &e) != SQN_OK)
        return bind_error(L, &e);
    push_parsed(L, box->self);
    return 1;
}

static int l_close(lua_State *L) { /* schema:close(): again is harmless */
    bind_box *box = bind_check_box(L, 1, BIND_SCHEMA);
    sqn_schema *s = box->self;
    box->self = NULL;
    sqn_schema_release(s);
    return 0;
}

static void release_schema(void *self) { sqn_schema_release(self); }
static void release_parsed(void *self) { sqn_parsed_release(self); }

static const luaL_Reg methods[] = {
    {"text", l_text},   {"text_selected", l_filtered},
    {"json", l_json},   {"save", l_save},
    {"close", l_close}, {NULL, NULL},
};
static const bind_type schema_type = {"schema", release_schema, methods, NULL};
static const bind_type parsed_type = {"parsed schema", release_parsed, NULL, NULL};
static const bind_type text_type = {"text", release_buf, NULL, NULL};

static const luaL_Reg functions[] = {{"read", l_read},
                                     {"load", l_load},
                                     {"from_json", l_from_json},
                                     {"parse", l_parse},
                                     {NULL, NULL}};

int l_open_schema(lua_State *L);
int l_open_schema(lua_State *L) {
    bind_register(L, BIND_SCHEMA, &schema_type);
    bind_register(L, BIND_PARSED_SCHEMA, &parsed_type);
    bind_register(L, BIND_TEXT, &text_type);
    luaL_newlib(L, functions);
    return 1;
}
