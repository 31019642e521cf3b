/* The tape: see autograd.h. */
#include "tensor/autograd.h"

#include <string.h>

#include "core/alloc.h"
#include "tensor/grad_hook.h"

static _Thread_local bool enabled = true;
static _Thread_local uint64_t next_sequence = 1;

bool sqn_grad_enabled(void) { return enabled; }

bool sqn_grad_set_enabled(bool on) {
    bool before = enabled;
    enabled = on;
    return before;
}

static _Thread_local sqn_leaf_list *watched;

sqn_leaf_list *sqn_grad_watch(sqn_leaf_list *list) {
    sqn_leaf_list *before = watched;
    watched = list;
    return before;
}

static bool wants(const sqn_tensor *x) {
    return x != NULL && x->requires_grad && sqn_dtype_is_float(x->dtype);
}

static sqn_status watch(int inputs, sqn_tensor *const in[], sqn_err *e) {
    for (int i = 0; i < inputs; i++)
        if (wants(in[i]) && in[i]->node == NULL) SQN_TRY(sqn_leaf_list_add(watched, in[i], e));
    return SQN_OK;
}

sqn_status sqn_node_new(sqn_node **node, const char *op, sqn_backward backward, int inputs,
                        sqn_tensor *const in[], sqn_err *e) {
    bool any = false;
    *node = NULL;
    for (int i = 0; i < inputs; i++) any |= wants(in[i]);
    if (any && !enabled && watched != NULL) return watch(inputs, in, e);
    if (!enabled || !any) return SQN_OK;
    sqn_node *n = sqn_calloc(1, sizeof *n, e);
    if (n == NULL) return SQN_NOMEM;
    n->edges = sqn_calloc((size_t)inputs, sizeof *n->edges + sizeof *n->needs, e);
    if (n->edges == NULL) {
        sqn_free(n);
        return SQN_NOMEM;
    }
    n->needs = (bool *)(n->edges + inputs);
    n->references = 1;
    n->sequence = next_sequence++;
    n->op = op;
    n->backward = backward;
    n->inputs = inputs;
    for (int i = 0; i < inputs; i++) {
        if (!wants(in[i])) continue;
        n->needs[i] = true;
        n->edges[i].output = in[i]->node_output;
        if (in[i]->node != NULL) {
            n->edges[i].node = in[i]->node;
            in[i]->node->references++;
        } else {
            n->edges[i].leaf = sqn_tensor_retain(in[i]);
        }
    }
    *node = n;
    return SQN_OK;
}

void sqn_node_save(sqn_node *node, sqn_tensor *x) {
    SQN_ASSERT(node->saved_count < SQN_NODE_SAVED);
    node->saved[node->saved_count] = x ? sqn_tensor_retain(x) : NULL;
    node->saved_version[node->saved_count++] = x ? x->storage->version : 0;
}

void sqn_node_output(sqn_node *node, sqn_tensor *out) {
    SQN_ASSERT(node->outputs < SQN_NODE_OUTPUTS);
    node->references++;
    out->node = node;
    out->node_output = node->outputs++;
    out->requires_grad = true;
}

/* Lets go of what the node keeps alive. */
static void drop_contents(sqn_node *n) {
    for (int i = 0; i < n->saved_count; i++) {
        sqn_tensor_release(n->saved[i]);
        n->saved[i] = NULL;
    }
    n->saved_count = 0;
    for (int j = 0; j < SQN_NODE_OUTPUTS; j++) {
        sqn_tensor_release(n->dout[j]);
        n->dout[j] = NULL;
    }
    for (int i = 0; i < n->inputs; i++) {
        sqn_tensor_release(n->edges[i].leaf);
        sqn_node_release(n->edges[i].node);
    }
    sqn_leaf_list_clear(&n->hidden);
    sqn_free(n->edges);
    n->edges = NULL;
    n->inputs = 0;
    if (n->release_context != NULL) n->release_context(n->context);
    n->release_context = NULL;
}

