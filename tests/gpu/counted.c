/* A card that holds nothing and computes nothing: what a program would take on a card of any size,
 * counted by the tensors' own counters (tests/bench/memory.lua).
 *
 * Rules: addresses are numbers that nobody reads; whatever comes back to the host is 0. The scratch
 * that kernels take for themselves, and cuBLASLt's workspace, are not counted.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "tensor/device.h"

#define KERNEL(name)                                                      \
    static sqn_status count_##name(const sqn_k_##name *k, void *stream) { \
        (void)k, (void)stream;                                            \
        return SQN_OK;                                                    \
    }
SQN_KERNELS(KERNEL)
#undef KERNEL

static const sqn_kernel_table kernels = {
#define KERNEL(name) .name = count_##name,
    SQN_KERNELS(KERNEL)
#undef KERNEL
};

static int count(void) { return 1; }

static sqn_status info(int device, sqn_device_info *out, sqn_err *e) {
    (void)device, (void)e;
    *out = (sqn_device_info){"counts bytes, computes nothing", INT64_MAX, INT64_MAX, 9, 0};
    return SQN_OK;
}

static sqn_status done(int device) {
    (void)device;
    return SQN_OK;
}

static sqn_status take(int device, size_t bytes, void **out) {
    static atomic_uintptr_t next = 256;
    (void)device;
    *out = (void *)atomic_fetch_add(&next, (bytes + 256) / 256 * 256);
    return SQN_OK;
}

static void give(int device, void *p) { (void)device, (void)p; }

static sqn_status upload(int device, void *to, const void *from, size_t bytes) {
    (void)device, (void)to, (void)from, (void)bytes;
    return SQN_OK;
}

static sqn_status download(int device, void *to, const void *from, size_t bytes) {
    (void)device, (void)from;
    memset(to, 0, bytes);
    return SQN_OK;
}

static sqn_status zero(int device, void *p, size_t bytes) {
    (void)device, (void)p, (void)bytes;
    return SQN_OK;
}

static void trim(void) {}
static const char *nothing(void) { return NULL; }
static const char *fault(void) { return "it records no graphs"; }
static int64_t launches(void) { return 0; }

static sqn_status recorded(int device, void **work) {
    (void)device, (void)work;
    return SQN_MISUSE;
}
static sqn_status refused(int device) {
    (void)device;
    return SQN_MISUSE;
}
static sqn_status replay(int device, void *work) {
    (void)device, (void)work;
    return SQN_MISUSE;
}
static void forget(int device, void *work) { (void)device, (void)work; }

static sqn_backend_copy *fetch(int device, const void *from, size_t bytes) {
    (void)device, (void)from;
    return calloc(1, bytes);
}

static sqn_status fetched(sqn_backend_copy *copy, bool wait, const void **bytes) {
    (void)wait;
    *bytes = copy;
    return SQN_OK;
}

static void forget_fetch(sqn_backend_copy *copy) { free(copy); }

const sqn_backend sqn_cuda_backend = {
    .kernels = &kernels,
    .count = count,
    .info = info,
    .select = done,
    .take = take,
    .give = give,
    .upload = upload,
    .download = download,
    .zero = zero,
    .wait = done,
    .trim = trim,
    .record = refused,
    .recorded = recorded,
    .replay = replay,
    .forget = forget,
    .fault = fault,
    .lost = nothing,
    .fetch = fetch,
    .fetched = fetched,
    .forget_fetch = forget_fetch,
    .launches = launches,
};
