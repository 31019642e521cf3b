/* Small questions to a tokenizer: see tokenizer.h. */
#include "text/tokenizer.h"

#include "text/tokenizer_parts.h"

const char *sqn_tokenizer_path(const sqn_tokenizer *t) { return t->path; }

uint32_t sqn_tokenizer_vocab_size(const sqn_tokenizer *t) { return t->vocab.id_count; }

int32_t sqn_tokenizer_id(const sqn_tokenizer *t, const char *token, size_t n) {
    return sqn_vocab_find(&t->vocab, token, n);
}

const char *sqn_tokenizer_token(const sqn_tokenizer *t, uint32_t id, size_t *n) {
    return sqn_vocab_token(&t->vocab, id, n);
}

bool sqn_tokenizer_is_special(const sqn_tokenizer *t, uint32_t id) {
    return id < t->vocab.id_count && (t->flags[id] & SQN_TOKEN_SPECIAL) != 0;
}

size_t sqn_tokenizer_bytes(const sqn_tokenizer *t) {
    return t->vocab.text.capacity + t->vocab.id_count * 9u +
           (t->vocab.slot_mask + 1) * sizeof *t->vocab.slots +
           (t->merges.slot_mask + 1) * sizeof *t->merges.slots;
}
