/* The "model" and "added_tokens" of a tokenizer.json: vocabulary, merges, unknown tokens. */
#include "text/tokenizer_load.h"

/* Cut for messages. */
static int shown(size_t n) { return n > 80 ? 80 : (int)n; }

/* The id of an added token. */
static sqn_status id_of(const cJSON *node, const char *token, uint32_t *out, sqn_err *e) {
    int64_t id;
    if (!sqn_json_count(node, &id) || id >= SQN_TOKEN_LIMIT)
        return SQN_FAIL(e, SQN_FORMAT,
                        "key 'added_tokens': \"%.*s\": an id must be a whole number from 0 to %d",
                        shown(strlen(token)), token, SQN_TOKEN_LIMIT - 1);
    *out = (uint32_t)id;
    return SQN_OK;
}

/* Tokens, their bytes and the number of ids that the vocabulary will have. */
static sqn_status measure(const sqn_tokenizer_file *f, const cJSON *added, size_t *count,
                          size_t *bytes, uint32_t *id_count, sqn_err *e) {
    const cJSON *x;
    *count = f->vocab.count / 3;
    *bytes = *id_count = 0;
    for (size_t i = 0; i < f->vocab.count; i += 3) {
        *bytes += f->vocab.data[i + 1];
        if (f->vocab.data[i + 2] >= *id_count) *id_count = f->vocab.data[i + 2] + 1;
    }
    cJSON_ArrayForEach(x, added) {
        uint32_t id = 0;
        const char *content = cJSON_GetStringValue(sqn_load_get(x, "content"));
        if (content == NULL || *content == 0)
            return SQN_FAIL(e, SQN_FORMAT, "key 'added_tokens': a token without 'content'");
        SQN_TRY(id_of(sqn_load_get(x, "id"), content, &id, e));
        if (id >= *id_count) *id_count = id + 1;
        ++*count;
        *bytes += strlen(content);
    }
    return SQN_OK;
}

static sqn_status add_added(sqn_tokenizer *t, const cJSON *node, sqn_err *e) {
    const char *content = sqn_load_get(node, "content")->valuestring;
    size_t n = strlen(content);
    uint32_t id = (uint32_t)sqn_load_get(node, "id")->valuedouble;
    int32_t known = sqn_vocab_find(&t->vocab, content, n);
    if (known < 0) {
        SQN_TRY(sqn_vocab_add(&t->vocab, content, n, id, e));
        t->flags[id] |= SQN_TOKEN_ADDED_ONLY;
    } else if ((uint32_t)known != id) {
        return SQN_FAIL(e, SQN_FORMAT, "token \"%.*s\" has id %u, but %d in the vocabulary",
                        shown(n), content, id, known);
    }
    sqn_added x = {id, sqn_load_true(node, "special"), sqn_load_true(node, "single_word"),
                   sqn_load_true(node, "lstrip"), sqn_load_true(node, "rstrip")};
    if (x.special) t->flags[id] |= SQN_TOKEN_SPECIAL;
    if (!sqn_load_true(node, "normalized")) return sqn_added_put(&t->added, content, n, x, e);
    /* sought in the normalised text, in its own normalised form */
    sqn_scratch *scratch = NULL;
    const uint32_t *charges;
    sqn_text form;
    SQN_TRY(sqn_scratch_take(t, &scratch, e));
    sqn_status status =
        sqn_tokenizer_normalise(t, scratch, (sqn_text){content, n}, 0, false, &form, &charges, e);
    if (status == SQN_OK && form.count > 0)
        status = sqn_added_put(&t->added_normalised, form.data, form.count, x, e);
    sqn_scratch_give(t, scratch);
    return status;
}

