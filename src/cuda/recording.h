/* What a thread that records needs of memory: taken now, on a stream of its own, not by each
 * replay. */
#ifndef SQN_CUDA_RECORDING_H
#define SQN_CUDA_RECORDING_H

#include <stddef.h>

#include "core/err.h"

int sqn_cuda_recording_is_open(void); /* on this thread's card */
sqn_status sqn_cuda_recording_take(size_t bytes, void **out);
void sqn_cuda_recording_give(void *p); /* a block of before the recording, or take's */
/* Scratch of kernels: belongs to the recording until it is forgotten. */
void *sqn_cuda_recording_scratch(size_t bytes);
void sqn_cuda_recording_scratch_release(void *p);

/* For the backend, on the thread's card (tensor/device.h). */
sqn_status sqn_cuda_recording_begin(void);
sqn_status sqn_cuda_recording_end(void **work);
sqn_status sqn_cuda_recording_replay(void *work);
void sqn_cuda_recording_forget(void *work);

#endif
