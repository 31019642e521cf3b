/* One HTTP request and its answer, over libcurl: for models behind an endpoint.
 *
 * Rules: only http and https; certificates are checked; no redirect is followed (a header with a
 * key would go along). An answer of any status is an answer. Messages name the address without
 * its user, query and fragment, and never a header. ^C ends a request.
 */
#ifndef SQN_IO_HTTP_H
#define SQN_IO_HTTP_H

#include <stdint.h>

#include "core/buf.h"

typedef struct sqn_http_request {
    const char *method, *url;   /* method NULL: POST with a body, else GET */
    const char *const *headers; /* [header_count] "Name: value" */
    size_t header_count;
    const char *body; /* NULL: none */
    size_t body_length;
    double timeout;    /* seconds for everything; 0 = SQN_HTTP_TIMEOUT */
    int64_t max_bytes; /* of the answer's body; 0 = SQN_HTTP_MAX_BYTES */
} sqn_http_request;

#define SQN_HTTP_TIMEOUT 60.0
#define SQN_HTTP_MAX_BYTES ((int64_t)64 << 20)

typedef struct sqn_http_answer {
    long status;
    sqn_buf headers; /* owned; lines as they came */
    sqn_buf body;    /* owned */
} sqn_http_answer;

/* *out: zero before; on a failure it holds nothing. SQN_TIMEOUT, SQN_LIMIT, SQN_IO for whatever
 * else the network does, SQN_MISUSE for an address that is none. */
sqn_status sqn_http_send(const sqn_http_request *r, sqn_http_answer *out, sqn_err *e);
void sqn_http_answer_release(sqn_http_answer *a);

#endif
