/* The CUDA runtime's functions of memory, copies, devices and errors, for emulated cards: see
 * card.h. Compiled with per-thread default streams, as src/cuda is: what is not does not link. */
#include <stdio.h>
#include <string.h>

#include <vector>

#include "tests/gpu/card.h"

using namespace card;

static const struct {
    cudaError_t code;
    const char *name, *text;
} words[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInitializationError, "cudaErrorInitializationError", "initialization error"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration",
     "invalid configuration argument"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
     "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorNoKernelImageForDevice, "cudaErrorNoKernelImageForDevice",
     "no kernel image is available for execution on the device"},
    {cudaErrorECCUncorrectable, "cudaErrorECCUncorrectable", "uncorrectable ECC error encountered"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorIllegalState, "cudaErrorIllegalState",
     "the operation cannot be performed in the present state"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress",
     "an illegal memory access was encountered"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
};

extern "C" {
const char *cudaGetErrorName(cudaError_t code) {
    for (const auto &w : words)
        if (w.code == code) return w.name;
    return "unrecognized error code";
}

const char *cudaGetErrorString(cudaError_t code) {
    for (const auto &w : words)
        if (w.code == code) return w.text;
    return "unrecognized error code";
}

cudaError_t cudaGetLastError(void) {
    call here("cudaGetLastError");
    const cudaError_t code = last_error();
    last_error() = cudaSuccess;
    return code;
}

cudaError_t cudaPeekAtLastError(void) { return last_error(); }

/* ---- devices ---- */

cudaError_t cudaGetDeviceCount(int *count) {
    call here("cudaGetDeviceCount");
    *count = 0;
    if (const int code = asked_fault("cudaGetDeviceCount")) return call::says((cudaError_t)code);
    *count = cards;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
    call here("cudaSetDevice");
    if (device < 0 || device >= cards) return call::says(cudaErrorInvalidDevice);
    const int before = current_device();
    set_device(device);
    const cudaError_t code = here.refusal();
    if (code != cudaSuccess) set_device(before);
    return code;
}

cudaError_t cudaGetDevice(int *device) {
    call here("cudaGetDevice");
    *device = current_device();
    if (const int code = asked_fault("cudaGetDevice")) return call::says((cudaError_t)code);
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int device) {
    call here("cudaGetDeviceProperties");
    if (const cudaError_t code = here.refusal()) return code;
    if (device < 0 || device >= cards) return call::says(cudaErrorInvalidDevice);
    size_t left;
    memset(p, 0xff, sizeof *p);
    snprintf(p->name, sizeof p->name, "emulated card");
    room_of(device, &left, &p->totalGlobalMem);
    p->major = capability_of[device] / 10, p->minor = capability_of[device] % 10;
    p->multiProcessorCount = 4;
    p->warpSize = 32;
    p->sharedMemPerBlock = 48 << 10, p->sharedMemPerBlockOptin = most_shared(device);
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr which, int device) {
    call here("cudaDeviceGetAttribute");
    if (const cudaError_t code = here.refusal()) return code;
    if (device < 0 || device >= cards) return call::says(cudaErrorInvalidDevice);
    switch ((int)which) {
    case cudaDevAttrComputeCapabilityMajor:
        *value = capability_of[device] / 10;
        return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
        *value = capability_of[device] % 10;
        return cudaSuccess;
    case cudaDevAttrMultiProcessorCount:
        *value = 4;
        return cudaSuccess;
    default:
        fail("cudaDeviceGetAttribute: attribute %d", (int)which);
    }
}

/* ---- memory ---- */

cudaError_t cudaMemGetInfo(size_t *left, size_t *total) {
    call here("cudaMemGetInfo");
    if (const cudaError_t code = here.refusal()) return code;
    room_of(current_device(), left, total);
    return cudaSuccess;
}

static int pool_of[cards];

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t *pool, int device) {
    call here("cudaDeviceGetDefaultMemPool");
    if (const cudaError_t code = here.refusal()) return code;
    if (device < 0 || device >= cards) return call::says(cudaErrorInvalidDevice);
    *pool = (cudaMemPool_t)&pool_of[device];
    return cudaSuccess;
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, cudaMemPoolAttr which, void *value) {
    call here("cudaMemPoolSetAttribute");
    (void)pool, (void)value;
    if (const cudaError_t code = here.unsafe_refusal()) return code;
    return which == cudaMemPoolAttrReleaseThreshold ? cudaSuccess
                                                    : call::says(cudaErrorInvalidValue);
}

cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, size_t keep) {
    call here("cudaMemPoolTrimTo");
    if (const cudaError_t code = here.unsafe_refusal()) return code;
    if (keep == 0) trim((int)((int *)pool - pool_of));
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **out, size_t bytes) {
    call here("cudaMalloc");
    *out = nullptr;
    if (const cudaError_t code = here.unsafe_refusal()) return code;
    if (bytes == 0) return cudaSuccess;
    *out = take(current_device(), bytes);
    return *out != nullptr ? cudaSuccess : call::says(cudaErrorMemoryAllocation);
}

cudaError_t cudaFree(void *p) {
    call here("cudaFree");
    if (const cudaError_t code = here.unsafe_refusal()) return code;
    if (p == nullptr) return cudaSuccess;
    if (device_of(p) < 0) return call::says(cudaErrorInvalidValue);
    drain_device(device_of(p));
    return give(p) ? cudaSuccess : call::says(cudaErrorInvalidValue);
}

