/* Looks over a statement for MySQL or MariaDB before it is sent: one statement that only reads.
 *
 * Rules: what cannot be told apart with certainty is refused, so every comment that the server
 * would execute is; quoting follows the session's sql_mode, which the driver pins. The server has
 * the last word: the statement runs in a read-only transaction.
 */
#ifndef SQN_DB_MYSQL_REVIEW_H
#define SQN_DB_MYSQL_REVIEW_H

#include <stdbool.h>

#include "core/err.h"

typedef struct sqn_mysql_quoting {
    bool no_backslash; /* NO_BACKSLASH_ESCAPES: '\' is a character like others */
    bool ansi;         /* ANSI_QUOTES: "x" is a name */
    bool brackets;     /* MSSQL (MariaDB): [x] is a name; no statement may hold one */
} sqn_mysql_quoting;

/* SQN_DENIED names what is not allowed; SQN_DB if there is no statement. */
sqn_status sqn_mysql_review(const char *sql, size_t n, sqn_mysql_quoting quoting, sqn_err *e);

#endif
