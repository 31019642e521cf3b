/* Safetensors files, single and sharded: see safetensors.h. */
#include "io/safetensors.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "io/file.h"
#include "io/json_document.h"
#include "io/safetensors_header.h"

struct sqn_safetensors {
    char *path;                  /* owned: the file or index that was opened */
    cJSON *index;                /* owned: NULL for a single file */
    char **files;                /* owned: paths of the parts */
    sqn_safetensors_part *parts; /* owned */
    size_t part_count;
    const sqn_safetensors_entry *
        *entries; /* owned list of borrowed entries, in byte order of their names */
    size_t count;
};

static bool has_ending(const char *path, const char *ending) {
    size_t n = strlen(path), m = strlen(ending);
    return n >= m && strcmp(path + n - m, ending) == 0;
}

/* The file to open for `path`, which may be a folder. */
static sqn_status resolve(const char *path, char **out /* owned */, sqn_err *e) {
    char name[PATH_MAX];
    sqn_file_facts facts, inner;
    SQN_TRY(sqn_file_stat(path, &facts, e));
    if (!facts.folder) {
        *out = sqn_strdup(path, e);
        return *out != NULL ? SQN_OK : SQN_NOMEM;
    }
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json"};
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "%s/%s", path, names[i]);
        SQN_TRY(sqn_file_stat(name, &inner, e));
        if (!inner.exists) continue;
        *out = sqn_strdup(name, e);
        return *out != NULL ? SQN_OK : SQN_NOMEM;
    }
    return SQN_FAIL(e, SQN_NOTFOUND,
                    "%.300s: has neither model.safetensors nor model.safetensors.index.json", path);
}

static sqn_status open_single(sqn_safetensors *s, sqn_err *e) {
    s->parts = sqn_calloc(1, sizeof *s->parts, e);
    if (s->parts == NULL) return SQN_NOMEM;
    SQN_TRY(sqn_safetensors_part_open(&s->parts[0], s->path, e));
    s->part_count = 1;
    s->count = s->parts[0].count;
    s->entries = sqn_alloc(s->count * sizeof *s->entries, e);
    if (s->entries == NULL) return SQN_NOMEM;
    for (size_t i = 0; i < s->count; i++) s->entries[i] = &s->parts[0].entries[i];
    return SQN_OK;
}

/* Opens the part once; `file` is a name beside the index. */
static sqn_status open_part(sqn_safetensors *s, const char *file, const sqn_safetensors_part **out,
                            sqn_err *e) {
    for (size_t i = 0; i < s->part_count; i++) {
        if (strcmp(s->files[i], file) != 0) continue;
        *out = &s->parts[i];
        return SQN_OK;
    }
    if (file[0] == '\0' || strchr(file, '/') != NULL || strcmp(file, "..") == 0)
        return SQN_FAIL(e, SQN_FORMAT,
                        "%.240s: weight_map names '%.100s', which is no file beside it", s->path,
                        file);
    char path[PATH_MAX];
    const char *slash = strrchr(s->path, '/');
    int folder = slash ? (int)(slash - s->path + 1) : 0;
    snprintf(path, sizeof path, "%.*s%s", folder, s->path, file);
    s->files[s->part_count] = sqn_strdup(file, e);
    if (s->files[s->part_count] == NULL) return SQN_NOMEM;
    sqn_status status = sqn_safetensors_part_open(&s->parts[s->part_count], path, e);
    if (status != SQN_OK) {
        sqn_free(s->files[s->part_count]);
        return status;
    }
    *out = &s->parts[s->part_count++];
    return SQN_OK;
}

