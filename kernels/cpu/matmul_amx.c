/* Products on AMX tiles: BF16, and F32 as sums of BF16 products.
 *
 * Both operands are packed into tiles of 1 KiB: A as [16 rows, 32 k], B as [16 pairs of k, 16
 * columns, 2]; a pair is k, k + 1 in BF16, and k, k + 16 in F32, where both halves of a word then
 * come from whole vectors. The operand with fewer rows or columns is packed once per block of k and
 * shared; every thread packs its own blocks of the other, 32 wide, which stay in the second cache,
 * and runs them along the shared one. C is worked in squares of 32 x 32, k in blocks of DEPTH. F32:
 * x = h + m + l in BF16 holds its 24 bits, and a b = hh + hm + mh + mm + hl + lh to within 2^-24:
 * six products of tiles where FMA would take 16 times as long for one. Infinities come out as NaN.
 */
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
#define LARGE 524288   /* numbers of C */

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

/* The processor does not see where a tile's rows go on: asks for what the next tile reads, if it is
 * there or not. */
INLINE void ask(const void *x, int64_t bytes) {
    _mm_prefetch((const char *)((uintptr_t)x + (uintptr_t)bytes), _MM_HINT_T0);
}

/* Two vectors of F32 as three of BF16 pairs, `low` in the low halves: x = h + m + l, rounded to
 * nearest; what is left for l has 7 bits. NaNs pass through l. */
INLINE void split(__m512i low, __m512i high, sqn_bf16 *out) {
    const __m512i half = _mm512_set1_epi32(0x8000), top = _mm512_set1_epi32(-0x10000);
    for (int p = 0; p < 3; p++, out += TILE_WORDS) {
        __m512i l = low, h = high;
        if (p < 2) l = _mm512_add_epi32(l, half), h = _mm512_add_epi32(h, half);
        _mm512_store_si512(/* l >> 16 | (h & top) */
                           out, _mm512_ternarylogic_epi32(_mm512_srli_epi32(l, 16), h, top, 0xf8));
        l = _mm512_and_si512(l, top), h = _mm512_and_si512(h, top);
        low = (__m512i)_mm512_sub_ps((__m512)low, (__m512)l);
        high = (__m512i)_mm512_sub_ps((__m512)high, (__m512)h);
    }
}

/* One tile for each plane: up to 16 rows from `row`, up to 32 values from k0. The last two
 * arguments of this and the next are constants. */
INLINE void pack_f32(const operand *o, int64_t row, int64_t k0, int64_t n, sqn_bf16 *out,
                     int contiguous, int is_b) {
    __m512i low[16], high[16];
    const int64_t rows = o->count - row;
    const float *x = (const float *)o->at + (contiguous ? row * o->ld + k0 : k0 * o->ld + row);
    const uint32_t along = n >= 32 ? ~0u : (1u << n) - 1;
    const __mmask16 across = (__mmask16)(rows >= 16 ? 0xffff : (1u << rows) - 1);
    for (int i = 0; i < 16; i++, x += o->ld) {
        const int there = contiguous ? i < rows : i < n;
        const int64_t next = contiguous ? 16 : i + 16 < n ? 16 * o->ld : 0;
        const __mmask16 mask = contiguous ? (__mmask16)along : across;
        const __mmask16 mask_2 = contiguous ? (__mmask16)(along >> 16) : i + 16 < n ? across : 0;
        if (!there) {
            low[i] = high[i] = _mm512_setzero_si512();
            continue;
        }
        ask(x, contiguous ? 128 : 128 * o->ld);
        ask(x, contiguous ? 192 : 192 * o->ld);
        low[i] = _mm512_maskz_loadu_epi32(mask, x);
        high[i] = _mm512_maskz_loadu_epi32(mask_2, x + next);
    }
    if (contiguous == is_b) {
        amx_transpose(low);
        amx_transpose(high);
    }
    for (int i = 0; i < 16; i++) split(low[i], high[i], out + 32 * i);
}

