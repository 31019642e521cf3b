/* Products on AMX tiles: BF16, and F32 as sums of BF16 products.
 *
 * Both operands are packed into tiles of 1 KiB: A as [16 rows, 32 k], B as [16 pairs of k, 16
 * columns, 2]. The operand with fewer rows or columns is packed once per block of k and shared;
 * every thread packs its own blocks of the other, 32 wide, which stay in the second cache, and runs
 * them along the shared one. C is worked in squares of 32 x 32, k in blocks of DEPTH. F32: x = h +
 * m + l in BF16 holds its 24 bits, and a b = hh + hm + mh + mm + hl + lh to within 2^-24: six
 * products of tiles where FMA would take 16 times as long for one. Infinities come out as NaN. */
#include "kernels/cpu/amx.h"
#include "kernels/cpu/matmul.h"

#ifndef SQN_AMX
int matmul_amx_ready(void) { return 0; }
sqn_status matmul_amx(const sqn_k_matmul *a) {
    (void)a;
    return SQN_MISUSE;
}
#else
#include <omp.h>

#include "kernels/cpu/float.h"
#include "kernels/cpu/scratch.h"

#define INLINE static inline __attribute__((always_inline))
#define DEPTH 1024     /* k of a block, at most */
#define WIDE 4         /* pairs of tiles of a streamed block, at most */
#define SHARED 2048    /* rows of the shared operand packed at a time, at most */
#define NEAR 8         /* tiles of k worked at a time */
#define TILE_WORDS 512 /* bf16 of a tile */

typedef struct operand {
    const void *at;
    int64_t count, ld; /* rows of A or columns of B */
    int contiguous;    /* along k */
    int is_b, planes;  /* 1: BF16; 3: F32 */
} operand;

typedef struct job {
    const sqn_k_matmul *a;
    operand shared, streamed;
    int64_t tiles;       /* along k in this block */
    int64_t k0, k_end;   /* of this block */
    int64_t s0, s_count; /* rows of the shared operand packed now */
    int first, last;     /* of the blocks of k */
    int64_t wide;        /* pairs of tiles of a streamed block */
    sqn_bf16 *packed;    /* shared tiles [row pair, k, plane] */
    void *c;
    float *sums; /* [m, n] when C cannot hold partial sums */
} job;

/* 32 values along k of one row, as bf16 planes. */
INLINE void load_along(const operand *o, int64_t row, int64_t k0, int64_t n, int planes,
                       __m512i *v) {
    const uint32_t mask = n >= 32 ? ~0u : (1u << n) - 1;
    if (planes == 1) {
        v[0] = _mm512_maskz_loadu_epi16(mask, (const sqn_bf16 *)o->at + row * o->ld + k0);
        return;
    }
    const float *x = (const float *)o->at + row * o->ld + k0;
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

/* Values k and k + 1 (if `pair`) of 16 rows: word r holds both of row r. */
INLINE void load_across(const operand *o, int64_t row, __mmask16 mask, int64_t k, int pair,
                        int planes, __m512i *v) {
    const int64_t next = pair ? o->ld : 0;
    const __mmask16 mask_2 = pair ? mask : 0;
    if (planes == 1) {
        const sqn_bf16 *x = (const sqn_bf16 *)o->at + k * o->ld + row;
        __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, x));
        __m512i high = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask_2, x + next));
        v[0] = _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
        return;
    }
    const float *x = (const float *)o->at + k * o->ld + row;
    __m512 low = _mm512_maskz_loadu_ps(mask, x), high = _mm512_maskz_loadu_ps(mask_2, x + next);
    for (int p = 0; p < 3; p++) {
        __m512i l = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(low));
        __m512i h = _mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(high)), 16);
        v[16 * p] = _mm512_or_si512(l, h);
        low = _mm512_sub_ps(low, _mm512_castsi512_ps(_mm512_slli_epi32(l, 16)));
        high = _mm512_sub_ps(high, _mm512_castsi512_ps(h));
    }
}

/* One tile per plane: 16 rows from `row`, up to 32 values from k0. The last four arguments are
 * constants. */
INLINE void pack_tile(const operand *o, int64_t row, int64_t k0, int64_t n, sqn_bf16 *out,
                      int planes, int contiguous, int is_b) {
    __m512i v[48];
    const int64_t rows = o->count - row;
    const __mmask16 mask = (__mmask16)(rows >= 16 ? 0xffff : rows > 0 ? (1u << rows) - 1 : 0);
    for (int i = 0; i < 16; i++) {
        if (contiguous ? i < rows : rows > 0 && 2 * i < n) {
            if (contiguous)
                load_along(o, row + i, k0, n, planes, v + i);
            else
                load_across(o, row, mask, k0 + 2 * i, 2 * i + 1 < n, planes, v + i);
        } else
            for (int p = 0; p < planes; p++) v[16 * p + i] = _mm512_setzero_si512();
    }
    for (int p = 0; p < planes; p++) {
        if (contiguous == is_b) amx_transpose(v + 16 * p);
        for (int i = 0; i < 16; i++)
            _mm512_store_si512(out + p * TILE_WORDS + 32 * i, v[16 * p + i]);
    }
}

