/* Products that other operators' files use: see op_matmul.c. */
#ifndef SQN_TENSOR_OP_MATMUL_H
#define SQN_TENSOR_OP_MATMUL_H

#include "tensor/ops.h"

sqn_status sqn_product(const char *name, const sqn_tensor *like, sqn_k_matmul *k, sqn_err *e);
/* c [m, n] (+)= op(a) op(b) (+ bias); contiguous matrices; a is stored [k, m] if trans_a, b [n, k]
 * if trans_b. */
sqn_status sqn_product_2d(const char *name, const sqn_tensor *a, bool trans_a, const sqn_tensor *b,
                          bool trans_b, const sqn_tensor *bias, sqn_tensor *c, bool accumulate,
                          int64_t m, int64_t n, int64_t k, sqn_err *e);
/* d^T x for d [rows, n] and x [rows, k]: added into the leaf's gradient where `input` is a leaf,
 * else owned in *out. */
sqn_status sqn_weight_grad(sqn_node *node, int input, const char *name, const sqn_tensor *d,
                           const sqn_tensor *x, int64_t rows, sqn_tensor **out, sqn_err *e);
/* Column sums of d, to the same places. */
sqn_status sqn_bias_grad(sqn_node *node, int input, const sqn_tensor *d, sqn_tensor **out,
                         sqn_err *e);

#endif
