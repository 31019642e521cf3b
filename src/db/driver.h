/* Databases behind one structure: connect, run, fetch typed rows, cancel, close.
 *
 * Rules: SQL that arrives here was reviewed by nobody. A connection is read-only, a statement has a
 * deadline and limits, and exactly one statement runs at a time on a connection. A connection
 * belongs to one thread at a time; only sqn_conn_cancel may come from another. What a statement may
 * not do is SQN_DENIED, a passed deadline SQN_TIMEOUT, a limit SQN_LIMIT, ^C SQN_INTERRUPT,
 * a connection that is lost or cannot be made SQN_IO, anything else the database refuses SQN_DB.
 */
#ifndef SQN_DB_DRIVER_H
#define SQN_DB_DRIVER_H

#include "core/arena.h"
#include "db/value.h"

typedef struct sqn_conn sqn_conn;
typedef struct sqn_result sqn_result;

typedef struct sqn_conn_options {
    const char *dialect; /* "sqlite", "postgresql", "mysql"; NULL means SQLite */
    const char *path;    /* of a file database */
    /* Of a server; what is NULL or 0 comes from the client library: its environment variables,
     * ~/.pgpass, ~/.my.cnf, its defaults. */
    const char *host, *user, *password, *database;
    const char *socket;          /* instead of a host; PostgreSQL: the folder of its sockets */
    const char *sslmode;         /* disable, prefer, require, verify-ca, verify-full */
    const char *ssl_ca;          /* file of the certificates that may sign the server's */
    int port;                    /* 1 to 65535 */
    double timeout;              /* seconds per statement; 0 = 30 */
    int64_t max_rows, max_bytes; /* of one result; 0 = SQN_DB_MAX_ROWS, SQN_DB_MAX_BYTES */
    int64_t max_length;          /* bytes of one value; 0 = SQN_DB_MAX_LENGTH; SQLite only */
    bool reversed; /* rows whose order no statement says come the other way round; SQLite only */
} sqn_conn_options;

#define SQN_DB_TIMEOUT 30.0
#define SQN_DB_MAX_ROWS ((int64_t)1000000)
#define SQN_DB_MAX_BYTES ((int64_t)256 << 20)
#define SQN_DB_MAX_LENGTH ((int64_t)1 << 20)

typedef struct sqn_run_options {
    double timeout;    /* seconds; 0 = the connection's */
    int64_t max_rows;  /* 0 = the connection's; more rows than this are SQN_LIMIT */
    int64_t max_bytes; /* 0 = the connection's; counts 16 a cell and its bytes */
    bool trusted;      /* SQL of our own catalogs: not checked against the list of allowed acts */
    bool raw;          /* cells are the server's own texts, of kind TEXT; SQLite knows no others */
} sqn_run_options;

/* Trusted statements, one behind the other, without waiting for answers between them. */
typedef struct sqn_batch {
    const char *const *sql; /* [n] */
    size_t n;
    double timeout; /* seconds of each */
    /* A row of statement i; `first`: its first cell, the server's own text; borrowed. */
    void (*row)(void *self, size_t i, unsigned type, const sqn_cell *first);
    void *self;
    sqn_status *status; /* [n]: what became of each; one that fails does not touch the others */
} sqn_batch;

