/* The part of sq.safetensors that makes and takes tensors (safetensors_tensor.c). */
#ifndef SQN_BIND_SAFETENSORS_TENSOR_H
#define SQN_BIND_SAFETENSORS_TENSOR_H

#include "bind/bind.h"

extern const luaL_Reg bind_safetensors_tensor[];     /* load, save */
void bind_safetensors_tensor_register(lua_State *L); /* once per state [-0, +0, e] */

#endif
