/* The block products of BF16 attention on AMX tiles (amx.h); without them tiles_ready() is 0 and
 * nothing else is called.
 *
 * Scores: A is the keys as they lie, [16 keys, 32 of a head], B the queries packed once per block
 * of rows. Values: A is the weights, rounded to BF16 and turned to [16 rows, 32 keys], B the values
 * packed as pairs of keys. Backward's gradients of keys and values: A is the weights as they lie,
 * [16 keys, 32 rows], B the rows packed as pairs once per block. */
#ifndef SQN_CPU_ATTENTION_TILES_H
#define SQN_CPU_ATTENTION_TILES_H

#include <string.h>

#include "kernels/cpu/amx.h"

#ifndef SQN_AMX
static inline int tiles_ready(void) { return 0; }
#define TILES_CALL(call) ((void)0)
#else
#define TILES_CALL(call) (call)
#define TILE_WORDS 512
static inline int tiles_ready(void) { return amx_granted(); }

/* Stores 16 vectors as a tile. */
static inline void tiles_store(sqn_bf16 *out, const __m512i v[16]) {
    for (int i = 0; i < 16; i++) _mm512_store_si512(out + 32 * i, v[i]);
}

/* Rows as the B of scores: out [width / 16, dim steps] tiles; row r is q[r / group * ld + r % group
 * * dim]. */
static inline void tiles_queries(const sqn_bf16 *q, int64_t ld, int64_t group, int64_t rows,
                                 int64_t dim, int64_t width, sqn_bf16 *out) {
    for (int64_t r0 = 0; r0 < width; r0 += 16)
        for (int64_t d = 0; d < dim; d += 32, out += TILE_WORDS) {
            const __mmask32 mask = dim - d >= 32 ? ~0u : (1u << (dim - d)) - 1;
            __m512i v[16];
            for (int64_t i = 0; i < 16; i++) {
                const int64_t r = r0 + i < rows ? r0 + i : 0;
                v[i] = _mm512_maskz_loadu_epi16(r0 + i < rows ? mask : 0,
                                                q + r / group * ld + r % group * dim + d);
            }
            amx_transpose(v);
            tiles_store(out, v);
        }
}

/* s [keys rounded up to 16, width] = keys times queries; `buffer` holds [keys, dim rounded up to
 * 32]. */
static inline void tiles_scores(const sqn_bf16 *k, int64_t ld, int64_t keys, int64_t dim,
                                const sqn_bf16 *queries, int64_t width, sqn_bf16 *buffer,
                                float *s) {
    const int64_t steps = (dim + 31) / 32;
    if (keys % 16 || dim % 32) {
        const int64_t padded = (keys + 15) / 16 * 16;
        for (int64_t i = 0; i < padded; i++)
            for (int64_t d = 0; d < dim; d += 32) {
                const __mmask32 mask = dim - d >= 32 ? ~0u : (1u << (dim - d)) - 1;
                const __m512i v =
                    _mm512_maskz_loadu_epi16(i < keys ? mask : 0, k + (i < keys ? i * ld + d : 0));
                _mm512_storeu_si512(buffer + i * steps * 32 + d, v);
            }
        k = buffer;
        ld = steps * 32;
    }
    __asm__ volatile("" ::: "memory"); /* gcc 12's tile loads do not say that they read memory */
    for (int64_t j = 0; j < keys; j += 16)
        for (int64_t r = 0; r < width; r += 16) {
            _tile_zero(0);
            for (int64_t t = 0; t < steps; t++) {
                _tile_loadd(4, k + j * ld + 32 * t, 2 * ld);
                _tile_loadd(6, queries + (r / 16 * steps + t) * TILE_WORDS, 64);
                _tile_dpbf16ps(0, 4, 6);
            }
            _tile_stored(0, s + j * width + r, 4 * width);
        }
}

/* Pairs of 16 weights of keys j and j + 1 as BF16. */
static inline __m512i tiles_pair(const float *s, int64_t width, int64_t j, int64_t keys) {
    const __m512 low = _mm512_maskz_loadu_ps(j < keys ? 0xffff : 0, s + j * width);
    const __m512 high = _mm512_maskz_loadu_ps(j + 1 < keys ? 0xffff : 0, s + (j + 1) * width);
    const __m512i l = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(low));
    const __m512i h = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(high));
    return _mm512_or_si512(l, _mm512_slli_epi32(h, 16));
}

/* Rows as the B of a product over them: [rows / 32, dims / 16] tiles of pairs of rows; rows is
 * rounded up to 32, dims is dim rounded up to 16. */
