/* sq.evaluator: the pool of workers and the comparison of results. lua/sqlune/evaluate.lua is what
 * recipes use. */
#include <string.h>

#include "bind/db.h"
#include "db/pool.h"

static const char *const start_keys[] = {
    "items",  "workers",   "timeout", "max_rows", "max_bytes", "samples",
    "rounds", "tolerance", "cache",   "digests",  NULL,
};

/* ---- start ---- */

/* The field `key` of the item at idx as a string, left on the stack. [-0, +1, e] */
static const char *item_string(lua_State *L, int idx, lua_Integer i, const char *key, size_t *n) {
    if (lua_getfield(L, idx, key) != LUA_TSTRING)
        luaL_error(L, "item %I: '%s' must be a string, got %s", i, key, luaL_typename(L, -1));
    return lua_tolstring(L, -1, n);
}

/* The digest of the database on top, from the table of digests (nil: none). [-0, +1, e] */
static const char *database_digest(lua_State *L, int digests) {
    if (!lua_istable(L, digests)) {
        lua_pushnil(L);
        return NULL;
    }
    lua_pushvalue(L, -1);
    return lua_rawget(L, digests) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
}

/* The pool's number of the database under `key` of the item (nil: `absent`); `known` is a table
 * from its `db` to that. [-0, +0, e]
 */
static int item_database(lua_State *L, sqn_pool *pool, int idx, lua_Integer i, const char *key,
                         int absent, int known, int digests) {
    sqn_err e = SQN_ERR_INIT;
    sqn_conn_options o;
    int index, base = lua_gettop(L);
    int type = lua_getfield(L, idx, key);
    if (type == LUA_TNIL && absent >= 0) {
        lua_settop(L, base);
        return absent;
    }
    if (type != LUA_TSTRING && type != LUA_TTABLE)
        luaL_error(L, "item %I: '%s' must be a path or a connection table, got %s", i, key,
                   lua_typename(L, type));
    lua_pushvalue(L, -1);
    if (lua_rawget(L, known) == LUA_TNUMBER) {
        index = (int)lua_tointeger(L, -1);
        lua_settop(L, base);
        return index;
    }
    lua_pop(L, 1);
    bind_conn_options(L, base + 1, &o);
    const char *digest = database_digest(L, digests);
    if (sqn_pool_add_database(pool, &o, digest, &index, &e) != SQN_OK) bind_raise(L, &e);
    lua_settop(L, base + 1);
    lua_pushinteger(L, index);
    lua_rawset(L, known);
    return index;
}

/* Whether gold of the item orders its rows, and `keyed`: gold with their ranks. [-0, +1, e] */
static void item_keys(lua_State *L, int idx, lua_Integer i, sqn_pool_item *out) {
    lua_getfield(L, idx, "ordered");
    out->ordered = lua_toboolean(L, -1);
    lua_pop(L, 1);
    if (lua_getfield(L, idx, "keyed") == LUA_TNIL) return;
    out->keyed = item_string(L, idx, i, "keyed", &out->keyed_length);
}

static void add_items(lua_State *L, sqn_pool *pool, int items, int digests) { /* [-0, +0, e] */
    sqn_err e = SQN_ERR_INIT;
    lua_newtable(L);
    int known = lua_gettop(L);
    lua_Integer count = luaL_len(L, items);
    for (lua_Integer i = 1; i <= count; i++) {
        if (lua_geti(L, items, i) != LUA_TTABLE)
            luaL_error(L, "item %I must be a table, got %s", i, luaL_typename(L, -1));
        int item = lua_gettop(L);
        sqn_pool_item it = {.database = item_database(L, pool, item, i, "db", -1, known, digests)};
        it.pred_database = item_database(L, pool, item, i, "pred_db", it.database, known, digests);
        it.gold = item_string(L, item, i, "gold", &it.gold_length);
        it.pred = item_string(L, item, i, "pred", &it.pred_length);
        item_keys(L, item, i, &it);
        if (sqn_pool_add(pool, &it, &e) != SQN_OK) bind_raise(L, &e);
        lua_settop(L, item - 1);
    }
    lua_pop(L, 1);
}

