/* Experts of 16-bit types on tensor cores: moe_mma.cu. */
#ifndef SQN_KERNELS_CUDA_MOE_MMA_H
#define SQN_KERNELS_CUDA_MOE_MMA_H

#include "kernels/cuda/cuda.cuh"

namespace sqn {
/* SQN_NOTFOUND: not for these types, sizes or addresses. */
sqn_status moe_mma(const sqn_k_moe_lora *a, void *stream);
sqn_status moe_mma_grad(const sqn_k_moe_lora_grad *g, void *stream);
} // namespace sqn

#endif
