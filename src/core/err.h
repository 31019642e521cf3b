/* How an error travels: a status is returned, a caller-owned sqn_err says what and where.
 *
 * Rules: reporting never allocates; the first error wins (a later one on the same sqn_err is
 * dropped); no exit and no abort outside SQN_ASSERT. A function that can fail returns sqn_status
 * and takes `sqn_err *e` last; e may be NULL.
 */
#ifndef SQN_CORE_ERR_H
#define SQN_CORE_ERR_H

#include <stddef.h>

typedef enum sqn_status {
    SQN_OK = 0,
    SQN_MISUSE,    /* the caller's fault: a shape, a type, a closed handle */
    SQN_NOMEM,     /* memory of a device is out */
    SQN_IO,        /* the operating system refused: open, read, write, space */
    SQN_FORMAT,    /* a file or text is not what it says it is */
    SQN_NOTFOUND,  /* a key, table, column, file or name does not exist */
    SQN_DB,        /* a database refused a statement */
    SQN_DENIED,    /* a statement was not allowed on this connection */
    SQN_TIMEOUT,   /* a deadline passed */
    SQN_LIMIT,     /* a limit on rows, bytes or memory was hit */
    SQN_INTERRUPT, /* ^C */
    SQN_STATUS_COUNT
} sqn_status;

typedef struct sqn_err {
    sqn_status code;
    int line;          /* of the C source that reported */
    const char *where; /* borrowed, static: the C source's name */
    char message[500];
} sqn_err;

#define SQN_ERR_INIT ((sqn_err){SQN_OK, 0, NULL, {0}})

/* Fills *e (unless it holds an error already) and returns `code`. */
sqn_status sqn_fail_at(sqn_err *e, sqn_status code, const char *where, int line, const char *format,
                       ...) __attribute__((format(printf, 5, 6)));
/* Puts "prefix: " before the message of an error that is travelling up. */
sqn_status sqn_err_prefix(sqn_err *e, sqn_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void sqn_err_clear(sqn_err *e);
/* "SQLUNE_TIMEOUT" …: what Lua sees as the error's code. Borrowed, static. */
const char *sqn_status_name(sqn_status code);

void sqn_assert_failed(const char *expression, const char *where, int line)
    __attribute__((noreturn));

#define SQN_FAIL(e, code, ...) sqn_fail_at((e), (code), __FILE__, __LINE__, __VA_ARGS__)
#define SQN_TRY(call)                                  \
    do {                                               \
        sqn_status try_status_ = (call);               \
        if (try_status_ != SQN_OK) return try_status_; \
    } while (0)
/* The same for functions with a `fail:` ladder; `status` must be in scope. */
#define SQN_GOTO(call)                   \
    do {                                 \
        status = (call);                 \
        if (status != SQN_OK) goto fail; \
    } while (0)
#define SQN_ASSERT(x) ((x) ? (void)0 : sqn_assert_failed(#x, __FILE__, __LINE__))

#endif
