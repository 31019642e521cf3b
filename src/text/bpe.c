/* Vocabulary, merges and their application: see bpe.h. */
#include "text/bpe.h"

#include <string.h>

/* Up to this many symbols the pair is sought by looking at all: measured faster than the heap. */
enum { SMALL_WORD = 24 };

uint64_t sqn_text_hash(const char *p, size_t n) {
    const uint64_t k = 0x9E3779B97F4A7C15u;
    uint64_t h = n * k, x;
    for (; n >= sizeof x; p += sizeof x, n -= sizeof x) {
        memcpy(&x, p, sizeof x);
        h = (h ^ x) * k;
        h ^= h >> 32;
    }
    x = 0;
    memcpy(&x, p, n);
    h = (h ^ x) * k;
    return h ^ h >> 29;
}

static size_t slots_for(size_t count) { /* a power of two, at most 2/3 full */
    size_t n = 16;
    while (n * 2 < count * 3) n *= 2;
    return n;
}

sqn_status sqn_vocab_init(sqn_vocab *v, size_t count, uint32_t id_count, sqn_err *e) {
    size_t slots = slots_for(count);
    v->id_count = id_count;
    v->slot_mask = slots - 1;
    v->start = sqn_alloc(id_count * sizeof *v->start, e);
    v->length = sqn_calloc(id_count, sizeof *v->length, e);
    v->slots = sqn_alloc(slots * sizeof *v->slots, e);
    if (v->start == NULL || v->length == NULL || v->slots == NULL) {
        sqn_vocab_release(v);
        return SQN_NOMEM;
    }
    memset(v->start, 0xFF, id_count * sizeof *v->start);
    memset(v->slots, 0xFF, slots * sizeof *v->slots);
    return SQN_OK;
}

void sqn_vocab_release(sqn_vocab *v) {
    sqn_bytes_release(&v->text);
    sqn_free(v->start);
    sqn_free(v->length);
    sqn_free(v->slots);
    *v = (sqn_vocab){0};
}

/* The slot that holds the token, or the empty one where it belongs. */
static size_t vocab_slot(const sqn_vocab *v, const char *token, size_t n, uint64_t hash) {
    size_t i = hash & v->slot_mask;
    for (;; i = (i + 1) & v->slot_mask) {
        uint64_t slot = v->slots[i];
        if (slot == UINT64_MAX) return i;
        uint32_t id = (uint32_t)slot;
        if (slot >> 32 == hash >> 32 && v->length[id] == n &&
            memcmp(v->text.data + v->start[id], token, n) == 0)
            return i;
    }
}

sqn_status sqn_vocab_add(sqn_vocab *v, const char *token, size_t n, uint32_t id, sqn_err *e) {
    SQN_ASSERT(id < v->id_count && v->used <= v->slot_mask);
    uint64_t hash = sqn_text_hash(token, n);
    size_t i = vocab_slot(v, token, n, hash);
    if (v->slots[i] != UINT64_MAX)
        return SQN_FAIL(e, SQN_FORMAT, "token \"%.*s\" is there twice", n > 80 ? 80 : (int)n,
                        token);
    if (v->start[id] != UINT32_MAX)
        return SQN_FAIL(e, SQN_FORMAT, "id %u belongs to two tokens, \"%.*s\" and \"%.*s\"", id,
                        v->length[id] > 80 ? 80 : (int)v->length[id], v->text.data + v->start[id],
                        n > 80 ? 80 : (int)n, token);
    if (v->text.count + n >= UINT32_MAX) return SQN_FAIL(e, SQN_FORMAT, "vocabulary too large");
    uint32_t start = (uint32_t)v->text.count;
    SQN_TRY(sqn_bytes_add(&v->text, token, n, e));
    v->start[id] = start;
    v->length[id] = (uint32_t)n;
    v->slots[i] = hash >> 32 << 32 | id;
    v->used++;
    return SQN_OK;
}

int32_t sqn_vocab_find(const sqn_vocab *v, const char *token, size_t n) {
    if (v->slots == NULL) return -1;
    uint64_t slot = v->slots[vocab_slot(v, token, n, sqn_text_hash(token, n))];
    return slot == UINT64_MAX ? -1 : (int32_t)(uint32_t)slot;
}

const char *sqn_vocab_token(const sqn_vocab *v, uint32_t id, size_t *n) {
    if (id >= v->id_count || v->start[id] == UINT32_MAX) return NULL;
    *n = v->length[id];
    return v->text.data + v->start[id];
}

sqn_status sqn_merges_init(sqn_merges *m, size_t count, sqn_err *e) {
    size_t slots = slots_for(count);
    m->slots = sqn_alloc(slots * sizeof *m->slots, e);
    if (m->slots == NULL) return SQN_NOMEM;
    memset(m->slots, 0xFF, slots * sizeof *m->slots);
    m->slot_mask = slots - 1;
    return SQN_OK;
}

void sqn_merges_release(sqn_merges *m) {
    sqn_free(m->slots);
    *m = (sqn_merges){0};
}

static inline sqn_merge *merge_slot(const sqn_merges *m, uint64_t pair) {
    uint64_t h = pair * 0x9E3779B97F4A7C15u;
    for (size_t i = (h ^ h >> 32) & m->slot_mask;; i = (i + 1) & m->slot_mask) {
        sqn_merge *x = &m->slots[i];
        if (x->pair == pair || x->pair == UINT64_MAX) return x;
    }
}

