/* A double as the shortest decimal that reads back as the same double, printed as Python's repr
 * prints it. */
#ifndef SQN_CORE_FLOAT_TEXT_H
#define SQN_CORE_FLOAT_TEXT_H

#include <stddef.h>

#include <stdint.h>

enum { SQN_FLOAT_TEXT = 32 }; /* room that any result fits */

/* "1.0", "0.1", "1e+16", "1e-05", "-0.0", "inf", "-inf", "nan". Gives the length. */
size_t sqn_float_text(char out[SQN_FLOAT_TEXT], double x);
/* "-12"; several times faster than printf. */
size_t sqn_integer_text(char out[SQN_FLOAT_TEXT], int64_t x);

#endif
