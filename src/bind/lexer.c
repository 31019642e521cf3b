/* sq.lexer: the tokens of SQL statements, and what the library wants to know of them in one call.
 * lua/sqlune/sql.lua is what the library uses. */
#include <ctype.h>

#include "bind/bind.h"
#include "text/sql_lexer.h"

static sqn_sql_dialect check_dialect(lua_State *L, int idx) { /* [-0, +0, e] */
    sqn_sql_dialect d;
    const char *name = luaL_optstring(L, idx, "sqlite");
    if (!sqn_sql_dialect_named(name, &d)) luaL_error(L, "no SQL dialect '%s'", name);
    return d;
}

/* A lexer of the text at 1 in the dialect at 2. [-0, +0, e] */
static sqn_sql_lexer start(lua_State *L) {
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);
    return sqn_sql_lexer_start(check_dialect(L, 2), text, n);
}

static void push_value(lua_State *L, const sqn_sql_token *t) { /* [-0, +1, e] */
    luaL_Buffer b;
    char *out = luaL_buffinitsize(L, &b, t->n);
    luaL_pushresultsize(&b, sqn_sql_value(t, out));
}

static int l_tokens(lua_State *L) { /* tokens(text[, dialect]) -> {{kind=, text=, value=, …}, …} */
    sqn_sql_lexer l = start(L);
    sqn_sql_token t;
    const char *text = l.at;
    lua_settop(L, 2);
    lua_newtable(L);
    for (lua_Integer i = 1; sqn_sql_next(&l, &t); i++) {
        lua_createtable(L, 0, 5);
        lua_pushstring(L, sqn_sql_kind_names[t.kind]);
        lua_setfield(L, -2, "kind");
        lua_pushlstring(L, t.at, t.n);
        lua_setfield(L, -2, "text");
        push_value(L, &t);
        lua_setfield(L, -2, "value");
        lua_pushinteger(L, t.at - text + 1);
        lua_setfield(L, -2, "start");
        lua_pushinteger(L, t.at - text + (lua_Integer)t.n);
        lua_setfield(L, -2, "stop");
        lua_rawseti(L, -2, i);
    }
    return 1;
}

static bool is_dot(const sqn_sql_token *t) { return t->at != NULL && t->n == 1 && *t->at == '.'; }

/* SQLite takes '…' for a name beside a dot and after FROM, JOIN, AS. */
static bool string_is_name(sqn_sql_lexer l, const sqn_sql_token *before) {
    sqn_sql_token after;
    bool gap;
    if (before->at != NULL && (is_dot(before) || sqn_sql_is(before, "FROM") ||
                               sqn_sql_is(before, "JOIN") || sqn_sql_is(before, "AS")))
        return true;
    return sqn_sql_next_significant(&l, &after, &gap) && is_dot(&after);
}

/* identifiers(text[, dialect]) -> {[name in lower case] = true} */
static int l_identifiers(lua_State *L) {
    sqn_sql_lexer l = start(L);
    sqn_sql_token t, before = {.at = NULL};
    lua_settop(L, 2);
    lua_newtable(L);
    for (bool gap; sqn_sql_next_significant(&l, &t, &gap); before = t) {
        bool names = t.kind == SQN_SQL_NAME || t.kind == SQN_SQL_QUOTED;
        if (t.kind == SQN_SQL_STRING && l.dialect == SQN_SQL_SQLITE)
            names = string_is_name(l, &before);
        if (!names) continue;
        luaL_Buffer b;
        char *out = luaL_buffinitsize(L, &b, t.n);
        size_t n = sqn_sql_value(&t, out);
        for (size_t i = 0; i < n; i++) out[i] = (char)tolower((unsigned char)out[i]);
        luaL_pushresultsize(&b, n);
        lua_pushboolean(L, 1);
        lua_rawset(L, 3);
    }
    return 1;
}

/* reads_unnamed(text[, dialect]) -> are columns read that it does not name: *, NATURAL JOIN */
static int l_reads_unnamed(lua_State *L) {
    sqn_sql_lexer l = start(L);
    sqn_sql_token t, before = {.at = NULL};
    bool found = false;
    for (bool gap; !found && sqn_sql_next_significant(&l, &t, &gap); before = t) {
        if (before.at != NULL && sqn_sql_is(&t, "*"))
            found = sqn_sql_is(&before, "SELECT") || sqn_sql_is(&before, "DISTINCT") ||
                    sqn_sql_is(&before, "ALL") || sqn_sql_is(&before, ",") || is_dot(&before);
        found = found || (t.kind == SQN_SQL_KEYWORD && sqn_sql_is(&t, "NATURAL"));
    }
    lua_pushboolean(L, found);
    return 1;
}

/* squeeze(text[, dialect]) -> on one line, blanks and comments as one blank */
static int l_squeeze(lua_State *L) {
    sqn_sql_lexer l = start(L);
    sqn_sql_token t;
    luaL_Buffer b;
    luaL_buffinitsize(L, &b, (size_t)(l.end - l.at));
    for (bool gap, first = true; sqn_sql_next_significant(&l, &t, &gap); first = false) {
        if (gap && !first) luaL_addchar(&b, ' ');
        luaL_addlstring(&b, t.at, t.n);
    }
    luaL_pushresult(&b);
    return 1;
}

static int l_keywords(lua_State *L) { /* keywords(dialect) -> {[word in capitals] = true} */
    sqn_sql_dialect d = check_dialect(L, 1);
    lua_newtable(L);
    for (const char *const *word = sqn_sql_keywords[d]; *word != NULL; word++) {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, *word);
    }
    return 1;
}

static const luaL_Reg functions[] = {
    {"tokens", l_tokens},   {"identifiers", l_identifiers}, {"reads_unnamed", l_reads_unnamed},
    {"squeeze", l_squeeze}, {"keywords", l_keywords},       {NULL, NULL}};

int l_open_lexer(lua_State *L);
int l_open_lexer(lua_State *L) {
    luaL_newlib(L, functions);
    return 1;
}
