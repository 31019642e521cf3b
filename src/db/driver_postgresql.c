/* PostgreSQL through libpq: read-only sessions for SQL that nobody reviewed.
 *
 * Rules: a statement runs as given, alone, inside BEGIN READ ONLY … ROLLBACK, after the guard
 * (postgresql_guard.h) looked at its words. The server ends it at the deadline; where it does not,
 * a cancel is sent; where that does not help, the connection is given up and the next statement
 * makes a new one. So does a statement whose connection was found broken. A trusted statement runs
 * alone without the transaction and the guard. Messages hold what the server says, never a
 * password.
 */
#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/interrupt.h"
#include "core/library.h"
#include "db/driver.h"
#include "db/postgresql_guard.h"
#include "db/postgresql_value.h"

/* clang-format off */
#define PQ_FUNCTIONS(F) \
    F(PQcancel) F(PQclear) F(PQconnectPoll) F(PQconnectStartParams) F(PQconsumeInput) \
    F(PQenterPipelineMode) F(PQerrorMessage) F(PQexitPipelineMode) F(PQfinish) F(PQflush) \
    F(PQfname) F(PQfreeCancel) F(PQftype) F(PQgetCancel) F(PQgetResult) F(PQgetisnull) \
    F(PQgetlength) F(PQgetvalue) F(PQisBusy) F(PQnfields) F(PQntuples) F(PQpipelineSync) \
    F(PQresultErrorField) F(PQresultStatus) F(PQsendQuery) F(PQsendQueryParams) \
    F(PQserverVersion) F(PQsetNoticeReceiver) F(PQsetSingleRowMode) F(PQsetnonblocking) \
    F(PQsocket) F(PQstatus)
/* clang-format on */
SQN_LIBRARY(pq, "libpq.so.5", PQ_FUNCTIONS);

/* How often a wait looks at the flags; how long past the deadline the server may take to say that
 * it ended the statement, and then to obey a cancel. Seconds. */
static const double slice = 0.05, patience = 0.03, obedience = 0.1;

typedef struct postgresql_conn {
    sqn_conn base;
    sqn_conn_options options; /* owned; to connect again */
    sqn_guarded_names names;
    PGconn *pg;       /* owned; NULL: lost */
    PGresult *result; /* owned; the row at hand, or the first one before it is asked for */
    sqn_cell *row;    /* owned, [columns] */
    sqn_buf *texts;   /* owned, [columns]; what cells of the row borrow */
    int columns;
    double deadline;     /* of the wait that goes on */
    bool running;        /* results of the statement are to come */
    bool in_transaction; /* to be rolled back */
    bool cleaning;       /* the roll-back was sent, its results are to come */
    atomic_bool cancelled;
} postgresql_conn;

/* ---- waiting ---- */

/* Until the socket is ready for the events. */
static sqn_status wait_for(postgresql_conn *c, short events, sqn_err *e) {
    struct pollfd p = {.fd = pq.PQsocket(c->pg), .events = events};
    for (;;) {
        SQN_TRY(sqn_interrupt_check(e));
        if (atomic_load(&c->cancelled)) return SQN_FAIL(e, SQN_INTERRUPT, "interrupted");
        double left = c->deadline - sqn_db_clock();
        if (left <= 0) return SQN_FAIL(e, SQN_TIMEOUT, "the statement ran out of time");
        int n = poll(&p, 1, (int)(1000 * (left < slice ? left : slice)) + 1);
        if (n > 0) return SQN_OK;
        if (n < 0 && errno != EINTR) return SQN_FAIL(e, SQN_IO, "poll: %s", strerror(errno));
    }
}

/* A message of libpq's as one line. */
static void one_line(char *to, size_t room, const char *message) {
    size_t n = 0;
    for (const char *s = message ? message : ""; *s && n + 3 < room; s++) {
        if (*s != '\n') {
            to[n++] = *s;
        } else if (s[1] != '\0') {
            to[n++] = ';';
            to[n++] = ' ';
        }
    }
    to[n] = '\0';
}

static void forget_result(postgresql_conn *c) {
    pq.PQclear(c->result);
    c->result = NULL;
}

static void give_up(postgresql_conn *c) {
    forget_result(c);
    pq.PQfinish(c->pg);
    c->pg = NULL;
    c->running = c->in_transaction = c->cleaning = false;
}

