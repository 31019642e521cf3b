/* Products on AMX tiles: BF16, and F32 as sums of BF16 products.
 *
 * Both operands are packed into tiles of 1 KiB: A as [16 rows, 32 k], B as [16 pairs of k, 16 columns, 2]. The operand with
 * fewer rows or columns is packed once per block of k and shared; every thread packs its own blocks of the other, 32 wide,
 * which stay in the first cache, and runs them along the shared one. C is worked in squares of 32 x 32, k in blocks of DEPTH.
 * F32: x = h + m + l in BF16 holds its 24 bits, and a b = hh + hm + mh + mm + hl + lh to within 2^-24: six products of tiles
 * where FMA would take 16 times as long for one. Infinities come out as NaN. */
#include "kernels/cpu/amx.h"
#include "kernels/cpu/matmul.h"

#ifndef SQN_AMX
sqn_status matmul_amx(const sqn_k_matmul *a) {
    (void)a;
    return SQN_MISUSE;
}
#else
#include <omp.h>

#include "kernels/cpu/float.h"
#include "kernels/cpu/scratch.h"

#define INLINE static inline __attribute__((always_inline))
#define DEPTH 512       /* k of a block, at most */
#define SHARED 2048     /* rows of the shared operand packed at a time, at most */
#define TILE_WORDS 512  /* bf16 of a tile */

typedef struct operand {
    const void *at;
    int64_t count, ld; /* rows of A or columns of B */
    int contiguous;    /* along k */
    int is_b, planes;  /* 1: BF16; 3: F32 */
} operand;

typedef struct job {
    const sqn_k_matmul *a;
    operand shared, streamed;
    int64_t tiles;      /* along k in this block */
    int64_t k0, k_end;  /* of this block */
    int64_t s0, s_count; /* rows of the shared operand packed now */
    int first, last;    /* of the blocks of k */
    sqn_bf16 *packed;   /* shared tiles [row pair, k, plane] */
    void *c;
    float *sums;        /* [m, n] when C cannot hold partial sums */
} job;

/* 32 values along k of one row, as bf16 planes. */
INLINE void load_along(const operand *o, int64_t row, int64_t k0, int64_t n, __m512i *v) {
    if (o->planes == 1) {
        const sqn_bf16 *x = (const sqn_bf16 *)o->at + row * o->ld + k0;
        v[0] = _mm512_maskz_loadu_epi16((__mmask32)(n >= 32 ? ~0u : (1u << n) - 1), x);
        return;
    }
    const float *x = (const float *)o->at + row * o->ld + k0;
    const uint32_t mask = n >= 32 ? ~0u : (1u << n) - 1;
    __m512 low = _mm512_maskz_loadu_ps((__mmask16)mask, x);
    __m512 high = _mm512_maskz_loadu_ps((__mmask16)(mask >> 16), x + 16);
    for (int p = 0; p < 3; p++) {
        v[16 * p] = (__m512i)_mm512_cvtne2ps_pbh(high, low);
        __m512i l = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(v[16 * p]));
        __m512i h = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(v[16 * p], 1));
        low = _mm512_sub_ps(low, _mm512_castsi512_ps(_mm512_slli_epi32(l, 16)));
        high = _mm512_sub_ps(high, _mm512_castsi512_ps(_mm512_slli_epi32(h, 16)));
    }
}

/* Pairs (k, k + 1) of 16 rows: word r holds both values of row r. */
INLINE void load_across(const operand *o, int64_t row, int64_t n, int64_t k, int pair, __m512i *v) {
    const __mmask16 mask = (__mmask16)(n >= 16 ? 0xffff : (1u << n) - 1);
    const __mmask16 mask_2 = pair ? mask : 0;
    if (o->planes == 1) {
        const sqn_bf16 *x = (const sqn_bf16 *)o->at + k * o->ld + row;
        __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, x));
        __m512i high = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask_2, x + (pair ? o->ld : 0)));
        v[0] = _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
        return;
    }
    const float *x = (const float *)o->at + k * o->ld + row;
    __m512 low = _mm512_maskz_loadu_ps(mask, x);
    __m512 high = _mm512_maskz_loadu_ps(mask_2, x + (pair ? o->ld : 0));
    for (int p = 0; p < 3; p++) {
        __m512i l = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(low));
        __m512i h = _mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(high)), 16);
        v[16 * p] = _mm512_or_si512(l, h);
        low = _mm512_sub_ps(low, _mm512_castsi512_ps(_mm512_slli_epi32(l, 16)));
        high = _mm512_sub_ps(high, _mm512_castsi512_ps(h));
    }
}

