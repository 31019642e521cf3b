/* A file mapped into memory and counted: tensors that borrow its bytes retain it. A write into them stays in this
 * process (private pages); the file never changes.
 * A file that another program cuts short while it is mapped ends this one with SIGBUS: writers here
 * never do that, they rename. */
#ifndef SQN_IO_MAPPING_H
#define SQN_IO_MAPPING_H

#include <stddef.h>

#include "core/err.h"

typedef struct sqn_mapping sqn_mapping;

sqn_status sqn_mapping_open(sqn_mapping **out /* owned */, const char *path, sqn_err *e);
sqn_mapping *sqn_mapping_retain(sqn_mapping *m);
void sqn_mapping_release(sqn_mapping *m);            /* accepts NULL */
const void *sqn_mapping_bytes(const sqn_mapping *m); /* borrowed */
size_t sqn_mapping_size(const sqn_mapping *m);
const char *sqn_mapping_path(const sqn_mapping *m); /* borrowed */

#endif
