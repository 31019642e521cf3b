/* SHA-256 (FIPS 180-4), for digests of files; no secret passes through it. */
#ifndef SQN_IO_SHA256_H
#define SQN_IO_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct sqn_sha256 {
    uint32_t state[8];
    uint64_t bytes;
    unsigned char block[64];
} sqn_sha256;

void sqn_sha256_start(sqn_sha256 *h);
void sqn_sha256_add(sqn_sha256 *h, const void *bytes, size_t n);
void sqn_sha256_finish(sqn_sha256 *h, char hex[65]);

#endif
