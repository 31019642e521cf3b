/* One pass over a tokenizer.json: see tokenizer_load.h. */
#include "io/json_reader.h"
#include "text/tokenizer_load.h"

typedef struct source {
    sqn_json_reader *reader;
    sqn_json_token token; /* the last one read */
    sqn_tokenizer_file *file;
    sqn_err *e;
} source;

static sqn_status next(source *s) { return sqn_json_next(s->reader, &s->token, s->e); }

static sqn_status complain(source *s, const char *what) {
    return sqn_json_complain(s->reader, &s->token, s->e, "%s", what);
}

static sqn_status out_of_memory(source *s) {
    return SQN_FAIL(s->e, SQN_NOMEM, "out of memory for a tokenizer");
}

static sqn_status build(source *s, cJSON **out);

static sqn_status build_members(source *s, cJSON *object, bool named) {
    sqn_json_kind end = named ? SQN_JSON_OBJECT_END : SQN_JSON_ARRAY_END;
    for (;;) {
        char key[128] = "";
        SQN_TRY(next(s));
        if (s->token.kind == end) return SQN_OK;
        if (named) {
            if (s->token.length >= sizeof key || memchr(s->token.text, 0, s->token.length) != NULL)
                return complain(s, "unknown key");
            memcpy(key, s->token.text, s->token.length + 1);
            if (sqn_json_member(object, key) != NULL)
                return complain(s, "this key stands here a second time");
            SQN_TRY(next(s));
        }
        cJSON *member = NULL;
        sqn_status status = build(s, &member);
        if (status == SQN_OK && !(named ? cJSON_AddItemToObject(object, key, member)
                                        : cJSON_AddItemToArray(object, member)))
            status = out_of_memory(s);
        if (status != SQN_OK) {
            cJSON_Delete(member);
            return status;
        }
    }
}

/* The tree of the value that the last token begins. */
static sqn_status build(source *s, cJSON **out) {
    const sqn_json_token *t = &s->token;
    switch (t->kind) {
    case SQN_JSON_NULL:
        *out = cJSON_CreateNull();
        break;
    case SQN_JSON_FALSE:
        *out = cJSON_CreateFalse();
        break;
    case SQN_JSON_TRUE:
        *out = cJSON_CreateTrue();
        break;
    case SQN_JSON_INTEGER:
    case SQN_JSON_FLOAT:
        *out = cJSON_CreateNumber(t->number);
        break;
    case SQN_JSON_STRING: {
        size_t bad;
        if (memchr(t->text, 0, t->length) != NULL) return complain(s, "U+0000 may not stand here");
        if (sqn_utf8_valid(t->text, t->length, &bad) < t->length)
            return complain(s, "a lone surrogate may not stand here");
        *out = cJSON_CreateString(t->text);
        break;
    }
    case SQN_JSON_ARRAY:
        *out = cJSON_CreateArray();
        break;
    case SQN_JSON_OBJECT:
        *out = cJSON_CreateObject();
        break;
    default:
        return complain(s, "a value is missing");
    }
    if (*out == NULL) return out_of_memory(s);
    if (t->kind != SQN_JSON_ARRAY && t->kind != SQN_JSON_OBJECT) return SQN_OK;
    return build_members(s, *out, t->kind == SQN_JSON_OBJECT);
}

static sqn_status add_text(source *s, const char *p, size_t n) {
    size_t bad;
    if (sqn_utf8_valid(p, n, &bad) < n) return complain(s, "a lone surrogate may not stand here");
    if (s->file->text.count + n >= UINT32_MAX) return complain(s, "this vocabulary is too large");
    return sqn_bytes_add(&s->file->text, p, n, s->e);
}

static sqn_status read_vocab(source *s) {
    sqn_tokenizer_file *f = s->file;
    if (s->token.kind != SQN_JSON_OBJECT) return complain(s, "'model.vocab' must be an object");
    if (f->has_vocab) return complain(s, "'model.vocab' stands here a second time");
    f->has_vocab = true;
    for (;;) {
        SQN_TRY(next(s));
        if (s->token.kind == SQN_JSON_OBJECT_END) return SQN_OK;
        SQN_TRY(sqn_words_reserve(&f->vocab, 3, s->e));
        uint32_t *x = f->vocab.data + f->vocab.count;
        x[0] = (uint32_t)f->text.count;
        x[1] = (uint32_t)s->token.length;
        SQN_TRY(add_text(s, s->token.text, s->token.length));
        SQN_TRY(next(s));
        if (s->token.kind != SQN_JSON_INTEGER || s->token.integer < 0 ||
            s->token.integer >= SQN_TOKEN_LIMIT)
            return sqn_json_complain(s->reader, &s->token, s->e,
                                     "an id must be a whole number from 0 to %d",
                                     SQN_TOKEN_LIMIT - 1);
        x[2] = (uint32_t)s->token.integer;
        f->vocab.count += 3;
    }
}

