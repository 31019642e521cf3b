/* Writes JSON, into memory or through a sink, as Python's json.dumps(ensure_ascii=False) prints it.
 *
 * Rules: the caller states a well-formed sequence (keys in objects, one value at the top, or
 * several with sqn_json_put_break between them). Failures are sticky: the put calls go silent and
 * sqn_json_writer_finish reports the first one. Strings are UTF-8; WTF-8 surrogates are written as
 * escapes, so that sqn_json_reader gives the same bytes back. Non-finite floats: NaN, Infinity,
 * -Infinity.
 */
#ifndef SQN_IO_JSON_WRITER_H
#define SQN_IO_JSON_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

typedef struct sqn_json_style {
    int indent;       /* spaces per level; 0: all on one line */
    int level;        /* indented as if so many containers were around it */
    bool compact;     /* "," and ":" instead of ", " and ": " on one line */
    bool ascii;       /* \uXXXX for everything above U+007E */
    bool replace_bad; /* U+FFFD for bytes that are not UTF-8, instead of a failure */
} sqn_json_style;

typedef sqn_status sqn_json_sink(void *to, const char *bytes, size_t n, sqn_err *e);
typedef struct sqn_json_writer sqn_json_writer;

/* sink == NULL collects everything in memory. `to` is borrowed until close. */
sqn_status sqn_json_writer_new(sqn_json_writer **out /* owned */, sqn_json_style style,
                               sqn_json_sink *sink, void *to, sqn_err *e);
void sqn_json_put_array(sqn_json_writer *w);
void sqn_json_put_array_end(sqn_json_writer *w);
void sqn_json_put_object(sqn_json_writer *w);
void sqn_json_put_object_end(sqn_json_writer *w);
void sqn_json_put_key(sqn_json_writer *w, const char *text, size_t n);
void sqn_json_put_string(sqn_json_writer *w, const char *text, size_t n);
void sqn_json_put_integer(sqn_json_writer *w, int64_t value);
void sqn_json_put_number(sqn_json_writer *w, double value);
void sqn_json_put_boolean(sqn_json_writer *w, bool value);
void sqn_json_put_null(sqn_json_writer *w);
/* A value that is JSON already, printed for this depth. */
void sqn_json_put_text(sqn_json_writer *w, const char *text, size_t n);
void sqn_json_put_break(sqn_json_writer *w); /* a newline between values at the top */
/* SQN_OK so far? */
sqn_status sqn_json_writer_status(const sqn_json_writer *w);
/* Hands the rest to the sink and reports the first failure. */
sqn_status sqn_json_writer_finish(sqn_json_writer *w, sqn_err *e);
/* What was collected: borrowed until the next put or close. */
const char *sqn_json_writer_text(const sqn_json_writer *w, size_t *n);
void sqn_json_writer_close(sqn_json_writer *w);

#endif
