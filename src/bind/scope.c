/* sq.scope(): every tensor handle made inside is released when it closes, but for those kept.
 *
 * Rules: scopes nest; the innermost open one of the thread owns new handles; closing an outer scope
 * closes the inner ones first. A handle that outlives its scope is stale and raises when used.
 */
#include "bind/tensor.h"
#include "core/alloc.h"

typedef struct bind_scope {
    bind_handle *first;
    struct bind_scope *parent;
    bool open;
} bind_scope;

static _Thread_local bind_scope *current;

void bind_scope_adopt(bind_handle *h) {
    h->scope = current;
    h->previous = NULL;
    h->next = NULL;
    if (current == NULL) return;
    h->next = current->first;
    if (h->next != NULL) h->next->previous = h;
    current->first = h;
}

void bind_scope_drop(bind_handle *h) {
    if (h->scope == NULL) return;
    if (h->previous != NULL)
        h->previous->next = h->next;
    else
        h->scope->first = h->next;
    if (h->next != NULL) h->next->previous = h->previous;
    h->scope = NULL;
}

static void close_scope(bind_scope *s) {
    while (s->open) {
        bind_scope *inner = current;
        while (inner->first != NULL) {
            bind_handle *h = inner->first;
            bind_scope_drop(h);
            sqn_tensor *t = h->t;
            h->t = NULL;
            sqn_tensor_release(t);
        }
        inner->open = false;
        current = inner->parent;
    }
}

static void release(void *self) {
    close_scope(self);
    sqn_free(self);
}

static int l_scope(lua_State *L) {
    sqn_err e = SQN_ERR_INIT;
    bind_box *box = bind_push_box(L, BIND_SCOPE);
    bind_scope *s = box->self = sqn_calloc(1, sizeof *s, &e);
    if (s == NULL) return bind_raise(L, &e);
    s->parent = current;
    s->open = true;
    current = s;
    return 1;
}

/* s:keep(t, …) -> t, …: they belong to the scope around this one. */
static int l_keep(lua_State *L) {
    bind_scope *s = bind_check(L, 1, BIND_SCOPE);
    if (!s->open) return luaL_argerror(L, 1, "this scope was closed");
    for (int i = 2; i <= lua_gettop(L); i++) {
        bind_check_tensor(L, i);
        bind_handle *h = bind_check(L, i, BIND_TENSOR);
        bind_scope_drop(h);
        bind_scope *inner = current;
        current = s->parent;
        bind_scope_adopt(h);
        current = inner;
    }
    return lua_gettop(L) - 1;
}

static int l_close(lua_State *L) {
    close_scope(bind_check(L, 1, BIND_SCOPE));
    return 0;
}

static const luaL_Reg methods[] = {{"keep", l_keep}, {"close", l_close}, {NULL, NULL}};
static const bind_type type = {"scope", release, methods, NULL};

void bind_open_scopes(lua_State *L, int table) {
    table = lua_absindex(L, table);
    bind_register(L, BIND_SCOPE, &type);
    lua_pushcfunction(L, l_scope);
    lua_setfield(L, table, "scope");
}
