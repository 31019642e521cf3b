/* Options before the script: lua.c's -e -l -i -v -E -W - --, and --help --version --list --color.
 */
#include <stdio.h>
#include <string.h>

#include "bind/bind.h"
#include "host/host.h"

/* A long option at argv[i]; gives the index of its last argument. */
static int parse_long(host_options *o, int argc, char **argv, int i) {
    const char *name = argv[i] + 2;
    if (strcmp(name, "help") == 0) {
        o->help = true;
    } else if (strcmp(name, "version") == 0) {
        o->version = true;
    } else if (strcmp(name, "list") == 0) {
        o->list = true;
    } else if (strncmp(name, "color=", 6) == 0) {
        o->color = name + 6;
    } else if (strcmp(name, "color") == 0) {
        if (i + 1 >= argc) {
            o->lacking = argv[i];
            return i;
        }
        o->color = argv[++i];
    } else {
        o->unknown = argv[i];
    }
    return i;
}

/* A short option at argv[i]; gives the index of its last argument. */
static int parse_short(host_options *o, int argc, char **argv, int i) {
    const char *text = argv[i];
    bool single = text[2] == '\0';
    switch (text[1]) {
    case 'E':
        o->no_environment = true;
        break;
    case 'W':
        break;
    case 'i':
        o->interactive = o->version = true;
        break;
    case 'v':
        o->version = true;
        break;
    case 'h':
        o->help = true;
        break;
    case 'e':
    case 'l':
        if (text[1] == 'e') o->executes = true;
        if (!single) return i;
        if (i + 1 >= argc || argv[i + 1][0] == '-') {
            o->lacking = text;
            return i;
        }
        return i + 1;
    default:
        single = false;
    }
    if (!single) o->unknown = text;
    return i;
}

host_options host_options_parse(int argc, char **argv) {
    host_options o = {.script = argc, .end = argc};
    for (int i = 1; i < argc && o.unknown == NULL && o.lacking == NULL; i++) {
        if (argv[i][0] != '-' || argv[i][1] == '\0') { /* a script, or - for stdin */
            o.script = o.end = i;
            break;
        }
        if (strcmp(argv[i], "--") == 0) {
            o.end = i;
            o.script = i + 1;
            break;
        }
        i = argv[i][1] == '-' ? parse_long(&o, argc, argv, i) : parse_short(&o, argc, argv, i);
    }
    return o;
}

/* "name" or "global=name": requires it into a global. */
static int l_require_module(lua_State *L) {
    const char *text = luaL_checkstring(L, 1), *equals = strchr(text, '=');
    lua_pushlstring(L, text, equals ? (size_t)(equals - text) : strlen(text));
    lua_getglobal(L, "require");
    lua_pushstring(L, equals ? equals + 1 : text);
    lua_call(L, 1, 1);
    lua_setglobal(L, lua_tostring(L, 2));
    return 0;
}

int host_options_run(lua_State *L, char **argv, const host_options *o) {
    for (int i = 1; i < o->end; i++) {
        const char *text = argv[i];
        int status = 0;
        if (strcmp(text, "--color") == 0) i++;
        if (text[0] != '-' || text[1] == '-') continue;
        if (text[1] == 'W') lua_warning(L, "@on", 0);
        if (text[1] != 'e' && text[1] != 'l') continue;
        const char *value = text[2] != '\0' ? text + 2 : argv[++i];
        if (text[1] == 'e') {
            status = host_run_text(L, value, "=(command line)");
        } else {
            lua_pushcfunction(L, l_require_module);
            lua_pushstring(L, value);
            status = host_call(L, 1);
        }
        if (status != 0) return status;
    }
    return 0;
}
