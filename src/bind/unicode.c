/* sq.unicode: facts of single code points from utf8proc (Unicode 15), for code in Lua that must
 * treat text as Python does.
 *
 * Rules: one code point (or text) in, one fact out; nothing is kept. Mappings to several characters
 * (ß to SS) are Lua's business.
 */
#include <utf8proc.h>

#include "bind/bind.h"
#include "text/unicode.h"

static utf8proc_int32_t check_code_point(lua_State *L) {
    lua_Integer c = luaL_checkinteger(L, 1);
    luaL_argcheck(L, c >= 0 && c <= 0x10FFFF, 1, "not a code point");
    return (utf8proc_int32_t)c;
}

static int l_category(lua_State *L) { /* "Lu", "Nd", "Cn" … */
    lua_pushstring(L, utf8proc_category_string(check_code_point(L)));
    return 1;
}

static int l_upper(lua_State *L) {
    lua_pushinteger(L, utf8proc_toupper(check_code_point(L)));
    return 1;
}

static int l_lower(lua_State *L) {
    lua_pushinteger(L, utf8proc_tolower(check_code_point(L)));
    return 1;
}

static int l_title(lua_State *L) {
    lua_pushinteger(L, utf8proc_totitle(check_code_point(L)));
    return 1;
}

static int l_length(lua_State *L) { /* length(text): every byte that continues no other is one */
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);
    lua_pushinteger(L, (lua_Integer)sqn_utf8_count(text, n));
    return 1;
}

static const luaL_Reg functions[] = {
    {"category", l_category}, {"upper", l_upper},   {"lower", l_lower},
    {"title", l_title},       {"length", l_length}, {NULL, NULL},
};

int l_open_unicode(lua_State *L);
int l_open_unicode(lua_State *L) {
    luaL_newlib(L, functions);
    return 1;
}