static sqn_status lost(postgresql_conn *c, sqn_err *e) {
    char message[400];
    one_line(message, sizeof message, pq.PQerrorMessage(c->pg));
    give_up(c);
    return SQN_FAIL(e, SQN_IO, "the connection was lost: %s", message);
}

/* The next result; *out NULL: there are no more. */
static sqn_status next_result(postgresql_conn *c, PGresult **out /* owned */, sqn_err *e) {
    for (int unsent = 1; unsent != 0;) {
        unsent = pq.PQflush(c->pg);
        if (unsent < 0) return lost(c, e);
        if (unsent > 0) SQN_TRY(wait_for(c, POLLIN | POLLOUT, e));
        if (unsent > 0 && !pq.PQconsumeInput(c->pg)) return lost(c, e);
    }
    while (pq.PQisBusy(c->pg)) {
        SQN_TRY(wait_for(c, POLLIN, e));
        if (!pq.PQconsumeInput(c->pg)) return lost(c, e);
    }
    *out = pq.PQgetResult(c->pg);
    return SQN_OK;
}

/* What the server said of a statement that it refused. */
static sqn_status refused(postgresql_conn *c, const PGresult *r, sqn_err *e) {
    const char *state = pq.PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *text = pq.PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    const char *hint = pq.PQresultErrorField(r, PG_DIAG_MESSAGE_HINT);
    const char *detail = pq.PQresultErrorField(r, PG_DIAG_MESSAGE_DETAIL);
    char more[200] = "";
    if (state && strcmp(state, "08P01") == 0)
        return SQN_FAIL(e, SQN_DB, "the statement has parameters without values");
    if (state == NULL || strncmp(state, "08", 2) == 0 || strncmp(state, "57P", 3) == 0)
        return lost(c, e);
    if (strcmp(state, "57014") == 0 && atomic_load(&c->cancelled))
        return SQN_FAIL(e, SQN_INTERRUPT, "interrupted");
    if ((strcmp(state, "57014") == 0 && text && strstr(text, "timeout")) ||
        strcmp(state, "55P03") == 0)
        return SQN_FAIL(e, SQN_TIMEOUT, "the statement ran out of time");
    sqn_status status = SQN_DB;
    if (strcmp(state, "25006") == 0 || strcmp(state, "42501") == 0) status = SQN_DENIED;
    if (strncmp(state, "53", 2) == 0) status = SQN_LIMIT;
    if (detail || hint) snprintf(more, sizeof more, " (%s)", detail ? detail : hint);
    char message[400];
    one_line(message, sizeof message, text ? text : "the server refused it");
    return SQN_FAIL(e, status, "%s%s", message, more);
}

/* Takes all results that are to come; fails with the first error among them. */
static sqn_status drain(postgresql_conn *c, sqn_err *e) {
    sqn_status status = SQN_OK;
    PGresult *r;
    for (;;) {
        SQN_TRY(next_result(c, &r, e));
        if (r == NULL) return status;
        ExecStatusType kind = pq.PQresultStatus(r);
        if (kind == PGRES_FATAL_ERROR && status == SQN_OK) status = refused(c, r, e);
        pq.PQclear(r);
        if (c->pg == NULL) return status;
    }
}

/* ---- ending ---- */

static void *send_cancel(void *cancel) {
    char message[256];
    pq.PQcancel(cancel, message, sizeof message);
    pq.PQfreeCancel(cancel);
    return NULL;
}

/* Tells the server to end what runs. PQcancel may block for ever, so another thread calls it. True
 * when the cancel has reached the server: later it could hit the next statement. */
static bool cancel_on_server(postgresql_conn *c, double until) {
    PGcancel *cancel = pq.PQgetCancel(c->pg);
    pthread_t thread;
    sigset_t all, before;
    struct timespec t = {(time_t)until, (long)(1e9 * (until - (double)(time_t)until))};
    if (cancel == NULL) return false;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread, NULL, send_cancel, cancel);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        pq.PQfreeCancel(cancel);
        return false;
    }
    if (pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &t) == 0) return true;
    pthread_detach(thread);
    return false;
}

