/* Tokenizers from Hugging Face's tokenizer.json: text to ids and back, as `tokenizers` does it.
 *
 * Rules: a tokenizer never changes once it is open, so any number of threads may encode and decode
 * with it (scratch memory is pooled inside). Byte-level BPE (Qwen2, Llama 3, GPT-2, SmolLM2) and
 * BPE over characters with byte fallback (Llama 2, Mistral); any part of a file that is not
 * understood is an error that names it. Texts are UTF-8 and may hold U+0000; others are SQN_FORMAT.
 */
#ifndef SQN_TEXT_TOKENIZER_H
#define SQN_TEXT_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "text/bytes.h"

typedef struct sqn_tokenizer sqn_tokenizer;

/* `path`: a tokenizer.json, or a folder with one. *out is owned by the caller. */
sqn_status sqn_tokenizer_open(const char *path, sqn_tokenizer **out, sqn_err *e);
/* One more owner of the same tokenizer. */
sqn_tokenizer *sqn_tokenizer_retain(sqn_tokenizer *t);
/* Gives one ownership back; accepts NULL. No call of this owner may be under way. */
void sqn_tokenizer_close(sqn_tokenizer *t);

const char *sqn_tokenizer_path(const sqn_tokenizer *t);    /* of the file; borrowed */
uint32_t sqn_tokenizer_vocab_size(const sqn_tokenizer *t); /* highest id + 1 */
int32_t sqn_tokenizer_id(const sqn_tokenizer *t, const char *token, size_t n); /* -1: none */
/* As the file spells it, so byte-level tokens stand in GPT-2's alphabet. Borrowed; NULL: no such
 * id. */
const char *sqn_tokenizer_token(const sqn_tokenizer *t, uint32_t id, size_t *n);
bool sqn_tokenizer_is_special(const sqn_tokenizer *t, uint32_t id);
size_t sqn_tokenizer_bytes(const sqn_tokenizer *t); /* memory it holds, roughly */

typedef struct sqn_encode_options {
    bool add_special_tokens; /* what the file's post-processor puts around the text */
    bool offsets;
    bool literal; /* special tokens in the text are plain text */
} sqn_encode_options;

typedef struct sqn_encoding {
    sqn_words ids;
    sqn_words offsets; /* start, end of each id in code points of the text, end not included */
} sqn_encoding;

typedef struct sqn_text {
    const char *data; /* borrowed */
    size_t count;
} sqn_text;

/* Appends to *out, which the caller releases (also after an error). */
sqn_status sqn_tokenizer_encode(const sqn_tokenizer *t, sqn_text text, sqn_encode_options options,
                                sqn_encoding *out, sqn_err *e);
/* Many texts at once, in parallel: out[i] for texts[i]. */
sqn_status sqn_tokenizer_encode_many(const sqn_tokenizer *t, const sqn_text *texts, size_t count,
                                     sqn_encode_options options, sqn_encoding *out, sqn_err *e);
void sqn_encoding_release(sqn_encoding *x);

/* Appends the text of ids; ids without a token count as nothing. */
sqn_status sqn_tokenizer_decode(const sqn_tokenizer *t, const uint32_t *ids, size_t count,
                                bool skip_special_tokens, sqn_bytes *out, sqn_err *e);

/* Decoding while ids arrive: the pieces joined are the decoded text, and none ends inside a
 * character. A text that ends in U+FFFD is held back until it goes on or finishes. */
typedef struct sqn_token_stream sqn_token_stream;

/* The stream retains the tokenizer. */
sqn_status sqn_token_stream_new(sqn_tokenizer *t, bool skip_special_tokens, sqn_token_stream **out,
                                sqn_err *e);
void sqn_token_stream_close(sqn_token_stream *s); /* accepts NULL */
/* Appends the piece that one more id makes visible to *out; often nothing. */
sqn_status sqn_token_stream_push(sqn_token_stream *s, uint32_t id, sqn_bytes *out, sqn_err *e);
/* Appends what was held back; the stream is then as new. */
sqn_status sqn_token_stream_finish(sqn_token_stream *s, sqn_bytes *out, sqn_err *e);

#endif
