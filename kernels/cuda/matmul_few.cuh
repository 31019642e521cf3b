/* Products with few rows: matmul_few.cu. */
#ifndef SQN_KERNELS_CUDA_MATMUL_FEW_H
#define SQN_KERNELS_CUDA_MATMUL_FEW_H

#include "kernels/cuda/cuda.cuh"

namespace sqn {
/* SQN_NOTFOUND: not for this product. */
sqn_status matmul_few(const sqn_k_matmul *k, void *stream);
} // namespace sqn

#endif
