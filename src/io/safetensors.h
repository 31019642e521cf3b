/* Memory-mapped safetensors files, single and sharded, and a writer that streams one out
 * atomically.
 *
 * Rules: a file is trusted with nothing. Every offset is checked against the file's size before
 * use; the header may be at most 100 MB and must be valid UTF-8 JSON without repeated keys; the
 * tensors must cover the data without overlaps and holes. Messages name the file and the tensor. A
 * tensor's bytes belong to the mapping, which whoever outlives the file retains.
 */
#ifndef SQN_IO_SAFETENSORS_H
#define SQN_IO_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "core/dtype.h"
#include "core/err.h"
#include "io/mapping.h"

enum { SQN_SAFETENSORS_DIMS = 8 };

typedef struct sqn_safetensors_entry {
    const char *name; /* borrowed from the file */
    const char *type; /* "BF16", as the file says; borrowed, static */
    sqn_dtype
        dtype; /* BOOL is U8; SQN_DTYPE_COUNT: a type that tensors here do not have (raw bytes) */
    size_t item_bytes;
    int ndim;
    int64_t shape[SQN_SAFETENSORS_DIMS];
    int64_t numel;
    size_t bytes;     /* numel * item_bytes */
    const void *data; /* borrowed from the mapping; may be unaligned in files of other writers */
    sqn_mapping *mapping; /* borrowed from the file: retain it to outlive the file */
} sqn_safetensors_entry;

typedef struct sqn_safetensors sqn_safetensors;

/* `path`: a .safetensors file, an index (….index.json), or a folder with model.safetensors or
 * model.safetensors.index.json. */
sqn_status sqn_safetensors_open(sqn_safetensors **out /* owned */, const char *path, sqn_err *e);
void sqn_safetensors_close(sqn_safetensors *s);             /* accepts NULL */
const char *sqn_safetensors_path(const sqn_safetensors *s); /* borrowed */
size_t sqn_safetensors_count(const sqn_safetensors *s);
/* Entries in byte order of their names, i from 0. Borrowed until close. */
const sqn_safetensors_entry *sqn_safetensors_at(const sqn_safetensors *s, size_t i);
/* NULL if there is none of that name. Borrowed until close. */
const sqn_safetensors_entry *sqn_safetensors_find(const sqn_safetensors *s, const char *name);
/* The same with SQN_NOTFOUND, naming file and tensor. */
sqn_status sqn_safetensors_get(const sqn_safetensors *s, const char *name,
                               const sqn_safetensors_entry **out, sqn_err *e);
/* The __metadata__ of the (first) file: key and value of pair i, 0 past the end. Borrowed until
 * close. */
int sqn_safetensors_metadata(const sqn_safetensors *s, size_t i, const char **key,
                             const char **value);

/* Bytes of an element of this type ("BF16", "I16" …), 0 if there is no such type. */
size_t sqn_safetensors_type_size(const char *type);

/* Writer: open, metadata and add in any order, start, write every byte in the order of the file,
 * commit. close without commit drops the file. The order is that of the reference library: larger
 * types first, then by name. */
typedef struct sqn_safetensors_writer sqn_safetensors_writer;
sqn_status sqn_safetensors_writer_open(sqn_safetensors_writer **out /* owned */, const char *path,
                                       sqn_err *e);
sqn_status sqn_safetensors_writer_metadata(sqn_safetensors_writer *w, const char *key,
                                           const char *value, sqn_err *e);
sqn_status sqn_safetensors_writer_add(sqn_safetensors_writer *w, const char *name, const char *type,
                                      int ndim, const int64_t *shape, sqn_err *e);
sqn_status sqn_safetensors_writer_start(sqn_safetensors_writer *w, sqn_err *e);
/* After start: which add, counted from 0, made the tensor whose bytes come i-th. */
size_t sqn_safetensors_writer_order(const sqn_safetensors_writer *w, size_t i);
/* The next n bytes of the data; a tensor may come in pieces. */
sqn_status sqn_safetensors_writer_write(sqn_safetensors_writer *w, const void *bytes, size_t n,
                                        sqn_err *e);
sqn_status sqn_safetensors_writer_commit(sqn_safetensors_writer *w, sqn_err *e);
void sqn_safetensors_writer_close(sqn_safetensors_writer *w); /* accepts NULL */

#endif
