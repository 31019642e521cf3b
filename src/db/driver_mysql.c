/* MySQL and MariaDB: connections that only read, for SQL that nobody reviewed.
 *
 * Rules: a statement is looked over (mysql_review.h) and runs in a read-only transaction of a
 * session whose settings are pinned; afterwards the session is reset, so that nothing it set
 * (variables, locks, temporary tables) is left. The client library's non-blocking calls let every
 * wait look at the clock: at the deadline a second connection kills the statement, and a server
 * that does not answer loses the connection. A connection that was cut is made anew by the next
 * statement.
 */
#include <errno.h>
#include <math.h>
#include <mysqld_error.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "core/buf.h"
#include "core/interrupt.h"
#include "core/library.h"
#include "db/driver.h"
#include "db/driver_mysql_cells.h"
#include "db/mysql_review.h"

/* clang-format off */
#define MY_FUNCTIONS(F) \
    F(mariadb_connection) F(mysql_close) F(mysql_errno) F(mysql_error) F(mysql_fetch_fields) \
    F(mysql_fetch_lengths) F(mysql_fetch_row_cont) F(mysql_fetch_row_start) F(mysql_field_count) \
    F(mysql_free_result) F(mysql_free_result_cont) F(mysql_free_result_start) F(mysql_get_socket) \
    F(mysql_get_timeout_value_ms) F(mysql_init) F(mysql_num_fields) F(mysql_optionsv) \
    F(mysql_real_connect_cont) F(mysql_real_connect_start) F(mysql_real_query_cont) \
    F(mysql_real_query_start) F(mysql_reset_connection_cont) F(mysql_reset_connection_start) \
    F(mysql_server_init) F(mysql_set_local_infile_handler) F(mysql_thread_id) F(mysql_use_result)
/* clang-format on */
SQN_LIBRARY(my, "libmariadb.so.3", MY_FUNCTIONS);

enum {
    MAX_SQL_BYTES = 1 << 18, /* length of a statement */
    SLICE_MS = 20,           /* between two looks at the clock */
    CONNECT_SECONDS = 10,    /* longest wait for a server, if the statement may take longer */
};
static const double grace_seconds = 0.2;     /* from the kill to the cut */
static const double cleanup_seconds = 1.0;   /* to take back what a statement left */
static const double session_bytes = 1 << 30; /* memory of the session on a MariaDB server */

typedef struct mysql_conn {
    sqn_conn base;
    sqn_conn_options o;  /* owned copies */
    MYSQL *db;           /* owned; NULL: cut */
    MYSQL_RES *result;   /* owned; of the statement that runs */
    MYSQL_FIELD *fields; /* borrowed from the result */
    int columns;
    sqn_cell *row;                      /* owned, [columns] */
    char (*rooms)[SQN_MYSQL_CELL_ROOM]; /* owned, [columns] */
    char *sql_mode;                     /* owned; the server's when the connection was made */
    sqn_mysql_quoting quoting;
    unsigned long thread; /* the server's name for the connection */
    bool mariadb;
    bool used;                /* a statement of others ran: the session must be reset */
    bool was_reset;           /* the session has its own character set again */
    bool unfinished;          /* rows of the statement are still to come */
    atomic_bool cancelled;    /* set by another thread */
    double deadline, give_up; /* when the statement is killed; when the connection is cut */
    sqn_status stop;          /* why the statement was stopped; SQN_OK if it was not */
    bool cut;                 /* the socket was shut */
} mysql_conn;

/* ---- connecting ---- */

static int refuse_file(void **p, const char *name, void *self) {
    (void)p, (void)name, (void)self;
    return 1;
}
static int read_nothing(void *p, char *buf, unsigned n) {
    (void)p, (void)buf, (void)n;
    return -1;
}
static void end_nothing(void *p) { (void)p; }
static int file_error(void *p, char *message, unsigned n) {
    (void)p;
    snprintf(message, n, "LOAD DATA LOCAL is not allowed");
    return 2000;
}

