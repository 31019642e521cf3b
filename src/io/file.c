/* Whole files and atomic writes: see file.h. Folders and trees are in folder.c. */
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/alloc.h"
#include "core/interrupt.h"
#include "io/sha256.h"

static sqn_status refused(const char *path, const char *what, sqn_err *e) {
    int why = errno;
    return SQN_FAIL(e, why == ENOENT ? SQN_NOTFOUND : SQN_IO, "%.300s: %s: %s", path, what,
                    strerror(why));
}

static sqn_status open_to_read(const char *path, int *fd, struct stat *facts, sqn_err *e) {
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0) return refused(path, "cannot open", e);
    if (fstat(*fd, facts) == 0 && !S_ISDIR(facts->st_mode)) return SQN_OK;
    if (S_ISDIR(facts->st_mode)) errno = EISDIR;
    sqn_status status = refused(path, "cannot read", e);
    close(*fd);
    return status;
}

static ssize_t read_some(int fd, void *to, size_t n) {
    ssize_t got;
    do got = read(fd, to, n);
    while (got < 0 && errno == EINTR);
    return got;
}

sqn_status sqn_file_read(const char *path, char **bytes, size_t *n, sqn_err *e) {
    struct stat facts;
    int fd;
    char *text = NULL;
    size_t used = 0, room;
    *bytes = NULL;
    *n = 0;
    SQN_TRY(open_to_read(path, &fd, &facts, e));
    sqn_status status;
    room = (size_t)(facts.st_size > 0 ? facts.st_size : 0) + 1; /* a pipe says 0: it grows */
    for (;;) {
        if (text == NULL || used + 1 >= room) {
            if (text != NULL) room *= 2;
            if (room < 4096) room = 4096;
            char *grown = sqn_realloc(text, room, e);
            if (grown == NULL) {
                status = SQN_NOMEM;
                goto fail;
            }
            text = grown;
        }
        SQN_GOTO(sqn_interrupt_check(e));
        ssize_t got = read_some(fd, text + used, room - used - 1);
        if (got < 0) {
            status = refused(path, "cannot read", e);
            goto fail;
        }
        if (got == 0) break;
        used += (size_t)got;
    }
    close(fd);
    text[used] = '\0';
    *bytes = text;
    *n = used;
    return SQN_OK;
fail:
    sqn_free(text);
    close(fd);
    return status;
}

sqn_status sqn_file_sha256(const char *path, char hex[65], sqn_err *e) {
    struct stat facts;
    int fd;
    sqn_sha256 h;
    unsigned char bytes[1 << 14];
    ssize_t got;
    SQN_TRY(open_to_read(path, &fd, &facts, e));
    sqn_status status = SQN_OK;
    sqn_sha256_start(&h);
    while (status == SQN_OK && (got = read_some(fd, bytes, sizeof bytes)) != 0) {
        if (got < 0)
            status = refused(path, "cannot read", e);
        else
            status = sqn_interrupt_check(e);
        if (status == SQN_OK) sqn_sha256_add(&h, bytes, (size_t)got);
    }
    close(fd);
    if (status == SQN_OK) sqn_sha256_finish(&h, hex);
    return status;
}

struct sqn_file_writer {
    int fd;
    char *path;      /* owned: the final name, links resolved */
    char *temporary; /* owned: NULL when `path` is a device or pipe and is written in place */
};

static sqn_status write_all(int fd, const char *path, const void *bytes, size_t n, sqn_err *e) {
    for (const char *p = bytes; n > 0;) {
        ssize_t done = write(fd, p, n < ((size_t)1 << 30) ? n : (size_t)1 << 30);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return refused(path, "cannot write", e);
        p += done;
        n -= (size_t)done;
    }
    return SQN_OK;
}

/* Makes a name that stands beside `path`, hidden and unlike any other writer's. */
static int open_temporary(const char *path, char *name, size_t room, mode_t mode) {
    static _Atomic unsigned counter;
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash - path + 1) : 0;
    for (int attempt = 0; attempt < 100; attempt++) {
        snprintf(name, room, "%.*s.%.200s.%ld-%u.tmp", folder, path, path + folder, (long)getpid(),
                 atomic_fetch_add(&counter, 1));
        int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (fd >= 0 || errno != EEXIST) return fd;
    }
    return -1;
}

