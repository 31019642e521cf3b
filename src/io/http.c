/* HTTP over libcurl: see http.h. */
#include "io/http.h"

#define CURL_DISABLE_TYPECHECK /* its macros would stand in the way of library.h */
#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <strings.h>

#include "core/interrupt.h"
#include "core/library.h"

/* clang-format off */
#define CURL_FUNCTIONS(F) \
    F(curl_easy_cleanup) F(curl_easy_getinfo) F(curl_easy_init) F(curl_easy_perform) \
    F(curl_easy_setopt) F(curl_easy_strerror) F(curl_global_init) F(curl_slist_append) \
    F(curl_slist_free_all)
/* clang-format on */
SQN_LIBRARY(curl, "libcurl.so.4", CURL_FUNCTIONS);

typedef struct exchange {
    sqn_http_answer *out;
    int64_t max_bytes;
    bool too_large;
} exchange;

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static void start_library(void) { curl.curl_global_init(CURL_GLOBAL_DEFAULT); }

static size_t take_body(char *bytes, size_t size, size_t n, void *self) {
    exchange *x = self;
    if ((int64_t)(x->out->body.n + size * n) > x->max_bytes) {
        x->too_large = true;
        return 0;
    }
    sqn_buf_put(&x->out->body, bytes, size * n);
    return x->out->body.failed ? 0 : size * n;
}

static size_t take_header(char *bytes, size_t size, size_t n, void *self) {
    exchange *x = self;
    if (size * n > 5 && strncasecmp(bytes, "HTTP/", 5) == 0)
        x->out->headers.n = 0; /* after "100 Continue" comes the answer itself */
    else if (x->out->headers.n < 1 << 20)
        sqn_buf_put(&x->out->headers, bytes, size * n);
    return x->out->headers.failed ? 0 : size * n;
}

static int look_at_flag(void *self, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
    (void)self, (void)a, (void)b, (void)c, (void)d;
    return sqn_interrupted();
}

/* The address without what may be secret: user, query, fragment. */
static void public_url(const char *url, char *to, size_t room) {
    const char *scheme = strstr(url, "://"), *host = scheme ? scheme + 3 : url;
    size_t n = strcspn(host, "?#"), slash = strcspn(host, "/?#");
    const char *at = memrchr(host, '@', slash);
    if (at != NULL) {
        n -= (size_t)(at + 1 - host);
        host = at + 1;
    }
    size_t first = scheme ? (size_t)(scheme + 3 - url) : 0;
    snprintf(to, room, "%.*s%.*s", (int)(first < 20 ? first : 20), url, (int)(n < 300 ? n : 300),
             host);
}

static sqn_status fail_with(const exchange *x, CURLcode code, const char *url, const char *reason,
                            sqn_err *e) {
    char name[360];
    public_url(url, name, sizeof name);
    if (x->out->body.failed || x->out->headers.failed || code == CURLE_OUT_OF_MEMORY)
        return SQN_FAIL(e, SQN_NOMEM, "%s: out of memory for the answer", name);
    if (x->too_large)
        return SQN_FAIL(e, SQN_LIMIT, "%s: the answer is larger than %lld bytes", name,
                        (long long)x->max_bytes);
    if (code == CURLE_ABORTED_BY_CALLBACK) return SQN_FAIL(e, SQN_INTERRUPT, "interrupted");
    if (code == CURLE_OPERATION_TIMEDOUT)
        return SQN_FAIL(e, SQN_TIMEOUT, "%s: no answer in time", name);
    bool web = strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0;
    if (code == CURLE_URL_MALFORMAT || !web)
        return SQN_FAIL(e, SQN_MISUSE, "'%s' is no address of a web server", name);
    return SQN_FAIL(e, SQN_IO, "%s: %s", name, *reason ? reason : curl.curl_easy_strerror(code));
}

static sqn_status set_headers(CURL *c, const sqn_http_request *r, struct curl_slist **list,
                              sqn_err *e) {
    for (size_t i = 0; i < r->header_count; i++) {
        struct curl_slist *longer = curl.curl_slist_append(*list, r->headers[i]);
        if (longer == NULL) return SQN_FAIL(e, SQN_NOMEM, "out of memory for headers");
        *list = longer;
    }
    curl.curl_easy_setopt(c, CURLOPT_HTTPHEADER, *list);
    return SQN_OK;
}

static void set_options(CURL *c, const sqn_http_request *r, exchange *x, char *reason) {
    double seconds = r->timeout > 0 ? r->timeout : SQN_HTTP_TIMEOUT;
    curl.curl_easy_setopt(c, CURLOPT_URL, r->url);
    curl.curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl.curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl.curl_easy_setopt(c, CURLOPT_ERRORBUFFER, reason);
    curl.curl_easy_setopt(c, CURLOPT_TIMEOUT_MS,
                          seconds < 1e6 ? (long)(1e3 * seconds) + 1 : 1000000000L);
    curl.curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS,
                          seconds < 10 ? (long)(1e3 * seconds) + 1 : 10000L);
    curl.curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body);
    curl.curl_easy_setopt(c, CURLOPT_WRITEDATA, x);
    curl.curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_header);
    curl.curl_easy_setopt(c, CURLOPT_HEADERDATA, x);
    curl.curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, look_at_flag);
    curl.curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl.curl_easy_setopt(c, CURLOPT_USERAGENT, "sqlune");
    if (r->body != NULL) {
        curl.curl_easy_setopt(c, CURLOPT_POST, 1L);
        curl.curl_easy_setopt(c, CURLOPT_POSTFIELDS, r->body);
        curl.curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_length);
    }
    if (r->method != NULL) curl.curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, r->method);
}

sqn_status sqn_http_send(const sqn_http_request *r, sqn_http_answer *out, sqn_err *e) {
    char reason[CURL_ERROR_SIZE] = "";
    struct curl_slist *headers = NULL;
    exchange x = {out, r->max_bytes > 0 ? r->max_bytes : SQN_HTTP_MAX_BYTES, false};
    SQN_TRY(sqn_library_open(&curl_library, e));
    pthread_once(&library_once, start_library);
    CURL *c = curl.curl_easy_init();
    if (c == NULL) return SQN_FAIL(e, SQN_NOMEM, "out of memory for a request");
    set_options(c, r, &x, reason);
    sqn_status status = set_headers(c, r, &headers, e);
    if (status == SQN_OK) {
        CURLcode code = curl.curl_easy_perform(c);
        if (code != CURLE_OK) status = fail_with(&x, code, r->url, reason, e);
        curl.curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &out->status);
    }
    curl.curl_easy_cleanup(c);
    curl.curl_slist_free_all(headers);
    if (status != SQN_OK) sqn_http_answer_release(out);
    return status;
}

void sqn_http_answer_release(sqn_http_answer *a) {
    sqn_buf_release(&a->headers);
    sqn_buf_release(&a->body);
    *a = (sqn_http_answer){0};
}