/* Dead nodes wait in a list and are emptied one by one: a chain of any length takes no stack. */
void sqn_node_release(sqn_node *node) {
    static _Thread_local sqn_node *dead;
    static _Thread_local bool draining;
    if (node == NULL || --node->references > 0) return;
    node->next_dead = dead;
    dead = node;
    if (draining) return;
    draining = true;
    while (dead != NULL) {
        sqn_node *n = dead;
        dead = n->next_dead;
        drop_contents(n);
        sqn_free(n);
    }
    draining = false;
}

sqn_dtype sqn_grad_dtype(const sqn_tensor *leaf) {
    const bool narrow = leaf->dtype == SQN_BF16 || leaf->dtype == SQN_F16;
    return narrow && !leaf->narrow_grad ? SQN_F32 : leaf->dtype;
}

sqn_status sqn_node_leaf_grad(sqn_node *node, int i, sqn_dtype dtype, sqn_tensor **grad,
                              bool *fresh, sqn_err *e) {
    sqn_tensor *leaf = node->edges[i].leaf;
    *grad = NULL;
    *fresh = false;
    if (leaf == NULL || (leaf->narrow_grad && leaf->dtype != dtype)) return SQN_OK;
    if (leaf->grad == NULL) {
        leaf->grad = sqn_tensor_new(sqn_tensor_device(leaf), sqn_grad_dtype(leaf), leaf->ndim,
                                    leaf->shape, e);
        if (leaf->grad == NULL) return SQN_NOMEM;
        leaf->grad_stale = true;
    }
    *fresh = leaf->grad_stale;
    for (int j = 0; j < node->inputs; j++) /* one leaf may be several inputs */
        if ((node->direct >> j & 1) && node->edges[j].leaf == leaf) *fresh = false;
    node->direct |= (uint64_t)1 << i;
    *grad = leaf->grad;
    return SQN_OK;
}

static bool is_own(const sqn_tensor *x) {
    return x->references == 1 && x->storage->references == 1 && sqn_tensor_is_contiguous(x);
}

sqn_status sqn_node_grad(sqn_node *node, int i, const sqn_tensor *d, int ndim, const int64_t *shape,
                         sqn_tensor **out, sqn_tensor **grad, bool *fresh, sqn_err *e) {
    const sqn_edge *edge = &node->edges[i];
    SQN_TRY(sqn_node_leaf_grad(node, i, d->dtype, grad, fresh, e));
    if (*grad != NULL) return SQN_OK;
    sqn_tensor *there = edge->node ? edge->node->dout[edge->output] : NULL;
    *fresh = there == NULL || !is_own(there) || there->dtype != d->dtype;
    if (*fresh) *out = there = sqn_tensor_new(sqn_tensor_device(d), d->dtype, ndim, shape, e);
    *grad = there;
    return there ? SQN_OK : SQN_NOMEM;
}

sqn_status sqn_node_input_grad(sqn_node *node, int i, const sqn_tensor *d, int ndim,
                               const int64_t *shape, sqn_tensor **out, sqn_tensor **grad,
                               bool *fresh, sqn_err *e) {
    const sqn_tensor *leaf = node->edges[i].leaf;
    if (leaf == NULL || sqn_grad_dtype(leaf) == d->dtype)
        return sqn_node_grad(node, i, d, ndim, shape, out, grad, fresh, e);
    *fresh = true;
    *grad = *out = sqn_tensor_new(sqn_tensor_device(d), d->dtype, ndim, shape, e);
    return *out ? SQN_OK : SQN_NOMEM;
}

