/* The JSON pull reader: see json_reader.h.
 *
 * Rules: bytes are taken from a window (the whole memory, or 64 KiB of the file) and a token's text
 * is collected in `scratch`, so no token has to fit the window. Lines end only in white space: a
 * raw newline inside a string is an error.
 */
#include "io/json_reader_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/alloc.h"
#include "core/interrupt.h"

enum { WINDOW = 1 << 16, NAME_SHOWN = 240 };

static const char *short_name(const sqn_json_reader *r) {
    size_t n = strlen(r->name);
    return r->name + (n > NAME_SHOWN ? n - NAME_SHOWN : 0);
}

static int64_t column(const sqn_json_reader *r) {
    return r->base + (int64_t)r->at - r->line_start - r->continuation + 1;
}

sqn_status sqn_json_wrong(sqn_json_reader *r, const char *format, ...) {
    char text[sizeof r->failure.message];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return SQN_FAIL(&r->failure, SQN_FORMAT, "%s: line %lld, column %lld: %s", short_name(r),
                    (long long)r->line, (long long)column(r), text);
}

sqn_status sqn_json_complain(const sqn_json_reader *r, const sqn_json_token *at, sqn_err *e,
                             const char *format, ...) {
    char text[sizeof r->failure.message];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return SQN_FAIL(e, SQN_FORMAT, "%s: line %lld, column %lld: %s", short_name(r),
                    (long long)at->line, (long long)at->column, text);
}

int sqn_json_refill(sqn_json_reader *r) {
    if (r->fd < 0 || r->failure.code != SQN_OK) return -1;
    if (sqn_interrupt_check(&r->failure) != SQN_OK) return -1;
    if (r->raw_open)
        sqn_buf_put(&r->raw, (const char *)r->bytes + r->raw_from, r->end - r->raw_from);
    r->raw_from = 0;
    r->base += (int64_t)r->end;
    r->at = r->end = 0;
    ssize_t n;
    do n = read(r->fd, r->buffer, WINDOW);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
        SQN_FAIL(&r->failure, SQN_IO, "%s: cannot read: %s", short_name(r), strerror(errno));
        return -1;
    }
    r->end = (size_t)n;
    return n > 0 ? r->bytes[0] : -1;
}

sqn_status sqn_json_ends_inside(sqn_json_reader *r, const char *what) {
    return sqn_json_wrong(r, "the text ends inside %s", what);
}

sqn_status sqn_json_unexpected(sqn_json_reader *r, int c, const char *wanted) {
    if (c < 0) {
        const char *inside = r->depth == 0                ? "a value"
                             : r->is_object[r->depth - 1] ? "an object"
                                                          : "an array";
        return sqn_json_ends_inside(r, inside);
    }
    if (c > 0x20 && c < 0x7f) return sqn_json_wrong(r, "expected %s, found '%c'", wanted, c);
    return sqn_json_wrong(r, "expected %s, found the byte 0x%02x", wanted, (unsigned)c);
}

sqn_status sqn_json_append(sqn_json_reader *r, const void *bytes, size_t n) {
    if (r->skips) return SQN_OK;
    if (r->room - r->used <= n) { /* one byte stays for the closing NUL */
        size_t room = 2 * r->room + n + 256;
        char *grown = sqn_realloc(r->scratch, room, &r->failure);
        if (grown == NULL) return r->failure.code;
        r->scratch = grown;
        r->room = room;
    }
    memcpy(r->scratch + r->used, bytes, n);
    r->used += n;
    return SQN_OK;
}

static sqn_status read_word(sqn_json_reader *r, const char *word) {
    for (const char *p = word; *p; p++, r->at++) {
        int c = sqn_json_peek(r);
        if (c < 0 && r->failure.code == SQN_OK) return sqn_json_ends_inside(r, "a value");
        if (c != *p) return sqn_json_wrong(r, "expected '%s'", word);
    }
    return SQN_OK;
}

