/* The ends of threads: see thread.h. */
#include "cuda/thread.h"

#include <pthread.h>
#include <stddef.h>

enum { MOST = 8 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static __thread void (*list[MOST])(void);

static void release_all(void *unused) {
    (void)unused;
    for (int i = 0; i < MOST && list[i] != NULL; i++) list[i]();
}

static void make_key(void) { pthread_key_create(&key, release_all); }

void sqn_cuda_at_thread_end(void (*release)(void)) {
    pthread_once(&once, make_key);
    for (int i = 0; i < MOST; i++) {
        if (list[i] == release) return;
        if (list[i] != NULL) continue;
        list[i] = release;
        pthread_setspecific(key, list);
        return;
    }
}
