/* A pool as its owner sees it: building, planning, the workers' messages and deaths. See pool.h. */
#include "db/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/alloc.h"
#include "core/interrupt.h"
#include "db/pool_parts.h"

enum {
    MOST_JOB_ITEMS = 64,
    JOBS_A_WORKER = 4,
    MOST_IDLE_DEATHS = 8,
    MESSAGE_HEAD = 2 * sizeof(int64_t)
};
/* How often a wait looks at the interrupt flag and at deadlines. Seconds. */
static const double slice = 0.05;
/* Workers watch deadlines themselves; one that is so many seconds late does not any more. */
static const double late = 15, longest_comparison = 60, longest_end = 3;

/* ---- building ---- */

sqn_status sqn_pool_new(const sqn_pool_options *o, sqn_pool **out, sqn_err *e) {
    sqn_pool *p = sqn_calloc(1, sizeof *p, e);
    if (p == NULL) return SQN_NOMEM;
    p->options = *o;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (o->workers <= 0) p->options.workers = processors > 0 ? (int)processors : 1;
    if (p->options.workers > POOL_WORKERS) p->options.workers = POOL_WORKERS;
    if (o->cache != NULL && (p->cache = sqn_strdup(o->cache, e)) == NULL) {
        sqn_free(p);
        return SQN_NOMEM;
    }
    *out = p;
    return SQN_OK;
}

sqn_status sqn_pool_add_database(sqn_pool *p, const sqn_conn_options *o, const char *digest,
                                 int *index, sqn_err *e) {
    size_t bytes = (size_t)(p->database_count + 1) * sizeof *p->databases;
    pool_database *grown = sqn_realloc(p->databases, bytes, e);
    if (grown == NULL) return SQN_NOMEM;
    p->databases = grown;
    pool_database *d = &grown[p->database_count];
    *d = (pool_database){0};
    if (digest != NULL && (d->digest = sqn_strdup(digest, e)) == NULL) return SQN_NOMEM;
    sqn_status status = sqn_conn_options_copy(o, &d->options, e);
    if (status != SQN_OK) {
        sqn_free(d->digest);
        return status;
    }
    *index = p->database_count++;
    return SQN_OK;
}

static void free_item(pool_item *it) {
    sqn_free((char *)it->sql.gold);
    sqn_free((char *)it->sql.pred);
    sqn_free((char *)it->sql.keyed);
    pool_outcome_release(&it->outcome);
}

sqn_status sqn_pool_add(sqn_pool *p, const sqn_pool_item *item, sqn_err *e) {
    SQN_ASSERT(!p->started && item->database >= 0 && item->database < p->database_count);
    SQN_ASSERT(item->pred_database >= 0 && item->pred_database < p->database_count);
    if (p->count == p->room) {
        int64_t room = p->room ? 2 * p->room : 64;
        pool_item *grown = sqn_realloc(p->items, (size_t)room * sizeof *grown, e);
        if (grown == NULL) return SQN_NOMEM;
        p->items = grown;
        p->room = room;
    }
    pool_item it = {.sql = *item};
    it.sql.keyed = NULL;
    it.sql.gold = sqn_strndup(item->gold, item->gold_length, e);
    it.sql.pred = it.sql.gold ? sqn_strndup(item->pred, item->pred_length, e) : NULL;
    bool failed = it.sql.pred == NULL;
    if (!failed && item->keyed != NULL)
        failed = (it.sql.keyed = sqn_strndup(item->keyed, item->keyed_length, e)) == NULL;
    if (failed) {
        free_item(&it);
        return SQN_NOMEM;
    }
    p->items[p->count++] = it;
    return SQN_OK;
}

/* ---- planning ---- */

static bool same_gold(const pool_item *a, const pool_item *b) {
    return a->sql.database == b->sql.database && a->sql.gold_length == b->sql.gold_length &&
           memcmp(a->sql.gold, b->sql.gold, a->sql.gold_length) == 0;
}

