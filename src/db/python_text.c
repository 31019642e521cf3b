/* Text as Python sees it: see python_text.h. Character data comes from utf8proc. */
#include "db/python_text.h"

#include <string.h>
#include <utf8proc.h>

#include "core/float_text.h"

/* Characters whose upper case is longer than one character (Unicode's SpecialCasing, the
 * unconditional part). In order. */
static const struct {
    unsigned from, to[3];
} long_upper[] = {{0xDF, {0x53, 0x53}},
                  {0x149, {0x2BC, 0x4E}},
                  {0x1F0, {0x4A, 0x30C}},
                  {0x390, {0x399, 0x308, 0x301}},
                  {0x3B0, {0x3A5, 0x308, 0x301}},
                  {0x587, {0x535, 0x552}},
                  {0x1E96, {0x48, 0x331}},
                  {0x1E97, {0x54, 0x308}},
                  {0x1E98, {0x57, 0x30A}},
                  {0x1E99, {0x59, 0x30A}},
                  {0x1E9A, {0x41, 0x2BE}},
                  {0x1F50, {0x3A5, 0x313}},
                  {0x1F52, {0x3A5, 0x313, 0x300}},
                  {0x1F54, {0x3A5, 0x313, 0x301}},
                  {0x1F56, {0x3A5, 0x313, 0x342}},
                  {0x1F80, {0x1F08, 0x399}},
                  {0x1F81, {0x1F09, 0x399}},
                  {0x1F82, {0x1F0A, 0x399}},
                  {0x1F83, {0x1F0B, 0x399}},
                  {0x1F84, {0x1F0C, 0x399}},
                  {0x1F85, {0x1F0D, 0x399}},
                  {0x1F86, {0x1F0E, 0x399}},
                  {0x1F87, {0x1F0F, 0x399}},
                  {0x1F88, {0x1F08, 0x399}},
                  {0x1F89, {0x1F09, 0x399}},
                  {0x1F8A, {0x1F0A, 0x399}},
                  {0x1F8B, {0x1F0B, 0x399}},
                  {0x1F8C, {0x1F0C, 0x399}},
                  {0x1F8D, {0x1F0D, 0x399}},
                  {0x1F8E, {0x1F0E, 0x399}},
                  {0x1F8F, {0x1F0F, 0x399}},
                  {0x1F90, {0x1F28, 0x399}},
                  {0x1F91, {0x1F29, 0x399}},
                  {0x1F92, {0x1F2A, 0x399}},
                  {0x1F93, {0x1F2B, 0x399}},
                  {0x1F94, {0x1F2C, 0x399}},
                  {0x1F95, {0x1F2D, 0x399}},
                  {0x1F96, {0x1F2E, 0x399}},
                  {0x1F97, {0x1F2F, 0x399}},
                  {0x1F98, {0x1F28, 0x399}},
                  {0x1F99, {0x1F29, 0x399}},
                  {0x1F9A, {0x1F2A, 0x399}},
                  {0x1F9B, {0x1F2B, 0x399}},
                  {0x1F9C, {0x1F2C, 0x399}},
                  {0x1F9D, {0x1F2D, 0x399}},
                  {0x1F9E, {0x1F2E, 0x399}},
                  {0x1F9F, {0x1F2F, 0x399}},
                  {0x1FA0, {0x1F68, 0x399}},
                  {0x1FA1, {0x1F69, 0x399}},
                  {0x1FA2, {0x1F6A, 0x399}},
                  {0x1FA3, {0x1F6B, 0x399}},
                  {0x1FA4, {0x1F6C, 0x399}},
                  {0x1FA5, {0x1F6D, 0x399}},
                  {0x1FA6, {0x1F6E, 0x399}},
                  {0x1FA7, {0x1F6F, 0x399}},
                  {0x1FA8, {0x1F68, 0x399}},
                  {0x1FA9, {0x1F69, 0x399}},
                  {0x1FAA, {0x1F6A, 0x399}},
                  {0x1FAB, {0x1F6B, 0x399}},
                  {0x1FAC, {0x1F6C, 0x399}},
                  {0x1FAD, {0x1F6D, 0x399}},
                  {0x1FAE, {0x1F6E, 0x399}},
                  {0x1FAF, {0x1F6F, 0x399}},
                  {0x1FB2, {0x1FBA, 0x399}},
                  {0x1FB3, {0x391, 0x399}},
                  {0x1FB4, {0x386, 0x399}},
                  {0x1FB6, {0x391, 0x342}},
                  {0x1FB7, {0x391, 0x342, 0x399}},
                  {0x1FBC, {0x391, 0x399}},
                  {0x1FC2, {0x1FCA, 0x399}},
                  {0x1FC3, {0x397, 0x399}},
                  {0x1FC4, {0x389, 0x399}},
                  {0x1FC6, {0x397, 0x342}},
                  {0x1FC7, {0x397, 0x342, 0x399}},
                  {0x1FCC, {0x397, 0x399}},
                  {0x1FD2, {0x399, 0x308, 0x300}},
                  {0x1FD3, {0x399, 0x308, 0x301}},
                  {0x1FD6, {0x399, 0x342}},
                  {0x1FD7, {0x399, 0x308, 0x342}},
                  {0x1FE2, {0x3A5, 0x308, 0x300}},
                  {0x1FE3, {0x3A5, 0x308, 0x301}},
                  {0x1FE4, {0x3A1, 0x313}},
                  {0x1FE6, {0x3A5, 0x342}},
                  {0x1FE7, {0x3A5, 0x308, 0x342}},
                  {0x1FF2, {0x1FFA, 0x399}},
                  {0x1FF3, {0x3A9, 0x399}},
                  {0x1FF4, {0x38F, 0x399}},
                  {0x1FF6, {0x3A9, 0x342}},
                  {0x1FF7, {0x3A9, 0x342, 0x399}},
                  {0x1FFC, {0x3A9, 0x399}},
                  {0xFB00, {0x46, 0x46}},
                  {0xFB01, {0x46, 0x49}},
                  {0xFB02, {0x46, 0x4C}},
                  {0xFB03, {0x46, 0x46, 0x49}},
                  {0xFB04, {0x46, 0x46, 0x4C}},
                  {0xFB05, {0x53, 0x54}},
                  {0xFB06, {0x53, 0x54}},
                  {0xFB13, {0x544, 0x546}},
                  {0xFB14, {0x544, 0x535}},
                  {0xFB15, {0x544, 0x53B}},
                  {0xFB16, {0x54E, 0x546}},
                  {0xFB17, {0x544, 0x53D}}};

