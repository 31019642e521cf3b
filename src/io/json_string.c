/* Strings of the JSON pull reader: escapes, UTF-8 checked, runs of plain text at once. */
#include <string.h>

#include "io/json_plain.h"
#include "io/json_reader_parts.h"

static sqn_status append_code_point(sqn_json_reader *r, unsigned c) {
    unsigned char b[4];
    if (c < 0x80) {
        b[0] = (unsigned char)c;
        return sqn_json_append(r, b, 1);
    }
    if (c < 0x800) {
        b[0] = (unsigned char)(0xc0 | c >> 6);
        b[1] = (unsigned char)(0x80 | (c & 63));
        return sqn_json_append(r, b, 2);
    }
    if (c < 0x10000) {
        b[0] = (unsigned char)(0xe0 | c >> 12);
        b[1] = (unsigned char)(0x80 | (c >> 6 & 63));
        b[2] = (unsigned char)(0x80 | (c & 63));
        return sqn_json_append(r, b, 3);
    }
    b[0] = (unsigned char)(0xf0 | c >> 18);
    b[1] = (unsigned char)(0x80 | (c >> 12 & 63));
    b[2] = (unsigned char)(0x80 | (c >> 6 & 63));
    b[3] = (unsigned char)(0x80 | (c & 63));
    return sqn_json_append(r, b, 4);
}

/* One character of two to four bytes, checked as the Unicode standard's table 3-7 says. */
static sqn_status read_utf8(sqn_json_reader *r) {
    int lead = sqn_json_peek(r), more, low = 0x80, high = 0xbf;
    if (lead >= 0xc2 && lead <= 0xdf)
        more = 1;
    else if (lead >= 0xe0 && lead <= 0xef)
        more = 2;
    else if (lead >= 0xf0 && lead <= 0xf4)
        more = 3;
    else
        return sqn_json_wrong(r, "invalid UTF-8: no character starts with the byte 0x%02x",
                              (unsigned)lead);
    if (lead == 0xe0) low = 0xa0;
    if (lead == 0xed) high = 0x9f; /* surrogates have no UTF-8 form */
    if (lead == 0xf0) low = 0x90;
    if (lead == 0xf4) high = 0x8f;
    SQN_TRY(sqn_json_take(r));
    for (int i = 0; i < more; i++) {
        int c = sqn_json_peek(r);
        if (c < 0) return sqn_json_ends_inside(r, "a UTF-8 character");
        if (c < low || c > high)
            return sqn_json_wrong(r, "invalid UTF-8: the byte 0x%02x cannot stand here",
                                  (unsigned)c);
        SQN_TRY(sqn_json_take(r));
        r->continuation++;
        low = 0x80;
        high = 0xbf;
    }
    return SQN_OK;
}

static sqn_status read_hex4(sqn_json_reader *r, unsigned *out) {
    *out = 0;
    for (int i = 0; i < 4; i++) {
        int c = sqn_json_peek(r);
        unsigned digit;
        if (c >= '0' && c <= '9')
            digit = (unsigned)c - '0';
        else if (c >= 'a' && c <= 'f')
            digit = (unsigned)c - 'a' + 10;
        else if (c >= 'A' && c <= 'F')
            digit = (unsigned)c - 'A' + 10;
        else if (c < 0)
            return sqn_json_ends_inside(r, "a string");
        else
            return sqn_json_unexpected(r, c, "four hexadecimal digits after \\u");
        *out = *out << 4 | digit;
        r->at++;
    }
    return SQN_OK;
}

/* After the backslash. *high: a high surrogate that waits for its partner, 0 for none. */
static sqn_status read_escape(sqn_json_reader *r, unsigned *high) {
    int c = sqn_json_peek(r);
    unsigned before = *high, code;
    *high = 0;
    if (c == 'u') {
        r->at++;
        SQN_TRY(read_hex4(r, &code));
        if (before != 0 && code >= 0xdc00 && code <= 0xdfff)
            return append_code_point(r, 0x10000 + ((before - 0xd800) << 10) + (code - 0xdc00));
    } else {
        static const char meanings[] = {['b'] = '\b', ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r',
                                        ['t'] = '\t', ['"'] = '"',  ['\\'] = '\\', ['/'] = '/'};
        if (c < 0) return sqn_json_ends_inside(r, "a string");
        code = (size_t)c < sizeof meanings ? (unsigned char)meanings[c] : 0;
        if (code == 0)
            return sqn_json_unexpected(r, c, "one of \" \\ / b f n r t u after a backslash");
        r->at++;
    }
    if (before != 0) SQN_TRY(append_code_point(r, before));
    if (code >= 0xd800 && code <= 0xdbff) {
        *high = code;
        return SQN_OK;
    }
    return append_code_point(r, code);
}

/* Bytes at p that a string takes as they are, characters beyond ASCII counted in r->continuation.
 * What is odd, or may go on in the next window, is left to the slow way. */
static size_t plain_run(sqn_json_reader *r, const unsigned char *p, const unsigned char *stop) {
    const unsigned char *from = p;
    for (;;) {
        p = sqn_json_plain(p, stop);
        bool two = stop - p >= 2 && p[0] >= 0xc2 && p[0] <= 0xdf && (p[1] & 0xc0) == 0x80;
        bool three = stop - p >= 3 && p[0] > 0xe0 && p[0] <= 0xef && p[0] != 0xed &&
                     (p[1] & 0xc0) == 0x80 && (p[2] & 0xc0) == 0x80;
        if (!two && !three) return (size_t)(p - from);
        p += two ? 2 : 3;
        r->continuation += two ? 1 : 2;
    }
}

sqn_status sqn_json_read_string(sqn_json_reader *r) {
    unsigned high = 0;
    r->at++;
    for (;;) {
        const unsigned char *from = r->bytes + r->at, *stop = r->bytes + r->end;
        const unsigned char *p = from + plain_run(r, from, stop);
        int c = p < stop ? *p : -1;
        if (high != 0 && (p > from || (c >= 0 && c != '\\'))) {
            SQN_TRY(append_code_point(r, high));
            high = 0;
        }
        if (p > from) SQN_TRY(sqn_json_append(r, from, (size_t)(p - from)));
        r->at += (size_t)(p - from);
        if (c < 0 && sqn_json_peek(r) >= 0) continue; /* the window moved on */
        if (c < 0) return sqn_json_ends_inside(r, "a string");
        if (c == '"') {
            r->at++;
            return SQN_OK;
        }
        if (c == '\\') {
            r->at++;
            SQN_TRY(read_escape(r, &high));
        } else if (c < 0x20) {
            return sqn_json_wrong(
                r, "the control character 0x%02x must be written \\u%04x in a string", (unsigned)c,
                (unsigned)c);
        } else {
            SQN_TRY(read_utf8(r));
        }
    }
}
