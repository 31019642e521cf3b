/* A growable text. Failures are sticky: puts go silent and sqn_buf_status reports the first.
 *
 * Rules: zero is the empty text; the owner calls _release.
 */
#ifndef SQN_CORE_BUF_H
#define SQN_CORE_BUF_H

#include <stdbool.h>
#include <string.h>

#include "core/alloc.h"

typedef struct sqn_buf {
    char *data; /* owned; a NUL follows the last byte once something was put */
    size_t n, room;
    bool failed; /* memory was out */
} sqn_buf;

void sqn_buf_put(sqn_buf *b, const char *bytes, size_t n);
static inline void sqn_buf_put_string(sqn_buf *b, const char *s) { sqn_buf_put(b, s, strlen(s)); }
static inline void sqn_buf_put_byte(sqn_buf *b, char c) { sqn_buf_put(b, &c, 1); }
void sqn_buf_put_format(sqn_buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
sqn_status sqn_buf_status(const sqn_buf *b, sqn_err *e);
void sqn_buf_release(sqn_buf *b);

#endif
