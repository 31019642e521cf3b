/* printf and format of SQLite with bounded widths: the built-in one counts to two thousand million
 * for "%.2000000000c" and cannot be stopped. Each directive is printed by SQLite itself.
 */
#include <stdio.h>
#include <string.h>

#include "db/sqlite_guard.h"

enum { MOST_WIDTH = 1000000 };

typedef struct state {
    sqlite3_context *context;
    sqlite3_str *out;
    int used, count;
    sqlite3_value **values;
} state;

typedef struct directive {
    char flags[16];
    size_t flag_count;
    int64_t width, precision; /* -1: none */
    char kind;
} directive;

static sqlite3_value *next_value(state *s) {
    return s->used < s->count ? s->values[s->used++] : NULL;
}

static int64_t next_integer(state *s) {
    sqlite3_value *v = next_value(s);
    return v ? sqlite3_value_int64(v) : 0;
}

/* A number in the format, or '*': the next value. Capped, since a larger one is refused anyway. */
static int64_t read_number(state *s, const char **at) {
    int64_t n = 0;
    if (**at == '*') {
        ++*at;
        n = (int)next_integer(s);
        return n;
    }
    for (; **at >= '0' && **at <= '9'; ++*at)
        if (n <= MOST_WIDTH) n = 10 * n + (**at - '0');
    return n;
}

/* Reads what follows a '%'. Moves *at behind it; kind 0: the format ends here. */
static directive read_directive(state *s, const char **at) {
    directive d = {.width = -1, .precision = -1};
    for (; **at != '\0' && strchr("-+ 0#!,", **at); ++*at)
        if (d.flag_count < sizeof d.flags - 1 && !memchr(d.flags, **at, d.flag_count))
            d.flags[d.flag_count++] = **at;
    if (**at == '*' || (**at >= '1' && **at <= '9')) d.width = read_number(s, at);
    if (d.width < -1 || (d.width == -1 && (*at)[-1] == '*')) {
        d.width = -d.width;
        if (!memchr(d.flags, '-', d.flag_count)) d.flags[d.flag_count++] = '-';
    }
    if (**at == '.') {
        ++*at;
        d.precision = read_number(s, at);
        if (d.precision < 0) d.precision = -d.precision;
    }
    while (**at == 'l') ++*at;
    d.kind = **at;
    if (d.kind != '\0') ++*at;
    return d;
}

/* The directive as SQLite's C functions take it, with `length` before its kind. */
static void write_format(const directive *d, const char *length, char kind, char *to, size_t room) {
    char width[24] = "", precision[24] = "";
    if (d->width >= 0) snprintf(width, sizeof width, "%lld", (long long)d->width);
    if (d->precision >= 0) snprintf(precision, sizeof precision, ".%lld", (long long)d->precision);
    snprintf(to, room, "%%%.*s%s%s%s%c", (int)d->flag_count, d->flags, width, precision, length,
             kind);
}

/* %c: the first character of the value (of nothing: U+0000), `precision` times, in `width` columns.
 */
static void print_character(state *s, const directive *d, const char *text) {
    int bytes = 1;
    int64_t times = d->precision > 1 ? d->precision : 1;
    if (text == NULL) text = "";
    while ((unsigned char)*text >= 0xC0 && bytes < 4 && (text[bytes] & 0xC0) == 0x80) bytes++;
    int64_t blanks = d->width > times ? d->width - times : 0;
    bool left = memchr(d->flags, '-', d->flag_count) != NULL;
    if (!left) sqlite3_str_appendchar(s->out, (int)blanks, ' ');
    for (int64_t i = 0; i < times; i++) sqlite3_str_append(s->out, text, bytes);
    if (left) sqlite3_str_appendchar(s->out, (int)blanks, ' ');
}

static void print_percent(state *s, directive d) {
    d.precision = 1;
    print_character(s, &d, "%");
}

/* false: the directive is unknown, and printing ends, as in SQLite. */
static bool print_directive(state *s, const directive *d) {
    char format[96];
    sqlite3_value *v;
    switch (d->kind) {
    case '%':
        print_percent(s, *d);
        return true;
    case 'n':
        return true;
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
    case 'o':
    case 'r':
        write_format(d, "ll", d->kind, format, sizeof format);
        sqlite3_str_appendf(s->out, format, (long long)next_integer(s));
        return true;
    case 'p':
        write_format(d, "", 'p', format, sizeof format);
        sqlite3_str_appendf(s->out, format, (void *)(intptr_t)next_integer(s));
        return true;
    case 'f':
    case 'e':
    case 'E':
    case 'g':
    case 'G':
        v = next_value(s);
        write_format(d, "", d->kind, format, sizeof format);
        sqlite3_str_appendf(s->out, format, v ? sqlite3_value_double(v) : 0.0);
        return true;
    case 'c':
        v = next_value(s);
        print_character(s, d, v ? (const char *)sqlite3_value_text(v) : NULL);
        return true;
    case 's':
    case 'z':
    case 'q':
    case 'Q':
    case 'w':
        v = next_value(s);
        write_format(d, "", d->kind == 'z' ? 's' : d->kind, format, sizeof format);
        sqlite3_str_appendf(s->out, format, v ? (const char *)sqlite3_value_text(v) : NULL);
        return true;
    default:
        return false;
    }
}

static void finish(state *s, bool failed) {
    int rc = sqlite3_str_errcode(s->out), length = sqlite3_str_length(s->out);
    char *text = sqlite3_str_finish(s->out);
    if (failed || rc != SQLITE_OK) {
        sqlite3_free(text);
        if (!failed) sqlite3_result_error_code(s->context, rc);
    } else if (text != NULL) { /* nothing printed is NULL */
        sqlite3_result_text(s->context, text, length, sqlite3_free);
    }
}

void sqn_guard_printf(sqlite3_context *c, int n, sqlite3_value **v) {
    const char *at = n > 0 ? (const char *)sqlite3_value_text(v[0]) : NULL;
    sqn_guard *g = sqlite3_user_data(c);
    if (at == NULL) return;
    state s = {c, sqlite3_str_new(sqlite3_context_db_handle(c)), 1, n, v};
    bool failed = false;
    while (*at != '\0' && !failed && sqlite3_str_errcode(s.out) == SQLITE_OK) {
        const char *percent = strchrnul(at, '%');
        sqlite3_str_append(s.out, at, (int)(percent - at));
        if (*percent == '\0') break;
        at = percent + 1;
        directive d = read_directive(&s, &at);
        if (d.width > MOST_WIDTH || d.precision > MOST_WIDTH) {
            sqlite3_result_error_toobig(c);
            failed = true;
        } else if (percent[1] == '\0') { /* a last % stands for itself */
            sqlite3_str_appendchar(s.out, 1, '%');
            break;
        } else if (!print_directive(&s, &d)) {
            failed = sqlite3_str_length(s.out) == 0; /* nothing printed before it: NULL */
            break;
        }
        if (!failed && sqn_guard_poll(g)) {
            sqlite3_result_error_code(c, SQLITE_INTERRUPT);
            failed = true;
        }
    }
    finish(&s, failed);
}
