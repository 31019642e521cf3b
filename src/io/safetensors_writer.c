/* The safetensors writer: see safetensors.h. */
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "io/file.h"
#include "io/json_writer.h"
#include "io/safetensors_header.h"

typedef struct planned {
    char *name; /* owned */
    const sqn_safetensors_type *type;
    int ndim;
    int64_t shape[SQN_SAFETENSORS_DIMS];
    int64_t bytes;
    size_t declared; /* number of its add */
} planned;

typedef struct pair {
    char *key, *value; /* owned */
} pair;

struct sqn_safetensors_writer {
    sqn_file_writer *file; /* owned */
    char *path;            /* owned */
    planned *tensors;      /* owned; after start in the order of the file */
    size_t count, room;
    pair *metadata; /* owned */
    size_t pairs, pair_room;
    int64_t left; /* bytes of data still to come; -1 before start */
};

sqn_status sqn_safetensors_writer_open(sqn_safetensors_writer **out, const char *path, sqn_err *e) {
    *out = NULL;
    sqn_safetensors_writer *w = sqn_calloc(1, sizeof *w, e);
    if (w == NULL) return SQN_NOMEM;
    w->left = -1;
    w->path = sqn_strdup(path, e);
    sqn_status status = w->path != NULL ? sqn_file_writer_open(&w->file, path, e) : SQN_NOMEM;
    if (status == SQN_OK)
        *out = w;
    else
        sqn_safetensors_writer_close(w);
    return status;
}

static sqn_status grow(void **list, size_t used, size_t *room, size_t size, sqn_err *e) {
    if (used < *room) return SQN_OK;
    size_t wanted = 2 * *room + 16;
    void *grown = sqn_realloc(*list, wanted * size, e);
    if (grown == NULL) return SQN_NOMEM;
    *list = grown;
    *room = wanted;
    return SQN_OK;
}

static sqn_status not_started(const sqn_safetensors_writer *w, sqn_err *e) {
    return w->left < 0 ? SQN_OK
                       : SQN_FAIL(e, SQN_MISUSE, "the header is written: nothing can be added");
}

sqn_status sqn_safetensors_writer_metadata(sqn_safetensors_writer *w, const char *key,
                                           const char *value, sqn_err *e) {
    SQN_TRY(not_started(w, e));
    SQN_TRY(grow((void **)&w->metadata, w->pairs, &w->pair_room, sizeof *w->metadata, e));
    pair *p = &w->metadata[w->pairs];
    p->key = sqn_strdup(key, e);
    p->value = p->key != NULL ? sqn_strdup(value, e) : NULL;
    if (p->value == NULL) {
        sqn_free(p->key);
        return SQN_NOMEM;
    }
    w->pairs++;
    return SQN_OK;
}

sqn_status sqn_safetensors_writer_add(sqn_safetensors_writer *w, const char *name, const char *type,
                                      int ndim, const int64_t *shape, sqn_err *e) {
    SQN_TRY(not_started(w, e));
    planned t = {.type = sqn_safetensors_type_find(type), .ndim = ndim, .declared = w->count};
    if (t.type == NULL)
        return SQN_FAIL(e, SQN_MISUSE, "tensor '%.100s': unknown dtype '%.40s'", name, type);
    if (ndim < 0 || ndim > SQN_SAFETENSORS_DIMS || strcmp(name, "__metadata__") == 0)
        return SQN_FAIL(e, SQN_MISUSE, "a tensor '%.100s' of %d dimensions cannot be written", name,
                        ndim);
    t.bytes = t.type->bytes;
    for (int i = 0; i < ndim; i++) {
        t.shape[i] = shape[i];
        if (shape[i] < 0 || __builtin_mul_overflow(t.bytes, shape[i], &t.bytes))
            return SQN_FAIL(e, SQN_MISUSE, "tensor '%.100s': its shape is not one", name);
    }
    SQN_TRY(grow((void **)&w->tensors, w->count, &w->room, sizeof *w->tensors, e));
    t.name = sqn_strdup(name, e);
    if (t.name == NULL) return SQN_NOMEM;
    w->tensors[w->count++] = t;
    return SQN_OK;
}

