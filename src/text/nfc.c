/* NFC with Unicode 9.0 data, and which input character each output character is charged to.
 *
 * Rules: only the stretch from the starter before a character with SQN_CHAR_NFC to the next one
 * without is normalised; the rest is copied. A part carries (change): 0 for the first part of a
 * character taken apart and 1 for each further one; ordering moves it with its part, joining adds
 * the two and takes 1. Charging then runs over the changes alone (see charge), so a joined
 * character belongs to its first input character and reordered marks are charged by position.
 */
#include "text/nfc.h"

#include <utf8proc.h>

#include "text/unicode.h"

typedef struct composition {
    uint32_t first, second, result; /* result 0: empty slot */
} composition;

enum { SLOTS = 4096, MAX_PARTS = 8 };
static composition compositions[SLOTS];
/* The one composition that is younger than Unicode 9; its result does not come apart either. */
static const uint32_t young_first = 0x11935, young_second = 0x11930, young_result = 0x11938;

typedef struct parts {   /* of one stretch */
    sqn_words character; /* code point | combining class << 24 */
    sqn_words change;    /* int32_t */
    sqn_words spare;     /* of order_marks */
} parts;

static size_t slot_of(uint32_t first, uint32_t second) {
    return (first * 2654435761u ^ second * 2246822519u) >> 7 & (SLOTS - 1);
}

static uint32_t compose(uint32_t a, uint32_t b) { /* 0: the two do not join */
    enum { L = 0x1100, V = 0x1161, T = 0x11A7, S = 0xAC00, LN = 19, VN = 21, TN = 28 };
    if (a - L < LN && b - V < VN) return S + ((a - L) * VN + (b - V)) * TN;
    if (a - S < LN * VN * TN && (a - S) % TN == 0 && b - T - 1 < TN - 1) return a + (b - T);
    for (size_t i = slot_of(a, b);; i = (i + 1) & (SLOTS - 1)) {
        const composition *x = &compositions[i];
        if (x->result == 0) return 0;
        if (x->first == a && x->second == b) return x->result;
    }
}

static uint32_t combining_class(uint32_t c) {
    uint32_t class = (uint32_t)utf8proc_get_property((utf8proc_int32_t)c)->combining_class;
    if (class == 0) return 0;
    for (size_t i = 0; i < sqn_unicode_unordered_marks_count; i++)
        if (c >= sqn_unicode_unordered_marks[i].first && c <= sqn_unicode_unordered_marks[i].last)
            return 0;
    return class;
}

/* The full canonical decomposition; 1 and c itself where there is none. */
static size_t take_apart(uint32_t c, utf8proc_int32_t out[MAX_PARTS]) {
    int boundary = 0;
    out[0] = (utf8proc_int32_t)c;
    if (c == young_result) return 1;
    utf8proc_ssize_t n =
        utf8proc_decompose_char((utf8proc_int32_t)c, out, MAX_PARTS, UTF8PROC_DECOMPOSE, &boundary);
    return n < 1 || n > MAX_PARTS ? 1 : (size_t)n;
}

/* Records that the parts of c, all but the last of them joined, and the last one join to c. */
static void add_composition(uint32_t c, const utf8proc_int32_t *out, size_t n) {
    utf8proc_int32_t copy[MAX_PARTS];
    memcpy(copy, out, n * sizeof *out);
    utf8proc_option_t options = UTF8PROC_COMPOSE | UTF8PROC_STABLE;
    if (utf8proc_normalize_utf32(copy, (utf8proc_ssize_t)n, options) != 1) return;
    if ((uint32_t)copy[0] != c) return; /* excluded from composition */
    memcpy(copy, out, n * sizeof *out);
    if (utf8proc_normalize_utf32(copy, (utf8proc_ssize_t)(n - 1), options) != 1) return;
    uint32_t first = (uint32_t)copy[0], second = (uint32_t)out[n - 1];
    if (first == young_first && second == young_second) return;
    size_t i = slot_of(first, second);
    while (compositions[i].result != 0) i = (i + 1) & (SLOTS - 1);
    compositions[i] = (composition){first, second, c};
}

void sqn_nfc_fill(uint8_t *classes, uint32_t count) {
    for (uint32_t c = 0xC0; c < count; c++) {
        if (c >= 0xAC00 && c < 0xAC00 + 11172) continue; /* Hangul: by arithmetic */
        utf8proc_int32_t out[MAX_PARTS];
        size_t n = take_apart(c, out);
        if (n > 1) {
            add_composition(c, out, n);
            if ((uint32_t)out[n - 1] < count) classes[out[n - 1]] |= SQN_CHAR_NFC;
        }
    }
    for (uint32_t c = 0xC0; c < count; c++) {
        if (c >= 0xAC00 && c < 0xAC00 + 11172) continue;
        utf8proc_int32_t out[MAX_PARTS];
        size_t n = take_apart(c, out);
        uint32_t joined = (uint32_t)out[0];
        for (size_t i = 1; i < n && joined != 0; i++) joined = compose(joined, (uint32_t)out[i]);
        if (joined != c || combining_class(c) != 0) classes[c] |= SQN_CHAR_NFC;
    }
    for (uint32_t c = 0x1161; c <= 0x1175; c++) classes[c] |= SQN_CHAR_NFC;
    for (uint32_t c = 0x11A8; c <= 0x11C2; c++) classes[c] |= SQN_CHAR_NFC;
}

static sqn_status add_parts(parts *p, uint32_t c, sqn_err *e) {
    utf8proc_int32_t out[MAX_PARTS];
    size_t n = take_apart(c, out);
    for (size_t i = 0; i < n; i++) {
        uint32_t part = (uint32_t)out[i];
        SQN_TRY(sqn_words_add(&p->character, part | combining_class(part) << 24, e));
        SQN_TRY(sqn_words_add(&p->change, i > 0, e));
    }
    return SQN_OK;
}

