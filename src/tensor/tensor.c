/* Tensors: see tensor.h. */
#include "tensor/tensor.h"

#include <stdio.h>
#include <string.h>

#include "core/alloc.h"
#include "kernels/cpu/float.h"
#include "tensor/grad_hook.h"
#include "tensor/recording.h"

static sqn_tensor *shell(sqn_dtype dtype, int ndim, const int64_t *shape, sqn_err *e) {
    if (ndim < 0 || ndim > SQN_MAX_DIMS) {
        SQN_FAIL(e, SQN_MISUSE, "a tensor has 0 to %d dimensions, not %d", SQN_MAX_DIMS, ndim);
        return NULL;
    }
    sqn_tensor *x = sqn_calloc(1, sizeof *x, e);
    if (x == NULL) return NULL;
    x->references = 1;
    x->dtype = dtype;
    x->ndim = ndim;
    int64_t stride = 1;
    for (int d = ndim - 1; d >= 0; d--) {
        x->shape[d] = shape[d];
        x->stride[d] = stride;
        if (shape[d] < 0 || (shape[d] > 0 && stride > INT64_MAX / 16 / shape[d])) {
            SQN_FAIL(e, SQN_MISUSE, "dimension %d has size %lld", d + 1, (long long)shape[d]);
            sqn_free(x);
            return NULL;
        }
        stride *= shape[d] ? shape[d] : 1;
    }
    return x;
}

sqn_tensor *sqn_tensor_new(int device, sqn_dtype dtype, int ndim, const int64_t *shape,
                           sqn_err *e) {
    sqn_tensor *x = shell(dtype, ndim, shape, e);
    if (x == NULL) return NULL;
    x->storage = sqn_storage_new(device, sqn_tensor_bytes(x), e);
    if (x->storage == NULL) {
        sqn_free(x);
        return NULL;
    }
    return x;
}

sqn_tensor *sqn_tensor_zeros(int device, sqn_dtype dtype, int ndim, const int64_t *shape,
                             sqn_err *e) {
    sqn_tensor *x = sqn_tensor_new(device, dtype, ndim, shape, e);
    if (x == NULL || sqn_tensor_clear(x, e) == SQN_OK) return x;
    sqn_tensor_release(x);
    return NULL;
}

sqn_tensor *sqn_tensor_over(sqn_storage *s, sqn_dtype dtype, int ndim, const int64_t *shape,
                            int64_t offset, sqn_err *e) {
    sqn_tensor *x = shell(dtype, ndim, shape, e);
    if (x == NULL) return NULL;
    SQN_ASSERT((size_t)offset * sqn_dtype_size(dtype) + sqn_tensor_bytes(x) <= s->bytes);
    x->offset = offset;
    x->storage = sqn_storage_retain(s);
    return x;
}

sqn_tensor *sqn_tensor_view(const sqn_tensor *x, int ndim, const int64_t *shape,
                            const int64_t *stride, int64_t offset, sqn_err *e) {
    sqn_tensor *y = shell(x->dtype, ndim, shape, e);
    if (y == NULL) return NULL;
    if (stride != NULL) memcpy(y->stride, stride, (size_t)ndim * sizeof *stride);
    y->offset = offset;
    y->storage = sqn_storage_retain(x->storage);
    return y;
}

sqn_tensor *sqn_tensor_detach(const sqn_tensor *x, sqn_err *e) {
    return sqn_tensor_view(x, x->ndim, x->shape, x->stride, x->offset, e);
}

sqn_tensor *sqn_tensor_retain(sqn_tensor *x) {
    x->references++;
    return x;
}

void sqn_tensor_release(sqn_tensor *x) {
    if (x == NULL || --x->references > 0) return;
    sqn_grad_hook_set(x, NULL);
    sqn_tensor_release(x->grad);
    sqn_node_release(x->node);
    sqn_storage_release(x->storage);
    sqn_free(x);
}

int64_t sqn_tensor_numel(const sqn_tensor *x) {
    int64_t n = 1;
    for (int d = 0; d < x->ndim; d++) n *= x->shape[d];
    return n;
}

size_t sqn_tensor_bytes(const sqn_tensor *x) {
    return (size_t)sqn_tensor_numel(x) * sqn_dtype_size(x->dtype);
}

bool sqn_tensor_is_contiguous(const sqn_tensor *x) {
    int64_t stride = 1;
    for (int d = x->ndim - 1; d >= 0; d--) {
        if (x->shape[d] != 1 && x->stride[d] != stride) return sqn_tensor_numel(x) == 0;
        stride *= x->shape[d];
    }
    return true;
}

bool sqn_tensor_same_shape(const sqn_tensor *a, const sqn_tensor *b) {
    return a->ndim == b->ndim &&
           memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof *a->shape) == 0;
}

