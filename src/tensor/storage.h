/* Reference-counted bytes on a device: what tensors and their views share.
 *
 * Rules: CPU blocks are 64-byte aligned and come from a cache of size classes, so that a training
 * step that repeats its shapes touches no new pages; what is alive and cached together stays within
 * the peak and an eighth of it, oldest out first; blocks of 4 MiB and more ask for huge pages.
 * Blocks of a card come from its backend (device.h). Counts are per device. One thread at a time
 * uses a storage (one Lua state per thread and rank); the cache itself is thread-safe.
 */
#ifndef SQN_TENSOR_STORAGE_H
#define SQN_TENSOR_STORAGE_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "tensor/device.h"

typedef struct sqn_recording sqn_recording;

typedef struct sqn_storage {
    int32_t references;
    uint32_t version; /* counts in-place writes: autograd compares it */
    int device;       /* SQN_CPU or a card */
    size_t bytes;
    void *data; /* the device's address */
    void (*release_owner)(
        void *owner); /* set: data is borrowed from `owner` (a mapped file), given back by this */
    void *owner;
    struct sqn_storage *mirror; /* owned; of a host's storage: its bytes on a card */
    uint32_t mirror_version;    /* the version that they are a copy of */
    uint32_t kept_by;           /* number of the last recording that keeps it alive */
    sqn_recording *recording;   /* owned; set: data belongs to it (recording.h) */
} sqn_storage;

sqn_storage *sqn_storage_new(int device, size_t bytes, sqn_err *e); /* contents undefined */
/* Bytes that belong to `owner`, which the caller has retained for this storage. */
sqn_storage *sqn_storage_borrow(void *data, size_t bytes, void *owner,
                                void (*release_owner)(void *), sqn_err *e);
sqn_storage *sqn_storage_retain(sqn_storage *s);
void sqn_storage_release(sqn_storage *s); /* accepts NULL */
/* Makes sure that s->mirror holds the bytes of s on `device`; nothing to do if s lies there. For
 * what the host looks at and cards read, too: indexes. */
sqn_status sqn_storage_mirror(sqn_storage *s, int device, sqn_err *e);

typedef struct sqn_storage_stats {
    int64_t live_bytes, peak_bytes, cached_bytes, live_blocks;
} sqn_storage_stats;
sqn_storage_stats sqn_storage_get_stats(int device);
int64_t sqn_storage_live_bytes(void); /* of all devices together */
void sqn_storage_reset_peak(int device);
void sqn_storage_flush_cache(void); /* gives all cached blocks back to the system and the cards */

/* Bytes of a card, counted; for recordings, which own theirs. */
sqn_status sqn_storage_take_card(int device, size_t bytes, void **out, sqn_err *e);
void sqn_storage_give_card(int device, void *p, size_t bytes);

#endif
