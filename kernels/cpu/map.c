/* Functions of one tensor, forward and backward. Memory-bound but for the transcendental ones. */
#include <math.h>

/* The libm function of the accumulator type: NAME_A(exp) is expf for f32 and bf16. */
#define exp_f32 expf
#define exp_bf16 expf
#define exp_f64 exp
#define log_f32 logf
#define log_bf16 logf
#define log_f64 log
#define tanh_f32 tanhf
#define tanh_bf16 tanhf
#define tanh_f64 tanh
#define erf_f32 erff
#define erf_bf16 erff
#define erf_f64 erf
#define pow_f32 powf
#define pow_bf16 powf
#define pow_f64 pow
#define cos_f32 cosf
#define cos_bf16 cosf
#define cos_f64 cos
#define sin_f32 sinf
#define sin_bf16 sinf
#define sin_f64 sin
#define NAME_A(f) NAME(f)

#define EACH_FLOAT "kernels/cpu/map.inc"
#include "kernels/cpu/each_float.h"

sqn_status sqn_cpu_map(const sqn_k_map *a, void *stream) {
    (void)stream;
    BY_FLOAT(a->dtype, forward, a)
}

sqn_status sqn_cpu_map_grad(const sqn_k_map_grad *a, void *stream) {
    (void)stream;
    BY_FLOAT(a->dtype, backward, a)
}
