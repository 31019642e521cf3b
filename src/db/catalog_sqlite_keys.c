/* Keys of SQLite tables, found and ordered as the original finds them: those that two expressions
 * see in the CREATE statement first, then the rest as the PRAGMAs list them. */
#include <stdlib.h>

#include "db/catalog_sqlite.h"
#include "db/pattern.h"

static const char *const foreign_key_pattern =
    "FOREIGN KEY *\\( *(.+?) *\\) +REFERENCES +(?:(?:\"(.+?)\")|([a-z0-9_]+)) *\\((.+?)\\) *";
static const char *const names_pattern = "(?:\"(.+?)\")|([a-z0-9_]+)";
static const char *const unique_pattern = "(?:CONSTRAINT \"?(.+?)\"? +)?UNIQUE *\\((.+?)\\)";
static const char *const inline_unique_pattern =
    "(?:(\".+?\")|(?:[\\[`])?([a-z0-9_]+)(?:[\\]`])?) +[a-z0-9_ ]+? +UNIQUE";

/* Work allowed for one CREATE statement; real ones take a thousandth of it. */
static const long most_steps = 5000000;

typedef struct foreign_key {
    int64_t id;
    sqn_text table;
    sqn_text_list columns, ref_columns;
    bool gone; /* found in the statement, or the same as another */
} foreign_key;

static sqn_text span_text(const char *text, sqn_span span) {
    return span.start == SQN_PATTERN_NONE ? (sqn_text){NULL, 0}
                                          : (sqn_text){text + span.start, span.stop - span.start};
}

/* The names in a list of columns, "quoted" or plain; they point into the text. */
static sqn_status find_names(sqn_schema *s, sqn_text list, sqn_text_list *out, long *steps,
                             sqn_err *e) {
    sqn_pattern names;
    sqn_span g[SQN_PATTERN_GROUPS];
    bool found = true;
    *out = (sqn_text_list){NULL, 0};
    sqn_pattern_compile(&names, names_pattern);
    for (size_t at = 0;; at = g[0].stop) {
        SQN_TRY(sqn_pattern_find(&names, list.at, list.n, at, g, steps, &found, e));
        if (!found) return SQN_OK;
        sqn_text name = span_text(list.at, g[1].start != SQN_PATTERN_NONE ? g[1] : g[2]);
        SQN_TRY(sqn_schema_add_text(s, out, name, e));
    }
}

/* A key is told from another by the sequence of all its names. */
static sqn_text name_at(const foreign_key *k, size_t i) {
    if (i < k->columns.n) return k->columns.items[i];
    i -= k->columns.n;
    return i == 0 ? k->table : k->ref_columns.items[i - 1];
}

static bool same_key(const foreign_key *a, const foreign_key *b) {
    size_t n = a->columns.n + a->ref_columns.n;
    if (n != b->columns.n + b->ref_columns.n) return false;
    for (size_t i = 0; i <= n; i++)
        if (!sqn_text_equal(name_at(a, i), name_at(b, i))) return false;
    return true;
}

static sqn_status read_pragma_keys(sqn_sqlite_table *t, const sqn_result *r, foreign_key *keys,
                                   size_t *count, sqn_err *e) {
    enum { ID, SEQ, TABLE, FROM, TO };
    *count = 0;
    for (int64_t i = 0; i < r->rows; i++) {
        const sqn_cell *row = &r->cells[i * r->columns];
        sqn_text column, ref = {NULL, 0};
        size_t k = 0;
        while (k < *count && keys[k].id != row[ID].as.integer) k++;
        SQN_TRY(sqn_sqlite_keep(t->schema, &row[FROM], &column, e));
        SQN_TRY(sqn_sqlite_keep(t->schema, &row[TO], &ref, e));
        if (k == *count) {
            keys[k] = (foreign_key){.id = row[ID].as.integer};
            SQN_TRY(sqn_sqlite_keep(t->schema, &row[TABLE], &keys[k].table, e));
            if (ref.n == 0)
                SQN_TRY(sqn_sqlite_primary_key(t->conn, t->schema, keys[k].table,
                                               &keys[k].ref_columns, e));
            ++*count;
        }
        SQN_TRY(sqn_schema_add_text(t->schema, &keys[k].columns, column, e));
        if (ref.n > 0) SQN_TRY(sqn_schema_add_text(t->schema, &keys[k].ref_columns, ref, e));
    }
    for (size_t i = 0; i < *count; i++)
        for (size_t j = 0; j < i; j++)
            if (same_key(&keys[i], &keys[j])) keys[i].gone = true;
    return SQN_OK;
}

static sqn_status add_key(sqn_sqlite_table *t, foreign_key *k, sqn_err *e) {
    k->gone = true;
    for (size_t i = 0; i < k->columns.n && i < k->ref_columns.n; i++) {
        sqn_schema_key *out = sqn_schema_add_key(t->schema, e);
        if (out == NULL) return SQN_NOMEM;
        *out = (sqn_schema_key){t->name, k->columns.items[i], t->schema->schema, k->table,
                                k->ref_columns.items[i]};
    }
    return SQN_OK;
}

