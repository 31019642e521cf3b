/* What CUDA's calls answer, as ours. */
#ifndef SQN_CUDA_FAULT_H
#define SQN_CUDA_FAULT_H

#include <driver_types.h>

#include "core/err.h"

/* SQN_OK, SQN_NOMEM, or SQN_IO, whose words sqn_cuda_fault_text has. An error that does not stick
 * is cleared; one that does (a kernel that failed) is met again by every later call. */
sqn_status sqn_cuda_verdict(cudaError_t status);
void sqn_cuda_note(const char *words); /* a fault that CUDA does not know */
const char *sqn_cuda_fault_text(void); /* of this thread's last fault, static */
const char *sqn_cuda_lost_text(void);  /* what lost a card to this process; NULL: nothing */

#endif
