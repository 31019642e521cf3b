/* The part of sq.safetensors that needs no tensors (safetensors_raw.c). */
#ifndef SQN_BIND_SAFETENSORS_RAW_H
#define SQN_BIND_SAFETENSORS_RAW_H

#include "bind/bind.h"

extern const luaL_Reg bind_safetensors_raw[];     /* header, read_raw, write_raw */
void bind_safetensors_raw_register(lua_State *L); /* once per state [-0, +0, e] */

#endif