/* One tile per plane: 16 rows from `row`, up to 32 values from k0. */
static void pack_tile(const operand *o, int64_t row, int64_t k0, int64_t k_end, sqn_bf16 *out) {
    __m512i v[48];
    const int64_t rows = o->count - row, n = k_end - k0;
    for (int i = 0; i < 16; i++) {
        for (int p = 0; p < o->planes; p++) v[16 * p + i] = _mm512_setzero_si512();
        if (o->contiguous && i < rows) load_along(o, row + i, k0, n, v + i);
        if (!o->contiguous && rows > 0 && 2 * i < n)
            load_across(o, row, rows, k0 + 2 * i, 2 * i + 1 < n, v + i);
    }
    for (int p = 0; p < o->planes; p++) {
        if (o->contiguous == o->is_b) amx_transpose(v + 16 * p);
        for (int i = 0; i < 16; i++)
            _mm512_store_si512(out + p * TILE_WORDS + 32 * i, v[16 * p + i]);
    }
}

/* Two rows of tiles: 32 rows of the operand over the block of k. */
static void pack_pair(const operand *o, int64_t row, const job *j, sqn_bf16 *out) {
    for (int half = 0; half < 2; half++)
        for (int64_t t = 0; t < j->tiles; t++)
            pack_tile(o, row + 16 * half, j->k0 + 32 * t, j->k_end,
                      out + (half * j->tiles + t) * o->planes * TILE_WORDS);
}

#define MULTIPLY                                                                                   \
    _tile_dpbf16ps(0, 4, 6);                                                                       \
    _tile_dpbf16ps(1, 4, 7);                                                                       \
    _tile_dpbf16ps(2, 5, 6);                                                                       \
    _tile_dpbf16ps(3, 5, 7);
#define LOAD_A(p)                                                                                  \
    _tile_loadd(4, a + (p)*TILE_WORDS, 64);                                                        \
    _tile_loadd(5, a1 + (p)*TILE_WORDS, 64);
#define LOAD_B(p)                                                                                  \
    _tile_loadd(6, b + (p)*TILE_WORDS, 64);                                                        \
    _tile_loadd(7, b1 + (p)*TILE_WORDS, 64);

/* c [32, 32] = 32 rows of a times 32 columns of b. */
INLINE void square(const sqn_bf16 *a, const sqn_bf16 *b, int64_t tiles, int planes, float *c) {
    const int64_t step = planes * TILE_WORDS;
    const sqn_bf16 *a1 = a + tiles * step, *b1 = b + tiles * step;
    __asm__ volatile("" ::: "memory"); /* gcc 12's tile loads do not say that they read memory */
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t t = 0; t < tiles; t++, a += step, a1 += step, b += step, b1 += step) {
        LOAD_A(0)
        LOAD_B(0)
        MULTIPLY
        if (planes == 1) continue;
        LOAD_A(1)
        MULTIPLY
        LOAD_B(1)
        MULTIPLY
        LOAD_A(0)
        MULTIPLY
        LOAD_B(2)
        MULTIPLY
        LOAD_A(2)
        LOAD_B(0)
        MULTIPLY
    }
    _tile_stored(0, c, 128);
    _tile_stored(1, c + 16, 128);
    _tile_stored(2, c + 512, 128);
    _tile_stored(3, c + 528, 128);
}

/* Brings a square of sums to C at (i0, j0). */
static void finish(const job *j, int64_t i0, int64_t j0, const float *square_c) {
    const sqn_k_matmul *a = j->a;
    const int64_t rows = a->m - i0 < 32 ? a->m - i0 : 32, cols = a->n - j0 < 32 ? a->n - j0 : 32;
    float bias[32] = {0};
    for (int64_t q = 0; a->bias && j->last && q < cols; q++)
        bias[q] = a->dtype == SQN_F32 ? ((const float *)a->bias)[j0 + q]
                                      : sqn_bf16_load(((const sqn_bf16 *)a->bias)[j0 + q]);
    for (int64_t i = 0; i < rows; i++) {
        const float *x = square_c + 32 * i;
        if (a->c_dtype == SQN_F32) {
            float *c = (float *)j->c + (i0 + i) * a->ldc + j0;
            const float keep = j->first && !a->accumulate ? 0.0F : 1.0F;
            if (keep == 0.0F) {
#pragma omp simd
                for (int64_t q = 0; q < cols; q++) c[q] = x[q] + bias[q];
            } else {
#pragma omp simd
                for (int64_t q = 0; q < cols; q++) c[q] += x[q] + bias[q];
            }
            continue;
        }
        sqn_bf16 *c = (sqn_bf16 *)j->c + (i0 + i) * a->ldc + j0;
        float *sums = j->sums ? j->sums + (i0 + i) * a->n + j0 : NULL, y[32];
        for (int64_t q = 0; q < cols; q++) y[q] = x[q] + bias[q];
        if (!j->first)
            for (int64_t q = 0; q < cols; q++) y[q] += sums[q];
        if (!j->last) {
            for (int64_t q = 0; q < cols; q++) sums[q] = y[q];
            continue;
        }
        if (a->accumulate)
            for (int64_t q = 0; q < cols; q++) y[q] += sqn_bf16_load(c[q]);
        for (int64_t q = 0; q < cols; q++) c[q] = sqn_bf16_store(y[q]);
    }
}

