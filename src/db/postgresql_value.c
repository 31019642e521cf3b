/* Cells from PostgreSQL's texts: see postgresql_value.h. */
#include "db/postgresql_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- types ---- */

/* Built-in types that mean more than their text, by number; the array of each, or 0. The numbers
 * are fixed in PostgreSQL's catalogs. */
static const struct {
    unsigned oid, array;
    sqn_pg_class class;
    const char *python;
    sqn_pg_class bounds;
} types[] = {
    {16, 1000, SQN_PG_BOOL, NULL, 0},
    {17, 1001, SQN_PG_BYTEA, NULL, 0},
    {18, 1002, SQN_PG_TEXT, NULL, 0}, /* "char" */
    {19, 1003, SQN_PG_TEXT, NULL, 0}, /* name */
    {20, 1016, SQN_PG_INT, NULL, 0},
    {21, 1005, SQN_PG_INT, NULL, 0},
    {23, 1007, SQN_PG_INT, NULL, 0},
    {25, 1009, SQN_PG_TEXT, NULL, 0},
    {26, 1028, SQN_PG_INT, NULL, 0}, /* oid */
    {114, 199, SQN_PG_JSON, NULL, 0},
    {650, 651, SQN_PG_TEXT, NULL, 0}, /* cidr */
    {700, 1021, SQN_PG_DOUBLE, NULL, 0},
    {701, 1022, SQN_PG_DOUBLE, NULL, 0},
    {829, 1040, SQN_PG_TEXT, NULL, 0},  /* macaddr */
    {869, 1041, SQN_PG_TEXT, NULL, 0},  /* inet */
    {1042, 1014, SQN_PG_TEXT, NULL, 0}, /* char(n) */
    {1043, 1015, SQN_PG_TEXT, NULL, 0}, /* varchar */
    {1082, 1182, SQN_PG_DATE, NULL, 0},
    {1083, 1183, SQN_PG_TIME, NULL, 0},
    {1114, 1115, SQN_PG_DATETIME, NULL, 0},
    {1184, 1185, SQN_PG_DATETIME_TZ, NULL, 0},
    {1186, 1187, SQN_PG_INTERVAL, NULL, 0},
    {1266, 1270, SQN_PG_TIME, NULL, 0},
    {1700, 1231, SQN_PG_NUMERIC, NULL, 0},
    {2950, 2951, SQN_PG_UUID, NULL, 0},
    {3802, 3807, SQN_PG_JSON, NULL, 0},
    {3904, 3905, SQN_PG_RANGE, "NumericRange", SQN_PG_INT},
    {3906, 3907, SQN_PG_RANGE, "NumericRange", SQN_PG_NUMERIC},
    {3908, 3909, SQN_PG_RANGE, "DateTimeRange", SQN_PG_DATETIME},
    {3910, 3911, SQN_PG_RANGE, "DateTimeTZRange", SQN_PG_DATETIME_TZ},
    {3912, 3913, SQN_PG_RANGE, "DateRange", SQN_PG_DATE},
    {3926, 3927, SQN_PG_RANGE, "NumericRange", SQN_PG_INT},
};

sqn_pg_type sqn_pg_type_of(unsigned oid) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].oid == oid || types[i].array == oid)
            return (sqn_pg_type){types[i].class, types[i].array == oid, types[i].python,
                                 types[i].bounds};
    return (sqn_pg_type){.class = SQN_PG_TEXT};
}

/* ---- dates and times ---- */

static bool starts(const char *s, size_t n, const char *with) {
    return n >= strlen(with) && memcmp(s, with, strlen(with)) == 0;
}

static bool is_digits(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (s[i] < '0' || s[i] > '9') return false;
    return true;
}

/* YYYY-MM-DD in Python's years; "10000-…", "… BC" are not. */
static bool is_date(const char *s, size_t n) {
    return n >= 10 && is_digits(s, 4) && s[4] == '-' && memcmp(s, "0000", 4) != 0 &&
           !(n > 3 && memcmp(s + n - 3, " BC", 3) == 0);
}

