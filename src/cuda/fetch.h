/* Copies to the host behind the stream's work, in pinned memory: see tensor/device.h. */
#ifndef SQN_CUDA_FETCH_H
#define SQN_CUDA_FETCH_H

#include <stdbool.h>
#include <stddef.h>

#include "tensor/device.h"

/* The card is the current one. */
sqn_backend_copy *sqn_cuda_fetch(int device, const void *from, size_t bytes);
sqn_status sqn_cuda_fetched(sqn_backend_copy *copy, bool wait, const void **bytes);
void sqn_cuda_forget(sqn_backend_copy *copy);

#endif
