/* The JSON writer: see json_writer.h. */
#include "io/json_writer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/alloc.h"
#include "core/float_text.h"
#include "io/json_plain.h"

enum { FLUSH_AT = 1 << 16 };

struct sqn_json_writer {
    sqn_json_style style;
    sqn_json_sink *sink;
    void *to;   /* borrowed */
    char *text; /* owned */
    size_t used, room;
    int depth;
    bool first;     /* nothing stands in the current container yet */
    bool after_key; /* the next value belongs to the key just written */
    sqn_err failure;
};

static void put(sqn_json_writer *w, const char *bytes, size_t n) {
    if (w->failure.code != SQN_OK) return;
    if (w->sink != NULL && w->used + n > FLUSH_AT) {
        if (w->sink(w->to, w->text, w->used, &w->failure) != SQN_OK) return;
        w->used = 0;
    }
    if (w->room - w->used < n) {
        size_t room = 2 * w->room + n + 256;
        char *grown = sqn_realloc(w->text, room, &w->failure);
        if (grown == NULL) return;
        w->text = grown;
        w->room = room;
    }
    memcpy(w->text + w->used, bytes, n);
    w->used += n;
}

static void new_line(sqn_json_writer *w) {
    static const char blanks[] = "                                ";
    put(w, "\n", 1);
    for (int left = (w->depth + w->style.level) * w->style.indent; left > 0; left -= 32)
        put(w, blanks, (size_t)(left < 32 ? left : 32));
}

/* What stands before a value or key: nothing, a comma, a new line. */
static void lead_in(sqn_json_writer *w) {
    if (w->after_key) {
        w->after_key = false;
        return;
    }
    if (w->depth == 0) return;
    bool one_line = w->style.indent <= 0;
    if (!w->first) put(w, ", ", one_line && !w->style.compact ? 2 : 1);
    w->first = false;
    if (!one_line) new_line(w);
}

static void open_container(sqn_json_writer *w, const char *bracket) {
    lead_in(w);
    put(w, bracket, 1);
    w->depth++;
    w->first = true;
}

static void close_container(sqn_json_writer *w, const char *bracket) {
    w->depth--;
    if (!w->first && w->style.indent > 0) new_line(w);
    put(w, bracket, 1);
    w->first = false;
}

