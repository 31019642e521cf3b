/* A card's memory for the kernels' test: NaN between canaries, which are looked at when it goes. */
#include <cuda_runtime_api.h>

#include <map>

#include "tests/gpu/kernels.h"

static constexpr size_t fence = 256;
static std::map<void *, size_t> blocks;

static void must(cudaError_t status, const char *what) {
    if (status != cudaSuccess) fault(format("%s: %s", what, cudaGetErrorString(status)));
}

void *device_allocate(size_t bytes) {
    char *p = nullptr;
    must(cudaMalloc((void **)&p, bytes + 2 * fence), "cudaMalloc");
    must(cudaMemset(p, 0xa5, fence), "cudaMemset");
    must(cudaMemset(p + fence, 0xff, bytes), "cudaMemset");
    must(cudaMemset(p + fence + bytes, 0xa5, fence), "cudaMemset");
    blocks[p + fence] = bytes;
    return p + fence;
}

/* Runs in destructors: a canary that is gone ends the program. */
void device_release(void *p) {
    if (p == nullptr) return;
    const size_t bytes = blocks[p];
    unsigned char around[2 * fence];
    bool whole =
        cudaMemcpy(around, (char *)p - fence, fence, cudaMemcpyDeviceToHost) == cudaSuccess &&
        cudaMemcpy(around + fence, (char *)p + bytes, fence, cudaMemcpyDeviceToHost) == cudaSuccess;
    for (unsigned char c : around) whole &= c == 0xa5;
    if (!whole) {
        printf("a kernel wrote outside its device memory, or failed: %s\n",
               cudaGetErrorString(cudaGetLastError()));
        exit(1);
    }
    cudaFree((char *)p - fence);
    blocks.erase(p);
}

void device_write(void *to, const void *from, size_t bytes) {
    must(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice), "cudaMemcpy");
}
void device_read(void *to, const void *from, size_t bytes) {
    must(cudaDeviceSynchronize(), "a kernel");
    must(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost), "cudaMemcpy");
}
size_t device_room() {
    size_t left = 0, total = 0;
    must(cudaMemGetInfo(&left, &total), "cudaMemGetInfo");
    return left;
}
