/* M-Schema: the text that a model reads, and the JSON file that keeps a schema.
 *
 * Rules: both equal what the original prints, byte for byte, where it prints anything; where it
 * stops with an exception (a null comment, a date column whose examples are empty) we print what is
 * left. Reading a text never fails.
 */
#ifndef SQN_DB_MSCHEMA_H
#define SQN_DB_MSCHEMA_H

#include "core/buf.h"
#include "db/catalog.h"

typedef struct sqn_mschema_values { /* values to show for a column, "table.column" */
    sqn_text column;
    sqn_text_list values;
} sqn_mschema_values;

typedef struct sqn_mschema_options {
    bool select_tables; /* only those of `tables`, in any case */
    sqn_text_list tables;
    int64_t example_num; /* values per column; 3 in the original */
    int64_t max_length;  /* characters of a value; 30, and 100 for a filtered text */
    bool show_type_detail;
    const char *table_type; /* "table", "view"; NULL: all */
    /* The filtered text: tables by length, no value names, chosen columns and values. */
    bool filtered;
    bool select_columns; /* only those of `columns`, "table.column"; replaces `tables` */
    sqn_text_list columns;
    const sqn_mschema_values *values;
    size_t value_count;
} sqn_mschema_options;

sqn_status sqn_mschema_print(const sqn_schema *s, const sqn_mschema_options *o, sqn_buf *out,
                             sqn_err *e);

sqn_status sqn_mschema_to_json(const sqn_schema *s, sqn_buf *out, sqn_err *e);
sqn_status sqn_mschema_save(const sqn_schema *s, const char *path, sqn_err *e); /* atomic */
sqn_status sqn_mschema_load(const char *path, sqn_schema **out /* owned */, sqn_err *e);
/* `name` stands for the file in messages. */
sqn_status sqn_mschema_from_json(const char *text, size_t n, const char *name,
                                 sqn_schema **out /* owned */, sqn_err *e);

/* What an M-Schema text says; every text points into the parsed one or is empty. */
typedef struct sqn_parsed_column {
    sqn_text name, type, comment, line;
    sqn_text prefix;   /* what announces the examples, "Examples:"; null if there are none */
    sqn_text examples; /* what stands between their brackets */
    bool primary_key;
} sqn_parsed_column;

typedef struct sqn_parsed_table {
    sqn_text key; /* the whole heading */
    sqn_text name, comment;
    sqn_parsed_column *columns;
    size_t column_count;
} sqn_parsed_table;

typedef struct sqn_parsed_key {
    sqn_text table, column, ref_table, ref_column;
} sqn_parsed_key;

typedef struct sqn_parsed {
    sqn_arena arena;
    sqn_text db_id; /* null if the text does not say it */
    sqn_parsed_table *tables;
    size_t table_count;
    sqn_parsed_key *keys;
    size_t key_count;
} sqn_parsed;

/* Fails only without memory. */
sqn_status sqn_mschema_parse(const char *text /* copied */, size_t n, sqn_parsed **out /* owned */,
                             sqn_err *e);
void sqn_parsed_release(sqn_parsed *p); /* accepts NULL */

#endif
