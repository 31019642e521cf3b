/* What the kernels ask of src/cuda: scratch memory in stream order and the launches' verdict.
 *
 * Rules: scratch is taken and given back in stream order and is NULL when the card is full.
 */
#ifndef SQN_KERNELS_CUDA_HOST_H
#define SQN_KERNELS_CUDA_HOST_H

#include <stddef.h>

#include "core/err.h"

void *sqn_cuda_scratch(size_t bytes, void *stream); /* contents undefined */
void sqn_cuda_scratch_release(void *p, void *stream);
sqn_status sqn_cuda_launched(void); /* SQN_OK, or what the last launch failed with */

#endif
