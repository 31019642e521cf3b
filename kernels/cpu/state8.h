/* 8-bit codes of optimiser states: 256 values between -1 and 1 (signed) or 0 and 1 (unsigned),
 * times a scale per block.
 *
 * The values are those of dynamic quantisation (Dettmers et al., 2021): 0, 1, and seven decades
 * [10^(i-7), 10^(i-6)), i = 0 … 6, each divided into 2^i (signed, either sign) or 2^(i+1) equal
 * parts of which the middle is the value. Codes count the values in rising order. A number takes
 * the nearest value; of two equally near ones the smaller in magnitude.
 *
 * To encode, the upper 16 bits of a magnitude (its exponent and 7 bits of mantissa) look up the
 * code of the least number that has them; among numbers that share these bits at most one more code
 * begins.
 */
#ifndef SQN_CPU_STATE8_H
#define SQN_CPU_STATE8_H

#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

enum {
    STATE8_FIRST = 103 << 7, /* upper bits of 2^-24: below that all is 0 */
    STATE8_STARTS = (127 << 7) - STATE8_FIRST + 1,
};

typedef struct state8 {
    float value[256], middle[256]; /* middle: between this value and the next */
    int zero;                      /* code of 0 */
    int32_t start[STATE8_STARTS];  /* 32 bits: the loop over them vectorises */
} state8;

static state8 state8_signed = {.zero = 127}, state8_unsigned = {.zero = 0};
static pthread_once_t state8_made = PTHREAD_ONCE_INIT;

static void state8_finish(state8 *s) {
    s->value[s->zero] = 0;
    s->value[255] = 1;
    for (int c = s->zero; c < 255; c++) s->middle[c] = 0.5f * (s->value[c] + s->value[c + 1]);
    s->middle[255] = INFINITY;
    int code = s->zero;
    for (uint32_t b = 0; b < STATE8_STARTS; b++) {
        uint32_t bits = (b + STATE8_FIRST) << 16;
        float least;
        memcpy(&least, &bits, sizeof least);
        while (least > s->middle[code]) code++;
        s->start[b] = b ? code : s->zero;
    }
}

static void state8_make(void) {
    double unit = 1e-6;
    for (int i = 0; i < 7; i++, unit *= 10) {
        const int parts = 2 << i, half = 1 << i;
        for (int k = 0; k < parts; k++)
            state8_unsigned.value[parts - 1 + k] = (float)(unit * (0.1 + 0.9 * (k + 0.5) / parts));
        for (int k = 0; k < half; k++) {
            float v = (float)(unit * (0.1 + 0.9 * (k + 0.5) / half));
            state8_signed.value[127 + half + k] = v;
            state8_signed.value[127 - half - k] = -v;
        }
    }
    state8_finish(&state8_unsigned);
    state8_finish(&state8_signed);
}

/* Codes of n numbers; gives their scale, the largest magnitude. */
static inline float state8_encode(const float *x, int64_t n, const state8 *s, uint8_t *codes) {
    float scale = 0;
#pragma omp simd reduction(max : scale)
    for (int64_t i = 0; i < n; i++) scale = fabsf(x[i]) > scale ? fabsf(x[i]) : scale;
    const float inverse = scale > 0 ? 1.0f / scale : 0;
    const int mirror = 2 * s->zero; /* of a code's negative; there is no -1 */
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float share = fabsf(x[i]) * inverse;
        share = share < 1 ? share : 1; /* also what is not a number */
        uint32_t bits;
        memcpy(&bits, &share, sizeof bits);
        int b = (int)(bits >> 16) - STATE8_FIRST, code = s->start[b < 0 ? 0 : b];
        code += share > s->middle[code];
        int below = mirror - code < 0 ? 0 : mirror - code;
        codes[i] = (uint8_t)(mirror && x[i] < 0 ? below : code);
    }
    return scale;
}

#endif
