/* Scratch memory and copies in stream order, and the verdict of launches. */
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

static sqn_status copied(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                         void *stream) {
    cudaError_t status = cudaMemcpyAsync(to, from, bytes, kind, (cudaStream_t)stream);
    if (status == cudaSuccess) status = cudaStreamSynchronize((cudaStream_t)stream);
    return status == cudaSuccess ? SQN_OK : SQN_MISUSE;
}

sqn_status sqn_cuda_read(void *host, const void *device, size_t bytes, void *stream) {
    return copied(host, device, bytes, cudaMemcpyDeviceToHost, stream);
}

sqn_status sqn_cuda_write(void *device, const void *host, size_t bytes, void *stream) {
    return copied(device, host, bytes, cudaMemcpyHostToDevice, stream);
}

sqn_status sqn_cuda_launched(void) {
    const cudaError_t status = cudaGetLastError();
    return status == cudaSuccess                 ? SQN_OK
           : status == cudaErrorMemoryAllocation ? SQN_NOMEM
                                                 : SQN_MISUSE;
}
