/* Tensor handles and scopes, for the bindings that take or give tensors. */
#ifndef SQN_BIND_TENSOR_H
#define SQN_BIND_TENSOR_H

#include "bind/bind.h"
#include "tensor/tensor.h"

/* A Lua handle: holds one reference to a tensor until it is collected, closed, or its scope ends
 * (then t is NULL). */
typedef struct bind_handle {
    sqn_tensor *t; /* owned reference */
    struct bind_scope *scope;
    struct bind_handle *previous, *next; /* in the scope's list */
} bind_handle;

/* Pushes an empty handle: fill ->t with an owned tensor. The innermost open scope owns it. [-0, +1,
 * e] */
bind_handle *bind_push_tensor(lua_State *L);
/* The tensor at idx; raises if it is none, or was closed. Borrowed. [-0, +0, e] */
sqn_tensor *bind_check_tensor(lua_State *L, int idx);
sqn_tensor *bind_test_tensor(lua_State *L, int idx); /* NULL if it is no live tensor [-0, +0, -] */
/* The list of integers at idx into v; raises naming `what`. Returns the count. [-0, +0, e] */
int bind_check_integers(lua_State *L, int idx, int64_t *v, int room, const char *what);
/* The named device of the options at idx, or the cpu. [-0, +0, e] */
int bind_option_device(lua_State *L, int idx);
/* t's elements where the host reads them: t itself, or a copy in a new handle that is pushed, nil
 * where none is needed. Borrowed from the handle. [-0, +1, e] */
sqn_tensor *bind_push_on_host(lua_State *L, sqn_tensor *t);
/* Element i of t = the number at idx; raises if t's dtype does not hold it. */
void bind_set_number(lua_State *L, sqn_tensor *t, int64_t i, int idx);
/* Accounts for the tensor's bytes and lets the collector work. The handle is on the top of the
 * stack. [-0, +0, e] */
void bind_settle_tensor(lua_State *L, const sqn_tensor *t);

void bind_open_tensor_methods(lua_State *L);     /* takes the table of methods [-1, +0, e] */
void bind_open_fetch(lua_State *L, int methods); /* adds fetch to them [-0, +0, e] */
void bind_open_scopes(lua_State *L, int table);  /* adds scope, … to the table at idx */
void bind_open_ops(lua_State *L,
                   int methods); /* pushes sq.ops; adds operators to methods [-0, +1, e] */
void bind_scope_adopt(bind_handle *h);
void bind_scope_drop(bind_handle *h);

#endif
