/* The backend and what is asked of it: see device.h. */
#include "tensor/device.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "tensor/recording.h"

static _Thread_local sqn_device_counts counts;

const sqn_backend *sqn_backend_get(void) {
    const sqn_backend *volatile linked =
        &sqn_cuda_backend; /* its address is NULL without src/cuda */
    return linked;
}

int sqn_device_count(void) {
    const sqn_backend *backend = sqn_backend_get();
    return backend ? backend->count() : 0;
}

const char *sqn_device_name(int device, char *text) {
    if (device == SQN_CPU)
        memcpy(text, "cpu", 4);
    else
        snprintf(text, 16, "cuda:%d", device);
    return text;
}

sqn_status sqn_device_parse(const char *text, int *device, sqn_err *e) {
    *device = SQN_CPU;
    if (strcmp(text, "cpu") == 0) return SQN_OK;
    const bool card = strncmp(text, "cuda", 4) == 0 && (text[4] == 0 || text[4] == ':');
    char *end = NULL;
    long number = card && text[4] == ':' ? strtol(text + 5, &end, 10) : 0;
    if (!card || (end != NULL && (end == text + 5 || *end != 0)) || number < 0)
        return SQN_FAIL(e, SQN_MISUSE, "no device '%s': cpu, cuda or cuda:N", text);
    const sqn_backend *backend = sqn_backend_get();
    if (backend == NULL)
        return SQN_FAIL(e, SQN_MISUSE, "no device '%s': this build is for the cpu only", text);
    int count = backend->count();
    if (count == 0)
        return SQN_FAIL(e, SQN_MISUSE, "no device '%s': no card is at hand (%s)", text,
                        backend->fault());
    if (number >= count)
        return SQN_FAIL(e, SQN_MISUSE, "no device '%s': the last one is cuda:%d", text, count - 1);
    *device = (int)number;
    return SQN_OK;
}

bool sqn_device_is_lost(int device) {
    return device != SQN_CPU && sqn_backend_get()->lost() != NULL;
}

sqn_device_counts sqn_device_counts_get(void) {
    sqn_device_counts now = counts;
    const sqn_backend *backend = sqn_backend_get();
    if (backend != NULL) {
        now.launches = backend->launches();
        now.plain_products = backend->plain_products();
    }
    return now;
}

sqn_status sqn_device_result(sqn_status status, int device, const char *what, sqn_err *e) {
    char name[16];
    if (status == SQN_OK) return SQN_OK;
    return SQN_FAIL(e, status, "%s: %s: %s", sqn_device_name(device, name), what,
                    sqn_backend_get()->fault());
}

/* Of a card that cannot be chosen: each fails, with the words of that. */
#define KERNEL(name)                                                       \
    static sqn_status refuse_##name(const sqn_k_##name *k, void *stream) { \
        (void)k, (void)stream;                                             \
        return SQN_IO;                                                     \
    }
SQN_KERNELS(KERNEL)
#undef KERNEL
static const sqn_kernel_table refusing = {
#define KERNEL(name) refuse_##name,
    SQN_KERNELS(KERNEL)
#undef KERNEL
};

const sqn_kernel_table *sqn_device_kernels(int device) {
    if (device == SQN_CPU) return &sqn_cpu_kernels;
    const sqn_backend *backend = sqn_backend_get();
    return backend->select(device) == SQN_OK ? backend->kernels : &refusing;
}

/* From card to card through the host. */
static sqn_status copy_across(int to_device, void *to, int from_device, const void *from,
                              size_t bytes, sqn_err *e) {
    void *host = sqn_alloc(bytes, e);
    if (host == NULL) return SQN_NOMEM;
    sqn_status status = sqn_device_copy(SQN_CPU, host, from_device, from, bytes, e);
    if (status == SQN_OK) status = sqn_device_copy(to_device, to, SQN_CPU, host, bytes, e);
    sqn_free(host);
    return status;
}