/* "03:04:05[.5][+02[:30[:05]]]": six digits of a fraction, an offset of hours and minutes. */
static void put_clock(sqn_buf *to, const char *s, size_t n) {
    size_t at = n < 8 ? n : 8;
    sqn_buf_put(to, s, at);
    if (at < n && s[at] == '.') {
        size_t from = at++;
        while (at < n && s[at] >= '0' && s[at] <= '9') at++;
        sqn_buf_put(to, s + from, at - from);
        for (size_t i = at - from; i < 7; i++) sqn_buf_put_byte(to, '0');
    }
    if (at == n) return;
    sqn_buf_put(to, s + at, n - at);
    if (n - at == 3) sqn_buf_put_string(to, ":00");
}

bool sqn_pg_put_date(sqn_buf *to, const char *s, size_t n) {
    if (starts(s, n, "infinity"))
        sqn_buf_put_string(to, "9999-12-31");
    else if (starts(s, n, "-infinity"))
        sqn_buf_put_string(to, "0001-01-01");
    else if (is_date(s, n))
        sqn_buf_put(to, s, n);
    else
        return false;
    return true;
}

bool sqn_pg_put_datetime(sqn_buf *to, const char *s, size_t n, bool zone) {
    bool most = starts(s, n, "infinity");
    if (most || starts(s, n, "-infinity")) {
        sqn_buf_put_string(to, most ? "9999-12-31 23:59:59.999999" : "0001-01-01 00:00:00");
        if (zone) sqn_buf_put_string(to, "+00:00");
        return true;
    }
    if (!is_date(s, n) || n < 19) return false;
    sqn_buf_put(to, s, 11);
    put_clock(to, s + 11, n - 11);
    return true;
}

void sqn_pg_put_time(sqn_buf *to, const char *s, size_t n) {
    if (!starts(s, n, "24:00:00")) {
        put_clock(to, s, n);
        return;
    }
    sqn_buf_put_string(to, "00:00:00");
    put_clock(to, s + 8, n - 8);
}

/* ---- intervals ---- */

enum { DAY = 86400, MOST_DAYS = 999999999 };
static const long long most_hours = 2500000000; /* 2^63 microseconds are a little more */

/* "[-]HH:MM:SS[.ffffff]", as microseconds. */
static bool parse_clock(const char *s, int64_t *micros) {
    long long h;
    int m, sec, used = 0;
    bool negative = *s == '-';
    if (*s == '-' || *s == '+') s++;
    if (sscanf(s, "%lld:%2d:%2d%n", &h, &m, &sec, &used) < 3 || used == 0) return false;
    if (h < 0 || h > most_hours) return false;
    int64_t fraction = 0, unit = 100000;
    if (s[used] == '.')
        for (s += used + 1; *s >= '0' && *s <= '9'; s++, unit /= 10) fraction += unit * (*s - '0');
    *micros = (h * 3600 + m * 60 + sec) * 1000000 + fraction;
    if (negative) *micros = -*micros;
    return true;
}

/* A year has 365 days and a month 30, as psycopg2 counts. */
bool sqn_pg_parse_interval(const char *s, size_t n, sqn_pg_interval *out) {
    char text[128];
    int64_t days = 0, micros = 0;
    if (n >= sizeof text) return false;
    memcpy(text, s, n);
    text[n] = '\0';
    char *save, *word = strtok_r(text, " ", &save);
    for (; word != NULL; word = strtok_r(NULL, " ", &save)) {
        if (strchr(word, ':') != NULL) {
            if (!parse_clock(word, &micros)) return false;
            continue;
        }
        long long count = strtoll(word, &word, 10);
        char *unit = strtok_r(NULL, " ", &save);
        if (*word != '\0' || unit == NULL || llabs(count) > MOST_DAYS) return false;
        int per = strncmp(unit, "year", 4) == 0  ? 365
                  : strncmp(unit, "mon", 3) == 0 ? 30
                  : strncmp(unit, "day", 3) == 0 ? 1
                                                 : 0;
        if (per == 0) return false;
        days += per * count;
    }
    int64_t whole = micros / ((int64_t)DAY * 1000000), rest = micros % ((int64_t)DAY * 1000000);
    if (rest < 0) {
        rest += (int64_t)DAY * 1000000;
        whole--;
    }
    *out = (sqn_pg_interval){days + whole, rest / 1000000, rest % 1000000};
    return out->days >= -MOST_DAYS && out->days <= MOST_DAYS;
}

