/* A worker of a pool: a forked process that runs statements and judges what comes.
 *
 * Rules: it ends by _exit, so nothing of the parent's is flushed or given back twice. A second
 * thread waits for the parent's order to end (or for the parent's end), then cancels what runs: a
 * statement on a server does not outlive the evaluation. All that stands in memory was there when
 * the process was forked, or is its own.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/alloc.h"
#include "core/interrupt.h"
#include "db/gold_cache.h"
#include "db/pool_parts.h"

/* Databases that a worker keeps open (two connections each); the longest unused one makes room. */
enum { SLOTS = 8, SERVER_SLOTS = 2, TRIES = 4 };
/* Seconds before a connection that was lost is tried again. */
static const double waits[TRIES] = {0, 0.2, 1, 3};
/* A file stays locked for reading from one statement to the next, at most so long: finding out that
 * nobody changed it takes half as long as a small statement. Others may write in between. */
static const double longest_hold = 0.05;

typedef struct slot {
    int database; /* -1: free */
    uint64_t used;
    sqn_conn *conn[2]; /* owned: gold's, the prediction's */
    double held;       /* since when their files are locked; 0: they are not */
} slot;

typedef struct worker {
    sqn_pool *pool;
    pool_state *state;
    int out, control;
    bool connects;  /* it has opened something */
    uint64_t clock; /* counts uses of slots */
    slot slots[SLOTS];
    slot *holding; /* the one whose files are locked, or NULL */
    sqn_buf message;
    bool lost; /* a server cannot be reached again: the evaluation must stop */
    pthread_mutex_t lock;
    sqn_conn *running; /* borrowed; what the watcher cancels */
    bool ending;
} worker;

/* Gold of the job at hand. */
typedef struct gold_run {
    sqn_result *result; /* owned; NULL if it failed */
    sqn_err err;
    bool cached;
} gold_run;

/* ---- the end ---- */

/* Repeats its cancels: one may come just before a statement begins, and be lost. */
static void *watch(void *self) {
    worker *w = self;
    char order;
    while (read(w->control, &order, 1) < 0 && errno == EINTR) continue;
    for (;;) {
        pthread_mutex_lock(&w->lock);
        w->ending = true;
        if (w->running != NULL) sqn_conn_cancel(w->running);
        pthread_mutex_unlock(&w->lock);
        usleep(10000);
    }
    return NULL;
}

/* Says which connection the watcher must cancel; ends the process if it was told to. */
static void set_running(worker *w, sqn_conn *conn) {
    pthread_mutex_lock(&w->lock);
    w->running = conn;
    bool ending = w->ending;
    pthread_mutex_unlock(&w->lock);
    if (ending) _exit(0);
}

/* ---- messages ---- */

static void begin_message(worker *w, pool_message kind) {
    w->message.n = 0;
    int64_t head[2] = {0, kind};
    sqn_buf_put(&w->message, (const char *)head, sizeof head);
}

static void send_message(worker *w) {
    if (w->message.failed) _exit(1);
    int64_t length = (int64_t)(w->message.n - sizeof length);
    memcpy(w->message.data, &length, sizeof length);
    for (size_t at = 0; at < w->message.n;) {
        ssize_t k = write(w->out, w->message.data + at, w->message.n - at);
        if (k < 0 && errno != EINTR) _exit(0); /* the parent has gone */
        if (k > 0) at += (size_t)k;
    }
}

/* The pool must stop: memory is out, or a server is gone. */
_Noreturn static void give_up(worker *w, const sqn_err *e) {
    char head[2 * sizeof(int64_t) + sizeof(int64_t)];
    int64_t numbers[3] = {(int64_t)(2 * sizeof(int64_t) + strlen(e->message)), POOL_FATAL, e->code};
    memcpy(head, numbers, sizeof head); /* no buffer: there may be no memory for one */
    if (write(w->out, head, sizeof head) == (ssize_t)sizeof head)
        _exit(write(w->out, e->message, strlen(e->message)) < 0);
    _exit(1);
}

/* ---- connections and statements ---- */

static void close_slot(slot *s) {
    sqn_conn_close(s->conn[0]);
    sqn_conn_close(s->conn[1]);
    *s = (slot){.database = -1};
}

static void let_go(slot *s) {
    for (int side = 0; side < 2; side++)
        if (s->conn[side] != NULL) sqn_conn_hold(s->conn[side], false);
    s->held = 0;
}

/* Before a statement: its file stays locked behind it. */
static void hold(worker *w, slot *s, int side, double now) {
    if (w->holding != NULL && w->holding != s) let_go(w->holding);
    if (s->held > 0 && now - s->held > longest_hold) let_go(s);
    if (!(s->held > 0)) s->held = now;
    sqn_conn_hold(s->conn[side], true);
    w->holding = s;
}

