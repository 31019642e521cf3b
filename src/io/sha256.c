/* SHA-256: see sha256.h. The constants are the fractional parts of the cube roots (round) and
 * square roots (start) of the first primes. */
#include "io/sha256.h"

#include <stdio.h>
#include <string.h>

static const uint32_t round_constant[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

static void compress(uint32_t state[8], const unsigned char *block) {
    uint32_t w[64], s[8];
    for (int i = 0; i < 16; i++, block += 4)
        w[i] = (uint32_t)block[0] << 24 | (uint32_t)block[1] << 16 | (uint32_t)block[2] << 8 |
               block[3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t b = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + a + w[i - 7] + b;
    }
    memcpy(s, state, sizeof s);
#pragma GCC unroll 8
    for (int i = 0; i < 64; i++) { /* the eight words stay in place; their roles move on */
#define AT(role) s[(role - i) & 7]
        uint32_t e = AT(4), a = AT(0);
        uint32_t one = AT(7) + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) +
                       ((e & AT(5)) ^ (~e & AT(6))) + round_constant[i] + w[i];
        uint32_t two = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) +
                       ((a & AT(1)) ^ (a & AT(2)) ^ (AT(1) & AT(2)));
        AT(3) += one;
        AT(7) = one + two;
#undef AT
    }
    for (int i = 0; i < 8; i++) state[i] += s[i];
}

void sqn_sha256_start(sqn_sha256 *h) {
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(h->state, start, sizeof start);
    h->bytes = 0;
}

void sqn_sha256_add(sqn_sha256 *h, const void *bytes, size_t n) {
    const unsigned char *p = bytes;
    size_t held = h->bytes % 64;
    h->bytes += n;
    if (held > 0) {
        size_t part = n < 64 - held ? n : 64 - held;
        memcpy(h->block + held, p, part);
        p += part;
        n -= part;
        if (held + part < 64) return;
        compress(h->state, h->block);
    }
    for (; n >= 64; p += 64, n -= 64) compress(h->state, p);
    if (n > 0) memcpy(h->block, p, n);
}

void sqn_sha256_finish(sqn_sha256 *h, char hex[65]) {
    uint64_t bits = h->bytes * 8;
    unsigned char end[72] = {0x80};
    size_t held = h->bytes % 64, zeros = (held < 56 ? 56 : 120) - held;
    for (int i = 0; i < 8; i++) end[zeros + (size_t)i] = (unsigned char)(bits >> (56 - 8 * i));
    sqn_sha256_add(h, end, zeros + 8);
    for (int i = 0; i < 8; i++) snprintf(hex + 8 * i, 9, "%08x", h->state[i]);
}
