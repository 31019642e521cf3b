/* Counts of pairs and their queue, for the BPE trainer. */
#include "text/bpe_train_parts.h"

sqn_status sqn_train_table_init(train_table *x, sqn_err *e) {
    size_t slots = 1024;
    x->slots = sqn_alloc(slots * sizeof *x->slots, e);
    if (x->slots == NULL) return SQN_NOMEM;
    memset(x->slots, 0xFF, slots * sizeof *x->slots);
    x->mask = slots - 1;
    x->used = 0;
    return SQN_OK;
}

void sqn_train_table_release(train_table *x) {
    sqn_free(x->slots);
    *x = (train_table){0};
}

static void place(train_table *x, train_slot slot) {
    size_t i = sqn_train_table_first(x, slot.hash);
    while (x->slots[i].index != UINT32_MAX) i = (i + 1) & x->mask;
    x->slots[i] = slot;
}

static sqn_status grow(train_table *x, sqn_err *e) {
    size_t slots = 2 * (x->mask + 1);
    train_table bigger = {.mask = slots - 1, .used = x->used};
    bigger.slots = sqn_alloc(slots * sizeof *bigger.slots, e);
    if (bigger.slots == NULL) return SQN_NOMEM;
    memset(bigger.slots, 0xFF, slots * sizeof *bigger.slots);
    for (size_t i = 0; i <= x->mask; i++)
        if (x->slots[i].index != UINT32_MAX) place(&bigger, x->slots[i]);
    sqn_free(x->slots);
    *x = bigger;
    return SQN_OK;
}

sqn_status sqn_train_table_put(train_table *x, uint64_t hash, uint32_t index, sqn_err *e) {
    if (3 * x->used >= 2 * x->mask) SQN_TRY(grow(x, e));
    place(x, (train_slot){hash, index});
    x->used++;
    return SQN_OK;
}

static sqn_status add_pair(sqn_bpe_trainer *t, uint32_t left, uint32_t right, uint64_t hash,
                           uint32_t *out, sqn_err *e) {
    if (t->pair_count == t->pair_capacity) {
        size_t room = t->pair_capacity * 2 + 1024;
        train_pair *p = sqn_realloc(t->pairs, room * sizeof *p, e);
        if (p == NULL) return SQN_NOMEM;
        t->pairs = p;
        t->pair_capacity = room;
    }
    *out = (uint32_t)t->pair_count;
    SQN_TRY(sqn_train_table_put(&t->pair_table, hash, *out, e));
    t->pairs[t->pair_count++] = (train_pair){.left = left, .right = right};
    return SQN_OK;
}

static sqn_status find_pair(sqn_bpe_trainer *t, uint32_t left, uint32_t right, uint32_t *out,
                            sqn_err *e) {
    uint64_t hash = ((uint64_t)left << 32 | right) * 0x9E3779B97F4A7C15u; /* one to one */
    size_t slot = sqn_train_table_first(&t->pair_table, hash);
    for (;; slot = (slot + 1) & t->pair_table.mask) {
        const train_slot *x = &t->pair_table.slots[slot];
        if (x->index == UINT32_MAX) return add_pair(t, left, right, hash, out, e);
        if (x->hash != hash) continue;
        *out = x->index;
        return SQN_OK;
    }
}

sqn_status sqn_train_count(sqn_bpe_trainer *t, uint32_t left, uint32_t right, int64_t n,
                           uint32_t word, sqn_err *e) {
    uint32_t index = 0;
    SQN_TRY(find_pair(t, left, right, &index, e));
    train_pair *p = &t->pairs[index];
    p->count += n;
    if (n < 0) return SQN_OK;
    if (p->words.count == 0 || p->words.data[p->words.count - 1] != word)
        SQN_TRY(sqn_words_add(&p->words, word, e));
    if (p->raised) return SQN_OK;
    p->raised = true;
    return sqn_words_add(&t->raised, index, e);
}

/* Whether x comes out of the queue before y. */
static bool before(const sqn_bpe_trainer *t, train_entry x, train_entry y) {
    if (x.count != y.count) return x.count > y.count;
    const train_pair *p = &t->pairs[x.pair], *q = &t->pairs[y.pair];
    return p->left != q->left ? p->left < q->left : p->right < q->right;
}

sqn_status sqn_train_queue(sqn_bpe_trainer *t, uint32_t pair, sqn_err *e) {
    train_entry x = {t->pairs[pair].count, pair};
    if (x.count <= 0) return SQN_OK;
    if (t->heap_count == t->heap_capacity) {
        size_t room = t->heap_capacity * 2 + 1024;
        train_entry *p = sqn_realloc(t->heap, room * sizeof *p, e);
        if (p == NULL) return SQN_NOMEM;
        t->heap = p;
        t->heap_capacity = room;
    }
    size_t i = t->heap_count++;
    for (; i > 0 && before(t, x, t->heap[(i - 1) / 2]); i = (i - 1) / 2)
        t->heap[i] = t->heap[(i - 1) / 2];
    t->heap[i] = x;
    return SQN_OK;
}

sqn_status sqn_train_queue_raised(sqn_bpe_trainer *t, sqn_err *e) {
    for (size_t i = 0; i < t->raised.count; i++) {
        t->pairs[t->raised.data[i]].raised = false;
        SQN_TRY(sqn_train_queue(t, t->raised.data[i], e));
    }
    t->raised.count = 0;
    return SQN_OK;
}

train_entry sqn_train_pop(sqn_bpe_trainer *t) {
    train_entry *h = t->heap, top = h[0], last = h[--t->heap_count];
    size_t n = t->heap_count, i = 0;
    for (size_t child = 1; child < n; child = 2 * i + 1) {
        if (child + 1 < n && before(t, h[child + 1], h[child])) child++;
        if (!before(t, h[child], last)) break;
        h[i] = h[child];
        i = child;
    }
    h[i] = last;
    return top;
}
