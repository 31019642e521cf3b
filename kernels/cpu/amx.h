/* Tiles of Intel AMX: 16 rows of 64 bytes, products of bf16 pairs into f32. Private to kernels/cpu;
 * empty where the target lacks them. A thread brackets its use with amx_open and amx_close; tiles
 * 0..3 are sums, 4..7 operands, all at full size. */
#ifndef SQN_CPU_AMX_H
#define SQN_CPU_AMX_H

#if defined(__AMX_BF16__) && defined(__AMX_TILE__) && defined(__AVX512BF16__) && defined(__linux__)
#define SQN_AMX 1
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernels/kernels.h"

/* Asks the system once for the use of tiles: 1 if granted. */
static inline int amx_granted(void) {
    static int state; /* 0 unknown, 1 yes, 2 no; the answer is the same whoever asks first */
    int known = __atomic_load_n(&state, __ATOMIC_RELAXED);
    if (!known) {
        known =
            syscall(SYS_arch_prctl, 0x1023 /* ARCH_REQ_XCOMP_PERM */, 18 /* XTILEDATA */) ? 2 : 1;
        __atomic_store_n(&state, known, __ATOMIC_RELAXED);
    }
    return known == 1;
}

static inline void amx_open(void) {
    struct {
        uint8_t palette, start, zero[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {.palette = 1};
    for (int i = 0; i < 8; i++) config.row_bytes[i] = 64, config.rows[i] = 16;
    /* gcc 12 believes that the instruction reads 8 of the 64 bytes, and that tile loads read none.
     */
    __asm__ volatile("" : : "r"(&config) : "memory");
    _tile_loadconfig(&config);
}
static inline void amx_close(void) { _tile_release(); }

/* Transposes a 16 x 16 matrix of 32-bit words. */
static inline void amx_transpose(__m512i v[16]) {
    __m512i t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
    }
    for (int i = 0; i < 16; i += 4)
        for (int j = 0; j < 2; j++) {
            v[i + 2 * j] = _mm512_unpacklo_epi64(t[i + j], t[i + j + 2]);
            v[i + 2 * j + 1] = _mm512_unpackhi_epi64(t[i + j], t[i + j + 2]);
        }
    for (int i = 0; i < 4; i++) /* v[4 g + i]: columns i, i + 4, i + 8, i + 12 of rows 4 g .. */
        for (int g = 0; g < 4; g += 2) {
            t[4 * g + i] = _mm512_shuffle_i32x4(v[4 * g + i], v[4 * g + 4 + i], 0x88);
            t[4 * g + 4 + i] = _mm512_shuffle_i32x4(v[4 * g + i], v[4 * g + 4 + i], 0xdd);
        }
    for (int i = 0; i < 4; i++) {
        v[i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0x88);
        v[8 + i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0xdd);
        v[4 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0x88);
        v[12 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0xdd);
    }
}
#endif

#endif
