/* Opening a tokenizer.json: the file, the pipeline around the model, closing.
 *
 * Rules: every component is either understood completely or refused by name. "truncation" and
 * "padding" are left alone, as in transformers, where the caller decides about them.
 */
#include "text/tokenizer_load.h"

#include "io/file.h"

static sqn_status unsupported(const char *key, const char *type, sqn_err *e) {
    return SQN_FAIL(e, SQN_FORMAT, "key '%s': \"%.60s\" is not supported", key,
                    type ? type : "(no type)");
}

static const char *type_of(const cJSON *node) {
    const char *type = cJSON_GetStringValue(sqn_load_get(node, "type"));
    return type ? type : "(no type)";
}

static bool is(const cJSON *node, const char *type) { return strcmp(type_of(node), type) == 0; }

/* Absent keys are what tokenizers takes them for. */
static bool flag(const cJSON *node, const char *key, bool absent) {
    const cJSON *x = sqn_load_get(node, key);
    return x == NULL ? absent : cJSON_IsTrue(x);
}

/* A string of at most `room` - 1 bytes, exactly one character if `one`. */
static sqn_status get_text(const cJSON *node, const char *key, const char *what, bool one,
                           char *out, size_t room, sqn_err *e) {
    const char *s = cJSON_GetStringValue(sqn_load_get(node, what));
    if (s == NULL || strlen(s) >= room || (one && sqn_utf8_count(s, strlen(s)) != 1))
        return SQN_FAIL(e, SQN_FORMAT, "key '%s': '%s' must be %s", key, what,
                        one ? "one character" : "a short string");
    strcpy(out, s);
    return SQN_OK;
}

/* Runs `each` on the parts of a Sequence, or on the node itself. */
typedef sqn_status (*part_reader)(sqn_tokenizer *t, const cJSON *node, sqn_err *e);
static sqn_status each_part(sqn_tokenizer *t, const cJSON *node, const char *key, const char *list,
                            part_reader each, sqn_err *e) {
    if (node == NULL || cJSON_IsNull(node)) return SQN_OK;
    if (!is(node, "Sequence")) return each(t, node, e);
    const cJSON *parts = sqn_load_get(node, list), *x;
    if (!cJSON_IsArray(parts)) return SQN_FAIL(e, SQN_FORMAT, "key '%s.%s': no array", key, list);
    cJSON_ArrayForEach(x, parts) SQN_TRY(each_part(t, x, key, list, each, e));
    return SQN_OK;
}

static sqn_status add_normal(sqn_tokenizer *t, sqn_normal step, sqn_err *e) {
    if (t->normal_count == SQN_STEPS)
        return SQN_FAIL(e, SQN_FORMAT, "key 'normalizer': more than %d steps", SQN_STEPS);
    t->normal[t->normal_count++] = step;
    return SQN_OK;
}

static sqn_status get_pattern(const cJSON *node, const char *key, char out[5], sqn_err *e) {
    return get_text(sqn_load_get(node, "pattern"), key, "String", true, out, 5, e);
}

static sqn_status read_normal(sqn_tokenizer *t, const cJSON *node, sqn_err *e) {
    static const char key[] = "normalizer";
    sqn_normal step = {0};
    if (is(node, "NFC")) {
        step.kind = SQN_NORMAL_NFC;
    } else if (is(node, "Prepend")) {
        step.kind = SQN_NORMAL_PREPEND;
        SQN_TRY(get_text(node, key, "prepend", false, step.text, sizeof step.text, e));
    } else if (is(node, "Replace")) {
        step.kind = SQN_NORMAL_REPLACE;
        SQN_TRY(get_pattern(node, key, step.pattern, e));
        SQN_TRY(get_text(node, key, "content", true, step.text, 5, e));
    } else {
        return unsupported(key, type_of(node), e);
    }
    return add_normal(t, step, e);
}

static sqn_status add_split(sqn_tokenizer *t, sqn_split step, sqn_err *e) {
    if (t->split_count == SQN_STEPS)
        return SQN_FAIL(e, SQN_FORMAT, "key 'pre_tokenizer': more than %d steps", SQN_STEPS);
    t->split[t->split_count++] = step;
    return SQN_OK;
}

static sqn_status read_metaspace(sqn_tokenizer *t, const cJSON *node, sqn_err *e) {
    static const char key[] = "pre_tokenizer";
    if (t->split_count > 0)
        return SQN_FAIL(e, SQN_FORMAT, "key '%s': Metaspace after another step is not supported",
                        key);
    if (t->added_normalised.count > 0)
        return SQN_FAIL(e, SQN_FORMAT,
                        "key '%s': Metaspace is not supported with normalized added tokens", key);
    sqn_normal blank = {.kind = SQN_NORMAL_REPLACE, .pattern = " "};
    SQN_TRY(get_text(node, key, "replacement", true, blank.text, 5, e));
    SQN_TRY(add_normal(t, blank, e));
    const char *scheme = cJSON_GetStringValue(sqn_load_get(node, "prepend_scheme"));
    if (scheme == NULL) scheme = flag(node, "add_prefix_space", true) ? "always" : "never";
    sqn_normal mark = blank;
    mark.kind = strcmp(scheme, "first") == 0 ? SQN_NORMAL_PREPEND_FIRST : SQN_NORMAL_PREPEND_UNLESS;
    if (strcmp(scheme, "never") != 0) SQN_TRY(add_normal(t, mark, e));
    if (!flag(node, "split", true)) return SQN_OK;
    sqn_split step = {.kind = SQN_SPLIT_BEFORE, .mark_bytes = strlen(blank.text)};
    memcpy(step.mark, blank.text, sizeof step.mark);
    return add_split(t, step, e);
}

