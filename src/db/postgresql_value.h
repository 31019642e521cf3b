/* What PostgreSQL's texts of values say: cells, arrays, and the numbers of types.
 *
 * Rules: texts are those of DateStyle ISO, IntervalStyle postgres and bytea_output hex.
 */
#ifndef SQN_DB_POSTGRESQL_VALUE_H
#define SQN_DB_POSTGRESQL_VALUE_H

#include "core/buf.h"
#include "db/value.h"

/* What a value of a type is; types that are none of these are text. */
typedef enum sqn_pg_class {
    SQN_PG_TEXT,
    SQN_PG_BOOL,
    SQN_PG_INT,
    SQN_PG_DOUBLE,
    SQN_PG_NUMERIC,
    SQN_PG_BYTEA,
    SQN_PG_DATE,
    SQN_PG_TIME,
    SQN_PG_DATETIME,
    SQN_PG_DATETIME_TZ,
    SQN_PG_INTERVAL,
    SQN_PG_JSON,
    SQN_PG_UUID,
    SQN_PG_RANGE
} sqn_pg_class;

typedef struct sqn_pg_type {
    sqn_pg_class class;
    bool array;          /* of that class */
    const char *python;  /* of a range: its class in Python */
    sqn_pg_class bounds; /* of a range */
} sqn_pg_type;

/* The type with this number. */
sqn_pg_type sqn_pg_type_of(unsigned oid);

/* Fills the cell from the server's text; what is no longer the text itself is written to
 * `scratch` (emptied first), which the cell borrows. Fails only without memory. */
sqn_status sqn_pg_cell(unsigned oid, const char *text, size_t n, sqn_buf *scratch, sqn_cell *out,
                       sqn_err *e);

/* Dates and times as Python prints them; false where Python has no such value (nothing is put). */
bool sqn_pg_put_date(sqn_buf *to, const char *s, size_t n);
bool sqn_pg_put_datetime(sqn_buf *to, const char *s, size_t n, bool zone);
void sqn_pg_put_time(sqn_buf *to, const char *s, size_t n);

typedef struct sqn_pg_interval { /* days, then seconds and microseconds that are not negative */
    int64_t days, seconds, micros;
} sqn_pg_interval;
bool sqn_pg_parse_interval(const char *s, size_t n, sqn_pg_interval *out);
void sqn_pg_put_interval(sqn_buf *to, const sqn_pg_interval *i); /* as str(timedelta) */

/* Walks the text of an array: `open` and `close` at braces, `element` for each value (text NULL: a
 * null; borrowed until it returns). False: it is no array; what was called by then was called. */
typedef struct sqn_pg_array_reader {
    void (*open)(void *self);
    void (*close)(void *self);
    bool (*element)(void *self, const char *text, size_t n);
    void *self;
} sqn_pg_array_reader;
bool sqn_pg_read_array(const char *s, size_t n, const sqn_pg_array_reader *reader,
                       sqn_buf *scratch);

#endif
