/* Recordings, their memory and what they keep alive: see recording.h. */
#include "tensor/recording.h"

#include "core/alloc.h"
#include "tensor/autograd.h"

typedef struct block {
    void *data;
    size_t bytes;
    bool idle;
} block;

struct sqn_recording {
    int references, device;
    uint32_t number; /* of the recordings of this process */
    bool open;
    sqn_status status; /* what went wrong while it was open */
    void *work;        /* the backend's; NULL: nothing to replay */
    block *blocks;
    int64_t block_count, block_room;
    sqn_storage **kept; /* retained */
    int64_t kept_count, kept_room;
};

static __thread sqn_recording *current;

bool sqn_recording_is_open(int device) { return sqn_recording_of_thread(device) != NULL; }

sqn_recording *sqn_recording_of_thread(int device) {
    return current != NULL && current->device == device ? current : NULL;
}

sqn_status sqn_recording_begin(sqn_recording **out, int device, sqn_err *e) {
    static uint32_t numbers;
    char name[16];
    if (device == SQN_CPU) return SQN_FAIL(e, SQN_MISUSE, "only a card's work can be recorded");
    if (current != NULL)
        return SQN_FAIL(e, SQN_MISUSE, "%s: a recording is open already",
                        sqn_device_name(current->device, name));
    if (sqn_grad_enabled())
        return SQN_FAIL(e, SQN_MISUSE, "a recording is made where gradients are off (sq.no_grad)");
    sqn_recording *r = sqn_alloc(sizeof *r, e);
    if (r == NULL) return SQN_NOMEM;
    *r = (sqn_recording){.references = 1,
                         .device = device,
                         .number = __atomic_add_fetch(&numbers, 1, __ATOMIC_RELAXED)};
    sqn_status status = sqn_device_result(sqn_backend_get()->record(device), r->device,
                                          "a recording cannot begin", e);
    if (status != SQN_OK) {
        sqn_free(r);
        return status;
    }
    r->open = true;
    current = r;
    *out = r;
    return SQN_OK;
}

sqn_status sqn_recording_end(sqn_recording *r, sqn_err *e) {
    if (!r->open) return SQN_FAIL(e, SQN_MISUSE, "the recording has ended already");
    r->open = false;
    current = NULL;
    sqn_status status = sqn_backend_get()->recorded(r->device, &r->work);
    if (r->status != SQN_OK) return SQN_FAIL(e, r->status, "out of memory while recording");
    return sqn_device_result(status, r->device, "the recording failed", e);
}

sqn_status sqn_recording_replay(sqn_recording *r, sqn_err *e) {
    if (r->open || r->work == NULL)
        return SQN_FAIL(e, SQN_MISUSE, "the recording %s", r->open ? "is open" : "holds nothing");
    if (current != NULL) return SQN_FAIL(e, SQN_MISUSE, "a replay cannot be recorded");
    return sqn_device_result(sqn_backend_get()->replay(r->device, r->work), r->device, "replay", e);
}

/* No replay from now on: what was kept for it goes. */
void sqn_recording_discard(sqn_recording *r) {
    sqn_err e = SQN_ERR_INIT;
    if (r->open && sqn_recording_end(r, &e) != SQN_OK) sqn_err_clear(&e);
    if (r->work != NULL) sqn_backend_get()->forget(r->device, r->work);
    r->work = NULL;
    for (int64_t i = 0; i < r->kept_count; i++) sqn_storage_release(r->kept[i]);
    r->kept_count = 0;
}

void sqn_recording_release(sqn_recording *r) {
    if (r == NULL || --r->references > 0) return;
    sqn_recording_discard(r);
    for (int64_t i = 0; i < r->block_count; i++)
        sqn_storage_give_card(r->device, r->blocks[i].data, r->blocks[i].bytes);
    sqn_free(r->blocks);
    sqn_free(r->kept);
    sqn_free(r);
}

/* One more item of `size` bytes in *list. */
static sqn_status make_room(void **list, int64_t count, int64_t *room, size_t size, sqn_err *e) {
    if (count < *room) return SQN_OK;
    const int64_t more = *room ? 2 * *room : 64;
    void *grown = sqn_realloc(*list, (size_t)more * size, e);
    if (grown == NULL) return SQN_NOMEM;
    *list = grown;
    *room = more;
    return SQN_OK;
}

/* The smallest idle block that fits and is not twice too large, or a new one. */
sqn_status sqn_recording_take(sqn_recording *r, size_t bytes, void **out, sqn_err *e) {
    block *best = NULL;
    for (int64_t i = 0; i < r->block_count; i++) {
        block *b = &r->blocks[i];
        if (b->idle && b->bytes >= bytes && b->bytes <= 2 * bytes &&
            (best == NULL || b->bytes < best->bytes))
            best = b;
    }
    if (best == NULL) {
        void *data = NULL;
        SQN_TRY(
            make_room((void **)&r->blocks, r->block_count, &r->block_room, sizeof *r->blocks, e));
        SQN_TRY(sqn_storage_take_card(r->device, bytes, &data, e));
        best = &r->blocks[r->block_count++];
        *best = (block){data, bytes, true};
    }
    best->idle = false;
    r->references++;
    *out = best->data;
    return SQN_OK;
}

void sqn_recording_give(sqn_recording *r, void *p) {
    for (int64_t i = 0; i < r->block_count; i++)
        if (r->blocks[i].data == p) r->blocks[i].idle = true;
    sqn_recording_release(r);
}

void sqn_recording_keep(const sqn_storage *storage) {
    sqn_recording *r = current;
    sqn_storage *s = (sqn_storage *)storage; /* its bytes are not touched */
    if (r == NULL || s->device != r->device || s->recording == r || s->kept_by == r->number) return;
    r->status =
        make_room((void **)&r->kept, r->kept_count, &r->kept_room, sizeof(sqn_storage *), NULL);
    if (r->status != SQN_OK) return;
    s->kept_by = r->number;
    r->kept[r->kept_count++] = sqn_storage_retain(s);
}
