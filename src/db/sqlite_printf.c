/* printf() and format() of SQLite again, with a bound on widths: the built-in one writes a
 * precision of a thousand million character by character, long after the result is too big. Each
 * directive goes through SQLite's own formatter. */
#include <stdlib.h>
#include <string.h>

#include "db/sqlite_guard.h"

typedef struct directive {
    char flags[16], conversion;
    size_t flag_count;
    sqlite3_int64 width, precision; /* -1: none */
} directive;

typedef struct arguments {
    int next, count;
    sqlite3_value **values;
} arguments;

static sqlite3_value *next_value(arguments *a) {
    return a->next < a->count ? a->values[a->next++] : NULL;
}

static sqlite3_int64 next_integer(arguments *a) {
    sqlite3_value *v = next_value(a);
    return v ? sqlite3_value_int64(v) : 0;
}

static void add_flag(directive *d, char flag) {
    if (d->flag_count + 1 < sizeof d->flags && !memchr(d->flags, flag, d->flag_count))
        d->flags[d->flag_count++] = flag;
}

/* Digits, or * for an argument. Beyond what an int holds the number is as good as its end. */
static const char *read_size(const char *at, arguments *a, sqlite3_int64 *out) {
    if (*at == '*') {
        *out = (int)next_integer(a); /* cut to an int, as the built-in one does */
        return at + 1;
    }
    for (*out = 0; *at >= '0' && *at <= '9'; at++)
        if (*out < 0x7fffffff) *out = *out * 10 + (*at - '0');
    return at;
}

static const char *read_directive(const char *at, arguments *a, directive *d) {
    *d = (directive){.width = -1, .precision = -1};
    while (*at != '\0' && strchr("-+ #!0,", *at)) add_flag(d, *at++);
    at = read_size(at, a, &d->width);
    if (d->width < 0) {
        add_flag(d, '-');
        d->width = d->width < -0x7fffffff ? 0 : -d->width;
    }
    if (*at == '.') {
        at = read_size(at + 1, a, &d->precision);
        if (d->precision < 0) d->precision = d->precision < -0x7fffffff ? -1 : -d->precision;
    }
    while (*at == 'l') at++;
    d->conversion = *at;
    return *at ? at + 1 : at;
}

/* The directive as C writes it, with the length that its argument has here. */
static void write_directive(const directive *d, const char *length, char conversion, char *to,
                            size_t room) {
    char precision[24] = "";
    if (d->precision >= 0) sqlite3_snprintf(sizeof precision, precision, ".%d", (int)d->precision);
    char width[24] = "";
    if (d->width > 0) sqlite3_snprintf(sizeof width, width, "%d", (int)d->width);
    sqlite3_snprintf((int)room, to, "%%%s%s%s%s%c", d->flags, width, precision, length, conversion);
}

static unsigned first_character(const char *s) {
    unsigned c = s ? (unsigned char)*s : 0;
    if (c < 0xC0) return c;
    c &= c < 0xE0 ? 0x1Fu : c < 0xF0 ? 0x0Fu : 0x07u;
    while ((*++s & 0xC0) == 0x80) c = c << 6 | ((unsigned char)*s & 0x3Fu);
    return c;
}

/* False at a conversion that does not exist: the result ends there. */
static bool put_directive(sqlite3_str *out, const directive *d, arguments *a) {
    char format[80];
    sqlite3_value *v;
    const char *text;
    switch (d->conversion) {
    case '%':
        sqlite3_str_appendchar(out, 1, '%');
        return true;
    case 'n':
        return true;
    case 'd':
    case 'i':
    case 'r':
    case 'u':
    case 'x':
    case 'X':
    case 'o':
        write_directive(d, "ll", d->conversion, format, sizeof format);
        sqlite3_str_appendf(out, format, next_integer(a));
        return true;
    case 'p':
        write_directive(d, "", 'p', format, sizeof format);
        sqlite3_str_appendf(out, format, (void *)(intptr_t)next_integer(a));
        return true;
    case 'f':
    case 'e':
    case 'E':
    case 'g':
    case 'G':
        v = next_value(a);
        write_directive(d, "", d->conversion, format, sizeof format);
        sqlite3_str_appendf(out, format, v ? sqlite3_value_double(v) : 0.0);
        return true;
    case 's':
    case 'z':
    case 'q':
    case 'Q':
    case 'w':
    case 'c':
        v = next_value(a);
        text = v ? (const char *)sqlite3_value_text(v) : NULL;
        write_directive(d, "", d->conversion == 'z' ? 's' : d->conversion, format, sizeof format);
        if (d->conversion == 'c')
            sqlite3_str_appendf(out, format, first_character(text));
        else
            sqlite3_str_appendf(out, format, text);
        return true;
    default:
        return false;
    }
}

void sqn_guard_printf(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    sqn_guard *g = sqlite3_user_data(ctx);
    const char *at = argc > 0 ? (const char *)sqlite3_value_text(argv[0]) : NULL;
    arguments a = {1, argc, argv};
    directive d;
    g->polls = 0;
    if (sqn_guard_poll(g)) {
        sqlite3_result_error_code(ctx, SQLITE_INTERRUPT);
        return;
    }
    if (at == NULL) return;
    int most = sqlite3_limit(g->db, SQLITE_LIMIT_LENGTH, -1);
    sqlite3_str *out = sqlite3_str_new(g->db);
    bool fits = true;
    for (const char *percent; *at;) {
        percent = strchr(at, '%');
        sqlite3_str_append(out, at, percent ? (int)(percent - at) : (int)strlen(at));
        if (percent == NULL) break;
        if (percent[1] == '\0') { /* a last % stands for itself */
            sqlite3_str_append(out, "%", 1);
            break;
        }
        at = read_directive(percent + 1, &a, &d);
        fits = d.conversion != 'c' || d.precision <= most;
        if (!fits || sqlite3_str_errcode(out) != SQLITE_OK || sqn_guard_poll(g)) break;
        if (!put_directive(out, &d, &a)) break;
    }
    int rc = fits ? sqlite3_str_errcode(out) : SQLITE_TOOBIG;
    sqlite3_uint64 n = (sqlite3_uint64)sqlite3_str_length(out);
    char *text = sqlite3_str_finish(out);
    if (rc == SQLITE_OK && g->stop == SQN_OK) {
        sqlite3_result_text64(ctx, text ? text : "", n, text ? sqlite3_free : SQLITE_STATIC,
                              SQLITE_UTF8);
        return;
    }
    sqlite3_free(text);
    if (rc == SQLITE_TOOBIG)
        sqlite3_result_error_toobig(ctx);
    else
        sqlite3_result_error_code(ctx, rc == SQLITE_OK ? SQLITE_INTERRUPT : rc);
}
