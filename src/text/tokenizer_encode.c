/* Text to ids: added tokens are cut out, the rest is normalised, split into words, merged.
 *
 * Rules: the call's state is in `encoder`; tokens are emitted in the order of the text, so an
 * offset is found by counting on from the token before it.
 */
#include "core/interrupt.h"
#include "text/tokenizer_parts.h"
#include "text/unicode.h"

typedef struct encoder {
    const sqn_tokenizer *t;
    sqn_scratch *scratch;
    sqn_encode_options options;
    sqn_encoding *out;
    sqn_err *e;
    /* for offsets: the normalised piece and how far its tokens are emitted */
    const char *text;
    const uint32_t *charges; /* NULL: each code point belongs to itself */
    size_t done, seen;       /* bytes of the piece; code points that begin before them */
    size_t at;               /* code points of the whole text before the piece */
} encoder;

static sqn_status put(encoder *x, uint32_t id, size_t start, size_t stop) {
    SQN_TRY(sqn_words_add(&x->out->ids, id, x->e));
    if (!x->options.offsets) return SQN_OK;
    SQN_TRY(sqn_words_reserve(&x->out->offsets, 2, x->e));
    x->out->offsets.data[x->out->offsets.count++] = (uint32_t)start;
    x->out->offsets.data[x->out->offsets.count++] = (uint32_t)stop;
    return SQN_OK;
}

/* ByteLevel's trim_offsets: blanks at either end of a token's bytes are left out. */
static void trim(const encoder *x, const char *p, size_t n, size_t *start, size_t *stop) {
    size_t leading = 0, trailing = 0;
    while (leading < n && p[leading] == ' ') leading++;
    while (trailing < n && p[n - 1 - trailing] == ' ') trailing++;
    bool first = x->out->ids.count == 0 || *start == 0;
    if (first && x->t->trim_keeps_first && leading == 1) leading = 0;
    *start = *start + leading < *stop ? *start + leading : *stop;
    if (trailing > 0 && *stop >= trailing)
        *stop = *stop - trailing > *start ? *stop - trailing : *start;
}

/* Emits a token that stands for the next `bytes` bytes of the piece. */
static sqn_status emit(encoder *x, uint32_t id, size_t bytes) {
    if (!x->options.offsets) return sqn_words_add(&x->out->ids, id, x->e);
    const char *p = x->text + x->done;
    size_t first = x->seen - !sqn_utf8_is_start(*p);
    x->seen += sqn_utf8_count(p, bytes);
    x->done += bytes;
    size_t last = x->seen - 1;
    size_t start = x->at + (x->charges ? x->charges[first] : first);
    size_t stop = x->at + (x->charges ? x->charges[last] : last) + 1;
    if (x->t->trim_offsets) trim(x, p, bytes, &start, &stop);
    return put(x, id, start, stop);
}

/* Text that no token stands for: it counts as part of the symbol before it, if there is one. */
static sqn_status push_nothing(sqn_bpe_scratch *bpe, size_t bytes, sqn_err *e) {
    if (bpe->count == 0) return sqn_bpe_push(bpe, -1, bytes, e);
    bpe->symbols[bpe->count - 1].bytes += (uint32_t)bytes;
    return SQN_OK;
}

static sqn_status push_unknown(const encoder *x, sqn_bpe_scratch *bpe, size_t bytes,
                               bool *after_unknown) {
    const sqn_tokenizer *t = x->t;
    if (t->unknown < 0) return push_nothing(bpe, bytes, x->e);
    if (*after_unknown && t->fuse_unknown) return push_nothing(bpe, bytes, x->e);
    *after_unknown = true;
    return sqn_bpe_push(bpe, t->unknown, bytes, x->e);
}

static sqn_status push_bytes(const encoder *x, sqn_bpe_scratch *bpe, const char *p, size_t n,
                             bool *after_unknown) {
    for (size_t i = 0; i < n; i++) {
        int32_t id = x->t->byte_ids[(unsigned char)p[i]];
        if (id < 0) {
            SQN_TRY(push_unknown(x, bpe, 1, after_unknown));
            continue;
        }
        *after_unknown = false;
        SQN_TRY(sqn_bpe_push(bpe, id, 1, x->e));
    }
    return SQN_OK;
}

