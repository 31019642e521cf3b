/* Hooks of leaves: called in backward as soon as a leaf's gradient is complete.
 *
 * Rules: nodes run from the latest to the earliest, so a leaf is complete when the next node to run
 * is older than every node that uses it. What a custom operator's backward reaches by itself (a
 * checkpoint's weights) counts as used by its node: sqn_grad_watch saw it in the forward. Hooks run
 * off the tape and may write to the leaf, since whatever saved it has run.
 */
#ifndef SQN_TENSOR_GRAD_HOOK_H
#define SQN_TENSOR_GRAD_HOOK_H

#include "tensor/autograd.h"

typedef struct sqn_grad_hook {
    sqn_status (*call)(void *context, sqn_tensor *leaf, sqn_err *e);
    void (*release)(void *context);
    void *context; /* owned */
    uint64_t walk; /* of the queue that holds the leaf … */
    size_t place;  /* … and where in it, until it is sorted */
} sqn_grad_hook;

/* Gives the leaf a hook (owned, from sqn_alloc) in the place of the one before; NULL: none. */
void sqn_grad_hook_set(sqn_tensor *leaf, sqn_grad_hook *hook);

/* The leaves with hooks below the root of a backward, those complete first coming first. */
typedef struct sqn_leaf_queue {
    struct sqn_leaf_use *at; /* owned */
    size_t count, room, next;
    uint64_t walk;
    struct sqn_leaf_queue *outer; /* of the backward around this one; its hooks wait for that */
} sqn_leaf_queue;

sqn_status sqn_leaf_queue_open(sqn_leaf_queue *q, sqn_node *root, sqn_err *e);
/* Calls the hooks of the leaves that no node from `next` on adds to; NULL: of all that are left. */
sqn_status sqn_leaf_queue_run(sqn_leaf_queue *q, const sqn_node *next, sqn_err *e);
void sqn_leaf_queue_close(sqn_leaf_queue *q);

#endif
