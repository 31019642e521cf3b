/* Opens one safetensors file and checks everything that its header says: see safetensors.h. */
#include "io/safetensors_header.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "io/json_document.h"

static const sqn_safetensors_type types[] = {
    {"BOOL", 1, 0, SQN_U8},
    {"U8", 1, 1, SQN_U8},
    {"I8", 1, 2, SQN_DTYPE_COUNT},
    {"F8_E5M2", 1, 3, SQN_DTYPE_COUNT},
    {"F8_E4M3", 1, 4, SQN_DTYPE_COUNT},
    {"I16", 2, 5, SQN_DTYPE_COUNT},
    {"U16", 2, 6, SQN_DTYPE_COUNT},
    {"F16", 2, 7, SQN_F16},
    {"BF16", 2, 8, SQN_BF16},
    {"I32", 4, 9, SQN_I32},
    {"U32", 4, 10, SQN_DTYPE_COUNT},
    {"F32", 4, 11, SQN_F32},
    {"C64", 8, 12, SQN_DTYPE_COUNT},
    {"F64", 8, 13, SQN_F64},
    {"I64", 8, 14, SQN_I64},
    {"U64", 8, 15, SQN_DTYPE_COUNT},
};

const sqn_safetensors_type *sqn_safetensors_type_find(const char *name) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, name) == 0) return &types[i];
    return NULL;
}

size_t sqn_safetensors_type_size(const char *name) {
    const sqn_safetensors_type *type = sqn_safetensors_type_find(name);
    return type != NULL ? (size_t)type->bytes : 0;
}

#define WRONG(e, path, ...) wrong_at((e), __LINE__, (path), __VA_ARGS__)

/* "path: message"; the path's end says most. */
__attribute__((format(printf, 4, 5))) static sqn_status
wrong_at(sqn_err *e, int line, const char *path, const char *format, ...) {
    char text[sizeof e->message];
    size_t n = strlen(path);
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return sqn_fail_at(e, SQN_FORMAT, __FILE__, line, "%s: %s", path + (n > 240 ? n - 240 : 0),
                       text);
}

static sqn_status read_shape(sqn_safetensors_entry *t, const cJSON *shape, const char *path,
                             sqn_err *e) {
    if (!cJSON_IsArray(shape)) return WRONG(e, path, "tensor '%.100s' has no shape", t->name);
    t->numel = 1;
    for (const cJSON *p = shape->child; p != NULL; p = p->next) {
        if (t->ndim == SQN_SAFETENSORS_DIMS)
            return WRONG(e, path, "tensor '%.100s' has more than %d dimensions", t->name,
                         (int)SQN_SAFETENSORS_DIMS);
        int64_t size;
        if (!sqn_json_count(p, &size))
            return WRONG(e, path, "tensor '%.100s': dimension %d is not a size", t->name,
                         t->ndim + 1);
        if (__builtin_mul_overflow(t->numel, size, &t->numel))
            return WRONG(e, path, "tensor '%.100s': its shape has more than 2^63 elements",
                         t->name);
        t->shape[t->ndim++] = size;
    }
    return SQN_OK;
}

/* Fills *t from one member of the header. The data has `room` bytes from `data` on. */
static sqn_status read_entry(sqn_safetensors_entry *t, const cJSON *item, const char *data,
                             size_t room, const char *path, sqn_err *e) {
    t->name = item->string;
    if (!cJSON_IsObject(item))
        return WRONG(e, path, "tensor '%.100s' is not described by an object", t->name);
    const cJSON *type_name = sqn_json_member(item, "dtype");
    if (!cJSON_IsString(type_name)) return WRONG(e, path, "tensor '%.100s' has no dtype", t->name);
    const sqn_safetensors_type *type = sqn_safetensors_type_find(type_name->valuestring);
    if (type == NULL)
        return WRONG(e, path, "tensor '%.100s': unknown dtype '%.40s'", t->name,
                     type_name->valuestring);
    t->type = type->name;
    t->dtype = type->dtype;
    t->item_bytes = (size_t)type->bytes;
    SQN_TRY(read_shape(t, sqn_json_member(item, "shape"), path, e));
    const cJSON *offsets = sqn_json_member(item, "data_offsets");
    int64_t from, to, bytes;
    if (!cJSON_IsArray(offsets) || cJSON_GetArraySize(offsets) != 2 ||
        !sqn_json_count(offsets->child, &from) || !sqn_json_count(offsets->child->next, &to))
        return WRONG(e, path, "tensor '%.100s': data_offsets are not two offsets", t->name);
    if (to < from)
        return WRONG(e, path, "tensor '%.100s' ends at byte %lld, before it begins at %lld",
                     t->name, (long long)to, (long long)from);
    if (__builtin_mul_overflow(t->numel, (int64_t)t->item_bytes, &bytes) || bytes != to - from)
        return WRONG(e, path,
                     "tensor '%.100s': its shape and dtype do not fill the %lld bytes it is given",
                     t->name, (long long)(to - from));
    if ((uint64_t)to > room)
        return WRONG(e, path,
                     "tensor '%.100s' ends at byte %lld of the data, but the file holds only %zu: "
                     "truncated?",
                     t->name, (long long)to, room);
    t->bytes = (size_t)bytes;
    t->data = data + from;
    return SQN_OK;
}