/* A server has a limited number of connections for all workers together. */
static slot *slot_of(worker *w, int database) {
    slot *best = &w->slots[0];
    int slots = sqn_conn_is_server(&w->pool->databases[database].options) ? SERVER_SLOTS : SLOTS;
    for (int i = 0; i < slots; i++) {
        slot *s = &w->slots[i];
        if (s->database == database) {
            best = s;
            break;
        }
        if (s->used < best->used) best = s;
    }
    if (best->database != database) close_slot(best);
    best->database = database;
    best->used = ++w->clock;
    return best;
}

/* What the connections of a database are opened with. */
static sqn_conn_options options_of(const sqn_pool *p, int database) {
    sqn_conn_options o = p->databases[database].options;
    if (o.max_rows == 0) o.max_rows = p->options.max_rows;
    if (o.max_bytes == 0) o.max_bytes = p->options.max_bytes;
    if (p->options.timeout > 0) o.timeout = p->options.timeout;
    return o;
}

/* Gives the time. */
static double set_state(worker *w, pool_phase phase) {
    double now = sqn_db_clock();
    atomic_store(&w->state->since, (long long)(now * 1e9));
    atomic_store(&w->state->phase, (int)phase);
    return now;
}

/* side: 0 gold, 1 prediction. *reached: there was a connection. */
static sqn_status try_statement(worker *w, int database, int side, const char *sql, size_t n,
                                sqn_result **out, bool *reached, sqn_err *e) {
    slot *s = slot_of(w, database);
    sqn_conn_options o = options_of(w->pool, database);
    *reached = false;
    double now = set_state(w, side == 0 ? POOL_GOLD : POOL_PRED);
    if (!w->connects) sqn_conn_alone(); /* here: it may hang on a lock of another thread's */
    w->connects = true;
    if (s->conn[side] == NULL) SQN_TRY(sqn_conn_open(&o, &s->conn[side], e));
    *reached = true;
    hold(w, s, side, now);
    set_running(w, s->conn[side]);
    sqn_status status = sqn_conn_query(s->conn[side], sql, n, NULL, out, e);
    set_running(w, NULL);
    return status;
}

/* A connection to a server that breaks (SQN_IO) is opened again and the statement repeated. A
 * statement that breaks its connection each time has failed; a server that cannot be reached any
 * more ends the evaluation. */
static sqn_status run_statement(worker *w, int database, int side, const char *sql, size_t n,
                                sqn_result **out, sqn_err *e) {
    const sqn_conn_options *o = &w->pool->databases[database].options;
    bool server = o->dialect != NULL && strcmp(o->dialect, "sqlite") != 0, reached = false;
    sqn_status status = SQN_OK;
    for (int try = 0; try < TRIES; try++) {
        sqn_err_clear(e);
        if (waits[try] > 0) usleep((useconds_t)(1e6 * waits[try]));
        status = try_statement(w, database, side, sql, n, out, &reached, e);
        if (!server || status != SQN_IO) return status;
        close_slot(slot_of(w, database));
    }
    w->lost = !reached;
    return status;
}

static sqn_status load_gold(worker *w, const pool_job *job, const sqn_pool_item *it, gold_run *g,
                            sqn_err *e) {
    char path[4096];
    const pool_database *d = &w->pool->databases[job->database];
    sqn_conn_options o = options_of(w->pool, job->database);
    bool cached = w->pool->cache != NULL && d->digest != NULL &&
                  sqn_gold_cache_path(w->pool->cache, d->digest, &o, it->gold, it->gold_length,
                                      path, sizeof path);
    if (job->gold_fault != NULL) {
        SQN_FAIL(&g->err, job->gold_fault_code, "%s", job->gold_fault);
        return SQN_OK;
    }
    if (cached) SQN_TRY(sqn_gold_cache_load(path, &g->result, e));
    g->cached = g->result != NULL;
    if (g->cached) return SQN_OK;
    run_statement(w, job->database, 0, it->gold, it->gold_length, &g->result, &g->err);
    return cached && g->result ? sqn_gold_cache_save(path, g->result, e) : SQN_OK;
}

/* ---- judging ---- */

static bool is_fatal(const worker *w, sqn_status s) {
    return s == SQN_NOMEM || s == SQN_INTERRUPT || (s == SQN_IO && w->lost);
}

static bool holds_order_by(const char *sql, size_t n) {
    static const char words[] = "order by";
    for (size_t i = 0; i + sizeof words - 1 <= n; i++)
        if (strncasecmp(sql + i, words, sizeof words - 1) == 0) return true;
    return false;
}

static sqn_rows rows_of(const sqn_result *r) { return (sqn_rows){r->columns, r->rows, r->cells}; }

/* Where only order is wrong, or a LIMIT may have cut rows that tie: gold with its keys says which.
 */