static int l_start(lua_State *L) { /* start{items=, …} -> evaluator */
    sqn_err e = SQN_ERR_INIT;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    bind_options_check(L, 1, start_keys);
    sqn_pool_options o = {
        .workers = (int)bind_option_integer(L, 1, "workers", 0),
        .timeout = bind_option_number(L, 1, "timeout", 0),
        .max_rows = bind_option_integer(L, 1, "max_rows", 0),
        .max_bytes = bind_option_integer(L, 1, "max_bytes", 0),
        .sample_rows = (int)bind_option_integer(L, 1, "samples", 0),
        .rounds = (int)bind_option_integer(L, 1, "rounds", 0),
        .tolerance = bind_option_number(L, 1, "tolerance", 0),
        .cache = bind_option_string(L, 1, "cache", NULL),
    };
    if (lua_getfield(L, 1, "items") != LUA_TTABLE)
        return luaL_error(L, "option 'items' must be a list, got %s", luaL_typename(L, -1));
    lua_getfield(L, 1, "digests");
    bind_box *box = bind_push_box(L, BIND_EVALUATOR);
    if (sqn_pool_new(&o, (sqn_pool **)&box->self, &e) != SQN_OK) return bind_error(L, &e);
    add_items(L, box->self, 2, 3);
    if (sqn_pool_start(box->self, &e) != SQN_OK) return bind_error(L, &e);
    return 1;
}

/* ---- methods ---- */

/* ev:step([seconds]) -> done, total: waits until all items are done, at most that long. Raises on
 * ^C. */
static int l_step(lua_State *L) {
    sqn_err e = SQN_ERR_INIT;
    int64_t done;
    sqn_pool *pool = bind_check(L, 1, BIND_EVALUATOR);
    double seconds = luaL_optnumber(L, 2, 0.1);
    if (sqn_pool_step(pool, seconds, &done, &e) != SQN_OK) return bind_error(L, &e);
    lua_pushinteger(L, done);
    lua_pushinteger(L, sqn_pool_size(pool));
    return 2;
}

static void set_string(lua_State *L, const char *key, const char *value) {
    if (value == NULL) return;
    lua_pushstring(L, value);
    lua_setfield(L, -2, key);
}

static void set_boolean(lua_State *L, const char *key, bool value) {
    lua_pushboolean(L, value);
    lua_setfield(L, -2, key);
}

static void push_metrics(lua_State *L, const sqn_metrics *m) { /* fields of the table on top */
    set_boolean(L, "ex", m->ex);
    set_boolean(L, "ex_bird", m->ex_bird);
    set_boolean(L, "ex_ordered", m->ex_ordered);
    set_boolean(L, "ex_xiyan", m->ex_xiyan);
    set_boolean(L, "ex_spider", m->ex_spider);
    lua_pushnumber(L, m->soft_f1);
    lua_setfield(L, -2, "soft_f1");
}