/* The first item with the same gold, for each item. */
static sqn_status find_equals(const sqn_pool *p, int64_t *first, sqn_err *e) {
    size_t size = 16;
    while (size < 2 * (size_t)p->count) size *= 2;
    int64_t *table = sqn_calloc(size, sizeof *table, e); /* item + 1; 0: free */
    if (table == NULL) return SQN_NOMEM;
    for (int64_t i = 0; i < p->count; i++) {
        const sqn_pool_item *it = &p->items[i].sql;
        sqn_cell text = {.kind = SQN_CELL_TEXT, .length = it->gold_length, .as.bytes = it->gold};
        size_t at = (sqn_cell_hash(&text) + (size_t)it->database) & (size - 1);
        while (table[at] != 0 && !same_gold(&p->items[i], &p->items[table[at] - 1]))
            at = (at + 1) & (size - 1);
        if (table[at] == 0) table[at] = i + 1;
        first[i] = table[at] - 1;
    }
    sqn_free(table);
    return SQN_OK;
}

/* Items with equal gold one behind the other: `after` links them, last[first] is the newest. */
static void link_equals(sqn_pool *p, const int64_t *first, int64_t *after, int64_t *last) {
    for (int64_t i = 0; i < p->count; i++) {
        after[i] = -1;
        if (first[i] != i) after[last[first[i]]] = i;
        last[first[i]] = i;
    }
}

/* Jobs database by database, in the order of their first items. */
static void make_jobs(sqn_pool *p, const int64_t *first, const int64_t *after, int database,
                      int64_t most) {
    pool_database *d = &p->databases[database];
    int64_t members =
        p->job_count ? p->jobs[p->job_count - 1].first + p->jobs[p->job_count - 1].count : 0;
    d->first = p->job_count;
    for (int64_t i = 0; i < p->count; i++) {
        if (first[i] != i || p->items[i].sql.database != database) continue;
        pool_job *job = NULL;
        for (int64_t m = i; m >= 0; m = after[m]) {
            if (job == NULL || job->count == most) {
                job = &p->jobs[p->job_count++];
                *job = (pool_job){.database = database, .first = members};
            }
            p->items[m].job = job - p->jobs;
            p->members[members++] = m;
            job->count++;
        }
    }
    d->count = p->job_count - d->first;
}

static sqn_status plan(sqn_pool *p, sqn_err *e) {
    sqn_status status = SQN_OK;
    size_t n = (size_t)p->count;
    int64_t *links = sqn_alloc(3 * n * sizeof *links, e);
    p->jobs = sqn_calloc(n, sizeof *p->jobs, e);
    p->members = sqn_calloc(n, sizeof *p->members, e);
    p->finished = sqn_calloc(n, sizeof *p->finished, e);
    if (!links || !p->jobs || !p->members || !p->finished) SQN_GOTO(SQN_NOMEM);
    SQN_GOTO(find_equals(p, links, e));
    link_equals(p, links, links + n, links + 2 * n);
    /* Items with one gold are one job, but no worker shall idle while another has them all. */
    int64_t most = p->count / (JOBS_A_WORKER * p->options.workers);
    most = most < 1 ? 1 : most > MOST_JOB_ITEMS ? MOST_JOB_ITEMS : most;
    for (int d = 0; d < p->database_count; d++) make_jobs(p, links, links + n, d, most);
fail:
    sqn_free(links);
    return status;
}

/* ---- processes ---- */

static void close_end(int *fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

static void reset_state(pool_state *s) {
    atomic_store(&s->job, -1);
    atomic_store(&s->place, -1);
    atomic_store(&s->phase, POOL_IDLE);
}

/* Forks worker i, which begins with a job (-1: with none) at a place. */
static sqn_status start_worker(sqn_pool *p, int i, int64_t job, int64_t place, sqn_err *e) {
    pool_worker *w = &p->workers[i];
    int out[2] = {-1, -1}, control[2] = {-1, -1};
    sigset_t all, before;
    if (pipe2(out, O_CLOEXEC) != 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control) != 0) {
        for (int k = 0; k < 2; k++) close_end(&out[k]);
        return SQN_FAIL(e, SQN_IO, "no pipe to a worker: %s", strerror(errno));
    }
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    reset_state(&p->shared->states[i]);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    pid_t pid = fork();
    if (pid == 0) {
        close(out[0]);
        close(control[1]);
        for (int k = 0; k < p->worker_count; k++) {
            close_end(&p->workers[k].in);
            close_end(&p->workers[k].control);
        }
        pool_worker_run(p, i, out[1], control[0], job, place);
    }
    int reason = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(out[1]);
    close(control[0]);
    if (pid < 0) {
        close(out[0]);
        close(control[1]);
        return SQN_FAIL(e, SQN_IO, "no process could be started: %s", strerror(reason));
    }
    sqn_buf_release(&w->bytes);
    *w = (pool_worker){.pid = pid, .in = out[0], .control = control[1]};
    return SQN_OK;
}

