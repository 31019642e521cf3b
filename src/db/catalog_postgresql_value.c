/* How psycopg2's objects print: values of example queries, from the server's own texts.
 *
 * Rules: str() at the top, repr() inside of lists, dictionaries and ranges; what Python has no
 * value for (a year before 1, binary data that would print an address) means no examples.
 */
#include <stdio.h>
#include <stdlib.h>

#include "db/catalog_postgresql.h"
#include "db/postgresql_value.h"
#include "db/python_text.h"
#include "io/json_reader.h"

/* ---- dates, times, intervals ---- */

static int number(const char *s, size_t n) {
    int v = 0;
    for (size_t i = 0; i < n; i++) v = 10 * v + (s[i] - '0');
    return v;
}

/* "+05:30[:05]" as tzinfo=datetime.timezone(…). */
static void put_zone_repr(sqn_buf *to, const char *s, size_t n) {
    int seconds = 3600 * number(s + 1, 2) + 60 * number(s + 4, 2);
    if (n >= 9) seconds += number(s + 7, 2);
    if (seconds == 0) {
        sqn_buf_put_string(to, ", tzinfo=datetime.timezone.utc");
        return;
    }
    int days = *s == '-' ? -1 : 0;
    sqn_buf_put_string(to, ", tzinfo=datetime.timezone(datetime.timedelta(");
    if (days != 0) sqn_buf_put_format(to, "days=%d, ", days);
    sqn_buf_put_format(to, "seconds=%d))", days ? 86400 - seconds : seconds);
}

/* "12:30:00[.ffffff][+02:00]" as the arguments of time(): zeros at the end are left out. */
static void put_clock_repr(sqn_buf *to, const char *s, size_t n) {
    size_t at = 8;
    int micros = 0;
    if (at < n && s[at] == '.') {
        micros = number(s + 9, 6);
        at = 15;
    }
    sqn_buf_put_format(to, "%d, %d", number(s, 2), number(s + 3, 2));
    if (number(s + 6, 2) != 0 || micros != 0) sqn_buf_put_format(to, ", %d", number(s + 6, 2));
    if (micros != 0) sqn_buf_put_format(to, ", %d", micros);
    if (at < n) put_zone_repr(to, s + at, n - at);
}

static void put_date_repr(sqn_buf *to, const char *name, const char *s) {
    sqn_buf_put_format(to, "datetime.%s(%d, %d, %d", name, number(s, 4), number(s + 5, 2),
                       number(s + 8, 2));
}

static void put_interval_repr(sqn_buf *to, const sqn_pg_interval *i) {
    const char *comma = "";
    sqn_buf_put_string(to, "datetime.timedelta(");
    if (i->days != 0) {
        sqn_buf_put_format(to, "days=%lld", (long long)i->days);
        comma = ", ";
    }
    if (i->seconds != 0) {
        sqn_buf_put_format(to, "%sseconds=%d", comma, (int)i->seconds);
        comma = ", ";
    }
    if (i->micros != 0) {
        sqn_buf_put_format(to, "%smicroseconds=%d", comma, (int)i->micros);
        comma = ", ";
    }
    sqn_buf_put_string(to, *comma ? ")" : "0)");
}

/* ---- JSON as Python's dictionaries, lists and values ---- */

static void put_json_value(sqn_buf *to, const sqn_json_token *t, bool top) {
    switch (t->kind) {
    case SQN_JSON_NULL:
        sqn_buf_put_string(to, "None");
        return;
    case SQN_JSON_TRUE:
    case SQN_JSON_FALSE:
        sqn_buf_put_string(to, t->kind == SQN_JSON_TRUE ? "True" : "False");
        return;
    case SQN_JSON_INTEGER:
        sqn_buf_put_format(to, "%lld", (long long)t->integer);
        return;
    case SQN_JSON_FLOAT:
        if (t->length > 0) /* an integer of more than 64 bits */
            sqn_buf_put(to, t->text, t->length);
        else
            sqn_python_put_float(to, t->number);
        return;
    default: /* a string; at the top it is itself */
        if (top)
            sqn_buf_put(to, t->text, t->length);
        else
            sqn_python_put_repr(to, t->text, t->length);
    }
}

