/* The parts of SQLite's catalog reader. */
#ifndef SQN_DB_CATALOG_SQLITE_H
#define SQN_DB_CATALOG_SQLITE_H

#include "db/catalog.h"

/* What one table is, while its schema is read. */
typedef struct sqn_sqlite_table {
    sqn_conn *conn;
    sqn_schema *schema;
    sqn_examples *examples;
    sqn_text name, sql;        /* its CREATE statement */
    sqn_text_list primary_key; /* in the key's order */
    sqn_text_lists automatic;  /* columns of automatic indexes */
} sqn_sqlite_table;

/* PRAGMA main.`pragma`("name"), all rows. */
sqn_status sqn_sqlite_pragma(sqn_conn *c, const char *pragma, sqn_text name,
                             sqn_result **out /* owned */, sqn_err *e);
/* The text of a cell in the schema's arena; NULL becomes null. Text that is not UTF-8 is
 * SQN_FORMAT. */
sqn_status sqn_sqlite_keep(sqn_schema *s, const sqn_cell *cell, sqn_text *out, sqn_err *e);
/* Columns of the primary key of any table or view by its exact name, none if there is none. */
sqn_status sqn_sqlite_primary_key(sqn_conn *c, sqn_schema *s, sqn_text name, sqn_text_list *out,
                                  sqn_err *e);

/* The name that a declared type gets (catalog_sqlite_type.c). */
sqn_status sqn_sqlite_type(sqn_schema *s, sqn_text declared, bool generated, sqn_text *out,
                           sqn_err *e);

/* Keys (catalog_sqlite_keys.c): the schema's foreign keys of one table, its unique keys, indexes.
 */
sqn_status sqn_sqlite_foreign_keys(sqn_sqlite_table *t, sqn_err *e);
sqn_status sqn_sqlite_indexes(sqn_sqlite_table *t, sqn_schema_table *out, sqn_err *e);

#endif
