/* Inside of a tokenizer, shared by tokenizer_*.c only.
 *
 * Rules: filled by tokenizer_load.c, read-only afterwards but for the pool of scratch memory.
 */
#ifndef SQN_TEXT_TOKENIZER_PARTS_H
#define SQN_TEXT_TOKENIZER_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "text/added.h"
#include "text/bpe.h"
#include "text/split.h"
#include "text/tokenizer.h"

enum { SQN_STEPS = 8 };

typedef enum sqn_normal_kind {
    SQN_NORMAL_NFC,
    SQN_NORMAL_PREPEND,        /* `text` before every piece that is not empty */
    SQN_NORMAL_PREPEND_FIRST,  /* … only at the very beginning of the text */
    SQN_NORMAL_PREPEND_UNLESS, /* … to every piece that does not begin with it */
    SQN_NORMAL_REPLACE,        /* each `pattern`, one character, becomes `text`, one character */
} sqn_normal_kind;

typedef struct sqn_normal {
    sqn_normal_kind kind;
    char pattern[5], text[29]; /* end with 0 */
} sqn_normal;

/* Flags of an id. */
enum {
    SQN_TOKEN_SPECIAL = 1,    /* skipped by skip_special_tokens */
    SQN_TOKEN_ADDED_ONLY = 2, /* not in the model's own vocabulary */
};

typedef enum sqn_decode_kind {
    SQN_DECODE_BYTES,    /* GPT-2's alphabet */
    SQN_DECODE_FALLBACK, /* marks become blanks, <0xXX> bytes */
    SQN_DECODE_JOIN      /* no decoder: blanks between tokens */
} sqn_decode_kind;

typedef struct sqn_decode {
    sqn_decode_kind kind;
    char mark[5];     /* becomes a blank; "" for none */
    bool bytes;       /* <0xXX> stands for a byte */
    size_t strip;     /* so many blanks at the very beginning are dropped */
    bool first_blank; /* Metaspace: marks of the first token vanish */
} sqn_decode;

/* A word already encoded: one line of cache. */
typedef struct sqn_cached {
    uint8_t key_bytes, count; /* count 0: empty slot */
    char key[22];
    uint8_t bytes[8];
    uint32_t ids[8];
} sqn_cached;
enum { SQN_CACHE_SLOTS = 1 << 14, SQN_CACHE_KEY = 22, SQN_CACHE_IDS = 8 };
_Static_assert(sizeof(sqn_cached) == 64, "a cached word fills a line of cache");

/* Scratch memory of one encode call, kept for the next. */
typedef struct sqn_scratch {
    struct sqn_scratch *next;
    sqn_bytes text[2];    /* the normalised piece and the one before that step */
    sqn_words charges[2]; /* code point of the piece that each normalised one belongs to */
    sqn_bpe_scratch bpe;
    sqn_cached *cache; /* owned, SQN_CACHE_SLOTS */
} sqn_scratch;

typedef struct sqn_scratch_pool {
    pthread_mutex_t mutex;
    sqn_scratch *free; /* owned list */
} sqn_scratch_pool;

struct sqn_tokenizer {
    _Atomic int owners;
    char *path; /* owned */
    sqn_vocab vocab;
    sqn_merges merges;
    uint8_t *flags; /* owned, by id */

    sqn_normal normal[SQN_STEPS];
    size_t normal_count;
    sqn_split split[SQN_STEPS];
    size_t split_count;
    bool byte_level;       /* words are bytes; else characters */
    int32_t byte_ids[256]; /* of single bytes (byte level, or <0xXX>); -1: none */
    int32_t
        *character_ids; /* owned: model tokens of one character up to U+FFFF; NULL: byte level */
    bool byte_fallback, fuse_unknown, whole_words;
    int32_t unknown; /* id, -1: none */

    sqn_added_set added, added_normalised; /* sought before and after normalising */
    sqn_words before, after;               /* ids around a text */
    bool trim_offsets, trim_keeps_first;
    sqn_decode decode;
    sqn_scratch_pool *pool; /* owned */
};

/* The byte that a character of GPT-2's alphabet stands for; -1: not in the alphabet. */
int sqn_alphabet_byte(uint32_t c);
/* The character for a byte. */
uint32_t sqn_alphabet_character(unsigned byte);
/* The byte of a token like <0x0A>; -1: another token. */
int sqn_fallback_byte(const char *token, size_t n);

/* The normalised form of a piece that begins at code point `at` of the text: borrowed from x or the
 * piece itself. *charges is NULL where each code point is charged to itself. */
sqn_status sqn_tokenizer_normalise(const sqn_tokenizer *t, sqn_scratch *x, sqn_text piece,
                                   size_t at, bool offsets, sqn_text *out, const uint32_t **charges,
                                   sqn_err *e);

/* A scratch of our own until given back. */
sqn_status sqn_scratch_take(const sqn_tokenizer *t, sqn_scratch **out, sqn_err *e);
void sqn_scratch_give(const sqn_tokenizer *t, sqn_scratch *x);
sqn_status sqn_scratch_pool_new(sqn_scratch_pool **out, sqn_err *e);
void sqn_scratch_pool_close(sqn_scratch_pool *pool);

#endif