sqn_status sqn_pool_start(sqn_pool *p, sqn_err *e) {
    SQN_ASSERT(!p->started);
    p->started = true;
    SQN_TRY(plan(p, e));
    size_t bytes = sizeof *p->shared + (size_t)p->database_count * sizeof p->shared->next[0];
    void *shared = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return SQN_FAIL(e, SQN_NOMEM, "out of shared memory");
    p->shared = shared;
    p->shared_bytes = bytes;
    int wanted = p->options.workers < p->job_count ? p->options.workers : (int)p->job_count;
    for (int i = 0; i < POOL_WORKERS; i++) p->workers[i].in = p->workers[i].control = -1;
    p->worker_count = wanted;
    sqn_status status = SQN_OK;
    int started = 0;
    for (int i = 0; i < wanted && status == SQN_OK; i++) {
        status = start_worker(p, i, -1, -1, e);
        started += status == SQN_OK;
    }
    if (status == SQN_OK || started == 0) return status;
    sqn_err_clear(e); /* fewer than wanted will do */
    p->worker_count = started;
    return SQN_OK;
}

/* ---- messages ---- */

static void mark_done(sqn_pool *p, int64_t item) {
    p->items[item].outcome.done = true;
    p->finished[p->done++] = item;
}

/* Stops the pool with the first error. */
static sqn_status stop_for(sqn_pool *p, const sqn_err *e) {
    if (p->err.code == SQN_OK) p->err = *e;
    return p->err.code;
}

static sqn_status take_message(sqn_pool *p, pool_worker *w, pool_message kind, const char *bytes,
                               size_t n, sqn_err *e) {
    int64_t number = 0;
    if (kind == POOL_END) {
        w->finished = true;
        return SQN_OK;
    }
    if (n < sizeof number) return SQN_FAIL(e, SQN_FORMAT, "a worker's message is broken");
    memcpy(&number, bytes, sizeof number);
    if (kind == POOL_FATAL)
        return SQN_FAIL(e, (sqn_status)number, "%.*s", (int)(n - sizeof number),
                        bytes + sizeof number);
    if (number < 0 || number >= p->count || p->items[number].outcome.done)
        return SQN_FAIL(e, SQN_FORMAT, "a worker's message names no open item");
    SQN_TRY(
        pool_take_outcome(bytes + sizeof number, n - sizeof number, &p->items[number].outcome, e));
    mark_done(p, number);
    return SQN_OK;
}

/* All whole messages among the bytes that were read. */
static sqn_status take_messages(sqn_pool *p, pool_worker *w, sqn_err *e) {
    size_t at = 0;
    int64_t head[2];
    SQN_TRY(sqn_buf_status(&w->bytes, e));
    while (w->bytes.n - at >= MESSAGE_HEAD) {
        memcpy(head, w->bytes.data + at, sizeof head);
        size_t whole = sizeof head[0] + (size_t)head[0];
        if (head[0] < (int64_t)sizeof head[1] || head[1] < 0 || head[1] > POOL_END)
            return SQN_FAIL(e, SQN_FORMAT, "a worker's message is broken");
        if (w->bytes.n - at < whole) break;
        SQN_TRY(take_message(p, w, (pool_message)head[1], w->bytes.data + at + MESSAGE_HEAD,
                             whole - MESSAGE_HEAD, e));
        at += whole;
    }
    if (at > 0) memmove(w->bytes.data, w->bytes.data + at, w->bytes.n - at);
    w->bytes.n -= at;
    return SQN_OK;
}

/* Reads what a worker has sent. *ended: its end of the pipe is closed. */
static sqn_status read_worker(sqn_pool *p, pool_worker *w, bool *ended, sqn_err *e) {
    char bytes[1 << 16];
    *ended = false;
    for (;;) {
        ssize_t k = read(w->in, bytes, sizeof bytes);
        if (k > 0) {
            sqn_buf_put(&w->bytes, bytes, (size_t)k);
            SQN_TRY(take_messages(p, w, e));
            continue;
        }
        if (k < 0 && errno == EINTR) continue;
        *ended = k == 0 || errno != EAGAIN;
        return SQN_OK;
    }
}