void sqn_pg_put_interval(sqn_buf *to, const sqn_pg_interval *i) {
    if (i->days != 0)
        sqn_buf_put_format(to, "%lld day%s, ", (long long)i->days,
                           i->days == 1 || i->days == -1 ? "" : "s");
    sqn_buf_put_format(to, "%d:%02d:%02d", (int)(i->seconds / 3600), (int)(i->seconds / 60 % 60),
                       (int)(i->seconds % 60));
    if (i->micros != 0) sqn_buf_put_format(to, ".%06d", (int)i->micros);
}

/* ---- arrays ---- */

/* One element that begins at *at, with its quotes and escapes undone. */
static bool read_element(const char *s, size_t n, size_t *at, const sqn_pg_array_reader *r,
                         sqn_buf *scratch) {
    bool quoted = s[*at] == '"';
    scratch->n = 0;
    sqn_buf_put(scratch, "", 0);
    for (*at += quoted; *at < n; ++*at) {
        char c = s[*at];
        if (quoted ? c == '"' : c == ',' || c == '}') break;
        if (c == '\\' && *at + 1 < n) c = s[++*at];
        sqn_buf_put_byte(scratch, c);
    }
    if (*at == n) return false;
    *at += quoted;
    if (scratch->failed) return false;
    if (!quoted && scratch->n == 4 && memcmp(scratch->data, "NULL", 4) == 0)
        return r->element(r->self, NULL, 0);
    return r->element(r->self, scratch->n ? scratch->data : "", scratch->n);
}

bool sqn_pg_read_array(const char *s, size_t n, const sqn_pg_array_reader *r, sqn_buf *scratch) {
    size_t at = 0;
    int depth = 0;
    if (n > 0 && *s == '[') { /* bounds, [2:3]= */
        const char *equals = memchr(s, '=', n);
        at = equals ? (size_t)(equals + 1 - s) : n;
    }
    while (at < n) {
        if (s[at] == '{') {
            depth++;
            at++;
            r->open(r->self);
        } else if (depth == 0) {
            return false;
        } else if (s[at] == '}') {
            r->close(r->self);
            at++;
            if (--depth == 0) return at == n;
        } else if (s[at] == ',') {
            at++;
        } else if (!read_element(s, n, &at, r, scratch)) {
            return false;
        }
    }
    return false;
}

typedef struct json_array {
    sqn_buf *to;
    sqn_pg_class class;
} json_array;

static void put_comma(sqn_buf *to) {
    if (to->n > 0 && to->data[to->n - 1] != '[') sqn_buf_put_string(to, ", ");
}

static void json_open(void *self) {
    json_array *a = self;
    put_comma(a->to);
    sqn_buf_put_byte(a->to, '[');
}

static void json_close(void *self) { sqn_buf_put_byte(((json_array *)self)->to, ']'); }

static void put_json_string(sqn_buf *to, const char *s, size_t n) {
    sqn_buf_put_byte(to, '"');
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\')
            sqn_buf_put_format(to, "\\%c", c);
        else if (c < 0x20)
            sqn_buf_put_format(to, "\\u%04x", c);
        else
            sqn_buf_put_byte(to, (char)c);
    }
    sqn_buf_put_byte(to, '"');
}

static bool put_typed(sqn_buf *to, sqn_pg_class class, const char *s, size_t n);

static bool json_element(void *self, const char *s, size_t n) {
    json_array *a = self;
    sqn_buf text = {0};
    put_comma(a->to);
    if (s == NULL) {
        sqn_buf_put_string(a->to, "null");
    } else if (a->class == SQN_PG_BOOL) {
        sqn_buf_put_string(a->to, *s == 't' ? "true" : "false");
    } else if (a->class == SQN_PG_JSON || ((a->class == SQN_PG_INT || a->class == SQN_PG_DOUBLE ||
                                            a->class == SQN_PG_NUMERIC) &&
                                           n > 0 && s[n - 1] >= '0' && s[n - 1] <= '9')) {
        sqn_buf_put(a->to, s, n);
    } else if (put_typed(&text, a->class, s, n)) {
        put_json_string(a->to, text.data ? text.data : "", text.n);
    } else {
        put_json_string(a->to, s, n);
    }
    bool failed = text.failed;
    sqn_buf_release(&text);
    a->to->failed = a->to->failed || failed;
    return true;
}

