/* Equality of cells and of sets of rows: see compare.h. Bags under permutations: match.c. */
#include "db/compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"

/* ---- numbers ---- */

/* A decimal number: 0.d1d2d3… times 10^exponent, without leading and trailing zeros. */
typedef struct decimal {
    bool negative, number;
    long exponent;
    size_t count;
    char digits[1100]; /* a double has at most 767 significant digits */
} decimal;

/* "-12.50", "1E+3": what a server or printf writes. More digits than fit: not a number we know. */
static void parse_decimal(decimal *d, const char *s, size_t n) {
    const char *end = s + n;
    bool point = false;
    *d = (decimal){.number = true};
    if (s < end && (*s == '-' || *s == '+')) d->negative = *s++ == '-';
    if (end - s >= 3 && strncasecmp(s, "inf", 3) == 0) {
        d->digits[d->count++] = 'i'; /* equal to infinity only */
        return;
    }
    if (s == end) d->number = false;
    for (; s < end && *s != 'e' && *s != 'E'; s++) {
        if (*s == '.' && !point) {
            point = true;
        } else if (*s < '0' || *s > '9' || d->count == sizeof d->digits) {
            d->number = false;
            return;
        } else if (d->count > 0 || *s != '0') {
            d->digits[d->count++] = *s;
            if (!point) d->exponent++;
        } else if (point) {
            d->exponent--;
        }
    }
    if (s < end) {
        char exponent[16] = {0};
        memcpy(exponent, s + 1, end - s - 1 < 15 ? (size_t)(end - s - 1) : 15);
        d->exponent += strtol(exponent, NULL, 10);
    }
    while (d->count > 0 && d->digits[d->count - 1] == '0') d->count--;
    if (d->count == 0) d->negative = false, d->exponent = 0;
}

static bool is_number(const sqn_cell *c) {
    return c->kind == SQN_CELL_INT || c->kind == SQN_CELL_DOUBLE || c->kind == SQN_CELL_BOOL ||
           c->kind == SQN_CELL_DECIMAL;
}

static void exact_decimal(decimal *d, const sqn_cell *c) {
    char text[1200];
    int n;
    if (c->kind == SQN_CELL_DECIMAL) {
        parse_decimal(d, c->as.bytes, c->length);
        return;
    }
    if (c->kind == SQN_CELL_DOUBLE)
        n = snprintf(text, sizeof text, "%.1074e", c->as.real); /* exact; inf, nan: no number */
    else
        n = snprintf(text, sizeof text, "%lld", (long long)c->as.integer);
    parse_decimal(d, text, (size_t)n);
}

static bool is_nan(const sqn_cell *c) {
    if (c->kind == SQN_CELL_DOUBLE) return isnan(c->as.real);
    if (c->kind != SQN_CELL_DECIMAL || c->length < 3) return false;
    return strncasecmp(c->as.bytes, "nan", 3) == 0 || strncasecmp(c->as.bytes, "snan", 4) == 0;
}

/* The integer that a double is, exactly. */
static bool whole(double v, int64_t *out) {
    if (!(v >= -0x1p63 && v < 0x1p63) || v != floor(v)) return false;
    *out = (int64_t)v;
    return true;
}

static bool decimals_equal(const sqn_cell *a, const sqn_cell *b) {
    decimal x, y;
    exact_decimal(&x, a);
    exact_decimal(&y, b);
    if (!x.number || !y.number)
        return a->kind == b->kind && !is_nan(a) && a->length == b->length &&
               memcmp(a->as.bytes, b->as.bytes, a->length) == 0;
    return x.negative == y.negative && x.exponent == y.exponent && x.count == y.count &&
           memcmp(x.digits, y.digits, x.count) == 0;
}

