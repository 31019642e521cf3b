/* The cards' kernel table. */
#include "kernels/cuda/cuda.cuh"

extern "C" {
#define KERNEL(name) sqn_status sqn_cuda_##name(const sqn_k_##name *args, void *stream);
SQN_KERNELS(KERNEL)
#undef KERNEL

extern const sqn_kernel_table sqn_cuda_kernels;
const sqn_kernel_table sqn_cuda_kernels = {
#define KERNEL(name) sqn_cuda_##name,
    SQN_KERNELS(KERNEL)
#undef KERNEL
};
}
