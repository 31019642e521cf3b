/* Shared libraries that are opened when they are first needed.
 *
 * Rules: the clients of servers, curl, oneDNN and the line editor bring forty libraries with them,
 * which took two thirds of the program's start and of which most runs need none. So the program is
 * not linked with them: a file that calls one lists the functions, opens the library before the
 * first call, and calls through the structure. What could not be opened is SQN_IO, with the
 * system's reason. A library stays open until the process ends.
 */
#ifndef SQN_CORE_LIBRARY_H
#define SQN_CORE_LIBRARY_H

#include <stdatomic.h>
#include <stdbool.h>

#include "core/err.h"

typedef struct sqn_library {
    const char *file;         /* "libpq.so.5" */
    const char *const *names; /* of functions, NULL behind the last */
    void **functions;         /* one for each name */
    atomic_bool ready;
} sqn_library;

#define SQN_LIBRARY_MEMBER(function) __typeof__(function) *function;
#define SQN_LIBRARY_NAME(function) #function,

/* Defines the structure `name` with a member for each FUNCTION of LIST(FUNCTION), and the library
 * `name`_library that fills it. */
#define SQN_LIBRARY(name, file_name, LIST)                                   \
    static struct { LIST(SQN_LIBRARY_MEMBER) } name;                         \
    static const char *const name##_names[] = {LIST(SQN_LIBRARY_NAME) NULL}; \
    static sqn_library name##_library = {file_name, name##_names, (void **)&name, false}

sqn_status sqn_library_open(sqn_library *l, sqn_err *e); /* any thread; again is cheap */

#endif