/* Stable order by combining class of the marks [from, to): counting, so that it is never
 * quadratic. */
static sqn_status order_run(parts *p, size_t from, size_t to, sqn_err *e) {
    size_t at[257] = {0}, n = to - from;
    p->spare.count = 0;
    SQN_TRY(sqn_words_reserve(&p->spare, 2 * n, e));
    uint32_t *c = p->character.data + from, *d = p->change.data + from, *copy = p->spare.data;
    memcpy(copy, c, n * sizeof *c);
    memcpy(copy + n, d, n * sizeof *d);
    for (size_t i = 0; i < n; i++) at[(copy[i] >> 24) + 1]++;
    for (size_t i = 1; i < 257; i++) at[i] += at[i - 1];
    for (size_t i = 0; i < n; i++) {
        size_t j = at[copy[i] >> 24]++;
        c[j] = copy[i];
        d[j] = copy[n + i];
    }
    return SQN_OK;
}

static sqn_status order_marks(parts *p, sqn_err *e) {
    const uint32_t *c = p->character.data;
    size_t n = p->character.count;
    for (size_t i = 0; i < n;) {
        size_t j = i;
        bool ordered = true;
        while (j < n && c[j] >> 24 != 0) {
            if (j > i && c[j] >> 24 < c[j - 1] >> 24) ordered = false;
            j++;
        }
        if (!ordered) SQN_TRY(order_run(p, i, j, e));
        i = j + 1;
    }
    return SQN_OK;
}

static void join_parts(parts *p) {
    uint32_t *c = p->character.data, *d = p->change.data;
    size_t kept = 0, starter = SIZE_MAX;
    for (size_t i = 0; i < p->character.count; i++) {
        uint32_t class = c[i] >> 24;
        if (starter != SIZE_MAX && (kept - 1 == starter || c[kept - 1] >> 24 < class)) {
            uint32_t joined = compose(c[starter] & 0xFFFFFF, c[i] & 0xFFFFFF);
            if (joined != 0) {
                c[starter] = joined;
                d[starter] = d[starter] + d[i] - 1;
                continue;
            }
        }
        if (class == 0) starter = kept;
        c[kept] = c[i];
        d[kept++] = d[i];
    }
    p->character.count = p->change.count = kept;
}

static sqn_status charge(const parts *p, uint32_t at, sqn_words *charges, sqn_err *e) {
    for (size_t i = 0; i < p->change.count; i++) {
        int32_t change = (int32_t)p->change.data[i];
        SQN_TRY(sqn_words_add(charges, change <= 0 || at == 0 ? at : at - 1, e));
        if (change <= 0) at += (uint32_t)(1 - change);
    }
    return SQN_OK;
}

static sqn_status normalise(const char *text, size_t n, uint32_t at, parts *p, sqn_bytes *out,
                            sqn_words *charges, sqn_err *e) {
    p->character.count = p->change.count = 0;
    for (size_t i = 0, length; i < n; i += length)
        SQN_TRY(add_parts(p, sqn_utf8_get(text + i, &length), e));
    SQN_TRY(order_marks(p, e));
    join_parts(p);
    for (size_t i = 0; i < p->character.count; i++) {
        SQN_TRY(sqn_bytes_reserve(out, 4, e));
        out->count += sqn_utf8_put(out->data + out->count, p->character.data[i] & 0xFFFFFF);
    }
    return charges != NULL ? charge(p, at, charges, e) : SQN_OK;
}

static sqn_status copy(const char *text, size_t n, uint32_t at, sqn_bytes *out, sqn_words *charges,
                       sqn_err *e) {
    if (charges != NULL) {
        for (size_t i = 0; i < n; i++)
            if (sqn_utf8_is_start(text[i])) SQN_TRY(sqn_words_add(charges, at++, e));
    }
    return sqn_bytes_add(out, text, n, e);
}

bool sqn_unicode_is_nfc(const char *text, size_t n) {
    for (size_t i = 0, length; i < n; i += length) {
        if ((unsigned char)text[i] < 0x80) {
            length = 1;
            continue;
        }
        if (sqn_unicode_class(sqn_utf8_get(text + i, &length)) & SQN_CHAR_NFC) return false;
    }
    return true;
}

sqn_status sqn_unicode_nfc(const char *text, size_t n, sqn_bytes *out, sqn_words *charges,
                           sqn_err *e) {
    parts p = {0};
    sqn_status status = SQN_OK;
    uint32_t seen = 0, at = 0; /* code points before i; before `done` */
    size_t done = 0;           /* bytes dealt with */
    size_t last = 0;           /* the character before i, and its number */
    uint32_t last_at = 0;
    for (size_t i = 0; i < n;) {
        size_t length;
        uint32_t c = sqn_utf8_get(text + i, &length);
        if ((sqn_unicode_class(c) & SQN_CHAR_NFC) == 0) {
            last = i;
            last_at = seen++;
            i += length;
            continue;
        }
        SQN_GOTO(copy(text + done, last - done, at, out, charges, e));
        done = last;
        at = last_at;
        do { /* i: past the stretch */
            i += length;
            seen++;
        } while (i < n && (sqn_unicode_class(sqn_utf8_get(text + i, &length)) & SQN_CHAR_NFC));
        SQN_GOTO(normalise(text + done, i - done, at, &p, out, charges, e));
        done = last = i;
        at = last_at = seen;
    }
    SQN_GOTO(copy(text + done, n - done, at, out, charges, e));
fail:
    sqn_words_release(&p.character);
    sqn_words_release(&p.change);
    sqn_words_release(&p.spare);
    return status;
}
