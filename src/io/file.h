/* Files and folders: whole reads, atomic writes, trees.
 *
 * Rules: a write goes to a temporary name in the same folder, is synced, and takes the file's name
 * only when every byte is on disk: a full disk or a kill leaves the old file. Messages name the
 * path. A missing file is SQN_NOTFOUND, everything else that the system refuses SQN_IO.
 */
#ifndef SQN_IO_FILE_H
#define SQN_IO_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

sqn_status sqn_file_read(const char *path, char **bytes /* owned, a NUL follows */, size_t *n,
                         sqn_err *e);
sqn_status sqn_file_write(const char *path, const void *bytes, size_t n, sqn_err *e);
sqn_status sqn_file_append(const char *path, const void *bytes, size_t n, sqn_err *e);
sqn_status sqn_file_sha256(const char *path, char hex[65], sqn_err *e);

/* An atomic write in pieces. close without commit drops what was written. */
typedef struct sqn_file_writer sqn_file_writer;
sqn_status sqn_file_writer_open(sqn_file_writer **out /* owned */, const char *path, sqn_err *e);
sqn_status sqn_file_writer_write(sqn_file_writer *w, const void *bytes, size_t n, sqn_err *e);
sqn_status sqn_file_writer_commit(sqn_file_writer *w, sqn_err *e);
void sqn_file_writer_close(sqn_file_writer *w);

typedef struct sqn_file_facts {
    bool exists, folder;
    int64_t size; /* bytes */
    double mtime; /* seconds since 1970 */
} sqn_file_facts;
/* A path that does not exist is no error. Links are followed. */
sqn_status sqn_file_stat(const char *path, sqn_file_facts *out, sqn_err *e);

sqn_status sqn_file_rename(const char *from, const char *to, sqn_err *e); /* folders too; synced */
sqn_status sqn_file_remove(const char *path, sqn_err *e); /* a file, link or empty folder */
sqn_status sqn_tree_remove(const char *path, sqn_err *e); /* a missing one is no error */
sqn_status sqn_folder_make(const char *path, sqn_err *e); /* parents too; may exist */
/* Names in a folder without . and .., in byte order. */
sqn_status sqn_folder_list(const char *path, char ***names /* owned: sqn_names_free */, size_t *n,
                           sqn_err *e);
void sqn_names_free(char **names, size_t n);
/* Makes an empty folder of its own under $TMPDIR or /tmp. The caller removes it. */
sqn_status sqn_folder_temporary(char **path /* owned */, sqn_err *e);
sqn_status sqn_file_real_path(const char *path, char **out /* owned */, sqn_err *e);
/* Bytes that this user may still write on the file system of `path`. */
sqn_status sqn_folder_free_space(const char *path, int64_t *bytes, sqn_err *e);

#endif
