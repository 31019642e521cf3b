/* A growable text: see buf.h. */
#include "core/buf.h"

#include <stdarg.h>
#include <stdio.h>

void sqn_buf_put(sqn_buf *b, const char *bytes, size_t n) {
    if (b->failed) return;
    if (b->room - b->n < n + 1) {
        size_t room = b->room ? 2 * b->room : 256;
        while (room - b->n < n + 1) room *= 2;
        char *grown = sqn_realloc(b->data, room, NULL);
        if (grown == NULL) {
            b->failed = true;
            return;
        }
        b->data = grown;
        b->room = room;
    }
    if (n > 0) memcpy(b->data + b->n, bytes, n);
    b->n += n;
    b->data[b->n] = '\0';
}

void sqn_buf_put_format(sqn_buf *b, const char *format, ...) {
    char text[400]; /* for numbers and short words: longer parts go through sqn_buf_put */
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    SQN_ASSERT(n >= 0 && (size_t)n < sizeof text);
    sqn_buf_put(b, text, (size_t)n);
}

sqn_status sqn_buf_status(const sqn_buf *b, sqn_err *e) {
    return b->failed ? SQN_FAIL(e, SQN_NOMEM, "out of memory while building a text") : SQN_OK;
}

void sqn_buf_release(sqn_buf *b) {
    sqn_free(b->data);
    *b = (sqn_buf){0};
}
