/* The BPE trainer: see bpe_train.h.
 *
 * Words are counted once; a merge then touches only the words that hold its pair. The queue is a
 * heap whose entries may be out of date: one that promises more than its pair has now goes back
 * with the true count.
 */
#include "text/bpe_train.h"

#include "core/interrupt.h"
#include "io/file.h"
#include "text/bpe_train_parts.h"
#include "text/unicode.h"

/* The words of bytes that a text consists of, as Qwen2 cuts it. */
static const sqn_split qwen2_words = {.kind = SQN_SPLIT_QWEN2, .digits = 1};

sqn_status sqn_bpe_trainer_new(sqn_bpe_trainer **out, size_t vocab_size, const sqn_text *specials,
                               size_t special_count, sqn_err *e) {
    if (vocab_size < 256 + special_count || vocab_size >= SQN_TOKEN_LIMIT)
        return SQN_FAIL(e, SQN_MISUSE,
                        "vocab_size must be at least %zu (256 bytes and the special tokens)",
                        256 + special_count);
    sqn_unicode_init();
    sqn_status status = SQN_NOMEM;
    sqn_bpe_trainer *t = sqn_calloc(1, sizeof *t, e);
    if (t == NULL) return SQN_NOMEM;
    t->vocab_size = vocab_size;
    sqn_added_init(&t->specials);
    SQN_GOTO(sqn_vocab_init(&t->special_names, special_count, (uint32_t)special_count, e));
    for (size_t i = 0; i < special_count; i++) {
        const sqn_text *x = &specials[i];
        sqn_added added = {.id = (uint32_t)i, .special = true};
        size_t bad;
        status = SQN_MISUSE;
        if (x->count == 0 || sqn_utf8_valid(x->data, x->count, &bad) < x->count ||
            memchr(x->data, 0, x->count) != NULL) {
            SQN_FAIL(e, SQN_MISUSE, "special token %zu is empty, or no text", i + 1);
            goto fail;
        }
        SQN_GOTO(sqn_vocab_add(&t->special_names, x->data, x->count, (uint32_t)i, e));
        SQN_GOTO(sqn_added_put(&t->specials, x->data, x->count, added, e));
    }
    SQN_GOTO(sqn_train_table_init(&t->word_table, e));
    SQN_GOTO(sqn_train_table_init(&t->pair_table, e));
    SQN_GOTO(sqn_vocab_init(&t->vocab, vocab_size, (uint32_t)vocab_size, e));
    for (uint32_t c = 0, id = 0; c < 0x144; c++) {
        char byte = (char)sqn_alphabet_byte(c);
        if (sqn_alphabet_byte(c) < 0) continue;
        t->byte_ids[(unsigned char)byte] = id;
        SQN_GOTO(sqn_vocab_add(&t->vocab, &byte, 1, id++, e));
    }
    *out = t;
    return SQN_OK;
fail:
    sqn_bpe_trainer_close(t);
    return status;
}

void sqn_bpe_trainer_close(sqn_bpe_trainer *t) {
    if (t == NULL) return;
    sqn_vocab_release(&t->special_names);
    sqn_added_release(&t->specials);
    sqn_vocab_release(&t->vocab);
    sqn_words_release(&t->merges);
    sqn_bytes_release(&t->normal);
    sqn_words_release(&t->symbols);
    sqn_free(t->words);
    sqn_train_table_release(&t->word_table);
    for (size_t i = 0; i < t->pair_count; i++) sqn_words_release(&t->pairs[i].words);
    sqn_free(t->pairs);
    sqn_train_table_release(&t->pair_table);
    sqn_words_release(&t->raised);
    sqn_free(t->heap);
    sqn_free(t);
}

static bool same_word(const sqn_bpe_trainer *t, const train_word *w, const char *p, size_t n) {
    if (w->length != n) return false;
    for (size_t i = 0; i < n; i++)
        if (t->symbols.data[w->start + i] != t->byte_ids[(unsigned char)p[i]]) return false;
    return true;
}