static sqn_status take_digits(sqn_json_reader *r, size_t *count) {
    *count = 0;
    for (int c; c = sqn_json_peek(r), c >= '0' && c <= '9'; ++*count) SQN_TRY(sqn_json_take(r));
    return *count > 0 ? SQN_OK : sqn_json_unexpected(r, sqn_json_peek(r), "a digit");
}

/* Sets kind, integer and number from the text in scratch, which has the form of a number. */
static sqn_status finish_number(sqn_json_reader *r, bool whole, sqn_json_token *t) {
    SQN_TRY(sqn_json_append(r, "", 1));
    errno = 0;
    if (whole) {
        t->integer = strtoll(r->scratch, NULL, 10);
        t->kind = SQN_JSON_INTEGER;
        t->number = (double)t->integer;
        if (errno != ERANGE) return SQN_OK;
    }
    t->kind = SQN_JSON_FLOAT;
    t->number = strtod(r->scratch, NULL);
    if (whole) {
        t->text = r->scratch;
        t->length = strlen(r->scratch);
    }
    if (isinf(t->number))
        return sqn_json_wrong(r, "the number %.24s… is too large for a double", r->scratch);
    return SQN_OK;
}

static sqn_status read_number(sqn_json_reader *r, sqn_json_token *t) {
    size_t digits;
    bool whole = true;
    int c = sqn_json_peek(r);
    r->skips = false; /* its text is looked at */
    if (c == '-') {
        SQN_TRY(sqn_json_take(r));
        if (sqn_json_peek(r) == 'I') {
            t->kind = SQN_JSON_FLOAT;
            t->number = -INFINITY;
            return read_word(r, "Infinity");
        }
    }
    if (sqn_json_peek(r) == '0') {
        SQN_TRY(sqn_json_take(r));
        c = sqn_json_peek(r);
        if (c >= '0' && c <= '9') return sqn_json_wrong(r, "a number may not start with a zero");
    } else {
        SQN_TRY(take_digits(r, &digits));
    }
    if (sqn_json_peek(r) == '.') {
        whole = false;
        SQN_TRY(sqn_json_take(r));
        SQN_TRY(take_digits(r, &digits));
    }
    c = sqn_json_peek(r);
    if (c == 'e' || c == 'E') {
        whole = false;
        SQN_TRY(sqn_json_take(r));
        c = sqn_json_peek(r);
        if (c == '+' || c == '-') SQN_TRY(sqn_json_take(r));
        SQN_TRY(take_digits(r, &digits));
    }
    return finish_number(r, whole, t);
}

static int skip_white_space(sqn_json_reader *r) { /* gives the byte after it */
    for (;;) {
        int c = sqn_json_peek(r);
        if (c == '\n') {
            r->at++;
            r->line++;
            r->line_start = r->base + (int64_t)r->at;
            r->continuation = 0;
        } else if (c == ' ' || c == '\t' || c == '\r') {
            r->at++;
        } else {
            return c;
        }
    }
}

static void after_value(sqn_json_reader *r) {
    r->expect = r->depth > 0 ? WANT_COMMA_OR_CLOSE : r->many ? WANT_VALUE : WANT_END;
}

static sqn_status open_container(sqn_json_reader *r, bool object, sqn_json_token *t) {
    if (r->depth == SQN_JSON_DEPTH)
        return sqn_json_wrong(r, "nested deeper than %d levels", (int)SQN_JSON_DEPTH);
    r->is_object[r->depth++] = object;
    r->expect = object ? WANT_KEY_OR_CLOSE : WANT_VALUE_OR_CLOSE;
    t->kind = object ? SQN_JSON_OBJECT : SQN_JSON_ARRAY;
    r->at++;
    return SQN_OK;
}

static sqn_status close_container(sqn_json_reader *r, sqn_json_token *t) {
    t->kind = r->is_object[--r->depth] ? SQN_JSON_OBJECT_END : SQN_JSON_ARRAY_END;
    r->at++;
    after_value(r);
    return SQN_OK;
}

