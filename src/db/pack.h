/* Values as bytes: what the processes of a pool send each other and what the cache of results
 * keeps.
 *
 * Rules: the format is this build's own and never leaves the machine; texts are followed by a NUL
 * that their length does not count. A reader borrows from the bytes it reads; it may be handed
 * anything: reading past the end sets `failed` and gives zeros.
 */
#ifndef SQN_DB_PACK_H
#define SQN_DB_PACK_H

#include "core/buf.h"
#include "db/driver.h"

void sqn_pack_int(sqn_buf *to, int64_t v);
void sqn_pack_double(sqn_buf *to, double v);
void sqn_pack_bytes(sqn_buf *to, const char *s, size_t n);
void sqn_pack_string(sqn_buf *to, const char *s); /* NULL stays NULL */
void sqn_pack_cell(sqn_buf *to, const sqn_cell *c);

typedef struct sqn_unpack {
    const char *at, *end; /* borrowed */
    bool failed;
} sqn_unpack;

int64_t sqn_unpack_int(sqn_unpack *u);
double sqn_unpack_double(sqn_unpack *u);
const char *sqn_unpack_bytes(sqn_unpack *u, size_t *n);
const char *sqn_unpack_string(sqn_unpack *u);
void sqn_unpack_cell(sqn_unpack *u, sqn_cell *c);
/* A count of things that take at least `least` bytes each; fails if so many cannot follow. */
int64_t sqn_unpack_count(sqn_unpack *u, size_t least);

void sqn_pack_result(sqn_buf *to, const sqn_result *r);
/* SQN_FORMAT if the bytes are no result. */
sqn_status sqn_unpack_result(sqn_unpack *u, sqn_result **out /* owned */, sqn_err *e);

#endif