/* {columns=, rows=, total=} into field `key` of the table on top. [-0, +0, e] */
static void set_sample(lua_State *L, const char *key, const sqn_sample *s) {
    if (s == NULL) return;
    lua_createtable(L, 0, 3);
    bind_push_null(L);
    int null = lua_gettop(L);
    lua_createtable(L, s->columns, 0);
    for (int i = 0; i < s->columns; i++) {
        lua_pushstring(L, s->names[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, null - 1, "columns");
    lua_createtable(L, (int)s->rows, 0);
    for (int64_t r = 0; r < s->rows; r++) {
        lua_createtable(L, s->columns, 0);
        for (int i = 0; i < s->columns; i++) {
            bind_push_cell(L, &s->cells[r * s->columns + i], null);
            lua_rawseti(L, -2, i + 1);
        }
        lua_rawseti(L, -2, r + 1);
    }
    lua_setfield(L, null - 1, "rows");
    lua_pop(L, 1);
    lua_pushinteger(L, s->total);
    lua_setfield(L, -2, "total");
    lua_setfield(L, -2, key);
}

typedef struct side_keys {
    const char *error, *code, *seconds, *rows, *columns;
} side_keys;
static const side_keys gold_keys = {"gold_error", "gold_code", "gold_seconds", "gold_rows",
                                    "gold_columns"};
static const side_keys pred_keys = {"pred_error", "pred_code", "pred_seconds", "pred_rows",
                                    "pred_columns"};

/* What ran: error and code, or seconds, rows and columns. */
static void set_side(lua_State *L, const side_keys *keys, sqn_status status, const char *error,
                     double seconds, int64_t rows, int columns) {
    if (status != SQN_OK) {
        set_string(L, keys->error, error ? error : "");
        set_string(L, keys->code, sqn_status_name(status));
    }
    if (rows < 0) return;
    lua_pushnumber(L, seconds);
    lua_setfield(L, -2, keys->seconds);
    lua_pushinteger(L, rows);
    lua_setfield(L, -2, keys->rows);
    lua_pushinteger(L, columns);
    lua_setfield(L, -2, keys->columns);
}

/* A list of numbers into field `key` of the table on top. [-0, +0, e] */
static void set_times(lua_State *L, const char *key, const double *times, int n) {
    if (n == 0) return;
    lua_createtable(L, n, 0);
    for (int i = 0; i < n; i++) {
        lua_pushnumber(L, times[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, key);
}

static int l_outcome(lua_State *L) { /* ev:outcome(i) -> outcome | nil while it is not done */
    sqn_pool *pool = bind_check(L, 1, BIND_EVALUATOR);
    lua_Integer i = luaL_checkinteger(L, 2);
    luaL_argcheck(L, i >= 1 && i <= sqn_pool_size(pool), 2, "no such item");
    const sqn_outcome *o = sqn_pool_outcome(pool, i - 1);
    if (o == NULL) {
        luaL_pushfail(L);
        return 1;
    }
    lua_createtable(L, 0, 16);
    set_string(L, "verdict", sqn_verdict_name(o->verdict));
    push_metrics(L, &o->metrics);
    set_boolean(L, "executable", o->executable);
    if (o->metrics.ties != SQN_TIES_NONE) set_string(L, "ties", sqn_ties_name(o->metrics.ties));
    if (o->gold_cached) set_boolean(L, "gold_cached", true);
    set_side(L, &gold_keys, o->gold_status, o->gold_error, o->gold_seconds, o->gold_rows,
             o->gold_columns);
    set_side(L, &pred_keys, o->pred_status, o->pred_error, o->pred_seconds, o->pred_rows,
             o->pred_columns);
    set_times(L, "gold_times", o->gold_times, o->rounds);
    set_times(L, "pred_times", o->pred_times, o->rounds);
    set_sample(L, "gold_sample", o->gold_sample);
    set_sample(L, "pred_sample", o->pred_sample);
    return 1;
}

static int l_finished(lua_State *L) { /* ev:finished(n) -> the item that was the nth to be done */
    sqn_pool *pool = bind_check(L, 1, BIND_EVALUATOR);
    lua_Integer n = luaL_checkinteger(L, 2);
    luaL_argcheck(L, n >= 1 && n <= sqn_pool_done(pool), 2, "not so many items are done");
    lua_pushinteger(L, sqn_pool_finished(pool, n - 1) + 1);
    return 1;
}

static int
l_deaths(lua_State *L) { /* ev:deaths() -> workers that ended otherwise than they should */
    lua_pushinteger(L, sqn_pool_deaths(bind_check(L, 1, BIND_EVALUATOR)));
    return 1;
}

static int l_close(lua_State *L) { /* ev:close(): cancels what runs; again is harmless */
    bind_box *box = bind_check_box(L, 1, BIND_EVALUATOR);
    sqn_pool *pool = box->self;
    box->self = NULL;
    sqn_pool_release(pool);
    return 0;
}

/* ---- compare ---- */

/* The kind of a cell given as {decimal = "1.10"} and its text, which stays on the stack's table. */
static bool typed_cell(lua_State *L, int idx, sqn_cell *cell) {
    static const struct {
        const char *key;
        sqn_cell_kind kind;
    } kinds[] = {
        {"blob", SQN_CELL_BLOB},   {"decimal", SQN_CELL_DECIMAL},   {"date", SQN_CELL_DATE},
        {"time", SQN_CELL_TIME},   {"datetime", SQN_CELL_DATETIME}, {"interval", SQN_CELL_INTERVAL},
        {"array", SQN_CELL_ARRAY}, {"json", SQN_CELL_JSON},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        lua_pushstring(L, kinds[i].key);
        bool found = lua_rawget(L, idx) == LUA_TSTRING;
        if (found) {
            cell->kind = kinds[i].kind;
            cell->as.bytes = lua_tolstring(L, -1, &cell->length);
        }
        lua_pop(L, 1);
        if (found) return true;
    }
    return false;
}

/* The value on top as a cell; its bytes are borrowed from the row's table. [-1, +0, e] */
static void take_cell(lua_State *L, sqn_cell *cell) {
    memset(cell, 0, sizeof *cell);
    switch (lua_type(L, -1)) {
    case LUA_TNUMBER:
        cell->kind = lua_isinteger(L, -1) ? SQN_CELL_INT : SQN_CELL_DOUBLE;
        if (cell->kind == SQN_CELL_INT)
            cell->as.integer = lua_tointeger(L, -1);
        else
            cell->as.real = lua_tonumber(L, -1);
        break;
    case LUA_TBOOLEAN:
        cell->kind = SQN_CELL_BOOL;
        cell->as.integer = lua_toboolean(L, -1);
        break;
    case LUA_TSTRING:
        cell->kind = SQN_CELL_TEXT;
        cell->as.bytes = lua_tolstring(L, -1, &cell->length);
        break;
    case LUA_TTABLE:
        if (!typed_cell(L, lua_gettop(L), cell)) {
            bind_push_null(L);
            bool null = lua_rawequal(L, -1, -2);
            lua_pop(L, 1);
            if (!null) luaL_error(L, "a cell that is a table must be {blob = …} or the like");
        }
        break;
    case LUA_TUSERDATA:
    case LUA_TLIGHTUSERDATA:
        break; /* json.null */
    default:
        luaL_error(L, "a cell cannot be a %s", luaL_typename(L, -1));
    }
    lua_pop(L, 1);
}

/* Rows of the list at idx; scratch stays on the stack until the caller returns. [-0, +1, e] */
static void take_rows(lua_State *L, int idx, sqn_rows *out) {
    lua_Integer rows = luaL_len(L, idx);
    int columns = 0;
    if (rows > 0) {
        lua_geti(L, idx, 1);
        columns = lua_istable(L, -1) ? (int)luaL_len(L, -1) : 0;
        lua_pop(L, 1);
    }
    luaL_argcheck(L, rows == 0 || columns <= INT32_MAX / rows, idx, "too many cells");
    sqn_cell *cells = bind_scratch(L, (size_t)rows * (size_t)columns * sizeof *cells);
    for (lua_Integer r = 1; r <= rows; r++) {
        if (lua_geti(L, idx, r) != LUA_TTABLE)
            luaL_error(L, "row %I must be a list of cells, got %s", r, luaL_typename(L, -1));
        if (luaL_len(L, -1) != columns)
            luaL_error(L, "row %I has %I cells, row 1 has %d", r, luaL_len(L, -1), columns);
        for (int i = 0; i < columns; i++) {
            lua_rawgeti(L, -1, i + 1);
            take_cell(L, &cells[(r - 1) * columns + i]);
        }
        lua_pop(L, 1);
    }
    *out = (sqn_rows){columns, rows, cells};
}

/* compare(gold rows, predicted rows[, options]) -> {ex=, ex_bird=, …} */
static int l_compare(lua_State *L) {
    static const char *const keys[] = {"tolerance", "ordered", "spider_ordered", NULL};
    sqn_err e = SQN_ERR_INIT;
    sqn_rows gold, pred;
    sqn_metrics m;
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 3);
    bind_options_check(L, 3, keys);
    sqn_metric_options o = {
        .tolerance = bind_option_number(L, 3, "tolerance", 0),
        .ordered = bind_option_boolean(L, 3, "ordered", false),
        .spider_ordered = bind_option_boolean(L, 3, "spider_ordered", false),
    };
    take_rows(L, 1, &gold);
    take_rows(L, 2, &pred);
    if (sqn_metrics_compare(&gold, &pred, &o, &m, &e) != SQN_OK) return bind_error(L, &e);
    lua_createtable(L, 0, 6);
    push_metrics(L, &m);
    return 1;
}

static void release_pool(void *self) { sqn_pool_release(self); }

static const luaL_Reg methods[] = {{"step", l_step},         {"outcome", l_outcome},
                                   {"finished", l_finished}, {"deaths", l_deaths},
                                   {"close", l_close},       {NULL, NULL}};
static const bind_type evaluator_type = {"evaluator", release_pool, methods, NULL};

static const luaL_Reg functions[] = {{"start", l_start}, {"compare", l_compare}, {NULL, NULL}};

int l_open_evaluator(lua_State *L);
int l_open_evaluator(lua_State *L) {
    bind_register(L, BIND_EVALUATOR, &evaluator_type);
    luaL_newlib(L, functions);
    return 1;
}
