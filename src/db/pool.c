/* The worker threads of an evaluation: see pool.h. */
#include "db/pool.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/alloc.h"
#include "core/interrupt.h"

/* Databases that a worker keeps open (two connections each); the longest unused one makes room. */
enum { SLOTS = 8, MOST_WORKERS = 16 };
/* How often a wait looks at the interrupt flag, and a release repeats its cancels. Seconds. */
static const double slice = 0.05;

typedef struct item {
    int database;
    char *gold, *pred; /* owned */
    size_t gold_length, pred_length;
    int64_t entry; /* of its gold */
    sqn_outcome outcome;
} item;

typedef enum gold_state { GOLD_ABSENT, GOLD_RUNNING, GOLD_READY } gold_state;

/* Gold's result, shared by all items with the same database and statement. */
typedef struct gold_entry {
    gold_state state;
    int64_t item, uses; /* the first item with it; items that still need it */
    sqn_result *result; /* owned; NULL if it failed */
    sqn_err err;
} gold_entry;

typedef struct slot {
    int database; /* -1: free */
    uint64_t used;
    sqn_conn *conn[2]; /* owned: gold's, the prediction's */
} slot;

typedef struct worker {
    sqn_pool *pool;
    pthread_t thread;
    bool started, ended;
    sqn_conn *running; /* borrowed; what a release must cancel */
    uint64_t clock;    /* counts uses of slots */
    slot slots[SLOTS];
} worker;

struct sqn_pool {
    sqn_pool_options options;
    sqn_conn_options *databases; /* owned, strings too */
    int database_count;
    item *items; /* owned */
    int64_t count, room;
    int64_t *order; /* owned: items by database, so that few connections are open at a time */
    gold_entry *entries;
    int64_t entry_count;
    worker *workers;
    int worker_count;
    pthread_mutex_t lock; /* guards all below, entries, running */
    pthread_cond_t changed;
    int64_t next, done;
    bool stop, started;
    sqn_err err; /* why the pool stopped by itself */
};

/* ---- building ---- */

sqn_status sqn_pool_new(const sqn_pool_options *o, sqn_pool **out, sqn_err *e) {
    sqn_pool *p = sqn_calloc(1, sizeof *p, e);
    if (p == NULL) return SQN_NOMEM;
    p->options = *o;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (o->workers <= 0) p->options.workers = processors > 0 ? (int)processors : 1;
    if (p->options.workers > MOST_WORKERS) p->options.workers = MOST_WORKERS;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&p->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&p->lock, NULL);
    *out = p;
    return SQN_OK;
}

sqn_status sqn_pool_add_database(sqn_pool *p, const sqn_conn_options *o, int *index, sqn_err *e) {
    size_t bytes = (size_t)(p->database_count + 1) * sizeof *p->databases;
    sqn_conn_options *grown = sqn_realloc(p->databases, bytes, e);
    if (grown == NULL) return SQN_NOMEM;
    p->databases = grown;
    SQN_TRY(sqn_conn_options_copy(o, &grown[p->database_count], e));
    *index = p->database_count++;
    return SQN_OK;
}

sqn_status sqn_pool_add(sqn_pool *p, int database, const char *gold, size_t gold_length,
                        const char *pred, size_t pred_length, sqn_err *e) {
    SQN_ASSERT(!p->started && database >= 0 && database < p->database_count);
    if (p->count == p->room) {
        int64_t room = p->room ? 2 * p->room : 64;
        item *grown = sqn_realloc(p->items, (size_t)room * sizeof *grown, e);
        if (grown == NULL) return SQN_NOMEM;
        p->items = grown;
        p->room = room;
    }
    item it = {.database = database, .gold_length = gold_length, .pred_length = pred_length};
    it.gold = sqn_strndup(gold, gold_length, e);
    it.pred = it.gold ? sqn_strndup(pred, pred_length, e) : NULL;
    if (it.pred == NULL) {
        sqn_free(it.gold);
        return SQN_NOMEM;
    }
    p->items[p->count++] = it;
    return SQN_OK;
}

/* ---- connections and statements of a worker ---- */

static void close_slot(slot *s) {
    sqn_conn_close(s->conn[0]);
    sqn_conn_close(s->conn[1]);
    *s = (slot){.database = -1};
}

