/* Copies between host and card through pinned memory of the thread, on its default stream.
 *
 * Rules: the card that is meant is current. A ring of pinned blocks for each thread and card, made
 * as it is needed: what is uploaded lies in the ring on return, and travels while the next piece is
 * put there. Where the system gives no pinned memory, copies are made without, and waited for.
 */
#ifndef SQN_CUDA_STAGING_H
#define SQN_CUDA_STAGING_H

#include <stddef.h>

#include "core/err.h"

sqn_status sqn_cuda_upload(int card, void *to, const void *from, size_t bytes);
sqn_status sqn_cuda_download(int card, void *to, const void *from, size_t bytes); /* waits */

#endif
