/* Reading a tokenizer.json: what tokenizer_read.c, tokenizer_load.c and tokenizer_model.c share.
 *
 * Rules: vocabulary and merges, nearly all of the file, are read in one pass into flat arrays; the
 * rest becomes a small cJSON tree. Messages about the tree start with "key '…': ", and
 * sqn_tokenizer_open puts the file before them.
 */
#ifndef SQN_TEXT_TOKENIZER_LOAD_H
#define SQN_TEXT_TOKENIZER_LOAD_H

#include <cJSON.h>
#include <stdio.h>
#include <string.h>

#include "io/json_document.h"
#include "text/tokenizer_parts.h"
#include "text/unicode.h"

typedef struct sqn_tokenizer_file {
    cJSON *root;      /* owned: everything but model.vocab and model.merges */
    sqn_bytes text;   /* of all tokens and merges */
    sqn_words vocab;  /* start, length, id of each token */
    sqn_words merges; /* start, length of the left half, of the right half, which follows it */
    bool has_vocab, has_merges;
} sqn_tokenizer_file;

/* The caller releases *out, also after an error. */
sqn_status sqn_tokenizer_file_read(const char *path, sqn_tokenizer_file *out, sqn_err *e);
void sqn_tokenizer_file_release(sqn_tokenizer_file *f);

static inline const cJSON *sqn_load_get(const cJSON *object, const char *key) {
    return cJSON_IsObject(object) ? sqn_json_member(object, key) : NULL;
}

static inline bool sqn_load_true(const cJSON *object, const char *key) {
    return cJSON_IsTrue(sqn_load_get(object, key));
}

/* Vocabulary and added tokens; the normaliser must be known by then. */
sqn_status sqn_load_vocab(sqn_tokenizer *t, const sqn_tokenizer_file *f, sqn_err *e);
/* Merges and the rest of the model; everything else must be known by then. */
sqn_status sqn_load_model(sqn_tokenizer *t, const sqn_tokenizer_file *f, sqn_err *e);

#endif
