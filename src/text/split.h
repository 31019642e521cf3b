/* Pre-tokenisers: where a piece of text is cut into words.
 *
 * Rules: the regular expressions that real tokenizer.json files hold are matched by hand-written
 * code (sqn_split_known finds which); a step cuts without gaps, so it is described by the length of
 * the word at the front of what is left. Text is valid UTF-8.
 */
#ifndef SQN_TEXT_SPLIT_H
#define SQN_TEXT_SPLIT_H

#include <stdbool.h>
#include <stddef.h>

typedef enum sqn_split_kind {
    SQN_SPLIT_QWEN2,  /* words with one other character before, single digits, lines, blanks */
    SQN_SPLIT_GPT2,   /* blank + word, blank + number, blank + signs */
    SQN_SPLIT_DIGITS, /* numbers from the rest */
    SQN_SPLIT_BEFORE, /* before each mark, as Metaspace */
    SQN_SPLIT_RUNS,   /* before each run of marks */
} sqn_split_kind;

typedef struct sqn_split {
    sqn_split_kind kind;
    size_t digits; /* longest run of numbers in one word; 0: any */
    char mark[5];  /* of SQN_SPLIT_BEFORE and _RUNS, ends with 0 */
    size_t mark_bytes;
} sqn_split;

extern const char sqn_split_qwen2_regex[];
/* The step for a regular expression of a "Split" with behavior "Isolated"; false: not known. */
bool sqn_split_known(const char *regex, sqn_split *out);
/* The length in bytes of the first word of a text that is not empty. */
size_t sqn_split_next(const sqn_split *s, const char *text, size_t n);

#endif