/* One block of 32 streamed rows along all packed shared ones. */
static void stream_block(const job *j, int64_t row, sqn_bf16 *own) {
    _Alignas(64) float c[32 * 32];
    const int planes = j->shared.planes;
    const int64_t pair = 2 * j->tiles * planes * TILE_WORDS;
    pack_pair(&j->streamed, row, j, own);
    for (int64_t s = 0; s < j->s_count; s += 32) {
        const sqn_bf16 *other = j->packed + s / 32 * pair;
        const sqn_bf16 *a = j->streamed.is_b ? other : own, *b = j->streamed.is_b ? own : other;
        if (planes == 1) square(a, b, j->tiles, 1, c);
        else square(a, b, j->tiles, 3, c);
        if (j->streamed.is_b) finish(j, j->s0 + s, row, c);
        else finish(j, row, j->s0 + s, c);
    }
}

/* All blocks of one product; runs in every thread of the team, each with its own copy of the job. */
static void run(job j, int64_t depth, sqn_bf16 *own) {
    const int64_t k = j.a->k;
    for (j.s0 = 0; j.s0 < j.shared.count; j.s0 += SHARED) {
        j.s_count = j.shared.count - j.s0 < SHARED ? j.shared.count - j.s0 : SHARED;
        for (j.k0 = 0; j.k0 < k; j.k0 += depth) {
            j.k_end = k - j.k0 < depth ? k : j.k0 + depth;
            j.tiles = (j.k_end - j.k0 + 31) / 32;
            j.first = !j.k0;
            j.last = j.k_end == k;
            const int64_t pair = 2 * j.tiles * j.shared.planes * TILE_WORDS;
#pragma omp for schedule(static)
            for (int64_t s = 0; s < j.s_count; s += 32)
                pack_pair(&j.shared, j.s0 + s, &j, j.packed + s / 32 * pair);
#pragma omp for schedule(static)
            for (int64_t r = 0; r < j.streamed.count; r += 32) stream_block(&j, r, own);
        }
    }
}

static job job_of(const sqn_k_matmul *a, int64_t z) {
    const int64_t size = a->dtype == SQN_F32 ? 4 : 2, c_size = a->c_dtype == SQN_F32 ? 4 : 2;
    const int planes = a->dtype == SQN_F32 ? 3 : 1;
    const operand x = {(const char *)a->a + z * a->a_batch * size, a->m, a->lda, !a->trans_a, 0, planes};
    const operand y = {(const char *)a->b + z * a->b_batch * size, a->n, a->ldb, a->trans_b != 0, 1, planes};
    job j = {.a = a, .c = (char *)a->c + z * a->c_batch * c_size};
    j.shared = a->m <= a->n ? x : y;
    j.streamed = a->m <= a->n ? y : x;
    return j;
}

sqn_status matmul_amx(const sqn_k_matmul *a) {
    if (!amx_granted()) return SQN_MISUSE;
    const int planes = a->dtype == SQN_F32 ? 3 : 1, threads = omp_in_parallel() ? 1 : omp_get_max_threads();
    const int64_t limit = planes == 1 ? DEPTH : DEPTH / 2, blocks = (a->k + limit - 1) / limit;
    const int64_t depth = ((a->k + blocks - 1) / blocks + 31) / 32 * 32; /* equal blocks */
    const int64_t less = a->m <= a->n ? a->m : a->n, shared = less < SHARED ? less : SHARED;
    const int64_t pair = 2 * depth / 32 * planes * TILE_WORDS;
    scratch packed, own = {0}, sums = {0};
    SQN_TRY(scratch_open(&packed, (shared + 31) / 32 * pair, sizeof(sqn_bf16)));
    sqn_status status = scratch_open(&own, threads * pair, sizeof(sqn_bf16));
    if (status == SQN_OK && a->c_dtype == SQN_BF16 && a->k > depth)
        status = scratch_open(&sums, a->m * a->n, sizeof(float));
    if (status != SQN_OK) goto fail;
#pragma omp parallel num_threads(threads) if (a->batch * a->m * a->n * a->k > 262144)
    {
        amx_open();
        for (int64_t z = 0; z < a->batch; z++) {
            job j = job_of(a, z);
            j.packed = packed.at;
            j.sums = sums.at;
            run(j, depth, (sqn_bf16 *)own.at + omp_get_thread_num() * pair);
        }
        amx_close();
    }
fail:
    scratch_close(&sums);
    scratch_close(&own);
    scratch_close(&packed);
    return status;
}
#endif
