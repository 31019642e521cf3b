/* The tape: nodes that know how to turn gradients of an operator's outputs into gradients of its
 * inputs.
 *
 * Rules: an operator records a node only while gradients are on and an input wants one. A node owns
 * what it saved and lets it go as soon as its backward ran, so activations leave while backward
 * works. A saved tensor whose storage was written after saving is an error that names the operator.
 * Backward functions run off the tape.
 */
#ifndef SQN_TENSOR_AUTOGRAD_H
#define SQN_TENSOR_AUTOGRAD_H

#include "tensor/tensor.h"

enum { SQN_NODE_SAVED = 8, SQN_NODE_OUTPUTS = 3 };

/* din[i] receives an owned gradient for input i where node->needs[i], or stays NULL (zero, or
 * accumulated already). dout[j] is borrowed, contiguous, in the output's dtype, or NULL where
 * nothing flowed into output j. */
typedef sqn_status (*sqn_backward)(sqn_node *node, sqn_tensor *const dout[], sqn_tensor *din[],
                                   sqn_err *e);

/* Leaves, each once. */
typedef struct sqn_leaf_list {
    sqn_tensor **at; /* owned, with a reference to each */
    size_t count, room;
} sqn_leaf_list;
sqn_status sqn_leaf_list_add(sqn_leaf_list *list, sqn_tensor *leaf, sqn_err *e);
void sqn_leaf_list_clear(sqn_leaf_list *list);

typedef struct sqn_edge {
    sqn_node *node; /* owned reference; NULL: a leaf or nothing */
    int output;
    sqn_tensor *leaf; /* owned reference to a leaf that wants a gradient */
} sqn_edge;

struct sqn_node {
    int32_t references;
    uint64_t sequence; /* later nodes have larger numbers: backward runs them first */
    const char *op;    /* borrowed, static */
    sqn_backward backward;
    void (*release_context)(void *context);
    void *context; /* owned: what a backward needs beside tensors (Lua functions of custom
                      operators) */
    int inputs, saved_count, outputs;
    bool done, queued;
    uint64_t direct; /* inputs whose leaf's gradient this node's backward writes by itself */
    struct sqn_node *next_dead;
    uint64_t walk;        /* of the last search for hooks that came by (grad_hook.c) */
    sqn_leaf_list hidden; /* leaves whose gradients the backward of a custom operator reaches by
                             itself */
    bool *needs;          /* [inputs]; owned with edges in one block */
    sqn_edge *edges;      /* [inputs] */
    sqn_tensor *saved[SQN_NODE_SAVED];
    uint32_t saved_version[SQN_NODE_SAVED];
    sqn_tensor *dout[SQN_NODE_OUTPUTS]; /* gradients that arrived so far */
    int64_t i[6];                       /* numbers for backward, as the operator likes */
    double f[4];
};

/* Whether operators record. Per thread; returns what it was. */
bool sqn_grad_set_enabled(bool enabled);
bool sqn_grad_enabled(void);

/* While recording is off, leaves that operators of this thread use are put into `list` (NULL: no
 * longer). Returns the list before. */
sqn_leaf_list *sqn_grad_watch(sqn_leaf_list *list);

/* Of a leaf's gradient: f32 for bf16 and f16 leaves, unless it is to be narrow; else the leaf's. */
sqn_dtype sqn_grad_dtype(const sqn_tensor *leaf);

/* A node for these inputs (NULLs allowed). *node is NULL without error where nothing wants a
 * gradient. */
sqn_status sqn_node_new(sqn_node **node, const char *op, sqn_backward backward, int inputs,
                        sqn_tensor *const in[], sqn_err *e);
void sqn_node_save(sqn_node *node, sqn_tensor *x); /* retains; NULL is kept as NULL */
/* Makes `out` the next output of the node (takes a reference of the node). */
void sqn_node_output(sqn_node *node, sqn_tensor *out);
void sqn_node_release(sqn_node *node);

/* For backward functions that can add straight into a leaf's gradient (weights of products,
 * embeddings): if input i is a leaf, gives its gradient tensor, borrowed, made where missing;
 * *fresh tells that it holds nothing yet and must be overwritten. NULL with no error: not a leaf,
 * or one whose narrow gradient is not of `dtype`, which the caller's kernel writes beside f32. A
 * new gradient counts as none until the node's backward succeeded. */
sqn_status sqn_node_leaf_grad(sqn_node *node, int i, sqn_dtype dtype, sqn_tensor **grad,
                              bool *fresh, sqn_err *e);

/* For backward functions that can add: the place of input i's gradient of `shape`, borrowed. It is
 * the leaf's, or the sum that other users of the input have begun, or else new, of d's dtype and
 * device, and owned by *out (din[i]). *fresh: it holds nothing yet. */
sqn_status sqn_node_grad(sqn_node *node, int i, const sqn_tensor *d, int ndim, const int64_t *shape,
                         sqn_tensor **out, sqn_tensor **grad, bool *fresh, sqn_err *e);
/* The same for what is no weight: on its way to a leaf it is rounded to d's dtype as on its way to
 * another node, so that a checkpoint, whose inside begins with leaves, gives the same bits. */
sqn_status sqn_node_input_grad(sqn_node *node, int i, const sqn_tensor *d, int ndim,
                               const int64_t *shape, sqn_tensor **out, sqn_tensor **grad,
                               bool *fresh, sqn_err *e);

/* Gradients of x with respect to all leaves below it, added into their `grad`. seed NULL: x is one
 * element and gets 1. */
sqn_status sqn_backward_run(sqn_tensor *x, sqn_tensor *seed, sqn_err *e);

#endif
