/* What the parts of a pool share: pool.c (the parent), pool_worker.c (a worker), pool_wire.c (the
 * bytes between them).
 *
 * Rules: everything but pool_shared is the parent's memory, which a worker has as it was when it
 * was forked and only reads. A worker writes outcomes into its pipe and says in pool_state what it
 * is at, so that the parent knows what a dead one was doing.
 */
#ifndef SQN_DB_POOL_PARTS_H
#define SQN_DB_POOL_PARTS_H

#include <stdatomic.h>
#include <sys/types.h>

#include "core/buf.h"
#include "db/pool.h"

enum { POOL_WORKERS = 64 };

typedef struct pool_database {
    sqn_conn_options options; /* owned strings */
    char *digest;             /* owned; NULL: not cached */
    int64_t first, count;     /* its jobs */
} pool_database;

typedef struct pool_item {
    sqn_pool_item sql; /* owned strings */
    int64_t job;
    sqn_outcome outcome;
} pool_item;

/* Items with one gold statement of one database; many of them are several jobs. */
typedef struct pool_job {
    int database;
    int64_t first, count; /* places in `members` */
    char *gold_fault;     /* owned; NULL, or how the process died that ran gold */
    sqn_status gold_fault_code;
} pool_job;

typedef enum pool_phase { POOL_IDLE, POOL_GOLD, POOL_PRED, POOL_COMPARE } pool_phase;

/* What a worker is at. */
typedef struct pool_state {
    atomic_llong job, place; /* -1: none; place: in `members` */
    atomic_int phase;        /* pool_phase */
    atomic_llong since;      /* nanoseconds of sqn_db_clock */
} pool_state;

/* Memory that all processes share. */
typedef struct pool_shared {
    pool_state states[POOL_WORKERS];
    atomic_llong next[]; /* [databases]: its jobs that were taken */
} pool_shared;

typedef struct pool_worker {
    pid_t pid;       /* 0: none */
    int in, control; /* a pipe from it, a socket to it (the order to end); -1: closed */
    bool finished;   /* it said that no jobs are left */
    bool killed;     /* it overstayed its deadline */
    sqn_buf bytes;   /* read, not yet a whole message */
} pool_worker;

struct sqn_pool {
    sqn_pool_options options;
    char *cache; /* owned */
    pool_database *databases;
    int database_count;
    pool_item *items;
    int64_t count, room;
    pool_job *jobs;
    int64_t job_count;
    int64_t *members;  /* [count]: items, job by job */
    int64_t *finished; /* [count]: items in the order in which they were done */
    int64_t done;
    pool_worker workers[POOL_WORKERS];
    int worker_count, deaths, idle_deaths;
    pool_shared *shared; /* mmap */
    size_t shared_bytes;
    bool started;
    sqn_err err; /* why the pool stopped by itself */
};

/* Messages of a worker: a length (of what follows it) and a kind, then its payload. */
typedef enum pool_message {
    POOL_OUTCOME, /* item, outcome */
    POOL_FATAL,   /* code, message: the pool must stop */
    POOL_END,     /* no jobs are left */
} pool_message;

void pool_put_outcome(sqn_buf *to, int64_t item, const sqn_outcome *o);
/* Reads a payload of POOL_OUTCOME into an outcome that owns a copy of it. */
sqn_status pool_take_outcome(const char *bytes, size_t n, sqn_outcome *o, sqn_err *e);
void pool_outcome_release(sqn_outcome *o);

/* The life of a worker: from `job` (-1: none) at `place`, then job after job. */
_Noreturn void pool_worker_run(sqn_pool *p, int index, int out, int control, int64_t job,
                               int64_t place);

#endif