static inline void tiles_pairs(const sqn_bf16 *v, int64_t ld, int64_t rows, int64_t dim,
                               int64_t dims, sqn_bf16 *tile) {
    __m512i x[16];
    for (int64_t j = 0; j < rows; j += 32)
        for (int64_t d = 0; d < dims; d += 16, tile += TILE_WORDS) {
            const __mmask16 mask = (__mmask16)(dim - d >= 16 ? 0xffff : (1u << (dim - d)) - 1);
            for (int64_t i = 0; i < 16; i++) {
                const int64_t a = j + 2 * i < rows ? j + 2 * i : 0, b = a + 1 < rows ? a + 1 : 0;
                const __m256i l =
                    _mm256_maskz_loadu_epi16(j + 2 * i < rows ? mask : 0, v + a * ld + d);
                const __m256i h =
                    _mm256_maskz_loadu_epi16(j + 2 * i + 1 < rows ? mask : 0, v + b * ld + d);
                x[i] = _mm512_or_si512(_mm512_cvtepu16_epi32(l),
                                       _mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
            }
            tiles_store(tile, x);
        }
}

/* out [width, dims] += the weights s [keys, width] turned, times values [keys, dim]; dims = dim
 * rounded up to 16; `buffer` holds [keys rounded up to 32, dims]. */
static inline void tiles_values(const float *s, int64_t keys, int64_t width, const sqn_bf16 *v,
                                int64_t ld, int64_t dim, int64_t dims, sqn_bf16 *buffer,
                                float *out) {
    _Alignas(64) sqn_bf16 weights[TILE_WORDS];
    __m512i x[16];
    tiles_pairs(v, ld, keys, dim, dims, buffer);
    for (int64_t j = 0; j < keys; j += 32)
        for (int64_t r = 0; r < width; r += 16) {
            for (int64_t i = 0; i < 16; i++) x[i] = tiles_pair(s + r, width, j + 2 * i, keys);
            amx_transpose(x);
            tiles_store(weights, x);
            __asm__ volatile("" ::: "memory");
            _tile_loadd(4, weights, 64);
            for (int64_t d = 0; d < dims; d += 16) {
                _tile_loadd(0, out + r * dims + d, 4 * dims);
                _tile_loadd(6, buffer + (j / 32 * dims + d) / 16 * TILE_WORDS, 64);
                _tile_dpbf16ps(0, 4, 6);
                _tile_stored(0, out + r * dims + d, 4 * dims);
            }
        }
}

/* 16 rows of s from key j on as the A of a product over its columns: columns / 32 tiles. */
static inline void tiles_weights(const float *s, int64_t j, int64_t keys, int64_t columns,
                                 int64_t width, sqn_bf16 *tile) {
    for (int64_t r = 0; r < columns; r += 32, tile += TILE_WORDS)
        for (int64_t i = 0; i < 16; i++) {
            const __mmask16 mask = j + i < keys ? 0xffff : 0;
            const float *row = s + (j + i < keys ? j + i : 0) * width + r;
            const __m512bh pair = _mm512_cvtne2ps_pbh(_mm512_maskz_loadu_ps(mask, row + 16),
                                                      _mm512_maskz_loadu_ps(mask, row));
            _mm512_store_si512(tile + 32 * i, (__m512i)pair);
        }
}

/* out [keys, dims] += s [keys, width] times the rows that `pairs` holds; at most 64 of them. */
static inline void tiles_rows(const float *s, int64_t keys, int64_t rows, int64_t width,
                              const sqn_bf16 *pairs, int64_t dims, float *out) {
    _Alignas(64) sqn_bf16 weights[2 * TILE_WORDS];
    _Alignas(64) float last[256] = {0}; /* the rows behind `keys` belong to somebody else */
    for (int64_t j = 0; j < keys; j += 16) {
        const int64_t count = keys - j < 16 ? keys - j : 16;
        tiles_weights(s, j, keys, rows, width, weights);
        for (int64_t d = 0; d < dims; d += 16) {
            float *c = count < 16 ? last : out + j * dims + d;
            const int64_t ldc = count < 16 ? 16 : dims;
            for (int64_t i = 0; i < count && count < 16; i++)
                memcpy(last + 16 * i, out + (j + i) * dims + d, 64);
            __asm__ volatile("" ::: "memory");
            _tile_loadd(0, c, 4 * ldc);
            for (int64_t r = 0; r < rows; r += 32) {
                _tile_loadd(4, weights + r / 32 * TILE_WORDS, 64);
                _tile_loadd(6, pairs + (r / 32 * dims + d) / 16 * TILE_WORDS, 64);
                _tile_dpbf16ps(0, 4, 6);
            }
            _tile_stored(0, c, 4 * ldc);
            __asm__ volatile("" ::: "memory");
            for (int64_t i = 0; i < count && count < 16; i++)
                memcpy(out + (j + i) * dims + d, last + 16 * i, 64);
        }
    }
}
#endif

#endif