sqn_status sqn_file_writer_open(sqn_file_writer **out, const char *path, sqn_err *e) {
    struct stat facts;
    sqn_status status = SQN_NOMEM;
    *out = NULL;
    sqn_file_writer *w = sqn_calloc(1, sizeof *w, e);
    if (w == NULL) return SQN_NOMEM;
    w->fd = -1;
    bool exists = stat(path, &facts) == 0;
    if (exists && S_ISREG(facts.st_mode))
        SQN_GOTO(sqn_file_real_path(path, &w->path, e));
    else
        w->path = sqn_strdup(path, e);
    status = SQN_NOMEM;
    if (w->path == NULL) goto fail;
    if (exists && S_ISDIR(facts.st_mode))
        errno = EISDIR;
    else if (exists && !S_ISREG(facts.st_mode))
        w->fd = open(path, O_WRONLY | O_CLOEXEC);
    else {
        size_t room = strlen(w->path) + 64;
        w->temporary = sqn_alloc(room, e);
        if (w->temporary == NULL) goto fail;
        w->fd = open_temporary(w->path, w->temporary, room, 0666);
        if (w->fd >= 0 && exists) (void)!fchmod(w->fd, facts.st_mode & 07777);
    }
    if (w->fd < 0) {
        status = refused(path, "cannot write", e);
        sqn_free(w->temporary);
        w->temporary = NULL;
        goto fail;
    }
    *out = w;
    return SQN_OK;
fail:
    sqn_file_writer_close(w);
    return status;
}

sqn_status sqn_file_writer_write(sqn_file_writer *w, const void *bytes, size_t n, sqn_err *e) {
    return write_all(w->fd, w->path, bytes, n, e);
}

/* A rename is durable once its folder is synced. Some file systems cannot: then there is no more to
 * do. */
static void sync_folder_of(const char *path) {
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path + 1) : 1,
             slash ? path : ".");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    fsync(fd);
    close(fd);
}

sqn_status sqn_file_writer_commit(sqn_file_writer *w, sqn_err *e) {
    int fd = w->fd;
    w->fd = -1;
    if (w->temporary == NULL) return close(fd) == 0 ? SQN_OK : refused(w->path, "cannot write", e);
    bool synced = fsync(fd) == 0;
    int why = errno;
    bool closed = close(fd) == 0;
    if (!synced) errno = why;
    if (!synced || !closed || rename(w->temporary, w->path) != 0)
        return refused(w->path, "cannot write", e);
    sqn_free(w->temporary);
    w->temporary = NULL;
    sync_folder_of(w->path);
    return SQN_OK;
}

void sqn_file_writer_close(sqn_file_writer *w) {
    if (w == NULL) return;
    if (w->fd >= 0) close(w->fd);
    if (w->temporary != NULL) unlink(w->temporary);
    sqn_free(w->temporary);
    sqn_free(w->path);
    sqn_free(w);
}

sqn_status sqn_file_write(const char *path, const void *bytes, size_t n, sqn_err *e) {
    sqn_file_writer *w;
    SQN_TRY(sqn_file_writer_open(&w, path, e));
    sqn_status status = sqn_file_writer_write(w, bytes, n, e);
    if (status == SQN_OK) status = sqn_file_writer_commit(w, e);
    sqn_file_writer_close(w);
    return status;
}

sqn_status sqn_file_append(const char *path, const void *bytes, size_t n, sqn_err *e) {
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0) return refused(path, "cannot open", e);
    sqn_status status = write_all(fd, path, bytes, n, e);
    if (close(fd) != 0 && status == SQN_OK) status = refused(path, "cannot write", e);
    return status;
}

sqn_status sqn_file_rename(const char *from, const char *to, sqn_err *e) {
    if (rename(from, to) != 0) return refused(from, "cannot rename", e);
    sync_folder_of(to);
    return SQN_OK;
}

sqn_status sqn_file_stat(const char *path, sqn_file_facts *out, sqn_err *e) {
    struct stat facts;
    *out = (sqn_file_facts){0};
    if (stat(path, &facts) != 0) {
        if (errno == ENOENT || errno == ENOTDIR) return SQN_OK;
        return refused(path, "cannot look at it", e);
    }
    out->exists = true;
    out->folder = S_ISDIR(facts.st_mode);
    out->size = facts.st_size;
    out->mtime = (double)facts.st_mtim.tv_sec + 1e-9 * (double)facts.st_mtim.tv_nsec;
    return SQN_OK;
}
