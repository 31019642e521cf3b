/* SQLite: read-only connections for SQL that nobody reviewed. What it may do: sqlite_guard.h. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/alloc.h"
#include "db/sqlite_guard.h"

typedef struct sqlite_conn {
    sqn_conn base;
    sqn_guard guard;
    sqlite3 *db;        /* owned */
    sqlite3_stmt *stmt; /* owned; the statement that runs, or NULL */
    sqn_cell *row;      /* owned, [columns] */
    bool json_touched;  /* see touch_json */
} sqlite_conn;

/* "file:" URI of a path: what has a meaning there is written as %XX. Room: 3 * length + 32. */
static void write_uri(char *to, const char *path, const char *query) {
    to += sprintf(to, path[0] == '/' ? "file://" : "file:");
    for (; *path; path++)
        if (strchr("%?#", *path))
            to += sprintf(to, "%%%02X", (unsigned char)*path);
        else
            *to++ = *path;
    sprintf(to, "?%s", query);
}

static int try_open(sqlite3 **db, const char *path, const char *query, char *uri) {
    write_uri(uri, path, query);
    int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX |
                SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE;
    int rc = sqlite3_open_v2(uri, db, flags, sqn_sqlite_vfs());
    if (rc != SQLITE_OK) return rc;
    sqlite3_busy_timeout(*db, 5000);
    return sqlite3_exec(*db, "SELECT 1 FROM sqlite_master LIMIT 1", NULL, NULL, NULL);
}

/* A write-ahead log that holds something, or a journal of a writer that died, beside the file. */
static bool has_side_file(const char *path, const char *suffix, char *name) {
    struct stat st;
    sprintf(name, "%s%s", path, suffix);
    return stat(name, &st) == 0 && st.st_size > 0;
}

/* Where a WAL database's folder cannot be written, the shared-memory file cannot be made; if no
 * log holds changes the file alone is the whole truth and may be read as immutable. */
static sqn_status open_file(sqlite_conn *c, const char *path, sqn_err *e) {
    struct stat st;
    char *uri = NULL;
    if (stat(path, &st) != 0)
        return SQN_FAIL(e, errno == ENOENT ? SQN_NOTFOUND : SQN_IO, "%s: %s", path,
                        strerror(errno));
    if (!S_ISREG(st.st_mode)) return SQN_FAIL(e, SQN_FORMAT, "%s: not a file", path);
    if (access(path, R_OK) != 0) return SQN_FAIL(e, SQN_IO, "%s: %s", path, strerror(errno));
    uri = sqn_alloc(3 * strlen(path) + 64, e);
    if (uri == NULL) return SQN_NOMEM;
    int rc = try_open(&c->db, path, "mode=ro", uri);
    int kind = rc & 0xff;
    if ((kind == SQLITE_CANTOPEN || kind == SQLITE_READONLY) && !has_side_file(path, "-wal", uri) &&
        !has_side_file(path, "-journal", uri)) {
        sqlite3_close(c->db);
        c->db = NULL;
        rc = try_open(&c->db, path, "mode=ro&immutable=1", uri);
    }
    sqn_free(uri);
    if (rc == SQLITE_OK) return SQN_OK;
    if ((rc & 0xff) == SQLITE_NOTADB)
        return SQN_FAIL(e, SQN_FORMAT, "%s: not an SQLite database", path);
    if (rc == SQLITE_READONLY_ROLLBACK)
        return SQN_FAIL(e, SQN_DB,
                        "%s: a journal of an interrupted writer lies beside it; open it "
                        "once with write access",
                        path);
    return SQN_FAIL(e, (rc & 0xff) == SQLITE_CORRUPT ? SQN_FORMAT : SQN_DB, "%s: %s", path,
                    c->db ? sqlite3_errmsg(c->db) : sqlite3_errstr(rc));
}

/* Modules of virtual tables prepare statements of their own (some of them writes) when a table is
 * first touched. That happens here, before the guard watches. The tables of JSON are in every
 * database: unless its schema speaks of them they wait for the first statement that does. */
static void touch_json(sqlite_conn *c) {
    c->json_touched = true;
    sqn_guard_start(&c->guard, INFINITY, true);
    sqlite3_exec(c->db, "SELECT 1 FROM json_each('[]'), json_tree('[]')", NULL, NULL, NULL);
}

static void touch_virtual_tables(sqlite_conn *c) {
    sqlite3_stmt *list = NULL, *one = NULL;
    static const char sql[] =
        "SELECT CASE WHEN type = 'table' AND rootpage = 0 AND sql LIKE 'create virtual table%' "
        "THEN 'SELECT 1 FROM \"' || replace(name, '\"', '\"\"') || '\" LIMIT 0' END "
        "FROM sqlite_master WHERE sql LIKE 'create virtual table%' OR sql LIKE '%json%'";
    if (sqlite3_prepare_v2(c->db, sql, -1, &list, NULL) == SQLITE_OK)
        while (sqlite3_step(list) == SQLITE_ROW) {
            const char *text = (const char *)sqlite3_column_text(list, 0);
            if (text == NULL) {
                if (!c->json_touched) touch_json(c);
                continue;
            }
            sqlite3_prepare_v2(c->db, text, -1, &one, NULL);
            sqlite3_finalize(one);
            one = NULL;
        }
    sqlite3_finalize(list);
}

