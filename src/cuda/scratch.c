/* Scratch memory and copies in stream order, and the verdict of calls and launches. */
#include <cuda_runtime_api.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cuda/fault.h"
#include "cuda/recording.h"
#include "kernels/cuda/host.h"

static __thread char text[200];
static char lost[200];
static atomic_bool is_lost;

const char *sqn_cuda_fault_text(void) { return text[0] ? text : "no fault is known"; }
const char *sqn_cuda_lost_text(void) { return atomic_load(&is_lost) ? lost : NULL; }

void sqn_cuda_note(const char *words) { snprintf(text, sizeof text, "%s", words); }

/* Those after which, says driver_types.h, the process can only end; numbers for what toolkits
 * before 12.8 do not name. */
static bool sticks(cudaError_t status) {
    enum { contained = 226, tensor_memory_leak = 721 };
    switch ((int)status) {
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case contained:
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case tensor_memory_leak:
    case cudaErrorMpsClientTerminated:
    case cudaErrorExternalDevice:
        return true;
    default:
        return false;
    }
}

sqn_status sqn_cuda_verdict(cudaError_t status) {
    static atomic_flag first = ATOMIC_FLAG_INIT;
    if (status == cudaSuccess) return SQN_OK;
    cudaGetLastError();
    snprintf(text, sizeof text, "%s: %s%s", cudaGetErrorName(status), cudaGetErrorString(status),
             sticks(status) ? "; the card is lost to this process" : "");
    if (sticks(status) && !atomic_flag_test_and_set(&first)) {
        memcpy(lost, text, sizeof lost);
        atomic_store(&is_lost, true);
    }
    return status == cudaErrorMemoryAllocation ? SQN_NOMEM : SQN_IO;
}

void *sqn_cuda_scratch(size_t bytes, void *stream) {
    void *p = NULL;
    if (bytes == 0) bytes = 1;
    if (sqn_cuda_recording_is_open()) return sqn_cuda_recording_scratch(bytes);
    if (sqn_cuda_verdict(cudaMallocAsync(&p, bytes, (cudaStream_t)stream)) == SQN_OK) return p;
    return NULL;
}

void sqn_cuda_scratch_release(void *p, void *stream) {
    if (p == NULL) return;
    if (sqn_cuda_recording_is_open())
        sqn_cuda_recording_scratch_release(p);
    else
        sqn_cuda_verdict(cudaFreeAsync(p, (cudaStream_t)stream));
}

static sqn_status copied(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                         void *stream) {
    SQN_TRY(sqn_cuda_verdict(cudaMemcpyAsync(to, from, bytes, kind, (cudaStream_t)stream)));
    return sqn_cuda_verdict(cudaStreamSynchronize((cudaStream_t)stream));
}

sqn_status sqn_cuda_read(void *host, const void *device, size_t bytes, void *stream) {
    return copied(host, device, bytes, cudaMemcpyDeviceToHost, stream);
}

sqn_status sqn_cuda_write(void *device, const void *host, size_t bytes, void *stream) {
    return copied(device, host, bytes, cudaMemcpyHostToDevice, stream);
}

static __thread int64_t launches, plain;

void sqn_cuda_count_launch(void) { launches++; }
int64_t sqn_cuda_launch_count(void) { return launches; }
void sqn_cuda_count_plain(void) { plain++; }
int64_t sqn_cuda_plain_count(void) { return plain; }

sqn_status sqn_cuda_launched(void) { return sqn_cuda_verdict(cudaGetLastError()); }
