/* Reading lines for the REPL (a plain reader for now). */
#include "bind/bind.h"
#include "host/host.h"
#include <stdio.h>
#include <stdlib.h>
void host_push_editor(lua_State *L) { lua_newtable(L); }
