/* Reading a tokenizer.json: what tokenizer_load.c and tokenizer_model.c share.
 *
 * Rules: messages start with "key '…': "; sqn_tokenizer_open puts the file before them.
 */
#ifndef SQN_TEXT_TOKENIZER_LOAD_H
#define SQN_TEXT_TOKENIZER_LOAD_H

#include <cJSON.h>
#include <stdio.h>
#include <string.h>

#include "text/tokenizer_parts.h"
#include "text/unicode.h"

static inline const cJSON *sqn_load_get(const cJSON *object, const char *key) {
    return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

static inline bool sqn_load_true(const cJSON *object, const char *key) {
    return cJSON_IsTrue(sqn_load_get(object, key));
}

/* Vocabulary and added tokens; the normaliser must be known by then. */
sqn_status sqn_load_vocab(sqn_tokenizer *t, const cJSON *model, const cJSON *added, sqn_err *e);
/* Merges and the rest of the model; everything else must be known by then. */
sqn_status sqn_load_model(sqn_tokenizer *t, const cJSON *model, sqn_err *e);

#endif
