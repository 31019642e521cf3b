/* Eigenvalues of a small symmetric matrix: on the host. It is asked for once, when an adapter
 * starts from a decomposition, for some hundreds of rows. */
#include "kernels/cuda/cuda.cuh"

extern "C" sqn_status sqn_cpu_eigh(const sqn_k_eigh *a, void *stream);

extern "C" sqn_status sqn_cuda_eigh(const sqn_k_eigh *a, void *stream) {
    if (a->n == 0) return SQN_OK;
    const size_t n = (size_t)a->n, square = n * n * sizeof(double);
    double *x = (double *)sqn_alloc(2 * square + n * sizeof(double), NULL);
    if (x == nullptr) return SQN_NOMEM;
    double *vectors = x + n * n, *values = vectors + n * n;
    const sqn_k_eigh k = {a->n, x, values, vectors};
    sqn_status status = sqn_cuda_read(x, a->x, square, stream);
    if (status == SQN_OK) status = sqn_cpu_eigh(&k, nullptr);
    if (status == SQN_OK) status = sqn_cuda_write(a->values, values, n * sizeof(double), stream);
    if (status == SQN_OK) status = sqn_cuda_write(a->vectors, vectors, square, stream);
    sqn_free(x);
    return status;
}