/* ---- deaths ---- */

static void describe_death(const pool_worker *w, int status, char *text, size_t room) {
    if (w->killed)
        snprintf(text, room, "it did not end at its deadline; its process was killed");
    else if (WIFSIGNALED(status))
        snprintf(text, room, "the process that ran it ended by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(text, room, "the process that ran it ended with status %d", WEXITSTATUS(status));
}

/* The verdict of the item that a dead worker was at. */
static sqn_status blame_item(sqn_pool *p, const pool_worker *w, int64_t place, pool_phase phase,
                             int status, sqn_err *e) {
    char text[300];
    int64_t item = p->members[place];
    pool_job *job = &p->jobs[p->items[item].job];
    sqn_outcome *o = &p->items[item].outcome;
    sqn_status code = w->killed && phase != POOL_COMPARE ? SQN_TIMEOUT : SQN_DB;
    describe_death(w, status, text, sizeof text);
    *o = (sqn_outcome){.gold_rows = -1, .pred_rows = -1};
    if ((o->memory = sqn_strdup(text, e)) == NULL) return SQN_NOMEM;
    if (phase == POOL_GOLD) {
        o->verdict = SQN_VERDICT_GOLD_ERROR;
        o->gold_status = job->gold_fault_code = code;
        o->gold_error = o->memory;
        if (job->gold_fault == NULL && (job->gold_fault = sqn_strdup(text, e)) == NULL)
            return SQN_NOMEM;
    } else {
        o->verdict = code == SQN_TIMEOUT ? SQN_VERDICT_TIMEOUT : SQN_VERDICT_ERROR;
        o->pred_status = code;
        o->pred_error = o->memory;
    }
    mark_done(p, item);
    return SQN_OK;
}

/* A worker ended. If it had more to do, its item is judged and another worker takes its place. */
static sqn_status bury_worker(sqn_pool *p, int i, sqn_err *e) {
    pool_worker *w = &p->workers[i];
    pool_state *s = &p->shared->states[i];
    int status = 0;
    while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR) continue;
    w->pid = 0;
    close_end(&w->in);
    close_end(&w->control);
    if (w->finished) return SQN_OK;
    p->deaths++;
    int64_t job = atomic_load(&s->job), place = atomic_load(&s->place), last = -1;
    if (job >= 0 && place >= 0) {
        last = p->jobs[job].first + p->jobs[job].count;
        if (!p->items[p->members[place]].outcome.done)
            SQN_TRY(blame_item(p, w, place, (pool_phase)atomic_load(&s->phase), status, e));
        place++;
    } else if (++p->idle_deaths > MOST_IDLE_DEATHS) {
        return SQN_FAIL(e, SQN_IO, "workers end as soon as they start");
    }
    if (place >= last) job = place = -1;
    return start_worker(p, i, job, place, e);
}

/* Kills workers that do not watch their deadlines any more. */
static void kill_late(sqn_pool *p) {
    double now = sqn_db_clock(), limit = p->options.timeout;
    for (int d = 0; limit <= 0 && d < p->database_count; d++)
        if (p->databases[d].options.timeout > SQN_DB_TIMEOUT)
            limit = -p->databases[d].options.timeout;
    limit = limit > 0 ? limit : limit < 0 ? -limit : SQN_DB_TIMEOUT;
    for (int i = 0; i < p->worker_count; i++) {
        const pool_state *s = &p->shared->states[i];
        pool_phase phase = (pool_phase)atomic_load(&s->phase);
        double since = 1e-9 * (double)atomic_load(&s->since);
        double most = phase == POOL_COMPARE ? longest_comparison : limit + late;
        if (p->workers[i].pid == 0 || phase == POOL_IDLE || now - since < most) continue;
        p->workers[i].killed = true;
        kill(p->workers[i].pid, SIGKILL);
    }
}

/* ---- waiting, ending ---- */