static bool numbers_equal(const sqn_cell *a, const sqn_cell *b) {
    int64_t i;
    if (a->kind == SQN_CELL_DECIMAL || b->kind == SQN_CELL_DECIMAL) return decimals_equal(a, b);
    if (a->kind != SQN_CELL_DOUBLE && b->kind != SQN_CELL_DOUBLE)
        return a->as.integer == b->as.integer;
    if (a->kind == SQN_CELL_DOUBLE && b->kind == SQN_CELL_DOUBLE) return a->as.real == b->as.real;
    if (a->kind == SQN_CELL_DOUBLE) return whole(a->as.real, &i) && i == b->as.integer;
    return whole(b->as.real, &i) && i == a->as.integer;
}

/* ---- instants ---- */

/* "2020-01-31 10:05:06.007+02:00" in microseconds since 0000-03-01 UTC; zoned: has a zone. */
static bool parse_instant(const sqn_cell *c, int64_t *micros, bool *zoned) {
    char text[48], sign = 0, separator;
    int y, mo, d, h, mi, s, used = 0, zh = 0, zm = 0, zs = 0;
    if (c->length >= sizeof text) return false;
    memcpy(text, c->as.bytes, c->length);
    text[c->length] = '\0';
    if (sscanf(text, "%d-%2d-%2d%c%2d:%2d:%2d%n", &y, &mo, &d, &separator, &h, &mi, &s, &used) < 7)
        return false;
    int64_t fraction = 0, unit = 100000;
    const char *at = text + used;
    if (*at == '.')
        for (at++; *at >= '0' && *at <= '9'; at++, unit /= 10) fraction += unit * (*at - '0');
    *zoned = *at != '\0';
    if (*at == 'Z')
        at++;
    else if (*at != '\0' && sscanf(at, "%c%2d:%2d:%2d", &sign, &zh, &zm, &zs) < 2)
        return false;
    int64_t year = mo <= 2 ? y - 1 : y, month = (mo + 9) % 12; /* years that begin in March */
    int64_t days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + d - 1;
    int64_t zone = (sign == '-' ? -1 : 1) * (3600 * zh + 60 * zm + zs);
    *micros = ((days * 24 + h) * 3600 + mi * 60 + s - zone) * 1000000 + fraction;
    return true;
}

static bool same_bytes(const sqn_cell *a, const sqn_cell *b) {
    return a->length == b->length && memcmp(a->as.bytes, b->as.bytes, a->length) == 0;
}

static bool instants_equal(const sqn_cell *a, const sqn_cell *b) {
    int64_t x, y;
    bool zx, zy;
    if (!parse_instant(a, &x, &zx) || !parse_instant(b, &y, &zy)) return same_bytes(a, b);
    return zx == zy && x == y;
}

/* ---- cells ---- */

bool sqn_cell_equal(const sqn_cell *a, const sqn_cell *b) {
    if (is_number(a) && is_number(b)) return numbers_equal(a, b);
    if (a->kind != b->kind) return false;
    if (a->kind == SQN_CELL_NULL) return true;
    if (a->kind == SQN_CELL_DATETIME) return instants_equal(a, b);
    return same_bytes(a, b);
}

static uint64_t hash_bytes(const char *bytes, size_t n, uint64_t seed) {
    uint64_t h = sqn_mix(seed + n), word;
    for (; n >= 8; n -= 8, bytes += 8) {
        memcpy(&word, bytes, 8);
        h = sqn_mix(h ^ word);
    }
    word = 0;
    memcpy(&word, bytes, n);
    return sqn_mix(h ^ word);
}

static uint64_t hash_double(double v) {
    int64_t i;
    uint64_t bits;
    if (whole(v, &i)) return sqn_mix((uint64_t)i);
    memcpy(&bits, &v, sizeof bits);
    return sqn_mix(bits ^ 0x5bd1e995u);
}