int sqn_tensor_device(const sqn_tensor *x) { return x->storage->device; }

static void *first_of(const sqn_tensor *x, const sqn_storage *s) {
    sqn_recording_keep(s);
    return (char *)s->data + (size_t)x->offset * sqn_dtype_size(x->dtype);
}

void *sqn_tensor_data(const sqn_tensor *x) { return first_of(x, x->storage); }

void *sqn_tensor_data_on(const sqn_tensor *x, int device) {
    const sqn_storage *s = x->storage->device == device ? x->storage : x->storage->mirror;
    SQN_ASSERT(s != NULL && s->device == device);
    return first_of(x, s);
}

sqn_status sqn_tensor_mirror(const sqn_tensor *x, int device, sqn_err *e) {
    return sqn_storage_mirror(x->storage, device, e);
}

const char *sqn_tensor_describe(const sqn_tensor *x, char text[static 96]) {
    int at = snprintf(text, 96, "%s [", sqn_dtype_name(x->dtype));
    for (int d = 0; d < x->ndim && at < 70; d++)
        at += snprintf(text + at, 96 - (size_t)at, d ? ", %lld" : "%lld", (long long)x->shape[d]);
    snprintf(text + at, 96 - (size_t)at, "]");
    return text;
}

const sqn_kernel_table *sqn_tensor_kernels(const sqn_tensor *x) {
    return sqn_device_kernels(x->storage->device);
}

sqn_status sqn_kernel_result(sqn_status status, const char *name, const sqn_tensor *x, sqn_err *e) {
    char text[96], device[16];
    if (status == SQN_OK) return SQN_OK;
    const int on = x->storage->device;
    if (status == SQN_NOMEM && !sqn_device_is_lost(on))
        return SQN_FAIL(e, status, "%s: out of memory", name);
    if (status == SQN_NOMEM || status == SQN_IO)
        return SQN_FAIL(e, SQN_IO, "%s: %s on %s: %s", name, sqn_tensor_describe(x, text),
                        sqn_device_name(on, device), sqn_backend_get()->fault());
    return SQN_FAIL(e, status, "%s: %s is not supported", name, sqn_tensor_describe(x, text));
}

/* Both on one device. */
static sqn_status copy_within(sqn_tensor *to, const sqn_tensor *from, bool add, sqn_err *e) {
    sqn_k_copy k = {.from = from->dtype,
                    .to = to->dtype,
                    .ndim = to->ndim,
                    .x = sqn_tensor_data(from),
                    .y = sqn_tensor_data(to),
                    .add = add};
    memcpy(k.shape, to->shape, sizeof k.shape);
    memcpy(k.x_stride, from->stride, sizeof k.x_stride);
    memcpy(k.y_stride, to->stride, sizeof k.y_stride);
    to->storage->version++;
    return sqn_kernel_result(sqn_tensor_kernels(to)->copy(&k, NULL), "copy", from, e);
}

/* +1: a contiguous copy of x on another device. */
static sqn_tensor *moved(const sqn_tensor *x, int device, sqn_err *e) {
    sqn_tensor *flat = sqn_tensor_is_contiguous(x)
                           ? sqn_tensor_detach(x, e)
                           : sqn_tensor_new(sqn_tensor_device(x), x->dtype, x->ndim, x->shape, e);
    sqn_tensor *y = flat ? sqn_tensor_new(device, x->dtype, x->ndim, x->shape, e) : NULL;
    sqn_status status = y ? SQN_OK : SQN_NOMEM;
    if (status == SQN_OK && flat->storage != x->storage) status = copy_within(flat, x, false, e);
    if (status == SQN_OK)
        status = sqn_device_copy(device, sqn_tensor_data(y), sqn_tensor_device(x),
                                 sqn_tensor_data(flat), sqn_tensor_bytes(x), e);
    sqn_tensor_release(flat);
    if (status == SQN_OK) return y;
    sqn_tensor_release(y);
    return NULL;
}

sqn_status sqn_tensor_copy(sqn_tensor *to, const sqn_tensor *from, bool add, sqn_err *e) {
    char a[96], b[96];
    if (!sqn_tensor_same_shape(to, from))
        return SQN_FAIL(e, SQN_MISUSE, "copy: %s does not fit %s", sqn_tensor_describe(from, a),
                        sqn_tensor_describe(to, b));
    if (sqn_tensor_device(to) == sqn_tensor_device(from)) return copy_within(to, from, add, e);
    if (!add && to->dtype == from->dtype && sqn_tensor_is_contiguous(to) &&
        sqn_tensor_is_contiguous(from)) {
        to->storage->version++;
        return sqn_device_copy(sqn_tensor_device(to), sqn_tensor_data(to), sqn_tensor_device(from),
                               sqn_tensor_data(from), sqn_tensor_bytes(to), e);
    }
    sqn_tensor *near = moved(from, sqn_tensor_device(to), e);
    sqn_status status = near ? copy_within(to, near, add, e) : e->code;
    sqn_tensor_release(near);
    return status;
}

