/* Added tokens: strings that are cut out of the text before anything else looks at it.
 *
 * Rules: the leftmost match, and there the longest; read-only once built.
 */
#ifndef SQN_TEXT_ADDED_H
#define SQN_TEXT_ADDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

typedef struct sqn_added {
    uint32_t id;
    bool special, single_word, lstrip, rstrip;
} sqn_added;

typedef struct sqn_added_node {
    int32_t child, sibling; /* -1: none */
    int32_t token;          /* index into tokens of the string that ends here, -1: none */
    char byte;
} sqn_added_node;

typedef struct sqn_added_set {
    sqn_added *tokens; /* owned */
    size_t count, capacity;
    sqn_added_node *nodes; /* owned */
    size_t node_count, node_capacity;
    int32_t root[256]; /* node of each first byte, -1: none */
    int first_byte;    /* the only first byte there is; -1: several or none */
} sqn_added_set;

void sqn_added_init(sqn_added_set *s);
void sqn_added_release(sqn_added_set *s);
/* Adds a token spelled text[0, n), n > 0. */
sqn_status sqn_added_put(sqn_added_set *s, const char *text, size_t n, sqn_added token, sqn_err *e);
/* The next token at or after `from`: true, and [*start, *stop) where it stands. */
const sqn_added *sqn_added_find(const sqn_added_set *s, const char *text, size_t n, size_t from,
                                size_t *start, size_t *stop);
/* The next token that counts: special ones do not if `literal`, single words only between
 * non-words; lstrip and rstrip take the blanks beside it, not before `from`. NULL: none is left. */
const sqn_added *sqn_added_next(const sqn_added_set *s, const char *text, size_t n, size_t from,
                                bool literal, size_t *start, size_t *stop);

#endif