/* ---- cells ---- */

/* The canonical text of a date, time or interval; false: there is none, and the server's stands. */
static bool put_typed(sqn_buf *to, sqn_pg_class class, const char *s, size_t n) {
    sqn_pg_interval i;
    switch (class) {
    case SQN_PG_DATE:
        return sqn_pg_put_date(to, s, n);
    case SQN_PG_DATETIME:
    case SQN_PG_DATETIME_TZ:
        return sqn_pg_put_datetime(to, s, n, class == SQN_PG_DATETIME_TZ);
    case SQN_PG_TIME:
        sqn_pg_put_time(to, s, n);
        return true;
    case SQN_PG_INTERVAL:
        if (!sqn_pg_parse_interval(s, n, &i)) return false;
        sqn_pg_put_interval(to, &i);
        return true;
    default:
        return false;
    }
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "\x00ff"; false: it is not written so. */
static bool put_bytea(sqn_buf *to, const char *s, size_t n) {
    sqn_buf_put(to, "", 0);
    for (size_t i = 2; i + 1 < n; i += 2) {
        int high = hex_digit(s[i]), low = hex_digit(s[i + 1]);
        if (high < 0 || low < 0) return false;
        sqn_buf_put_byte(to, (char)(high << 4 | low));
    }
    return true;
}

/* Cells of classes whose text is kept or rewritten. */
static sqn_cell_kind text_kind(sqn_pg_class class) {
    switch (class) {
    case SQN_PG_NUMERIC:
        return SQN_CELL_DECIMAL;
    case SQN_PG_BYTEA:
        return SQN_CELL_BLOB;
    case SQN_PG_DATE:
        return SQN_CELL_DATE;
    case SQN_PG_TIME:
        return SQN_CELL_TIME;
    case SQN_PG_DATETIME:
    case SQN_PG_DATETIME_TZ:
        return SQN_CELL_DATETIME;
    case SQN_PG_INTERVAL:
        return SQN_CELL_INTERVAL;
    case SQN_PG_JSON:
        return SQN_CELL_JSON;
    default:
        return SQN_CELL_TEXT;
    }
}

/* True: scratch holds the cell's text. */
static bool put_cell_text(sqn_pg_type type, const char *s, size_t n, sqn_buf *scratch) {
    if (type.array) {
        sqn_buf element = {0};
        json_array array = {scratch, type.class};
        sqn_pg_array_reader reader = {json_open, json_close, json_element, &array};
        bool ok = sqn_pg_read_array(s, n, &reader, &element);
        scratch->failed = scratch->failed || element.failed;
        sqn_buf_release(&element);
        return ok;
    }
    if (type.class == SQN_PG_BYTEA) return starts(s, n, "\\x") && put_bytea(scratch, s, n);
    return put_typed(scratch, type.class, s, n);
}

sqn_status sqn_pg_cell(unsigned oid, const char *s, size_t n, sqn_buf *scratch, sqn_cell *out,
                       sqn_err *e) {
    sqn_pg_type type = sqn_pg_type_of(oid);
    scratch->n = 0;
    *out = (sqn_cell){.kind = SQN_CELL_INT};
    if (!type.array && type.class == SQN_PG_BOOL) {
        out->kind = SQN_CELL_BOOL;
        out->as.integer = *s == 't';
        return SQN_OK;
    }
    if (!type.array && type.class == SQN_PG_INT) {
        out->as.integer = strtoll(s, NULL, 10);
        return SQN_OK;
    }
    if (!type.array && type.class == SQN_PG_DOUBLE) {
        out->kind = SQN_CELL_DOUBLE;
        out->as.real = strtod(s, NULL);
        return SQN_OK;
    }
    bool rewritten = put_cell_text(type, s, n, scratch);
    SQN_TRY(sqn_buf_status(scratch, e));
    out->kind = !type.array ? text_kind(type.class) : rewritten ? SQN_CELL_ARRAY : SQN_CELL_TEXT;
    out->as.bytes = rewritten ? scratch->data : s;
    out->length = rewritten ? scratch->n : n;
    if (out->kind == SQN_CELL_TEXT) out->bad_utf8 = !sqn_cell_text_valid(s, n);
    return SQN_OK;
}