static bool put_json(sqn_buf *to, const char *s, size_t n, bool top) {
    sqn_json_reader *r;
    sqn_json_token t = {.kind = SQN_JSON_NULL};
    if (top && n > 0 && strspn(s, "-0123456789") >= n) { /* of any size, as Python's are */
        sqn_buf_put(to, s, n);
        return true;
    }
    sqn_status status = sqn_json_reader_memory(&r, s, n, "jsonb", NULL);
    bool first = true; /* nothing stands before the next value that a comma would part it from */
    if (status != SQN_OK) {
        to->failed = true;
        return false;
    }
    while ((status = sqn_json_next(r, &t, NULL)) == SQN_OK && t.kind != SQN_JSON_END) {
        bool ends = t.kind == SQN_JSON_ARRAY_END || t.kind == SQN_JSON_OBJECT_END;
        if (!first && !ends) sqn_buf_put_string(to, ", ");
        first = t.kind == SQN_JSON_ARRAY || t.kind == SQN_JSON_OBJECT || t.kind == SQN_JSON_KEY;
        if (t.kind == SQN_JSON_KEY) {
            sqn_python_put_repr(to, t.text, t.length);
            sqn_buf_put_string(to, ": ");
        } else if (first || ends) {
            sqn_buf_put_byte(to, t.kind == SQN_JSON_ARRAY       ? '['
                                 : t.kind == SQN_JSON_ARRAY_END ? ']'
                                 : t.kind == SQN_JSON_OBJECT    ? '{'
                                                                : '}');
        } else {
            put_json_value(to, &t, top && sqn_json_reader_depth(r) == 0);
        }
    }
    sqn_json_reader_close(r);
    if (status == SQN_NOMEM) to->failed = true;
    return status == SQN_OK;
}

/* ---- hstore: "k"=>"v", "other"=>NULL ---- */

/* The quoted text at *at as Python prints it; moves *at behind it. */
static bool put_quoted(sqn_buf *to, const char **at, const char *end) {
    sqn_buf text = {0};
    const char *s = *at;
    bool ok = s < end && *s == '"';
    sqn_buf_put(&text, "", 0);
    for (s++; ok && s < end && *s != '"'; s++) {
        if (*s == '\\' && s + 1 < end) s++;
        sqn_buf_put_byte(&text, *s);
    }
    ok = ok && s < end;
    if (ok && !text.failed) sqn_python_put_repr(to, text.data, text.n);
    *at = s + 1;
    to->failed = to->failed || text.failed;
    sqn_buf_release(&text);
    return ok;
}

static bool put_hstore(sqn_buf *to, const char *s, size_t n) {
    const char *at = s, *end = s + n;
    sqn_buf_put_byte(to, '{');
    while (at < end) {
        if (at > s) sqn_buf_put_string(to, ", ");
        if (!put_quoted(to, &at, end) || end - at < 2 || memcmp(at, "=>", 2) != 0) return false;
        sqn_buf_put_string(to, ": ");
        at += 2;
        if (end - at >= 4 && memcmp(at, "NULL", 4) == 0) {
            sqn_buf_put_string(to, "None");
            at += 4;
        } else if (!put_quoted(to, &at, end)) {
            return false;
        }
        while (at < end && (*at == ',' || *at == ' ')) at++;
    }
    sqn_buf_put_byte(to, '}');
    return true;
}

/* ---- values ---- */

/* repr() of a value of the class; false: Python has none. */
static bool put_repr(sqn_buf *to, sqn_pg_type type, const char *s, size_t n);

/* str() of a bound of a range. */
static bool put_bound(sqn_buf *to, sqn_pg_class class, const char *s, size_t n) {
    if (class == SQN_PG_DATE) return sqn_pg_put_date(to, s, n);
    if (class == SQN_PG_DATETIME || class == SQN_PG_DATETIME_TZ)
        return sqn_pg_put_datetime(to, s, n, class == SQN_PG_DATETIME_TZ);
    sqn_buf_put(to, s, n);
    return true;
}

