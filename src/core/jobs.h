/* A queue of texts that threads turn into other texts; results come back in the order of the jobs.
 *
 * Rules: one thread adds and waits, any number take and answer. A text is copied when it goes in; a
 * result belongs to the queue until it is handed out. After sqn_jobs_stop nobody gets a job.
 */
#ifndef SQN_CORE_JOBS_H
#define SQN_CORE_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

typedef struct sqn_jobs sqn_jobs;

typedef struct sqn_job {
    struct sqn_job *next;
    char *result; /* owned; the message where it failed, NULL where there was no memory for it */
    size_t result_length, length;
    bool done, failed;
    char text[]; /* length bytes */
} sqn_job;

sqn_status sqn_jobs_new(sqn_jobs **out /* owned */, sqn_err *e);
sqn_status sqn_jobs_add(sqn_jobs *q, const char *text, size_t length, sqn_err *e);
int64_t sqn_jobs_count(sqn_jobs *q); /* added and not yet handed out */
/* Waits until the oldest job is done, and hands it out: free it with sqn_job_free. SQN_MISUSE if
 * there is none, SQN_INTERRUPT on ^C. */
sqn_status sqn_jobs_wait(sqn_jobs *q, sqn_job **out /* owned */, sqn_err *e);
void sqn_job_free(sqn_job *job); /* accepts NULL */

/* For the threads: the next job, NULL when the queue has stopped. Borrowed until answered. */
sqn_job *sqn_jobs_take(sqn_jobs *q);
void sqn_jobs_answer(sqn_jobs *q, sqn_job *job, const char *result, size_t length, bool failed);
bool sqn_jobs_stopped(const sqn_jobs *q);

void sqn_jobs_stop(sqn_jobs *q);
void sqn_jobs_release(sqn_jobs *q); /* after the threads have ended; accepts NULL */

#endif