/* On a stream that does not capture, these are calls that a capture may forbid. */
static cudaError_t ordered(const call &here, cudaStream_t handle, stream **s) {
    *s = find_stream(handle);
    if (const cudaError_t code = *s && (*s)->capture ? here.refusal() : here.unsafe_refusal())
        return code;
    return *s ? cudaSuccess : call::says(cudaErrorInvalidResourceHandle);
}

cudaError_t cudaMallocAsync(void **out, size_t bytes, cudaStream_t handle) {
    call here("cudaMallocAsync");
    stream *s;
    *out = nullptr;
    if (const cudaError_t code = ordered(here, handle, &s)) return code;
    if (bytes == 0) return call::says(cudaErrorInvalidValue);
    *out = s->capture ? take_in_graph(s->capture->made.get(), bytes) : take_in_order(s, bytes);
    return *out != nullptr ? cudaSuccess : call::says(cudaErrorMemoryAllocation);
}

/* A graph gives back only what it took. */
cudaError_t cudaFreeAsync(void *p, cudaStream_t handle) {
    call here("cudaFreeAsync");
    stream *s;
    if (const cudaError_t code = ordered(here, handle, &s)) return code;
    if (s->capture ? give_in_graph(s->capture->made.get(), p) : give_in_order(s, p))
        return cudaSuccess;
    if (s->capture) s->capture->broken = true;
    return call::says(cudaErrorInvalidValue);
}

cudaError_t cudaHostAlloc(void **out, size_t bytes, unsigned flags) {
    call here("cudaHostAlloc");
    (void)flags;
    *out = nullptr;
    if (const cudaError_t code = here.unsafe_refusal()) return code;
    *out = pin(bytes);
    return *out != nullptr ? cudaSuccess : call::says(cudaErrorMemoryAllocation);
}

cudaError_t cudaFreeHost(void *p) {
    call here("cudaFreeHost");
    if (const cudaError_t code = here.unsafe_refusal()) return code;
    return p == nullptr || unpin(p) ? cudaSuccess : call::says(cudaErrorInvalidValue);
}

/* ---- copies ---- */

/* Pinned memory must still be there when the stream comes to it. */
static void look(const void *host, size_t bytes, bool pinned) {
    if (pinned && !is_pinned(host, bytes)) fail("a copy's pinned memory went before the copy");
}

static cudaError_t upload(stream *s, void *to, const void *from, size_t bytes) {
    const bool pinned = is_pinned(from, bytes);
    if (device_of(from) >= 0) return cudaErrorInvalidValue;
    if (pinned || bytes > (size_t)64 << 10) /* read when the stream is there */
        return ask(s, "cudaMemcpyAsync", [=, device = s->device] {
            look(from, bytes, pinned);
            open_memory(device);
            check_inside(device, to, bytes, "a copy");
            memcpy(to, from, bytes);
        });
    std::vector<char> staged((const char *)from, (const char *)from + bytes);
    return ask(s, "cudaMemcpyAsync", [=, device = s->device] {
        open_memory(device);
        check_inside(device, to, bytes, "a copy");
        memcpy(to, staged.data(), bytes);
    });
}

static cudaError_t download(stream *s, void *to, const void *from, size_t bytes) {
    const bool pinned = is_pinned(to, bytes);
    if (device_of(to) >= 0) return cudaErrorInvalidValue;
    if (!s->capture) memset(to, 0xff, bytes); /* until somebody has waited */
    return ask(s, "cudaMemcpyAsync", [=, device = s->device] {
        look(to, bytes, pinned);
        open_memory(device);
        check_inside(device, from, bytes, "a copy");
        memcpy(to, from, bytes);
    });
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t handle) {
    call here("cudaMemcpyAsync");
    if (const cudaError_t code = here.refusal()) return code;
    stream *s = find_stream(handle);
    if (s == nullptr) return call::says(cudaErrorInvalidResourceHandle);
    if (bytes == 0) return cudaSuccess;
    const void *there = kind == cudaMemcpyDeviceToHost ? from : to;
    if (device_of(there) < 0) return call::says(cudaErrorInvalidValue);
    if (device_of(there) != s->device)
        fail("a copy of memory of cuda:%d in a stream of cuda:%d", device_of(there), s->device);
    if (kind == cudaMemcpyDeviceToDevice)
        return call::says(ask(s, "cudaMemcpyAsync", [=, device = s->device] {
            open_memory(device);
            check_inside(device, to, bytes, "a copy");
            check_inside(device, from, bytes, "a copy");
            memcpy(to, from, bytes);
        }));
    const void *host = kind == cudaMemcpyDeviceToHost ? to : from;
    if (s->capture && !is_pinned(host, bytes)) {
        s->capture->broken = true;
        return call::says(cudaErrorStreamCaptureUnsupported);
    }
    if (kind == cudaMemcpyHostToDevice) return call::says(upload(s, to, from, bytes));
    if (kind == cudaMemcpyDeviceToHost) return call::says(download(s, to, from, bytes));
    return call::says(cudaErrorInvalidMemcpyDirection);
}

cudaError_t cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t handle) {
    call here("cudaMemsetAsync");
    if (const cudaError_t code = here.refusal()) return code;
    stream *s = find_stream(handle);
    if (s == nullptr) return call::says(cudaErrorInvalidResourceHandle);
    if (device_of(p) < 0) return call::says(cudaErrorInvalidValue);
    if (device_of(p) != s->device)
        fail("memory of cuda:%d set in a stream of cuda:%d", device_of(p), s->device);
    return call::says(ask(s, "cudaMemsetAsync", [=, device = s->device] {
        open_memory(device);
        check_inside(device, p, bytes, "a memset");
        memset(p, value, bytes);
    }));
}
}
