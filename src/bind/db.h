/* What the bindings of databases share. */
#ifndef SQN_BIND_DB_H
#define SQN_BIND_DB_H

#include "bind/bind.h"
#include "db/driver.h"

/* Reads a path or a connection table {dialect=, path=, …} at idx; strings are borrowed from the
 * stack. Raises on a wrong key or type. [-0, +0, e] */
void bind_conn_options(lua_State *L, int idx, sqn_conn_options *o);
/* NULL of a database and of JSON: json.null. [-0, +1, e] */
void bind_push_null(lua_State *L);
/* A cell as Lua sees it; null: stack index of what stands for NULL. [-0, +1, e] */
void bind_push_cell(lua_State *L, const sqn_cell *cell, int null);

#endif
