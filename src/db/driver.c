/* What all drivers share: the choice of one, limits on rows and bytes, whole results. */
#include "db/driver.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const sqn_driver *const drivers[] = {&sqn_driver_sqlite, &sqn_driver_postgresql,
                                            &sqn_driver_mysql};

enum { FIRST_CELLS = 64 };

/* Every string of the options, for copies. */
static const size_t strings[] = {
    offsetof(sqn_conn_options, dialect),  offsetof(sqn_conn_options, path),
    offsetof(sqn_conn_options, host),     offsetof(sqn_conn_options, user),
    offsetof(sqn_conn_options, password), offsetof(sqn_conn_options, database),
    offsetof(sqn_conn_options, socket),   offsetof(sqn_conn_options, sslmode),
    offsetof(sqn_conn_options, ssl_ca),
};
enum { STRINGS = sizeof strings / sizeof *strings };

static const char **option_string(sqn_conn_options *o, size_t i) {
    return (const char **)((char *)o + strings[i]);
}

void sqn_conn_options_release(sqn_conn_options *o) {
    for (size_t i = 0; i < STRINGS; i++) sqn_free((char *)*option_string(o, i));
    *o = (sqn_conn_options){0};
}

sqn_status sqn_conn_options_copy(const sqn_conn_options *o, sqn_conn_options *out, sqn_err *e) {
    sqn_conn_options from = *o;
    *out = from;
    for (size_t i = 0; i < STRINGS; i++) *option_string(out, i) = NULL;
    for (size_t i = 0; i < STRINGS; i++) {
        const char *s = *option_string(&from, i);
        if (s == NULL) continue;
        if ((*option_string(out, i) = sqn_strdup(s, e)) == NULL) {
            sqn_conn_options_release(out);
            return SQN_NOMEM;
        }
    }
    return SQN_OK;
}

void sqn_conn_options_name(const sqn_conn_options *o, char *to, size_t room) {
    if (o->path != NULL) {
        snprintf(to, room, "%s", o->path);
        return;
    }
    const char *place = o->socket ? o->socket : o->host ? o->host : "the default host";
    char port[16] = "";
    if (o->port > 0) snprintf(port, sizeof port, ":%d", o->port);
    snprintf(to, room, "%s%s%s%s/%s", o->user ? o->user : "", o->user ? "@" : "", place, port,
             o->database ? o->database : "");
}

double sqn_db_clock(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

bool sqn_cell_text_valid(const char *bytes, size_t length) {
    const unsigned char *s = (const unsigned char *)bytes, *end = s + length;
    while (s < end) {
        uint64_t eight;
        while (end - s >= 8 && (memcpy(&eight, s, 8), (eight & 0x8080808080808080u) == 0)) s += 8;
        if (s == end) break;
        unsigned c = *s;
        if (c < 0x80) {
            s++;
            continue;
        }
        int more = c >= 0xC2 && c <= 0xDF   ? 1
                   : c >= 0xE0 && c <= 0xEF ? 2
                   : c >= 0xF0 && c <= 0xF4 ? 3
                                            : 0;
        if (more == 0 || end - s <= more) return false;
        for (int i = 1; i <= more; i++)
            if ((s[i] & 0xC0) != 0x80) return false;
        if ((c == 0xE0 && s[1] < 0xA0) || (c == 0xED && s[1] > 0x9F) ||
            (c == 0xF0 && s[1] < 0x90) || (c == 0xF4 && s[1] > 0x8F))
            return false;
        s += more + 1;
    }
    return true;
}

static const sqn_driver *driver_of(const sqn_conn_options *o) {
    for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++)
        if (strcmp(drivers[i]->dialect, o->dialect ? o->dialect : "sqlite") == 0) return drivers[i];
    return NULL;
}

bool sqn_conn_is_server(const sqn_conn_options *o) {
    const sqn_driver *driver = driver_of(o);
    return driver != NULL && driver->server;
}

static sqn_status no_driver(const char *dialect, sqn_err *e) {
    char known[80] = "";
    for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++) {
        size_t n = strlen(known);
        snprintf(known + n, sizeof known - n, "%s%s", n ? ", " : "", drivers[i]->dialect);
    }
    return SQN_FAIL(e, SQN_MISUSE, "no driver for the dialect '%s' (there are: %s)", dialect,
                    known);
}

sqn_status sqn_conn_open(const sqn_conn_options *o, sqn_conn **out, sqn_err *e) {
    const sqn_driver *driver = driver_of(o);
    if (driver == NULL) return no_driver(o->dialect, e);
    if (o->port < 0 || o->port > 65535)
        return SQN_FAIL(e, SQN_MISUSE, "'port' must lie between 1 and 65535, not %d", o->port);
    SQN_TRY(driver->connect(o, out, e));
    (*out)->driver = driver;
    (*out)->defaults = (sqn_run_options){
        .timeout = o->timeout > 0 ? o->timeout : SQN_DB_TIMEOUT,
        .max_rows = o->max_rows > 0 ? o->max_rows : SQN_DB_MAX_ROWS,
        .max_bytes = o->max_bytes > 0 ? o->max_bytes : SQN_DB_MAX_BYTES,
    };
    return SQN_OK;
}

