/* The parts of MySQL's catalog reader. */
#ifndef SQN_DB_CATALOG_MYSQL_H
#define SQN_DB_CATALOG_MYSQL_H

#include "db/catalog.h"

/* Fills the table (columns, keys, comment) from what SHOW CREATE TABLE says, and adds its foreign
 * keys to the schema. Lines that say something unknown are passed over. */
sqn_status sqn_mysql_read_ddl(sqn_schema *s, sqn_schema_table *t, sqn_text ddl, sqn_err *e);

/* One line's parts, borrowed from it; what is absent is null. */
typedef struct sqn_mysql_column {
    sqn_text name, type, arguments, collation, fallback, comment;
    bool not_null, automatic, generated;
} sqn_mysql_column;

/* False: the line is no column. A line that is only half understood gives name and type. */
bool sqn_mysql_column_line(sqn_text line, sqn_mysql_column *out);
/* The type as SQLAlchemy prints it: VARCHAR(20) COLLATE "utf8mb4_bin", NULL for what it does not
 * know. */
sqn_status sqn_mysql_type(sqn_schema *s, const sqn_mysql_column *c, sqn_text *out, sqn_err *e);

/* Reading from the left: each moves on and gives true, or stays and gives false. */
typedef struct sqn_cursor {
    const char *at, *end;
} sqn_cursor;
bool sqn_cursor_blanks(sqn_cursor *c); /* one or more */
bool sqn_cursor_char(sqn_cursor *c, char wanted);
bool sqn_cursor_word(sqn_cursor *c, const char *word);  /* in any case */
bool sqn_cursor_words(sqn_cursor *c, const char *word); /* blanks, then the word */
bool sqn_cursor_name(sqn_cursor *c, sqn_text *out);     /* `name`, quotes inside left doubled */
bool sqn_cursor_string(sqn_cursor *c, sqn_text *out);   /* '…', likewise */

#endif
