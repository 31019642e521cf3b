/* The CPU's kernel table. */
#include "kernels/kernels.h"

const sqn_kernel_table sqn_cpu_kernels = {
#define KERNEL(name) .name = sqn_cpu_##name,
    SQN_KERNELS(KERNEL)
#undef KERNEL
};