/* One half of a merge, with which the text goes on. */
static sqn_status add_half(source *s, const char *p, size_t n) {
    SQN_TRY(add_text(s, p, n));
    return sqn_words_add(&s->file->merges, (uint32_t)n, s->e);
}

/* "left right" or ["left", "right"] */
static sqn_status read_merge(source *s) {
    static const char wrong[] = "a merge is \"left right\" or [\"left\", \"right\"]";
    SQN_TRY(sqn_words_add(&s->file->merges, (uint32_t)s->file->text.count, s->e));
    if (s->token.kind == SQN_JSON_STRING) {
        const char *p = s->token.text, *end = p + s->token.length;
        const char *blank = memchr(p, ' ', s->token.length);
        if (blank == NULL || memchr(blank + 1, ' ', (size_t)(end - blank - 1)) != NULL)
            return complain(s, wrong);
        SQN_TRY(add_half(s, p, (size_t)(blank - p)));
        return add_half(s, blank + 1, (size_t)(end - blank - 1));
    }
    if (s->token.kind != SQN_JSON_ARRAY) return complain(s, wrong);
    for (int side = 0; side < 2; side++) {
        SQN_TRY(next(s));
        if (s->token.kind != SQN_JSON_STRING) return complain(s, wrong);
        SQN_TRY(add_half(s, s->token.text, s->token.length));
    }
    SQN_TRY(next(s));
    return s->token.kind == SQN_JSON_ARRAY_END ? SQN_OK : complain(s, wrong);
}

static sqn_status read_merges(source *s) {
    if (s->token.kind != SQN_JSON_ARRAY) return complain(s, "'model.merges' must be an array");
    if (s->file->has_merges) return complain(s, "'model.merges' stands here a second time");
    s->file->has_merges = true;
    for (;;) {
        SQN_TRY(next(s));
        if (s->token.kind == SQN_JSON_ARRAY_END) return SQN_OK;
        SQN_TRY(read_merge(s));
    }
}

/* The members of the whole file (depth 0) or of its model (depth 1). */
static sqn_status read_members(source *s, cJSON *object, int depth) {
    for (;;) {
        SQN_TRY(next(s));
        if (s->token.kind == SQN_JSON_OBJECT_END) return SQN_OK;
        char key[64] = "";
        snprintf(key, sizeof key, "%s", s->token.text);
        if (sqn_json_member(object, key) != NULL)
            return complain(s, "this key stands here a second time");
        SQN_TRY(next(s));
        if (depth == 1 && strcmp(key, "vocab") == 0) {
            SQN_TRY(read_vocab(s));
            continue;
        }
        if (depth == 1 && strcmp(key, "merges") == 0) {
            SQN_TRY(read_merges(s));
            continue;
        }
        bool model = depth == 0 && strcmp(key, "model") == 0 && s->token.kind == SQN_JSON_OBJECT;
        cJSON *member = model ? cJSON_CreateObject() : NULL;
        if (model && member == NULL) return out_of_memory(s);
        sqn_status status = model ? read_members(s, member, 1) : build(s, &member);
        if (status == SQN_OK && !cJSON_AddItemToObject(object, key, member))
            status = out_of_memory(s);
        if (status != SQN_OK) {
            cJSON_Delete(member);
            return status;
        }
    }
}

sqn_status sqn_tokenizer_file_read(const char *path, sqn_tokenizer_file *out, sqn_err *e) {
    source s = {.file = out, .e = e};
    SQN_TRY(sqn_json_reader_open(&s.reader, path, e));
    out->root = cJSON_CreateObject();
    sqn_status status = out->root ? next(&s) : out_of_memory(&s);
    if (status == SQN_OK && s.token.kind != SQN_JSON_OBJECT)
        status = complain(&s, "a tokenizer is an object");
    if (status == SQN_OK) status = read_members(&s, out->root, 0);
    if (status == SQN_OK) status = next(&s); /* nothing may follow */
    sqn_json_reader_close(s.reader);
    return status;
}

void sqn_tokenizer_file_release(sqn_tokenizer_file *f) {
    cJSON_Delete(f->root);
    sqn_bytes_release(&f->text);
    sqn_words_release(&f->vocab);
    sqn_words_release(&f->merges);
    *f = (sqn_tokenizer_file){0};
}