/* Bytes of the character at p (surrogates in WTF-8 included), and its code; 0 if there is none. */
static size_t character(const unsigned char *p, size_t n, unsigned *code) {
    unsigned c = p[0];
    size_t size = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    if (size == 0 || size > n) return 0;
    if (size > 1) c &= 0x7fu >> size;
    for (size_t i = 1; i < size; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    if ((size == 3 && c < 0x800) || (size == 4 && (c < 0x10000 || c > 0x10ffff))) return 0;
    *code = c;
    return size;
}

static void put_escape(sqn_json_writer *w, unsigned code) {
    char text[16];
    if (code >= 0x10000) {
        put_escape(w, 0xd800 + ((code - 0x10000) >> 10));
        code = 0xdc00 + ((code - 0x10000) & 0x3ff);
    }
    put(w, text, (size_t)snprintf(text, sizeof text, "\\u%04x", code));
}

static void put_special(sqn_json_writer *w, unsigned code) { /* a character that needs an escape */
    static const char letters[] = {['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r',
                                   ['\t'] = 't', ['"'] = '"',  ['\\'] = '\\'};
    char text[2] = {'\\', code < sizeof letters ? letters[code] : '\0'};
    if (text[1] != '\0')
        put(w, text, 2);
    else
        put_escape(w, code);
}

static void put_quoted(sqn_json_writer *w, const char *text, size_t n) {
    const unsigned char *p = (const unsigned char *)text, *stop = p + n, *from = p;
    put(w, "\"", 1);
    while (p < stop) {
        if (!w->style.ascii && (p = sqn_json_plain(p, stop)) == stop) break;
        unsigned code = *p;
        size_t size = 1;
        if (code >= 0x80) size = character(p, (size_t)(stop - p), &code);
        bool plain = size > 0 && code >= 0x20 && code != '"' && code != '\\' &&
                     !(code >= 0xd800 && code <= 0xdfff) && !(w->style.ascii && code > 0x7e);
        if (plain) {
            p += size;
            continue;
        }
        put(w, (const char *)from, (size_t)(p - from));
        if (size > 0) {
            put_special(w, code);
        } else if (w->style.replace_bad) {
            if (w->style.ascii)
                put_escape(w, 0xfffd);
            else
                put(w, "\xef\xbf\xbd", 3);
        } else if (w->failure.code == SQN_OK) {
            SQN_FAIL(&w->failure, SQN_FORMAT,
                     "a string is not valid UTF-8: byte 0x%02x at offset %zu", *p,
                     (size_t)(p - (const unsigned char *)text));
        }
        p += size > 0 ? size : 1;
        from = p;
    }
    put(w, (const char *)from, (size_t)(stop - from));
    put(w, "\"", 1);
}

void sqn_json_put_array(sqn_json_writer *w) { open_container(w, "["); }
void sqn_json_put_array_end(sqn_json_writer *w) { close_container(w, "]"); }
void sqn_json_put_object(sqn_json_writer *w) { open_container(w, "{"); }
void sqn_json_put_object_end(sqn_json_writer *w) { close_container(w, "}"); }

void sqn_json_put_key(sqn_json_writer *w, const char *text, size_t n) {
    lead_in(w);
    put_quoted(w, text, n);
    put(w, ": ", w->style.compact && w->style.indent <= 0 ? 1 : 2);
    w->after_key = true;
}

void sqn_json_put_string(sqn_json_writer *w, const char *text, size_t n) {
    lead_in(w);
    put_quoted(w, text, n);
}

void sqn_json_put_integer(sqn_json_writer *w, int64_t value) {
    char text[SQN_FLOAT_TEXT];
    lead_in(w);
    put(w, text, sqn_integer_text(text, value));
}

void sqn_json_put_number(sqn_json_writer *w, double value) {
    char text[SQN_FLOAT_TEXT];
    lead_in(w);
    if (isnan(value))
        put(w, "NaN", 3);
    else if (isinf(value))
        put(w, value < 0 ? "-Infinity" : "Infinity", value < 0 ? 9 : 8);
    else
        put(w, text, sqn_float_text(text, value));
}

void sqn_json_put_boolean(sqn_json_writer *w, bool value) {
    lead_in(w);
    put(w, value ? "true" : "false", value ? 4 : 5);
}

void sqn_json_put_text(sqn_json_writer *w, const char *text, size_t n) {
    lead_in(w);
    put(w, text, n);
}

void sqn_json_put_null(sqn_json_writer *w) {
    lead_in(w);
    put(w, "null", 4);
}

void sqn_json_put_break(sqn_json_writer *w) { put(w, "\n", 1); }

sqn_status sqn_json_writer_status(const sqn_json_writer *w) { return w->failure.code; }

sqn_status sqn_json_writer_finish(sqn_json_writer *w, sqn_err *e) {
    if (w->failure.code == SQN_OK && w->sink != NULL && w->used > 0) {
        w->sink(w->to, w->text, w->used, &w->failure);
        w->used = 0;
    }
    if (w->failure.code != SQN_OK && e != NULL && e->code == SQN_OK) *e = w->failure;
    return w->failure.code;
}

const char *sqn_json_writer_text(const sqn_json_writer *w, size_t *n) {
    *n = w->used;
    return w->used > 0 ? w->text : "";
}

sqn_status sqn_json_writer_new(sqn_json_writer **out, sqn_json_style style, sqn_json_sink *sink,
                               void *to, sqn_err *e) {
    sqn_json_writer *w = *out = sqn_calloc(1, sizeof *w, e);
    if (w == NULL) return SQN_NOMEM;
    w->style = style;
    w->sink = sink;
    w->to = to;
    w->first = true;
    return SQN_OK;
}

void sqn_json_writer_close(sqn_json_writer *w) {
    if (w == NULL) return;
    sqn_free(w->text);
    sqn_free(w);
}
