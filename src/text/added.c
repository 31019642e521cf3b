/* Added tokens in a trie over bytes: see added.h. */
#include "text/added.h"

#include <string.h>

#include "core/alloc.h"
#include "text/unicode.h"

void sqn_added_init(sqn_added_set *s) {
    *s = (sqn_added_set){.first_byte = -1};
    memset(s->root, 0xFF, sizeof s->root);
}

void sqn_added_release(sqn_added_set *s) {
    sqn_free(s->tokens);
    sqn_free(s->nodes);
    sqn_added_init(s);
}

static sqn_status add_node(sqn_added_set *s, char byte, sqn_err *e) {
    if (s->node_count == s->node_capacity) {
        size_t room = s->node_capacity * 2 + 64;
        sqn_added_node *p = sqn_realloc(s->nodes, room * sizeof *p, e);
        if (p == NULL) return SQN_NOMEM;
        s->nodes = p;
        s->node_capacity = room;
    }
    s->nodes[s->node_count++] = (sqn_added_node){-1, -1, -1, byte};
    return SQN_OK;
}

static int32_t child_of(const sqn_added_set *s, int32_t node, char byte) {
    int32_t i = s->nodes[node].child;
    while (i >= 0 && s->nodes[i].byte != byte) i = s->nodes[i].sibling;
    return i;
}

static sqn_status add_path(sqn_added_set *s, const char *text, size_t n, int32_t *end, sqn_err *e) {
    unsigned char first = (unsigned char)text[0];
    int32_t node = s->root[first];
    if (node < 0) {
        SQN_TRY(add_node(s, text[0], e));
        bool only = s->node_count == 1;
        s->first_byte = only ? first : -1;
        node = s->root[first] = (int32_t)s->node_count - 1;
    }
    for (size_t i = 1; i < n; i++) {
        int32_t child = child_of(s, node, text[i]);
        if (child < 0) {
            SQN_TRY(add_node(s, text[i], e));
            child = (int32_t)s->node_count - 1;
            s->nodes[child].sibling = s->nodes[node].child;
            s->nodes[node].child = child;
        }
        node = child;
    }
    *end = node;
    return SQN_OK;
}

sqn_status sqn_added_put(sqn_added_set *s, const char *text, size_t n, sqn_added token,
                         sqn_err *e) {
    if (s->count == s->capacity) {
        size_t room = s->capacity * 2 + 16;
        sqn_added *p = sqn_realloc(s->tokens, room * sizeof *p, e);
        if (p == NULL) return SQN_NOMEM;
        s->tokens = p;
        s->capacity = room;
    }
    int32_t node = -1;
    SQN_TRY(add_path(s, text, n, &node, e));
    s->nodes[node].token = (int32_t)s->count;
    s->tokens[s->count++] = token;
    return SQN_OK;
}

const sqn_added *sqn_added_find(const sqn_added_set *s, const char *text, size_t n, size_t from,
                                size_t *start, size_t *stop) {
    if (s->count == 0) return NULL;
    for (size_t i = from; i < n; i++) {
        if (s->first_byte >= 0) {
            const char *p = memchr(text + i, s->first_byte, n - i);
            if (p == NULL) return NULL;
            i = (size_t)(p - text);
        }
        const sqn_added *found = NULL;
        int32_t node = s->root[(unsigned char)text[i]];
        for (size_t j = i; node >= 0;) {
            j++;
            if (s->nodes[node].token >= 0) {
                found = &s->tokens[s->nodes[node].token];
                *stop = j;
            }
            node = j < n ? child_of(s, node, text[j]) : -1;
        }
        if (found != NULL) {
            *start = i;
            return found;
        }
    }
    return NULL;
}

static size_t back(const char *text, size_t i) { /* start of the character before i */
    do i--;
    while (!sqn_utf8_is_start(text[i]));
    return i;
}

static bool has_class(const char *p, unsigned bits) {
    size_t length;
    return (sqn_unicode_class(sqn_utf8_get(p, &length)) & bits) != 0;
}

static bool stands_alone(const char *text, size_t n, size_t start, size_t stop) {
    return !(start > 0 && has_class(text + back(text, start), SQN_CHAR_WORD)) &&
           !(stop < n && has_class(text + stop, SQN_CHAR_WORD));
}

const sqn_added *sqn_added_next(const sqn_added_set *s, const char *text, size_t n, size_t from,
                                bool literal, size_t *start, size_t *stop) {
    const sqn_added *x;
    for (size_t at = from; (x = sqn_added_find(s, text, n, at, start, stop)) != NULL; at = *stop) {
        if (literal && x->special) continue;
        if (x->single_word && !stands_alone(text, n, *start, *stop)) continue;
        while (x->lstrip && *start > from && has_class(text + back(text, *start), SQN_CHAR_SPACE))
            *start = back(text, *start);
        size_t length;
        while (x->rstrip && *stop < n && has_class(text + *stop, SQN_CHAR_SPACE)) {
            sqn_utf8_get(text + *stop, &length);
            *stop += length;
        }
        return x;
    }
    return NULL;
}