/* Ends the statement that runs: by a cancel, or by giving the connection up. */
static void stop(postgresql_conn *c) {
    bool cancelled = atomic_exchange(&c->cancelled, false);
    double until = sqn_db_clock() + obedience;
    c->deadline = until;
    if (!cancel_on_server(c, until)) {
        give_up(c);
    } else {
        sqn_status status = drain(c, NULL);
        if (status == SQN_TIMEOUT || status == SQN_INTERRUPT) give_up(c);
    }
    c->running = false;
    atomic_store(&c->cancelled, cancelled);
}

static void postgresql_finish(sqn_conn *conn) {
    postgresql_conn *c = (postgresql_conn *)conn;
    forget_result(c);
    if (c->pg != NULL && c->running) stop(c);
    if (c->pg != NULL && c->in_transaction) {
        /* what outlives a roll-back goes too; its results are read before the next statement */
        if (pq.PQsendQuery(c->pg,
                           "ROLLBACK; SELECT pg_catalog.pg_advisory_unlock_all(); CLOSE ALL; "
                           "DEALLOCATE ALL; UNLISTEN *") &&
            pq.PQflush(c->pg) >= 0)
            c->cleaning = true;
        else
            give_up(c);
    }
    c->in_transaction = c->running = false;
    for (int i = 0; i < c->columns; i++) sqn_buf_release(&c->texts[i]);
    sqn_free(c->texts);
    sqn_free(c->row);
    c->texts = NULL;
    c->row = NULL;
    c->columns = 0;
}

/* ---- connecting ---- */

static void drop_notice(void *self, const PGresult *r) {
    (void)self;
    (void)r;
}

/* Runs statements of ours. */
static sqn_status command(postgresql_conn *c, const char *sql, sqn_err *e) {
    if (!pq.PQsendQuery(c->pg, sql)) return lost(c, e);
    return drain(c, e);
}

/* What values look like and what costs time no cancel can end. */
static const char settings[] =
    "SET default_transaction_read_only = on; SET datestyle = ISO; SET intervalstyle = postgres; "
    "SET bytea_output = hex; SET standard_conforming_strings = on; SET statement_timeout = 0";

static sqn_status read_names(postgresql_conn *c, sqn_err *e) {
    sqn_status status = SQN_OK;
    PGresult *r = NULL;
    if (!pq.PQsendQuery(c->pg, sqn_postgresql_volatile_query)) return lost(c, e);
    SQN_TRY(next_result(c, &r, e));
    if (pq.PQresultStatus(r) != PGRES_TUPLES_OK) status = refused(c, r, e);
    for (int i = 0; status == SQN_OK && i < pq.PQntuples(r); i++)
        status = sqn_guarded_names_add(&c->names, pq.PQgetvalue(r, i, 0), e);
    pq.PQclear(r);
    if (status == SQN_OK) status = drain(c, e);
    sqn_guarded_names_sort(&c->names);
    return status;
}

/* A session with our settings, on a connection that was made. */
static sqn_status prepare(postgresql_conn *c, sqn_err *e) {
    pq.PQsetNoticeReceiver(c->pg, drop_notice, NULL);
    if (pq.PQsetnonblocking(c->pg, 1) != 0) return lost(c, e);
    SQN_TRY(command(c, settings, e));
    if (pq.PQserverVersion(c->pg) < 120000) SQN_TRY(command(c, "SET extra_float_digits = 3", e));
    if (pq.PQserverVersion(c->pg) >= 110000) SQN_TRY(command(c, "SET jit = off", e));
    sqn_guarded_names_release(&c->names);
    return read_names(c, e);
}

/* Whether a server answered that it does not want us, which trying again will not change. */
static bool refuses(const char *message) {
    static const char *const passing[] = {"starting up", "shutting down", "in recovery mode",
                                          "too many clients", "remaining connection slots"};
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++)
        if (strstr(message, passing[i])) return false;
    return strstr(message, "FATAL:") != NULL;
}