/* Two rows of tiles: 32 rows of the operand over the block of k. */
INLINE void pack_rows(const operand *o, int64_t row, const job *j, sqn_bf16 *out, int planes,
                      int contiguous, int is_b) {
    for (int half = 0; half < 2; half++, row += 16)
        for (int64_t k = j->k0; k < j->k_end; k += 32, out += planes * TILE_WORDS)
            pack_tile(o, row, k, j->k_end - k, out, planes, contiguous, is_b);
}

static void pack_pair(const operand *o, int64_t row, const job *j, sqn_bf16 *out) {
    switch ((o->planes == 3) * 4 + (o->contiguous != 0) * 2 + o->is_b) {
    case 0:
        pack_rows(o, row, j, out, 1, 0, 0);
        break;
    case 1:
        pack_rows(o, row, j, out, 1, 0, 1);
        break;
    case 2:
        pack_rows(o, row, j, out, 1, 1, 0);
        break;
    case 3:
        pack_rows(o, row, j, out, 1, 1, 1);
        break;
    case 4:
        pack_rows(o, row, j, out, 3, 0, 0);
        break;
    case 5:
        pack_rows(o, row, j, out, 3, 0, 1);
        break;
    case 6:
        pack_rows(o, row, j, out, 3, 1, 0);
        break;
    default:
        pack_rows(o, row, j, out, 3, 1, 1);
        break;
    }
}

#define MULTIPLY             \
    _tile_dpbf16ps(0, 4, 6); \
    _tile_dpbf16ps(1, 4, 7); \
    _tile_dpbf16ps(2, 5, 6); \
    _tile_dpbf16ps(3, 5, 7);
#define LOAD_A(p)                           \
    _tile_loadd(4, a + (p)*TILE_WORDS, 64); \
    _tile_loadd(5, a1 + (p)*TILE_WORDS, 64);
#define LOAD_B(p)                           \
    _tile_loadd(6, b + (p)*TILE_WORDS, 64); \
    _tile_loadd(7, b1 + (p)*TILE_WORDS, 64);

/* c [32, 32] (+)= 32 rows of a times 32 columns of b over `tiles` tiles of k; `row` tiles of k lie
 * between two rows of tiles. */