static bool mentions_json(const char *sql, size_t n) {
    for (size_t i = 0; i + 4 <= n; i++)
        if ((sql[i] | 0x20) == 'j' && sqlite3_strnicmp(sql + i, "json", 4) == 0) return true;
    return false;
}

static void sqlite_finish(sqn_conn *conn) {
    sqlite_conn *c = (sqlite_conn *)conn;
    sqlite3_finalize(c->stmt);
    c->stmt = NULL;
    sqn_free(c->row);
    c->row = NULL;
}

static void sqlite_close(sqn_conn *conn) {
    sqlite_conn *c = (sqlite_conn *)conn;
    sqlite_finish(conn);
    sqlite3_close(c->db);
    sqn_free(c);
}

static sqn_status sqlite_connect(const sqn_conn_options *o, sqn_conn **out, sqn_err *e) {
    sqn_status status;
    if (o->path == NULL || o->path[0] == '\0')
        return SQN_FAIL(e, SQN_MISUSE, "a SQLite connection needs a 'path'");
    sqlite_conn *c = sqn_calloc(1, sizeof *c, e);
    if (c == NULL) return SQN_NOMEM;
    SQN_GOTO(open_file(c, o->path, e));
    SQN_GOTO(sqn_guard_settings(c->db, o->max_length, e));
    if (o->reversed) sqlite3_exec(c->db, "PRAGMA reverse_unordered_selects = 1", NULL, NULL, NULL);
    touch_virtual_tables(c);
    SQN_GOTO(sqn_guard_watch(&c->guard, c->db, e));
    *out = &c->base;
    return SQN_OK;
fail:
    sqlite_close(&c->base);
    return status;
}

/* Skips white space and comments; NULL if nothing else is left. A second ';' is something. */
static const char *skip_blank(const char *s, const char *end) {
    while (s < end) {
        if (strchr(" \t\n\r\f", *s)) {
            s++;
        } else if (end - s >= 2 && s[0] == '-' && s[1] == '-') {
            s = memchr(s, '\n', (size_t)(end - s));
            if (s == NULL) return NULL;
        } else if (end - s >= 2 && s[0] == '/' && s[1] == '*') {
            s = memmem(s + 2, (size_t)(end - s - 2), "*/", 2);
            if (s == NULL) return NULL;
            s += 2;
        } else {
            return s;
        }
    }
    return NULL;
}

static sqn_status sqlite_run(sqn_conn *conn, const char *sql, size_t n, double deadline,
                             bool trusted, sqn_err *e) {
    sqlite_conn *c = (sqlite_conn *)conn;
    const char *tail = NULL;
    if (!c->json_touched && mentions_json(sql, n)) touch_json(c);
    sqn_guard_start(&c->guard, deadline, trusted);
    if (memchr(sql, '\0', n)) return SQN_FAIL(e, SQN_DB, "the statement holds a NUL character");
    if (!sqn_cell_text_valid(sql, n))
        return SQN_FAIL(e, SQN_DB, "the statement is not valid UTF-8");
    if (n > 0x7fffffff) return SQN_FAIL(e, SQN_LIMIT, "the statement is too large");
    if (!trusted) SQN_TRY(sqn_sqlite_scan(sql, n, e));
    int rc = sqlite3_prepare_v2(c->db, sql, (int)n, &c->stmt, &tail);
    if (rc != SQLITE_OK) return sqn_guard_fail(&c->guard, rc, e);
    if (c->stmt == NULL) return SQN_FAIL(e, SQN_DB, "the statement is empty");
    sqn_status status = SQN_OK;
    if (skip_blank(tail, sql + n) != NULL)
        status = SQN_FAIL(e, SQN_DENIED, "not allowed: more than one statement");
    else if (!trusted && (!sqlite3_stmt_readonly(c->stmt) || sqlite3_column_count(c->stmt) == 0))
        status = SQN_FAIL(e, SQN_DENIED, "not allowed: this connection is read-only");
    else if (sqlite3_bind_parameter_count(c->stmt) > 0)
        status = SQN_FAIL(e, SQN_DB, "the statement has parameters without values");
    size_t columns = (size_t)sqlite3_column_count(c->stmt);
    if (status == SQN_OK && (c->row = sqn_calloc(columns, sizeof *c->row, e)) == NULL)
        status = SQN_NOMEM;
    if (status != SQN_OK) sqlite_finish(conn);
    return status;
}

static int sqlite_columns(sqn_conn *conn) {
    return sqlite3_column_count(((sqlite_conn *)conn)->stmt);
}

static const char *sqlite_column_name(sqn_conn *conn, int i) {
    const char *name = sqlite3_column_name(((sqlite_conn *)conn)->stmt, i);
    return name ? name : "";
}