static sqn_status read_split(sqn_tokenizer *t, const cJSON *node, sqn_err *e) {
    static const char key[] = "pre_tokenizer";
    sqn_split step = {0};
    if (t->byte_level)
        return SQN_FAIL(e, SQN_FORMAT, "key '%s': a step after ByteLevel is not supported", key);
    if (is(node, "Split")) {
        const char *behavior = cJSON_GetStringValue(sqn_load_get(node, "behavior"));
        const char *regex =
            cJSON_GetStringValue(sqn_load_get(sqn_load_get(node, "pattern"), "Regex"));
        if (behavior == NULL || strcmp(behavior, "Isolated") != 0 || sqn_load_true(node, "invert"))
            return SQN_FAIL(e, SQN_FORMAT,
                            "key '%s': Split is supported as Isolated, not inverted, only", key);
        if (regex == NULL || !sqn_split_known(regex, &step))
            return SQN_FAIL(e, SQN_FORMAT, "key '%s': this pattern is not supported: %.300s", key,
                            regex ? regex : "(no Regex)");
        return add_split(t, step, e);
    }
    if (is(node, "Digits")) {
        step.kind = SQN_SPLIT_DIGITS;
        step.digits = sqn_load_true(node, "individual_digits") ? 1 : 0;
        return add_split(t, step, e);
    }
    if (is(node, "Metaspace")) return read_metaspace(t, node, e);
    if (!is(node, "ByteLevel")) return unsupported(key, type_of(node), e);
    if (flag(node, "add_prefix_space", true))
        return SQN_FAIL(e, SQN_FORMAT, "key '%s': ByteLevel with add_prefix_space is not supported",
                        key);
    t->byte_level = true;
    step.kind = SQN_SPLIT_GPT2;
    return flag(node, "use_regex", true) ? add_split(t, step, e) : SQN_OK;
}

/* Adds the ids of a special token that the template names. */
static sqn_status add_around(sqn_words *out, const cJSON *node, const char *name, sqn_err *e) {
    const cJSON *ids =
        sqn_load_get(sqn_load_get(sqn_load_get(node, "special_tokens"), name), "ids");
    const cJSON *x;
    if (!cJSON_IsArray(ids))
        return SQN_FAIL(e, SQN_FORMAT, "key 'post_processor.special_tokens': no ids for \"%.60s\"",
                        name);
    cJSON_ArrayForEach(x, ids) {
        if (!cJSON_IsNumber(x) || !(x->valuedouble >= 0 && x->valuedouble < SQN_TOKEN_LIMIT))
            return SQN_FAIL(e, SQN_FORMAT, "key 'post_processor.special_tokens': an id is no id");
        SQN_TRY(sqn_words_add(out, (uint32_t)x->valuedouble, e));
    }
    return SQN_OK;
}

static sqn_status read_template(sqn_tokenizer *t, const cJSON *node, sqn_err *e) {
    const cJSON *single = sqn_load_get(node, "single"), *x;
    bool seen = false;
    if (!cJSON_IsArray(single))
        return SQN_FAIL(e, SQN_FORMAT, "key 'post_processor.single': missing, or no array");
    cJSON_ArrayForEach(x, single) {
        const char *name =
            cJSON_GetStringValue(sqn_load_get(sqn_load_get(x, "SpecialToken"), "id"));
        if (name != NULL) {
            SQN_TRY(add_around(seen ? &t->after : &t->before, node, name, e));
        } else if (sqn_load_get(x, "Sequence") != NULL && !seen) {
            seen = true;
        } else {
            return SQN_FAIL(e, SQN_FORMAT, "key 'post_processor.single': a part is not supported");
        }
    }
    return SQN_OK;
}

static sqn_status read_post(sqn_tokenizer *t, const cJSON *node, sqn_err *e) {
    if (is(node, "TemplateProcessing")) return read_template(t, node, e);
    if (!is(node, "ByteLevel")) return unsupported("post_processor", type_of(node), e);
    t->trim_offsets = flag(node, "trim_offsets", true);
    t->trim_keeps_first = flag(node, "add_prefix_space", true);
    return SQN_OK;
}