typedef struct sqn_driver {
    const char *dialect;
    bool server; /* not a file */
    sqn_status (*connect)(const sqn_conn_options *o, sqn_conn **out /* owned */, sqn_err *e);
    /* Starts the one statement in sql. `deadline` is a moment of sqn_db_clock, INFINITY for none.
     */
    sqn_status (*run)(sqn_conn *c, const char *sql, size_t n, double deadline, bool trusted,
                      sqn_err *e);
    int (*columns)(sqn_conn *c);
    const char *(*column_name)(sqn_conn *c, int i); /* borrowed until finish */
    /* *row: borrowed until the next call, NULL after the last row. */
    sqn_status (*next)(sqn_conn *c, const sqn_cell **row, sqn_err *e);
    void (*finish)(sqn_conn *c); /* ends the statement; does nothing if none runs */
    void (*cancel)(sqn_conn *c); /* any thread */
    void (*close)(sqn_conn *c);
    /* The server's number of column i's type; NULL: the driver has none. */
    unsigned (*column_type)(sqn_conn *c, int i);
    /* Fails if the whole batch did; NULL: the driver has none. */
    sqn_status (*run_batch)(sqn_conn *c, const sqn_batch *b, sqn_err *e);
    void (*hold)(sqn_conn *c, bool on); /* see sqn_conn_hold; NULL: the driver has none */
} sqn_driver;

/* What every driver's connection begins with; set by sqn_conn_open. */
struct sqn_conn {
    const sqn_driver *driver;
    sqn_run_options defaults;
    int64_t rows, bytes;         /* fetched by the statement that runs */
    int64_t max_rows, max_bytes; /* of the statement that runs */
    bool raw;                    /* of the statement that runs */
};

extern const sqn_driver sqn_driver_sqlite, sqn_driver_postgresql, sqn_driver_mysql;

/* Options whose strings are copies of their own, and their end. On a failure *out holds nothing. */
sqn_status sqn_conn_options_copy(const sqn_conn_options *o, sqn_conn_options *out /* owned */,
                                 sqn_err *e);
void sqn_conn_options_release(sqn_conn_options *o);
bool sqn_conn_is_server(const sqn_conn_options *o); /* not a file */
/* How messages name the database: its path, or user@host:port/name; never the password. Cut to the
 * room. */
void sqn_conn_options_name(const sqn_conn_options *o, char *to, size_t room);

/* In a new process, before it opens anything: it will use connections on one thread only, so SQLite
 * needs no locks. What the process before it had open is not to be touched. */
void sqn_conn_alone(void);
sqn_status sqn_conn_open(const sqn_conn_options *o, sqn_conn **out /* owned */, sqn_err *e);
void sqn_conn_close(sqn_conn *c); /* accepts NULL */

/* One statement, row by row. `o` may be NULL. After a failure the statement has ended. */
sqn_status sqn_conn_run(sqn_conn *c, const char *sql, size_t n, const sqn_run_options *o,
                        sqn_err *e);
int sqn_conn_columns(sqn_conn *c);
const char *sqn_conn_column_name(sqn_conn *c, int i); /* borrowed until finish */
sqn_status sqn_conn_next(sqn_conn *c, const sqn_cell **row /* borrowed until the next call */,
                         sqn_err *e);
void sqn_conn_finish(sqn_conn *c);
/* From the next statement until `on` is false a file is locked once, not by each statement, and
 * does not change. Nothing on servers, where a statement's transaction is its own. */
void sqn_conn_hold(sqn_conn *c, bool on);
void sqn_conn_cancel(sqn_conn *c); /* any thread: the running statement ends with SQN_INTERRUPT */

/* One statement, all rows. Cells and names live as long as the result. */
struct sqn_result {
    int columns;
    int64_t rows;
    const char **names; /* [columns] */
    sqn_cell *cells;    /* [rows * columns], row after row */
    double seconds;     /* from the start of the statement to its last row */
    sqn_arena bytes;    /* private: where names and values lie */
};
sqn_status sqn_conn_query(sqn_conn *c, const char *sql, size_t n, const sqn_run_options *o,
                          sqn_result **out /* owned */, sqn_err *e);
void sqn_result_release(sqn_result *r); /* accepts NULL */

double sqn_db_clock(void); /* seconds, monotonic */

/* A new SQLite file made by a script: trusted SQL, any number of statements. SQN_IO if the file
 * exists already; nothing is left behind on a failure. */
sqn_status sqn_sqlite_create(const char *path, const char *from /* copied first; may be NULL */,
                             const char *script, size_t n, sqn_err *e);

#endif