static sqn_status add_found_keys(sqn_sqlite_table *t, foreign_key *keys, size_t count, sqn_err *e) {
    sqn_pattern pattern;
    sqn_span g[SQN_PATTERN_GROUPS];
    bool found;
    long steps = most_steps;
    sqn_pattern_compile(&pattern, foreign_key_pattern);
    for (size_t at = 0;; at = g[0].stop) {
        SQN_TRY(sqn_pattern_find(&pattern, t->sql.at, t->sql.n, at, g, &steps, &found, e));
        if (!found) return SQN_OK;
        foreign_key seen = {.table =
                                span_text(t->sql.at, g[g[2].start != SQN_PATTERN_NONE ? 2 : 3])};
        SQN_TRY(find_names(t->schema, span_text(t->sql.at, g[1]), &seen.columns, &steps, e));
        SQN_TRY(find_names(t->schema, span_text(t->sql.at, g[4]), &seen.ref_columns, &steps, e));
        for (size_t k = 0; k < count; k++)
            if (!keys[k].gone && same_key(&keys[k], &seen)) {
                SQN_TRY(add_key(t, &keys[k], e));
                break;
            }
    }
}

sqn_status sqn_sqlite_foreign_keys(sqn_sqlite_table *t, sqn_err *e) {
    sqn_status status;
    sqn_result *r = NULL;
    size_t count;
    SQN_GOTO(sqn_sqlite_pragma(t->conn, "foreign_key_list", t->name, &r, e));
    if (r->rows > 0) {
        foreign_key *keys = sqn_arena_alloc(&t->schema->arena, (size_t)r->rows * sizeof *keys, e);
        if (keys == NULL) status = SQN_NOMEM;
        if (keys == NULL) goto fail;
        SQN_GOTO(read_pragma_keys(t, r, keys, &count, e));
        if (t->sql.at != NULL) SQN_GOTO(add_found_keys(t, keys, count, e));
        for (size_t k = 0; k < count; k++)
            if (!keys[k].gone) SQN_GOTO(add_key(t, &keys[k], e));
    }
fail:
    sqn_result_release(r);
    return status;
}

static sqn_status index_columns(sqn_sqlite_table *t, sqn_text name, sqn_text_list *out, bool *plain,
                                sqn_err *e) {
    sqn_status status;
    sqn_result *r = NULL;
    sqn_text column;
    *plain = true;
    *out = (sqn_text_list){NULL, 0};
    SQN_GOTO(sqn_sqlite_pragma(t->conn, "index_info", name, &r, e));
    for (int64_t i = 0; i < r->rows; i++) {
        SQN_GOTO(sqn_sqlite_keep(t->schema, &r->cells[i * r->columns + 2], &column, e));
        if (column.at == NULL) *plain = false; /* an expression */
        SQN_GOTO(sqn_schema_add_text(t->schema, out, column, e));
    }
fail:
    sqn_result_release(r);
    return status;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const sqn_text *)a)->at, ((const sqn_text *)b)->at);
}

/* The unique constraints that an expression finds in the CREATE statement; each automatic index
 * backs one. `group`: where the columns stand, with a second place to look. */
static sqn_status add_unique(sqn_sqlite_table *t, const char *source, int group, int other,
                             sqn_schema_table *out, sqn_err *e) {
    sqn_pattern pattern;
    sqn_span g[SQN_PATTERN_GROUPS];
    sqn_text_list names;
    bool found;
    long steps = most_steps;
    sqn_pattern_compile(&pattern, source);
    for (size_t at = 0;; at = g[0].stop) {
        SQN_TRY(sqn_pattern_find(&pattern, t->sql.at, t->sql.n, at, g, &steps, &found, e));
        if (!found) return SQN_OK;
        sqn_span span = g[g[group].start != SQN_PATTERN_NONE ? group : other];
        SQN_TRY(find_names(t->schema, span_text(t->sql.at, span), &names, &steps, e));
        for (size_t i = 0; i < t->automatic.n; i++) {
            sqn_text_list *backing = &t->automatic.items[i];
            if (backing->n == 0 || !sqn_text_list_equal(backing, &names)) continue;
            SQN_TRY(sqn_schema_add_list(t->schema, &out->unique_keys, *backing, e));
            *backing = (sqn_text_list){NULL, 0};
            break;
        }
    }
}

/* Adds an index to the table's keys, or to the automatic ones (each list of columns once). */
static sqn_status add_index(sqn_sqlite_table *t, sqn_text name, sqn_schema_table *out, sqn_err *e) {
    bool automatic = strncmp(name.at, "sqlite_autoindex", 16) == 0, plain;
    sqn_text_list columns;
    SQN_TRY(index_columns(t, name, &columns, &plain, e));
    if (!plain) return SQN_OK;
    if (!automatic) return sqn_schema_add_list(t->schema, &out->keys, columns, e);
    for (size_t i = 0; i < t->automatic.n; i++)
        if (sqn_text_list_equal(&t->automatic.items[i], &columns)) return SQN_OK;
    return sqn_schema_add_list(t->schema, &t->automatic, columns, e);
}

sqn_status sqn_sqlite_indexes(sqn_sqlite_table *t, sqn_schema_table *out, sqn_err *e) {
    sqn_status status;
    sqn_result *r = NULL;
    sqn_text_list names = {NULL, 0};
    sqn_text name;
    SQN_GOTO(sqn_sqlite_pragma(t->conn, "index_list", t->name, &r, e));
    for (int64_t i = 0; i < r->rows; i++) {
        SQN_GOTO(sqn_sqlite_keep(t->schema, &r->cells[i * r->columns + 1], &name, e));
        SQN_GOTO(sqn_schema_add_text(t->schema, &names, name, e));
    }
    if (names.n > 0) qsort(names.items, names.n, sizeof *names.items, by_name);
    for (size_t i = 0; i < names.n; i++) SQN_GOTO(add_index(t, names.items[i], out, e));
    if (t->automatic.n > 0 && t->sql.at != NULL) {
        SQN_GOTO(add_unique(t, unique_pattern, 2, 2, out, e));
        SQN_GOTO(add_unique(t, inline_unique_pattern, 1, 2, out, e));
    }
fail:
    sqn_result_release(r);
    return status;
}
