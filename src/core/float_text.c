/* Shortest decimal of a double: see float_text.h. */
#include "core/float_text.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Adds one to the last digit of "d.ddde±x". A carry out of the first digit gives up. */
static bool bump(char *text) {
    char *p = strchr(text, 'e');
    while (p > text) {
        p--;
        if (*p == '.') continue;
        if (*p != '9') {
            ++*p;
            return true;
        }
        *p = '0';
    }
    return false;
}

/* Scientific form with the fewest digits that read back as x > 0. printf rounds correctly at each
 * precision, which finds it; only below a power of two, where the gap to the next double is half as
 * wide, may the decimal above be the one that works. */
static void shortest(char out[SQN_FLOAT_TEXT], double x) {
    int exponent;
    bool power_of_two = frexp(x, &exponent) == 0.5;
    /* 15 digits survive the way there and back, so a shorter form shows as trailing zeros there;
     * not for subnormal numbers. */
    for (int digits = x < DBL_MIN ? 1 : 15; digits <= 17; digits++) {
        snprintf(out, SQN_FLOAT_TEXT, "%.*e", digits - 1, x);
        if (strtod(out, NULL) == x) return;
        if (power_of_two && bump(out) && strtod(out, NULL) == x) return;
    }
}

/* The digits of x > 0 where nine decimals say it exactly: most numbers that people and clocks make.
 * A decimal of at most 15 digits that reads back as x has no shorter one beside it. */
static bool few_decimals(char digits[20], int *count, int *exponent, double x) {
    double scaled = nearbyint(x * 1e9);
    if (!(scaled >= 1 && scaled < 1e15) || scaled / 1e9 != x) return false;
    char text[SQN_FLOAT_TEXT];
    *count = (int)sqn_integer_text(text, (int64_t)scaled);
    memcpy(digits, text, (size_t)*count);
    *exponent = *count - 10;
    return true;
}

size_t sqn_integer_text(char out[SQN_FLOAT_TEXT], int64_t x) {
    uint64_t left = x < 0 ? 0 - (uint64_t)x : (uint64_t)x;
    char *end = out + SQN_FLOAT_TEXT, *at = end;
    do *--at = (char)('0' + left % 10);
    while ((left /= 10) > 0);
    if (x < 0) *--at = '-';
    memmove(out, at, (size_t)(end - at));
    return (size_t)(end - at);
}

size_t sqn_float_text(char out[SQN_FLOAT_TEXT], double x) {
    if (isnan(x)) return (size_t)snprintf(out, SQN_FLOAT_TEXT, "nan");
    if (isinf(x)) return (size_t)snprintf(out, SQN_FLOAT_TEXT, x < 0 ? "-inf" : "inf");
    const char *sign = signbit(x) ? "-" : "";
    if (x == 0) return (size_t)snprintf(out, SQN_FLOAT_TEXT, "%s0.0", sign);
    char text[SQN_FLOAT_TEXT], digits[20];
    int count = 0, exponent;
    if (!few_decimals(digits, &count, &exponent, fabs(x))) {
        shortest(text, fabs(x));
        exponent = atoi(strchr(text, 'e') + 1);
        for (const char *p = text; *p != 'e'; p++)
            if (*p != '.') digits[count++] = *p;
    }
    while (count > 1 && digits[count - 1] == '0') count--;
    digits[count] = '\0';
    if (exponent < -4 || exponent >= 16)
        return (size_t)snprintf(out, SQN_FLOAT_TEXT, "%s%c%s%se%c%02d", sign, digits[0],
                                count > 1 ? "." : "", digits + 1, exponent < 0 ? '-' : '+',
                                abs(exponent));
    if (exponent < 0)
        return (size_t)snprintf(out, SQN_FLOAT_TEXT, "%s0.%.*s%s", sign, -exponent - 1, "000",
                                digits);
    if (count <= exponent + 1)
        return (size_t)snprintf(out, SQN_FLOAT_TEXT, "%s%s%.*s.0", sign, digits,
                                exponent + 1 - count, "000000000000000");
    return (size_t)snprintf(out, SQN_FLOAT_TEXT, "%s%.*s.%s", sign, exponent + 1, digits,
                            digits + exponent + 1);
}