size_t sqn_python_decode(const char *s, size_t n, unsigned *c) {
    unsigned char first = (unsigned char)*s;
    if (first < 0x80) {
        *c = first;
        return 1;
    }
    utf8proc_int32_t point;
    utf8proc_ssize_t length =
        utf8proc_iterate((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)(n < 4 ? n : 4), &point);
    *c = length > 0 ? (unsigned)point : first;
    return length > 0 ? (size_t)length : 1;
}

static void put_char(sqn_buf *to, unsigned c) {
    utf8proc_uint8_t bytes[4];
    utf8proc_ssize_t n = utf8proc_encode_char((utf8proc_int32_t)c, bytes);
    sqn_buf_put(to, (const char *)bytes, (size_t)n);
}

size_t sqn_python_length(const char *s, size_t n) {
    size_t characters = 0;
    unsigned c;
    for (size_t i = 0; i < n; characters++) i += sqn_python_decode(s + i, n - i, &c);
    return characters;
}

bool sqn_python_is_word(unsigned c) {
    if (c < 0x80)
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_';
    utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    return (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO) ||
           (k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO);
}

bool sqn_python_is_space(unsigned c) {
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000;
}

int sqn_python_digit(unsigned c) {
    if (c < 0x80) return c >= '0' && c <= '9' ? (int)(c - '0') : -1;
    if (utf8proc_category((utf8proc_int32_t)c) != UTF8PROC_CATEGORY_ND) return -1;
    unsigned first = c; /* digits stand in runs of ten, or of several tens */
    while (utf8proc_category((utf8proc_int32_t)first - 1) == UTF8PROC_CATEGORY_ND) first--;
    return (int)((c - first) % 10);
}

void sqn_python_upper(sqn_buf *to, const char *s, size_t n) {
    unsigned c;
    for (size_t i = 0, length; i < n; i += length) {
        length = sqn_python_decode(s + i, n - i, &c);
        if (c < 0x80) {
            sqn_buf_put_byte(to, (char)(c >= 'a' && c <= 'z' ? c - 32 : c));
            continue;
        }
        if (length == 1) { /* not a character */
            sqn_buf_put(to, s + i, 1);
            continue;
        }
        size_t k = 0, count = sizeof long_upper / sizeof *long_upper;
        while (k < count && long_upper[k].from < c) k++;
        if (k == count || long_upper[k].from != c) {
            put_char(to, (unsigned)utf8proc_toupper((utf8proc_int32_t)c));
            continue;
        }
        for (int j = 0; j < 3 && long_upper[k].to[j]; j++) put_char(to, long_upper[k].to[j]);
    }
}

void sqn_python_lower(sqn_buf *to, const char *s, size_t n) {
    unsigned c;
    for (size_t i = 0, length; i < n; i += length) {
        length = sqn_python_decode(s + i, n - i, &c);
        if (c < 0x80)
            sqn_buf_put_byte(to, (char)(c >= 'A' && c <= 'Z' ? c + 32 : c));
        else if (length == 1)
            sqn_buf_put(to, s + i, 1);
        else if (c == 0x130) /* the one character whose lower case is longer */
            sqn_buf_put_string(to, "i\xCC\x87");
        else
            put_char(to, (unsigned)utf8proc_tolower((utf8proc_int32_t)c));
    }
}

