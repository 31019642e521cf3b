/* A database's schema as M-Schema knows it: tables, columns with example values, keys.
 *
 * Rules: everything lives in the schema's arena until sqn_schema_release; an sqn_text with at ==
 * NULL is null (None), which is not the empty text; texts may hold NUL. Tables are in the order of
 * their names' bytes. What the fields hold is defined by the original program's output.
 */
#ifndef SQN_DB_CATALOG_H
#define SQN_DB_CATALOG_H

#include <string.h>

#include "core/arena.h"
#include "core/buf.h"
#include "db/driver.h"

typedef struct sqn_text {
    const char *at; /* in the arena; a NUL follows */
    size_t n;
} sqn_text;

typedef struct sqn_text_list {
    sqn_text *items;
    size_t n;
} sqn_text_list;

typedef struct sqn_text_lists {
    sqn_text_list *items;
    size_t n;
} sqn_text_lists;

typedef struct sqn_value_name {
    sqn_text value, name;
} sqn_value_name;

typedef struct sqn_schema_column {
    sqn_text name, type; /* the full type: VARCHAR(20) */
    sqn_text fallback;   /* DEFAULT as SQL, or null */
    sqn_text comment, category, dim_or_meas;
    bool primary_key, nullable, autoincrement, unique;
    sqn_text_list examples;
    sqn_value_name *mapping; /* what values stand for; NULL if there is none */
    size_t mapping_count;
} sqn_schema_column;

typedef struct sqn_schema_table {
    sqn_text name, comment, kind; /* kind: null or "table" is a table */
    sqn_schema_column *columns;
    size_t column_count;
    sqn_text_lists unique_keys, keys; /* lists of column names; null for an expression */
} sqn_schema_table;

typedef struct sqn_schema_key { /* one pair of columns of a foreign key */
    sqn_text table, column, schema, ref_table, ref_column;
} sqn_schema_key;

typedef struct sqn_schema {
    sqn_arena arena;
    sqn_text db_id, schema;
    sqn_schema_table *tables;
    size_t table_count;
    sqn_schema_key *keys;
    size_t key_count;
    double example_seconds; /* while it is read: for one column; 0 = SQN_EXAMPLE_SECONDS */
} sqn_schema;

typedef struct sqn_catalog_options {
    const char *db_id;          /* what to print; NULL: "Anonymous" */
    const char *schema;         /* NULL: the connection's */
    const char *const *include; /* [include_count] names; NULL: all */
    const char *const *ignore;  /* [ignore_count] names; not together with include */
    size_t include_count, ignore_count;
    bool view_support;      /* views too */
    double example_seconds; /* for the examples of one column; 0 = SQN_EXAMPLE_SECONDS */
} sqn_catalog_options;

sqn_schema *sqn_schema_new(sqn_err *e); /* owned */
void sqn_schema_release(sqn_schema *s); /* accepts NULL */
sqn_status sqn_schema_text(sqn_schema *s, const char *bytes, size_t n, sqn_text *out, sqn_err *e);
/* Each appends an empty element and gives it, or NULL without memory. */
sqn_schema_table *sqn_schema_add_table(sqn_schema *s, sqn_err *e);
sqn_schema_column *sqn_schema_add_column(sqn_schema *s, sqn_schema_table *t, sqn_err *e);
sqn_schema_key *sqn_schema_add_key(sqn_schema *s, sqn_err *e);
sqn_status sqn_schema_add_text(sqn_schema *s, sqn_text_list *l, sqn_text t, sqn_err *e);
sqn_status sqn_schema_add_list(sqn_schema *s, sqn_text_lists *l, sqn_text_list t, sqn_err *e);

static inline bool sqn_text_equal(sqn_text a, sqn_text b) {
    if (a.at == NULL || b.at == NULL) return a.at == b.at;
    return a.n == b.n && memcmp(a.at, b.at, a.n) == 0;
}
static inline bool sqn_text_is(sqn_text a, const char *s) {
    return a.at != NULL && a.n == strlen(s) && memcmp(a.at, s, a.n) == 0;
}
bool sqn_text_list_equal(const sqn_text_list *a, const sqn_text_list *b);

/* Reads the schema of an open connection. A table name in include or ignore that does not exist is
 * SQN_NOTFOUND. */
sqn_status sqn_catalog_read(sqn_conn *c, const sqn_catalog_options *o, sqn_schema **out /* owned */,
                            sqn_err *e);

/* Per dialect; the schema's name and db_id are set. */
sqn_status sqn_catalog_sqlite_read(sqn_conn *c, const sqn_catalog_options *o, sqn_schema *s,
                                   sqn_err *e);
sqn_status sqn_catalog_postgresql_read(sqn_conn *c, const sqn_catalog_options *o, sqn_schema *s,
                                       sqn_err *e);
sqn_status sqn_catalog_mysql_read(sqn_conn *c, const sqn_catalog_options *o, sqn_schema *s,
                                  sqn_err *e);

/* What the dialects share. */
/* A name in quotes, those inside doubled. */
void sqn_catalog_put_quoted(sqn_buf *to, sqn_text name, char quote);
bool sqn_catalog_wants(const sqn_catalog_options *o, const char *table);
/* Every name that the caller gave must stand in that column of the result. */
sqn_status sqn_catalog_check_names(const sqn_catalog_options *o, const sqn_result *tables,
                                   int column, sqn_err *e);
sqn_status sqn_catalog_command(sqn_conn *c, const char *sql, sqn_err *e); /* ours, without rows */
/* Sets `unique` of the columns: alone in the primary key, or alone in a unique key. */
void sqn_schema_mark_unique(sqn_schema_table *t, size_t primary_key_columns);

/* What a value of an example query gives. */
typedef enum sqn_example {
    SQN_EXAMPLE_TEXT,
    SQN_EXAMPLE_ONLY, /* a date: it stands for all */
    SQN_EXAMPLE_SKIP, /* as if it were not there */
    SQN_EXAMPLE_NONE  /* the column has none */
} sqn_example;

/* How the examples of columns are fetched. */
typedef struct sqn_examples {
    sqn_conn *conn;
    sqn_schema *schema;
    char quote;              /* around names */
    const char *schema_name; /* before the table; NULL: none */
    bool percent_names;      /* a name with %(x)s has no examples */
    /* The value's text, appended to `to`; NULL: as SQLite's values print. `type`: the server's
     * number of it. */
    sqn_example (*text)(void *self, const sqn_cell *cell, unsigned type, sqn_buf *to);
    void *self;
    sqn_run_options run; /* timeout 0: the schema's example_seconds */
    bool slow;           /* a query ran out of time: the next ones look at the first rows only */
} sqn_examples;
#define SQN_EXAMPLE_SECONDS 2.0

/* Up to five example values of a column, by the query of the original; no examples if it fails.
 * Fails itself only for ^C and memory. */
sqn_status sqn_catalog_examples(sqn_examples *x, sqn_text table, sqn_schema_column *column,
                                sqn_err *e);
/* The same for all columns of the schema, many at once where the driver can; one at a time in
 * tables that are `large`. */
sqn_status sqn_catalog_all_examples(sqn_examples *x, const bool *large, sqn_err *e);

#endif
