/* eigh: eigenvalues and eigenvectors of a symmetric matrix. Off the tape. */
#include "tensor/ops.h"

sqn_status sqn_op_eigh(sqn_call *c, sqn_err *e) {
    char text[96];
    sqn_tensor *in = c->arg[0].t, *x = NULL, *values = NULL, *vectors = NULL;
    if (in->dtype != SQN_F64 || in->ndim != 2 || in->shape[0] != in->shape[1])
        return sqn_op_fail(c, e, "x is f64 [n, n], got %s", sqn_tensor_describe(in, text));
    const int device = sqn_tensor_device(in);
    sqn_status status = SQN_NOMEM;
    if ((x = sqn_tensor_new(device, SQN_F64, 2, in->shape, e)) == NULL ||
        (values = sqn_tensor_new(device, SQN_F64, 1, in->shape, e)) == NULL ||
        (vectors = sqn_tensor_new(device, SQN_F64, 2, in->shape, e)) == NULL)
        goto fail;
    SQN_GOTO(sqn_tensor_copy(x, in, false, e));
    sqn_k_eigh k = {in->shape[0], sqn_tensor_data(x), sqn_tensor_data(values),
                    sqn_tensor_data(vectors)};
    status = sqn_tensor_kernels(x)->eigh(&k, NULL);
    if (status == SQN_MISUSE) {
        status = sqn_op_fail(c, e, "an element is not finite");
        goto fail;
    }
    SQN_GOTO(sqn_kernel_result(status, c->name, x, e));
    status = sqn_op_result(c, NULL, 0, values);
    values = NULL;
    sqn_op_result(c, NULL, 1, vectors);
    vectors = NULL;
fail:
    sqn_tensor_release(vectors);
    sqn_tensor_release(values);
    sqn_tensor_release(x);
    return status;
}
