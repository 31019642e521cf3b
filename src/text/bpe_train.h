/* Trains a byte-level BPE as Qwen2's (NFC, the same words) and writes its tokenizer.json.
 *
 * Rules: the result depends on the texts and options only: merges go by count, equal counts by the
 * lower ids. Ids: 256 bytes in the order of GPT-2's alphabet, one per merge, then the special
 * tokens. Special tokens in the texts are left out of the counts.
 */
#ifndef SQN_TEXT_BPE_TRAIN_H
#define SQN_TEXT_BPE_TRAIN_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "text/tokenizer.h"

typedef struct sqn_bpe_trainer sqn_bpe_trainer;

/* `specials` are copied; vocab_size counts them and the 256 bytes. */
sqn_status sqn_bpe_trainer_new(sqn_bpe_trainer **out /* owned */, size_t vocab_size,
                               const sqn_text *specials, size_t special_count, sqn_err *e);
void sqn_bpe_trainer_close(sqn_bpe_trainer *t); /* accepts NULL */
/* Counts the words of one text. */
sqn_status sqn_bpe_trainer_add(sqn_bpe_trainer *t, sqn_text text, sqn_err *e);
/* Makes merges of pairs seen at least `min_count` times, until the vocabulary is full or none is
 * left; once. */
sqn_status sqn_bpe_trainer_run(sqn_bpe_trainer *t, uint64_t min_count, sqn_err *e);
/* After the run. Atomic. */
sqn_status sqn_bpe_trainer_write(const sqn_bpe_trainer *t, const char *path, sqn_err *e);

#endif
