/* Devices: where the bytes of a storage lie, and whose kernels work on them.
 *
 * Rules: SQN_CPU is the host; 0, 1, … are the cards of the backend, cuda:0, cuda:1, …. A program
 * has the backend that is linked into it, or none. Work on a card runs in the order in which a
 * thread asked for it; a download waits for it, nothing else does.
 */
#ifndef SQN_TENSOR_DEVICE_H
#define SQN_TENSOR_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "kernels/kernels.h"

enum { SQN_CPU = -1 };

typedef struct sqn_device_info {
    char name[96];
    int64_t total_bytes, free_bytes; /* free: -1 of a card that this thread has not used */
    int major, minor;                /* compute capability */
} sqn_device_info;

typedef struct sqn_backend_copy sqn_backend_copy; /* bytes on their way to the host */

/* What the tensors ask of a backend. `device` counts from 0; sizes are in bytes. */
typedef struct sqn_backend {
    const sqn_kernel_table *kernels;
    int (*count)(void); /* cards that work; 0 without a driver */
    sqn_status (*info)(int device, sqn_device_info *out, sqn_err *e);
    sqn_status (*select)(int device); /* this thread's kernels run there from now on */
    /* SQN_NOMEM: the card is full; the contents are undefined */
    sqn_status (*take)(int device, size_t bytes, void **out);
    void (*give)(int device, void *p);
    sqn_status (*upload)(int device, void *to, const void *from, size_t bytes); /* from is free on
                                                                                   return */
    sqn_status (*download)(int device, void *to, const void *from, size_t bytes);
    sqn_status (*zero)(int device, void *p, size_t bytes);
    sqn_status (*wait)(int device); /* until all that was asked for is done */
    void (*trim)(void);             /* gives unused memory back to the cards */
    /* recording.h; begins, ends with what can be replayed, does it, throws it away */
    sqn_status (*record)(int device);
    sqn_status (*recorded)(int device, void **work);
    sqn_status (*replay)(int device, void *work);
    void (*forget)(int device, void *work);
    const char *(*fault)(void); /* words for the last call that failed, static */
    const char *(*lost)(void);  /* why no card can be used any more, static; NULL: they can */
    /* A copy to the host that is made behind the work asked for so far, while the host goes on.
     * NULL: it could not be begun. */
    sqn_backend_copy *(*fetch)(int device, const void *from, size_t bytes);
    /* *bytes: the copy's, or NULL without an error where it is still on its way */
    sqn_status (*fetched)(sqn_backend_copy *copy, bool wait, const void **bytes);
    void (*forget_fetch)(sqn_backend_copy *copy); /* there or not; waits for nothing */
    /* By this thread so far: kernels and products launched; products that no library did */
    int64_t (*launches)(void);
    int64_t (*plain_products)(void);
    void (*allow_tf32)(int allowed); /* for f32 products, from now on, in all threads */
} sqn_backend;

/* Of src/cuda, where that is linked. */
extern const sqn_backend sqn_cuda_backend __attribute__((weak));
const sqn_backend *sqn_backend_get(void); /* NULL: none */

int sqn_device_count(void); /* cards */
/* "cpu", "cuda" (the first card) or "cuda:1" into *device; SQN_MISUSE says what there is. */
sqn_status sqn_device_parse(const char *text, int *device, sqn_err *e);
/* "cpu", "cuda:0" into text, which has 16 bytes; returns text. */
const char *sqn_device_name(int device, char *text);
/* What the backend gave for what was asked of a card; an error has its words for it. */
sqn_status sqn_device_result(sqn_status status, int device, const char *asked, sqn_err *e);
bool sqn_device_is_lost(int device); /* a fault that only a new process is rid of */
/* The kernels of a device, which become the target of this thread's kernel calls. */
const sqn_kernel_table *sqn_device_kernels(int device);

/* What this thread asked of cards so far. */
typedef struct sqn_device_counts {
    int64_t launches;       /* of kernels and products */
    int64_t plain_products; /* that no library did, among them: slow ones */
    int64_t uploads, zeros, fetches;
    int64_t waits; /* of the host for a card: downloads among them */
} sqn_device_counts;
sqn_device_counts sqn_device_counts_get(void);

/* Bytes between devices */
sqn_status sqn_device_copy(int to_device, void *to, int from_device, const void *from, size_t bytes,
                           sqn_err *e);
sqn_status sqn_device_zero(int device, void *p, size_t bytes, sqn_err *e);
sqn_status sqn_device_wait(int device, sqn_err *e);

/* Bytes of a device on their way to the host: see sqn_backend. On the host they are there at once.
 */
typedef struct sqn_fetch sqn_fetch;
sqn_fetch *sqn_fetch_new(int device, const void *from, size_t bytes, sqn_err *e); /* +1 */
bool sqn_fetch_ready(sqn_fetch *f); /* also where the copy failed */
/* Waits for the bytes: borrowed from f. */
sqn_status sqn_fetch_wait(sqn_fetch *f, const void **bytes, sqn_err *e);
void sqn_fetch_release(sqn_fetch *f);

#endif