static sqn_status connecting(postgresql_conn *c, sqn_err *e) {
    const char *host = c->options.socket ? c->options.socket : c->options.host;
    char port[16] = "", message[400];
    if (c->options.port > 0) snprintf(port, sizeof port, "%d", c->options.port);
    const char *const keys[] = {"host",
                                "port",
                                "user",
                                "password",
                                "dbname",
                                "sslmode",
                                "sslrootcert",
                                "client_encoding",
                                "fallback_application_name",
                                NULL};
    const char *const values[] = {host,
                                  port,
                                  c->options.user,
                                  c->options.password,
                                  c->options.database,
                                  c->options.sslmode,
                                  c->options.ssl_ca,
                                  "UTF8",
                                  "sqlune",
                                  NULL};
    c->pg = pq.PQconnectStartParams(keys, values, 0);
    if (c->pg == NULL) return SQN_FAIL(e, SQN_NOMEM, "no memory for a connection");
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    while (pq.PQstatus(c->pg) != CONNECTION_BAD) {
        SQN_TRY(wait_for(c, state == PGRES_POLLING_READING ? POLLIN : POLLOUT, e));
        state = pq.PQconnectPoll(c->pg);
        if (state == PGRES_POLLING_OK) return SQN_OK;
        if (state == PGRES_POLLING_FAILED) break;
    }
    one_line(message, sizeof message, pq.PQerrorMessage(c->pg));
    return SQN_FAIL(e, refuses(message) ? SQN_DB : SQN_IO, "%s", message);
}

static sqn_status connect_by(postgresql_conn *c, double deadline, sqn_err *e) {
    c->deadline = deadline;
    sqn_status status = connecting(c, e);
    if (status == SQN_OK) status = prepare(c, e);
    if (status != SQN_OK && c->pg != NULL) give_up(c);
    return status;
}

static void postgresql_close(sqn_conn *conn) {
    postgresql_conn *c = (postgresql_conn *)conn;
    c->in_transaction = false; /* closing ends it */
    postgresql_finish(conn);
    if (c->pg != NULL) give_up(c);
    sqn_guarded_names_release(&c->names);
    sqn_conn_options_release(&c->options);
    sqn_free(c);
}

static sqn_status postgresql_connect(const sqn_conn_options *o, sqn_conn **out, sqn_err *e) {
    sqn_status status;
    SQN_TRY(sqn_library_open(&pq_library, e));
    postgresql_conn *c = sqn_calloc(1, sizeof *c, e);
    if (c == NULL) return SQN_NOMEM;
    SQN_GOTO(sqn_conn_options_copy(o, &c->options, e));
    SQN_GOTO(connect_by(c, sqn_db_clock() + (o->timeout > 0 ? o->timeout : SQN_DB_TIMEOUT), e));
    *out = &c->base;
    return SQN_OK;
fail:
    postgresql_close(&c->base);
    return status;
}

/* ---- statements ---- */

/* BEGIN, with the server's own deadline. */
static sqn_status begin(postgresql_conn *c, double deadline, sqn_err *e) {
    char sql[120];
    double left = 1000 * (deadline - sqn_db_clock());
    long ms = left < 1 ? 1 : left > 2e9 ? 0 : (long)left;
    snprintf(sql, sizeof sql, "BEGIN TRANSACTION READ ONLY; SET LOCAL statement_timeout = %ld", ms);
    SQN_TRY(command(c, sql, e));
    c->in_transaction = true;
    return SQN_OK;
}

/* Ready for a statement: what came before is cleaned away, a lost connection is made again. */
static sqn_status get_ready(postgresql_conn *c, const char *sql, size_t n, double deadline,
                            bool trusted, sqn_err *e) {
    bool fresh = c->pg == NULL;
    sqn_status status = SQN_OK;
    sqn_err inner = SQN_ERR_INIT;
    c->deadline = deadline + patience;
    if (fresh) SQN_TRY(connect_by(c, c->deadline, e));
    if (!trusted) SQN_TRY(sqn_postgresql_scan(sql, n, &c->names, e));
    if (c->cleaning) status = drain(c, &inner);
    c->cleaning = false;
    if (status == SQN_DB && c->pg != NULL) { /* a standby refuses a part; the roll-back was first */
        status = SQN_OK;
        sqn_err_clear(&inner);
    }
    if (status == SQN_OK && !trusted) status = begin(c, deadline, &inner);
    if (status == SQN_OK) return SQN_OK;
    bool broken = c->pg == NULL;
    if (!broken) give_up(c); /* results may still be on their way */
    if (!broken || fresh) return SQN_FAIL(e, status, "%s", inner.message);
    SQN_TRY(connect_by(c, c->deadline, e)); /* it broke while it was idle */
    return trusted ? SQN_OK : begin(c, deadline, e);
}