sqn_status sqn_load_vocab(sqn_tokenizer *t, const sqn_tokenizer_file *f, sqn_err *e) {
    const cJSON *added = sqn_load_get(f->root, "added_tokens"), *x;
    size_t count, bytes;
    uint32_t id_count;
    if (!f->has_vocab) return SQN_FAIL(e, SQN_FORMAT, "key 'model.vocab': missing");
    if (added != NULL && !cJSON_IsArray(added) && !cJSON_IsNull(added))
        return SQN_FAIL(e, SQN_FORMAT, "key 'added_tokens': no array");
    SQN_TRY(measure(f, added, &count, &bytes, &id_count, e));
    if (count == 0) return SQN_FAIL(e, SQN_FORMAT, "key 'model.vocab': empty");
    SQN_TRY(sqn_vocab_init(&t->vocab, count, id_count, e));
    SQN_TRY(sqn_bytes_reserve(&t->vocab.text, bytes, e));
    t->flags = sqn_calloc(id_count, 1, e);
    if (t->flags == NULL) return SQN_NOMEM;
    for (size_t i = 0; i < f->vocab.count; i += 3) {
        const uint32_t *v = f->vocab.data + i;
        sqn_status status = sqn_vocab_add(&t->vocab, f->text.data + v[0], v[1], v[2], e);
        if (status != SQN_OK) return sqn_err_prefix(e, status, "key 'model.vocab'");
    }
    cJSON_ArrayForEach(x, added) {
        sqn_status status = add_added(t, x, e);
        if (status != SQN_OK) return sqn_err_prefix(e, status, "key 'added_tokens'");
    }
    return SQN_OK;
}

static sqn_status find_model_token(const sqn_tokenizer *t, const char *token, size_t n,
                                   uint32_t *out, sqn_err *e) {
    int32_t id = sqn_vocab_find(&t->vocab, token, n);
    *out = (uint32_t)id;
    if (id >= 0 && (t->flags[id] & SQN_TOKEN_ADDED_ONLY) == 0) return SQN_OK;
    return SQN_FAIL(e, SQN_FORMAT, "token \"%.*s\" is not in the vocabulary", shown(n), token);
}

static sqn_status load_merges(sqn_tokenizer *t, const sqn_tokenizer_file *f, sqn_err *e) {
    if (!f->has_merges) return SQN_FAIL(e, SQN_FORMAT, "key 'model.merges': missing");
    SQN_TRY(sqn_merges_init(&t->merges, f->merges.count / 3, e));
    for (uint32_t rank = 0; rank < f->merges.count / 3; rank++) {
        const uint32_t *m = f->merges.data + 3 * (size_t)rank;
        const char *p = f->text.data + m[0];
        uint32_t left, right, joined;
        sqn_status status = find_model_token(t, p, m[1], &left, e);
        if (status == SQN_OK) status = find_model_token(t, p + m[1], m[2], &right, e);
        if (status == SQN_OK) status = find_model_token(t, p, m[1] + m[2], &joined, e);
        if (status != SQN_OK) return sqn_err_prefix(e, status, "key 'model.merges'[%u]", rank);
        sqn_merges_add(&t->merges, left, right, rank, joined);
    }
    return SQN_OK;
}

static bool is_empty(const cJSON *node) {
    return node == NULL || cJSON_IsNull(node) || (cJSON_IsString(node) && !*node->valuestring) ||
           (cJSON_IsNumber(node) && node->valuedouble == 0);
}

static sqn_status load_unknown(sqn_tokenizer *t, const cJSON *model, sqn_err *e) {
    const cJSON *unknown = sqn_load_get(model, "unk_token");
    t->unknown = -1;
    if (unknown == NULL || cJSON_IsNull(unknown)) return SQN_OK;
    if (!cJSON_IsString(unknown))
        return SQN_FAIL(e, SQN_FORMAT, "key 'model.unk_token': no string");
    const char *s = unknown->valuestring;
    t->unknown = sqn_vocab_find(&t->vocab, s, strlen(s));
    if (t->unknown < 0)
        return SQN_FAIL(e, SQN_FORMAT, "key 'model.unk_token': \"%.*s\" is not in the vocabulary",
                        shown(strlen(s)), s);
    return SQN_OK;
}

