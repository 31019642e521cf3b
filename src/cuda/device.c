/* The cards for src/tensor: memory, streams, recordings. See tensor/device.h.
 *
 * Rules: everything runs on the calling thread's default stream (this file and the kernels are
 * compiled with per-thread default streams), so one thread's work keeps its order and threads do
 * not wait for each other. Memory comes from the card's own pool in stream order and stays there
 * until trim. Nothing touches the driver before the first question about cards.
 */
#include <cuda_runtime_api.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "cuda/fault.h"
#include "cuda/fetch.h"
#include "cuda/recording.h"
#include "cuda/staging.h"
#include "kernels/cuda/host.h"
#include "tensor/device.h"

enum { MOST = 64 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int cards;
static cudaMemPool_t pools[MOST];
static char absent[160]; /* why there are none */
static __thread int current = -1;
static __thread char used[MOST];

static void find_cards(void) {
    cudaError_t status = cudaGetDeviceCount(&cards);
    if (status != cudaSuccess || cards == 0) {
        cards = 0;
        snprintf(absent, sizeof absent, "%s",
                 status == cudaSuccess ? "the driver knows none" : cudaGetErrorString(status));
        cudaGetLastError();
    }
    if (cards > MOST) cards = MOST;
}

static int count(void) {
    pthread_once(&once, find_cards);
    return cards;
}

static const char *fault(void) { return count() == 0 ? absent : sqn_cuda_fault_text(); }

/* The card's pool keeps what was given back. A card without one says so when it is asked for
 * memory.
 */
static void keep_memory(int device) {
    uint64_t all = UINT64_MAX;
    cudaMemPool_t pool;
    if (cudaDeviceGetDefaultMemPool(&pool, device) == cudaSuccess &&
        cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &all) == cudaSuccess)
        __atomic_store_n(&pools[device], pool, __ATOMIC_RELEASE);
    cudaGetLastError();
}

static sqn_status choose(int device) {
    if (device == current) return SQN_OK;
    sqn_status status = sqn_cuda_verdict(cudaSetDevice(device));
    if (status != SQN_OK) return status;
    if (__atomic_load_n(&pools[device], __ATOMIC_ACQUIRE) == NULL) keep_memory(device);
    current = device;
    used[device] = 1;
    return SQN_OK;
}

/* A card that this thread has not used is not made ready (a context takes half a gigabyte of it) to
 * be asked what is free. */
static sqn_status info(int device, sqn_device_info *out, sqn_err *e) {
    struct cudaDeviceProp p;
    size_t left = 0, total = 0;
    sqn_status status = sqn_cuda_verdict(cudaGetDeviceProperties(&p, device));
    if (status == SQN_OK && used[device]) status = choose(device);
    if (status == SQN_OK && used[device]) status = sqn_cuda_verdict(cudaMemGetInfo(&left, &total));
    if (status != SQN_OK) return SQN_FAIL(e, status, "cuda:%d: %s", device, fault());
    snprintf(out->name, sizeof out->name, "%.95s", p.name);
    out->total_bytes = (int64_t)p.totalGlobalMem;
    out->free_bytes = used[device] ? (int64_t)left : -1;
    out->major = p.major;
    out->minor = p.minor;
    return SQN_OK;
}

static sqn_status take(int device, size_t bytes, void **out) {
    *out = NULL;
    if (bytes == 0) bytes = 1;
    SQN_TRY(choose(device));
    if (sqn_cuda_recording_is_open()) return sqn_cuda_recording_take(bytes, out);
    return sqn_cuda_verdict(cudaMallocAsync(out, bytes, cudaStreamPerThread));
}

static void give(int device, void *p) {
    if (choose(device) != SQN_OK) return;
    if (sqn_cuda_recording_is_open())
        sqn_cuda_recording_give(p);
    else
        sqn_cuda_verdict(cudaFreeAsync(p, cudaStreamPerThread));
}

static sqn_status upload(int device, void *to, const void *from, size_t bytes) {
    SQN_TRY(choose(device));
    return sqn_cuda_upload(device, to, from, bytes);
}

static sqn_status download(int device, void *to, const void *from, size_t bytes) {
    SQN_TRY(choose(device));
    return sqn_cuda_download(device, to, from, bytes);
}

static sqn_status zero(int device, void *p, size_t bytes) {
    SQN_TRY(choose(device));
    return sqn_cuda_verdict(cudaMemsetAsync(p, 0, bytes, cudaStreamPerThread));
}

static sqn_status finish(int device) {
    SQN_TRY(choose(device));
    return sqn_cuda_verdict(cudaStreamSynchronize(cudaStreamPerThread));
}

static sqn_backend_copy *fetch(int device, const void *from, size_t bytes) {
    return choose(device) == SQN_OK ? sqn_cuda_fetch(device, from, bytes) : NULL;
}

/* This thread's work has to be done for what it gave back to be the pool's. */
static void trim(void) {
    const int before = current;
    if (before < 0) return; /* it used no card */
    for (int d = 0; d < cards; d++) {
        if (!used[d] || choose(d) != SQN_OK || sqn_cuda_recording_is_open()) continue;
        sqn_cuda_verdict(cudaStreamSynchronize(cudaStreamPerThread));
        if (pools[d] != NULL) sqn_cuda_verdict(cudaMemPoolTrimTo(pools[d], 0));
    }
    choose(before);
}

static sqn_status record(int device) {
    SQN_TRY(choose(device));
    return sqn_cuda_recording_begin();
}

static sqn_status recorded(int device, void **work) {
    SQN_TRY(choose(device));
    return sqn_cuda_recording_end(work);
}

static sqn_status replay(int device, void *work) {
    SQN_TRY(choose(device));
    return sqn_cuda_recording_replay(work);
}

static void forget(int device, void *work) {
    if (choose(device) == SQN_OK) sqn_cuda_recording_forget(work);
}

extern const sqn_kernel_table sqn_cuda_kernels;
const sqn_backend sqn_cuda_backend = {
    .kernels = &sqn_cuda_kernels,
    .count = count,
    .info = info,
    .select = choose,
    .take = take,
    .give = give,
    .upload = upload,
    .download = download,
    .zero = zero,
    .wait = finish,
    .trim = trim,
    .record = record,
    .recorded = recorded,
    .replay = replay,
    .forget = forget,
    .fault = fault,
    .lost = sqn_cuda_lost_text,
    .fetch = fetch,
    .fetched = sqn_cuda_fetched,
    .forget_fetch = sqn_cuda_forget,
    .launches = sqn_cuda_launch_count,
    .plain_products = sqn_cuda_plain_count,
    .allow_tf32 = sqn_cuda_allow_tf32,
};
