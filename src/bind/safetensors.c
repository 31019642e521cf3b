/* sq.safetensors: weight files. Described in lua/sqlune/meta/safetensors.lua. */
#include "bind/bind.h"
#include "bind/safetensors_raw.h"
#include "bind/safetensors_tensor.h"

int l_open_safetensors(lua_State *L);
int l_open_safetensors(lua_State *L) {
    bind_safetensors_raw_register(L);
    bind_safetensors_tensor_register(L);
    lua_newtable(L);
    luaL_setfuncs(L, bind_safetensors_raw, 0);
    luaL_setfuncs(L, bind_safetensors_tensor, 0);
    return 1;
}
