/* Tensors: a typed, strided view of a storage, with its place on the autograd tape.
 *
 * Rules: shapes and strides are in elements; views share storage; `_new` and `_retain` give +1,
 * `_release` takes it and accepts NULL. A tensor is used by one thread at a time. Functions that
 * return a tensor return NULL with *e filled on failure.
 */
#ifndef SQN_TENSOR_TENSOR_H
#define SQN_TENSOR_TENSOR_H

#include <stdbool.h>

#include "core/dtype.h"
#include "core/err.h"
#include "kernels/kernels.h"
#include "tensor/storage.h"

typedef struct sqn_node sqn_node;

typedef struct sqn_tensor {
    int32_t references;
    sqn_dtype dtype;
    int ndim;
    bool requires_grad; /* a leaf that wants a gradient, or the result of one */
    int64_t shape[SQN_MAX_DIMS], stride[SQN_MAX_DIMS];
    int64_t offset;             /* elements from the storage's start */
    sqn_storage *storage;       /* owned reference */
    struct sqn_tensor *grad;    /* owned; leaves only; of sqn_grad_dtype */
    bool grad_stale;            /* grad holds memory only: the next gradient overwrites it */
    bool narrow_grad;           /* a bf16 leaf's gradient is bf16 too, half the bytes, not f32 */
    struct sqn_grad_hook *hook; /* owned; leaves only: called when the gradient is complete */
    sqn_node *node;             /* owned reference to the node that made this; NULL for leaves */
    int node_output;            /* which output of it */
} sqn_tensor;

sqn_tensor *sqn_tensor_new(int device, sqn_dtype dtype, int ndim, const int64_t *shape,
                           sqn_err *e); /* contents undefined */
sqn_tensor *sqn_tensor_zeros(int device, sqn_dtype dtype, int ndim, const int64_t *shape,
                             sqn_err *e);
/* A contiguous tensor over bytes of a storage; takes no reference of its own but retains s. */
sqn_tensor *sqn_tensor_over(sqn_storage *s, sqn_dtype dtype, int ndim, const int64_t *shape,
                            int64_t offset, sqn_err *e);
/* A view with other shape, strides and offset; not on the tape. */
sqn_tensor *sqn_tensor_view(const sqn_tensor *x, int ndim, const int64_t *shape,
                            const int64_t *stride, int64_t offset, sqn_err *e);
sqn_tensor *sqn_tensor_detach(const sqn_tensor *x, sqn_err *e); /* the same bytes, off the tape */
sqn_tensor *sqn_tensor_retain(sqn_tensor *x);
void sqn_tensor_release(sqn_tensor *x);

int64_t sqn_tensor_numel(const sqn_tensor *x);
size_t sqn_tensor_bytes(const sqn_tensor *x);
bool sqn_tensor_is_contiguous(const sqn_tensor *x);
bool sqn_tensor_same_shape(const sqn_tensor *a, const sqn_tensor *b);
int sqn_tensor_device(const sqn_tensor *x);
void *
sqn_tensor_data(const sqn_tensor *x); /* borrowed: the first element, an address of x's device */
/* The same on `device`, where x lies or has its mirror (sqn_tensor_mirror). */
void *sqn_tensor_data_on(const sqn_tensor *x, int device);
/* "f32 [2, 3]" into text; returns text. */
const char *sqn_tensor_describe(const sqn_tensor *x, char text[static 96]);

/* Off the tape: bytes moved. `copy` needs equal shapes; converts; writes to any strides; goes from
 * device to device. */
sqn_status sqn_tensor_copy(sqn_tensor *to, const sqn_tensor *from, bool add, sqn_err *e);
sqn_status sqn_tensor_fill(sqn_tensor *x, double value, sqn_err *e);
sqn_status sqn_tensor_clear(sqn_tensor *x, sqn_err *e); /* a contiguous x = 0 */
/* +1: x itself if it is contiguous and of that dtype, else a converted contiguous copy beside it.
 */
sqn_tensor *sqn_tensor_as(sqn_tensor *x, sqn_dtype dtype, sqn_err *e);
/* +1: x itself if it lies on that device, else a contiguous copy there; off the tape. */
sqn_tensor *sqn_tensor_on(sqn_tensor *x, int device, sqn_err *e);
/* Makes sqn_tensor_data_on(x, device) possible: see sqn_storage_mirror. */
sqn_status sqn_tensor_mirror(const sqn_tensor *x, int device, sqn_err *e);
/* Elements of tensors on the host, in row-major order. */
double sqn_tensor_get(const sqn_tensor *x, int64_t linear);
int64_t sqn_tensor_get_integer(const sqn_tensor *x, int64_t linear);
void sqn_tensor_set(sqn_tensor *x, int64_t linear, double value);
void sqn_tensor_set_integer(sqn_tensor *x, int64_t linear, int64_t value);

/* The kernels of the tensor's device, which this thread's kernel calls go to from now on. */
const sqn_kernel_table *sqn_tensor_kernels(const sqn_tensor *x);
/* Words a kernel's refusal: "name: f16 [2, 3] is not supported here". */
sqn_status sqn_kernel_result(sqn_status status, const char *name, const sqn_tensor *x, sqn_err *e);

#endif