static sqn_status look_at_ties(worker *w, int database, const sqn_pool_item *it,
                               const sqn_result *gold, const sqn_result *pred,
                               const sqn_metric_options *how, sqn_metrics *m, sqn_err *e) {
    sqn_err unknown = SQN_ERR_INIT;
    sqn_result *keyed = NULL;
    if (m->ex_ordered || !how->ordered || (!m->ex && gold->rows != pred->rows)) return SQN_OK;
    if (m->ex) m->ties = SQN_TIES_UNKNOWN;
    if (it->keyed == NULL) return SQN_OK;
    sqn_status status =
        run_statement(w, database, 0, it->keyed, it->keyed_length, &keyed, &unknown);
    if (status != SQN_OK) {
        if (is_fatal(w, status)) *e = unknown;
        return is_fatal(w, status) ? status : SQN_OK;
    }
    sqn_rows a = rows_of(gold), b = rows_of(pred), k = rows_of(keyed);
    status = sqn_metrics_break_ties(&a, &b, &k, how, m, e);
    sqn_result_release(keyed);
    return status;
}

static sqn_status compare(worker *w, int database, const sqn_pool_item *it, const sqn_result *gold,
                          const sqn_result *pred, sqn_metrics *m, sqn_err *e) {
    sqn_metric_options how = {
        .tolerance = w->pool->options.tolerance,
        .ordered = it->ordered,
        .spider_ordered = holds_order_by(it->gold, it->gold_length),
    };
    sqn_rows a = rows_of(gold), b = rows_of(pred);
    set_state(w, POOL_COMPARE);
    SQN_TRY(sqn_metrics_compare(&a, &b, &how, m, e));
    return look_at_ties(w, database, it, gold, pred, &how, m, e);
}

/* Times both statements again and again, as R-VES wants it; no round if one of them fails. */
static sqn_status time_rounds(worker *w, int database, const sqn_pool_item *it, sqn_outcome *o,
                              sqn_err *e) {
    int rounds = w->pool->options.rounds;
    if (rounds <= 0 || !o->metrics.ex_bird) return SQN_OK;
    double *times = sqn_alloc(2 * (size_t)rounds * sizeof *times, e);
    if (times == NULL) return SQN_NOMEM;
    sqn_status status = SQN_OK;
    for (int i = 0; i < 2 * rounds && status == SQN_OK; i++) {
        sqn_result *r = NULL;
        int side = 1 - i % 2; /* the prediction first */
        status =
            run_statement(w, side ? it->pred_database : database, side, side ? it->pred : it->gold,
                          side ? it->pred_length : it->gold_length, &r, e);
        if (status == SQN_OK) times[side * rounds + i / 2] = r->seconds;
        sqn_result_release(r);
    }
    if (status != SQN_OK) {
        sqn_free(times);
        if (is_fatal(w, status)) return status;
        sqn_err_clear(e);
        return SQN_OK;
    }
    o->rounds = rounds;
    o->gold_times = times;
    o->pred_times = times + rounds;
    return SQN_OK;
}

static sqn_status keep_samples(sqn_outcome *o, const sqn_result *gold, const sqn_result *pred,
                               int rows, sqn_err *e) {
    if (rows <= 0 || o->verdict == SQN_VERDICT_CORRECT) return SQN_OK;
    if (gold && (o->gold_sample = sqn_sample_new(gold, rows, e)) == NULL) return SQN_NOMEM;
    if (pred && (o->pred_sample = sqn_sample_new(pred, rows, e)) == NULL) return SQN_NOMEM;
    return SQN_OK;
}

static void fill_outcome(sqn_outcome *o, const gold_run *g, const sqn_result *pred,
                         const sqn_err *pred_err) {
    const sqn_result *r = g->result;
    o->gold_status = g->err.code;
    o->pred_status = pred_err->code;
    o->gold_error = g->err.code != SQN_OK ? g->err.message : NULL;
    o->pred_error = pred_err->code != SQN_OK ? pred_err->message : NULL;
    o->executable = pred != NULL;
    o->gold_cached = g->cached;
    o->verdict = sqn_verdict_of(o->gold_status, o->pred_status, &o->metrics);
    o->gold_rows = r ? r->rows : -1;
    o->pred_rows = pred ? pred->rows : -1;
    o->gold_columns = r ? r->columns : 0;
    o->pred_columns = pred ? pred->columns : 0;
    o->gold_seconds = r ? r->seconds : 0;
    o->pred_seconds = pred ? pred->seconds : 0;
}

/* Runs and judges one item and sends its outcome. A comparison that fails (too many ways to match
 * columns) is an error of the prediction. */