void sqn_conn_close(sqn_conn *c) {
    if (c != NULL) c->driver->close(c);
}

sqn_status sqn_conn_run(sqn_conn *c, const char *sql, size_t n, const sqn_run_options *o,
                        sqn_err *e) {
    const sqn_run_options *d = &c->defaults;
    double timeout = o && o->timeout > 0 ? o->timeout : d->timeout;
    c->rows = c->bytes = 0;
    c->max_rows = o && o->max_rows > 0 ? o->max_rows : d->max_rows;
    c->max_bytes = o && o->max_bytes > 0 ? o->max_bytes : d->max_bytes;
    c->driver->finish(c);
    c->raw = o && o->raw;
    return c->driver->run(c, sql, n, sqn_db_clock() + timeout, o && o->trusted, e);
}

int sqn_conn_columns(sqn_conn *c) { return c->driver->columns(c); }
const char *sqn_conn_column_name(sqn_conn *c, int i) { return c->driver->column_name(c, i); }
void sqn_conn_finish(sqn_conn *c) { c->driver->finish(c); }
void sqn_conn_cancel(sqn_conn *c) { c->driver->cancel(c); }

void sqn_conn_hold(sqn_conn *c, bool on) {
    if (c->driver->hold == NULL) return;
    c->driver->finish(c);
    c->driver->hold(c, on);
}

sqn_status sqn_conn_next(sqn_conn *c, const sqn_cell **row, sqn_err *e) {
    sqn_status status = c->driver->next(c, row, e);
    if (status != SQN_OK || *row == NULL) return status;
    int columns = c->driver->columns(c);
    c->rows++;
    for (int i = 0; i < columns; i++)
        c->bytes += 16 + (sqn_cell_has_bytes(&(*row)[i]) ? (int64_t)(*row)[i].length : 0);
    if (c->rows <= c->max_rows && c->bytes <= c->max_bytes) return SQN_OK;
    c->driver->finish(c);
    if (c->rows > c->max_rows)
        return SQN_FAIL(e, SQN_LIMIT, "more than %lld rows", (long long)c->max_rows);
    return SQN_FAIL(e, SQN_LIMIT, "more than %lld bytes of rows", (long long)c->max_bytes);
}

static sqn_status keep_names(sqn_result *r, sqn_conn *c, sqn_err *e) {
    r->columns = sqn_conn_columns(c);
    r->names = sqn_calloc((size_t)r->columns, sizeof *r->names, e);
    if (r->names == NULL) return SQN_NOMEM;
    for (int i = 0; i < r->columns; i++) {
        const char *name = sqn_conn_column_name(c, i);
        r->names[i] = sqn_arena_copy(&r->bytes, name, strlen(name), e);
        if (r->names[i] == NULL) return SQN_NOMEM;
    }
    return SQN_OK;
}

static sqn_status keep_row(sqn_result *r, int64_t *room, const sqn_cell *row, sqn_err *e) {
    if (r->rows == *room) {
        int64_t wanted = *room ? 2 * *room : FIRST_CELLS;
        size_t bytes = (size_t)wanted * (size_t)r->columns * sizeof *r->cells;
        sqn_cell *grown = sqn_realloc(r->cells, bytes, e);
        if (grown == NULL) return SQN_NOMEM;
        r->cells = grown;
        *room = wanted;
    }
    sqn_cell *to = r->cells + r->rows * r->columns;
    for (int i = 0; i < r->columns; i++) {
        to[i] = row[i];
        if (!sqn_cell_has_bytes(&row[i])) continue;
        to[i].as.bytes = sqn_arena_copy(&r->bytes, row[i].as.bytes, row[i].length, e);
        if (to[i].as.bytes == NULL) return SQN_NOMEM;
    }
    r->rows++;
    return SQN_OK;
}

sqn_status sqn_conn_query(sqn_conn *c, const char *sql, size_t n, const sqn_run_options *o,
                          sqn_result **out, sqn_err *e) {
    double start = sqn_db_clock();
    sqn_status status;
    int64_t room = 0;
    const sqn_cell *row;
    sqn_result *r = sqn_calloc(1, sizeof *r, e);
    if (r == NULL) return SQN_NOMEM;
    SQN_GOTO(sqn_conn_run(c, sql, n, o, e));
    SQN_GOTO(keep_names(r, c, e));
    for (;;) {
        SQN_GOTO(sqn_conn_next(c, &row, e));
        if (row == NULL) break;
        SQN_GOTO(keep_row(r, &room, row, e));
    }
    sqn_conn_finish(c);
    r->seconds = nearbyint(1e9 * (sqn_db_clock() - start)) / 1e9; /* what the clock can say */
    *out = r;
    return SQN_OK;
fail:
    sqn_conn_finish(c);
    sqn_result_release(r);
    return status;
}

void sqn_result_release(sqn_result *r) {
    if (r == NULL) return;
    sqn_arena_release(&r->bytes);
    sqn_free(r->cells);
    sqn_free(r->names);
    sqn_free(r);
}
