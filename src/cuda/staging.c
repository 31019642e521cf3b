/* Pinned blocks and copies through them: see staging.h. */
#include "cuda/staging.h"

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <string.h>

#include "cuda/fault.h"
#include "cuda/thread.h"

enum { MOST_CARDS = 64, BLOCKS = 4, SIZE = 4 << 20, LINE = 64 };

typedef struct block {
    char *bytes;
    cudaEvent_t done; /* of the last copy */
    size_t used;
} block;

typedef struct ring {
    block blocks[BLOCKS];
    int now;
    bool refused; /* there is no pinned memory */
} ring;

static __thread ring rings[MOST_CARDS];

static void release(void) {
    for (int card = 0; card < MOST_CARDS; card++) {
        ring *r = &rings[card];
        if (r->blocks[0].bytes == NULL) continue;
        sqn_cuda_verdict(cudaSetDevice(card));
        sqn_cuda_verdict(cudaStreamSynchronize(cudaStreamPerThread));
        for (int i = 0; i < BLOCKS; i++) {
            if (r->blocks[i].done != NULL) sqn_cuda_verdict(cudaEventDestroy(r->blocks[i].done));
            sqn_cuda_verdict(cudaFreeHost(r->blocks[i].bytes));
        }
        *r = (ring){0};
    }
}

/* The memory of a block, at its first use; a ring without its first block has none. */
static bool make(ring *r, block *b) {
    if (b->bytes != NULL) return true;
    sqn_cuda_at_thread_end(release);
    if (sqn_cuda_verdict(cudaEventCreateWithFlags(&b->done, cudaEventDisableTiming)) != SQN_OK)
        return false;
    if (sqn_cuda_verdict(cudaHostAlloc((void **)&b->bytes, SIZE, cudaHostAllocPortable)) !=
        SQN_OK) {
        sqn_cuda_verdict(cudaEventDestroy(b->done));
        b->done = NULL;
        b->bytes = NULL;
        r->refused = b == &r->blocks[0];
        return false;
    }
    return true;
}

/* The next block, which nothing uses any more. Without memory for it the ring starts anew. */
static sqn_status next_block(ring *r, block **out) {
    SQN_TRY(sqn_cuda_verdict(cudaEventRecord(r->blocks[r->now].done, cudaStreamPerThread)));
    r->now = (r->now + 1) % BLOCKS;
    if (!make(r, &r->blocks[r->now])) r->now = 0;
    block *b = &r->blocks[r->now];
    SQN_TRY(sqn_cuda_verdict(cudaEventSynchronize(b->done))); /* at once for a new one */
    b->used = 0;
    *out = b;
    return SQN_OK;
}

/* The block for up to *bytes more; *bytes becomes what fits there. */
static sqn_status find_room(ring *r, size_t *bytes, block **out) {
    block *b = &r->blocks[r->now];
    if (b->used == SIZE) SQN_TRY(next_block(r, &b));
    if (*bytes > SIZE - b->used) *bytes = SIZE - b->used;
    *out = b;
    return SQN_OK;
}

static void use(block *b, size_t bytes) { b->used += (bytes + LINE - 1) / LINE * LINE; }

static sqn_status copied(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind) {
    return sqn_cuda_verdict(cudaMemcpyAsync(to, from, bytes, kind, cudaStreamPerThread));
}

static sqn_status settled(void) {
    return sqn_cuda_verdict(cudaStreamSynchronize(cudaStreamPerThread));
}

static bool is_ready(int card) {
    return card < MOST_CARDS && !rings[card].refused && make(&rings[card], &rings[card].blocks[0]);
}

sqn_status sqn_cuda_upload(int card, void *to, const void *from, size_t bytes) {
    if (!is_ready(card)) {
        SQN_TRY(copied(to, from, bytes, cudaMemcpyHostToDevice));
        return settled();
    }
    for (size_t at = 0; at < bytes;) {
        block *b;
        size_t n = bytes - at;
        SQN_TRY(find_room(&rings[card], &n, &b));
        memcpy(b->bytes + b->used, (const char *)from + at, n);
        SQN_TRY(copied((char *)to + at, b->bytes + b->used, n, cudaMemcpyHostToDevice));
        use(b, n);
        at += n;
    }
    return SQN_OK;
}

/* Piece after piece, each read out of its block while the next one travels, if that has another. */
static sqn_status download_pieces(ring *r, char *to, const char *from, size_t bytes) {
    block *before = NULL;
    size_t asked = 0, got = 0;
    while (got < bytes) {
        block *b = NULL;
        const size_t n = bytes - asked < SIZE ? bytes - asked : SIZE,
                     m = bytes - got < SIZE ? bytes - got : SIZE; /* of this piece, of the last */
        if (n > 0) SQN_TRY(next_block(r, &b));
        if (before != NULL && before == b) memcpy(to + got, before->bytes, m);
        if (n > 0) {
            SQN_TRY(copied(b->bytes, from + asked, n, cudaMemcpyDeviceToHost));
            SQN_TRY(sqn_cuda_verdict(cudaEventRecord(b->done, cudaStreamPerThread)));
            b->used = SIZE;
        }
        if (before != NULL && before != b) {
            SQN_TRY(sqn_cuda_verdict(cudaEventSynchronize(before->done)));
            memcpy(to + got, before->bytes, m);
        }
        if (before != NULL) got += m;
        before = b;
        asked += n;
    }
    return SQN_OK;
}

sqn_status sqn_cuda_download(int card, void *to, const void *from, size_t bytes) {
    if (!is_ready(card)) {
        SQN_TRY(copied(to, from, bytes, cudaMemcpyDeviceToHost));
        return settled();
    }
    ring *r = &rings[card];
    block *b;
    size_t n = bytes;
    SQN_TRY(find_room(r, &n, &b));
    if (n < bytes) return download_pieces(r, to, from, bytes);
    char *here = b->bytes + b->used;
    use(b, n);
    SQN_TRY(copied(here, from, n, cudaMemcpyDeviceToHost));
    SQN_TRY(settled());
    memcpy(to, here, n);
    return SQN_OK;
}
