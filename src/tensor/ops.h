/* Operators: one uniform call, so that the list in ops.def is all that a caller needs.
 *
 * Rules: arguments lie in `arg` in the signature's order, tensors borrowed; results are owned and
 * put into `out`. An operator checks dtypes and shapes and names itself in its errors; on failure
 * no output is set.
 */
#ifndef SQN_TENSOR_OPS_H
#define SQN_TENSOR_OPS_H

#include "tensor/autograd.h"

enum { SQN_OP_ARGS = 18, SQN_OP_OUTPUTS = 2 };

typedef struct sqn_arg {
    bool present;
    sqn_tensor *t;       /* t, borrowed */
    sqn_tensor **list;   /* l, borrowed */
    const int64_t *ints; /* v, borrowed */
    const char *text;    /* s, borrowed */
    int64_t count;       /* of list and ints */
    int64_t i;           /* i, b; d: from 0, not yet wrapped: see sqn_op_dim */
    double f;
} sqn_arg;

typedef struct sqn_call {
    const char *name; /* borrowed, static: the operator's */
    sqn_arg arg[SQN_OP_ARGS];
    sqn_tensor *out[SQN_OP_OUTPUTS]; /* owned */
} sqn_call;

typedef sqn_status (*sqn_op_fn)(sqn_call *c, sqn_err *e);

typedef struct sqn_op_info {
    const char *name, *signature, *doc;
    int outputs;
    bool differentiable;
    sqn_op_fn run;
} sqn_op_info;

typedef enum sqn_op {
#define OP(name, outputs, signature, grad, doc) SQN_OP_##name,
#include "tensor/ops.def"
#undef OP
    SQN_OP_COUNT
} sqn_op;

#define OP(name, outputs, signature, grad, doc) sqn_status sqn_op_##name(sqn_call *c, sqn_err *e);
#include "tensor/ops.def"
#undef OP

extern const sqn_op_info sqn_op_list[SQN_OP_COUNT];

/* ---- what the op_*.c files share (op_common.c) ---- */

sqn_status sqn_op_fail(const sqn_call *c, sqn_err *e, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
sqn_status sqn_op_float(const sqn_call *c, const sqn_tensor *x,
                        sqn_err *e); /* f32, bf16 or f64, or an error */
sqn_status sqn_op_same_dtype(const sqn_call *c, const sqn_tensor *a, const sqn_tensor *b,
                             sqn_err *e); /* and one device */
sqn_status sqn_op_same_device(const sqn_call *c, const sqn_tensor *a, const sqn_tensor *b,
                              sqn_err *e);
sqn_status sqn_op_dim(const sqn_call *c, const sqn_tensor *x, int64_t dim, int *out, sqn_err *e);
sqn_dtype sqn_accumulator(sqn_dtype t); /* f64 for f64, else f32 */
/* +1: i64, contiguous, on the host with a mirror on `device`; every value in [0, limit) or equal to
 * `also` (say -100). In a recording i64 of that device stays there, and nobody looks at it. */
sqn_tensor *sqn_op_index(const sqn_call *c, sqn_tensor *x, int64_t limit, int64_t also, int device,
                         sqn_err *e);
/* The same for kernels that pass over what is not below limit: i64 of `device`, a card, stays there
 * in a recording or not. An operator made it there, and to look at it the host would have to wait.
 */
sqn_tensor *sqn_op_guarded_index(const sqn_call *c, sqn_tensor *x, int64_t limit, int64_t also,
                                 int device, sqn_err *e);
/* y = alpha factor x + beta, contiguous; factor: one number of x's accumulator type on its device,
 * or NULL for 1. y may be x. */
sqn_status sqn_op_affine_into(const char *name, const sqn_tensor *x, double alpha, double beta,
                              const sqn_tensor *factor, sqn_tensor *y, sqn_err *e);
/* y, one number of x's dtype, = the sum of a contiguous x. */
sqn_status sqn_op_total(const char *name, const sqn_tensor *x, sqn_tensor *y, sqn_err *e);
/* +1: a tensor of x's shape over one byte: keeps a shape for backward without its bytes. */
sqn_tensor *sqn_op_shape_only(const sqn_tensor *x, sqn_err *e);
/* Sums d over the dimensions that broadcasting added, down to `shape` (op_elementwise.c). *out is
 * owned. */
sqn_status sqn_op_sum_to(sqn_tensor *d, int ndim, const int64_t *shape, sqn_tensor **out,
                         sqn_err *e);
/* Puts `out` (owned, may be NULL after a failure) into the call's next place; records it on `node`
 * if that is set. */
sqn_status sqn_op_result(sqn_call *c, sqn_node *node, int place, sqn_tensor *out);

#endif
