/* The device under emulation: memory of emulate.h, launches that run at once. */
#include <map>

#include "tests/gpu/emulate.h"
#include "tests/gpu/kernels.h"

extern "C" {
#include "kernels/cuda/host.h"
}

void *device_allocate(size_t bytes) { return emu::allocate(bytes); }
void device_release(void *p) { emu::release(p); }
void device_write(void *to, const void *from, size_t bytes) { memcpy(to, from, bytes); }
void device_read(void *to, const void *from, size_t bytes) { memcpy(to, from, bytes); }
size_t device_room() { return (size_t)1 << 32; }

extern "C" void *sqn_cuda_scratch(size_t bytes, void *stream) {
    (void)stream;
    return emu::allocate(bytes);
}
extern "C" void sqn_cuda_scratch_release(void *p, void *stream) {
    (void)stream;
    emu::release(p);
}
extern "C" sqn_status sqn_cuda_read(void *host, const void *device, size_t bytes, void *stream) {
    (void)stream;
    memcpy(host, device, bytes);
    return SQN_OK;
}
extern "C" sqn_status sqn_cuda_write(void *device, const void *host, size_t bytes, void *stream) {
    (void)stream;
    memcpy(device, host, bytes);
    return SQN_OK;
}
static thread_local int64_t launches;
extern "C" void sqn_cuda_count_launch(void) { launches++; }
extern "C" int64_t sqn_cuda_launch_count(void) { return launches; }
extern "C" void sqn_cuda_count_plain(void) {}
static int capability = 90;
extern "C" int sqn_cuda_capability(void) { return capability; }
extern "C" void sqn_cuda_capability_limit(int most) { capability = most < 90 ? most : 90; }
static bool refused; /* a launch since the last verdict */
static std::map<const void *, size_t> shared_limits;

int emu::set_shared_limit(const void *kernel, int bytes) {
    shared_limits[kernel] = (size_t)bytes;
    return bytes <= (int)shared_most ? 0 : 1;
}
void emu::previous_has_ended() {}
void emu::submit(launch_order l) {
    auto limit = shared_limits.find(l.kernel);
    if (limit != shared_limits.end()) l.room = shared_most;
    if (is_refused(l, limit == shared_limits.end() ? shared_default : limit->second))
        refused = true;
    else
        run(l);
}
extern "C" sqn_status sqn_cuda_launched(void) {
    return std::exchange(refused, false) ? SQN_IO : SQN_OK;
}

/* One element of a matrix as f64; the library under emulation is BLAS's definition. */
static double element(sqn_dtype dtype, const void *p, int64_t i) {
    switch (dtype) {
    case SQN_F64:
        return ((const double *)p)[i];
    case SQN_F32:
        return ((const float *)p)[i];
    case SQN_BF16:
        return bf16_value((const uint16_t *)p + i);
    default:
        return (double)((const _Float16 *)p)[i];
    }
}

extern "C" sqn_status sqn_cuda_gemm(const sqn_gemm *g, void *stream) {
    (void)stream;
    if (emu::seed & 1) return SQN_NOTFOUND; /* the plain kernel has its turn */
    sqn_cuda_count_launch();
    for (int64_t z = 0; z < g->batch; z++)
        for (int64_t j = 0; j < g->n; j++)
            for (int64_t i = 0; i < g->m; i++) {
                const int64_t at = z * g->c_batch + j * g->ldc + i;
                double sum = g->beta != 0 ? g->beta * element(g->c_dtype, g->c, at) : 0;
                for (int64_t k = 0; k < g->k; k++)
                    sum +=
                        element(g->dtype, g->a,
                                z * g->a_batch + (g->trans_a ? i * g->lda + k : k * g->lda + i)) *
                        element(g->dtype, g->b,
                                z * g->b_batch + (g->trans_b ? k * g->ldb + j : j * g->ldb + k));
                if (g->bias) sum += element(g->c_dtype, g->bias, i);
                if (g->c_dtype == SQN_F64)
                    ((double *)g->c)[at] = sum;
                else if (g->c_dtype == SQN_F32)
                    ((float *)g->c)[at] = (float)sum;
                else if (g->c_dtype == SQN_F16)
                    ((_Float16 *)g->c)[at] = (_Float16)sum;
                else {
                    float f = (float)sum;
                    uint32_t u;
                    memcpy(&u, &f, sizeof u);
                    ((uint16_t *)g->c)[at] = (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
                }
            }
    return SQN_OK;
}