static sqn_status read_decoder(sqn_tokenizer *t, const cJSON *node, sqn_err *e) {
    static const char key[] = "decoder";
    sqn_decode *d = &t->decode;
    char blank[5] = "";
    if (is(node, "ByteLevel")) {
        d->kind = SQN_DECODE_BYTES;
        return SQN_OK;
    }
    if (d->kind == SQN_DECODE_BYTES) return unsupported(key, type_of(node), e);
    d->kind = SQN_DECODE_FALLBACK;
    if (is(node, "Metaspace")) {
        const char *scheme = cJSON_GetStringValue(sqn_load_get(node, "prepend_scheme"));
        if (scheme == NULL) scheme = flag(node, "add_prefix_space", true) ? "always" : "never";
        d->first_blank = strcmp(scheme, "never") != 0;
        return get_text(node, key, "replacement", true, d->mark, sizeof d->mark, e);
    }
    if (is(node, "Replace")) {
        const cJSON *content = sqn_load_get(node, "content");
        if (d->mark[0] || !cJSON_IsString(content) || strcmp(content->valuestring, " ") != 0)
            return SQN_FAIL(e, SQN_FORMAT, "key '%s': Replace makes blanks of one character only",
                            key);
        return get_pattern(node, key, d->mark, e);
    }
    if (is(node, "ByteFallback")) {
        d->bytes = true;
        return SQN_OK;
    }
    if (is(node, "Fuse")) return SQN_OK;
    if (!is(node, "Strip")) return unsupported(key, type_of(node), e);
    const cJSON *start = sqn_load_get(node, "start"), *stop = sqn_load_get(node, "stop");
    SQN_TRY(get_text(node, key, "content", true, blank, sizeof blank, e));
    if (strcmp(blank, " ") != 0 || !cJSON_IsNumber(start) || !cJSON_IsNumber(stop) ||
        !(start->valuedouble >= 0 && start->valuedouble < 100) || stop->valuedouble != 0)
        return SQN_FAIL(e, SQN_FORMAT, "key '%s': Strip drops blanks at the beginning only", key);
    d->strip = (size_t)start->valuedouble;
    return SQN_OK;
}

static sqn_status read_all(sqn_tokenizer *t, const sqn_tokenizer_file *f, sqn_err *e) {
    const cJSON *root = f->root;
    const cJSON *model = sqn_load_get(root, "model");
    if (!cJSON_IsObject(model))
        return SQN_FAIL(e, SQN_FORMAT, "key 'model': missing, or no object");
    SQN_TRY(each_part(t, sqn_load_get(root, "normalizer"), "normalizer", "normalizers", read_normal,
                      e));
    SQN_TRY(sqn_load_vocab(t, f, e));
    SQN_TRY(each_part(t, sqn_load_get(root, "pre_tokenizer"), "pre_tokenizer", "pretokenizers",
                      read_split, e));
    SQN_TRY(each_part(t, sqn_load_get(root, "post_processor"), "post_processor", "processors",
                      read_post, e));
    t->decode.kind = SQN_DECODE_JOIN;
    SQN_TRY(each_part(t, sqn_load_get(root, "decoder"), "decoder", "decoders", read_decoder, e));
    return sqn_load_model(t, f, e);
}

static sqn_status read_tokenizer(sqn_tokenizer *t, sqn_err *e) {
    sqn_tokenizer_file f = {0};
    sqn_status status = sqn_tokenizer_file_read(t->path, &f, e); /* names the path itself */
    if (status == SQN_OK) {
        status = read_all(t, &f, e);
        if (status != SQN_OK) sqn_err_prefix(e, status, "%s", t->path);
    }
    sqn_tokenizer_file_release(&f);
    return status;
}

sqn_status sqn_tokenizer_open(const char *path, sqn_tokenizer **out, sqn_err *e) {
    sqn_unicode_init();
    sqn_tokenizer *t = sqn_calloc(1, sizeof *t, e);
    if (t == NULL) return SQN_NOMEM;
    sqn_status status = SQN_NOMEM;
    atomic_init(&t->owners, 1);
    sqn_added_init(&t->added);
    sqn_added_init(&t->added_normalised);
    sqn_file_facts facts = {0};
    SQN_GOTO(sqn_file_stat(path, &facts, e));
    status = SQN_NOMEM;
    size_t n = strlen(path) + sizeof "/tokenizer.json";
    t->path = sqn_alloc(n, e);
    if (t->path == NULL) goto fail;
    snprintf(t->path, n, "%s%s", path, facts.folder ? "/tokenizer.json" : "");
    SQN_GOTO(sqn_scratch_pool_new(&t->pool, e));
    SQN_GOTO(read_tokenizer(t, e));
    *out = t;
    return SQN_OK;
fail:
    sqn_tokenizer_close(t);
    return status;
}

sqn_tokenizer *sqn_tokenizer_retain(sqn_tokenizer *t) {
    atomic_fetch_add(&t->owners, 1);
    return t;
}

void sqn_tokenizer_close(sqn_tokenizer *t) {
    if (t == NULL || atomic_fetch_sub(&t->owners, 1) > 1) return;
    sqn_free(t->path);
    sqn_vocab_release(&t->vocab);
    sqn_merges_release(&t->merges);
    sqn_free(t->flags);
    sqn_free(t->character_ids);
    sqn_added_release(&t->added);
    sqn_added_release(&t->added_normalised);
    sqn_words_release(&t->before);
    sqn_words_release(&t->after);
    sqn_scratch_pool_close(t->pool);
    sqn_free(t);
}