static int by_place(const void *a, const void *b) {
    const sqn_safetensors_entry *x = a, *y = b;
    const char *p = x->data, *q = y->data;
    if (p != q) return p < q ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

static int by_name(const void *a, const void *b) {
    const sqn_safetensors_entry *x = a, *y = b;
    return strcmp(x->name, y->name);
}

/* The entries, in order of place, must follow each other without a gap up to the file's end. */
static sqn_status check_cover(const sqn_safetensors_part *part, const char *data, size_t room,
                              const char *path, sqn_err *e) {
    size_t at = 0;
    for (size_t i = 0; i < part->count; i++) {
        const sqn_safetensors_entry *t = &part->entries[i];
        size_t from = (size_t)((const char *)t->data - data);
        if (from < at)
            return WRONG(e, path, "tensor '%.100s' overlaps tensor '%.100s'", t->name,
                         part->entries[i - 1].name);
        if (from > at)
            return WRONG(e, path, "%zu bytes before tensor '%.100s' belong to no tensor", from - at,
                         t->name);
        at = from + t->bytes;
    }
    if (at == room) return SQN_OK;
    return WRONG(e, path, "%zu bytes after the last tensor belong to no tensor", room - at);
}

static sqn_status check_metadata(const cJSON *metadata, const char *path, sqn_err *e) {
    if (metadata == NULL || cJSON_IsNull(metadata)) return SQN_OK;
    if (!cJSON_IsObject(metadata)) return WRONG(e, path, "__metadata__ is not an object");
    for (const cJSON *p = metadata->child; p != NULL; p = p->next)
        if (!cJSON_IsString(p))
            return WRONG(e, path, "__metadata__: '%.100s' is not a string", p->string);
    return SQN_OK;
}

/* Reads the header's size and text. *data and *room: what follows it. */
static sqn_status read_header(sqn_safetensors_part *part, const char *path, const char **data,
                              size_t *room, sqn_err *e) {
    const unsigned char *bytes = sqn_mapping_bytes(part->mapping);
    size_t size = sqn_mapping_size(part->mapping);
    uint64_t n = 0;
    if (size < 8) return WRONG(e, path, "is no safetensors file: it has only %zu bytes", size);
    for (int i = 7; i >= 0; i--) n = n << 8 | bytes[i];
    if (n > SQN_SAFETENSORS_HEADER_MAX)
        return WRONG(e, path,
                     "is no safetensors file: its header would have %llu bytes, more than the 100 "
                     "MB allowed",
                     (unsigned long long)n);
    if (n > size - 8)
        return WRONG(e, path, "is truncated: its header has %llu bytes, but the file only %zu",
                     (unsigned long long)n, size);
    const char *text = (const char *)bytes + 8;
    if (n == 0 || text[0] != '{')
        return WRONG(e, path, "is no safetensors file: its header is not a JSON object");
    sqn_status status = sqn_json_document_parse(&part->header, text, (size_t)n, "header", e);
    if (status != SQN_OK) return sqn_err_prefix(e, status, "%.240s", path);
    *data = text + n;
    *room = size - 8 - (size_t)n;
    return check_metadata(sqn_json_member(part->header, "__metadata__"), path, e);
}

sqn_status sqn_safetensors_part_open(sqn_safetensors_part *part, const char *path, sqn_err *e) {
    const char *data = NULL;
    size_t room = 0, count = 0;
    sqn_status status;
    *part = (sqn_safetensors_part){0};
    SQN_GOTO(sqn_mapping_open(&part->mapping, path, e));
    SQN_GOTO(read_header(part, path, &data, &room, e));
    for (const cJSON *p = part->header->child; p != NULL; p = p->next) count++;
    part->entries = sqn_calloc(count, sizeof *part->entries, e);
    status = SQN_NOMEM;
    if (part->entries == NULL) goto fail;
    for (const cJSON *p = part->header->child; p != NULL; p = p->next) {
        if (strcmp(p->string, "__metadata__") == 0) continue;
        sqn_safetensors_entry *t = &part->entries[part->count];
        t->mapping = part->mapping;
        SQN_GOTO(read_entry(t, p, data, room, path, e));
        part->count++;
    }
    qsort(part->entries, part->count, sizeof *part->entries, by_place);
    SQN_GOTO(check_cover(part, data, room, path, e));
    qsort(part->entries, part->count, sizeof *part->entries, by_name);
    return SQN_OK;
fail:
    sqn_safetensors_part_close(part);
    return status;
}

void sqn_safetensors_part_close(sqn_safetensors_part *part) {
    sqn_free(part->entries);
    sqn_json_document_free(part->header);
    sqn_mapping_release(part->mapping);
    *part = (sqn_safetensors_part){0};
}

const sqn_safetensors_entry *sqn_safetensors_part_find(const sqn_safetensors_part *part,
                                                       const char *name) {
    sqn_safetensors_entry wanted = {.name = name};
    return part->count == 0 ? NULL
                            : bsearch(&wanted, part->entries, part->count, sizeof wanted, by_name);
}
