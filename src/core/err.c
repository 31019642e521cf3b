/* Error records: see err.h. */
#include "core/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const status_names[] = {
    [SQN_OK] = "SQLUNE_OK",
    [SQN_MISUSE] = "SQLUNE_MISUSE",
    [SQN_NOMEM] = "SQLUNE_NOMEM",
    [SQN_IO] = "SQLUNE_IO",
    [SQN_FORMAT] = "SQLUNE_FORMAT",
    [SQN_NOTFOUND] = "SQLUNE_NOTFOUND",
    [SQN_DB] = "SQLUNE_DB",
    [SQN_DENIED] = "SQLUNE_DENIED",
    [SQN_TIMEOUT] = "SQLUNE_TIMEOUT",
    [SQN_LIMIT] = "SQLUNE_LIMIT",
    [SQN_INTERRUPT] = "SQLUNE_INTERRUPT",
};
_Static_assert(sizeof status_names / sizeof *status_names == SQN_STATUS_COUNT, "a name per status");

sqn_status sqn_fail_at(sqn_err *e, sqn_status code, const char *where, int line, const char *format,
                       ...) {
    if (e == NULL || e->code != SQN_OK) return code;
    e->code = code;
    e->where = where;
    e->line = line;
    va_list ap;
    va_start(ap, format);
    vsnprintf(e->message, sizeof e->message, format, ap);
    va_end(ap);
    return code;
}

sqn_status sqn_err_prefix(sqn_err *e, sqn_status code, const char *format, ...) {
    if (e == NULL || code == SQN_OK) return code;
    char text[sizeof e->message], both[2 * sizeof e->message + 4];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    snprintf(both, sizeof both, "%s: %s", text, e->message);
    size_t n = strlen(both);
    if (n >= sizeof e->message) n = sizeof e->message - 1;
    memcpy(e->message, both, n);
    e->message[n] = '\0';
    return code;
}

void sqn_err_clear(sqn_err *e) {
    e->code = SQN_OK;
    e->message[0] = '\0';
}

const char *sqn_status_name(sqn_status code) {
    return (unsigned)code < SQN_STATUS_COUNT ? status_names[code] : "SQLUNE_UNKNOWN";
}

void sqn_assert_failed(const char *expression, const char *where, int line) {
    fprintf(stderr, "sqlune: a bug: %s:%d: %s does not hold\n", where, line, expression);
    abort();
}
