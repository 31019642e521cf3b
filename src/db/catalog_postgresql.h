/* The parts of PostgreSQL's catalog reader. */
#ifndef SQN_DB_CATALOG_POSTGRESQL_H
#define SQN_DB_CATALOG_POSTGRESQL_H

#include "db/catalog.h"

/* Types that a database defines itself, by the name that format_type gives them. */
typedef struct sqn_pg_own_type {
    sqn_text name;
    bool domain;       /* or an enum */
    int64_t longest;   /* of an enum: the longest label, in characters */
    sqn_text base;     /* of a domain: its type, arguments cut off */
    sqn_text fallback; /* of a domain: its default, or null */
    bool nullable;     /* of a domain */
} sqn_pg_own_type;

typedef struct sqn_pg_own_types {
    sqn_pg_own_type *items; /* in the schema's arena */
    size_t n;
    unsigned hstore, hstore_array; /* their numbers; 0: none */
} sqn_pg_own_types;

/* The name that a type gets, from format_type's text; null becomes NULL. A domain may change
 * whether the column is nullable and what its default is. *integer: it counts as one. */
sqn_status sqn_pg_type_name(sqn_schema *s, const sqn_pg_own_types *own, sqn_text declared,
                            sqn_schema_column *column, bool *integer, sqn_err *e);

/* A value of an example query as psycopg2's object prints; self: sqn_pg_own_types. */
sqn_example sqn_pg_example(void *self, const sqn_cell *cell, unsigned type, sqn_buf *to);

#endif