/* *conn: borrowed from the worker. side: 0 gold, 1 prediction. */
static sqn_status connection(worker *w, int database, int side, sqn_conn **conn, sqn_err *e) {
    slot *best = &w->slots[0];
    for (int i = 0; i < SLOTS; i++) {
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
    sqn_conn_options o = w->pool->databases[database];
    if (o.max_rows == 0) o.max_rows = w->pool->options.max_rows;
    if (o.max_bytes == 0) o.max_bytes = w->pool->options.max_bytes;
    if (w->pool->options.timeout > 0) o.timeout = w->pool->options.timeout;
    if (best->conn[side] == NULL) SQN_TRY(sqn_conn_open(&o, &best->conn[side], e));
    *conn = best->conn[side];
    return SQN_OK;
}

/* Says which connection a release must cancel; false if the pool is stopping. */
static bool set_running(worker *w, sqn_conn *conn) {
    pthread_mutex_lock(&w->pool->lock);
    w->running = conn;
    bool go_on = !w->pool->stop;
    pthread_mutex_unlock(&w->pool->lock);
    return go_on;
}

static sqn_status run_statement(worker *w, int database, int side, const char *sql, size_t n,
                                sqn_result **out, sqn_err *e) {
    sqn_conn *conn;
    SQN_TRY(connection(w, database, side, &conn, e));
    sqn_status status = SQN_INTERRUPT;
    if (set_running(w, conn))
        status = sqn_conn_query(conn, sql, n, NULL, out, e);
    else
        SQN_FAIL(e, SQN_INTERRUPT, "interrupted");
    set_running(w, NULL);
    return status;
}

/* Gold of an item: run here, or by another worker that is waited for. */
static gold_entry *take_gold(worker *w, const item *it) {
    sqn_pool *p = w->pool;
    gold_entry *g = &p->entries[it->entry];
    pthread_mutex_lock(&p->lock);
    while (g->state == GOLD_RUNNING && !p->stop) pthread_cond_wait(&p->changed, &p->lock);
    bool mine = g->state == GOLD_ABSENT && !p->stop;
    if (mine) g->state = GOLD_RUNNING;
    bool ready = g->state == GOLD_READY;
    pthread_mutex_unlock(&p->lock);
    if (!mine) return ready ? g : NULL;
    run_statement(w, it->database, 0, it->gold, it->gold_length, &g->result, &g->err);
    pthread_mutex_lock(&p->lock);
    g->state = GOLD_READY;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    return g;
}

static void give_gold(sqn_pool *p, gold_entry *g) {
    sqn_result *last = NULL;
    pthread_mutex_lock(&p->lock);
    if (--g->uses == 0) {
        last = g->result;
        g->result = NULL;
    }
    pthread_mutex_unlock(&p->lock);
    sqn_result_release(last);
}

/* ---- judging ---- */

static bool is_fatal(sqn_status s) { return s == SQN_NOMEM || s == SQN_INTERRUPT; }

static sqn_status keep_error(const sqn_err *from, char **to, sqn_err *e) {
    if (is_fatal(from->code)) {
        *e = *from;
        return from->code;
    }
    if (from->code == SQN_OK) return SQN_OK;
    *to = sqn_strdup(from->message, e);
    return *to ? SQN_OK : SQN_NOMEM;
}

static sqn_status keep_samples(sqn_outcome *o, const sqn_result *gold, const sqn_result *pred,
                               int rows, sqn_err *e) {
    if (rows <= 0 || o->verdict == SQN_VERDICT_CORRECT) return SQN_OK;
    if (gold && (o->gold_sample = sqn_sample_new(gold, rows, e)) == NULL) return SQN_NOMEM;
    if (pred && (o->pred_sample = sqn_sample_new(pred, rows, e)) == NULL) return SQN_NOMEM;
    return SQN_OK;
}

/* Fills the outcome; a failing comparison (too many ways to match columns) is an error of the
 * prediction. */
static sqn_status judge(sqn_pool *p, item *it, const gold_entry *g, sqn_result *pred,
                        sqn_err *pred_err, sqn_err *e) {
    sqn_outcome *o = &it->outcome;
    const sqn_result *gold = g->result;
    sqn_metrics m = {0};
    if (gold != NULL && pred != NULL) {
        sqn_rows a = {gold->columns, gold->rows, gold->cells};
        sqn_rows b = {pred->columns, pred->rows, pred->cells};
        sqn_metric_options how = {0};
        sqn_metrics_compare(&a, &b, &how, &m, pred_err);
    }
    o->gold_status = g->err.code;
    o->pred_status = pred_err->code;
    o->ex = m.ex;
    o->ex_bird = m.ex_bird;
    o->executable = pred != NULL;
    o->verdict = sqn_verdict_of(o->gold_status, o->pred_status, &m);
    o->gold_rows = gold ? gold->rows : -1;
    o->pred_rows = pred ? pred->rows : -1;
    o->gold_columns = gold ? gold->columns : 0;
    o->pred_columns = pred ? pred->columns : 0;
    o->gold_seconds = gold ? gold->seconds : 0;
    o->pred_seconds = pred ? pred->seconds : 0;
    SQN_TRY(keep_error(&g->err, &o->gold_error, e));
    SQN_TRY(keep_error(pred_err, &o->pred_error, e));
    return keep_samples(o, gold, pred, p->options.sample_rows, e);
}

static sqn_status run_item(worker *w, item *it, sqn_err *e) {
    sqn_err pred_err = SQN_ERR_INIT;
    sqn_result *pred = NULL;
    gold_entry *g = take_gold(w, it);
    if (g == NULL) return SQN_FAIL(e, SQN_INTERRUPT, "interrupted");
    sqn_status status = g->err.code;
    if (is_fatal(status)) {
        *e = g->err;
    } else {
        run_statement(w, it->database, 1, it->pred, it->pred_length, &pred, &pred_err);
        status = judge(w->pool, it, g, pred, &pred_err, e);
    }
    sqn_result_release(pred);
    give_gold(w->pool, g);
    return status;
}

static void *work(void *self) {
    worker *w = self;
    sqn_pool *p = w->pool;
    sqn_err e = SQN_ERR_INIT;
    pthread_mutex_lock(&p->lock);
    while (!p->stop && p->next < p->count) {
        item *it = &p->items[p->order[p->next++]];
        pthread_mutex_unlock(&p->lock);
        sqn_status status = run_item(w, it, &e);
        pthread_mutex_lock(&p->lock);
        if (status == SQN_OK) {
            it->outcome.done = true;
            p->done++;
        } else {
            p->stop = true;
            if (p->err.code == SQN_OK) p->err = e;
        }
        if (p->stop || p->done == p->count) pthread_cond_broadcast(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < SLOTS; i++) close_slot(&w->slots[i]);
    pthread_mutex_lock(&p->lock);
    w->ended = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* ---- starting, waiting, ending ---- */

/* Items by database, in their own order within one. */
static sqn_status plan_order(sqn_pool *p, sqn_err *e) {
    int64_t *place = sqn_calloc((size_t)p->database_count + 1, sizeof *place, e);
    p->order = sqn_calloc((size_t)p->count, sizeof *p->order, e);
    if (place == NULL || p->order == NULL) {
        sqn_free(place);
        return SQN_NOMEM;
    }
    for (int64_t i = 0; i < p->count; i++) place[p->items[i].database + 1]++;
    for (int d = 0; d < p->database_count; d++) place[d + 1] += place[d];
    for (int64_t i = 0; i < p->count; i++) p->order[place[p->items[i].database]++] = i;
    sqn_free(place);
    return SQN_OK;
}

static bool same_gold(const item *a, const item *b) {
    return a->database == b->database && a->gold_length == b->gold_length &&
           memcmp(a->gold, b->gold, a->gold_length) == 0;
}

/* One entry for each different (database, gold). */
static sqn_status plan_gold(sqn_pool *p, sqn_err *e) {
    size_t size = 16;
    while (size < 2 * (size_t)p->count) size *= 2;
    int64_t *table = sqn_calloc(size, sizeof *table, e); /* entry + 1; 0: free */
    p->entries = sqn_calloc((size_t)p->count, sizeof *p->entries, e);
    if (table == NULL || p->entries == NULL) {
        sqn_free(table);
        return SQN_NOMEM;
    }
    for (int64_t i = 0; i < p->count; i++) {
        item *it = &p->items[i];
        sqn_cell text = {.kind = SQN_CELL_TEXT, .length = it->gold_length, .as.bytes = it->gold};
        size_t at = (sqn_cell_hash(&text) + (size_t)it->database) & (size - 1);
        while (table[at] != 0 && !same_gold(it, &p->items[p->entries[table[at] - 1].item]))
            at = (at + 1) & (size - 1);
        if (table[at] == 0) {
            p->entries[p->entry_count].item = i;
            table[at] = ++p->entry_count;
        }
        it->entry = table[at] - 1;
        p->entries[it->entry].uses++;
    }
    sqn_free(table);
    return SQN_OK;
}

sqn_status sqn_pool_start(sqn_pool *p, sqn_err *e) {
    sigset_t all, before;
    int started = 0, wanted = p->options.workers;
    SQN_ASSERT(!p->started);
    p->started = true;
    if (wanted > p->count) wanted = p->count > 0 ? (int)p->count : 1;
    SQN_TRY(plan_order(p, e));
    SQN_TRY(plan_gold(p, e));
    p->workers = sqn_calloc((size_t)wanted, sizeof *p->workers, e);
    if (p->workers == NULL) return SQN_NOMEM;
    p->worker_count = wanted;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    for (int i = 0; i < wanted; i++) {
        worker *w = &p->workers[i];
        w->pool = p;
        for (int s = 0; s < SLOTS; s++) w->slots[s].database = -1;
        w->started = pthread_create(&w->thread, NULL, work, w) == 0;
        started += w->started;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started == 0) return SQN_FAIL(e, SQN_IO, "no thread could be started");
    return SQN_OK;
}

/* Waits for a change, with the lock held. */
static void wait_slice(sqn_pool *p, double seconds) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(seconds * 1e9);
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&p->changed, &p->lock, &until);
}

sqn_status sqn_pool_step(sqn_pool *p, double seconds, int64_t *done, sqn_err *e) {
    SQN_ASSERT(p->started);
    double until = sqn_db_clock() + seconds, left;
    pthread_mutex_lock(&p->lock);
    while (p->done < p->count && !p->stop && !sqn_interrupted() &&
           (left = until - sqn_db_clock()) > 0)
        wait_slice(p, left < slice ? left : slice);
    *done = p->done;
    if (p->stop && p->err.code != SQN_OK && e != NULL && e->code == SQN_OK) *e = p->err;
    sqn_status status = p->err.code;
    pthread_mutex_unlock(&p->lock);
    return status != SQN_OK ? status : sqn_interrupt_check(e);
}

int64_t sqn_pool_size(const sqn_pool *p) { return p->count; }

const sqn_outcome *sqn_pool_outcome(sqn_pool *p, int64_t i) {
    SQN_ASSERT(i >= 0 && i < p->count);
    pthread_mutex_lock(&p->lock);
    bool done = p->items[i].outcome.done;
    pthread_mutex_unlock(&p->lock);
    return done ? &p->items[i].outcome : NULL;
}

/* A cancel may come just before its statement begins and be lost: so they are repeated. */
static void stop_workers(sqn_pool *p) {
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->changed);
    for (int i = 0; i < p->worker_count; i++)
        while (p->workers[i].started && !p->workers[i].ended) {
            for (int j = i; j < p->worker_count; j++)
                if (p->workers[j].running != NULL) sqn_conn_cancel(p->workers[j].running);
            wait_slice(p, slice / 5);
        }
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->worker_count; i++)
        if (p->workers[i].started) pthread_join(p->workers[i].thread, NULL);
}

void sqn_pool_release(sqn_pool *p) {
    if (p == NULL) return;
    stop_workers(p);
    for (int64_t i = 0; i < p->entry_count; i++) sqn_result_release(p->entries[i].result);
    for (int64_t i = 0; i < p->count; i++) {
        item *it = &p->items[i];
        sqn_free(it->gold);
        sqn_free(it->pred);
        sqn_free(it->outcome.gold_error);
        sqn_free(it->outcome.pred_error);
        sqn_free(it->outcome.gold_sample);
        sqn_free(it->outcome.pred_sample);
    }
    for (int i = 0; i < p->database_count; i++) sqn_conn_options_release(&p->databases[i]);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    sqn_free(p->databases);
    sqn_free(p->items);
    sqn_free(p->order);
    sqn_free(p->entries);
    sqn_free(p->workers);
    sqn_free(p);
}