/* The integer that a decimal is, exactly. */
static bool whole_decimal(const decimal *d, int64_t *out) {
    if (d->exponent < (long)d->count || d->exponent > 19 || d->digits[0] == 'i') return false;
    uint64_t v = 0;
    for (long i = 0; i < d->exponent; i++) {
        uint64_t digit = i < (long)d->count ? (uint64_t)(d->digits[i] - '0') : 0;
        if (v > (UINT64_MAX - digit) / 10) return false;
        v = 10 * v + digit;
    }
    if (v > (uint64_t)INT64_MAX + d->negative) return false;
    *out = (int64_t)(d->negative ? 0 - v : v);
    return true;
}

/* The double next to a decimal; text is scratch. */
static double decimal_value(const decimal *d, char *text, size_t room) {
    if (d->count > 0 && d->digits[0] == 'i') return d->negative ? -INFINITY : INFINITY;
    snprintf(text, room, "%s0.%.*se%ld", d->negative ? "-" : "", (int)d->count, d->digits,
             d->exponent);
    return strtod(text, NULL);
}

/* As the integer or else the nearest double, so that equal numbers of all kinds meet. */
static uint64_t hash_decimal(const sqn_cell *c) {
    decimal d;
    int64_t i;
    char text[sizeof d.digits + 64];
    parse_decimal(&d, c->as.bytes, c->length);
    if (!d.number) return hash_bytes(c->as.bytes, c->length, SQN_CELL_DECIMAL);
    if (whole_decimal(&d, &i)) return sqn_mix((uint64_t)i);
    return hash_double(decimal_value(&d, text, sizeof text));
}

uint64_t sqn_cell_hash(const sqn_cell *c) {
    int64_t micros;
    bool zoned;
    switch (c->kind) {
    case SQN_CELL_NULL:
        return 0x9e3779b97f4a7c15u;
    case SQN_CELL_INT:
    case SQN_CELL_BOOL:
        return sqn_mix((uint64_t)c->as.integer);
    case SQN_CELL_DOUBLE:
        return hash_double(c->as.real);
    case SQN_CELL_DECIMAL:
        return hash_decimal(c);
    case SQN_CELL_DATETIME:
        if (parse_instant(c, &micros, &zoned)) return sqn_mix((uint64_t)micros + 1);
        return hash_bytes(c->as.bytes, c->length, c->kind);
    default:
        return hash_bytes(c->as.bytes, c->length, c->kind);
    }
}

bool sqn_cell_number(const sqn_cell *c, double *value) {
    decimal d;
    char text[sizeof d.digits + 64];
    if (!is_number(c) || is_nan(c)) return false;
    if (c->kind == SQN_CELL_DOUBLE) {
        *value = c->as.real;
    } else if (c->kind != SQN_CELL_DECIMAL) {
        *value = (double)c->as.integer;
    } else {
        parse_decimal(&d, c->as.bytes, c->length);
        if (!d.number) return false;
        *value = decimal_value(&d, text, sizeof text);
    }
    return true;
}

/* ---- numbering of equal cells ---- */

/* Of two equal cells: Python prints them alike. */
static bool same_text(const sqn_cell *a, const sqn_cell *b) {
    if (a->kind != b->kind) return false;
    if (a->kind == SQN_CELL_DOUBLE) return signbit(a->as.real) == signbit(b->as.real);
    return !sqn_cell_has_bytes(a) || same_bytes(a, b);
}

typedef struct entry {
    const sqn_cell *cell;
    uint64_t hash;
    uint32_t id;
} entry;

typedef struct numbering {
    entry *entries; /* open addressing; size is a power of two */
    size_t size, used;
    uint32_t next;
    bool mixed, unhashable; /* as in sqn_pair */
    sqn_arena parsed;       /* cells of arrays and JSON */
} numbering;

static bool is_json(const sqn_cell *c) {
    return c->kind == SQN_CELL_ARRAY || c->kind == SQN_CELL_JSON;
}

