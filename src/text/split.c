/* Hand-written matchers of the pre-tokenisers: see split.h.
 *
 * L, N and \s are the classes of text/unicode.h; (?i:…) adds U+017F for s and nothing else beyond
 * ASCII.
 */
#include "text/split.h"

#include <string.h>

#include "text/unicode.h"

enum { L = SQN_CHAR_LETTER, N = SQN_CHAR_NUMBER, S = SQN_CHAR_SPACE };

static inline unsigned class_at(const char *p, size_t *length) {
    unsigned char c = (unsigned char)*p;
    if (c < 0x80) {
        *length = 1;
        return sqn_unicode_class_table[c];
    }
    return sqn_unicode_class(sqn_utf8_get(p, length));
}

/* Where the run from i of characters that have one of `bits` ends; of none of them, if `none`. */
static inline size_t run(const char *p, size_t i, size_t n, unsigned bits, bool none) {
    for (size_t length; i < n; i += length)
        if (((class_at(p + i, &length) & bits) != 0) == none) break;
    return i;
}

static inline size_t run_of(const char *p, size_t i, size_t n, unsigned bits) {
    return run(p, i, n, bits, false);
}

static size_t numbers(const char *p, size_t n, size_t most) {
    size_t i = 0, length;
    for (size_t k = 0; i < n && (most == 0 || k < most); i += length, k++)
        if ((class_at(p + i, &length) & N) == 0) break;
    return i;
}

/* 's 't 're 've 'm 'll 'd at an apostrophe; 0: none of them. */
static size_t contraction(const char *p, size_t n, bool any_case) {
    if (n < 2) return 0;
    char a = p[1], b = n > 2 ? p[2] : 0;
    if (any_case) {
        if (a == '\xC5' && b == '\xBF') return 3; /* U+017F, the long s */
        if (a >= 'A' && a <= 'Z') a = (char)(a | 0x20);
        if (b >= 'A' && b <= 'Z') b = (char)(b | 0x20);
    }
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

/* \s+(?!\S)|\s+ : all but the last blank before something that is none. */
static size_t blanks(const char *p, size_t n) {
    size_t last = 0, i = 0, length;
    while (i < n && (class_at(p + i, &length) & S)) {
        last = i;
        i += length;
    }
    return i < n && last > 0 ? last : i;
}

/* (?i:'s|…)|[^\r\n L N]?L+|N{1,digits}| ?[^\s L N]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
static size_t qwen2(const char *p, size_t n, size_t digits) {
    size_t length, next;
    unsigned class = class_at(p, &length);
    if (class & L) return run_of(p, length, n, L);
    if (*p == '\'') {
        size_t short_form = contraction(p, n, true);
        if (short_form > 0) return short_form;
    }
    if (class & N) return numbers(p, n, digits);
    bool line_end = *p == '\r' || *p == '\n';
    if (!line_end && length < n && (class_at(p + length, &next) & L))
        return run_of(p, length + next, n, L);
    size_t from = *p == ' ' ? 1 : 0;
    size_t to = run(p, from, n, S | L | N, true);
    if (to > from) {
        while (to < n && (p[to] == '\r' || p[to] == '\n')) to++;
        return to;
    }
    size_t end = run_of(p, 0, n, S);
    for (size_t i = end; i > 0; i--)
        if (p[i - 1] == '\r' || p[i - 1] == '\n') return i;
    return blanks(p, n);
}

/* 's|…| ?L+| ?N+| ?[^\s L N]+|\s+(?!\S)|\s+ */
static size_t gpt2(const char *p, size_t n) {
    size_t length;
    if (*p == '\'') {
        size_t short_form = contraction(p, n, false);
        if (short_form > 0) return short_form;
    }
    size_t from = *p == ' ' && n > 1 ? 1 : 0;
    unsigned class = class_at(p + from, &length);
    if (class & L) return run_of(p, from, n, L);
    if (class & N) return run_of(p, from, n, N);
    if ((class & S) == 0) return run(p, from, n, S | L | N, true);
    return blanks(p, n);
}

static size_t before_mark(const sqn_split *s, const char *p, size_t n) {
    size_t i = 0, mark = s->mark_bytes;
    if (s->kind == SQN_SPLIT_RUNS) /* the run at the front belongs to the word after it */
        while (n - i >= mark && memcmp(p + i, s->mark, mark) == 0) i += mark;
    if (i == 0) i = 1;
    const char *next = i < n ? memmem(p + i, n - i, s->mark, mark) : NULL;
    return next != NULL ? (size_t)(next - p) : n;
}

size_t sqn_split_next(const sqn_split *s, const char *text, size_t n) {
    switch (s->kind) {
    case SQN_SPLIT_QWEN2:
        return qwen2(text, n, s->digits);
    case SQN_SPLIT_GPT2:
        return gpt2(text, n);
    case SQN_SPLIT_DIGITS: {
        size_t end = numbers(text, n, s->digits);
        return end > 0 ? end : run(text, 0, n, N, true);
    }
    case SQN_SPLIT_BEFORE:
    case SQN_SPLIT_RUNS:
        return before_mark(s, text, n);
    }
    return n;
}

const char sqn_split_qwen2_regex[] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
                                     "\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+"
                                     "|\\s+(?!\\S)|\\s+";

bool sqn_split_known(const char *regex, sqn_split *out) {
    static const struct {
        const char *regex;
        sqn_split step;
    } known[] = {
        {sqn_split_qwen2_regex, {.kind = SQN_SPLIT_QWEN2, .digits = 1}},
        {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?"
         "[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
         {.kind = SQN_SPLIT_QWEN2, .digits = 3}}, /* Llama 3 */
        {"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
         {.kind = SQN_SPLIT_GPT2}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(regex, known[i].regex) == 0) {
            *out = known[i].step;
            return true;
        }
    return false;
}
