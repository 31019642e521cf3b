/* Operators written in Lua, and hooks of gradients (custom.c). */
#ifndef SQN_BIND_CUSTOM_H
#define SQN_BIND_CUSTOM_H

#include <lua.h>

void bind_open_custom(lua_State *L,
                      int table); /* adds custom, with_grad to the table at idx [-0, +0, e] */
int bind_on_grad(lua_State *L);   /* the method on_grad of tensors */
/* Around sqn_backward_run: which state calls the Lua functions of custom operators. Returns what it
 * was. */
lua_State *bind_custom_enter(lua_State *L);
void bind_custom_leave(lua_State *before);

#endif