static int by_name(const void *a, const void *b) {
    const sqn_safetensors_entry *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static sqn_status open_index(sqn_safetensors *s, sqn_err *e) {
    size_t total = 0;
    SQN_TRY(sqn_json_document_read(&s->index, s->path, e));
    const cJSON *map = sqn_json_member(s->index, "weight_map");
    if (!cJSON_IsObject(map)) return SQN_FAIL(e, SQN_FORMAT, "%.300s: has no weight_map", s->path);
    for (const cJSON *p = map->child; p != NULL; p = p->next) total++;
    s->entries = sqn_alloc(total * sizeof *s->entries, e);
    s->parts = sqn_calloc(total, sizeof *s->parts, e);
    s->files = sqn_calloc(total, sizeof *s->files, e);
    if (s->entries == NULL || s->parts == NULL || s->files == NULL) return SQN_NOMEM;
    for (const cJSON *p = map->child; p != NULL; p = p->next) {
        const sqn_safetensors_part *part;
        if (!cJSON_IsString(p))
            return SQN_FAIL(e, SQN_FORMAT, "%.240s: weight_map: tensor '%.100s' has no file",
                            s->path, p->string);
        SQN_TRY(open_part(s, p->valuestring, &part, e));
        const sqn_safetensors_entry *t = sqn_safetensors_part_find(part, p->string);
        if (t == NULL)
            return SQN_FAIL(e, SQN_FORMAT,
                            "%.200s: weight_map puts tensor '%.100s' into '%.100s', which lacks it",
                            s->path, p->string, p->valuestring);
        s->entries[s->count++] = t;
    }
    qsort(s->entries, s->count, sizeof *s->entries, by_name);
    return SQN_OK;
}

sqn_status sqn_safetensors_open(sqn_safetensors **out, const char *path, sqn_err *e) {
    *out = NULL;
    sqn_safetensors *s = sqn_calloc(1, sizeof *s, e);
    if (s == NULL) return SQN_NOMEM;
    sqn_status status = resolve(path, &s->path, e);
    if (status == SQN_OK)
        status = has_ending(s->path, ".json") ? open_index(s, e) : open_single(s, e);
    if (status == SQN_OK)
        *out = s;
    else
        sqn_safetensors_close(s);
    return status;
}

void sqn_safetensors_close(sqn_safetensors *s) {
    if (s == NULL) return;
    for (size_t i = 0; i < s->part_count; i++) {
        if (s->files != NULL) sqn_free(s->files[i]);
        sqn_safetensors_part_close(&s->parts[i]);
    }
    sqn_free(s->files);
    sqn_free(s->parts);
    sqn_free(s->entries);
    sqn_json_document_free(s->index);
    sqn_free(s->path);
    sqn_free(s);
}

const char *sqn_safetensors_path(const sqn_safetensors *s) { return s->path; }
size_t sqn_safetensors_count(const sqn_safetensors *s) { return s->count; }
const sqn_safetensors_entry *sqn_safetensors_at(const sqn_safetensors *s, size_t i) {
    return s->entries[i];
}

const sqn_safetensors_entry *sqn_safetensors_find(const sqn_safetensors *s, const char *name) {
    sqn_safetensors_entry wanted = {.name = name};
    const sqn_safetensors_entry *key = &wanted;
    if (s->count == 0) return NULL;
    const sqn_safetensors_entry **found = bsearch(&key, s->entries, s->count, sizeof key, by_name);
    return found != NULL ? *found : NULL;
}

sqn_status sqn_safetensors_get(const sqn_safetensors *s, const char *name,
                               const sqn_safetensors_entry **out, sqn_err *e) {
    *out = sqn_safetensors_find(s, name);
    return *out != NULL
               ? SQN_OK
               : SQN_FAIL(e, SQN_NOTFOUND, "%.240s: has no tensor '%.100s'", s->path, name);
}

int sqn_safetensors_metadata(const sqn_safetensors *s, size_t i, const char **key,
                             const char **value) {
    if (s->part_count == 0) return 0;
    const cJSON *p = sqn_json_member(s->parts[0].header, "__metadata__");
    p = p != NULL ? p->child : NULL;
    for (; p != NULL && i > 0; i--) p = p->next;
    if (p == NULL) return 0;
    *key = p->string;
    *value = p->valuestring;
    return 1;
}
