/* Inside of the JSON reader, shared by json_reader.c and json_string.c only. */
#ifndef SQN_IO_JSON_READER_PARTS_H
#define SQN_IO_JSON_READER_PARTS_H

#include <stdbool.h>

#include "core/buf.h"
#include "io/json_reader.h"

typedef enum sqn_json_expectation {
    WANT_VALUE,
    WANT_VALUE_OR_CLOSE,
    WANT_KEY,
    WANT_KEY_OR_CLOSE,
    WANT_COMMA_OR_CLOSE,
    WANT_END
} sqn_json_expectation;

struct sqn_json_reader {
    int fd;                     /* -1: memory */
    char *name;                 /* owned */
    unsigned char *buffer;      /* owned; NULL: memory */
    const unsigned char *bytes; /* the window */
    size_t at, end;             /* next byte and end of the window */
    int64_t base;               /* offset of the window in the text */
    int64_t line, line_start;   /* current line; offset of its first byte */
    int64_t continuation;       /* UTF-8 continuation bytes on this line so far */
    char *scratch;              /* owned: text of the current token */
    size_t used, room;
    /* The value that sqn_json_next_raw reads: what of it stood in earlier windows, and where the
     * rest begins in this one. */
    sqn_buf raw;
    size_t raw_from;
    bool raw_begins, raw_open; /* with the next token; it has begun */
    bool skips;                /* texts of strings are not wanted */
    bool is_object[SQN_JSON_DEPTH];
    int depth;
    sqn_json_expectation expect;
    bool many;
    sqn_err failure; /* sticky */
};

/* SQN_FORMAT with the file, the line and the column of the next byte before the message. */
sqn_status sqn_json_wrong(sqn_json_reader *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
sqn_status sqn_json_ends_inside(sqn_json_reader *r, const char *what);
sqn_status sqn_json_unexpected(sqn_json_reader *r, int c, const char *wanted);
int sqn_json_refill(sqn_json_reader *r); /* the next window; its first byte, or -1 */
/* Puts bytes to the token's text, unless it is skipped. */
sqn_status sqn_json_append(sqn_json_reader *r, const void *bytes, size_t n);
sqn_status sqn_json_read_string(sqn_json_reader *r); /* from its opening quote on */

/* The next byte, or -1 at the end of the text or after a failure to read. */
static inline int sqn_json_peek(sqn_json_reader *r) {
    return r->at < r->end ? r->bytes[r->at] : sqn_json_refill(r);
}

/* The byte that peek showed goes to the token's text. */
static inline sqn_status sqn_json_take(sqn_json_reader *r) {
    unsigned char c = r->bytes[r->at++];
    return sqn_json_append(r, &c, 1);
}

#endif
