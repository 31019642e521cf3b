/* What a thread holds of the cards (handles, streams, pinned memory) goes when the thread ends. */
#ifndef SQN_CUDA_THREAD_H
#define SQN_CUDA_THREAD_H

/* `release` runs in this thread at its end; again is the same. It finds any card current. The main
 * thread's end is the process's: nothing is released then. */
void sqn_cuda_at_thread_end(void (*release)(void));

#endif
