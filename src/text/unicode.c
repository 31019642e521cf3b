/* The class table and UTF-8: see unicode.h. */
#include "text/unicode.h"

#include <pthread.h>
#include <utf8proc.h>

#include "text/nfc.h"

uint8_t sqn_unicode_class_table[SQN_UNICODE_TABLE];

static unsigned class_of(uint32_t c) {
    utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    bool letter = k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
    bool mark = k >= UTF8PROC_CATEGORY_MN && k <= UTF8PROC_CATEGORY_ME;
    bool number = k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO;
    bool space = (c >= 9 && c <= 13) || c == 0x85 || k == UTF8PROC_CATEGORY_ZS ||
                 k == UTF8PROC_CATEGORY_ZL || k == UTF8PROC_CATEGORY_ZP;
    bool word = letter || mark || k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_PC;
    return (letter ? SQN_CHAR_LETTER : 0u) | (number ? SQN_CHAR_NUMBER : 0u) |
           (space ? SQN_CHAR_SPACE : 0u) | (word ? SQN_CHAR_WORD : 0u);
}

static void add_class(const sqn_unicode_range *ranges, size_t count, unsigned bits) {
    for (size_t i = 0; i < count; i++)
        for (uint32_t c = ranges[i].first; c <= ranges[i].last && c < SQN_UNICODE_TABLE; c++)
            sqn_unicode_class_table[c] |= (uint8_t)bits;
}

static void fill_table(void) {
    for (uint32_t c = 0; c < SQN_UNICODE_TABLE; c++)
        sqn_unicode_class_table[c] = (uint8_t)class_of(c);
    add_class(sqn_unicode_more_letters, sqn_unicode_more_letters_count,
              SQN_CHAR_LETTER | SQN_CHAR_WORD);
    add_class(sqn_unicode_more_numbers, sqn_unicode_more_numbers_count, SQN_CHAR_NUMBER);
    sqn_nfc_fill(sqn_unicode_class_table, SQN_UNICODE_TABLE);
}

void sqn_unicode_init(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill_table);
}

size_t sqn_utf8_put(char *p, uint32_t c) {
    if (c < 0x80) {
        p[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        p[0] = (char)(0xC0 | c >> 6);
        p[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        p[0] = (char)(0xE0 | c >> 12);
        p[1] = (char)(0x80 | (c >> 6 & 0x3F));
        p[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    p[0] = (char)(0xF0 | c >> 18);
    p[1] = (char)(0x80 | (c >> 12 & 0x3F));
    p[2] = (char)(0x80 | (c >> 6 & 0x3F));
    p[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

size_t sqn_utf8_count(const char *p, size_t n) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++) count += sqn_utf8_is_start(p[i]);
    return count;
}

/* The length of the character at p; 0 and the length of the invalid part in *bad if it is none. */
static size_t valid_character(const unsigned char *p, size_t n, size_t *bad) {
    size_t length = p[0] < 0x80   ? 1
                    : p[0] < 0xC2 ? 0
                    : p[0] < 0xE0 ? 2
                    : p[0] < 0xF0 ? 3
                    : p[0] < 0xF5 ? 4
                                  : 0;
    *bad = 1;
    /* what the second byte may be: no overlong form, no surrogate, nothing past U+10FFFF */
    unsigned char low = p[0] == 0xE0 ? 0xA0 : p[0] == 0xF0 ? 0x90 : 0x80;
    unsigned char high = p[0] == 0xED ? 0x9F : p[0] == 0xF4 ? 0x8F : 0xBF;
    for (size_t i = 1; i < length; i++, low = 0x80, high = 0xBF) {
        if (i >= n || p[i] < low || p[i] > high) {
            *bad = i;
            return 0;
        }
    }
    return length;
}

size_t sqn_utf8_valid(const char *text, size_t n, size_t *bad) {
    const unsigned char *p = (const unsigned char *)text;
    size_t i = 0;
    *bad = 0;
    while (i < n) {
        uint64_t eight;
        if (n - i >= sizeof eight &&
            (memcpy(&eight, p + i, sizeof eight), (eight & 0x8080808080808080u) == 0)) {
            i += sizeof eight;
            continue;
        }
        if (p[i] < 0x80) {
            i++;
            continue;
        }
        size_t length = valid_character(p + i, n - i, bad);
        if (length == 0) return i;
        i += length;
    }
    *bad = 0;
    return n;
}

sqn_status sqn_utf8_lossy(const char *p, size_t n, sqn_bytes *out, sqn_err *e) {
    while (n > 0) {
        size_t bad, good = sqn_utf8_valid(p, n, &bad);
        SQN_TRY(sqn_bytes_add(out, p, good, e));
        if (bad > 0) SQN_TRY(sqn_bytes_add(out, "\xEF\xBF\xBD", 3, e));
        p += good + bad;
        n -= good + bad;
    }
    return SQN_OK;
}
