/* Grouped products of a mixture of LoRA experts, forward and backward.
 *
 * Tokens are sorted by expert once; each expert's are cut into blocks of at most BLOCK rows, which
 * are gathered and multiplied as one product, so a token costs the same whatever the number of
 * experts. Where blocks meet in the same rows of a result, threads own CHUNK columns of it and take
 * the blocks in order: the sums do not depend on the number of threads. Rows beyond 8 are filled up
 * to a multiple of 16: oneDNN keeps a primitive per shape. */
#include <omp.h>

#include "kernels/cpu/float.h"
#include "kernels/cpu/scratch.h"

#define BLOCK 128
#define CHUNK 512

typedef struct block {
    int64_t expert, first, count; /* places order[first] .. order[first + count - 1] */
} block;

/* How a call is cut up, and its working memory. */
typedef struct plan {
    block *blocks;
    int64_t *block_of; /* [experts + 1]: the first block of each */
    int64_t count;     /* of blocks */
    int64_t row_size, tile_size;
    scratch cut, rows, tiles; /* rows: gathered, in T; tiles: products, in A; one a thread */
    sqn_status status;        /* of the products */
} plan;

sqn_status sqn_cpu_moe_group(const sqn_k_moe_group *a, void *stream) {
    (void)stream;
    memset(a->start, 0, (size_t)(a->experts + 1) * sizeof *a->start);
    for (int64_t i = 0; i < a->places; i++)
        if (a->ids[i] >= 0) a->start[a->ids[i] + 1]++;
    for (int64_t e = 0; e < a->experts; e++) a->start[e + 1] += a->start[e];
    for (int64_t i = 0; i < a->places; i++)
        if (a->ids[i] >= 0) a->order[a->start[a->ids[i]]++] = i;
    for (int64_t i = 0, at = a->start[a->experts]; i < a->places; i++)
        if (a->ids[i] < 0) a->order[at++] = i;
    for (int64_t e = a->experts; e > 0; e--) a->start[e] = a->start[e - 1];
    a->start[0] = 0;
    return SQN_OK;
}

static int64_t filled_up(int64_t rows) { return rows <= 8 ? rows : (rows + 15) / 16 * 16; }

/* Threads for this many tasks: one where a task's product may use them all. */
static int team(const sqn_k_moe_lora *a, int64_t tasks) {
    const int threads = omp_in_parallel() ? 1 : omp_get_max_threads();
    if (tasks < 2 || a->start[a->experts] * a->rank * (a->in + a->out) < 262144) return 1;
    return tasks < threads ? (int)tasks : threads;
}

static void plan_close(plan *w) {
    scratch_close(&w->tiles);
    scratch_close(&w->rows);
    scratch_close(&w->cut);
}

static sqn_status plan_open(plan *w, const sqn_k_moe_lora *a) {
    const int64_t most = a->start[a->experts] / BLOCK + a->experts, threads = omp_get_max_threads();
    const int64_t wide = a->in > a->out ? a->in : a->out, size = a->dtype == SQN_F64 ? 8 : 4;
    *w = (plan){.row_size = BLOCK * ((wide > CHUNK ? wide : CHUNK) + a->rank),
                .tile_size = BLOCK * (a->rank > CHUNK ? a->rank : CHUNK)};
    sqn_status status = SQN_OK;
    SQN_GOTO(scratch_open(
        &w->cut, 1, (size_t)most * sizeof(block) + (size_t)(a->experts + 1) * sizeof(int64_t)));
    SQN_GOTO(scratch_open(&w->rows, threads * w->row_size, (size_t)size));
    SQN_GOTO(scratch_open(&w->tiles, threads * w->tile_size, (size_t)size));
    w->blocks = w->cut.at;
    w->block_of = (int64_t *)(w->blocks + most);
    for (int64_t e = 0; e < a->experts; e++) {
        w->block_of[e] = w->count;
        for (int64_t i = a->start[e]; i < a->start[e + 1]; i += BLOCK)
            w->blocks[w->count++] =
                (block){e, i, a->start[e + 1] - i < BLOCK ? a->start[e + 1] - i : BLOCK};
    }
    w->block_of[a->experts] = w->count;
    return SQN_OK;
fail:
    plan_close(w);
    return status;
}

/* c (+)= op(a) op(b); the first failure stays in the plan. */
static void product(plan *w, sqn_k_matmul k) {
    k.batch = 1;
    sqn_status status = sqn_cpu_matmul(&k, NULL);
    if (status == SQN_OK) return;
#pragma omp critical(moe_status)
    if (w->status == SQN_OK) w->status = status;
}

static sqn_dtype wide_of(sqn_dtype dtype) { return dtype == SQN_F64 ? SQN_F64 : SQN_F32; }

static sqn_status converted(sqn_dtype from, const void *x, sqn_dtype to, void *y, int64_t n) {
    const sqn_k_copy k = {from, to, 1, {n}, {1}, {1}, x, y, 0};
    return sqn_cpu_copy(&k, NULL);
}

/* `cols` elements of a row from column c0 on, dropped by the mask of its place. */
static void drop_row(const sqn_k_moe_lora *a, sqn_dtype dtype, int64_t place, int64_t c0,
                     int64_t cols, void *row) {
    const uint64_t at = a->offset + (uint64_t)(place * ((a->in + 3) / 4) + c0 / 4);
    const sqn_k_dropout k = {dtype, cols, row, row, a->p, a->seed, a->stream, at};
    sqn_cpu_dropout(&k, NULL);
}

#define EACH_FLOAT "kernels/cpu/moe.inc"
#include "kernels/cpu/each_float.h"

sqn_status sqn_cpu_moe_lora(const sqn_k_moe_lora *a, void *stream) {
    (void)stream;
    BY_FLOAT_STATUS(a->dtype, forward, a)
}

sqn_status sqn_cpu_moe_lora_grad(const sqn_k_moe_lora_grad *a, void *stream) {
    (void)stream;
    BY_FLOAT_STATUS(a->forward.dtype, backward, a)
}