/* TLS by PostgreSQL's words or MySQL's. The library has no "prefer": it asks, if it is told to. */
static sqn_status set_tls(MYSQL *m, const sqn_conn_options *o, sqn_err *e) {
    static const struct {
        const char *name;
        int level; /* 0 never, 1 as the files say, 2 must, 3 must and check */
    } modes[] = {{"disable", 0},   {"disabled", 0},    {"allow", 1},          {"prefer", 1},
                 {"preferred", 1}, {"require", 2},     {"required", 2},       {"verify-ca", 3},
                 {"verify_ca", 3}, {"verify-full", 3}, {"verify_identity", 3}};
    const char *mode = o->sslmode ? o->sslmode : "prefer";
    int level = -1;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strcasecmp(modes[i].name, mode) == 0) level = modes[i].level;
    if (level < 0)
        return SQN_FAIL(e, SQN_MISUSE,
                        "'sslmode' is '%s'; there are disable, prefer, require, verify-ca, "
                        "verify-full",
                        mode);
    if (level == 3 && o->ssl_ca == NULL)
        return SQN_FAIL(e, SQN_MISUSE, "sslmode '%s' needs an 'ssl_ca'", mode);
    my_bool enforce = level >= 2, verify = level == 3;
    if (level != 1) my.mysql_optionsv(m, MYSQL_OPT_SSL_ENFORCE, &enforce);
    if (level != 1) my.mysql_optionsv(m, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
    if (o->ssl_ca != NULL) my.mysql_optionsv(m, MYSQL_OPT_SSL_CA, o->ssl_ca);
    return SQN_OK;
}

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static void start_library(void) { my.mysql_server_init(0, NULL, NULL); }