static sqn_status read_value(sqn_json_reader *r, int c, sqn_json_token *t) {
    switch (c) {
    case '{':
    case '[':
        return open_container(r, c == '{', t);
    case '"':
        t->kind = SQN_JSON_STRING;
        SQN_TRY(sqn_json_read_string(r));
        break;
    case 't':
        t->kind = SQN_JSON_TRUE;
        SQN_TRY(read_word(r, "true"));
        break;
    case 'f':
        t->kind = SQN_JSON_FALSE;
        SQN_TRY(read_word(r, "false"));
        break;
    case 'n':
        t->kind = SQN_JSON_NULL;
        SQN_TRY(read_word(r, "null"));
        break;
    case 'N':
        t->kind = SQN_JSON_FLOAT;
        t->number = NAN;
        SQN_TRY(read_word(r, "NaN"));
        break;
    case 'I':
        t->kind = SQN_JSON_FLOAT;
        t->number = INFINITY;
        SQN_TRY(read_word(r, "Infinity"));
        break;
    default:
        if (c != '-' && (c < '0' || c > '9')) return sqn_json_unexpected(r, c, "a value");
        SQN_TRY(read_number(r, t));
    }
    after_value(r);
    return SQN_OK;
}

static sqn_status read_key(sqn_json_reader *r, int c, sqn_json_token *t) {
    if (c != '"')
        return sqn_json_unexpected(
            r, c, r->expect == WANT_KEY ? "a key in double quotes" : "a key or '}'");
    t->kind = SQN_JSON_KEY;
    SQN_TRY(sqn_json_read_string(r));
    c = skip_white_space(r);
    if (c != ':') return sqn_json_unexpected(r, c, "':' after the key");
    r->at++;
    r->expect = WANT_VALUE;
    return SQN_OK;
}

static sqn_status read_token(sqn_json_reader *r, sqn_json_token *t) {
    int c = skip_white_space(r);
    bool object = r->depth > 0 && r->is_object[r->depth - 1];
    if (r->expect == WANT_COMMA_OR_CLOSE) {
        if (c == (object ? '}' : ']')) return close_container(r, t);
        if (c != ',') return sqn_json_unexpected(r, c, object ? "',' or '}'" : "',' or ']'");
        r->at++;
        r->expect = object ? WANT_KEY : WANT_VALUE;
        c = skip_white_space(r);
    }
    t->line = r->line;
    t->column = column(r);
    if (r->raw_begins) {
        r->raw_begins = false;
        r->raw_open = true;
        r->raw_from = r->at;
    }
    switch (r->expect) {
    case WANT_END:
        if (c >= 0) return sqn_json_unexpected(r, c, "the end of the text");
        t->kind = SQN_JSON_END;
        return SQN_OK;
    case WANT_KEY_OR_CLOSE:
        if (c == '}') return close_container(r, t);
        return read_key(r, c, t);
    case WANT_KEY:
        return read_key(r, c, t);
    case WANT_VALUE_OR_CLOSE:
        if (c == ']') return close_container(r, t);
        return read_value(r, c, t);
    default:
        if (c < 0 && r->depth == 0) {
            if (!r->many) return sqn_json_wrong(r, "the text is empty");
            t->kind = SQN_JSON_END;
            return SQN_OK;
        }
        return read_value(r, c, t);
    }
}

sqn_status sqn_json_next(sqn_json_reader *r, sqn_json_token *out, sqn_err *e) {
    *out = (sqn_json_token){.kind = SQN_JSON_END, .line = r->line, .column = column(r)};
    r->used = 0;
    if (r->failure.code == SQN_OK) {
        read_token(r, out);
        if (r->failure.code == SQN_OK &&
            (out->kind == SQN_JSON_STRING || out->kind == SQN_JSON_KEY)) {
            out->length = r->used;
            sqn_json_append(r, "", 1);
            out->text = r->scratch;
        }
    }
    if (r->failure.code == SQN_OK) return SQN_OK;
    if (e != NULL && e->code == SQN_OK) *e = r->failure;
    return r->failure.code;
}

