/* Characters as Hugging Face tokenizers sees them: classes of Unicode 16, NFC of Unicode 9.
 *
 * Rules: utf8proc has the data, unicode_tables.c the differences; sqn_unicode_init fills the class
 * table once per process (any thread, any number of calls) and must run before the rest. Text given
 * to these functions is valid UTF-8.
 */
#ifndef SQN_TEXT_UNICODE_H
#define SQN_TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "text/bytes.h"

typedef struct sqn_unicode_range {
    uint32_t first, last;
} sqn_unicode_range;

extern const sqn_unicode_range sqn_unicode_more_letters[], sqn_unicode_more_numbers[],
    sqn_unicode_unordered_marks[];
extern const size_t sqn_unicode_more_letters_count, sqn_unicode_more_numbers_count,
    sqn_unicode_unordered_marks_count;

/* Class bits. SQN_CHAR_NFC: NFC may change the text around it; a run without it is in NFC. */
enum {
    SQN_CHAR_LETTER = 1,
    SQN_CHAR_NUMBER = 2,
    SQN_CHAR_SPACE = 4,
    SQN_CHAR_NFC = 8,
    SQN_CHAR_WORD = 16
};

/* Beyond this there is no letter, number, space or mark but the variation selectors and tags of
 * plane 14, which have no class here. */
enum { SQN_UNICODE_TABLE = 0x33480 };
extern uint8_t sqn_unicode_class_table[SQN_UNICODE_TABLE];

void sqn_unicode_init(void);

static inline unsigned sqn_unicode_class(uint32_t c) {
    return c < SQN_UNICODE_TABLE ? sqn_unicode_class_table[c] : 0;
}

/* The character at p (valid UTF-8) and its length in bytes. */
static inline uint32_t sqn_utf8_get(const char *p, size_t *length) {
    const unsigned char *u = (const unsigned char *)p;
    if (u[0] < 0x80) {
        *length = 1;
        return u[0];
    }
    if (u[0] < 0xE0) {
        *length = 2;
        return (uint32_t)(u[0] & 0x1F) << 6 | (u[1] & 0x3Fu);
    }
    if (u[0] < 0xF0) {
        *length = 3;
        return (uint32_t)(u[0] & 0x0F) << 12 | (uint32_t)(u[1] & 0x3F) << 6 | (u[2] & 0x3Fu);
    }
    *length = 4;
    return (uint32_t)(u[0] & 0x07) << 18 | (uint32_t)(u[1] & 0x3F) << 12 |
           (uint32_t)(u[2] & 0x3F) << 6 | (u[3] & 0x3Fu);
}

static inline bool sqn_utf8_is_start(char c) { return ((unsigned char)c & 0xC0) != 0x80; }

/* Writes c at p (room for 4) and returns the length. */
size_t sqn_utf8_put(char *p, uint32_t c);
/* How many code points n bytes of valid UTF-8 hold. */
size_t sqn_utf8_count(const char *p, size_t n);
/* The length of the valid beginning of n bytes; *bad is the length of the maximal invalid part
 * after it (0 if all is valid). No surrogates, no overlong forms. */
size_t sqn_utf8_valid(const char *p, size_t n, size_t *bad);
/* Appends n bytes to out, one U+FFFD for each maximal invalid part. */
sqn_status sqn_utf8_lossy(const char *p, size_t n, sqn_bytes *out, sqn_err *e);

/* Appends the NFC of a text to out. Where `charges` is not NULL, it gets the code point of the text
 * (counted from 0) that each code point of the result belongs to. */
sqn_status sqn_unicode_nfc(const char *text, size_t n, sqn_bytes *out, sqn_words *charges,
                           sqn_err *e);
/* Whether NFC leaves a text as it is, as far as a look at each character tells (false: ask NFC). */
bool sqn_unicode_is_nfc(const char *text, size_t n);

#endif
