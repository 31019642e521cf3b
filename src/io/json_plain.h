/* Runs of bytes that stand in a JSON string as they are: shared by its reader and its writer. */
#ifndef SQN_IO_JSON_PLAIN_H
#define SQN_IO_JSON_PLAIN_H

#include <stdint.h>
#include <string.h>

/* The first byte from p on that is a control character, a quote, a backslash or beyond ASCII; or
 * stop. Eight at a time: a byte's high bit is set in the mask where it is one of these. */
static inline const unsigned char *sqn_json_plain(const unsigned char *p,
                                                  const unsigned char *stop) {
    const uint64_t ones = UINT64_MAX / 255, high = ones << 7;
    for (uint64_t x, quote, slash; stop - p >= 8; p += 8) {
        memcpy(&x, p, 8);
        quote = x ^ ones * '"';
        slash = x ^ ones * '\\';
        uint64_t control = (x - ones * 0x20) & ~x;
        if ((x | control | ((quote - ones) & ~quote) | ((slash - ones) & ~slash)) & high) break;
    }
    while (p < stop && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\') p++;
    return p;
}

#endif
