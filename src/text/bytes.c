/* Growable arrays: see bytes.h. */
#include "text/bytes.h"

static sqn_status grow(void **data, size_t *capacity, size_t count, size_t more, size_t size,
                       sqn_err *e) {
    size_t wanted = count + more, room = *capacity + *capacity / 2 + 64;
    if (room < wanted) room = wanted;
    if (wanted < more || room > SIZE_MAX / size) return SQN_FAIL(e, SQN_NOMEM, "text too long");
    void *p = sqn_realloc(*data, room * size, e);
    if (p == NULL) return SQN_NOMEM;
    *data = p;
    *capacity = room;
    return SQN_OK;
}

sqn_status sqn_bytes_grow(sqn_bytes *b, size_t more, sqn_err *e) {
    void *data = b->data;
    SQN_TRY(grow(&data, &b->capacity, b->count, more, sizeof *b->data, e));
    b->data = data;
    return SQN_OK;
}

sqn_status sqn_words_grow(sqn_words *w, size_t more, sqn_err *e) {
    void *data = w->data;
    SQN_TRY(grow(&data, &w->capacity, w->count, more, sizeof *w->data, e));
    w->data = data;
    return SQN_OK;
}

void sqn_bytes_release(sqn_bytes *b) {
    sqn_free(b->data);
    *b = (sqn_bytes){0};
}

void sqn_words_release(sqn_words *w) {
    sqn_free(w->data);
    *w = (sqn_words){0};
}
