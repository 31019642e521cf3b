/* Ids to text, at once and as a stream.
 *
 * Rules: decoding at once is a stream that is finished at the end, so the two cannot differ. Bytes
 * that may still become a character are held back in `pending` (byte level) or `run` (fallback).
 */
#include "text/tokenizer_parts.h"
#include "text/unicode.h"

struct sqn_token_stream {
    const sqn_tokenizer *t; /* retained where `owned` */
    sqn_tokenizer *owned;
    bool skip;
    bool started;      /* a token was seen: JOIN and Metaspace treat the first one differently */
    size_t strip;      /* blanks that are still to be dropped at the very beginning */
    sqn_bytes pending; /* decoded (BYTES: still bytes) but not shown */
    sqn_bytes run;     /* FALLBACK: the bytes of a run of byte tokens that has not ended */
    size_t run_good;   /* so many bytes of the run are valid characters */
    size_t run_shown;  /* so many of them are shown */
    bool run_bad;      /* the run can no more become valid */
};

static const char replacement[] = "\xEF\xBF\xBD";

/* Whether the text that n bytes decode to ends in U+FFFD. */
static bool ends_open(const char *p, size_t n) {
    if (n == 0) return false;
    size_t k = 1;
    while (k < 4 && k < n && !sqn_utf8_is_start(p[n - k])) k++;
    size_t bad;
    if (sqn_utf8_valid(p + n - k, k, &bad) != k) return true;
    return k == 3 && memcmp(p + n - 3, replacement, 3) == 0;
}

static sqn_status add_alphabet(sqn_bytes *out, const char *p, size_t n, sqn_err *e) {
    size_t length, before = out->count;
    for (size_t i = 0; i < n; i += length) {
        int byte = sqn_alphabet_byte(sqn_utf8_get(p + i, &length));
        if (byte < 0) { /* an added token with other characters: as it stands */
            out->count = before;
            return sqn_bytes_add(out, p, n, e);
        }
        char c = (char)byte;
        SQN_TRY(sqn_bytes_add(out, &c, 1, e));
    }
    return SQN_OK;
}

/* Adds text to pending without the blanks to be stripped from the beginning. */
static sqn_status add_text(sqn_token_stream *s, const char *p, size_t n) {
    while (s->strip > 0 && n > 0 && *p == ' ') p++, n--, s->strip--;
    if (n > 0) s->strip = 0;
    return sqn_bytes_add(&s->pending, p, n, NULL);
}

/* The run of byte tokens is over: text if all of it is valid, else one U+FFFD a byte. What was
 * shown already (a valid beginning) stays. */
static sqn_status end_run(sqn_token_stream *s) {
    bool valid = !s->run_bad && s->run_good == s->run.count;
    if (valid && s->run.count > 0) {
        SQN_TRY(add_text(s, s->run.data + s->run_shown, s->run.count - s->run_shown));
    } else {
        for (size_t i = s->run_shown; i < s->run.count; i++)
            SQN_TRY(add_text(s, replacement, sizeof replacement - 1));
    }
    s->run.count = s->run_good = s->run_shown = 0;
    s->run_bad = false;
    return SQN_OK;
}

static sqn_status add_marked(sqn_token_stream *s, const char *p, size_t n) {
    const char *mark = s->t->decode.mark;
    size_t m = strlen(mark);
    bool drop = s->t->decode.first_blank && !s->started;
    while (n > 0) {
        const char *next = m > 0 ? memmem(p, n, mark, m) : NULL;
        size_t plain = next ? (size_t)(next - p) : n;
        SQN_TRY(add_text(s, p, plain));
        if (next == NULL) break;
        if (!drop) SQN_TRY(add_text(s, " ", 1));
        p += plain + m;
        n -= plain + m;
    }
    return SQN_OK;
}

static sqn_status add_fallback(sqn_token_stream *s, const char *token, size_t n) {
    int byte = s->t->decode.bytes ? sqn_fallback_byte(token, n) : -1;
    if (byte < 0) {
        SQN_TRY(end_run(s));
        return add_marked(s, token, n);
    }
    char c = (char)byte;
    SQN_TRY(sqn_bytes_add(&s->run, &c, 1, NULL));
    if (s->run_bad) return SQN_OK;
    size_t rest = s->run.count - s->run_good, bad;
    s->run_good += sqn_utf8_valid(s->run.data + s->run_good, rest, &bad);
    rest = s->run.count - s->run_good;
    s->run_bad = bad < rest; /* something follows the invalid part */
    return SQN_OK;
}