static int by_name(const void *a, const void *b) {
    const planned *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int by_order(const void *a, const void *b) {
    const planned *x = a, *y = b;
    return x->type->rank != y->type->rank ? y->type->rank - x->type->rank
                                          : strcmp(x->name, y->name);
}

static void put_entry(sqn_json_writer *json, const planned *t, int64_t from) {
    sqn_json_put_key(json, t->name, strlen(t->name));
    sqn_json_put_object(json);
    sqn_json_put_key(json, "dtype", 5);
    sqn_json_put_string(json, t->type->name, strlen(t->type->name));
    sqn_json_put_key(json, "shape", 5);
    sqn_json_put_array(json);
    for (int i = 0; i < t->ndim; i++) sqn_json_put_integer(json, t->shape[i]);
    sqn_json_put_array_end(json);
    sqn_json_put_key(json, "data_offsets", 12);
    sqn_json_put_array(json);
    sqn_json_put_integer(json, from);
    sqn_json_put_integer(json, from + t->bytes);
    sqn_json_put_array_end(json);
    sqn_json_put_object_end(json);
}

static void put_header(sqn_json_writer *json, const sqn_safetensors_writer *w) {
    int64_t from = 0;
    sqn_json_put_object(json);
    if (w->pairs > 0) {
        sqn_json_put_key(json, "__metadata__", 12);
        sqn_json_put_object(json);
        for (size_t i = 0; i < w->pairs; i++) {
            sqn_json_put_key(json, w->metadata[i].key, strlen(w->metadata[i].key));
            sqn_json_put_string(json, w->metadata[i].value, strlen(w->metadata[i].value));
        }
        sqn_json_put_object_end(json);
    }
    for (size_t i = 0; i < w->count; from += w->tensors[i++].bytes)
        put_entry(json, &w->tensors[i], from);
    sqn_json_put_object_end(json);
}

/* Size in eight bytes, the text, spaces up to a multiple of eight: so the data is aligned. */
static sqn_status write_header(sqn_safetensors_writer *w, sqn_err *e) {
    sqn_json_writer *json;
    SQN_TRY(sqn_json_writer_new(&json, (sqn_json_style){.compact = true}, NULL, NULL, e));
    put_header(json, w);
    sqn_status status;
    SQN_GOTO(sqn_json_writer_finish(json, e));
    size_t n;
    const char *text = sqn_json_writer_text(json, &n);
    size_t padded = (n + 7) / 8 * 8;
    unsigned char size[8];
    if (padded > SQN_SAFETENSORS_HEADER_MAX) {
        status = SQN_FAIL(e, SQN_LIMIT, "%.300s: the header would have more than 100 MB", w->path);
        goto fail;
    }
    for (int i = 0; i < 8; i++) size[i] = (unsigned char)((uint64_t)padded >> (8 * i));
    SQN_GOTO(sqn_file_writer_write(w->file, size, 8, e));
    SQN_GOTO(sqn_file_writer_write(w->file, text, n, e));
    SQN_GOTO(sqn_file_writer_write(w->file, "       ", padded - n, e));
fail:
    sqn_json_writer_close(json);
    return status;
}

sqn_status sqn_safetensors_writer_start(sqn_safetensors_writer *w, sqn_err *e) {
    int64_t total = 0;
    SQN_TRY(not_started(w, e));
    if (w->count > 1) qsort(w->tensors, w->count, sizeof *w->tensors, by_name);
    for (size_t i = 0; i < w->count; i++) {
        if (i > 0 && strcmp(w->tensors[i - 1].name, w->tensors[i].name) == 0)
            return SQN_FAIL(e, SQN_MISUSE, "two tensors are named '%.100s'", w->tensors[i].name);
        if (__builtin_add_overflow(total, w->tensors[i].bytes, &total))
            return SQN_FAIL(e, SQN_MISUSE, "the tensors have more than 2^63 bytes");
    }
    if (w->count > 1) qsort(w->tensors, w->count, sizeof *w->tensors, by_order);
    SQN_TRY(write_header(w, e));
    w->left = total;
    return SQN_OK;
}

size_t sqn_safetensors_writer_order(const sqn_safetensors_writer *w, size_t i) {
    return w->tensors[i].declared;
}

sqn_status sqn_safetensors_writer_write(sqn_safetensors_writer *w, const void *bytes, size_t n,
                                        sqn_err *e) {
    if (w->left < 0) return SQN_FAIL(e, SQN_MISUSE, "the writer has not been started");
    if (n > (uint64_t)w->left)
        return SQN_FAIL(e, SQN_MISUSE, "more bytes than the declared tensors have");
    SQN_TRY(sqn_file_writer_write(w->file, bytes, n, e));
    w->left -= (int64_t)n;
    return SQN_OK;
}

sqn_status sqn_safetensors_writer_commit(sqn_safetensors_writer *w, sqn_err *e) {
    if (w->left != 0)
        return SQN_FAIL(e, SQN_MISUSE,
                        w->left < 0 ? "the writer has not been started"
                                    : "not all bytes of the declared tensors have come");
    return sqn_file_writer_commit(w->file, e);
}

void sqn_safetensors_writer_close(sqn_safetensors_writer *w) {
    if (w == NULL) return;
    for (size_t i = 0; i < w->count; i++) sqn_free(w->tensors[i].name);
    for (size_t i = 0; i < w->pairs; i++) {
        sqn_free(w->metadata[i].key);
        sqn_free(w->metadata[i].value);
    }
    sqn_free(w->tensors);
    sqn_free(w->metadata);
    sqn_free(w->path);
    sqn_file_writer_close(w->file);
    sqn_free(w);
}
