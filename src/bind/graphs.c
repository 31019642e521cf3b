/* sq.graphs: a card's work written down once and done many times; lua/sqlune/graph.lua is what the
 * library uses. */
#include "bind/bind.h"
#include "tensor/recording.h"

static void release(void *self) {
    sqn_recording_discard(self);
    sqn_recording_release(self);
}

/* record(device, fn) -> recording, what fn gave. The recording is not run. */
static int l_record(lua_State *L) {
    sqn_err e = SQN_ERR_INIT;
    int device;
    const char *name = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    if (sqn_device_parse(name, &device, &e) != SQN_OK) return bind_raise(L, &e);
    bind_box *box = bind_push_box(L, BIND_RECORDING);
    lua_insert(L, 2);
    if (sqn_recording_begin((sqn_recording **)&box->self, device, &e) != SQN_OK)
        return bind_raise(L, &e);
    if (lua_pcall(L, 0, LUA_MULTRET, 0) != LUA_OK) {
        sqn_recording_discard(box->self);
        return lua_error(L);
    }
    if (sqn_recording_end(box->self, &e) != SQN_OK) return bind_raise(L, &e);
    return lua_gettop(L) - 1;
}

static int l_replay(lua_State *L) {
    sqn_err e = SQN_ERR_INIT;
    if (sqn_recording_replay(bind_check(L, 1, BIND_RECORDING), &e) != SQN_OK)
        return bind_raise(L, &e);
    return 0;
}

static int l_close(lua_State *L) { /* gives back what it holds; twice is once */
    bind_box *box = bind_check_box(L, 1, BIND_RECORDING);
    void *self = box->self;
    box->self = NULL;
    if (self != NULL) release(self);
    return 0;
}

static const luaL_Reg methods[] = {{"replay", l_replay}, {"close", l_close}, {NULL, NULL}};
static const luaL_Reg functions[] = {{"record", l_record}, {NULL, NULL}};
static const bind_type type = {"recording", release, methods, NULL};

int l_open_graphs(lua_State *L);
int l_open_graphs(lua_State *L) {
    bind_register(L, BIND_RECORDING, &type);
    luaL_newlib(L, functions);
    return 1;
}
