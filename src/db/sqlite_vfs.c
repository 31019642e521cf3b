/* The file layer of guarded SQLite connections: the system's own, but temporary files (sorts,
 * intermediate tables) share a bound. Without it a sort of an endless query fills the disk before
 * its deadline.
 *
 * Rules: database files go straight to the system's layer; a temporary file is a shell around the
 * system's file, which lies behind it in the same block of memory.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "db/sqlite_guard.h"

static const sqlite3_int64 most_bytes = (sqlite3_int64)1 << 30; /* of all temporary files */
static _Atomic sqlite3_int64 used_bytes;

typedef struct temp_file {
    sqlite3_file base;
    sqlite3_int64 size; /* counted in used_bytes */
} temp_file;

/* 16 keeps the system's file aligned behind the shell. */
enum { SHELL_BYTES = (sizeof(temp_file) + 15) / 16 * 16 };

static sqlite3_vfs *below; /* the system's layer; never freed */

static sqlite3_file *inner(sqlite3_file *f) { return (sqlite3_file *)((char *)f + SHELL_BYTES); }

/* Counts growth; false where it would pass the bound. */
static bool resize(temp_file *f, sqlite3_int64 size) {
    sqlite3_int64 more = size - f->size;
    sqlite3_int64 now = atomic_fetch_add(&used_bytes, more) + more;
    if (more > 0 && now > most_bytes) {
        atomic_fetch_sub(&used_bytes, more);
        return false;
    }
    f->size = size;
    return true;
}

static int t_close(sqlite3_file *f) {
    resize((temp_file *)f, 0);
    return inner(f)->pMethods ? inner(f)->pMethods->xClose(inner(f)) : SQLITE_OK;
}
static int t_read(sqlite3_file *f, void *to, int n, sqlite3_int64 at) {
    return inner(f)->pMethods->xRead(inner(f), to, n, at);
}
static int t_write(sqlite3_file *f, const void *from, int n, sqlite3_int64 at) {
    temp_file *t = (temp_file *)f;
    if (at + n > t->size && !resize(t, at + n)) return SQLITE_FULL;
    return inner(f)->pMethods->xWrite(inner(f), from, n, at);
}
static int t_truncate(sqlite3_file *f, sqlite3_int64 size) {
    temp_file *t = (temp_file *)f;
    if (size < t->size) resize(t, size);
    return inner(f)->pMethods->xTruncate(inner(f), size);
}
static int t_sync(sqlite3_file *f, int flags) { return inner(f)->pMethods->xSync(inner(f), flags); }
static int t_size(sqlite3_file *f, sqlite3_int64 *size) {
    return inner(f)->pMethods->xFileSize(inner(f), size);
}
static int t_lock(sqlite3_file *f, int level) { return inner(f)->pMethods->xLock(inner(f), level); }
static int t_unlock(sqlite3_file *f, int level) {
    return inner(f)->pMethods->xUnlock(inner(f), level);
}
static int t_check(sqlite3_file *f, int *out) {
    return inner(f)->pMethods->xCheckReservedLock(inner(f), out);
}
static int t_control(sqlite3_file *f, int op, void *arg) {
    /* hints let the layer below grow the file uncounted */
    if (op == SQLITE_FCNTL_SIZE_HINT || op == SQLITE_FCNTL_CHUNK_SIZE) return SQLITE_OK;
    return inner(f)->pMethods->xFileControl(inner(f), op, arg);
}
static int t_sector(sqlite3_file *f) { return inner(f)->pMethods->xSectorSize(inner(f)); }
static int t_traits(sqlite3_file *f) {
    return inner(f)->pMethods->xDeviceCharacteristics(inner(f));
}

static const sqlite3_io_methods temp_methods = {
    .iVersion = 1,
    .xClose = t_close,
    .xRead = t_read,
    .xWrite = t_write,
    .xTruncate = t_truncate,
    .xSync = t_sync,
    .xFileSize = t_size,
    .xLock = t_lock,
    .xUnlock = t_unlock,
    .xCheckReservedLock = t_check,
    .xFileControl = t_control,
    .xSectorSize = t_sector,
    .xDeviceCharacteristics = t_traits,
};

static int v_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out_flags) {
    (void)vfs;
    if (!(flags & SQLITE_OPEN_DELETEONCLOSE)) return below->xOpen(below, name, f, flags, out_flags);
    memset(f, 0, SHELL_BYTES);
    int rc = below->xOpen(below, name, inner(f), flags, out_flags);
    f->pMethods = inner(f)->pMethods ? &temp_methods : NULL;
    return rc;
}

static sqlite3_vfs guarded;

static void set_up(void) {
    sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 1200, 40);
    below = sqlite3_vfs_find(NULL);
    if (below == NULL) return;
    guarded = *below;
    guarded.pNext = NULL;
    guarded.zName = "sqlune";
    guarded.szOsFile = below->szOsFile + SHELL_BYTES;
    guarded.xOpen = v_open;
    sqlite3_vfs_register(&guarded, 0);
}

const char *sqn_sqlite_vfs(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_up);
    return below ? guarded.zName : NULL;
}
