/* The device under emulation: memory of emulate.h, launches that cannot fail. */
#include "tests/gpu/emulate.h"
#include "tests/gpu/kernels.h"

extern "C" {
#include "kernels/cuda/host.h"
}

void *device_allocate(size_t bytes) { return emu::allocate(bytes); }
void device_release(void *p) { emu::release(p); }
void device_write(void *to, const void *from, size_t bytes) { memcpy(to, from, bytes); }
void device_read(void *to, const void *from, size_t bytes) { memcpy(to, from, bytes); }

extern "C" void *sqn_cuda_scratch(size_t bytes, void *stream) {
    (void)stream;
    return emu::allocate(bytes);
}
extern "C" void sqn_cuda_scratch_release(void *p, void *stream) {
    (void)stream;
    emu::release(p);
}
extern "C" sqn_status sqn_cuda_launched(void) { return SQN_OK; }
