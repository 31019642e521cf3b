/* JSON values as Lua values, for the bindings that read or write JSON.
 *
 * An object is a table whose metatable remembers the order of its keys; tables with the same keys
 * in the same order share it (json_object.c). An array is a table with the metatable json.array.
 * null is the light userdata NULL, so any binding may push or test it without this header.
 */
#ifndef SQN_BIND_JSON_H
#define SQN_BIND_JSON_H

#include "bind/bind.h"
#include "io/json_reader.h"
#include "io/json_writer.h"

/* Once per state, before any other function here. [-0, +0, e] */
void bind_json_register(lua_State *L);
void bind_json_push_null(lua_State *L);         /* [-0, +1, -] */
bool bind_json_is_null(lua_State *L, int idx);  /* [-0, +0, -] */
bool bind_json_is_array(lua_State *L, int idx); /* [-0, +0, -] */
bool bind_json_is_object(lua_State *L,
                         int idx); /* made by the decoder or json.object [-0, +0, -] */
void bind_json_mark_array(lua_State *L,
                          int idx);       /* gives the table at idx the metatable [-0, +0, e] */
void bind_json_push_object(lua_State *L); /* an empty, ordered object [-0, +1, e] */

/* The order of an object's keys while it is being built: push it empty, extend it per key (once per
 * key), set it as the table's metatable at the end. Keys are a sequence in its array part. */
void bind_json_push_order(lua_State *L); /* [-0, +1, e] */
void bind_json_extend_order(lua_State *L, int order,
                            int key); /* replaces the slot `order` [-0, +0, e] */

/* Pushes the value that `first` begins. [-0, +1, e] on SQN_OK, else leaves the stack for the caller
 * to cut. */
sqn_status bind_json_push(lua_State *L, sqn_json_reader *r, const sqn_json_token *first,
                          sqn_err *e);
/* Puts the value at idx. What JSON cannot say raises, with its place in the value; a failing sink
 * shows in sqn_json_writer_finish. [-0, +0, e] */
void bind_json_put(lua_State *L, int idx, sqn_json_writer *w);

/* Pushes a sequence of the table's keys in byte order, or nothing and false if one is no string.
 * [-0, +0|1, e] */
bool bind_json_push_sorted_keys(lua_State *L, int idx);

/* json.items and json.writer (json_stream.c). */
void bind_json_register_streams(lua_State *L);
int l_json_items(lua_State *L);
int l_json_writer(lua_State *L);
/* {indent=, compact=, ascii=, replace=} at idx; `extra` names one more allowed option or is NULL.
 */
sqn_json_style bind_json_style(lua_State *L, int idx, const char *extra);

#endif