/* Room for the columns of the result. */
static sqn_status take_columns(postgresql_conn *c, sqn_err *e) {
    int n = pq.PQnfields(c->result);
    c->row = sqn_calloc((size_t)n, sizeof *c->row, e);
    c->texts = sqn_calloc((size_t)n, sizeof *c->texts, e);
    if (c->row == NULL || c->texts == NULL) return SQN_NOMEM;
    c->columns = n;
    return SQN_OK;
}

/* The statement's first or next result becomes c->result; a failure ends the statement. */
static sqn_status fetch(postgresql_conn *c, sqn_err *e) {
    PGresult *r;
    forget_result(c);
    SQN_TRY(next_result(c, &r, e));
    c->result = r;
    switch (r ? pq.PQresultStatus(r) : PGRES_FATAL_ERROR) {
    case PGRES_SINGLE_TUPLE:
        return SQN_OK;
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
        c->running = false;
        return drain(c, e);
    case PGRES_EMPTY_QUERY:
        return SQN_FAIL(e, SQN_DB, "the statement is empty");
    case PGRES_FATAL_ERROR:
        c->running = false;
        if (r == NULL) return SQN_FAIL(e, SQN_DB, "the server gave no result");
        refused(c, r, e);
        if (c->pg != NULL) drain(c, NULL);
        return e ? e->code : SQN_DB;
    default: /* COPY */
        give_up(c);
        return SQN_FAIL(e, SQN_DENIED, "not allowed: a statement that copies");
    }
}

static sqn_status postgresql_run(sqn_conn *conn, const char *sql, size_t n, double deadline,
                                 bool trusted, sqn_err *e) {
    postgresql_conn *c = (postgresql_conn *)conn;
    sqn_status status;
    atomic_store(&c->cancelled, false);
    if (memchr(sql, '\0', n)) return SQN_FAIL(e, SQN_DB, "the statement holds a NUL character");
    if (!sqn_cell_text_valid(sql, n))
        return SQN_FAIL(e, SQN_DB, "the statement is not valid UTF-8");
    SQN_TRY(get_ready(c, sql, n, deadline, trusted, e));
    if (!pq.PQsendQueryParams(c->pg, sql, 0, NULL, NULL, NULL, NULL, 0)) return lost(c, e);
    c->running = true;
    if (!pq.PQsetSingleRowMode(c->pg)) SQN_GOTO(SQN_FAIL(e, SQN_DB, "no single rows"));
    SQN_GOTO(fetch(c, e));
    SQN_GOTO(take_columns(c, e));
    return SQN_OK;
fail:
    postgresql_finish(conn);
    return status;
}

static int postgresql_columns(sqn_conn *conn) { return ((postgresql_conn *)conn)->columns; }

static const char *postgresql_column_name(sqn_conn *conn, int i) {
    const char *name = pq.PQfname(((postgresql_conn *)conn)->result, i);
    return name ? name : "";
}

static unsigned postgresql_column_type(sqn_conn *conn, int i) {
    return pq.PQftype(((postgresql_conn *)conn)->result, i);
}

static sqn_status take_row(postgresql_conn *c, sqn_err *e) {
    for (int i = 0; i < c->columns; i++) {
        const char *text = pq.PQgetvalue(c->result, 0, i);
        size_t n = (size_t)pq.PQgetlength(c->result, 0, i);
        sqn_cell *cell = &c->row[i];
        if (pq.PQgetisnull(c->result, 0, i))
            *cell = (sqn_cell){.kind = SQN_CELL_NULL};
        else if (c->base.raw)
            *cell = (sqn_cell){SQN_CELL_TEXT, !sqn_cell_text_valid(text, n), n, {.bytes = text}};
        else
            SQN_TRY(sqn_pg_cell(pq.PQftype(c->result, i), text, n, &c->texts[i], cell, e));
    }
    return SQN_OK;
}

/* The first result was fetched by run, so each call takes the one at hand, then fetches on the next
 * call. */