static sqn_status add_token(sqn_token_stream *s, uint32_t id) {
    const sqn_tokenizer *t = s->t;
    size_t n;
    const char *token = sqn_vocab_token(&t->vocab, id, &n);
    if (token == NULL || (s->skip && t->flags[id] & SQN_TOKEN_SPECIAL)) return SQN_OK;
    sqn_status status;
    switch (t->decode.kind) {
    case SQN_DECODE_BYTES:
        status = add_alphabet(&s->pending, token, n, NULL);
        break;
    case SQN_DECODE_FALLBACK:
        status = add_fallback(s, token, n);
        break;
    default:
        status = s->started ? sqn_bytes_add(&s->pending, " ", 1, NULL) : SQN_OK;
        if (status == SQN_OK) status = sqn_bytes_add(&s->pending, token, n, NULL);
    }
    s->started = true;
    return status;
}

/* Moves what may be shown from pending and run to out. */
static sqn_status show(sqn_token_stream *s, sqn_bytes *out, sqn_err *e) {
    if (s->run.count > 0) { /* its text is the run so far, or one U+FFFD for each byte */
        if (s->run_bad || s->run_good < s->run.count || ends_open(s->run.data, s->run.count))
            return SQN_OK;
        SQN_TRY(sqn_bytes_add(out, s->pending.data, s->pending.count, e));
        s->pending.count = 0;
        SQN_TRY(add_text(s, s->run.data + s->run_shown, s->run.count - s->run_shown));
        s->run_shown = s->run.count;
    } else if (ends_open(s->pending.data, s->pending.count)) {
        return SQN_OK;
    }
    SQN_TRY(sqn_utf8_lossy(s->pending.data, s->pending.count, out, e));
    s->pending.count = 0;
    return SQN_OK;
}

static void reset(sqn_token_stream *s) {
    s->started = s->run_bad = false;
    s->strip = s->t->decode.strip;
    s->pending.count = s->run.count = s->run_good = s->run_shown = 0;
}

static sqn_status finish(sqn_token_stream *s, sqn_bytes *out, sqn_err *e) {
    SQN_TRY(end_run(s));
    SQN_TRY(sqn_utf8_lossy(s->pending.data, s->pending.count, out, e));
    reset(s);
    return SQN_OK;
}

/* The helpers above report no error text: the only thing that fails in them is memory. */
static sqn_status explain(sqn_status status, sqn_err *e) {
    return status == SQN_NOMEM ? SQN_FAIL(e, SQN_NOMEM, "out of memory while decoding") : status;
}

sqn_status sqn_token_stream_new(sqn_tokenizer *t, bool skip_special_tokens, sqn_token_stream **out,
                                sqn_err *e) {
    sqn_token_stream *s = sqn_calloc(1, sizeof *s, e);
    if (s == NULL) return SQN_NOMEM;
    s->t = s->owned = sqn_tokenizer_retain(t);
    s->skip = skip_special_tokens;
    reset(s);
    *out = s;
    return SQN_OK;
}

void sqn_token_stream_close(sqn_token_stream *s) {
    if (s == NULL) return;
    sqn_bytes_release(&s->pending);
    sqn_bytes_release(&s->run);
    sqn_tokenizer_close(s->owned);
    sqn_free(s);
}

sqn_status sqn_token_stream_push(sqn_token_stream *s, uint32_t id, sqn_bytes *out, sqn_err *e) {
    sqn_status status = add_token(s, id);
    return explain(status == SQN_OK ? show(s, out, e) : status, e);
}

sqn_status sqn_token_stream_finish(sqn_token_stream *s, sqn_bytes *out, sqn_err *e) {
    return explain(finish(s, out, e), e);
}

sqn_status sqn_tokenizer_decode(const sqn_tokenizer *t, const uint32_t *ids, size_t count,
                                bool skip_special_tokens, sqn_bytes *out, sqn_err *e) {
    sqn_token_stream s = {.t = t, .skip = skip_special_tokens};
    reset(&s);
    sqn_status status = SQN_OK;
    for (size_t i = 0; i < count && status == SQN_OK; i++) status = add_token(&s, ids[i]);
    if (status == SQN_OK) status = finish(&s, out, e);
    sqn_bytes_release(&s.pending);
    sqn_bytes_release(&s.run);
    return explain(status, e);
}
