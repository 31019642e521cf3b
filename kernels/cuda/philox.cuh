/* The random numbers of kernels/philox.h, on the card too. */
#ifndef SQN_KERNELS_CUDA_PHILOX_H
#define SQN_KERNELS_CUDA_PHILOX_H

#include "kernels/cuda/cuda.cuh"

#define inline __host__ __device__ inline
#include "kernels/philox.h"
#undef inline

#endif