/* Waits at most `seconds` for messages and takes them. */
static sqn_status serve_workers(sqn_pool *p, double seconds, sqn_err *e) {
    struct pollfd ends[POOL_WORKERS];
    int who[POOL_WORKERS], count = 0;
    for (int i = 0; i < p->worker_count; i++) {
        if (p->workers[i].in < 0) continue;
        ends[count] = (struct pollfd){.fd = p->workers[i].in, .events = POLLIN};
        who[count++] = i;
    }
    if (count == 0) return SQN_FAIL(e, SQN_IO, "no worker is left");
    if (poll(ends, (nfds_t)count, (int)(1000 * seconds) + 1) <= 0) return SQN_OK;
    for (int k = 0; k < count; k++) {
        bool ended;
        if (ends[k].revents == 0) continue;
        SQN_TRY(read_worker(p, &p->workers[who[k]], &ended, e));
        if (ended) SQN_TRY(bury_worker(p, who[k], e));
    }
    return SQN_OK;
}

sqn_status sqn_pool_step(sqn_pool *p, double seconds, int64_t *done, sqn_err *e) {
    SQN_ASSERT(p->started);
    double until = sqn_db_clock() + seconds, left;
    sqn_err err = SQN_ERR_INIT;
    while (p->done < p->count && p->err.code == SQN_OK && !sqn_interrupted() &&
           (left = until - sqn_db_clock()) > 0) {
        if (serve_workers(p, left < slice ? left : slice, &err) != SQN_OK) stop_for(p, &err);
        kill_late(p);
        /* or each verdict would wake this process; the last ones may */
        if (p->count - p->done > p->worker_count) usleep(1000);
    }
    *done = p->done;
    if (p->err.code != SQN_OK && e != NULL && e->code == SQN_OK) *e = p->err;
    return p->err.code != SQN_OK ? p->err.code : sqn_interrupt_check(e);
}

int64_t sqn_pool_size(const sqn_pool *p) { return p->count; }
int64_t sqn_pool_done(const sqn_pool *p) { return p->done; }

const sqn_outcome *sqn_pool_outcome(sqn_pool *p, int64_t i) {
    SQN_ASSERT(i >= 0 && i < p->count);
    return p->items[i].outcome.done ? &p->items[i].outcome : NULL;
}

int64_t sqn_pool_finished(const sqn_pool *p, int64_t n) {
    SQN_ASSERT(n >= 0 && n < p->done);
    return p->finished[n];
}

int sqn_pool_deaths(const sqn_pool *p) { return p->deaths; }

/* Lets the workers cancel what they run and end; one that does not is killed. */
static void end_workers(sqn_pool *p) {
    double until = sqn_db_clock() + longest_end;
    for (int i = 0; i < p->worker_count; i++) {
        close_end(&p->workers[i].in);
        /* said, not only closed: a process that was forked meanwhile may hold the other end */
        if (p->workers[i].control >= 0) (void)!send(p->workers[i].control, "q", 1, MSG_NOSIGNAL);
        close_end(&p->workers[i].control);
    }
    for (int i = 0; i < p->worker_count; i++) {
        pool_worker *w = &p->workers[i];
        while (w->pid != 0) {
            pid_t ended = waitpid(w->pid, NULL, WNOHANG);
            if (ended != 0 && !(ended < 0 && errno == EINTR)) {
                w->pid = 0;
            } else if (sqn_db_clock() > until) {
                kill(w->pid, SIGKILL);
                usleep(10000);
            } else {
                usleep(200);
            }
        }
        sqn_buf_release(&w->bytes);
    }
}

void sqn_pool_release(sqn_pool *p) {
    if (p == NULL) return;
    end_workers(p);
    for (int64_t i = 0; i < p->count; i++) free_item(&p->items[i]);
    for (int64_t i = 0; i < p->job_count; i++) sqn_free(p->jobs[i].gold_fault);
    for (int i = 0; i < p->database_count; i++) {
        sqn_conn_options_release(&p->databases[i].options);
        sqn_free(p->databases[i].digest);
    }
    if (p->shared != NULL) munmap(p->shared, p->shared_bytes);
    sqn_free(p->cache);
    sqn_free(p->databases);
    sqn_free(p->items);
    sqn_free(p->jobs);
    sqn_free(p->members);
    sqn_free(p->finished);
    sqn_free(p);
}
