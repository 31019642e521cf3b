/* Whole JSON documents as cJSON trees, for C that looks things up: indexes, headers,
 * tokenizer.json.
 *
 * Rules: what cJSON would lose is refused, with file, line and column: U+0000 and lone surrogates
 * in strings, NaN and Infinity; a key that stands twice in one object is refused by name. Numbers
 * are doubles (exact to 2^53); data files go through json_reader.h.
 */
#ifndef SQN_IO_JSON_DOCUMENT_H
#define SQN_IO_JSON_DOCUMENT_H

#include <cJSON.h>
#include <stdint.h>

#include "core/err.h"

sqn_status sqn_json_document_read(cJSON **out /* owned: sqn_json_document_free */, const char *path,
                                  sqn_err *e);
/* `name` stands for the file in messages. The text need not end with a NUL. */
sqn_status sqn_json_document_parse(cJSON **out /* owned */, const char *text, size_t n,
                                   const char *name, sqn_err *e);
void sqn_json_document_free(cJSON *document); /* accepts NULL */

/* The member of this exact name, or NULL; `object` may be NULL or anything. Borrowed from it. */
const cJSON *sqn_json_member(const cJSON *object, const char *key);
/* Is it a whole number from 0 to 2^53? Then *out has it. */
int sqn_json_count(const cJSON *item, int64_t *out);

#endif