static sqn_status count_word(sqn_bpe_trainer *t, const char *p, size_t n, sqn_err *e) {
    uint64_t hash = sqn_text_hash(p, n);
    size_t slot = sqn_train_table_first(&t->word_table, hash);
    for (uint32_t i; (i = t->word_table.slots[slot].index) != UINT32_MAX;
         slot = (slot + 1) & t->word_table.mask) {
        if (t->word_table.slots[slot].hash == hash && same_word(t, &t->words[i], p, n)) {
            t->words[i].count++;
            return SQN_OK;
        }
    }
    if (t->word_count == t->word_capacity) {
        size_t room = t->word_capacity * 2 + 1024;
        train_word *words = sqn_realloc(t->words, room * sizeof *words, e);
        if (words == NULL) return SQN_NOMEM;
        t->words = words;
        t->word_capacity = room;
    }
    if (t->symbols.count + n >= UINT32_MAX || t->word_count >= UINT32_MAX - 1)
        return SQN_FAIL(e, SQN_LIMIT, "too many different words to train on");
    SQN_TRY(sqn_words_reserve(&t->symbols, n, e));
    uint32_t index = (uint32_t)t->word_count;
    SQN_TRY(sqn_train_table_put(&t->word_table, hash, index, e));
    t->words[t->word_count++] = (train_word){(uint32_t)t->symbols.count, (uint32_t)n, 1};
    for (size_t i = 0; i < n; i++)
        t->symbols.data[t->symbols.count++] = t->byte_ids[(unsigned char)p[i]];
    return SQN_OK;
}

static sqn_status count_piece(sqn_bpe_trainer *t, const char *p, size_t n, sqn_err *e) {
    if (!sqn_unicode_is_nfc(p, n)) {
        t->normal.count = 0;
        SQN_TRY(sqn_unicode_nfc(p, n, &t->normal, NULL, e));
        p = t->normal.data;
        n = t->normal.count;
    }
    for (size_t i = 0; i < n;) {
        size_t length = sqn_split_next(&qwen2_words, p + i, n - i);
        SQN_TRY(count_word(t, p + i, length, e));
        i += length;
    }
    return SQN_OK;
}

sqn_status sqn_bpe_trainer_add(sqn_bpe_trainer *t, sqn_text text, sqn_err *e) {
    size_t bad, valid = sqn_utf8_valid(text.data, text.count, &bad);
    if (bad > 0) return SQN_FAIL(e, SQN_FORMAT, "invalid UTF-8 at byte %zu of the text", valid + 1);
    if (t->done) return SQN_FAIL(e, SQN_MISUSE, "the trainer has run already");
    SQN_TRY(sqn_interrupt_check(e));
    for (size_t i = 0, start, stop; i < text.count; i = stop) {
        if (sqn_added_find(&t->specials, text.data, text.count, i, &start, &stop) == NULL)
            start = stop = text.count;
        SQN_TRY(count_piece(t, text.data + i, start - i, e));
    }
    return SQN_OK;
}

/* The id of a symbol made of a and b: a new one, or that of a token with the same bytes. */
static sqn_status joined_symbol(sqn_bpe_trainer *t, uint32_t a, uint32_t b, uint32_t *out,
                                sqn_err *e) {
    size_t n, m;
    const char *left = sqn_vocab_token(&t->vocab, a, &n),
               *right = sqn_vocab_token(&t->vocab, b, &m);
    t->normal.count = 0;
    SQN_TRY(sqn_bytes_add(&t->normal, left, n, e));
    SQN_TRY(sqn_bytes_add(&t->normal, right, m, e));
    int32_t known = sqn_vocab_find(&t->vocab, t->normal.data, t->normal.count);
    *out = known >= 0 ? (uint32_t)known : (uint32_t)t->vocab.used;
    if (known >= 0) return SQN_OK;
    return sqn_vocab_add(&t->vocab, t->normal.data, t->normal.count, *out, e);
}

