/* Typed cells: what a database's row holds, the same for every driver.
 *
 * Rules: a cell never owns its bytes (a row borrows from the connection until the next call, a
 * sqn_result keeps its own copies); text and blob may hold NUL; text of a careless database may be
 * invalid UTF-8, which bad_utf8 says. The kinds after BLOB (SQLite has none of them) carry one
 * canonical text whatever the server: the one that Python's drivers would print, or JSON. A date
 * that Python cannot hold (before year 1, after 9999) keeps the server's text.
 */
#ifndef SQN_DB_VALUE_H
#define SQN_DB_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum sqn_cell_kind {
    SQN_CELL_NULL,
    SQN_CELL_INT,      /* as.integer */
    SQN_CELL_DOUBLE,   /* as.real */
    SQN_CELL_TEXT,     /* as.bytes, length */
    SQN_CELL_BLOB,     /* as.bytes, length */
    SQN_CELL_DECIMAL,  /* as.bytes, length: "12.50", "NaN", "Infinity" */
    SQN_CELL_BOOL,     /* as.integer, 0 or 1 */
    SQN_CELL_DATE,     /* as.bytes, length: "2024-01-31" */
    SQN_CELL_TIME,     /* "12:30:00", "12:30:00.500000", "12:30:00+02:00" */
    SQN_CELL_DATETIME, /* "2024-01-31 12:30:00[.ffffff][+02:00]" */
    SQN_CELL_INTERVAL, /* "3:04:05", "-1 day, 23:00:00[.ffffff]" */
    SQN_CELL_ARRAY,    /* JSON text */
    SQN_CELL_JSON,     /* JSON text */
    SQN_CELL_KIND_COUNT
} sqn_cell_kind;

typedef struct sqn_cell {
    sqn_cell_kind kind;
    bool bad_utf8; /* of text: the bytes are not valid UTF-8 */
    size_t length; /* bytes */
    union {
        int64_t integer;
        double real;
        const char *bytes; /* borrowed; for text and blobs a NUL follows the last byte */
    } as;
} sqn_cell;

static inline bool sqn_cell_has_bytes(const sqn_cell *c) {
    return c->kind >= SQN_CELL_TEXT && c->kind != SQN_CELL_BOOL;
}

/* Strict UTF-8: no surrogates, no overlong forms, nothing above U+10FFFF. */
bool sqn_cell_text_valid(const char *bytes, size_t length);

#endif
