/* sq.streams: streams of random numbers by counter. lua/sqlune/random.lua adds what is made of them
 * and is what the library uses.
 */
#include <string.h>

#include "bind/bind.h"
#include "kernels/philox.h"

static const char type_name[] = "random stream";

typedef struct stream {
    uint64_t seed, name, at; /* the next block */
    sqn_philox block;
    int left; /* words of it that were not given yet */
} stream;

/* FNV-1a, 64 bits, over the arguments from `first` on; a separator keeps ("ab", "c") apart from
 * ("a", "bc"). [-0, +0, e] */
static uint64_t hash_of(lua_State *L, int first) {
    const uint64_t prime = 0x100000001b3;
    uint64_t h = 0xcbf29ce484222325;
    for (int i = first, last = lua_gettop(L); i <= last; i++) {
        size_t n = sizeof(lua_Integer);
        lua_Integer value = lua_isinteger(L, i) ? lua_tointeger(L, i) : 0;
        const char *bytes = lua_isinteger(L, i) ? (const char *)&value : luaL_tolstring(L, i, &n);
        for (size_t b = 0; b < n; b++) h = (h ^ (unsigned char)bytes[b]) * prime;
        h = (h ^ 0xFF) * prime;
        if (lua_gettop(L) > last) lua_pop(L, 1); /* the text that luaL_tolstring made */
    }
    return h;
}

static int l_hash(lua_State *L) { /* hash(…) -> 64 bits */
    lua_pushinteger(L, (lua_Integer)hash_of(L, 1));
    return 1;
}

static int l_new(lua_State *L) { /* new(seed, …) -> stream */
    int exact;
    lua_Integer seed = lua_tointegerx(L, 1, &exact);
    if (!exact || lua_type(L, 1) != LUA_TNUMBER) {
        luaL_tolstring(L, 1, NULL);
        return luaL_error(L, "a seed must be an integer, not %s", lua_tostring(L, -1));
    }
    uint64_t name = hash_of(L, 2);
    stream *s = lua_newuserdatauv(L, sizeof *s, 0);
    *s = (stream){.seed = (uint64_t)seed, .name = name};
    luaL_setmetatable(L, type_name);
    return 1;
}

static uint32_t next_bits(stream *s) {
    if (s->left == 0) {
        s->block = sqn_philox_at(s->seed, s->name, s->at++);
        s->left = 4;
    }
    return s->block.v[4 - s->left--];
}

static int l_bits(lua_State *L) { /* the next 32 bits */
    lua_pushinteger(L, next_bits(luaL_checkudata(L, 1, type_name)));
    return 1;
}

static double next_uniform(stream *s) { /* [0, 1) with 53 bits */
    uint32_t high = next_bits(s) >> 5, low = next_bits(s) >> 6;
    return ((double)high * 67108864.0 + (double)low) / 9007199254740992.0;
}

static int l_uniform(lua_State *L) {
    lua_pushnumber(L, next_uniform(luaL_checkudata(L, 1, type_name)));
    return 1;
}

/* 0 … span - 1 without bias; span <= 2^32 */
static uint64_t below(stream *s, uint64_t span) {
    uint64_t reject = ((uint64_t)1 << 32) % span, x;
    do x = next_bits(s);
    while (x < reject);
    return x % span;
}

static int l_integer(lua_State *L) { /* 1 … n, or a … b */
    stream *s = luaL_checkudata(L, 1, type_name);
    lua_Integer a = luaL_checkinteger(L, 2), b = luaL_optinteger(L, 3, a);
    if (lua_isnoneornil(L, 3)) a = 1;
    uint64_t span = (uint64_t)b - (uint64_t)a + 1;
    if (b < a || span > (uint64_t)1 << 32 || span == 0)
        return luaL_error(L, "no integer in %I … %I to draw", a, b);
    lua_pushinteger(L, (lua_Integer)((uint64_t)a + below(s, span)));
    return 1;
}

static int l_shuffle(lua_State *L) { /* shuffle(list) -> the list */
    stream *s = luaL_checkudata(L, 1, type_name);
    luaL_checktype(L, 2, LUA_TTABLE);
    for (lua_Integer i = luaL_len(L, 2); i >= 2; i--) {
        lua_Integer j = (lua_Integer)below(s, (uint64_t)i) + 1;
        lua_geti(L, 2, i);
        lua_geti(L, 2, j);
        lua_seti(L, 2, i);
        lua_seti(L, 2, j);
    }
    lua_settop(L, 2);
    return 1;
}

/* Whether one of the fields named from stack place `first` on is true in the table on top. */
static bool has_field(lua_State *L, int first, int last) {
    bool found = false;
    for (int i = first; i <= last && !found; i++) {
        lua_pushvalue(L, i);
        lua_gettable(L, -2);
        found = lua_toboolean(L, -1);
        lua_pop(L, 1);
    }
    return found;
}

/* thin(list, keep, field …) -> what went, or nil. An element stays where one of the fields is true;
 * for the others a number is drawn. */
static int l_thin(lua_State *L) {
    stream *s = luaL_checkudata(L, 1, type_name);
    luaL_checktype(L, 2, LUA_TTABLE);
    double keep = luaL_checknumber(L, 3);
    lua_Integer n = luaL_len(L, 2), kept = 0, went = 0;
    int last = lua_gettop(L);
    lua_pushnil(L);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_geti(L, 2, i);
        if (has_field(L, 4, last) || next_uniform(s) < keep) {
            if (++kept < i)
                lua_seti(L, 2, kept);
            else
                lua_pop(L, 1);
            continue;
        }
        if (went == 0) {
            lua_newtable(L);
            lua_replace(L, last + 1);
        }
        lua_rawseti(L, last + 1, ++went);
    }
    for (lua_Integer i = n; i > kept; i--) {
        lua_pushnil(L);
        lua_seti(L, 2, i);
    }
    return 1;
}

static const luaL_Reg methods[] = {{"bits", l_bits},       {"uniform", l_uniform},
                                   {"integer", l_integer}, {"shuffle", l_shuffle},
                                   {"thin", l_thin},       {NULL, NULL}};
static const luaL_Reg functions[] = {{"new", l_new}, {"hash", l_hash}, {NULL, NULL}};

int l_open_streams(lua_State *L);
int l_open_streams(lua_State *L) {
    luaL_newlib(L, functions);
    luaL_newmetatable(L, type_name);
    luaL_newlib(L, methods);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__index");
    lua_setfield(L, -3, "methods"); /* random.lua adds to them */
    lua_pop(L, 1);
    return 1;
}