/* Adds `d` (owned, taken) into a leaf's gradient. */
static sqn_status add_to_leaf(sqn_tensor *leaf, sqn_tensor *d, sqn_err *e) {
    sqn_status status = SQN_OK;
    if (leaf->grad != NULL) {
        status = sqn_tensor_copy(leaf->grad, d, !leaf->grad_stale, e);
        leaf->grad_stale = false;
    } else if (is_own(d) && d->dtype == sqn_grad_dtype(leaf)) {
        leaf->grad = d;
        return SQN_OK;
    } else {
        leaf->grad = sqn_tensor_new(sqn_tensor_device(leaf), sqn_grad_dtype(leaf), leaf->ndim,
                                    leaf->shape, e);
        status = leaf->grad ? sqn_tensor_copy(leaf->grad, d, false, e) : SQN_NOMEM;
    }
    sqn_tensor_release(d);
    return status;
}

/* Adds `d` (owned, taken) to what arrived for output j of n. */
static sqn_status add_to_node(sqn_node *n, int j, sqn_tensor *d, sqn_err *e) {
    if (n->dout[j] == NULL) {
        n->dout[j] = d;
        return SQN_OK;
    }
    sqn_status status = SQN_OK;
    if (n->dout[j]->references > 1 || n->dout[j]->storage->references > 1) {
        sqn_tensor *own = sqn_tensor_new(sqn_tensor_device(d), d->dtype, d->ndim, d->shape, e);
        status = own ? sqn_tensor_copy(own, n->dout[j], false, e) : SQN_NOMEM;
        sqn_tensor_release(n->dout[j]);
        n->dout[j] = own;
    }
    if (status == SQN_OK) status = sqn_tensor_copy(n->dout[j], d, true, e);
    sqn_tensor_release(d);
    return status;
}

static sqn_status check_saved(const sqn_node *n, sqn_err *e) {
    if (n->done)
        return SQN_FAIL(e, SQN_MISUSE,
                        "backward: '%s' was already gone through; its activations are released",
                        n->op);
    for (int i = 0; i < n->saved_count; i++)
        if (n->saved[i] != NULL && n->saved[i]->storage->version != n->saved_version[i])
            return SQN_FAIL(
                e, SQN_MISUSE,
                "backward: a tensor that '%s' needs was changed in place after it was used", n->op);
    return SQN_OK;
}

static sqn_status run_node(sqn_node *n, sqn_err *e) {
    sqn_tensor *din[64] = {0};
    SQN_ASSERT(n->inputs <= 64);
    SQN_TRY(check_saved(n, e));
    sqn_status status = SQN_OK;
    for (int j = 0; j < n->outputs && status == SQN_OK; j++) {
        if (n->dout[j] == NULL || sqn_tensor_is_contiguous(n->dout[j])) continue;
        sqn_tensor *flat = sqn_tensor_as(n->dout[j], n->dout[j]->dtype, e);
        sqn_tensor_release(n->dout[j]);
        n->dout[j] = flat;
        if (flat == NULL) status = SQN_NOMEM;
    }
    if (status == SQN_OK) status = n->backward(n, n->dout, din, e);
    for (int i = 0; i < n->inputs && status == SQN_OK; i++)
        if (n->direct >> i & 1) n->edges[i].leaf->grad_stale = false;
    for (int i = 0; i < n->inputs; i++) {
        if (din[i] == NULL) continue;
        if (status != SQN_OK || !n->needs[i])
            sqn_tensor_release(din[i]);
        else if (n->edges[i].leaf != NULL)
            status = add_to_leaf(n->edges[i].leaf, din[i], e);
        else
            status = add_to_node(n->edges[i].node, n->edges[i].output, din[i], e);
    }
    n->done = true;
    for (int i = 0; i < n->saved_count; i++) {
        sqn_tensor_release(n->saved[i]);
        n->saved[i] = NULL;
    }
    for (int j = 0; j < SQN_NODE_OUTPUTS; j++) {
        sqn_tensor_release(n->dout[j]);
        n->dout[j] = NULL;
    }
    return status;
}

/* A binary heap of nodes, latest first; holds references. */
typedef struct heap {
    sqn_node **at;
    size_t count, room;
} heap;

