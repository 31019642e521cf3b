/* Philox 4x32-10, the counter-based generator of all random numbers (Salmon et al., 2011): the same
 * on every device. Key: the low words of seed and stream mixed; counter: (position, stream). */
#ifndef SQN_PHILOX_H
#define SQN_PHILOX_H

#include <stdint.h>

typedef struct sqn_philox {
    uint32_t v[4];
} sqn_philox;

/* The four words at `position` of (seed, stream). */
static inline sqn_philox sqn_philox_at(uint64_t seed, uint64_t stream, uint64_t position) {
    uint32_t c0 = (uint32_t)position, c1 = (uint32_t)(position >> 32), c2 = (uint32_t)stream,
             c3 = (uint32_t)(stream >> 32);
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return (sqn_philox){{c0, c1, c2, c3}};
}

/* [0, 1) with 24 bits. */
static inline float sqn_philox_unit(uint32_t word) { return (float)(word >> 8) * 0x1p-24f; }

#endif
