/* Bytes spelled as characters: GPT-2's alphabet of byte-level BPE, and <0xXX> of byte fallback. */
#include "text/tokenizer_parts.h"

/* Printable Latin-1 characters stand for themselves; the other 68 bytes for U+0100 and on. */
static bool is_plain(unsigned byte) {
    return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

uint32_t sqn_alphabet_character(unsigned byte) {
    if (is_plain(byte)) return byte;
    uint32_t c = 0x100;
    for (unsigned i = 0; i < byte; i++) c += !is_plain(i);
    return c;
}

int sqn_alphabet_byte(uint32_t c) {
    if (c < 0x100) return is_plain(c) ? (int)c : -1;
    if (c < 0x100 + 33) return (int)(c - 0x100);             /* 0x00 … 0x20 */
    if (c < 0x100 + 67) return (int)(c - 0x100 - 33 + 0x7F); /* 0x7F … 0xA0 */
    return c == 0x100 + 67 ? 0xAD : -1;
}

static int hex(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

int sqn_fallback_byte(const char *token, size_t n) {
    if (n != 6 || memcmp(token, "<0x", 3) != 0 || token[5] != '>') return -1;
    int high = hex(token[3]), low = hex(token[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}