static sqn_status heap_push(heap *h, sqn_node *n, sqn_err *e) {
    if (h->count == h->room) {
        size_t room = h->room ? 2 * h->room : 64;
        void *at = sqn_realloc(h->at, room * sizeof *h->at, e);
        if (at == NULL) return SQN_NOMEM;
        h->at = at;
        h->room = room;
    }
    n->references++;
    n->queued = true;
    size_t i = h->count++;
    for (; i > 0 && h->at[(i - 1) / 2]->sequence < n->sequence; i = (i - 1) / 2)
        h->at[i] = h->at[(i - 1) / 2];
    h->at[i] = n;
    return SQN_OK;
}

static sqn_node *heap_pop(heap *h) {
    sqn_node *top = h->at[0], *last = h->at[--h->count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= h->count) break;
        if (child + 1 < h->count && h->at[child + 1]->sequence > h->at[child]->sequence) child++;
        if (h->at[child]->sequence <= last->sequence) break;
        h->at[i] = h->at[child];
        i = child;
    }
    h->at[i] = last;
    top->queued = false;
    return top;
}

/* A node's inputs were all made before it, so popping the latest node first is a topological order.
 */
static sqn_status run_all(sqn_node *root, sqn_err *e) {
    heap h = {0};
    sqn_leaf_queue leaves;
    sqn_status status = sqn_leaf_queue_open(&leaves, root, e);
    if (status == SQN_OK) status = heap_push(&h, root, e);
    while (h.count > 0) {
        sqn_node *n = heap_pop(&h);
        if (status == SQN_OK) status = run_node(n, e);
        for (int i = 0; i < n->inputs && status == SQN_OK; i++) {
            sqn_node *below = n->edges[i].node;
            if (below != NULL && !below->queued && below->dout[n->edges[i].output] != NULL)
                status = heap_push(&h, below, e);
        }
        if (status == SQN_OK) status = sqn_leaf_queue_run(&leaves, h.count ? h.at[0] : NULL, e);
        sqn_node_release(n);
    }
    sqn_leaf_queue_close(&leaves);
    sqn_free(h.at);
    return status;
}

/* The root itself is a leaf. */
static sqn_status add_to_root(sqn_tensor *x, sqn_tensor *d, sqn_err *e) {
    SQN_TRY(add_to_leaf(x, d, e));
    return x->hook ? x->hook->call(x->hook->context, x, e) : SQN_OK;
}

sqn_status sqn_backward_run(sqn_tensor *x, sqn_tensor *seed, sqn_err *e) {
    char text[96];
    if (!x->requires_grad)
        return SQN_FAIL(e, SQN_MISUSE,
                        "backward: this tensor does not depend on any that wants a gradient");
    if (seed == NULL && sqn_tensor_numel(x) != 1)
        return SQN_FAIL(e, SQN_MISUSE, "backward: %s is not one number: give the gradient of it",
                        sqn_tensor_describe(x, text));
    if (seed != NULL && !sqn_tensor_same_shape(x, seed))
        return SQN_FAIL(e, SQN_MISUSE, "backward: the gradient given has another shape than %s",
                        sqn_tensor_describe(x, text));
    sqn_tensor *d = sqn_tensor_new(sqn_tensor_device(x), x->dtype, x->ndim, x->shape, e);
    if (d == NULL) return SQN_NOMEM;
    sqn_status status = seed ? sqn_tensor_copy(d, seed, false, e) : sqn_tensor_fill(d, 1.0, e);
    if (status != SQN_OK) {
        sqn_tensor_release(d);
        return status;
    }
    bool before = sqn_grad_set_enabled(false);
    if (x->node == NULL) {
        status = add_to_root(x, d, e);
    } else {
        status = add_to_node(x->node, x->node_output, d, e);
        if (status == SQN_OK) status = run_all(x->node, e);
    }
    sqn_grad_set_enabled(before);
    return status;
}
