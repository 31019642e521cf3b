/* Folders, trees and names: see file.h. */
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/alloc.h"
#include "io/file.h"

static sqn_status refused(const char *path, const char *what, sqn_err *e) {
    int why = errno;
    return SQN_FAIL(e, why == ENOENT ? SQN_NOTFOUND : SQN_IO, "%.300s: %s: %s", path, what,
                    strerror(why));
}

sqn_status sqn_file_remove(const char *path, sqn_err *e) {
    return remove(path) == 0 ? SQN_OK : refused(path, "cannot remove", e);
}

static int remove_entry(const char *path, const struct stat *facts, int kind, struct FTW *at) {
    (void)facts, (void)kind, (void)at;
    return remove(path);
}

sqn_status sqn_tree_remove(const char *path, sqn_err *e) {
    struct stat facts;
    if (lstat(path, &facts) != 0 && errno == ENOENT) return SQN_OK;
    if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0)
        return refused(path, "cannot remove", e);
    return SQN_OK;
}

sqn_status sqn_folder_make(const char *path, sqn_err *e) {
    char part[PATH_MAX];
    struct stat facts;
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof part)
        return SQN_FAIL(e, SQN_IO, "%.300s: cannot make a folder of this name", path);
    for (size_t i = 1; i <= n; i++) {
        if (i < n && path[i] != '/') continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, 0777) == 0) continue;
        int why = errno;
        if (stat(part, &facts) == 0 && S_ISDIR(facts.st_mode)) continue;
        errno = why;
        return refused(part, "cannot make the folder", e);
    }
    return SQN_OK;
}

void sqn_names_free(char **names, size_t n) {
    for (size_t i = 0; i < n; i++) sqn_free(names[i]);
    sqn_free(names);
}

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

sqn_status sqn_folder_list(const char *path, char ***out, size_t *out_count, sqn_err *e) {
    char **names = NULL;
    size_t count = 0, room = 0;
    sqn_status status = SQN_NOMEM;
    *out = NULL;
    *out_count = 0;
    DIR *folder = opendir(path);
    if (folder == NULL) return refused(path, "cannot list", e);
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(folder);
        if (entry == NULL) break;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (count == room) {
            room = 2 * room + 16;
            char **grown = sqn_realloc(names, room * sizeof *names, e);
            if (grown == NULL) goto fail;
            names = grown;
        }
        names[count] = sqn_strdup(entry->d_name, e);
        if (names[count] == NULL) goto fail;
        count++;
    }
    if (errno != 0) {
        status = refused(path, "cannot list", e);
        goto fail;
    }
    closedir(folder);
    if (count > 1) qsort(names, count, sizeof *names, by_bytes);
    *out = names;
    *out_count = count;
    return SQN_OK;
fail:
    sqn_names_free(names, count);
    closedir(folder);
    return status;
}

sqn_status sqn_folder_temporary(char **path, sqn_err *e) {
    char name[PATH_MAX];
    const char *under = getenv("TMPDIR");
    *path = NULL;
    snprintf(name, sizeof name, "%s/sqlune-XXXXXX", under != NULL && *under ? under : "/tmp");
    if (mkdtemp(name) == NULL) return refused(name, "cannot make the folder", e);
    *path = sqn_strdup(name, e);
    if (*path != NULL) return SQN_OK;
    rmdir(name);
    return SQN_NOMEM;
}

sqn_status sqn_file_real_path(const char *path, char **out, sqn_err *e) {
    char name[PATH_MAX];
    *out = NULL;
    if (realpath(path, name) == NULL) return refused(path, "cannot resolve", e);
    *out = sqn_strdup(name, e);
    return *out != NULL ? SQN_OK : SQN_NOMEM;
}

sqn_status sqn_folder_free_space(const char *path, int64_t *bytes, sqn_err *e) {
    struct statvfs facts;
    if (statvfs(path, &facts) != 0) return refused(path, "cannot look at its file system", e);
    *bytes = (int64_t)facts.f_bavail * (int64_t)facts.f_frsize;
    return SQN_OK;
}