/* One end of "[a,b)"; nothing there is None. Quotes are those of a timestamp with its blank. */
static bool put_end(sqn_buf *to, sqn_pg_type type, const char *s, size_t n, bool repr) {
    if (n >= 2 && *s == '"') {
        s++;
        n -= 2;
    }
    if (n == 0) {
        sqn_buf_put_string(to, "None");
        return true;
    }
    sqn_pg_type bound = {.class = type.bounds};
    return repr ? put_repr(to, bound, s, n) : put_bound(to, type.bounds, s, n);
}

/* str(): "[1, 5)", "empty"; repr(): "NumericRange(1, 5, '[)')". */
static bool put_range(sqn_buf *to, sqn_pg_type type, const char *s, size_t n, bool repr) {
    bool empty = n == 5 && memcmp(s, "empty", 5) == 0;
    if (repr) sqn_buf_put_format(to, "%s(%s", type.python, empty ? "empty=True)" : "");
    if (empty) {
        if (!repr) sqn_buf_put_string(to, "empty");
        return true;
    }
    const char *comma = n > 2 ? memchr(s + 1, ',', n - 2) : NULL;
    if (comma == NULL) return false;
    if (!repr) sqn_buf_put_byte(to, s[0]);
    if (!put_end(to, type, s + 1, (size_t)(comma - s - 1), repr)) return false;
    sqn_buf_put_string(to, ", ");
    if (!put_end(to, type, comma + 1, (size_t)(s + n - 1 - comma - 1), repr)) return false;
    if (repr)
        sqn_buf_put_format(to, ", '%c%c')", s[0], s[n - 1]);
    else
        sqn_buf_put_byte(to, s[n - 1]);
    return true;
}

static bool put_time_repr(sqn_buf *to, sqn_pg_class class, const char *s, size_t n) {
    sqn_buf text = {0};
    bool infinite = n > 0 && (*s == 'i' || s[n > 1] == 'i'); /* infinity, -infinity */
    bool ok = !infinite;
    if (ok && class == SQN_PG_TIME)
        sqn_pg_put_time(&text, s, n);
    else if (ok)
        ok = class == SQN_PG_DATE ? sqn_pg_put_date(&text, s, n)
                                  : sqn_pg_put_datetime(&text, s, n, class == SQN_PG_DATETIME_TZ);
    if (ok && !text.failed) {
        if (class == SQN_PG_TIME) {
            sqn_buf_put_string(to, "datetime.time(");
            put_clock_repr(to, text.data, text.n);
        } else {
            put_date_repr(to, class == SQN_PG_DATE ? "date" : "datetime", text.data);
            if (class != SQN_PG_DATE) {
                sqn_buf_put_string(to, ", ");
                put_clock_repr(to, text.data + 11, text.n - 11);
            }
        }
        sqn_buf_put_byte(to, ')');
    }
    to->failed = to->failed || text.failed;
    sqn_buf_release(&text);
    return ok;
}

static bool put_repr(sqn_buf *to, sqn_pg_type type, const char *s, size_t n) {
    sqn_pg_interval interval;
    switch (type.class) {
    case SQN_PG_BOOL:
        sqn_buf_put_string(to, *s == 't' ? "True" : "False");
        return true;
    case SQN_PG_INT:
        sqn_buf_put(to, s, n);
        return true;
    case SQN_PG_DOUBLE:
        sqn_python_put_float(to, strtod(s, NULL));
        return true;
    case SQN_PG_NUMERIC:
    case SQN_PG_UUID:
        sqn_buf_put_string(to, type.class == SQN_PG_UUID ? "UUID('" : "Decimal('");
        sqn_buf_put(to, s, n);
        sqn_buf_put_string(to, "')");
        return true;
    case SQN_PG_DATE:
    case SQN_PG_TIME:
    case SQN_PG_DATETIME:
    case SQN_PG_DATETIME_TZ:
        return put_time_repr(to, type.class, s, n);
    case SQN_PG_INTERVAL:
        if (!sqn_pg_parse_interval(s, n, &interval)) return false;
        put_interval_repr(to, &interval);
        return true;
    case SQN_PG_JSON:
        return put_json(to, s, n, false);
    case SQN_PG_RANGE:
        return put_range(to, type, s, n, true);
    case SQN_PG_BYTEA:
        return false;
    default:
        sqn_python_put_repr(to, s, n);
        return true;
    }
}

typedef struct list {
    sqn_buf *to;
    sqn_pg_type type;
    bool hstore, ok;
} list;

