/* A small backtracking matcher for the few regular expressions that M-Schema is defined by.
 *
 * Rules: the syntax is Python's, cut down to what those need: literals, `.`, \w, classes, (…),
 * (?:…), |, and ? * + with their lazy forms; case is always ignored (the way Python's re.I does for
 * str). Texts are UTF-8. `steps` bounds the work: a search that uses it up finds nothing more, so
 * that no text, however made, takes long.
 */
#ifndef SQN_DB_PATTERN_H
#define SQN_DB_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

enum { SQN_PATTERN_CODE = 128, SQN_PATTERN_GROUPS = 8 };
#define SQN_PATTERN_NONE ((size_t)-1) /* start of a group that took no part */

typedef struct sqn_pattern_op {
    unsigned char kind;
    int a, b;        /* relative targets, a character, or a slot */
    const char *set; /* of a class: its text between the brackets, borrowed from the source */
    size_t set_length;
} sqn_pattern_op;

typedef struct sqn_pattern {
    sqn_pattern_op code[SQN_PATTERN_CODE];
    int length, groups;
} sqn_pattern;

typedef struct sqn_span {
    size_t start, stop; /* bytes; start == SQN_PATTERN_NONE: not matched */
} sqn_span;

/* `source` must live as long as the pattern. A pattern that does not compile is a bug. */
void sqn_pattern_compile(sqn_pattern *p, const char *source);
/* The first match at or after `from`; groups[0] is all of it. *found says whether there is one. */
sqn_status sqn_pattern_find(const sqn_pattern *p, const char *text, size_t n, size_t from,
                            sqn_span groups[SQN_PATTERN_GROUPS], long *steps, bool *found,
                            sqn_err *e);

#endif