static sqn_status grow(numbering *t, sqn_err *e) {
    size_t size = t->size ? 2 * t->size : 256;
    entry *entries = sqn_calloc(size, sizeof *entries, e);
    if (entries == NULL) return SQN_NOMEM;
    for (size_t i = 0; i < t->size; i++) {
        if (t->entries[i].cell == NULL) continue;
        size_t at = t->entries[i].hash & (size - 1);
        while (entries[at].cell != NULL) at = (at + 1) & (size - 1);
        entries[at] = t->entries[i];
    }
    sqn_free(t->entries);
    t->entries = entries;
    t->size = size;
    return SQN_OK;
}

static sqn_status number_cell(numbering *t, const sqn_cell *c, uint32_t *id, sqn_err *e) {
    if (t->next == UINT32_MAX) return SQN_FAIL(e, SQN_LIMIT, "too many different cells");
    if (is_json(c)) {
        sqn_cell *parsed = sqn_arena_alloc(&t->parsed, sizeof *parsed, e);
        if (parsed == NULL) return SQN_NOMEM;
        SQN_TRY(sqn_cell_python(c, &t->parsed, parsed, e));
        t->mixed = t->mixed || !is_json(parsed); /* its text is another one */
        t->unhashable = t->unhashable || is_json(parsed);
        c = parsed;
    }
    if (is_nan(c)) {
        *id = t->next++;
        return SQN_OK;
    }
    if (2 * t->used >= t->size) SQN_TRY(grow(t, e));
    uint64_t hash = sqn_cell_hash(c);
    size_t at = hash & (t->size - 1);
    for (; t->entries[at].cell != NULL; at = (at + 1) & (t->size - 1))
        if (t->entries[at].hash == hash && sqn_cell_equal(t->entries[at].cell, c)) {
            *id = t->entries[at].id;
            t->mixed = t->mixed || !same_text(t->entries[at].cell, c);
            return SQN_OK;
        }
    *id = t->next++;
    t->entries[at] = (entry){c, hash, *id};
    t->used++;
    return SQN_OK;
}

sqn_status sqn_pair_new(const sqn_rows *a, const sqn_rows *b, sqn_pair *out, sqn_err *e) {
    const sqn_rows *both[2] = {a, b};
    numbering t = {0};
    sqn_status status = SQN_OK;
    *out = (sqn_pair){.columns = {a->columns, b->columns}, .rows = {a->rows, b->rows}};
    for (int side = 0; side < 2; side++) {
        size_t cells = (size_t)both[side]->rows * (size_t)both[side]->columns;
        out->ids[side] = sqn_alloc(cells * sizeof *out->ids[side], e);
        if (out->ids[side] == NULL) SQN_GOTO(SQN_NOMEM);
        for (size_t i = 0; i < cells; i++)
            SQN_GOTO(number_cell(&t, &both[side]->cells[i], &out->ids[side][i], e));
    }
    sqn_free(t.entries);
    sqn_arena_release(&t.parsed);
    out->count = t.next;
    out->mixed = t.mixed;
    out->unhashable = t.unhashable;
    return SQN_OK;
fail:
    sqn_free(t.entries);
    sqn_arena_release(&t.parsed);
    sqn_pair_release(out);
    return status;
}

void sqn_pair_release(sqn_pair *p) {
    sqn_free(p->ids[0]);
    sqn_free(p->ids[1]);
    *p = (sqn_pair){0};
}

/* ---- rows ---- */

/* Distinct rows of one table, and how often each was seen. */
typedef struct row_table {
    const uint32_t *ids; /* borrowed; the table's */
    const uint32_t *tags;
    int columns;
    int64_t *slots; /* row number + 1, 0 = free; size is a power of two */
    int64_t *count; /* [rows], at the first occurrence */
    size_t size;
} row_table;

static uint64_t row_hash(const uint32_t *row, int columns, const int *to) {
    uint64_t h = (uint64_t)columns;
    for (int i = 0; i < columns; i++) h = sqn_mix(h + row[to ? to[i] : i] * 0x9e3779b97f4a7c15u);
    return h;
}

