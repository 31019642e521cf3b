/* The first rows of a result, for a reader's eyes: one block, long values cut. */
#include <string.h>

#include "core/alloc.h"
#include "db/pool.h"

enum { MOST_BYTES = 240 }; /* of one value */
static const char ellipsis[] = "\xe2\x80\xa6";

/* How much of a text is kept: no UTF-8 sequence is cut in two. */
static size_t kept_length(const sqn_cell *c) {
    if (c->length <= MOST_BYTES) return c->length;
    size_t n = MOST_BYTES;
    if (c->kind != SQN_CELL_BLOB)
        while (n > MOST_BYTES - 4 && (c->as.bytes[n] & 0xC0) == 0x80) n--;
    return n;
}

static char *keep_cell(sqn_cell *to, const sqn_cell *from, char *at) {
    *to = *from;
    if (!sqn_cell_has_bytes(from)) return at;
    size_t n = kept_length(from);
    memcpy(at, from->as.bytes, n);
    to->as.bytes = at;
    if (n < from->length && from->kind != SQN_CELL_BLOB) {
        memcpy(at + n, ellipsis, sizeof ellipsis - 1);
        n += sizeof ellipsis - 1;
    }
    to->length = n;
    at[n] = '\0';
    return at + n + 1;
}

sqn_sample *sqn_sample_new(const sqn_result *r, int rows, sqn_err *e) {
    int64_t kept = r->rows < rows ? r->rows : rows;
    size_t cells = (size_t)kept * (size_t)r->columns, columns = (size_t)r->columns;
    size_t bytes = sizeof(sqn_sample) + columns * sizeof(char *) + cells * sizeof(sqn_cell);
    size_t texts = 0;
    for (size_t i = 0; i < columns; i++) texts += strlen(r->names[i]) + 1;
    for (size_t i = 0; i < cells; i++)
        if (sqn_cell_has_bytes(&r->cells[i])) texts += kept_length(&r->cells[i]) + sizeof ellipsis;
    sqn_sample *s = sqn_alloc(bytes + texts, e);
    if (s == NULL) return NULL;
    *s = (sqn_sample){.columns = r->columns, .rows = kept, .total = r->rows};
    s->names = (const char **)(s + 1);
    s->cells = (sqn_cell *)(s->names + columns);
    char *at = (char *)(s->cells + cells);
    for (size_t i = 0; i < columns; i++) {
        size_t n = strlen(r->names[i]) + 1;
        s->names[i] = memcpy(at, r->names[i], n);
        at += n;
    }
    for (size_t i = 0; i < cells; i++) at = keep_cell(&s->cells[i], &r->cells[i], at);
    return s;
}