static void list_comma(list *l) {
    if (l->to->n > 0 && l->to->data[l->to->n - 1] != '[') sqn_buf_put_string(l->to, ", ");
}

static void list_open(void *self) {
    list_comma(self);
    sqn_buf_put_byte(((list *)self)->to, '[');
}

static void list_close(void *self) { sqn_buf_put_byte(((list *)self)->to, ']'); }

static bool list_element(void *self, const char *s, size_t n) {
    list *l = self;
    list_comma(l);
    if (s == NULL)
        sqn_buf_put_string(l->to, "None");
    else
        l->ok = l->hstore ? put_hstore(l->to, s, n) : put_repr(l->to, l->type, s, n);
    return l->ok;
}

static bool put_list(sqn_buf *to, sqn_pg_type type, bool hstore, const char *s, size_t n) {
    sqn_buf scratch = {0};
    list l = {to, type, hstore, true};
    sqn_pg_array_reader reader = {list_open, list_close, list_element, &l};
    bool ok = sqn_pg_read_array(s, n, &reader, &scratch) && l.ok;
    to->failed = to->failed || scratch.failed;
    sqn_buf_release(&scratch);
    return ok;
}

/* str() of a value that is no list. */
static sqn_example put_value(sqn_buf *to, sqn_pg_type type, const char *s, size_t n) {
    sqn_pg_interval interval;
    switch (type.class) {
    case SQN_PG_NUMERIC:
        sqn_python_put_float(to, strtod(s, NULL));
        return SQN_EXAMPLE_TEXT;
    case SQN_PG_DATE:
        return sqn_pg_put_date(to, s, n) ? SQN_EXAMPLE_ONLY : SQN_EXAMPLE_NONE;
    case SQN_PG_DATETIME:
    case SQN_PG_DATETIME_TZ:
        return sqn_pg_put_datetime(to, s, n, type.class == SQN_PG_DATETIME_TZ) ? SQN_EXAMPLE_ONLY
                                                                               : SQN_EXAMPLE_NONE;
    case SQN_PG_TIME:
        sqn_pg_put_time(to, s, n);
        return SQN_EXAMPLE_TEXT;
    case SQN_PG_INTERVAL:
        if (!sqn_pg_parse_interval(s, n, &interval)) return SQN_EXAMPLE_NONE;
        sqn_pg_put_interval(to, &interval);
        return SQN_EXAMPLE_TEXT;
    case SQN_PG_JSON:
        if (n == 4 && memcmp(s, "null", 4) == 0) return SQN_EXAMPLE_SKIP;
        return put_json(to, s, n, true) ? SQN_EXAMPLE_TEXT : SQN_EXAMPLE_NONE;
    case SQN_PG_RANGE:
        return put_range(to, type, s, n, false) ? SQN_EXAMPLE_TEXT : SQN_EXAMPLE_NONE;
    case SQN_PG_BYTEA:
        return SQN_EXAMPLE_NONE;
    case SQN_PG_TEXT:
    case SQN_PG_UUID:
        sqn_buf_put(to, s, n);
        return SQN_EXAMPLE_TEXT;
    default:
        return put_repr(to, type, s, n) ? SQN_EXAMPLE_TEXT : SQN_EXAMPLE_NONE;
    }
}

sqn_example sqn_pg_example(void *self, const sqn_cell *cell, unsigned oid, sqn_buf *to) {
    const sqn_pg_own_types *own = self;
    if (cell->kind == SQN_CELL_NULL) return SQN_EXAMPLE_SKIP;
    const char *s = cell->as.bytes;
    if (cell->bad_utf8) return SQN_EXAMPLE_NONE;
    if (oid == own->hstore && oid != 0)
        return put_hstore(to, s, cell->length) ? SQN_EXAMPLE_TEXT : SQN_EXAMPLE_NONE;
    sqn_pg_type type = sqn_pg_type_of(oid);
    bool hstore = oid == own->hstore_array && oid != 0;
    if (!type.array && !hstore) return put_value(to, type, s, cell->length);
    return put_list(to, type, hstore, s, cell->length) ? SQN_EXAMPLE_TEXT : SQN_EXAMPLE_NONE;
}
