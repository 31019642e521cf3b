/* Normalisers of a tokenizer.json, run over one piece of text. */
#include "text/tokenizer_parts.h"
#include "text/unicode.h"

typedef struct piece { /* what a step reads and writes */
    sqn_text text;
    const uint32_t *charges; /* NULL: each code point is charged to itself */
} piece;

/* The charge of code point i of p. */
static uint32_t charged(const piece *p, uint32_t i) { return p->charges ? p->charges[i] : i; }

static sqn_status prepend(const sqn_normal *step, const piece *in, sqn_bytes *out,
                          sqn_words *charges, sqn_err *e) {
    size_t n = strlen(step->text);
    SQN_TRY(sqn_bytes_add(out, step->text, n, e));
    SQN_TRY(sqn_bytes_add(out, in->text.data, in->text.count, e));
    if (charges == NULL) return SQN_OK;
    size_t added = sqn_utf8_count(step->text, n);
    size_t own = sqn_utf8_count(in->text.data, in->text.count);
    SQN_TRY(sqn_words_reserve(charges, added + own, e));
    for (size_t i = 0; i < added; i++) charges->data[charges->count++] = charged(in, 0);
    for (size_t i = 0; i < own; i++) charges->data[charges->count++] = charged(in, (uint32_t)i);
    return SQN_OK;
}

/* One character for another, so the charges stay. */
static sqn_status replace(const sqn_normal *step, const piece *in, sqn_bytes *out, sqn_err *e) {
    size_t from = strlen(step->pattern), to = strlen(step->text);
    const char *p = in->text.data, *end = p + in->text.count;
    while (p < end) {
        const char *next = from == 1 ? memchr(p, step->pattern[0], (size_t)(end - p))
                                     : memmem(p, (size_t)(end - p), step->pattern, from);
        SQN_TRY(sqn_bytes_add(out, p, (size_t)((next ? next : end) - p), e));
        if (next == NULL) break;
        SQN_TRY(sqn_bytes_add(out, step->text, to, e));
        p = next + from;
    }
    return SQN_OK;
}

static bool applies(const sqn_normal *step, sqn_text text, size_t at) {
    size_t n = strlen(step->text);
    bool begins = text.count >= n && memcmp(text.data, step->text, n) == 0;
    switch (step->kind) {
    case SQN_NORMAL_NFC:
        return !sqn_unicode_is_nfc(text.data, text.count);
    case SQN_NORMAL_PREPEND:
        return text.count > 0;
    case SQN_NORMAL_PREPEND_FIRST:
        return text.count > 0 && at == 0 && !begins;
    case SQN_NORMAL_PREPEND_UNLESS:
        return text.count > 0 && !begins;
    case SQN_NORMAL_REPLACE:
        return true;
    }
    return false;
}

static sqn_status run_step(const sqn_normal *step, const piece *in, sqn_bytes *out,
                           sqn_words *charges, sqn_err *e) {
    if (step->kind != SQN_NORMAL_NFC) return prepend(step, in, out, charges, e);
    SQN_TRY(sqn_unicode_nfc(in->text.data, in->text.count, out, charges, e));
    if (charges != NULL && in->charges != NULL)
        for (size_t i = 0; i < charges->count; i++)
            charges->data[i] = charged(in, charges->data[i]);
    return SQN_OK;
}

sqn_status sqn_tokenizer_normalise(const sqn_tokenizer *t, sqn_scratch *x, sqn_text text, size_t at,
                                   bool offsets, sqn_text *out, const uint32_t **charges,
                                   sqn_err *e) {
    piece p = {text, NULL};
    int text_side = 0, charge_side = 0;
    for (size_t i = 0; i < t->normal_count; i++) {
        const sqn_normal *step = &t->normal[i];
        if (!applies(step, p.text, at)) continue;
        sqn_bytes *b = &x->text[text_side ^= 1];
        b->count = 0;
        if (step->kind == SQN_NORMAL_REPLACE) {
            SQN_TRY(replace(step, &p, b, e));
        } else {
            sqn_words *w = offsets ? &x->charges[charge_side ^= 1] : NULL;
            if (w != NULL) w->count = 0;
            SQN_TRY(run_step(step, &p, b, w, e));
            p.charges = w ? w->data : NULL;
        }
        p.text = (sqn_text){b->data, b->count};
    }
    *out = p.text;
    *charges = p.charges;
    return SQN_OK;
}