INLINE void square(const sqn_bf16 *a, const sqn_bf16 *b, int64_t row, int64_t tiles, int planes,
                   float *c, int add) {
    const int64_t step = planes * TILE_WORDS;
    const sqn_bf16 *a1 = a + row * step, *b1 = b + row * step;
    __asm__ volatile("" ::: "memory"); /* gcc 12's tile loads do not say that they read memory */
    if (add) {
        _tile_loadd(0, c, 128);
        _tile_loadd(1, c + 16, 128);
        _tile_loadd(2, c + 512, 128);
        _tile_loadd(3, c + 528, 128);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
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

/* One row of a square, brought to C; `cols` is 32 where it matters for speed. */
INLINE void finish_row(const job *j, int64_t i, int64_t j0, int64_t cols, const float *x,
                       float *y) {
    const sqn_k_matmul *a = j->a;
    if (a->c_dtype == SQN_F32) {
        float *c = (float *)j->c + i * a->ldc + j0;
        if (j->first && !a->accumulate)
            for (int64_t q = 0; q < cols; q++) c[q] = x[q] + y[q];
        else
            for (int64_t q = 0; q < cols; q++) c[q] += x[q] + y[q];
        return;
    }
    sqn_bf16 *c = (sqn_bf16 *)j->c + i * a->ldc + j0;
    float *sums = j->sums ? j->sums + i * a->n + j0 : NULL, z[32];
    for (int64_t q = 0; q < cols; q++) z[q] = x[q] + y[q];
    if (!j->first)
        for (int64_t q = 0; q < cols; q++) z[q] += sums[q];
    if (!j->last) {
        for (int64_t q = 0; q < cols; q++) sums[q] = z[q];
        return;
    }
    if (a->accumulate)
        for (int64_t q = 0; q < cols; q++) z[q] += sqn_bf16_load(c[q]);
    for (int64_t q = 0; q < cols; q++) c[q] = sqn_bf16_store(z[q]);
}

/* Brings a square of sums to C at (i0, j0); the bias comes with the last block of k. */
static void finish(const job *j, int64_t i0, int64_t j0, const float *x) {
    const sqn_k_matmul *a = j->a;
    const int64_t rows = a->m - i0 < 32 ? a->m - i0 : 32, cols = a->n - j0 < 32 ? a->n - j0 : 32;
    float bias[32] = {0};
    for (int64_t q = 0; a->bias && j->last && q < cols; q++)
        bias[q] = a->dtype == SQN_F32 ? ((const float *)a->bias)[j0 + q]
                                      : sqn_bf16_load(((const sqn_bf16 *)a->bias)[j0 + q]);
    for (int64_t i = 0; i < rows; i++)
        if (cols == 32)
            finish_row(j, i0 + i, j0, 32, x + 32 * i, bias);
        else
            finish_row(j, i0 + i, j0, cols, x + 32 * i, bias);
}

/* One pair of shared tiles against `count` streamed ones: NEAR tiles of k at a time, so that the
 * shared ones and the sums stay in the first cache. */
INLINE void squares(const job *j, const sqn_bf16 *shared, const sqn_bf16 *own, int64_t count,
                    int planes, float c[WIDE][32 * 32]) {
    const int64_t step = planes * TILE_WORDS, near = NEAR / planes;
    for (int64_t t = 0; t < j->tiles; t += near) {
        const int64_t n = j->tiles - t < near ? j->tiles - t : near;
        for (int64_t r = 0; r < count; r++) {
            const sqn_bf16 *x = shared + t * step, *y = own + (2 * r * j->tiles + t) * step;
            const sqn_bf16 *a = j->streamed.is_b ? x : y, *b = j->streamed.is_b ? y : x;
            square(a, b, j->tiles, n, planes, c[r], t > 0);
        }
    }
}

/* `wide` pairs of streamed tiles along all packed shared ones. */
static void stream_block(const job *j, int64_t row, sqn_bf16 *own) {
    _Alignas(64) float c[WIDE][32 * 32];
    const int planes = j->shared.planes;
    const int64_t pair = 2 * j->tiles * planes * TILE_WORDS,
                  left = (j->streamed.count - row + 31) / 32;
    const int64_t count = left < j->wide ? left : j->wide;
    for (int64_t r = 0; r < count; r++) pack_pair(&j->streamed, row + 32 * r, j, own + r * pair);
    for (int64_t s = 0; s < j->s_count; s += 32) {
        const sqn_bf16 *shared = j->packed + s / 32 * pair;
        if (planes == 1)
            squares(j, shared, own, count, 1, c);
        else
            squares(j, shared, own, count, 3, c);
        for (int64_t r = 0; r < count; r++)
            if (j->streamed.is_b)
                finish(j, j->s0 + s, row + 32 * r, c[r]);
            else
                finish(j, row + 32 * r, j->s0 + s, c[r]);
    }
}

/* All blocks of one product; runs in every thread of the team, each with its own copy of the job.
 */
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
#pragma omp for schedule(dynamic)
            for (int64_t s = 0; s < j.s_count; s += 32)
                pack_pair(&j.shared, j.s0 + s, &j, j.packed + s / 32 * pair);
#pragma omp for schedule(dynamic)
            for (int64_t r = 0; r < j.streamed.count; r += 32 * j.wide) stream_block(&j, r, own);
        }
    }
}

int matmul_amx_ready(void) { return amx_granted(); }

static job job_of(const sqn_k_matmul *a, int64_t z) {
    const int64_t size = a->dtype == SQN_F32 ? 4 : 2, c_size = a->c_dtype == SQN_F32 ? 4 : 2;
    const int planes = a->dtype == SQN_F32 ? 3 : 1;
    const operand x = {
        (const char *)a->a + z * a->a_batch * size, a->m, a->lda, !a->trans_a, 0, planes};
    const operand y = {
        (const char *)a->b + z * a->b_batch * size, a->n, a->ldb, a->trans_b != 0, 1, planes};
    job j = {.a = a, .c = (char *)a->c + z * a->c_batch * c_size};
    j.shared = a->m <= a->n ? x : y;
    j.streamed = a->m <= a->n ? y : x;
    return j;
}

sqn_status matmul_amx(const sqn_k_matmul *a) {
    if (!amx_granted()) return SQN_MISUSE;
    const int planes = a->dtype == SQN_F32 ? 3 : 1,
              threads = omp_in_parallel() ? 1 : omp_get_max_threads();
    const int64_t blocks = (a->k + DEPTH - 1) / DEPTH;
    const int64_t depth = ((a->k + blocks - 1) / blocks + 31) / 32 * 32; /* equal blocks */
    const int64_t less = a->m <= a->n ? a->m : a->n, shared = less < SHARED ? less : SHARED;
    const int64_t pair = 2 * depth / 32 * planes * TILE_WORDS;
    const int64_t most = (a->m + a->n - less) / (32 * 4 * threads);
    const int64_t wide = most < 1 ? 1 : most < WIDE ? most : WIDE;
    scratch packed, own = {0}, sums = {0};
    SQN_TRY(scratch_open(&packed, (shared + 31) / 32 * pair, sizeof(sqn_bf16)));
    sqn_status status = scratch_open(&own, threads * wide * pair, sizeof(sqn_bf16));
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
            j.wide = wide;
            run(j, depth, (sqn_bf16 *)own.at + omp_get_thread_num() * wide * pair);
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
