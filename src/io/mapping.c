/* Mapped files: see mapping.h. */
#include "io/mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/alloc.h"

struct sqn_mapping {
    _Atomic int references;
    char *path;  /* owned */
    void *bytes; /* NULL for an empty file */
    size_t size;
};

static sqn_status refused(const char *path, sqn_err *e) {
    int why = errno;
    return SQN_FAIL(e, why == ENOENT ? SQN_NOTFOUND : SQN_IO, "%.300s: cannot open: %s", path,
                    strerror(why));
}

sqn_status sqn_mapping_open(sqn_mapping **out, const char *path, sqn_err *e) {
    struct stat facts;
    sqn_status status = SQN_NOMEM;
    *out = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return refused(path, e);
    sqn_mapping *m = sqn_calloc(1, sizeof *m, e);
    if (m == NULL) goto fail;
    atomic_init(&m->references, 1);
    m->path = sqn_strdup(path, e);
    if (m->path == NULL) goto fail;
    bool known = fstat(fd, &facts) == 0;
    if (known && !S_ISREG(facts.st_mode)) errno = S_ISDIR(facts.st_mode) ? EISDIR : EINVAL;
    if (!known || !S_ISREG(facts.st_mode)) {
        status = refused(path, e);
        goto fail;
    }
    if (facts.st_size > 0) {
        void *bytes = mmap(NULL, (size_t)facts.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
        if (bytes == MAP_FAILED) {
            status = refused(path, e);
            goto fail;
        }
        m->bytes = bytes;
        m->size = (size_t)facts.st_size;
    }
    close(fd);
    *out = m;
    return SQN_OK;
fail:
    sqn_mapping_release(m);
    close(fd);
    return status;
}

sqn_mapping *sqn_mapping_retain(sqn_mapping *m) {
    atomic_fetch_add(&m->references, 1);
    return m;
}

void sqn_mapping_release(sqn_mapping *m) {
    if (m == NULL || atomic_fetch_sub(&m->references, 1) > 1) return;
    if (m->bytes != NULL) munmap(m->bytes, m->size);
    sqn_free(m->path);
    sqn_free(m);
}

const void *sqn_mapping_bytes(const sqn_mapping *m) { return m->bytes; }
size_t sqn_mapping_size(const sqn_mapping *m) { return m->size; }
const char *sqn_mapping_path(const sqn_mapping *m) { return m->path; }
