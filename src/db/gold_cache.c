/* Gold results on disk: see gold_cache.h. */
#include "db/gold_cache.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "db/pack.h"
#include "io/file.h"
#include "io/sha256.h"

static const char magic[] = "sqlune gold 1\n";
enum { MAGIC = sizeof magic - 1, DIGEST = 64, HEAD = MAGIC + DIGEST };
static const size_t most_bytes = (size_t)16 << 20; /* larger results are not kept */

static void digest_of(const char *bytes, size_t n, char hex[65]) {
    sqn_sha256 h;
    sqn_sha256_start(&h);
    sqn_sha256_add(&h, bytes, n);
    sqn_sha256_finish(&h, hex);
}

bool sqn_gold_cache_path(const char *folder, const char *digest, const sqn_conn_options *o,
                         const char *sql, size_t n, char *path, size_t room) {
    sqn_sha256 h;
    char hex[65], limits[160];
    int length = snprintf(limits, sizeof limits, "%s\n%g %lld %lld %lld\n",
                          o->dialect ? o->dialect : "sqlite", o->timeout, (long long)o->max_rows,
                          (long long)o->max_bytes, (long long)o->max_length);
    sqn_sha256_start(&h);
    sqn_sha256_add(&h, magic, MAGIC);
    sqn_sha256_add(&h, limits, (size_t)length);
    sqn_sha256_add(&h, digest, strlen(digest) + 1);
    sqn_sha256_add(&h, sql, n);
    sqn_sha256_finish(&h, hex);
    int used = snprintf(path, room, "%s/%.2s/%s.gold", folder, hex, hex + 2);
    return used > 0 && (size_t)used < room;
}

sqn_status sqn_gold_cache_load(const char *path, sqn_result **out, sqn_err *e) {
    char *bytes = NULL, hex[65];
    size_t n = 0;
    sqn_err ignored = SQN_ERR_INIT;
    *out = NULL;
    if (access(path, R_OK) != 0) return SQN_OK;
    sqn_status status = sqn_file_read(path, &bytes, &n, &ignored);
    if (status == SQN_OK && n > HEAD && memcmp(bytes, magic, MAGIC) == 0) {
        digest_of(bytes + HEAD, n - HEAD, hex);
        sqn_unpack u = {.at = bytes + HEAD, .end = bytes + n};
        if (memcmp(bytes + MAGIC, hex, DIGEST) == 0) status = sqn_unpack_result(&u, out, &ignored);
    }
    sqn_free(bytes);
    if (status == SQN_NOMEM) *e = ignored;
    return status == SQN_NOMEM ? SQN_NOMEM : SQN_OK;
}

/* All bytes to a new file, which is gone again if they do not fit. */
static void write_entry(const char *path, const char *temporary, const char *bytes, size_t n) {
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) return;
    size_t written = 0;
    while (written < n) {
        ssize_t k = write(fd, bytes + written, n - written);
        if (k <= 0) break;
        written += (size_t)k;
    }
    if (close(fd) != 0 || written < n || rename(temporary, path) != 0) unlink(temporary);
}

sqn_status sqn_gold_cache_save(const char *path, const sqn_result *r, sqn_err *e) {
    char temporary[4200], hex[65];
    sqn_buf b = {0};
    char empty[DIGEST] = {0};
    int length = snprintf(temporary, sizeof temporary, "%s.%ld", path, (long)getpid());
    if (length < 0 || (size_t)length >= sizeof temporary) return SQN_OK;
    sqn_buf_put(&b, magic, MAGIC);
    sqn_buf_put(&b, empty, DIGEST);
    sqn_pack_result(&b, r);
    sqn_status status = sqn_buf_status(&b, e);
    if (status == SQN_OK && b.n <= most_bytes) {
        digest_of(b.data + HEAD, b.n - HEAD, hex);
        memcpy(b.data + MAGIC, hex, DIGEST);
        char *slash = strrchr(temporary, '/');
        *slash = '\0';
        mkdir(temporary, 0777);
        *slash = '/';
        write_entry(path, temporary, b.data, b.n);
    }
    sqn_buf_release(&b);
    return status;
}
