/* Work on a card that is written down once and done again as often as wanted (a CUDA graph).
 *
 * Rules: between begin and end, this thread's kernels on that card do not run, they are written
 * down with their arguments: sizes, numbers and addresses stay as they are then, what lies at the
 * addresses is read anew by every replay. Nothing can go between host and card meanwhile. Memory
 * that is taken meanwhile belongs to the recording and is given back after it; what the recording
 * reads from outside stays alive as long as it does. One recording at a time in a thread.
 */
#ifndef SQN_TENSOR_RECORDING_H
#define SQN_TENSOR_RECORDING_H

#include <stdbool.h>

#include "tensor/storage.h"

sqn_status sqn_recording_begin(sqn_recording **out, int device, sqn_err *e);
sqn_status sqn_recording_end(sqn_recording *r, sqn_err *e);
/* In order with what else this thread asks of the card. */
sqn_status sqn_recording_replay(sqn_recording *r, sqn_err *e);
/* Gives a reference back, of begin or of a storage. An open one is ended and worth nothing. */
void sqn_recording_release(sqn_recording *r);
void sqn_recording_discard(sqn_recording *r); /* ends an open one; no replay from now on */

bool sqn_recording_is_open(int device); /* in this thread */

/* For storages. */
sqn_recording *sqn_recording_of_thread(int device); /* borrowed; NULL: none is open */
/* Adds a reference, which give() gives back. */
sqn_status sqn_recording_take(sqn_recording *r, size_t bytes, void **out, sqn_err *e);
void sqn_recording_give(sqn_recording *r, void *p);
void sqn_recording_keep(const sqn_storage *s); /* if one is open: s stays alive */

#endif
