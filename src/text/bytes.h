/* Growable arrays of bytes and of 32-bit words, for building text and ids.
 *
 * Rules: zero is the empty array; the owner calls _release; a failed call leaves it as it was.
 */
#ifndef SQN_TEXT_BYTES_H
#define SQN_TEXT_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/alloc.h"
#include "core/err.h"

typedef struct sqn_bytes {
    char *data; /* owned */
    size_t count, capacity;
} sqn_bytes;

typedef struct sqn_words {
    uint32_t *data; /* owned */
    size_t count, capacity;
} sqn_words;

sqn_status sqn_bytes_grow(sqn_bytes *b, size_t more, sqn_err *e);
sqn_status sqn_words_grow(sqn_words *w, size_t more, sqn_err *e);
void sqn_bytes_release(sqn_bytes *b);
void sqn_words_release(sqn_words *w);

/* Makes room for `more` further elements. */
static inline sqn_status sqn_bytes_reserve(sqn_bytes *b, size_t more, sqn_err *e) {
    return b->capacity - b->count >= more ? SQN_OK : sqn_bytes_grow(b, more, e);
}

static inline sqn_status sqn_words_reserve(sqn_words *w, size_t more, sqn_err *e) {
    return w->capacity - w->count >= more ? SQN_OK : sqn_words_grow(w, more, e);
}

static inline sqn_status sqn_bytes_add(sqn_bytes *b, const char *p, size_t n, sqn_err *e) {
    SQN_TRY(sqn_bytes_reserve(b, n, e));
    if (n > 0) memcpy(b->data + b->count, p, n);
    b->count += n;
    return SQN_OK;
}

static inline sqn_status sqn_words_add(sqn_words *w, uint32_t x, sqn_err *e) {
    SQN_TRY(sqn_words_reserve(w, 1, e));
    w->data[w->count++] = x;
    return SQN_OK;
}

#endif
