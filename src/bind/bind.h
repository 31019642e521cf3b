/* What every binding stands on: boxes, argument checks, errors, byte accounting.
 *
 * Rules: box first (push an empty box, let the core write into it, raise at one place); nothing
 * owned lives in a C local across a lua_* call; misuse raises at the caller's line, the outside
 * world returns nil, message, code. __gc and __close of a box are one idempotent function. Stack
 * effects stand as [-popped, +pushed, may raise: e or -].
 */
#ifndef SQN_BIND_BIND_H
#define SQN_BIND_BIND_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"

/* Every boxed type of the program. A new one: a line here and a bind_type in its file. */
typedef enum bind_kind {
    BIND_TENSOR,
    BIND_SCOPE,
    BIND_RECORDING,
    BIND_LEAVES,
    BIND_FETCH,
    BIND_SAFETENSORS,
    BIND_SAFETENSORS_WRITER,
    BIND_SAFETENSORS_RAW,
    BIND_SAFETENSORS_RAW_WRITER,
    BIND_JSON_READER,
    BIND_JSON_WRITER,
    BIND_JSON_ITEMS,
    BIND_JSON_ITEM_WRITER,
    BIND_FILE_WRITER,
    BIND_NAMES,
    BIND_TOKENIZER,
    BIND_TOKEN_STREAM,
    BIND_TOKENIZER_WORK,
    BIND_BPE_TRAINER,
    BIND_DB,
    BIND_DB_RESULT,
    BIND_SCHEMA,
    BIND_PARSED_SCHEMA,
    BIND_TEXT,
    BIND_EVALUATOR,
    BIND_WORKERS,
    BIND_WORKER_RESULT,
    BIND_HTTP_ANSWER,
    BIND_RNG,
    BIND_SCRATCH,
    BIND_KIND_COUNT
} bind_kind;

typedef struct bind_type {
    const char *name;            /* in messages: "tensor" */
    void (*release)(void *self); /* gives back the payload; must accept being called once only */
    const luaL_Reg *methods;     /* functions of __index; may be NULL */
    const luaL_Reg *meta;        /* further metamethods (__add, __tostring …); may be NULL */
} bind_type;

/* A box: userdata whose payload is one owned pointer. NULL = empty or closed. */
typedef struct bind_box {
    void *self;
} bind_box;

/* Registers a type in this state; once per state, from luaopen_*. [-0, +0, e] */
void bind_register(lua_State *L, bind_kind kind, const bind_type *type);
/* Pushes an empty box: __gc is safe from here on. [-0, +1, e] */
bind_box *bind_push_box(lua_State *L, bind_kind kind);
/* The payload at idx; raises if it is another type, or closed. [-0, +0, e] */
void *bind_check(lua_State *L, int idx, bind_kind kind);
/* The payload at idx or NULL if it is anything else (nil, closed, another type). [-0, +0, -] */
void *bind_test(lua_State *L, int idx, bind_kind kind);
bind_box *bind_check_box(lua_State *L, int idx, bind_kind kind);

/* An interrupt travels as one unique light userdata, which the host's pcall, xpcall and coroutines
 * pass on. Raising it lowers the flag of core/interrupt.h. */
int bind_raise_interrupt(lua_State *L);        /* [-0, +0, e] */
bool bind_is_interrupt(lua_State *L, int idx); /* [-0, +0, -] */
/* This state runs on a thread of its own: an interrupt in it leaves the flag up for the host. */
void bind_set_worker(lua_State *L); /* [-0, +0, -] */

/* The outside world failed: pushes nil, message, code and returns 3. An interrupt raises.
 * [-0, +3, e] */
int bind_fail(lua_State *L, const sqn_err *e);
/* The caller's fault: raises "file:line: message". [-0, +0, e] */
int bind_raise(lua_State *L, const sqn_err *e);
/* bind_raise for MISUSE and NOMEM and INTERRUPT, bind_fail for the rest. */
int bind_error(lua_State *L, const sqn_err *e);

/* Scratch memory freed when the function returns or throws (to-be-closed slot on the stack). [-0,
 * +1, e] */
void *bind_scratch(lua_State *L, size_t bytes);

/* Options table at idx (nil = empty). Each returns the default where the key is absent and raises
 * with the key's name on a wrong type. Strings are borrowed from the table, which must stay on the
 * stack. [-0, +0, e] */
void bind_options_check(lua_State *L, int idx,
                        const char *const allowed[]); /* unknown key: error, NULL-ended list */
int64_t bind_option_integer(lua_State *L, int idx, const char *key, int64_t absent);
double bind_option_number(lua_State *L, int idx, const char *key, double absent);
bool bind_option_boolean(lua_State *L, int idx, const char *key, bool absent);
const char *bind_option_string(lua_State *L, int idx, const char *key, const char *absent);

/* Off-heap bytes that a box now holds (or gave back, negative). bind_settle, the last act of a
 * binding whose result is on the stack, lets the collector work for them (spec/host.md §3). */
void bind_account(lua_State *L, int64_t bytes);
void bind_settle(lua_State *L);

/* A full collection before every n-th box from now on: what a binding uses without holding it is
 * gone then. For the aggressive collector. */
void bind_collect_every(lua_State *L, int n);

/* Builtin modules, listed in bind/modules.def; sqlune.core is a table with one field per module. */
void bind_preload(lua_State *L); /* [-0, +0, e] */

#endif
