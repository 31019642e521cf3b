/* Byte-pair encoding: the vocabulary, the merges, and applying them to one word.
 *
 * Rules: a vocabulary and its merges are read-only once built and may be shared by threads; a
 * sqn_bpe_scratch belongs to one thread at a time. Always the pair of lowest rank is merged, the
 * leftmost of equals, in linear-logarithmic time.
 */
#ifndef SQN_TEXT_BPE_H
#define SQN_TEXT_BPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "text/bytes.h"

enum { SQN_TOKEN_LIMIT = 1 << 24 }; /* ids are below this */

/* Strings to ids and back. Ids may have holes. */
typedef struct sqn_vocab {
    sqn_bytes text;           /* all tokens, one after the other */
    uint32_t *start, *length; /* owned, by id; start UINT32_MAX: no such token */
    uint32_t id_count;        /* highest id + 1 */
    uint64_t *slots;          /* owned: hash << 32 | id, UINT64_MAX: empty */
    size_t slot_mask, used;   /* slots - 1; tokens held */
} sqn_vocab;

/* Room for `count` tokens with ids below `id_count`. */
sqn_status sqn_vocab_init(sqn_vocab *v, size_t count, uint32_t id_count, sqn_err *e);
void sqn_vocab_release(sqn_vocab *v);
/* SQN_FORMAT if the token or the id is taken. */
sqn_status sqn_vocab_add(sqn_vocab *v, const char *token, size_t n, uint32_t id, sqn_err *e);
int32_t sqn_vocab_find(const sqn_vocab *v, const char *token, size_t n); /* -1: none */
/* Borrowed until the vocabulary is released; NULL if no token has this id. */
const char *sqn_vocab_token(const sqn_vocab *v, uint32_t id, size_t *n);

typedef struct sqn_merge {
    uint64_t pair; /* left id << 32 | right id; UINT64_MAX: empty */
    uint32_t rank, result;
} sqn_merge;

typedef struct sqn_merges {
    sqn_merge *slots; /* owned */
    size_t slot_mask;
} sqn_merges;

sqn_status sqn_merges_init(sqn_merges *m, size_t count, sqn_err *e);
void sqn_merges_release(sqn_merges *m);
/* The later rank of a pair given twice counts, as in tokenizers. */
void sqn_merges_add(sqn_merges *m, uint32_t left, uint32_t right, uint32_t rank, uint32_t result);

/* One symbol of the word that is being merged. */
typedef struct sqn_symbol {
    int32_t id;      /* -1: text without a token; never merged */
    uint32_t bytes;  /* of the normalised text; 0: merged into the one before it */
    uint32_t rank;   /* of the pair with the next one; UINT32_MAX: none */
    uint32_t result; /* of that pair */
    int32_t prev, next;
} sqn_symbol;

typedef struct sqn_bpe_scratch {
    sqn_symbol *symbols; /* owned */
    size_t count, capacity;
    uint64_t *heap; /* owned: rank << 32 | position */
    size_t heap_count, heap_capacity;
} sqn_bpe_scratch;

void sqn_bpe_scratch_release(sqn_bpe_scratch *s);
/* Appends a symbol to the word; the caller sets count = 0 before a new one. */
sqn_status sqn_bpe_push(sqn_bpe_scratch *s, int32_t id, size_t bytes, sqn_err *e);
/* Applies the merges; the symbols left are [0, count). */
sqn_status sqn_bpe_merge(sqn_bpe_scratch *s, const sqn_merges *m, sqn_err *e);

uint64_t sqn_text_hash(const char *p, size_t n);

#endif
