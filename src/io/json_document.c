/* JSON documents: see json_document.h. The pull reader checks the text first, so cJSON only meets
 * text that it reads without loss. */
#include "io/json_document.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "io/file.h"
#include "io/json_reader.h"

static void *counted_alloc(size_t n) { return sqn_alloc(n, NULL); }

/* Before main: cJSON keeps its allocator in plain globals, which no thread may see change. */
__attribute__((constructor)) static void set_hooks(void) {
    cJSON_Hooks hooks = {.malloc_fn = counted_alloc, .free_fn = sqn_free};
    cJSON_InitHooks(&hooks);
}

static int has_surrogate(const char *text, size_t n) {
    for (const char *p = text; (p = memchr(p, '\xed', n - (size_t)(p - text))) != NULL; p++)
        if ((unsigned char)p[1] >= 0xa0) return 1;
    return 0;
}

static sqn_status check_token(const sqn_json_reader *r, const sqn_json_token *t, sqn_err *e) {
    if (t->kind == SQN_JSON_FLOAT && !isfinite(t->number))
        return sqn_json_complain(r, t, e, "NaN and Infinity may not stand here");
    if (t->kind != SQN_JSON_STRING && t->kind != SQN_JSON_KEY) return SQN_OK;
    if (memchr(t->text, '\0', t->length) != NULL)
        return sqn_json_complain(r, t, e, "a string may not hold U+0000 here");
    if (has_surrogate(t->text, t->length))
        return sqn_json_complain(r, t, e, "a string may not hold a lone surrogate here");
    return SQN_OK;
}

static sqn_status check_text(const char *text, size_t n, const char *name, sqn_err *e) {
    sqn_json_reader *r;
    sqn_json_token t;
    SQN_TRY(sqn_json_reader_memory(&r, text, n, name, e));
    sqn_status status = SQN_OK;
    do {
        status = sqn_json_next(r, &t, e);
        if (status == SQN_OK) status = check_token(r, &t, e);
    } while (status == SQN_OK && t.kind != SQN_JSON_END);
    sqn_json_reader_close(r);
    return status;
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static sqn_status check_object(const cJSON *object, const char *name, sqn_err *e) {
    size_t n = 0;
    for (const cJSON *p = object->child; p; p = p->next) n++;
    if (n < 2) return SQN_OK;
    const char **keys = sqn_alloc(n * sizeof *keys, e);
    if (keys == NULL) return SQN_NOMEM;
    n = 0;
    for (const cJSON *p = object->child; p; p = p->next) keys[n++] = p->string;
    qsort(keys, n, sizeof *keys, by_text);
    sqn_status status = SQN_OK;
    for (size_t i = 1; i < n && status == SQN_OK; i++)
        if (strcmp(keys[i - 1], keys[i]) == 0)
            status = SQN_FAIL(e, SQN_FORMAT, "%.240s: the key '%.100s' stands twice in one object",
                              name, keys[i]);
    sqn_free(keys);
    return status;
}

static sqn_status check_keys(const cJSON *item, const char *name, sqn_err *e) {
    for (; item != NULL; item = item->next) {
        if (cJSON_IsObject(item)) SQN_TRY(check_object(item, name, e));
        if (item->child != NULL) SQN_TRY(check_keys(item->child, name, e));
    }
    return SQN_OK;
}

sqn_status sqn_json_document_parse(cJSON **out, const char *text, size_t n, const char *name,
                                   sqn_err *e) {
    *out = NULL;
    SQN_TRY(check_text(text, n, name, e));
    cJSON *document = cJSON_ParseWithLength(text, n);
    if (document == NULL)
        return SQN_FAIL(e, SQN_NOMEM, "%.240s: out of memory for %zu bytes of JSON", name, n);
    sqn_status status = check_keys(document, name, e);
    if (status == SQN_OK)
        *out = document;
    else
        cJSON_Delete(document);
    return status;
}

sqn_status sqn_json_document_read(cJSON **out, const char *path, sqn_err *e) {
    char *text;
    size_t n;
    *out = NULL;
    SQN_TRY(sqn_file_read(path, &text, &n, e));
    sqn_status status = sqn_json_document_parse(out, text, n, path, e);
    sqn_free(text);
    return status;
}

void sqn_json_document_free(cJSON *document) { cJSON_Delete(document); }

const cJSON *sqn_json_member(const cJSON *object, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

int sqn_json_count(const cJSON *item, int64_t *out) {
    if (!cJSON_IsNumber(item)) return 0;
    double v = item->valuedouble;
    if (!(v >= 0 && v <= 9007199254740992.0) || floor(v) != v) return 0;
    *out = (int64_t)v;
    return 1;
}