/* A handle that is ready to connect. */
static sqn_status new_handle(const sqn_conn_options *o, unsigned seconds, MYSQL **out, sqn_err *e) {
    pthread_once(&library_once, start_library);
    MYSQL *m = my.mysql_init(NULL);
    if (m == NULL) return SQN_FAIL(e, SQN_NOMEM, "out of memory for a connection");
    unsigned off = 0;
    my_bool no = 0;
    size_t packet = (size_t)(o->max_bytes > 0 ? o->max_bytes : SQN_DB_MAX_BYTES); /* of one row */
    my.mysql_optionsv(m, MYSQL_READ_DEFAULT_GROUP, "sqlune"); /* and [client]: ~/.my.cnf */
    my.mysql_optionsv(m, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    my.mysql_optionsv(m, MYSQL_OPT_LOCAL_INFILE, &off);
    my.mysql_optionsv(m, MYSQL_OPT_RECONNECT, &no);
    my.mysql_optionsv(m, MYSQL_OPT_CONNECT_TIMEOUT, &seconds);
    my.mysql_optionsv(m, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet);
    my.mysql_optionsv(m, MYSQL_OPT_NONBLOCK, 0);
    my.mysql_set_local_infile_handler(m, refuse_file, read_nothing, end_nothing, file_error, NULL);
    sqn_status status = set_tls(m, o, e);
    if (status == SQN_OK)
        *out = m;
    else
        my.mysql_close(m);
    return status;
}

/* What real_connect is called with: a socket counts only for this host. */
static const char *host_of(const sqn_conn_options *o) {
    if (o->socket != NULL) return "localhost";
    return o->host != NULL ? o->host : getenv("MYSQL_HOST");
}

/* ---- waiting ---- */

/* What of the wanted events came within the time; 0: nothing. */
static int poll_events(MYSQL *m, int wanted, int milliseconds) {
    struct pollfd p = {.fd = my.mysql_get_socket(m)};
    int ready = 0;
    if (wanted & MYSQL_WAIT_READ) p.events |= POLLIN;
    if (wanted & MYSQL_WAIT_WRITE) p.events |= POLLOUT;
    if (wanted & MYSQL_WAIT_EXCEPT) p.events |= POLLPRI;
    if (poll(&p, 1, milliseconds) <= 0) return 0;
    if (p.revents & (POLLIN | POLLHUP | POLLERR)) ready |= MYSQL_WAIT_READ;
    if (p.revents & (POLLOUT | POLLHUP | POLLERR)) ready |= MYSQL_WAIT_WRITE;
    if (p.revents & POLLPRI) ready |= MYSQL_WAIT_EXCEPT;
    if (p.revents & POLLNVAL) ready |= wanted;
    return ready & wanted;
}

static int wait_until(MYSQL *m, int wanted, double until) {
    double left = 1e3 * (until - sqn_db_clock());
    int ready = left > 0 ? poll_events(m, wanted, (int)left + 1) : 0;
    return ready ? ready : MYSQL_WAIT_TIMEOUT;
}

/* Kills what runs, from a second connection, within the grace or not at all. */
static bool kill_statement(mysql_conn *c) {
    MYSQL *m, *done = NULL;
    char sql[64];
    double until = sqn_db_clock() + grace_seconds;
    int failed = 1;
    if (new_handle(&c->o, 1, &m, NULL) != SQN_OK) return false;
    int n = snprintf(sql, sizeof sql, "KILL QUERY %lu", c->thread);
    int wait = my.mysql_real_connect_start(&done, m, host_of(&c->o), c->o.user, c->o.password,
                                           c->o.database, (unsigned)c->o.port, c->o.socket, 0);
    while (wait) wait = my.mysql_real_connect_cont(&done, m, wait_until(m, wait, until));
    if (done != NULL) wait = my.mysql_real_query_start(&failed, m, sql, (unsigned long)n);
    while (wait) wait = my.mysql_real_query_cont(&failed, m, wait_until(m, wait, until));
    my.mysql_close(m);
    return failed == 0;
}

static void cut_socket(mysql_conn *c) {
    my_socket fd = my.mysql_get_socket(c->db);
    if (!c->cut && fd >= 0) shutdown(fd, SHUT_RDWR);
    c->cut = true;
}

static void stop_statement(mysql_conn *c, sqn_status why) {
    c->stop = why;
    bool killed = c->thread != 0 && kill_statement(c);
    c->give_up = sqn_db_clock() + grace_seconds;
    if (!killed) cut_socket(c);
}

static void look_at_clock(mysql_conn *c) {
    double now = sqn_db_clock();
    if (c->stop != SQN_OK) {
        if (now > c->give_up) cut_socket(c);
    } else if (atomic_load_explicit(&c->cancelled, memory_order_relaxed) || sqn_interrupted()) {
        stop_statement(c, SQN_INTERRUPT);
    } else if (now > c->deadline) {
        stop_statement(c, SQN_TIMEOUT);
    }
}

/* Waits until the library can go on; gives it what it waited for. */
static int wait_for(mysql_conn *c, int wanted) {
    double started = sqn_db_clock();
    double patience =
        wanted & MYSQL_WAIT_TIMEOUT ? 1e-3 * my.mysql_get_timeout_value_ms(c->db) : INFINITY;
    for (;;) {
        double until = c->stop == SQN_OK ? c->deadline : c->give_up;
        double left = 1e3 * (until - sqn_db_clock());
        int slice = left < 0 ? 0 : left < SLICE_MS ? (int)left + 1 : SLICE_MS;
        int ready = poll_events(c->db, wanted, slice);
        look_at_clock(c);
        if (ready != 0) return ready;
        if (c->cut && my.mysql_get_socket(c->db) < 0) return wanted;
        if (sqn_db_clock() - started > patience) return MYSQL_WAIT_TIMEOUT;
    }
}

static int send_query(mysql_conn *c, const char *sql, size_t n) {
    int failed, wait = my.mysql_real_query_start(&failed, c->db, sql, (unsigned long)n);
    while (wait) wait = my.mysql_real_query_cont(&failed, c->db, wait_for(c, wait));
    return failed;
}

static MYSQL_ROW fetch_row(mysql_conn *c) {
    MYSQL_ROW row;
    int wait = my.mysql_fetch_row_start(&row, c->result);
    while (wait) wait = my.mysql_fetch_row_cont(&row, c->result, wait_for(c, wait));
    return row;
}

static void free_result(mysql_conn *c) {
    if (c->result == NULL) return;
    int wait = my.mysql_free_result_start(c->result);
    while (wait) wait = my.mysql_free_result_cont(c->result, wait_for(c, wait));
    c->result = NULL;
}

/* ---- errors ---- */

static sqn_status fail_stopped(const mysql_conn *c, sqn_err *e) {
    if (c->stop == SQN_TIMEOUT) return SQN_FAIL(e, SQN_TIMEOUT, "the statement ran out of time");
    return SQN_FAIL(e, SQN_INTERRUPT, "interrupted");
}

/* Fills *e with what the library or the server says. */
static sqn_status fail_with(mysql_conn *c, sqn_err *e) {
    unsigned code = my.mysql_errno(c->db);
    const char *message = my.mysql_error(c->db);
    if (c->stop != SQN_OK) return fail_stopped(c, e);
    sqn_status kind = sqn_mysql_error_kind(code);
    if (kind == SQN_TIMEOUT) return SQN_FAIL(e, kind, "the statement ran out of time");
    if (kind == SQN_DENIED) return SQN_FAIL(e, kind, "not allowed: %s", message);
    if (sqn_mysql_error_cuts(code) && kind == SQN_IO)
        return SQN_FAIL(e, kind, "the connection to the server is lost: %s", message);
    return SQN_FAIL(e, kind, "%s", *message ? message : "the server gave no reason");
}

/* ---- a session ---- */

static void drop(mysql_conn *c) {
    if (c->db == NULL) return;
    cut_socket(c); /* nothing below may wait */
    if (c->result != NULL) my.mysql_free_result(c->result);
    my.mysql_close(c->db);
    c->db = NULL;
    c->result = NULL;
    c->used = c->unfinished = c->cut = c->was_reset = false;
}

/* Runs a statement of the driver's own that has no rows. */
static sqn_status command(mysql_conn *c, const char *sql, size_t n, sqn_err *e) {
    if (send_query(c, sql, n) != 0) return fail_with(c, e);
    c->result = my.mysql_use_result(c->db);
    free_result(c);
    return c->stop == SQN_OK ? SQN_OK : fail_stopped(c, e);
}

static bool holds_word(const char *list, const char *word) {
    return strstr(list, word) != NULL; /* no mode is part of another's name */
}

/* The server's sql_mode: what quotes mean. Every session gets it again after a reset. */
static sqn_status read_mode(mysql_conn *c, sqn_err *e) {
    static const char sql[] = "SELECT @@SESSION.sql_mode";
    if (send_query(c, sql, sizeof sql - 1) != 0) return fail_with(c, e);
    c->result = my.mysql_use_result(c->db);
    MYSQL_ROW row = c->result ? fetch_row(c) : NULL;
    char *mode = row && row[0] ? sqn_strdup(row[0], e) : NULL;
    sqn_status status = mode ? SQN_OK : row && row[0] ? SQN_NOMEM : fail_with(c, e);
    free_result(c);
    if (status != SQN_OK) return status;
    sqn_free(c->sql_mode);
    c->sql_mode = mode;
    c->quoting.no_backslash = holds_word(mode, "NO_BACKSLASH_ESCAPES");
    c->quoting.ansi = holds_word(mode, "ANSI_QUOTES");
    c->quoting.brackets = holds_word(mode, "MSSQL");
    return SQN_OK;
}

static sqn_status connect_within(mysql_conn *c, sqn_err *e) {
    MYSQL *done = NULL;
    const sqn_conn_options *o = &c->o;
    double left = c->deadline - sqn_db_clock();
    unsigned seconds = left < 1 ? 1 : left > CONNECT_SECONDS ? CONNECT_SECONDS : (unsigned)left;
    c->thread = 0;
    c->cut = false;
    SQN_TRY(new_handle(o, seconds, &c->db, e));
    int wait = my.mysql_real_connect_start(&done, c->db, host_of(o), o->user, o->password,
                                           o->database, (unsigned)o->port, o->socket, 0);
    while (wait) wait = my.mysql_real_connect_cont(&done, c->db, wait_for(c, wait));
    if (done == NULL) {
        if (c->stop != SQN_OK) return fail_stopped(c, e);
        char name[200];
        sqn_conn_options_name(o, name, sizeof name);
        unsigned code = my.mysql_errno(c->db);
        bool refused = sqn_mysql_error_kind(code) != SQN_IO && code != ER_CON_COUNT_ERROR &&
                       code != ER_TOO_MANY_USER_CONNECTIONS; /* trying again will not help */
        return SQN_FAIL(e, refused ? SQN_DB : SQN_IO, "cannot connect to %s: %s", name,
                        my.mysql_error(c->db));
    }
    c->thread = my.mysql_thread_id(c->db);
    c->mariadb = my.mariadb_connection(c->db);
    return read_mode(c, e);
}

static sqn_status ensure_connected(mysql_conn *c, sqn_err *e) {
    if (c->db != NULL) return SQN_OK;
    sqn_status status = connect_within(c, e);
    if (status != SQN_OK) drop(c);
    return status;
}

/* Pins the session's settings and begins the transaction. */
static sqn_status begin(mysql_conn *c, sqn_err *e) {
    static const char start[] = "START TRANSACTION READ ONLY";
    double left = c->deadline - sqn_db_clock();
    if (left < 0) left = 0;
    sqn_buf sql = {0};
    sqn_buf_put_format(&sql,
                       "SET NAMES utf8mb4, SESSION sql_mode='%s', SESSION lock_wait_timeout=%d",
                       c->sql_mode, left < 1e6 ? (int)left + 1 : 1000000);
    if (c->mariadb) /* the belt: should the kill be lost, the server stops by itself */
        sqn_buf_put_format(&sql,
                           ", SESSION max_statement_time=%.3f, SESSION max_session_mem_used=%.0f",
                           left < 1e6 ? left + 0.5 : 0, session_bytes);
    else
        sqn_buf_put_format(&sql, ", SESSION max_execution_time=%.0f",
                           left < 1e6 ? 1e3 * (left + 0.5) : 0);
    sqn_status status = sqn_buf_status(&sql, e);
    if (status == SQN_OK) status = command(c, sql.data, sql.n, e);
    if (status == SQN_OK) status = command(c, start, sizeof start - 1, e);
    sqn_buf_release(&sql);
    return status;
}

/* What a statement needs before it: for those of others the pinned session, for our own only that
 * texts come in UTF-8, which a reset may have taken back. */
static sqn_status set_up(mysql_conn *c, bool trusted, sqn_err *e) {
    static const char names[] = "SET NAMES utf8mb4";
    if (!trusted) return begin(c, e);
    if (!c->was_reset) return SQN_OK;
    c->was_reset = false;
    return command(c, names, sizeof names - 1, e);
}

/* A session that is ready; if the old connection turns out to be dead, a new one. */
static sqn_status prepare_session(mysql_conn *c, bool trusted, sqn_err *e) {
    for (bool old = c->db != NULL;; old = false) {
        sqn_err inner = SQN_ERR_INIT;
        SQN_TRY(ensure_connected(c, e));
        sqn_status status = set_up(c, trusted, &inner);
        if (status == SQN_OK) return SQN_OK;
        if (!old || status == SQN_NOMEM || c->stop != SQN_OK)
            return SQN_FAIL(e, status, "%s", inner.message);
        drop(c);
    }
}

/* Ends what is unfinished, and takes back what the statement may have left in the session. */
static void end_statement(mysql_conn *c) {
    if (c->db == NULL) return;
    sqn_status before = c->stop;
    c->deadline = sqn_db_clock() + (before == SQN_OK ? cleanup_seconds : grace_seconds);
    if (c->unfinished && c->result != NULL && before == SQN_OK) stop_statement(c, SQN_LIMIT);
    free_result(c);
    c->unfinished = false;
    bool lost = c->cut;
    c->stop = SQN_OK;
    atomic_store(&c->cancelled, false);
    if (!lost && c->used) {
        unsigned long thread = c->thread;
        c->thread = 0; /* a session that does not answer in time is cut, not asked again */
        int failed, wait = my.mysql_reset_connection_start(&failed, c->db);
        while (wait) wait = my.mysql_reset_connection_cont(&failed, c->db, wait_for(c, wait));
        c->thread = thread;
        lost = failed != 0 || c->stop != SQN_OK;
        c->used = false;
        c->was_reset = true;
    }
    if (lost) drop(c);
    c->stop = SQN_OK;
}

static void mysql_finish(sqn_conn *conn) {
    mysql_conn *c = (mysql_conn *)conn;
    if (c->result != NULL || c->used || c->unfinished || c->cut) end_statement(c);
    sqn_free(c->row);
    sqn_free(c->rooms);
    c->row = NULL;
    c->rooms = NULL;
    c->columns = 0;
}

static void mysql_end(sqn_conn *conn) {
    mysql_conn *c = (mysql_conn *)conn;
    if (c->unfinished && c->db != NULL && c->result != NULL && !c->cut) kill_statement(c);
    drop(c);
    sqn_free(c->row);
    sqn_free(c->rooms);
    sqn_free(c->sql_mode);
    sqn_conn_options_release(&c->o);
    sqn_free(c);
}

static sqn_status mysql_connect_new(const sqn_conn_options *o, sqn_conn **out, sqn_err *e) {
    sqn_status status;
    SQN_TRY(sqn_library_open(&my_library, e));
    mysql_conn *c = sqn_calloc(1, sizeof *c, e);
    if (c == NULL) return SQN_NOMEM;
    SQN_GOTO(sqn_conn_options_copy(o, &c->o, e));
    c->deadline = sqn_db_clock() + (o->timeout > 0 ? o->timeout : SQN_DB_TIMEOUT);
    SQN_GOTO(ensure_connected(c, e));
    *out = &c->base;
    return SQN_OK;
fail:
    mysql_end(&c->base);
    return status;
}

/* ---- statements ---- */

static sqn_status keep_fields(mysql_conn *c, sqn_err *e) {
    c->columns = (int)my.mysql_num_fields(c->result);
    c->fields = my.mysql_fetch_fields(c->result);
    c->row = sqn_calloc((size_t)c->columns, sizeof *c->row, e);
    c->rooms = c->row ? sqn_calloc((size_t)c->columns, sizeof *c->rooms, e) : NULL;
    return c->rooms ? SQN_OK : SQN_NOMEM;
}

static sqn_status start(mysql_conn *c, const char *sql, size_t n, bool trusted, sqn_err *e) {
    bool old = c->db != NULL;
    SQN_TRY(prepare_session(c, trusted, e));
    c->used = !trusted;
    c->unfinished = true;
    int failed = send_query(c, sql, n);
    if (failed && trusted && old && c->stop == SQN_OK &&
        sqn_mysql_error_cuts(my.mysql_errno(c->db))) {
        drop(c); /* an old connection of ours was dead */
        SQN_TRY(ensure_connected(c, e));
        failed = send_query(c, sql, n);
        c->unfinished = true;
    }
    if (failed) return fail_with(c, e);
    if (c->stop != SQN_OK) return fail_stopped(c, e);
    c->result = my.mysql_use_result(c->db);
    if (c->result != NULL) return keep_fields(c, e);
    if (my.mysql_field_count(c->db) != 0) return fail_with(c, e);
    c->unfinished = false;
    return trusted ? SQN_OK : SQN_FAIL(e, SQN_DENIED, "not allowed: this connection is read-only");
}

static sqn_status mysql_run(sqn_conn *conn, const char *sql, size_t n, double deadline,
                            bool trusted, sqn_err *e) {
    mysql_conn *c = (mysql_conn *)conn;
    c->deadline = deadline;
    c->stop = SQN_OK;
    atomic_store(&c->cancelled, false);
    if (memchr(sql, '\0', n)) return SQN_FAIL(e, SQN_DB, "the statement holds a NUL character");
    if (!sqn_cell_text_valid(sql, n))
        return SQN_FAIL(e, SQN_DB, "the statement is not valid UTF-8");
    if (n > MAX_SQL_BYTES) return SQN_FAIL(e, SQN_LIMIT, "the statement is too large");
    if (c->db == NULL) SQN_TRY(ensure_connected(c, e)); /* the review needs its sql_mode */
    if (!trusted) SQN_TRY(sqn_mysql_review(sql, n, c->quoting, e));
    sqn_status status = start(c, sql, n, trusted, e);
    if (status == SQN_OK) return SQN_OK;
    if (c->db != NULL && sqn_mysql_error_cuts(my.mysql_errno(c->db))) drop(c);
    c->unfinished = c->unfinished && c->result != NULL;
    mysql_finish(conn);
    return status;
}

static int mysql_columns(sqn_conn *conn) { return ((mysql_conn *)conn)->columns; }

static const char *mysql_column_name(sqn_conn *conn, int i) {
    return ((mysql_conn *)conn)->fields[i].name;
}

static sqn_status read_row(mysql_conn *c, MYSQL_ROW row, sqn_err *e) {
    const unsigned long *lengths = my.mysql_fetch_lengths(c->result);
    int64_t longest = c->o.max_length;
    for (int i = 0; i < c->columns; i++) {
        if (longest > 0 && row[i] != NULL && (int64_t)lengths[i] > longest)
            return SQN_FAIL(e, SQN_LIMIT, "a value of more than %lld bytes", (long long)longest);
        sqn_mysql_cell(c->base.raw ? NULL : &c->fields[i], row[i], lengths[i], c->rooms[i],
                       &c->row[i]);
    }
    return SQN_OK;
}

static sqn_status mysql_next(sqn_conn *conn, const sqn_cell **row, sqn_err *e) {
    mysql_conn *c = (mysql_conn *)conn;
    sqn_status status = SQN_OK;
    *row = NULL;
    if (c->result == NULL || !c->unfinished) return SQN_OK;
    look_at_clock(c); /* rows that are here already come without a wait */
    MYSQL_ROW got = fetch_row(c);
    if (c->stop != SQN_OK)
        status = fail_stopped(c, e);
    else if (got != NULL)
        status = read_row(c, got, e);
    else if (my.mysql_errno(c->db) != 0)
        status = fail_with(c, e);
    if (got != NULL && status == SQN_OK) {
        *row = c->row;
        return SQN_OK;
    }
    if (got == NULL) c->unfinished = false;
    mysql_finish(conn);
    return status;
}

static void mysql_cancel(sqn_conn *conn) { atomic_store(&((mysql_conn *)conn)->cancelled, true); }

const sqn_driver sqn_driver_mysql = {
    .dialect = "mysql",
    .server = true,
    .connect = mysql_connect_new,
    .run = mysql_run,
    .columns = mysql_columns,
    .column_name = mysql_column_name,
    .next = mysql_next,
    .finish = mysql_finish,
    .cancel = mysql_cancel,
    .close = mysql_end,
};