static sqn_status run_item(worker *w, int64_t number, const pool_job *job, const gold_run *g,
                           sqn_err *e) {
    const sqn_pool_item *it = &w->pool->items[number].sql;
    sqn_err pred_err = SQN_ERR_INIT;
    sqn_outcome o = {0};
    sqn_result *pred = NULL;
    run_statement(w, it->pred_database, 1, it->pred, it->pred_length, &pred, &pred_err);
    if (g->result != NULL && pred != NULL)
        compare(w, job->database, it, g->result, pred, &o.metrics, &pred_err);
    sqn_status status = pred_err.code;
    if (is_fatal(w, status)) {
        *e = pred_err;
    } else {
        fill_outcome(&o, g, pred, &pred_err);
        status = time_rounds(w, job->database, it, &o, e);
        if (status == SQN_OK)
            status = keep_samples(&o, g->result, pred, w->pool->options.sample_rows, e);
    }
    if (status == SQN_OK) {
        begin_message(w, POOL_OUTCOME);
        pool_put_outcome(&w->message, number, &o);
        send_message(w);
    }
    sqn_free(o.gold_times); /* the predictions' times lie behind them */
    sqn_free(o.gold_sample);
    sqn_free(o.pred_sample);
    sqn_result_release(pred);
    return status;
}

static void run_job(worker *w, int64_t number, int64_t place) {
    const pool_job *job = &w->pool->jobs[number];
    sqn_err e = SQN_ERR_INIT;
    gold_run g = {0};
    if (place < job->first) place = job->first;
    atomic_store(&w->state->place, place);
    atomic_store(&w->state->job, number);
    sqn_status status = load_gold(w, job, &w->pool->items[w->pool->members[place]].sql, &g, &e);
    if (status == SQN_OK && is_fatal(w, g.err.code)) {
        e = g.err;
        status = e.code;
    }
    for (; status == SQN_OK && place < job->first + job->count; place++) {
        atomic_store(&w->state->place, place);
        status = run_item(w, w->pool->members[place], job, &g, &e);
    }
    sqn_result_release(g.result);
    if (status != SQN_OK) give_up(w, &e);
    atomic_store(&w->state->phase, POOL_IDLE);
    atomic_store(&w->state->job, -1);
}

/* ---- the life of a worker ---- */

/* The next job: of the database that this worker is at, else of the next one that has some. */
static int64_t take_job(worker *w, int *database) {
    sqn_pool *p = w->pool;
    for (int i = 0; i < p->database_count; i++) {
        pool_database *d = &p->databases[*database];
        atomic_llong *next = &p->shared->next[*database];
        if (atomic_load(next) < d->count) {
            long long taken = atomic_fetch_add(next, 1);
            if (taken < d->count) return d->first + taken;
        }
        *database = (*database + 1) % p->database_count;
    }
    return -1;
}

static void settle_in(worker *w) {
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP};
    /* Results come and go; memory that is given back to the system each time must be faulted in
     * again, page by page. */
    static const struct {
        int what, bytes;
    } memory[] = {{M_TOP_PAD, 1 << 20}, {M_TRIM_THRESHOLD, 64 << 20}, {M_MMAP_THRESHOLD, 8 << 20}};
    struct rlimit none = {0, 0};
    sigset_t nothing;
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) signal(ignored[i], SIG_IGN);
    for (int s = SIGILL; s <= SIGSEGV; s++)
        if (s == SIGILL || s == SIGABRT || s == SIGBUS || s == SIGFPE || s == SIGSEGV)
            signal(s, SIG_DFL);
    setrlimit(RLIMIT_CORE, &none);
    sqn_interrupt_take();
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        mallopt(memory[i].what, memory[i].bytes);
    sigemptyset(&nothing);
    pthread_mutex_init(&w->lock, NULL);
    pthread_t watcher;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    if (pthread_create(&watcher, NULL, watch, w) != 0) _exit(1);
    pthread_sigmask(SIG_SETMASK, &nothing, NULL);
}

_Noreturn void pool_worker_run(sqn_pool *p, int index, int out, int control, int64_t job,
                               int64_t place) {
    static worker self; /* one a process */
    worker *w = &self;
    *w = (worker){.pool = p, .state = &p->shared->states[index], .out = out, .control = control};
    for (int i = 0; i < SLOTS; i++) w->slots[i].database = -1;
    settle_in(w);
    int database = p->database_count > 0 ? index * p->database_count / p->worker_count : 0;
    if (job < 0) job = take_job(w, &database);
    while (job >= 0) {
        run_job(w, job, place);
        place = -1;
        job = take_job(w, &database);
    }
    begin_message(w, POOL_END);
    send_message(w);
    for (int i = 0; i < SLOTS; i++) /* files need no farewell */
        if (w->slots[i].database >= 0 &&
            sqn_conn_is_server(&p->databases[w->slots[i].database].options))
            close_slot(&w->slots[i]);
    _exit(0);
}