static void load_bytes(sqn_tokenizer *t) {
    for (unsigned b = 0; b < 256; b++) {
        char token[8];
        size_t n = t->byte_level ? sqn_utf8_put(token, sqn_alphabet_character(b))
                                 : (size_t)snprintf(token, sizeof token, "<0x%02X>", b);
        int32_t id = sqn_vocab_find(&t->vocab, token, n);
        t->byte_ids[b] = id >= 0 && t->flags[id] & SQN_TOKEN_ADDED_ONLY ? -1 : id;
    }
}

/* Characters are looked up for every byte of the text, so those of the BMP have a table. */
static sqn_status load_characters(sqn_tokenizer *t, sqn_err *e) {
    if (t->byte_level) return SQN_OK;
    t->character_ids = sqn_alloc(0x10000 * sizeof *t->character_ids, e);
    if (t->character_ids == NULL) return SQN_NOMEM;
    memset(t->character_ids, 0xFF, 0x10000 * sizeof *t->character_ids);
    for (uint32_t id = 0; id < t->vocab.id_count; id++) {
        size_t n = 0, length;
        const char *token = sqn_vocab_token(&t->vocab, id, &n);
        if (token == NULL || n == 0 || n > 3 || t->flags[id] & SQN_TOKEN_ADDED_ONLY) continue;
        uint32_t c = sqn_utf8_get(token, &length);
        if (length == n) t->character_ids[c] = (int32_t)id;
    }
    return SQN_OK;
}

/* Whether a token has a mark after another character, so that merges cross words. */
static bool crosses_words(const sqn_tokenizer *t, const char *mark) {
    size_t m = strlen(mark), n;
    for (size_t i = 0; i <= t->merges.slot_mask; i++) {
        if (t->merges.slots[i].pair == UINT64_MAX) continue;
        const char *token = sqn_vocab_token(&t->vocab, t->merges.slots[i].result, &n);
        for (size_t j = 1; j + m <= n; j++)
            if (memcmp(token + j, mark, m) == 0 && (j < m || memcmp(token + j - m, mark, m) != 0))
                return true;
    }
    return false;
}

/* Without a pre-tokeniser BPE runs over whole texts. Where no token has a mark after another
 * character, cutting before runs of marks changes nothing, and words can be remembered. */
static void cut_words(sqn_tokenizer *t) {
    const sqn_normal *blank = NULL;
    for (size_t i = 0; i < t->normal_count; i++)
        if (t->normal[i].kind == SQN_NORMAL_REPLACE) blank = &t->normal[i];
    if (blank == NULL || t->byte_level || t->split_count > 0 || t->whole_words) return;
    size_t n = strlen(blank->text);
    if (sqn_vocab_find(&t->vocab, blank->text, n) < 0 || crosses_words(t, blank->text)) return;
    sqn_split *s = &t->split[t->split_count++];
    *s = (sqn_split){.kind = SQN_SPLIT_RUNS, .mark_bytes = n};
    memcpy(s->mark, blank->text, n);
}

sqn_status sqn_load_model(sqn_tokenizer *t, const sqn_tokenizer_file *f, sqn_err *e) {
    const cJSON *model = sqn_load_get(f->root, "model");
    static const char *const must_be_empty[] = {"dropout", "continuing_subword_prefix",
                                                "end_of_word_suffix"};
    const char *type = cJSON_GetStringValue(sqn_load_get(model, "type"));
    if (type != NULL && strcmp(type, "BPE") != 0)
        return SQN_FAIL(e, SQN_FORMAT, "key 'model.type': \"%.60s\" is not supported (BPE is)",
                        type);
    for (size_t i = 0; i < sizeof must_be_empty / sizeof *must_be_empty; i++)
        if (!is_empty(sqn_load_get(model, must_be_empty[i])))
            return SQN_FAIL(e, SQN_FORMAT, "key 'model.%s': not supported", must_be_empty[i]);
    SQN_TRY(load_merges(t, f, e));
    SQN_TRY(load_unknown(t, model, e));
    t->byte_fallback = sqn_load_true(model, "byte_fallback");
    t->fuse_unknown = sqn_load_true(model, "fuse_unk");
    t->whole_words = sqn_load_true(model, "ignore_merges");
    load_bytes(t);
    SQN_TRY(load_characters(t, e));
    cut_words(t);
    return SQN_OK;
}