static int32_t model_id(const sqn_tokenizer *t, const char *p, size_t n) {
    int32_t id = sqn_vocab_find(&t->vocab, p, n);
    return id >= 0 && (t->flags[id] & SQN_TOKEN_ADDED_ONLY) == 0 ? id : -1;
}

static bool has_bytes(const sqn_tokenizer *t, const char *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (t->byte_ids[(unsigned char)p[i]] < 0) return false;
    return t->byte_fallback;
}

static sqn_status push_characters(const encoder *x, sqn_bpe_scratch *bpe, const char *p, size_t n) {
    bool after_unknown = false;
    for (size_t i = 0, length; i < n; i += length) {
        uint32_t c = sqn_utf8_get(p + i, &length);
        int32_t id = c < 0x10000 ? x->t->character_ids[c] : model_id(x->t, p + i, length);
        if (id >= 0) {
            after_unknown = false;
            SQN_TRY(sqn_bpe_push(bpe, id, length, x->e));
        } else if (has_bytes(x->t, p + i, length)) {
            SQN_TRY(push_bytes(x, bpe, p + i, length, &after_unknown));
        } else {
            SQN_TRY(push_unknown(x, bpe, length, &after_unknown));
        }
    }
    return SQN_OK;
}

/* ignore_merges: a word that is a token is that token. */
static int32_t whole_word(const sqn_tokenizer *t, const char *p, size_t n) {
    char spelled[512];
    if (!t->whole_words) return -1;
    if (!t->byte_level) return model_id(t, p, n);
    if (n > sizeof spelled / 2) return -1; /* a character of the alphabet has two bytes at most */
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        m += sqn_utf8_put(spelled + m, sqn_alphabet_character((unsigned char)p[i]));
    return model_id(t, spelled, m);
}

static sqn_status merge_word(encoder *x, const char *p, size_t n) {
    sqn_bpe_scratch *bpe = &x->scratch->bpe;
    bpe->count = 0;
    int32_t whole = whole_word(x->t, p, n);
    if (whole >= 0) return sqn_bpe_push(bpe, whole, n, x->e);
    bool after_unknown = false;
    if (x->t->byte_level)
        SQN_TRY(push_bytes(x, bpe, p, n, &after_unknown));
    else
        SQN_TRY(push_characters(x, bpe, p, n));
    return sqn_bpe_merge(bpe, &x->t->merges, x->e);
}

/* Keeps the symbols of the word just merged, if they fit into a line. */
static void remember(const sqn_bpe_scratch *bpe, const char *p, size_t n, sqn_cached *line) {
    size_t count = bpe->count;
    if (n > SQN_CACHE_KEY || count == 0 || count > SQN_CACHE_IDS) return;
    for (size_t i = 0; i < count; i++)
        if (bpe->symbols[i].id < 0) return;
    line->key_bytes = (uint8_t)n;
    line->count = (uint8_t)count;
    memcpy(line->key, p, n);
    for (size_t i = 0; i < count; i++) {
        line->ids[i] = (uint32_t)bpe->symbols[i].id;
        line->bytes[i] = (uint8_t)bpe->symbols[i].bytes;
    }
}

static sqn_status encode_word(encoder *x, const char *p, size_t n) {
    sqn_cached *line = &x->scratch->cache[sqn_text_hash(p, n) & (SQN_CACHE_SLOTS - 1)];
    if (line->count > 0 && line->key_bytes == n && memcmp(line->key, p, n) == 0) {
        for (size_t i = 0; i < line->count; i++) SQN_TRY(emit(x, line->ids[i], line->bytes[i]));
        return SQN_OK;
    }
    SQN_TRY(merge_word(x, p, n));
    const sqn_bpe_scratch *bpe = &x->scratch->bpe;
    remember(bpe, p, n, line);
    for (size_t i = 0; i < bpe->count; i++) {
        const sqn_symbol *s = &bpe->symbols[i];
        if (s->id >= 0) {
            SQN_TRY(emit(x, (uint32_t)s->id, s->bytes));
        } else {
            x->seen += x->options.offsets ? sqn_utf8_count(x->text + x->done, s->bytes) : 0;
            x->done += s->bytes;
        }
    }
    return SQN_OK;
}