void sqn_merges_add(sqn_merges *m, uint32_t left, uint32_t right, uint32_t rank, uint32_t result) {
    uint64_t pair = (uint64_t)left << 32 | right;
    *merge_slot(m, pair) = (sqn_merge){pair, rank, result};
}

void sqn_bpe_scratch_release(sqn_bpe_scratch *s) {
    sqn_free(s->symbols);
    sqn_free(s->heap);
    *s = (sqn_bpe_scratch){0};
}

sqn_status sqn_bpe_push(sqn_bpe_scratch *s, int32_t id, size_t bytes, sqn_err *e) {
    if (s->count == s->capacity) {
        size_t room = s->capacity * 2 + 64;
        sqn_symbol *p = sqn_realloc(s->symbols, room * sizeof *p, e);
        if (p == NULL) return SQN_NOMEM;
        s->symbols = p;
        s->capacity = room;
    }
    sqn_symbol *x = &s->symbols[s->count++];
    x->id = id;
    x->bytes = (uint32_t)bytes;
    return SQN_OK;
}

/* Looks up the pair (a, b) and writes its rank and result to a. */
static inline void rank_pair(sqn_symbol *a, const sqn_symbol *b, const sqn_merges *m) {
    a->rank = UINT32_MAX;
    if ((a->id | b->id) < 0) return;
    const sqn_merge *x = merge_slot(m, (uint64_t)(uint32_t)a->id << 32 | (uint32_t)b->id);
    if (x->pair == UINT64_MAX) return;
    a->rank = x->rank;
    a->result = x->result;
}

static void merge_small(sqn_bpe_scratch *s, const sqn_merges *m) {
    sqn_symbol *x = s->symbols;
    size_t n = s->count;
    for (size_t i = 0; i + 1 < n; i++) rank_pair(&x[i], &x[i + 1], m);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (x[i].rank < x[best].rank) best = i;
        if (x[best].rank == UINT32_MAX) break;
        x[best].id = (int32_t)x[best].result;
        x[best].bytes += x[best + 1].bytes;
        n--;
        memmove(&x[best + 1], &x[best + 2], (n - best - 1) * sizeof *x);
        if (best + 1 < n) rank_pair(&x[best], &x[best + 1], m);
        if (best > 0) rank_pair(&x[best - 1], &x[best], m);
    }
    s->count = n;
}

static sqn_status heap_push(sqn_bpe_scratch *s, uint32_t rank, size_t position, sqn_err *e) {
    if (rank == UINT32_MAX) return SQN_OK;
    if (s->heap_count == s->heap_capacity) {
        size_t room = s->heap_capacity * 2 + 256;
        uint64_t *p = sqn_realloc(s->heap, room * sizeof *p, e);
        if (p == NULL) return SQN_NOMEM;
        s->heap = p;
        s->heap_capacity = room;
    }
    uint64_t key = (uint64_t)rank << 32 | position;
    size_t i = s->heap_count++;
    for (; i > 0 && s->heap[(i - 1) / 2] > key; i = (i - 1) / 2) s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = key;
    return SQN_OK;
}

static uint64_t heap_pop(sqn_bpe_scratch *s) {
    uint64_t *h = s->heap, top = h[0], key = h[--s->heap_count];
    size_t n = s->heap_count, i = 0;
    for (size_t child = 1; child < n; child = 2 * i + 1) {
        if (child + 1 < n && h[child + 1] < h[child]) child++;
        if (h[child] >= key) break;
        h[i] = h[child];
        i = child;
    }
    h[i] = key;
    return top;
}

static sqn_status merge_large(sqn_bpe_scratch *s, const sqn_merges *m, sqn_err *e) {
    sqn_symbol *x = s->symbols;
    size_t n = s->count;
    s->heap_count = 0;
    for (size_t i = 0; i < n; i++) {
        x[i].prev = (int32_t)i - 1;
        x[i].next = i + 1 < n ? (int32_t)i + 1 : -1;
        x[i].rank = UINT32_MAX;
        if (i + 1 < n) rank_pair(&x[i], &x[i + 1], m);
        SQN_TRY(heap_push(s, x[i].rank, i, e));
    }
    while (s->heap_count > 0) {
        uint64_t top = heap_pop(s);
        sqn_symbol *a = &x[(uint32_t)top];
        if (a->rank != top >> 32) continue; /* the pair is gone */
        sqn_symbol *b = &x[a->next];
        a->id = (int32_t)a->result;
        a->bytes += b->bytes;
        a->next = b->next;
        b->bytes = 0;
        b->rank = a->rank = UINT32_MAX;
        if (a->next >= 0) {
            x[a->next].prev = (int32_t)(uint32_t)top;
            rank_pair(a, &x[a->next], m);
            SQN_TRY(heap_push(s, a->rank, (uint32_t)top, e));
        }
        if (a->prev >= 0) {
            rank_pair(&x[a->prev], a, m);
            SQN_TRY(heap_push(s, x[a->prev].rank, (size_t)a->prev, e));
        }
    }
    size_t kept = 0;
    for (int32_t i = 0; i >= 0 && n > 0; i = x[i].next) x[kept++] = x[i];
    s->count = kept;
    return SQN_OK;
}

sqn_status sqn_bpe_merge(sqn_bpe_scratch *s, const sqn_merges *m, sqn_err *e) {
    if (s->count > INT32_MAX / 2)
        return SQN_FAIL(e, SQN_LIMIT, "text too long to tokenise at once");
    if (s->count > SMALL_WORD) return merge_large(s, m, e);
    merge_small(s, m);
    return SQN_OK;
}
