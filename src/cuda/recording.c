/* Recordings as CUDA graphs of the thread's stream: see recording.h, tensor/recording.h. */
#include "cuda/recording.h"

#include <cuda_runtime_api.h>

#include "core/alloc.h"
#include "cuda/fault.h"
#include "cuda/thread.h"

enum { MOST_CARDS = 64 };

typedef struct room { /* scratch */
    void *data;
    size_t bytes;
    int busy;
} room;

typedef struct work {
    int card;
    cudaGraphExec_t runnable;
    cudaStream_t aside;
    room *rooms;
    int count, space;
} work;

static __thread cudaStream_t asides[MOST_CARDS];
static __thread work *current;

int sqn_cuda_recording_is_open(void) {
    int card = -1;
    return current != NULL && cudaGetDevice(&card) == cudaSuccess && card == current->card;
}

sqn_status sqn_cuda_recording_take(size_t bytes, void **out) {
    SQN_TRY(sqn_cuda_verdict(cudaMallocAsync(out, bytes, current->aside)));
    return sqn_cuda_verdict(cudaStreamSynchronize(current->aside));
}

/* What is given back during a recording is older than that, and nothing of that time still runs:
 * begin waits. */
void sqn_cuda_recording_give(void *p) { sqn_cuda_verdict(cudaFreeAsync(p, current->aside)); }

/* The smallest idle room that fits, or a new one. */
void *sqn_cuda_recording_scratch(size_t bytes) {
    room *best = NULL;
    for (int i = 0; i < current->count; i++) {
        room *r = &current->rooms[i];
        if (!r->busy && r->bytes >= bytes && (best == NULL || r->bytes < best->bytes)) best = r;
    }
    if (best == NULL) {
        if (current->count == current->space) {
            const int more = current->space + 16;
            room *grown = sqn_realloc(current->rooms, (size_t)more * sizeof *grown, NULL);
            if (grown == NULL) return NULL;
            current->rooms = grown;
            current->space = more;
        }
        void *data = NULL;
        if (sqn_cuda_recording_take(bytes, &data) != SQN_OK) return NULL;
        best = &current->rooms[current->count++];
        *best = (room){data, bytes, 0};
    }
    best->busy = 1;
    return best->data;
}

void sqn_cuda_recording_scratch_release(void *p) {
    for (int i = 0; i < current->count; i++)
        if (current->rooms[i].data == p) current->rooms[i].busy = 0;
}

static void release(void) {
    for (int card = 0; card < MOST_CARDS; card++)
        if (asides[card] != NULL) sqn_cuda_verdict(cudaStreamDestroy(asides[card]));
}

sqn_status sqn_cuda_recording_begin(void) {
    int card = 0;
    SQN_TRY(sqn_cuda_verdict(cudaGetDevice(&card)));
    if (card >= MOST_CARDS) return SQN_MISUSE;
    if (asides[card] == NULL) {
        SQN_TRY(sqn_cuda_verdict(cudaStreamCreateWithFlags(&asides[card], cudaStreamNonBlocking)));
        sqn_cuda_at_thread_end(release);
    }
    work *w = sqn_calloc(1, sizeof *w, NULL);
    if (w == NULL) return SQN_NOMEM;
    w->card = card;
    w->aside = asides[card];
    /* Relaxed: taking memory and asking the libraries for their choices are allowed meanwhile. */
    sqn_status status = sqn_cuda_verdict(cudaStreamSynchronize(cudaStreamPerThread));
    if (status == SQN_OK)
        status = sqn_cuda_verdict(
            cudaStreamBeginCapture(cudaStreamPerThread, cudaStreamCaptureModeRelaxed));
    if (status != SQN_OK)
        sqn_free(w);
    else
        current = w;
    return status;
}

sqn_status sqn_cuda_recording_end(void **out) {
    work *w = current;
    cudaGraph_t graph = NULL;
    current = NULL;
    sqn_status status = sqn_cuda_verdict(cudaStreamEndCapture(cudaStreamPerThread, &graph));
    if (status == SQN_OK) status = sqn_cuda_verdict(cudaGraphInstantiate(&w->runnable, graph, 0));
    if (graph != NULL) sqn_cuda_verdict(cudaGraphDestroy(graph));
    if (status == SQN_OK)
        *out = w;
    else
        sqn_cuda_recording_forget(w);
    return status;
}

sqn_status sqn_cuda_recording_replay(void *p) {
    return sqn_cuda_verdict(cudaGraphLaunch(((work *)p)->runnable, cudaStreamPerThread));
}

void sqn_cuda_recording_forget(void *p) {
    work *w = p;
    sqn_cuda_verdict(cudaStreamSynchronize(cudaStreamPerThread)); /* it may still run */
    if (w->runnable != NULL) sqn_cuda_verdict(cudaGraphExecDestroy(w->runnable));
    for (int i = 0; i < w->count; i++)
        sqn_cuda_verdict(cudaFreeAsync(w->rooms[i].data, cudaStreamPerThread));
    sqn_free(w->rooms);
    sqn_free(w);
}
