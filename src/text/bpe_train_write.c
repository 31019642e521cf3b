/* Writes what the BPE trainer learned as a tokenizer.json that Hugging Face tokenizers loads. */
#include "io/file.h"
#include "io/json_writer.h"
#include "text/bpe_train_parts.h"
#include "text/unicode.h"

static void put_key(sqn_json_writer *w, const char *key) { sqn_json_put_key(w, key, strlen(key)); }

static void put_string(sqn_json_writer *w, const char *key, const char *value) {
    put_key(w, key);
    sqn_json_put_string(w, value, strlen(value));
}

static void put_false(sqn_json_writer *w, const char *key) {
    put_key(w, key);
    sqn_json_put_boolean(w, false);
}

static void put_null(sqn_json_writer *w, const char *key) {
    put_key(w, key);
    sqn_json_put_null(w);
}

/* Appends bytes in GPT-2's alphabet. */
static sqn_status spell(const char *p, size_t n, sqn_bytes *out, sqn_err *e) {
    SQN_TRY(sqn_bytes_reserve(out, 2 * n, e));
    for (size_t i = 0; i < n; i++)
        out->count +=
            sqn_utf8_put(out->data + out->count, sqn_alphabet_character((unsigned char)p[i]));
    return SQN_OK;
}

static void put_added(const sqn_bpe_trainer *t, sqn_json_writer *w) {
    static const char *const no[] = {"single_word", "lstrip", "rstrip", "normalized"};
    uint32_t next = (uint32_t)t->vocab.used;
    put_key(w, "added_tokens");
    sqn_json_put_array(w);
    for (uint32_t i = 0; i < t->special_names.used; i++) {
        size_t n;
        const char *name = sqn_vocab_token(&t->special_names, i, &n);
        int32_t learned = sqn_vocab_find(&t->vocab, name, n);
        sqn_json_put_object(w);
        put_key(w, "id");
        sqn_json_put_integer(w, learned >= 0 ? learned : (int64_t)next++);
        put_key(w, "content");
        sqn_json_put_string(w, name, n);
        for (size_t j = 0; j < sizeof no / sizeof *no; j++) put_false(w, no[j]);
        put_key(w, "special");
        sqn_json_put_boolean(w, true);
        sqn_json_put_object_end(w);
    }
    sqn_json_put_array_end(w);
}

static void put_byte_level(sqn_json_writer *w) {
    sqn_json_put_object(w);
    put_string(w, "type", "ByteLevel");
    put_false(w, "add_prefix_space");
    put_false(w, "trim_offsets");
    put_false(w, "use_regex");
    sqn_json_put_object_end(w);
}

static void put_pipeline(sqn_json_writer *w) {
    put_key(w, "normalizer");
    sqn_json_put_object(w);
    put_string(w, "type", "NFC");
    sqn_json_put_object_end(w);
    put_key(w, "pre_tokenizer");
    sqn_json_put_object(w);
    put_string(w, "type", "Sequence");
    put_key(w, "pretokenizers");
    sqn_json_put_array(w);
    sqn_json_put_object(w);
    put_string(w, "type", "Split");
    put_key(w, "pattern");
    sqn_json_put_object(w);
    put_string(w, "Regex", sqn_split_qwen2_regex);
    sqn_json_put_object_end(w);
    put_string(w, "behavior", "Isolated");
    put_false(w, "invert");
    sqn_json_put_object_end(w);
    put_byte_level(w);
    sqn_json_put_array_end(w);
    sqn_json_put_object_end(w);
    put_key(w, "post_processor");
    put_byte_level(w);
    put_key(w, "decoder");
    put_byte_level(w);
}

static sqn_status put_merges(const sqn_bpe_trainer *t, sqn_json_writer *w, sqn_bytes *text,
                             sqn_err *e) {
    put_key(w, "merges");
    sqn_json_put_array(w);
    for (size_t i = 0; i < t->merges.count; i += 2) {
        text->count = 0;
        for (size_t side = 0; side < 2; side++) {
            size_t n = 0;
            const char *p = sqn_vocab_token(&t->vocab, t->merges.data[i + side], &n);
            if (side == 1) SQN_TRY(sqn_bytes_add(text, " ", 1, e));
            SQN_TRY(spell(p, n, text, e));
        }
        sqn_json_put_string(w, text->data, text->count);
    }
    sqn_json_put_array_end(w);
    return SQN_OK;
}

static sqn_status put_model(const sqn_bpe_trainer *t, sqn_json_writer *w, sqn_bytes *text,
                            sqn_err *e) {
    put_key(w, "model");
    sqn_json_put_object(w);
    put_string(w, "type", "BPE");
    put_null(w, "dropout");
    put_null(w, "unk_token");
    put_string(w, "continuing_subword_prefix", "");
    put_string(w, "end_of_word_suffix", "");
    put_false(w, "fuse_unk");
    put_false(w, "byte_fallback");
    put_key(w, "vocab");
    sqn_json_put_object(w);
    for (uint32_t id = 0; id < t->vocab.used; id++) {
        size_t n = 0;
        const char *p = sqn_vocab_token(&t->vocab, id, &n);
        text->count = 0;
        SQN_TRY(spell(p, n, text, e));
        sqn_json_put_key(w, text->data, text->count);
        sqn_json_put_integer(w, id);
    }
    sqn_json_put_object_end(w);
    SQN_TRY(put_merges(t, w, text, e));
    sqn_json_put_object_end(w);
    return SQN_OK;
}

static sqn_status to_file(void *file, const char *bytes, size_t n, sqn_err *e) {
    return sqn_file_writer_write(file, bytes, n, e);
}

sqn_status sqn_bpe_trainer_write(const sqn_bpe_trainer *t, const char *path, sqn_err *e) {
    sqn_file_writer *file = NULL;
    sqn_json_writer *w = NULL;
    sqn_bytes text = {0};
    sqn_status status = SQN_OK;
    SQN_GOTO(sqn_file_writer_open(&file, path, e));
    SQN_GOTO(sqn_json_writer_new(&w, (sqn_json_style){.indent = 2}, to_file, file, e));
    sqn_json_put_object(w);
    put_string(w, "version", "1.0");
    put_null(w, "truncation");
    put_null(w, "padding");
    put_added(t, w);
    put_pipeline(w);
    SQN_GOTO(put_model(t, w, &text, e));
    sqn_json_put_object_end(w);
    SQN_GOTO(sqn_json_writer_finish(w, e));
    SQN_GOTO(sqn_file_writer_commit(file, e));
fail:
    sqn_json_writer_close(w);
    sqn_file_writer_close(file);
    sqn_bytes_release(&text);
    return status;
}