static sqn_status postgresql_next(sqn_conn *conn, const sqn_cell **row, sqn_err *e) {
    postgresql_conn *c = (postgresql_conn *)conn;
    sqn_status status = SQN_OK;
    *row = NULL;
    if (c->base.rows > 0 && c->running) status = fetch(c, e);
    if (status == SQN_OK && c->running) {
        status = take_row(c, e);
        *row = c->row;
    }
    if (status == SQN_OK && c->running) return SQN_OK;
    *row = NULL;
    postgresql_finish(conn);
    return status;
}

/* ---- batches ---- */

/* Each with a sync of its own, which makes it a transaction of its own. */
static bool send_in_pipeline(PGconn *pg, const char *sql) {
    return pq.PQsendQueryParams(pg, sql, 0, NULL, NULL, NULL, NULL, 0) && pq.PQpipelineSync(pg);
}

/* Takes the results of the next statement, up to its sync. */
static sqn_status take_from_pipeline(postgresql_conn *c, const sqn_batch *b, size_t i, sqn_err *e) {
    for (;;) {
        PGresult *r;
        sqn_err inner = SQN_ERR_INIT;
        SQN_TRY(next_result(c, &r, e));
        ExecStatusType kind = pq.PQresultStatus(r);
        if (kind == PGRES_FATAL_ERROR && r != NULL && i < b->n)
            b->status[i] = refused(c, r, &inner);
        for (int k = 0; kind == PGRES_TUPLES_OK && k < pq.PQntuples(r); k++) {
            const char *text = pq.PQgetvalue(r, k, 0);
            size_t n = (size_t)pq.PQgetlength(r, k, 0);
            sqn_cell cell = {SQN_CELL_TEXT, !sqn_cell_text_valid(text, n), n, {.bytes = text}};
            if (pq.PQgetisnull(r, k, 0)) cell = (sqn_cell){.kind = SQN_CELL_NULL};
            b->row(b->self, i, pq.PQftype(r, 0), &cell);
        }
        pq.PQclear(r);
        if (c->pg == NULL) return SQN_FAIL(e, inner.code, "%s", inner.message);
        if (kind == PGRES_PIPELINE_SYNC) return SQN_OK;
    }
}

static sqn_status run_pipeline(postgresql_conn *c, const sqn_batch *b, sqn_err *e) {
    char limit[64];
    snprintf(limit, sizeof limit, "SET statement_timeout = %ld", (long)(1000 * b->timeout) + 1);
    bool sent = pq.PQenterPipelineMode(c->pg) && send_in_pipeline(c->pg, limit);
    for (size_t i = 0; i < b->n && sent; i++) sent = send_in_pipeline(c->pg, b->sql[i]);
    if (!sent || !send_in_pipeline(c->pg, "SET statement_timeout = 0")) return lost(c, e);
    SQN_TRY(take_from_pipeline(c, b, b->n, e));
    for (size_t i = 0; i <= b->n; i++) SQN_TRY(take_from_pipeline(c, b, i, e));
    return pq.PQexitPipelineMode(c->pg) ? SQN_OK : lost(c, e);
}

static sqn_status postgresql_run_batch(sqn_conn *conn, const sqn_batch *b, sqn_err *e) {
    postgresql_conn *c = (postgresql_conn *)conn;
    postgresql_finish(conn);
    atomic_store(&c->cancelled, false);
    for (size_t i = 0; i < b->n; i++) b->status[i] = SQN_OK;
    SQN_TRY(get_ready(c, "", 0, sqn_db_clock() + (double)(b->n + 1) * b->timeout, true, e));
    sqn_status status = run_pipeline(c, b, e);
    if (status != SQN_OK && c->pg != NULL) give_up(c);
    return status;
}

static void postgresql_cancel(sqn_conn *conn) {
    atomic_store(&((postgresql_conn *)conn)->cancelled, true);
}

const sqn_driver sqn_driver_postgresql = {
    .dialect = "postgresql",
    .server = true,
    .connect = postgresql_connect,
    .run = postgresql_run,
    .columns = postgresql_columns,
    .column_name = postgresql_column_name,
    .column_type = postgresql_column_type,
    .next = postgresql_next,
    .run_batch = postgresql_run_batch,
    .finish = postgresql_finish,
    .cancel = postgresql_cancel,
    .close = postgresql_close,
};