/* Cuts with the pre-tokenisers from `step` on. */
static sqn_status encode_words(encoder *x, size_t step, const char *p, size_t n) {
    if (step == x->t->split_count) return n > 0 ? encode_word(x, p, n) : SQN_OK;
    bool last = step + 1 == x->t->split_count;
    for (size_t i = 0; i < n;) {
        size_t length = sqn_split_next(&x->t->split[step], p + i, n - i);
        if (last)
            SQN_TRY(encode_word(x, p + i, length));
        else
            SQN_TRY(encode_words(x, step + 1, p + i, length));
        i += length;
    }
    return SQN_OK;
}

/* A piece between added tokens of the raw text, which begins at code point `at` of the text. */
static sqn_status encode_piece(encoder *x, const char *p, size_t n, size_t at) {
    sqn_text text;
    SQN_TRY(sqn_interrupt_check(x->e));
    SQN_TRY(sqn_tokenizer_normalise(x->t, x->scratch, (sqn_text){p, n}, at, x->options.offsets,
                                    &text, &x->charges, x->e));
    x->text = text.data;
    x->at = at;
    x->done = x->seen = 0;
    for (size_t i = 0, start, stop; i < text.count; i = stop) {
        const sqn_added *found = sqn_added_next(&x->t->added_normalised, text.data, text.count, i,
                                                x->options.literal, &start, &stop);
        if (found == NULL) start = stop = text.count;
        SQN_TRY(encode_words(x, 0, text.data + i, start - i));
        if (found != NULL) SQN_TRY(emit(x, found->id, stop - start));
    }
    return SQN_OK;
}

static sqn_status encode_text(encoder *x, sqn_text text) {
    size_t at = 0; /* code points before i */
    for (size_t i = 0, start, stop; i < text.count; i = stop) {
        const sqn_added *found = sqn_added_next(&x->t->added, text.data, text.count, i,
                                                x->options.literal, &start, &stop);
        if (found == NULL) start = stop = text.count;
        if (start > i) SQN_TRY(encode_piece(x, text.data + i, start - i, at));
        if (found == NULL) break;
        if (x->options.offsets) at += sqn_utf8_count(text.data + i, start - i);
        size_t length = x->options.offsets ? sqn_utf8_count(text.data + start, stop - start) : 0;
        SQN_TRY(put(x, found->id, at, at + length));
        at += length;
    }
    return SQN_OK;
}

static sqn_status put_around(encoder *x, const sqn_words *ids) {
    if (!x->options.add_special_tokens) return SQN_OK;
    for (size_t i = 0; i < ids->count; i++) SQN_TRY(put(x, ids->data[i], 0, 0));
    return SQN_OK;
}

sqn_status sqn_tokenizer_encode(const sqn_tokenizer *t, sqn_text text, sqn_encode_options options,
                                sqn_encoding *out, sqn_err *e) {
    size_t bad, valid = sqn_utf8_valid(text.data, text.count, &bad);
    if (bad > 0) return SQN_FAIL(e, SQN_FORMAT, "invalid UTF-8 at byte %zu of the text", valid + 1);
    if (text.count > INT32_MAX) return SQN_FAIL(e, SQN_LIMIT, "text longer than 2 GiB");
    encoder x = {.t = t, .options = options, .out = out, .e = e};
    SQN_TRY(sqn_scratch_take(t, &x.scratch, e));
    sqn_status status = put_around(&x, &t->before);
    if (status == SQN_OK) status = encode_text(&x, text);
    if (status == SQN_OK) status = put_around(&x, &t->after);
    sqn_scratch_give(t, x.scratch);
    return status;
}

sqn_status sqn_tokenizer_encode_many(const sqn_tokenizer *t, const sqn_text *texts, size_t count,
                                     sqn_encode_options options, sqn_encoding *out, sqn_err *e) {
    sqn_status status = SQN_OK;
    size_t first_bad = SIZE_MAX; /* the error reported is that of the first text that has one */
#pragma omp parallel for schedule(dynamic, 8)
    for (size_t i = 0; i < count; i++) {
        sqn_err own = SQN_ERR_INIT;
        sqn_status s = sqn_tokenizer_encode(t, texts[i], options, &out[i], &own);
        if (s == SQN_OK) continue;
#pragma omp critical(sqn_encode_many)
        if (i < first_bad) {
            first_bad = i;
            status = s;
            if (e != NULL) *e = own;
        }
    }
    return status == SQN_OK ? SQN_OK : sqn_err_prefix(e, status, "text %zu", first_bad + 1);
}

void sqn_encoding_release(sqn_encoding *x) {
    sqn_words_release(&x->ids);
    sqn_words_release(&x->offsets);
}
