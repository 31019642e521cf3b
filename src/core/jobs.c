/* The queue of jobs.h: one list, oldest first; `pending` is the first job that nobody took. */
#include "core/jobs.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "core/alloc.h"
#include "core/interrupt.h"

struct sqn_jobs {
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    sqn_job *oldest, *newest, *pending;
    int64_t count;
    atomic_bool stopped;
};

sqn_status sqn_jobs_new(sqn_jobs **out, sqn_err *e) {
    sqn_jobs *q = *out = sqn_calloc(1, sizeof *q, e);
    if (q == NULL) return SQN_NOMEM;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&q->done, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_cond_init(&q->work, NULL);
    pthread_mutex_init(&q->lock, NULL);
    return SQN_OK;
}

sqn_status sqn_jobs_add(sqn_jobs *q, const char *text, size_t length, sqn_err *e) {
    sqn_job *job = sqn_alloc(sizeof *job + length, e);
    if (job == NULL) return SQN_NOMEM;
    *job = (sqn_job){.length = length};
    memcpy(job->text, text, length);
    pthread_mutex_lock(&q->lock);
    if (q->newest != NULL)
        q->newest->next = job;
    else
        q->oldest = job;
    q->newest = job;
    if (q->pending == NULL) q->pending = job;
    q->count++;
    pthread_cond_signal(&q->work);
    pthread_mutex_unlock(&q->lock);
    return SQN_OK;
}

int64_t sqn_jobs_count(sqn_jobs *q) {
    pthread_mutex_lock(&q->lock);
    int64_t count = q->count;
    pthread_mutex_unlock(&q->lock);
    return count;
}

/* With the lock held; wakes ten times a second to look for ^C. */
static void wait_slice(sqn_jobs *q) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += 100000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(&q->done, &q->lock, &until);
}

sqn_status sqn_jobs_wait(sqn_jobs *q, sqn_job **out, sqn_err *e) {
    sqn_status status = SQN_OK;
    *out = NULL;
    pthread_mutex_lock(&q->lock);
    if (q->oldest == NULL) status = SQN_FAIL(e, SQN_MISUSE, "there is no job to wait for");
    while (status == SQN_OK && !q->oldest->done) {
        status = sqn_interrupt_check(e);
        if (status == SQN_OK) wait_slice(q);
    }
    if (status == SQN_OK) {
        *out = q->oldest;
        q->oldest = q->oldest->next;
        if (q->oldest == NULL) q->newest = NULL;
        q->count--;
    }
    pthread_mutex_unlock(&q->lock);
    return status;
}

void sqn_job_free(sqn_job *job) {
    if (job == NULL) return;
    sqn_free(job->result);
    sqn_free(job);
}

sqn_job *sqn_jobs_take(sqn_jobs *q) {
    sqn_job *job = NULL;
    pthread_mutex_lock(&q->lock);
    while (q->pending == NULL && !atomic_load(&q->stopped)) pthread_cond_wait(&q->work, &q->lock);
    if (!atomic_load(&q->stopped)) {
        job = q->pending;
        q->pending = job->next;
    }
    pthread_mutex_unlock(&q->lock);
    return job;
}

void sqn_jobs_answer(sqn_jobs *q, sqn_job *job, const char *result, size_t length, bool failed) {
    char *copy = sqn_alloc(length, NULL);
    if (copy != NULL) memcpy(copy, result, length);
    pthread_mutex_lock(&q->lock);
    job->result = copy;
    job->result_length = copy != NULL ? length : 0;
    job->failed = failed || copy == NULL;
    job->done = true;
    pthread_cond_signal(&q->done);
    pthread_mutex_unlock(&q->lock);
}

bool sqn_jobs_stopped(const sqn_jobs *q) { return atomic_load(&q->stopped); }

void sqn_jobs_stop(sqn_jobs *q) {
    pthread_mutex_lock(&q->lock);
    atomic_store(&q->stopped, true);
    pthread_cond_broadcast(&q->work);
    pthread_mutex_unlock(&q->lock);
}

void sqn_jobs_release(sqn_jobs *q) {
    if (q == NULL) return;
    for (sqn_job *job = q->oldest, *next; job != NULL; job = next) {
        next = job->next;
        sqn_job_free(job);
    }
    pthread_cond_destroy(&q->work);
    pthread_cond_destroy(&q->done);
    pthread_mutex_destroy(&q->lock);
    sqn_free(q);
}