sqn_status sqn_tensor_clear(sqn_tensor *x, sqn_err *e) {
    return sqn_device_zero(sqn_tensor_device(x), sqn_tensor_data(x), sqn_tensor_bytes(x), e);
}

sqn_status sqn_tensor_fill(sqn_tensor *x, double value, sqn_err *e) {
    int64_t one = 1, zero[SQN_MAX_DIMS] = {0};
    sqn_tensor *number = sqn_tensor_new(SQN_CPU, x->dtype, 1, &one, e), *near = NULL, *wide = NULL;
    if (number == NULL) return SQN_NOMEM;
    sqn_tensor_set(number, 0, value);
    if ((near = sqn_tensor_on(number, sqn_tensor_device(x), e)) != NULL)
        wide = sqn_tensor_view(near, x->ndim, x->shape, zero, 0, e);
    sqn_status status = wide ? sqn_tensor_copy(x, wide, false, e) : e->code;
    sqn_tensor_release(wide);
    sqn_tensor_release(near);
    sqn_tensor_release(number);
    return status;
}

sqn_tensor *sqn_tensor_as(sqn_tensor *x, sqn_dtype dtype, sqn_err *e) {
    if (x->dtype == dtype && sqn_tensor_is_contiguous(x)) return sqn_tensor_retain(x);
    sqn_tensor *y = sqn_tensor_new(sqn_tensor_device(x), dtype, x->ndim, x->shape, e);
    if (y != NULL && sqn_tensor_copy(y, x, false, e) != SQN_OK) {
        sqn_tensor_release(y);
        return NULL;
    }
    return y;
}

sqn_tensor *sqn_tensor_on(sqn_tensor *x, int device, sqn_err *e) {
    return sqn_tensor_device(x) == device ? sqn_tensor_retain(x) : moved(x, device, e);
}

static int64_t element(const sqn_tensor *x,
                       int64_t linear) { /* row-major index -> offset in the storage */
    int64_t at = x->offset;
    for (int d = x->ndim - 1; d >= 0; d--) {
        at += linear % x->shape[d] * x->stride[d];
        linear /= x->shape[d];
    }
    return at;
}

double sqn_tensor_get(const sqn_tensor *x, int64_t linear) {
    int64_t i = element(x, linear);
    const void *p = x->storage->data;
    switch (x->dtype) {
    case SQN_F32:
        return ((const float *)p)[i];
    case SQN_BF16:
        return sqn_bf16_load(((const sqn_bf16 *)p)[i]);
    case SQN_F16:
        return (double)((const _Float16 *)p)[i];
    case SQN_F64:
        return ((const double *)p)[i];
    default:
        return (double)sqn_tensor_get_integer(x, linear);
    }
}

int64_t sqn_tensor_get_integer(const sqn_tensor *x, int64_t linear) {
    int64_t i = element(x, linear);
    const void *p = x->storage->data;
    switch (x->dtype) {
    case SQN_I64:
        return ((const int64_t *)p)[i];
    case SQN_I32:
        return ((const int32_t *)p)[i];
    case SQN_U8:
        return ((const uint8_t *)p)[i];
    default:
        return (int64_t)sqn_tensor_get(x, linear);
    }
}

void sqn_tensor_set(sqn_tensor *x, int64_t linear, double value) {
    int64_t i = element(x, linear);
    void *p = x->storage->data;
    switch (x->dtype) {
    case SQN_F32:
        ((float *)p)[i] = (float)value;
        break;
    case SQN_BF16:
        ((sqn_bf16 *)p)[i] = sqn_bf16_store((float)value);
        break;
    case SQN_F16:
        ((_Float16 *)p)[i] = (_Float16)value;
        break;
    case SQN_F64:
        ((double *)p)[i] = value;
        break;
    default:
        sqn_tensor_set_integer(x, linear, (int64_t)value);
        break;
    }
}

void sqn_tensor_set_integer(sqn_tensor *x, int64_t linear, int64_t value) {
    int64_t i = element(x, linear);
    void *p = x->storage->data;
    switch (x->dtype) {
    case SQN_I64:
        ((int64_t *)p)[i] = value;
        break;
    case SQN_I32:
        ((int32_t *)p)[i] = (int32_t)value;
        break;
    case SQN_U8:
        ((uint8_t *)p)[i] = (uint8_t)value;
        break;
    default:
        sqn_tensor_set(x, linear, (double)value);
        break;
    }
}