void sqn_python_strip(const char **s, size_t *n) {
    unsigned c;
    while (*n > 0) {
        size_t length = sqn_python_decode(*s, *n, &c);
        if (!sqn_python_is_space(c)) break;
        *s += length;
        *n -= length;
    }
    while (*n > 0) {
        size_t back = 1;
        while (back < 4 && back < *n && ((unsigned char)(*s)[*n - back] & 0xC0) == 0x80) back++;
        if (sqn_python_decode(*s + *n - back, back, &c) != back || !sqn_python_is_space(c)) break;
        *n -= back;
    }
}

static char quote_for(const char *s, size_t n) {
    return memchr(s, '\'', n) && !memchr(s, '"', n) ? '"' : '\'';
}

/* The escapes that str and bytes share; false: the character stands for itself. */
static bool put_escape(sqn_buf *to, unsigned c, char quote) {
    switch (c) {
    case '\t':
        sqn_buf_put_string(to, "\\t");
        return true;
    case '\n':
        sqn_buf_put_string(to, "\\n");
        return true;
    case '\r':
        sqn_buf_put_string(to, "\\r");
        return true;
    case '\\':
        sqn_buf_put_string(to, "\\\\");
        return true;
    default:
        break;
    }
    if (c != (unsigned char)quote) return false;
    sqn_buf_put_byte(to, '\\');
    sqn_buf_put_byte(to, quote);
    return true;
}

void sqn_python_put_bytes(sqn_buf *to, const char *s, size_t n) {
    char quote = quote_for(s, n);
    sqn_buf_put_byte(to, 'b');
    sqn_buf_put_byte(to, quote);
    for (size_t i = 0; i < n; i++) {
        unsigned c = (unsigned char)s[i];
        if (put_escape(to, c, quote)) continue;
        if (c < 0x20 || c >= 0x7F)
            sqn_buf_put_format(to, "\\x%02x", c);
        else
            sqn_buf_put_byte(to, (char)c);
    }
    sqn_buf_put_byte(to, quote);
}

static bool printable(unsigned c) {
    if (c < 0x7F) return c >= 0x20;
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
        return false;
    default:
        return true;
    }
}

static bool is_surrogate(const char *s, size_t n) {
    return n >= 3 && (unsigned char)s[0] == 0xED && ((unsigned char)s[1] & 0xE0) == 0xA0 &&
           ((unsigned char)s[2] & 0xC0) == 0x80;
}

void sqn_python_put_repr(sqn_buf *to, const char *s, size_t n) {
    char quote = quote_for(s, n);
    unsigned c;
    sqn_buf_put_byte(to, quote);
    for (size_t i = 0, length; i < n; i += length) {
        length = sqn_python_decode(s + i, n - i, &c);
        if (put_escape(to, c, quote)) continue;
        bool character = length > 1 || c < 0x80;
        if (!character && is_surrogate(s + i, n - i)) { /* half a pair: three bytes */
            const unsigned char *half = (const unsigned char *)s + i;
            c = 0xD000 | (half[1] & 0x3Fu) << 6 | (half[2] & 0x3Fu);
            length = 3;
        }
        if (character && printable(c))
            sqn_buf_put(to, s + i, length);
        else
            sqn_buf_put_format(to, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
    }
    sqn_buf_put_byte(to, quote);
}

void sqn_python_put_float(sqn_buf *to, double x) {
    char text[SQN_FLOAT_TEXT];
    sqn_buf_put(to, text, sqn_float_text(text, x));
}

/* Bytes from s on that are [\w.-]. */
static size_t address_run(const char *s, size_t n) {
    size_t i = 0, length;
    unsigned c;
    for (; i < n; i += length) {
        length = sqn_python_decode(s + i, n - i, &c);
        if (c != '.' && c != '-' && !sqn_python_is_word(c)) break;
    }
    return i;
}

bool sqn_python_is_email(const char *s, size_t n) {
    size_t user = memchr(s, '@', n) ? address_run(s, n) : 0;
    if (user == 0 || user == n || s[user] != '@') return false;
    s += user + 1;
    n -= user + 1;
    if (n > 0 && s[n - 1] == '\n') n--; /* `$` matches before a last newline, too */
    if (address_run(s, n) != n) return false;
    const char *dot = memrchr(s, '.', n);
    /* something before the last dot, and only word characters, no '-', after it */
    return dot != NULL && dot > s && dot + 1 < s + n &&
           memchr(dot, '-', (size_t)(s + n - dot)) == NULL;
}