static bool read_cell(sqlite3_stmt *stmt, int i, sqn_cell *cell) {
    *cell = (sqn_cell){.kind = SQN_CELL_NULL};
    switch (sqlite3_column_type(stmt, i)) {
    case SQLITE_INTEGER:
        cell->kind = SQN_CELL_INT;
        cell->as.integer = sqlite3_column_int64(stmt, i);
        return true;
    case SQLITE_FLOAT:
        cell->kind = SQN_CELL_DOUBLE;
        cell->as.real = sqlite3_column_double(stmt, i);
        return true;
    case SQLITE_TEXT:
        cell->kind = SQN_CELL_TEXT;
        cell->as.bytes = (const char *)sqlite3_column_text(stmt, i);
        break;
    case SQLITE_BLOB:
        cell->kind = SQN_CELL_BLOB;
        cell->as.bytes = sqlite3_column_blob(stmt, i);
        break;
    default:
        return true;
    }
    cell->length = (size_t)sqlite3_column_bytes(stmt, i);
    if (cell->as.bytes == NULL) { /* an empty blob, or no memory */
        cell->as.bytes = "";
        return cell->length == 0;
    }
    if (cell->kind == SQN_CELL_TEXT)
        cell->bad_utf8 = !sqn_cell_text_valid(cell->as.bytes, cell->length);
    return true;
}

static sqn_status sqlite_next(sqn_conn *conn, const sqn_cell **row, sqn_err *e) {
    sqlite_conn *c = (sqlite_conn *)conn;
    *row = NULL;
    if (c->stmt == NULL) return SQN_OK;
    int rc = sqlite3_step(c->stmt);
    if (rc == SQLITE_ROW) {
        int columns = sqlite3_column_count(c->stmt);
        for (int i = 0; i < columns; i++)
            if (!read_cell(c->stmt, i, &c->row[i])) rc = SQLITE_NOMEM;
        *row = c->row;
        if (rc == SQLITE_ROW) return SQN_OK;
        *row = NULL;
    }
    sqn_status status = rc == SQLITE_DONE ? SQN_OK : sqn_guard_fail(&c->guard, rc, e);
    sqlite_finish(conn);
    return status;
}

void sqn_conn_alone(void) {
    sqlite3_shutdown();
    sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
}

/* A read transaction. It takes no lock before its first statement; what fails fails there. */
static void sqlite_hold(sqn_conn *conn, bool on) {
    sqlite_conn *c = (sqlite_conn *)conn;
    if (on != (sqlite3_get_autocommit(c->db) != 0)) return;
    sqn_guard_start(&c->guard, INFINITY, true);
    sqlite3_exec(c->db, on ? "BEGIN" : "ROLLBACK", NULL, NULL, NULL);
}

static void sqlite_cancel(sqn_conn *conn) {
    sqlite_conn *c = (sqlite_conn *)conn;
    atomic_store(&c->guard.cancelled, true);
    sqlite3_interrupt(c->db);
}

const sqn_driver sqn_driver_sqlite = {
    .dialect = "sqlite",
    .connect = sqlite_connect,
    .run = sqlite_run,
    .columns = sqlite_columns,
    .column_name = sqlite_column_name,
    .next = sqlite_next,
    .finish = sqlite_finish,
    .cancel = sqlite_cancel,
    .close = sqlite_close,
    .hold = sqlite_hold,
};

/* Everything of the file `from` into a new, empty database. */
static sqn_status copy_from(sqlite3 *db, const char *from, sqn_err *e) {
    sqlite3 *source = NULL;
    sqn_status status = SQN_OK;
    if (sqlite3_open_v2(from, &source, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK) {
        status = SQN_FAIL(e, SQN_IO, "%s: %s", from, sqlite3_errmsg(source));
    } else {
        sqlite3_backup *backup = sqlite3_backup_init(db, "main", source, "main");
        if (backup != NULL) sqlite3_backup_step(backup, -1);
        if (backup == NULL || sqlite3_backup_finish(backup) != SQLITE_OK)
            status = SQN_FAIL(e, SQN_DB, "%s: %s", from, sqlite3_errmsg(db));
    }
    sqlite3_close(source);
    return status;
}

sqn_status sqn_sqlite_create(const char *path, const char *from, const char *script, size_t n,
                             sqn_err *e) {
    struct stat st;
    sqn_status status = SQN_OK;
    sqlite3 *db = NULL;
    char *message = NULL;
    if (stat(path, &st) == 0) return SQN_FAIL(e, SQN_IO, "%s: exists already", path);
    if (memchr(script, '\0', n)) return SQN_FAIL(e, SQN_MISUSE, "the script holds a NUL character");
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(path, &db, flags, NULL) != SQLITE_OK)
        status = SQN_FAIL(e, SQN_IO, "%s: %s", path, sqlite3_errmsg(db));
    else if (from != NULL)
        status = copy_from(db, from, e);
    if (status == SQN_OK && sqlite3_exec(db, script, NULL, NULL, &message) != SQLITE_OK)
        status = SQN_FAIL(e, SQN_DB, "%s: %s", path, message ? message : "the script failed");
    sqlite3_free(message);
    sqlite3_close(db);
    if (status != SQN_OK) unlink(path);
    return status;
}
