/* Inside of the BPE trainer, shared by bpe_train*.c only. */
#ifndef SQN_TEXT_BPE_TRAIN_PARTS_H
#define SQN_TEXT_BPE_TRAIN_PARTS_H

#include "text/added.h"
#include "text/bpe.h"
#include "text/bpe_train.h"
#include "text/split.h"
#include "text/tokenizer_parts.h"

typedef struct train_slot {
    uint64_t hash;
    uint32_t index; /* of what is kept elsewhere; UINT32_MAX: empty */
} train_slot;

typedef struct train_table { /* hash to index, open addressing, grows */
    train_slot *slots;       /* owned */
    size_t mask, used;
} train_table;

typedef struct train_word {
    uint32_t start, length; /* its symbols */
    uint64_t count;
} train_word;

typedef struct train_pair {
    uint32_t left, right;
    int64_t count;
    bool raised;     /* in `raised` below */
    sqn_words words; /* that hold it, or once held it */
} train_pair;

typedef struct train_entry {
    int64_t count;
    uint32_t pair;
} train_entry;

struct sqn_bpe_trainer {
    size_t vocab_size;
    bool done;
    sqn_vocab special_names; /* by their place in the list */
    sqn_added_set specials;
    sqn_vocab vocab;  /* bytes of each token, special ones not included */
    sqn_words merges; /* left and right ids */
    uint32_t byte_ids[256];
    sqn_bytes normal; /* scratch */

    sqn_words symbols; /* of all words */
    train_word *words; /* owned */
    size_t word_count, word_capacity;
    train_table word_table;

    train_pair *pairs; /* owned */
    size_t pair_count, pair_capacity;
    train_table pair_table;
    sqn_words raised; /* pairs counted up since they were queued last */

    train_entry *heap; /* owned: highest count first, then lower ids */
    size_t heap_count, heap_capacity;
};

sqn_status sqn_train_table_init(train_table *x, sqn_err *e);
void sqn_train_table_release(train_table *x);
static inline size_t sqn_train_table_first(const train_table *x, uint64_t hash) {
    return (hash ^ hash >> 32) & x->mask;
}
/* Adds an index that is not there yet; may move all slots. */
sqn_status sqn_train_table_put(train_table *x, uint64_t hash, uint32_t index, sqn_err *e);

/* Adds n, which may be negative, to the count of a pair that stands in a word. */
sqn_status sqn_train_count(sqn_bpe_trainer *t, uint32_t left, uint32_t right, int64_t n,
                           uint32_t word, sqn_err *e);
/* Puts a pair into the queue with its count. */
sqn_status sqn_train_queue(sqn_bpe_trainer *t, uint32_t pair, sqn_err *e);
sqn_status sqn_train_queue_raised(sqn_bpe_trainer *t, sqn_err *e);
train_entry sqn_train_pop(sqn_bpe_trainer *t);

#endif
