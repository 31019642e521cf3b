/* What the kernels ask of src/cuda: scratch memory in stream order, products, the launches'
 * verdict.
 *
 * Rules: scratch is taken and given back in stream order and is NULL when the card is full.
 * Matrices of a product are column-major, as BLAS has them.
 */
#ifndef SQN_KERNELS_CUDA_HOST_H
#define SQN_KERNELS_CUDA_HOST_H

#include <stddef.h>
#include <stdint.h>

#include "core/alloc.h"
#include "core/dtype.h"
#include "core/err.h"

void *sqn_cuda_scratch(size_t bytes, void *stream); /* contents undefined */
void sqn_cuda_scratch_release(void *p, void *stream);
void sqn_cuda_count_launch(void);    /* before each one, also of a product */
int64_t sqn_cuda_launch_count(void); /* of this thread */
void sqn_cuda_count_plain(void);     /* a product that the library refused */
int64_t sqn_cuda_plain_count(void);
sqn_status sqn_cuda_launched(void); /* SQN_OK, or what the last launch failed with */
/* 10 times the compute capability of the current card (90: Hopper), or the limit if that is less:
 * tests look at what was written for older cards. */
int sqn_cuda_capability(void);
void sqn_cuda_capability_limit(int most);
/* Between host and card; both wait until the bytes are there. */
sqn_status sqn_cuda_read(void *host, const void *device, size_t bytes, void *stream);
sqn_status sqn_cuda_write(void *device, const void *host, size_t bytes, void *stream);

/* C [m, n] = op(A) [m, k] op(B) [k, n] + beta C (+ bias [m] to every column), each of `batch`
 * matrices. */
typedef struct sqn_gemm {
    sqn_dtype dtype, c_dtype; /* of A and B; of C and bias */
    int64_t m, n, k, batch;
    int trans_a, trans_b;
    const void *a, *b, *bias; /* bias may be NULL */
    void *c;
    int64_t lda, ldb, ldc, a_batch, b_batch, c_batch; /* elements */
    double beta;
} sqn_gemm;
/* SQN_NOTFOUND: the library has no way to do this one. */
sqn_status sqn_cuda_gemm(const sqn_gemm *g, void *stream);
void sqn_cuda_allow_tf32(int allowed); /* for f32, from now on, in all threads */

#endif
