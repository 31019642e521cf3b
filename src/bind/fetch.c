/* tensor:fetch(): a tensor's values on their way to the host, while the host goes on. */
#include <string.h>

#include "bind/tensor.h"
#include "core/alloc.h"

typedef struct fetch {
    sqn_fetch *f; /* owned */
    sqn_dtype dtype;
    int ndim;
    int64_t shape[SQN_MAX_DIMS];
} fetch;

static void release(void *self) {
    fetch *f = self;
    sqn_fetch_release(f->f);
    sqn_free(f);
}

/* x:fetch() */
static int l_fetch(lua_State *L) {
    sqn_err e = SQN_ERR_INIT;
    sqn_tensor *x = bind_check_tensor(L, 1);
    bind_box *box = bind_push_box(L, BIND_FETCH);
    fetch *f = box->self = sqn_calloc(1, sizeof *f, &e);
    if (f == NULL) return bind_raise(L, &e);
    f->dtype = x->dtype;
    f->ndim = x->ndim;
    memcpy(f->shape, x->shape, sizeof f->shape);
    sqn_tensor *flat = sqn_tensor_as(x, x->dtype, &e);
    if (flat != NULL)
        f->f =
            sqn_fetch_new(sqn_tensor_device(x), sqn_tensor_data(flat), sqn_tensor_bytes(flat), &e);
    sqn_tensor_release(flat);
    return f->f == NULL ? bind_raise(L, &e) : 1;
}

/* f:ready(): is nothing to be waited for? */
static int l_ready(lua_State *L) {
    fetch *f = bind_check(L, 1, BIND_FETCH);
    lua_pushboolean(L, sqn_fetch_ready(f->f));
    return 1;
}

/* f:wait(): the values, a tensor of the cpu's */
static int l_wait(lua_State *L) {
    sqn_err e = SQN_ERR_INIT;
    const void *bytes;
    fetch *f = bind_check(L, 1, BIND_FETCH);
    bind_handle *h = bind_push_tensor(L);
    h->t = sqn_tensor_new(SQN_CPU, f->dtype, f->ndim, f->shape, &e);
    if (h->t == NULL || sqn_fetch_wait(f->f, &bytes, &e) != SQN_OK) return bind_raise(L, &e);
    memcpy(sqn_tensor_data(h->t), bytes, sqn_tensor_bytes(h->t));
    bind_settle_tensor(L, h->t);
    return 1;
}

static const luaL_Reg methods[] = {
    {"ready", l_ready},
    {"wait", l_wait},
    {NULL, NULL},
};
static const bind_type type = {"fetch", release, methods, NULL};

void bind_open_fetch(lua_State *L, int tensor_methods) {
    tensor_methods = lua_absindex(L, tensor_methods);
    bind_register(L, BIND_FETCH, &type);
    lua_pushcfunction(L, l_fetch);
    lua_setfield(L, tensor_methods, "fetch");
}