/* Replaces the pair (a, b) by `joined` in one word and counts what changes around it. */
static sqn_status merge_in_word(sqn_bpe_trainer *t, uint32_t word, uint32_t a, uint32_t b,
                                uint32_t joined, sqn_err *e) {
    train_word *w = &t->words[word];
    uint32_t *s = t->symbols.data + w->start;
    int64_t n = (int64_t)w->count;
    for (uint32_t i = 0; i + 1 < w->length; i++) {
        if (s[i] != a || s[i + 1] != b) continue;
        if (i > 0) {
            SQN_TRY(sqn_train_count(t, s[i - 1], a, -n, word, e));
            SQN_TRY(sqn_train_count(t, s[i - 1], joined, n, word, e));
        }
        if (i + 2 < w->length) {
            SQN_TRY(sqn_train_count(t, b, s[i + 2], -n, word, e));
            SQN_TRY(sqn_train_count(t, joined, s[i + 2], n, word, e));
        }
        s[i] = joined;
        w->length--;
        memmove(s + i + 1, s + i + 2, (w->length - i - 1) * sizeof *s);
    }
    return SQN_OK;
}

static sqn_status merge_pair(sqn_bpe_trainer *t, uint32_t pair, sqn_err *e) {
    uint32_t a = t->pairs[pair].left, b = t->pairs[pair].right, joined;
    SQN_TRY(joined_symbol(t, a, b, &joined, e));
    SQN_TRY(sqn_words_add(&t->merges, a, e));
    SQN_TRY(sqn_words_add(&t->merges, b, e));
    sqn_words words = t->pairs[pair].words; /* taken over: counting may move the pairs */
    t->pairs[pair].words = (sqn_words){0};
    sqn_status status = SQN_OK;
    for (size_t i = 0; i < words.count && status == SQN_OK; i++)
        status = merge_in_word(t, words.data[i], a, b, joined, e);
    sqn_words_release(&words);
    t->pairs[pair].count = 0;
    return status == SQN_OK ? sqn_train_queue_raised(t, e) : status;
}

static sqn_status count_pairs(sqn_bpe_trainer *t, sqn_err *e) {
    for (uint32_t i = 0; i < t->word_count; i++) {
        const train_word *w = &t->words[i];
        for (uint32_t j = 0; j + 1 < w->length; j++)
            SQN_TRY(sqn_train_count(t, t->symbols.data[w->start + j],
                                    t->symbols.data[w->start + j + 1], (int64_t)w->count, i, e));
    }
    return sqn_train_queue_raised(t, e);
}

/* How many tokens there will be with the special ones that are not learned anyway. */
static size_t total(const sqn_bpe_trainer *t) {
    size_t n, more = 0;
    for (uint32_t i = 0; i < t->special_names.used; i++) {
        const char *p = sqn_vocab_token(&t->special_names, i, &n);
        more += sqn_vocab_find(&t->vocab, p, n) < 0;
    }
    return t->vocab.used + more;
}

sqn_status sqn_bpe_trainer_run(sqn_bpe_trainer *t, uint64_t min_count, sqn_err *e) {
    if (t->done) return SQN_FAIL(e, SQN_MISUSE, "the trainer has run already");
    t->done = true;
    if (min_count < 1) min_count = 1;
    SQN_TRY(count_pairs(t, e));
    while (t->heap_count > 0 && total(t) < t->vocab_size) {
        train_entry top = sqn_train_pop(t);
        int64_t count = t->pairs[top.pair].count;
        if (count != top.count) { /* it went down since; where it went up there is another entry */
            if (count > 0 && count < top.count) SQN_TRY(sqn_train_queue(t, top.pair, e));
            continue;
        }
        if (count <= 0 || (uint64_t)count < min_count) break;
        SQN_TRY(merge_pair(t, top.pair, e));
        if (t->merges.count % 64 == 0) SQN_TRY(sqn_interrupt_check(e));
    }
    return SQN_OK;
}