/* What a recording cannot hold. */
static sqn_status outside_recording(int device, const char *what, sqn_err *e) {
    char name[16];
    if (device == SQN_CPU || !sqn_recording_is_open(device)) return SQN_OK;
    return SQN_FAIL(e, SQN_MISUSE, "%s: %s in a recording", sqn_device_name(device, name), what);
}

sqn_status sqn_device_copy(int to_device, void *to, int from_device, const void *from, size_t bytes,
                           sqn_err *e) {
    if (bytes == 0) return SQN_OK;
    if (to_device == SQN_CPU && from_device == SQN_CPU) {
        memcpy(to, from, bytes);
        return SQN_OK;
    }
    SQN_TRY(outside_recording(to_device, "a copy from the host", e));
    SQN_TRY(outside_recording(from_device, "a copy to the host", e));
    const sqn_backend *backend = sqn_backend_get();
    if (from_device == SQN_CPU) {
        counts.uploads++;
        return sqn_device_result(backend->upload(to_device, to, from, bytes), to_device,
                                 "copy to it", e);
    }
    if (to_device == SQN_CPU) {
        counts.waits++;
        return sqn_device_result(backend->download(from_device, to, from, bytes), from_device,
                                 "copy from it", e);
    }
    return copy_across(to_device, to, from_device, from, bytes, e);
}

sqn_status sqn_device_zero(int device, void *p, size_t bytes, sqn_err *e) {
    if (bytes == 0) return SQN_OK;
    if (device == SQN_CPU) {
        memset(p, 0, bytes);
        return SQN_OK;
    }
    counts.zeros++;
    return sqn_device_result(sqn_backend_get()->zero(device, p, bytes), device, "zero", e);
}

sqn_status sqn_device_wait(int device, sqn_err *e) {
    SQN_TRY(outside_recording(device, "a wait", e));
    if (device == SQN_CPU) return SQN_OK;
    counts.waits++;
    return sqn_device_result(sqn_backend_get()->wait(device), device, "wait", e);
}

/* ---- copies that nobody waits for ---- */

struct sqn_fetch {
    int device;
    void *bytes;            /* owned; of the host's */
    sqn_backend_copy *copy; /* owned; of a card's */
};

sqn_fetch *sqn_fetch_new(int device, const void *from, size_t bytes, sqn_err *e) {
    if (outside_recording(device, "a copy to the host", e) != SQN_OK) return NULL;
    sqn_fetch *f = sqn_calloc(1, sizeof *f, e);
    if (f == NULL) return NULL;
    f->device = device;
    if (device == SQN_CPU) {
        if ((f->bytes = sqn_alloc(bytes ? bytes : 1, e)) != NULL) memcpy(f->bytes, from, bytes);
    } else if ((f->copy = sqn_backend_get()->fetch(device, from, bytes)) == NULL) {
        sqn_device_result(SQN_IO, device, "copy from it", e);
    }
    counts.fetches += f->copy != NULL;
    if (f->bytes != NULL || f->copy != NULL) return f;
    sqn_free(f);
    return NULL;
}

bool sqn_fetch_ready(sqn_fetch *f) {
    const void *there = NULL;
    return f->copy == NULL || sqn_backend_get()->fetched(f->copy, false, &there) != SQN_OK ||
           there != NULL;
}

sqn_status sqn_fetch_wait(sqn_fetch *f, const void **bytes, sqn_err *e) {
    *bytes = f->bytes;
    if (f->copy == NULL) return SQN_OK;
    counts.waits += !sqn_fetch_ready(f);
    return sqn_device_result(sqn_backend_get()->fetched(f->copy, true, bytes), f->device,
                             "copy from it", e);
}

void sqn_fetch_release(sqn_fetch *f) {
    if (f == NULL) return;
    if (f->copy != NULL) sqn_backend_get()->forget_fetch(f->copy);
    sqn_free(f->bytes);
    sqn_free(f);
}
