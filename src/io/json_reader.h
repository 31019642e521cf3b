/* Reads JSON as a stream of tokens, from a file of any size or from memory.
 *
 * Rules: nothing is lost: integers are exact in 64 bits (larger ones become floats), a string keeps
 * U+0000, and a lone surrogate escape becomes its three WTF-8 bytes. Raw bytes must be valid UTF-8.
 * NaN, Infinity and -Infinity are read, as Python writes them. Every message names the file, the
 * line and the column (in characters, both from 1). After a failure every call repeats it.
 */
#ifndef SQN_IO_JSON_READER_H
#define SQN_IO_JSON_READER_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

enum { SQN_JSON_DEPTH = 512 }; /* containers inside containers; more is an error */

typedef enum sqn_json_kind {
    SQN_JSON_END, /* of the whole text */
    SQN_JSON_NULL,
    SQN_JSON_FALSE,
    SQN_JSON_TRUE,
    SQN_JSON_INTEGER,
    SQN_JSON_FLOAT,
    SQN_JSON_STRING,
    SQN_JSON_KEY, /* of an object; its value's tokens follow */
    SQN_JSON_ARRAY,
    SQN_JSON_ARRAY_END,
    SQN_JSON_OBJECT,
    SQN_JSON_OBJECT_END
} sqn_json_kind;

typedef struct sqn_json_token {
    sqn_json_kind kind;
    int64_t integer; /* INTEGER */
    double number;   /* FLOAT, and INTEGER rounded */
    /* KEY, STRING: borrowed until the next call; ends with a NUL that is not counted. Of a FLOAT
     * that stands for an integer beyond 64 bits: its digits. */
    const char *text;
    size_t length;        /* bytes of text, which may hold NULs */
    int64_t line, column; /* where the token starts */
} sqn_json_token;

typedef struct sqn_json_reader sqn_json_reader;

sqn_status sqn_json_reader_open(sqn_json_reader **out /* owned */, const char *path, sqn_err *e);
/* `text` is borrowed until close; `name` (copied) stands for the file in messages. */
sqn_status sqn_json_reader_memory(sqn_json_reader **out /* owned */, const char *text,
                                  size_t length, const char *name, sqn_err *e);
/* Lets values follow one another (JSON Lines): END comes after the last one, and an empty text has
 * none. Without it exactly one value must stand there. */
void sqn_json_reader_many(sqn_json_reader *r);
sqn_status sqn_json_next(sqn_json_reader *r, sqn_json_token *out, sqn_err *e);
/* Reads the rest of the value that `first` begins, and drops it. */
sqn_status sqn_json_skip(sqn_json_reader *r, const sqn_json_token *first, sqn_err *e);
/* sqn_json_next, then the rest of the value that it begins: its bytes as they stand in the text,
 * checked but not read. Borrowed until the next call. */
sqn_status sqn_json_next_raw(sqn_json_reader *r, sqn_json_token *first, const char **text,
                             size_t *n, sqn_err *e);
/* The first byte that is no white space, or -1; only before the first sqn_json_next. */
int sqn_json_first_byte(sqn_json_reader *r);
/* Containers open after the last token. */
int sqn_json_reader_depth(const sqn_json_reader *r);
/* SQN_FORMAT with "name: line L, column C: " before the message: for what the text should say, but
 * does not. */
sqn_status sqn_json_complain(const sqn_json_reader *r, const sqn_json_token *at, sqn_err *e,
                             const char *format, ...) __attribute__((format(printf, 4, 5)));
void sqn_json_reader_close(sqn_json_reader *r);

#endif
