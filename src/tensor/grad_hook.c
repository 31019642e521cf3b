/* Hooks of leaves: see grad_hook.h. */
#include "tensor/grad_hook.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"

typedef struct sqn_leaf_use {
    sqn_tensor *leaf; /* owned reference */
    uint64_t first;   /* sequence of the earliest node that uses it; 0: known too late to tell */
} leaf_use;

static _Atomic int64_t live_hooks; /* none: a backward looks for none */
static _Thread_local uint64_t walks;
static _Thread_local sqn_leaf_queue *current;

void sqn_grad_hook_set(sqn_tensor *leaf, sqn_grad_hook *hook) {
    sqn_grad_hook *before = leaf->hook;
    leaf->hook = hook;
    if (hook != NULL) atomic_fetch_add(&live_hooks, 1);
    if (before == NULL) return;
    atomic_fetch_sub(&live_hooks, 1);
    before->release(before->context);
    sqn_free(before);
}

/* `at` with room for one more item of `size` bytes; NULL: no memory, and `at` is as it was. */
static void *grown(void *at, size_t count, size_t *room, size_t size, sqn_err *e) {
    if (count < *room) return at;
    size_t wider = *room ? 2 * *room : 16;
    void *more = sqn_realloc(at, wider * size, e);
    if (more != NULL) *room = wider;
    return more;
}

sqn_status sqn_leaf_list_add(sqn_leaf_list *list, sqn_tensor *leaf, sqn_err *e) {
    for (size_t i = 0; i < list->count; i++)
        if (list->at[i] == leaf) return SQN_OK;
    void *at = grown(list->at, list->count, &list->room, sizeof *list->at, e);
    if (at == NULL) return SQN_NOMEM;
    list->at = at;
    list->at[list->count++] = sqn_tensor_retain(leaf);
    return SQN_OK;
}

void sqn_leaf_list_clear(sqn_leaf_list *list) {
    for (size_t i = 0; i < list->count; i++) sqn_tensor_release(list->at[i]);
    sqn_free(list->at);
    memset(list, 0, sizeof *list);
}

/* Takes note that the node numbered `sequence` uses the leaf. */
static sqn_status note_use(sqn_leaf_queue *q, sqn_tensor *leaf, uint64_t sequence, sqn_err *e) {
    sqn_grad_hook *hook = leaf ? leaf->hook : NULL;
    if (hook == NULL) return SQN_OK;
    if (hook->walk == q->walk) {
        if (sequence > 0 && sequence < q->at[hook->place].first)
            q->at[hook->place].first = sequence;
        return SQN_OK;
    }
    void *at = grown(q->at, q->count, &q->room, sizeof *q->at, e);
    if (at == NULL) return SQN_NOMEM;
    q->at = at;
    hook->walk = q->walk;
    hook->place = q->count;
    q->at[q->count++] = (leaf_use){sqn_tensor_retain(leaf), sequence};
    return SQN_OK;
}

typedef struct stack {
    sqn_node **at; /* borrowed from the edges above them */
    size_t count, room;
} stack;

static sqn_status push(stack *s, sqn_node *n, uint64_t stamp, sqn_err *e) {
    if (n == NULL || n->walk == stamp) return SQN_OK;
    void *at = grown(s->at, s->count, &s->room, sizeof *s->at, e);
    if (at == NULL) return SQN_NOMEM;
    s->at = at;
    s->at[s->count++] = n;
    n->walk = stamp;
    return SQN_OK;
}

/* Notes every use below the root, `late`: as known too late. */
static sqn_status walk_tape(sqn_leaf_queue *q, sqn_node *root, bool late, sqn_err *e) {
    const uint64_t stamp = ++walks;
    stack s = {0};
    sqn_status status = push(&s, root, stamp, e);
    while (s.count > 0 && status == SQN_OK) {
        const sqn_node *n = s.at[--s.count];
        const uint64_t sequence = late ? 0 : n->sequence;
        for (size_t i = 0; i < n->hidden.count && status == SQN_OK; i++)
            status = note_use(q, n->hidden.at[i], sequence, e);
        for (int i = 0; i < n->inputs && status == SQN_OK; i++) {
            status = note_use(q, n->edges[i].leaf, sequence, e);
            if (status == SQN_OK) status = push(&s, n->edges[i].node, stamp, e);
        }
    }
    sqn_free(s.at);
    return status;
}

static int by_first_use(const void *a, const void *b) { /* the latest first */
    const leaf_use *x = a, *y = b;
    return x->first > y->first ? -1 : x->first < y->first;
}

sqn_status sqn_leaf_queue_open(sqn_leaf_queue *q, sqn_node *root, sqn_err *e) {
    *q = (sqn_leaf_queue){.walk = ++walks, .outer = current};
    current = q->outer ? q->outer : q;
    if (atomic_load(&live_hooks) == 0) return SQN_OK;
    SQN_TRY(walk_tape(current, root, q->outer != NULL, e));
    if (q->outer == NULL && q->count > 0) qsort(q->at, q->count, sizeof *q->at, by_first_use);
    return SQN_OK;
}

sqn_status sqn_leaf_queue_run(sqn_leaf_queue *q, const sqn_node *next, sqn_err *e) {
    while (q->next < q->count && (next == NULL || q->at[q->next].first > next->sequence)) {
        sqn_tensor *leaf = q->at[q->next++].leaf;
        if (leaf->hook == NULL || leaf->grad == NULL || leaf->grad_stale) continue;
        SQN_TRY(leaf->hook->call(leaf->hook->context, leaf, e));
    }
    return SQN_OK;
}

void sqn_leaf_queue_close(sqn_leaf_queue *q) {
    current = q->outer;
    for (size_t i = 0; i < q->count; i++) sqn_tensor_release(q->at[i].leaf);
    sqn_free(q->at);
}
