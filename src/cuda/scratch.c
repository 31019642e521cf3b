/* Scratch memory in stream order, and the verdict of launches. */
#include <cuda_runtime_api.h>

#include "kernels/cuda/host.h"

void *sqn_cuda_scratch(size_t bytes, void *stream) {
    void *p = NULL;
    if (cudaMallocAsync(&p, bytes ? bytes : 1, (cudaStream_t)stream) == cudaSuccess) return p;
    cudaGetLastError();
    return NULL;
}

void sqn_cuda_scratch_release(void *p, void *stream) {
    if (p != NULL) cudaFreeAsync(p, (cudaStream_t)stream);
}

sqn_status sqn_cuda_launched(void) {
    const cudaError_t status = cudaGetLastError();
    return status == cudaSuccess                 ? SQN_OK
           : status == cudaErrorMemoryAllocation ? SQN_NOMEM
                                                 : SQN_MISUSE;
}
