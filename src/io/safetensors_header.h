/* The header of one safetensors file: inside src/io only. */
#ifndef SQN_IO_SAFETENSORS_HEADER_H
#define SQN_IO_SAFETENSORS_HEADER_H

#include <cJSON.h>

#include "io/safetensors.h"

enum { SQN_SAFETENSORS_HEADER_MAX = 100000000 }; /* bytes, as the reference library */

typedef struct sqn_safetensors_type {
    const char *name;
    int bytes;
    int rank; /* larger ones stand first in a file that the reference library writes */
    sqn_dtype dtype;
} sqn_safetensors_type;

/* NULL if there is no such type. Static. */
const sqn_safetensors_type *sqn_safetensors_type_find(const char *name);

typedef struct sqn_safetensors_part {
    sqn_mapping *mapping;           /* owned */
    cJSON *header;                  /* owned: names and metadata live here */
    sqn_safetensors_entry *entries; /* owned; in byte order of their names */
    size_t count;
} sqn_safetensors_part;

/* Maps and checks one file. After a failure the part is empty. */
sqn_status sqn_safetensors_part_open(sqn_safetensors_part *part, const char *path, sqn_err *e);
void sqn_safetensors_part_close(sqn_safetensors_part *part);
const sqn_safetensors_entry *sqn_safetensors_part_find(const sqn_safetensors_part *part,
                                                       const char *name);

#endif