static bool rows_equal(const uint32_t *a, const uint32_t *b, int columns, const int *to) {
    for (int i = 0; i < columns; i++)
        if (a[i] != b[to ? to[i] : i]) return false;
    return true;
}

/* The slot of row number r of a table, which starts at `row` and is read through `to`. */
static size_t find_row(const row_table *t, const uint32_t *row, int64_t r, const int *to) {
    uint64_t h = row_hash(row, t->columns, to);
    if (t->tags) h = sqn_mix(h ^ t->tags[r]);
    size_t at = h & (t->size - 1);
    for (; t->slots[at] != 0; at = (at + 1) & (t->size - 1)) {
        int64_t seen = t->slots[at] - 1;
        if ((t->tags == NULL || t->tags[seen] == t->tags[r]) &&
            rows_equal(t->ids + seen * t->columns, row, t->columns, to))
            break;
    }
    return at;
}

static sqn_status row_table_new(row_table *t, const sqn_pair *p, int side, const uint32_t *tags,
                                int64_t *distinct, sqn_err *e) {
    int64_t rows = p->rows[side];
    *t = (row_table){.size = 16, .ids = p->ids[side], .columns = p->columns[side], .tags = tags};
    *distinct = 0;
    while (t->size < 2 * (size_t)rows) t->size *= 2;
    t->slots = sqn_calloc(t->size, sizeof *t->slots, e);
    t->count = sqn_calloc((size_t)rows, sizeof *t->count, e);
    if (t->slots == NULL || t->count == NULL) return SQN_NOMEM;
    for (int64_t r = 0; r < rows; r++) {
        size_t at = find_row(t, t->ids + r * t->columns, r, NULL);
        if (t->slots[at] == 0) {
            t->slots[at] = r + 1;
            ++*distinct;
        }
        t->count[t->slots[at] - 1]++;
    }
    return SQN_OK;
}

static void row_table_release(row_table *t) {
    sqn_free(t->slots);
    sqn_free(t->count);
}

sqn_status sqn_pair_first_rows(const sqn_pair *p, int side, int64_t *first, sqn_err *e) {
    row_table t;
    int64_t distinct;
    sqn_status status = row_table_new(&t, p, side, NULL, &distinct, e);
    for (int64_t r = 0; status == SQN_OK && r < p->rows[side]; r++)
        first[r] = t.slots[find_row(&t, t.ids + r * t.columns, r, NULL)] - 1;
    row_table_release(&t);
    return status;
}

sqn_status sqn_pair_same_set(const sqn_pair *p, bool *same, sqn_err *e) {
    row_table t;
    int64_t distinct, met = 0;
    *same = p->rows[0] == 0 && p->rows[1] == 0;
    if (p->rows[0] == 0 || p->rows[1] == 0 || p->columns[0] != p->columns[1]) return SQN_OK;
    sqn_status status = row_table_new(&t, p, 0, NULL, &distinct, e);
    int64_t r = 0;
    for (; status == SQN_OK && r < p->rows[1]; r++) {
        size_t at = find_row(&t, p->ids[1] + r * p->columns[1], r, NULL);
        if (t.slots[at] == 0) break;
        int64_t *count = &t.count[t.slots[at] - 1];
        if (*count > 0) {
            *count = 0;
            met++;
        }
    }
    *same = r == p->rows[1] && met == distinct;
    row_table_release(&t);
    return status;
}

sqn_status sqn_pair_equal_under(const sqn_pair *p, const int *to, bool *same, sqn_err *e) {
    row_table t;
    int64_t distinct, r = 0;
    sqn_status status = row_table_new(&t, p, 0, p->tags, &distinct, e);
    for (; status == SQN_OK && r < p->rows[1]; r++) {
        size_t at = find_row(&t, p->ids[1] + r * p->columns[1], r, to);
        if (t.slots[at] == 0 || t.count[t.slots[at] - 1]-- == 0) break;
    }
    *same = status == SQN_OK && r == p->rows[1];
    row_table_release(&t);
    return status;
}