INLINE void pack_bf16(const operand *o, int64_t row, int64_t k0, int64_t n, sqn_bf16 *out,
                      int contiguous, int is_b) {
    __m512i v[16];
    const int64_t rows = o->count - row;
    const sqn_bf16 *x =
        (const sqn_bf16 *)o->at + (contiguous ? row * o->ld + k0 : k0 * o->ld + row);
    const uint32_t along = n >= 32 ? ~0u : (1u << n) - 1;
    const __mmask16 across = (__mmask16)(rows >= 16 ? 0xffff : (1u << rows) - 1);
    for (int i = 0; i < 16; i++, x += contiguous ? o->ld : 2 * o->ld) {
        if (contiguous && i < rows) {
            ask(x, 64);
            v[i] = _mm512_maskz_loadu_epi16(along, x);
        } else if (!contiguous && 2 * i < n) {
            const int pair = 2 * i + 1 < n;
            ask(x, 64 * o->ld);
            ask(x, 66 * o->ld);
            __m256i low = _mm256_maskz_loadu_epi16(across, x);
            __m256i high = _mm256_maskz_loadu_epi16(pair ? across : 0, pair ? x + o->ld : x);
            v[i] = _mm512_or_si512(_mm512_cvtepu16_epi32(low),
                                   _mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16));
        } else
            v[i] = _mm512_setzero_si512();
    }
    if (contiguous == is_b) amx_transpose(v);
    for (int i = 0; i < 16; i++) _mm512_store_si512(out + 32 * i, v[i]);
}

/* `count` pairs of rows of tiles, each 32 rows of the operand over the block of k: side by side, so
 * that what lies across k is read in longer runs. */
INLINE void pack_rows(const operand *o, int64_t row, int64_t count, const job *j, sqn_bf16 *out,
                      int planes, int contiguous, int is_b) {
    const int64_t other = j->tiles * planes * TILE_WORDS;
    for (int64_t k = j->k0; k < j->k_end; k += 32, out += planes * TILE_WORDS)
        for (int64_t r = 0; r < 2 * count; r++)
            if (row + 16 * r >= o->count)
                memset(out + r * other, 0, (size_t)(planes * TILE_WORDS) * sizeof *out);
            else if (planes == 1)
                pack_bf16(o, row + 16 * r, k, j->k_end - k, out + r * other, contiguous, is_b);
            else
                pack_f32(o, row + 16 * r, k, j->k_end - k, out + r * other, contiguous, is_b);
}

static void pack_pairs(const operand *o, int64_t row, int64_t count, const job *j, sqn_bf16 *out) {
    switch ((o->planes == 3) * 4 + (o->contiguous != 0) * 2 + o->is_b) {
    case 0:
        pack_rows(o, row, count, j, out, 1, 0, 0);
        break;
    case 1:
        pack_rows(o, row, count, j, out, 1, 0, 1);
        break;
    case 2:
        pack_rows(o, row, count, j, out, 1, 1, 0);
        break;
    case 3:
        pack_rows(o, row, count, j, out, 1, 1, 1);
        break;
    case 4:
        pack_rows(o, row, count, j, out, 3, 0, 0);
        break;
    case 5:
        pack_rows(o, row, count, j, out, 3, 0, 1);
        break;
    case 6:
        pack_rows(o, row, count, j, out, 3, 1, 0);
        break;
    default:
        pack_rows(o, row, count, j, out, 3, 1, 1);
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

/* c = x + y. What does not stay in the second cache, and no block of k comes back to, is written
 * past the caches in whole lines, which then need not be read first. */
INLINE void set_row(const job *j, int64_t cols, const float *x, const float *y, float *c) {
    if (cols == 32 && j->last && j->a->m * j->a->ldc > LARGE && ((uintptr_t)c & 63) == 0)
        for (int64_t q = 0; q < 32; q += 16)
            _mm512_stream_ps(c + q, _mm512_add_ps(_mm512_loadu_ps(x + q), _mm512_loadu_ps(y + q)));
    else
        for (int64_t q = 0; q < cols; q++) c[q] = x[q] + y[q];
}

/* One row of a square, brought to C; `cols` is 32 where it matters for speed. */
INLINE void finish_row(const job *j, int64_t i, int64_t j0, int64_t cols, const float *x,
                       float *y) {
    const sqn_k_matmul *a = j->a;
    if (a->c_dtype == SQN_F32) {
        float *c = (float *)j->c + i * a->ldc + j0;
        if (j->first && !a->accumulate)
            set_row(j, cols, x, y, c);
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

/* One pair of shared tiles against `count` streamed ones. BF16: NEAR tiles of k at a time, so that
 * the shared ones and the sums stay in the first cache; F32 has enough to do between two loads. */
INLINE void squares(const job *j, const sqn_bf16 *shared, const sqn_bf16 *own, int64_t count,
                    int planes, float c[WIDE][32 * 32]) {
    const int64_t step = planes * TILE_WORDS, near = planes == 1 ? NEAR : j->tiles;
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
    pack_pairs(&j->streamed, row, count, j, own);
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
    _mm_sfence(); /* another thread may go on with this part of C */
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
                pack_pairs(&j.shared, j.s0 + s, 1, &j, j.packed + s / 32 * pair);
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