sqn_status sqn_json_skip(sqn_json_reader *r, const sqn_json_token *first, sqn_err *e) {
    bool opens = first->kind == SQN_JSON_ARRAY || first->kind == SQN_JSON_OBJECT;
    int until = r->depth - 1;
    sqn_status status = SQN_OK;
    sqn_json_token t;
    while (status == SQN_OK && opens && r->depth > until) {
        r->skips = true;
        status = sqn_json_next(r, &t, e);
    }
    r->skips = false;
    return status;
}

sqn_status sqn_json_next_raw(sqn_json_reader *r, sqn_json_token *first, const char **text,
                             size_t *n, sqn_err *e) {
    r->raw.n = 0;
    r->raw_begins = true;
    sqn_status status = sqn_json_next(r, first, e);
    if (status == SQN_OK) status = sqn_json_skip(r, first, e);
    *text = (const char *)r->bytes + r->raw_from;
    *n = r->at - r->raw_from;
    if (r->raw.n > 0) {
        sqn_buf_put(&r->raw, *text, *n);
        *text = r->raw.data;
        *n = r->raw.n;
    }
    r->raw_begins = r->raw_open = false;
    return status == SQN_OK ? sqn_buf_status(&r->raw, e) : status;
}

int sqn_json_first_byte(sqn_json_reader *r) { return skip_white_space(r); }

int sqn_json_reader_depth(const sqn_json_reader *r) { return r->depth; }

void sqn_json_reader_many(sqn_json_reader *r) {
    r->many = true;
    if (r->expect == WANT_END) r->expect = WANT_VALUE;
}

static sqn_json_reader *reader_new(const char *name, sqn_err *e) {
    sqn_json_reader *r = sqn_calloc(1, sizeof *r, e);
    if (r == NULL) return NULL;
    r->fd = -1;
    r->line = 1;
    r->expect = WANT_VALUE;
    r->name = sqn_strdup(name, e);
    if (r->name != NULL) return r;
    sqn_free(r);
    return NULL;
}

static void skip_byte_order_mark(sqn_json_reader *r) {
    sqn_json_peek(r);
    if (r->end < 3 || memcmp(r->bytes, "\xef\xbb\xbf", 3) != 0) return;
    r->at = 3;
    r->line_start = 3;
}

sqn_status sqn_json_reader_memory(sqn_json_reader **out, const char *text, size_t length,
                                  const char *name, sqn_err *e) {
    *out = NULL;
    sqn_json_reader *r = reader_new(name, e);
    if (r == NULL) return SQN_NOMEM;
    r->bytes = (const unsigned char *)text;
    r->end = length;
    skip_byte_order_mark(r);
    *out = r;
    return SQN_OK;
}

sqn_status sqn_json_reader_open(sqn_json_reader **out, const char *path, sqn_err *e) {
    struct stat facts;
    *out = NULL;
    sqn_json_reader *r = reader_new(path, e);
    if (r == NULL) return SQN_NOMEM;
    sqn_status status = SQN_NOMEM;
    r->buffer = sqn_alloc(WINDOW, e);
    if (r->buffer == NULL) goto fail;
    r->bytes = r->buffer;
    r->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (r->fd < 0 || fstat(r->fd, &facts) != 0) {
        status = SQN_FAIL(e, errno == ENOENT ? SQN_NOTFOUND : SQN_IO, "%s: %s", short_name(r),
                          strerror(errno));
        goto fail;
    }
    if (S_ISDIR(facts.st_mode)) {
        status = SQN_FAIL(e, SQN_IO, "%s: is a folder, not a file", short_name(r));
        goto fail;
    }
    skip_byte_order_mark(r);
    *out = r;
    return SQN_OK;
fail:
    sqn_json_reader_close(r);
    return status;
}

void sqn_json_reader_close(sqn_json_reader *r) {
    if (r == NULL) return;
    if (r->fd >= 0) close(r->fd);
    sqn_free(r->buffer);
    sqn_free(r->scratch);
    sqn_buf_release(&r->raw);
    sqn_free(r->name);
    sqn_free(r);
}
