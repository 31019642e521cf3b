/* 8-bit codes of optimiser states: 256 values between -1 and 1 (signed) or 0 and 1 (unsigned),
 * times a scale per block.
 *
 * The values are those of dynamic quantisation (Dettmers et al., 2021): 0, 1, and seven decades
 * [10^(i-7), 10^(i-6)), i = 0 … 6, each divided into 2^i (signed, either sign) or 2^(i+1) equal
 * parts of which the middle is the value. Codes count the values in rising order. A number takes
 * the nearest value; of two equally near ones the smaller in magnitude.
 */
#ifndef SQN_CPU_STATE8_H
#define SQN_CPU_STATE8_H

#include <math.h>
#include <pthread.h>
#include <stdint.h>

static float state8_signed[256], state8_unsigned[256];
static pthread_once_t state8_made = PTHREAD_ONCE_INIT;

static void state8_make(void) {
    double unit = 1e-6;
    for (int i = 0; i < 7; i++, unit *= 10) {
        const int parts = 2 << i, half = 1 << i;
        for (int k = 0; k < parts; k++)
            state8_unsigned[parts - 1 + k] = (float)(unit * (0.1 + 0.9 * (k + 0.5) / parts));
        for (int k = 0; k < half; k++) {
            float v = (float)(unit * (0.1 + 0.9 * (k + 0.5) / half));
            state8_signed[127 + half + k] = v;
            state8_signed[127 - half - k] = -v;
        }
    }
    state8_unsigned[0] = state8_signed[127] = 0;
    state8_unsigned[255] = state8_signed[255] = 1;
}

/* Place of the value nearest to x in [0, 1] among the codes from `zero` on: `values[zero]` is 0. */
static inline int state8_nearest(float x, const float *values, int zero, int is_signed) {
    int decade =
        (x >= 1e-6f) + (x >= 1e-5f) + (x >= 1e-4f) + (x >= 1e-3f) + (x >= 1e-2f) + (x >= 1e-1f);
    static const float up[7] = {1e6f, 1e5f, 1e4f, 1e3f, 1e2f, 1e1f, 1e0f};
    int parts = (is_signed ? 1 : 2) << decade;
    float part = (x * up[decade] - 0.1f) * (1.0f / 0.9f) * (float)parts;
    int k = part > 0 ? (int)part : 0,
        code = zero + parts - (is_signed ? 0 : 1) + (k < parts ? k : parts);
    if (code > 255) code = 255;
    /* At the ends of a decade a neighbour may be nearer. */
    while (code < 255 && values[code + 1] - x < x - values[code]) code++;
    while (code > zero && x - values[code - 1] <= values[code] - x) code--;
    return code;
}

/* Codes of n numbers; gives their scale, the largest magnitude. */
static inline float state8_encode(const float *x, int64_t n, const float *values, int is_signed,
                                  uint8_t *codes) {
    float scale = 0;
    for (int64_t i = 0; i < n; i++) scale = fabsf(x[i]) > scale ? fabsf(x[i]) : scale;
    const float inverse = scale > 0 ? 1.0f / scale : 0;
    for (int64_t i = 0; i < n; i++) {
        float share = fabsf(x[i]) * inverse;
        if (!(share <= 1)) share = 1; /* also what is not a number */
        int code = state8_nearest(share, values, is_signed ? 127 : 0, is_signed);
        if (is_signed && x[i] < 0) code = code == 255 ? 0 : 254 - code; /* there is no -1 */
        codes[i] = (uint8_t)code;
    }
    return scale;
}

#endif
