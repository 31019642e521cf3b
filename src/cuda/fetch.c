/* Copies to the host behind the stream's work: see fetch.h.
 *
 * Rules: a copy has a block of pinned memory and an event. Blocks are kept, since making one stops
 * the card; one that was given back before its copy was done waits for that in the list.
 */
#include "cuda/fetch.h"

#include <cuda_runtime_api.h>
#include <pthread.h>
#include <stdlib.h>

#include "cuda/fault.h"

struct sqn_backend_copy {
    sqn_backend_copy *next;
    int device;
    size_t room;
    void *bytes; /* pinned */
    cudaEvent_t done;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sqn_backend_copy *idle;
static const size_t smallest = 4096;

/* "Not ready" is an answer, but CUDA keeps it as the thread's last error. */
static cudaError_t query(cudaEvent_t event) {
    const cudaError_t status = cudaEventQuery(event);
    if (status == cudaErrorNotReady) cudaGetLastError();
    return status;
}

static sqn_backend_copy *take_idle(int device, size_t bytes) {
    sqn_backend_copy *found = NULL;
    pthread_mutex_lock(&lock);
    for (sqn_backend_copy **at = &idle; *at != NULL && found == NULL; at = &(*at)->next) {
        if ((*at)->device != device || (*at)->room < bytes) continue;
        if (query((*at)->done) != cudaSuccess) continue;
        found = *at;
        *at = found->next;
        break;
    }
    pthread_mutex_unlock(&lock);
    return found;
}

static sqn_backend_copy *make(int device, size_t bytes) {
    sqn_backend_copy *c = calloc(1, sizeof *c);
    if (c == NULL) return NULL;
    c->device = device;
    c->room = bytes > smallest ? bytes : smallest;
    if (sqn_cuda_verdict(cudaHostAlloc(&c->bytes, c->room, cudaHostAllocDefault)) == SQN_OK) {
        if (sqn_cuda_verdict(cudaEventCreateWithFlags(&c->done, cudaEventDisableTiming)) == SQN_OK)
            return c;
        sqn_cuda_verdict(cudaFreeHost(c->bytes));
    }
    free(c);
    return NULL;
}

sqn_backend_copy *sqn_cuda_fetch(int device, const void *from, size_t bytes) {
    sqn_backend_copy *c = take_idle(device, bytes);
    if (c == NULL) c = make(device, bytes);
    if (c == NULL) return NULL;
    if (sqn_cuda_verdict(cudaMemcpyAsync(c->bytes, from, bytes, cudaMemcpyDeviceToHost,
                                         cudaStreamPerThread)) == SQN_OK &&
        sqn_cuda_verdict(cudaEventRecord(c->done, cudaStreamPerThread)) == SQN_OK)
        return c;
    sqn_cuda_forget(c);
    return NULL;
}

sqn_status sqn_cuda_fetched(sqn_backend_copy *copy, bool wait, const void **bytes) {
    const cudaError_t status = wait ? cudaEventSynchronize(copy->done) : query(copy->done);
    *bytes = status == cudaSuccess ? copy->bytes : NULL;
    return status == cudaErrorNotReady ? SQN_OK : sqn_cuda_verdict(status);
}

void sqn_cuda_forget(sqn_backend_copy *copy) {
    pthread_mutex_lock(&lock);
    copy->next = idle;
    idle = copy;
    pthread_mutex_unlock(&lock);
}
