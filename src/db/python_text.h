/* Text as Python sees it: which characters are words, blanks and digits, upper and lower case, and
 * how values print. M-Schema is defined by what Python prints.
 *
 * Rules: texts are UTF-8; a byte that is not part of a character counts as one character of its own
 * value, so nothing here fails on bad input.
 */
#ifndef SQN_DB_PYTHON_TEXT_H
#define SQN_DB_PYTHON_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "core/buf.h"

/* The character at s (n > 0 bytes left) and its length in bytes. */
size_t sqn_python_decode(const char *s, size_t n, unsigned *c);
size_t sqn_python_length(const char *s, size_t n); /* in characters */

bool sqn_python_is_word(unsigned c);  /* \w: letters, numbers of every kind, _ */
bool sqn_python_is_space(unsigned c); /* what str.strip takes away */
int sqn_python_digit(unsigned c);     /* \d: its value, or -1 */

void sqn_python_upper(sqn_buf *to, const char *s, size_t n);
void sqn_python_lower(sqn_buf *to, const char *s, size_t n);
/* Moves *s and *n past blanks at both ends. */
void sqn_python_strip(const char **s, size_t *n);

void sqn_python_put_bytes(sqn_buf *to, const char *s, size_t n); /* b'…' */
void sqn_python_put_repr(sqn_buf *to, const char *s, size_t n);  /* '…', of a str */
void sqn_python_put_float(sqn_buf *to, double x);                /* repr */

/* ^[\w.-]+@[\w.-]+\.\w+$ */
bool sqn_python_is_email(const char *s, size_t n);

#endif
