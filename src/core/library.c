/* Opening shared libraries: see library.h. */
#include "core/library.h"

#include <dlfcn.h>
#include <pthread.h>

static sqn_status fill(sqn_library *l, sqn_err *e) {
    void *handle = dlopen(l->file, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) return SQN_FAIL(e, SQN_IO, "cannot load a library: %s", dlerror());
    for (size_t i = 0; l->names[i] != NULL; i++)
        if ((l->functions[i] = dlsym(handle, l->names[i])) == NULL)
            return SQN_FAIL(e, SQN_IO, "%s has no function %s", l->file, l->names[i]);
    atomic_store_explicit(&l->ready, true, memory_order_release);
    return SQN_OK;
}

sqn_status sqn_library_open(sqn_library *l, sqn_err *e) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    if (atomic_load_explicit(&l->ready, memory_order_acquire)) return SQN_OK;
    pthread_mutex_lock(&lock);
    sqn_status status = atomic_load(&l->ready) ? SQN_OK : fill(l, e);
    pthread_mutex_unlock(&lock);
    return status;
}
