/* The parts of the MySQL driver. */
#ifndef SQN_DB_DRIVER_MYSQL_CELLS_H
#define SQN_DB_DRIVER_MYSQL_CELLS_H

#include <mysql.h>

#include "core/err.h"
#include "db/value.h"

enum { SQN_MYSQL_CELL_ROOM = 64 }; /* bytes for a value that is written anew */

/* A value of the text protocol as a cell; bytes == NULL is NULL; without a field it is text. The
 * cell borrows from `bytes` or `room`. Dates that are none (0000-00-00, 2020-01-00) are text, as in
 * the original's driver. */
void sqn_mysql_cell(const MYSQL_FIELD *field, const char *bytes, size_t n,
                    char room[SQN_MYSQL_CELL_ROOM], sqn_cell *out);

/* What an error number of the server or the client library means. */
sqn_status sqn_mysql_error_kind(unsigned code);
/* The connection is gone. */
bool sqn_mysql_error_cuts(unsigned code);

#endif
