/* The seam between operators and their arithmetic: one argument struct per kernel, the same for
 * every device.
 *
 * Rules: a kernel sees raw pointers and sizes, never tensors. Unless a field says otherwise,
 * buffers are contiguous, row-major and do not overlap; `dtype` is F32, BF16 or F64; accumulation
 * is f32 for F32 and BF16, f64 for F64 ("accumulator type"). Results do not depend on the number of
 * threads. A kernel returns SQN_OK, SQN_MISUSE (a dtype it does not do) or SQN_NOMEM; the caller
 * words the message. Zero sizes are legal and do nothing.
 */
#ifndef SQN_KERNELS_H
#define SQN_KERNELS_H

#include <stdint.h>

#include "core/dtype.h"
#include "core/err.h"

#define SQN_MAX_DIMS 6

typedef uint16_t sqn_bf16;

/* ---- elementwise (map.c, zip.c, copy.c, random.c) ---- */

/* y = f(x); alpha and beta are parameters of the function. */
typedef enum sqn_map {
    SQN_MAP_NEG,
    SQN_MAP_EXP,
    SQN_MAP_LOG,
    SQN_MAP_SQRT,
    SQN_MAP_RSQRT,
    SQN_MAP_ABS,
    SQN_MAP_SIGMOID,
    SQN_MAP_SILU,
    SQN_MAP_TANH,
    SQN_MAP_RELU,
    SQN_MAP_GELU,
    SQN_MAP_COS,
    SQN_MAP_SIN,
    SQN_MAP_SQUARE,
    SQN_MAP_POW,
    SQN_MAP_AFFINE,
    SQN_MAP_COUNT
} sqn_map;
typedef struct sqn_k_map {
    sqn_map op;
    sqn_dtype dtype;
    int64_t n;
    const void *x;
    void *y;
    double alpha, beta;   /* POW: x^alpha; AFFINE: alpha x + beta */
    const void *alpha_at; /* one number of the accumulator type that alpha is multiplied by; NULL */
} sqn_k_map;
typedef struct sqn_k_map_grad { /* dx = dy * f'(x); y = f(x) */
    sqn_map op;
    sqn_dtype dtype;
    int64_t n;
    const void *x, *y, *dy;
    void *dx;
    double alpha, beta;
} sqn_k_map_grad;

typedef enum sqn_zip {
    SQN_ZIP_ADD,
    SQN_ZIP_SUB,
    SQN_ZIP_MUL,
    SQN_ZIP_DIV,
    SQN_ZIP_MAXIMUM,
    SQN_ZIP_MINIMUM,
    SQN_ZIP_EQ,
    SQN_ZIP_NE,
    SQN_ZIP_LT,
    SQN_ZIP_LE,
    SQN_ZIP_COUNT
} sqn_zip;
typedef struct sqn_k_zip { /* y = f(a, b) with broadcasting: a stride of 0 repeats; y contiguous;
                              EQ…LE write u8 */
    sqn_zip op;
    sqn_dtype dtype; /* also I64, I32, U8 */
    int ndim;
    int64_t shape[SQN_MAX_DIMS], a_stride[SQN_MAX_DIMS], b_stride[SQN_MAX_DIMS]; /* in elements */
    const void *a, *b;
    void *y;
} sqn_k_zip;
typedef struct sqn_k_copy { /* strided copy with conversion; rounds to nearest even */
    sqn_dtype from, to;     /* every dtype */
    int ndim;
    int64_t shape[SQN_MAX_DIMS], x_stride[SQN_MAX_DIMS], y_stride[SQN_MAX_DIMS];
    const void *x;
    void *y;
    int add; /* y += x instead (float types) */
} sqn_k_copy;
typedef struct sqn_k_random { /* element i uses counter offset + i/4 of Philox 4x32-10 keyed (seed,
                                 stream) */
    sqn_dtype dtype;
    int64_t n;
    void *y;
    uint64_t seed, stream, offset;
    int normal; /* 0: uniform [a, b); 1: normal(mean a, deviation b), Box-Muller */
    double a, b;
} sqn_k_random;
typedef struct sqn_k_dropout { /* y = keep(i) ? x / (1-p) : 0; the same call with dy gives dx */
    sqn_dtype dtype;
    int64_t n;
    const void *x;
    void *y;
    double p;
    uint64_t seed, stream, offset;
} sqn_k_dropout;

/* ---- reductions and rows (reduce.c, softmax.c, rows.c, topk.c, eigh.c) ---- */

typedef enum sqn_reduce {
    SQN_REDUCE_SUM,
    SQN_REDUCE_MAX,
    SQN_REDUCE_MIN,
    SQN_REDUCE_ARGMAX
} sqn_reduce;
typedef struct sqn_k_reduce { /* x [outer, n, inner] -> y [outer, inner]; ARGMAX writes i64, first
                                 of equals */
    sqn_reduce op;
    sqn_dtype dtype;
    int64_t outer, n, inner;
    const void *x;
    void *y;
    double scale; /* SUM: the result is multiplied by it (mean) */
    int wide;     /* SUM: y is of the accumulator type */
    int add;      /* SUM: y += instead */
} sqn_k_reduce;
typedef struct sqn_k_softmax { /* over the last dimension; x and y [rows, n] */
    sqn_dtype dtype;
    int64_t rows, n;
    const void *x;
    void *y;
    int log;
} sqn_k_softmax;
typedef struct sqn_k_softmax_grad {
    sqn_dtype dtype;
    int64_t rows, n;
    const void *y, *dy;
    void *dx;
    int log;
} sqn_k_softmax_grad;
typedef struct sqn_k_gather_rows { /* y[i, :] = x[index[i], :]; 0 where there is no such row */
    int64_t rows, row_bytes, x_rows;
    const void *x;
    const int64_t *index;
    void *y;
} sqn_k_gather_rows;
typedef struct sqn_k_scatter_rows { /* y[index[i], :] (+)= x[i, :]; i without such a row is passed
                                       over; equal indexes: the last is set, and the sum has an
                                       order that depends on the sizes alone */
    sqn_dtype dtype, y_dtype;       /* also I64; y_dtype is dtype or, for BF16, F32 */
    int64_t rows, n, y_rows;
    const void *x;
    const int64_t *index;
    void *y;
    int add;
} sqn_k_scatter_rows;
typedef struct sqn_k_topk { /* the k largest of each row, falling; equal values by rising index */
    sqn_dtype dtype;
    int64_t rows, n, k;
    const void *x;
    void *values;     /* [rows, k] */
    int64_t *indexes; /* [rows, k] */
} sqn_k_topk;
typedef struct sqn_k_topk_grad { /* dx = 0, but dvalues at indexes */
    sqn_dtype dtype;
    int64_t rows, n, k;
    const void *dvalues;    /* [rows, k] */
    const int64_t *indexes; /* [rows, k], different within a row */
    void *dx;               /* [rows, n] */
} sqn_k_topk_grad;
typedef struct sqn_k_eigh { /* x = V diag(values) V^T for a symmetric f64 matrix; values fall;
                               SQN_MISUSE: not finite */
    int64_t n;
    double *x;       /* [n, n], overwritten */
    double *values;  /* [n] */
    double *vectors; /* [n, n], a column each */
} sqn_k_eigh;
typedef struct sqn_k_sample { /* spec/models.md 14: penalty, temperature, top-k, top-p, softmax, one
                                 draw a row */
    sqn_dtype dtype;
    int64_t rows, n;
    const void *logits;        /* [rows, n] */
    const int64_t *seen;       /* ids in the context, row after row, -1: none; may be NULL */
    const int64_t *seen_start; /* [rows + 1] */
    double repetition_penalty, temperature, top_p; /* temperature 0: greedy */
    int64_t top_k;                                 /* 0: all */
    uint64_t seed;
    const int64_t *streams; /* [rows]: random stream of each row; offset counts the row's tokens */
    const int64_t *offsets; /* [rows] */
    int64_t *ids;           /* [rows] */
    float *probabilities;   /* [rows, n] or NULL: the distribution drawn from */
} sqn_k_sample;

/* ---- products (matmul.c) ---- */

typedef struct sqn_k_matmul { /* C[m, n] (+)= op(A)[m, k] op(B)[k, n] (+ bias[n]), for each of
                                 `batch` matrices */
    sqn_dtype dtype;          /* of A, B and bias */
    sqn_dtype c_dtype;        /* dtype, or F32 for BF16 */
    int64_t batch, m, n, k;
    const void *a, *b;
    const void *bias; /* may be NULL */
    void *c;
    int trans_a, trans_b;  /* A is stored [k, m]; B is stored [n, k] */
    int64_t lda, ldb, ldc; /* elements between rows as stored; at least the row's length */
    int64_t a_batch, b_batch, c_batch; /* elements between matrices; 0 repeats (A and B only) */
    int accumulate;
} sqn_k_matmul;

/* The products of a low-rank correction (lora.c) of x [rows, width] by u [rows, rank] and
 * w [rank, width], one of which is made from the other two. */
typedef enum sqn_lora_make {
    SQN_LORA_U, /* u = alpha drop(x) w^T */
    SQN_LORA_X, /* x (+)= drop(u w) */
    SQN_LORA_W  /* w (+)= u^T drop(x) */
} sqn_lora_make;
typedef struct sqn_k_lora {
    sqn_lora_make make;
    sqn_dtype dtype;   /* of x */
    sqn_dtype u_dtype; /* dtype or, for BF16, F32 */
    sqn_dtype w_dtype; /* u_dtype or, if it is made, F32 for BF16 */
    int64_t rows, width, rank;
    void *x, *u, *w; /* written is only what is made */
    int w_columns;   /* w is stored [width, rank] */
    int accumulate;
    double alpha, p; /* p: share of x that is dropped, in f32 for BF16; 0: none */
    uint64_t seed, stream, offset;
    const struct sqn_k_lora *beside; /* one more to make, a w of the same rank; on the host; NULL */
} sqn_k_lora;

/* ---- mixtures of LoRA experts (moe.c) ---- */

typedef struct sqn_k_moe_group { /* places by expert: a stable counting sort */
    int64_t places, experts;
    const int64_t *ids; /* [places] in [0, experts), or -1: no expert */
    int64_t *order;     /* [places]: by expert, rising; behind start[experts]: those without */
    int64_t *start;     /* [experts + 1]: where each expert's places begin in order */
} sqn_k_moe_group;
/* total[t] = base[t] + scale sum_s weights[t, s] drop(x[t]) A_e^T B_e^T with e the expert of place
 * t slots + s, added in the accumulator type and rounded once. A dropped x has a mask of its own at
 * each place: element i takes counter offset + place ceil(in/4) + i/4. Masked x, values that go
 * through B^T, and on cards the terms of 16-bit types are rounded to dtype. */
typedef struct sqn_k_moe_lora {
    sqn_dtype dtype;
    int64_t tokens, slots, experts, in, out, rank;
    const void *x;                /* [tokens, in] */
    const void *a;                /* [experts, rank, in] */
    const void *b;                /* [experts, out, rank] */
    const void *weights;          /* [tokens, slots] */
    const int64_t *order, *start; /* of moe_group */
    double scale, p;              /* p: share of x that is dropped, 0: none */
    uint64_t seed, stream, offset;
    void *h; /* [start[experts], rank] accumulator type: x A^T in order; the gradient reads it */
    const void *base; /* [tokens, out] or NULL: 0 */
    void *total;      /* [tokens, out] */
} sqn_k_moe_lora;
typedef struct sqn_k_moe_lora_grad {
    sqn_k_moe_lora forward; /* without base and total */
    const void *dy;         /* [tokens, out] */
    /* Shapes of x, weights, a, b; NULL: not wanted. */
    void *dx, *dweights; /* dtype: set, rounded once */
    void *da, *db;       /* accumulator type: added to */
    int set_a, set_b;    /* da, db hold nothing yet: set, not added to */
} sqn_k_moe_lora_grad;

/* ---- fused parts of a decoder layer ---- */

typedef struct sqn_k_rms_norm { /* h = x (+ residual); y = h * rsqrt(mean(h^2) + eps), rounded to
                                   dtype, * weight */
    sqn_dtype dtype;
    int64_t rows, n;
    const void *x, *residual /* may be NULL */, *weight;
    void *h /* [rows, n], only with residual */, *y;
    void *inv; /* [rows] accumulator type: rsqrt(…), kept for backward; may be NULL */
    double eps;
} sqn_k_rms_norm;
typedef struct sqn_k_rms_norm_grad {
    sqn_dtype dtype;
    int64_t rows, n;
    const void *h, *weight, *inv, *dy, *dh /* gradient that came in for h; may be NULL */;
    void *dx;      /* gradient of x and of residual alike */
    void *dweight; /* [n] accumulator type; may be NULL */
    int add;       /* dweight += */
} sqn_k_rms_norm_grad;
typedef struct sqn_k_rope { /* rotates pairs (i, i + dim/2) of each head: y = x cos + rot(x) sin */
    sqn_dtype dtype;
    int64_t tokens, dim;
    int64_t heads[2];          /* of two tensors that are rotated alike; may be 0 */
    const void *x[2];          /* [tokens, heads, dim] */
    void *y[2];                /* may be x */
    const void *cosine, *sine; /* [table rows, dim/2] in the accumulator type, already rounded to
                                  dtype's precision */
    const int64_t *positions;  /* [tokens], rows of the tables */
    int backward;              /* 1: the inverse rotation */
} sqn_k_rope;
typedef struct sqn_k_swiglu { /* y = silu(gate) * up */
    sqn_dtype dtype;
    int64_t n;
    const void *gate, *up;
    void *y;
} sqn_k_swiglu;
typedef struct sqn_k_swiglu_grad {
    sqn_dtype dtype;
    int64_t n;
    const void *gate, *up, *dy;
    void *dgate, *dup;
} sqn_k_swiglu_grad;

/* Segment s has queries q_start[s] .. q_start[s+1] and keys k_row[s] .. k_row[s] + k_len[s] of the
 * key and value arrays. The last query stands at the last key: query i of a segment of Q queries is
 * at position p = k_len - Q + i and, if causal, reads keys j with p - window < j <= p (window 0: no
 * limit). Training: k_row = q_start. Decoding: rows of a cache, or its pages: key j of segment s is
 * row j % page_rows of page pages[s, j / page_rows] then. */
typedef struct sqn_k_attention {
    sqn_dtype dtype;
    int64_t segments, heads, kv_heads, dim;
    int64_t queries, keys; /* rows of q and of k */
    const int64_t *q_start /* [segments + 1] */, *k_row, *k_len /* [segments] */;
    const void *q;     /* [queries, heads, dim] */
    const void *k, *v; /* [keys, kv_heads, dim] */
    void *out;         /* [queries, heads, dim] */
    void *lse; /* [queries, heads] accumulator type: log of the sum of exponentials; may be NULL */
    double scale;
    int64_t window;
    int causal;
    const int64_t *pages; /* [segments, most_pages], k_row is not read; NULL: there are none */
    int64_t most_pages, page_rows;
} sqn_k_attention;
typedef struct sqn_k_attention_grad {
    sqn_dtype dtype;
    int64_t segments, heads, kv_heads, dim;
    int64_t queries, keys; /* rows of q and of k */
    const int64_t *q_start, *k_row, *k_len;
    const void *q, *k, *v, *out, *lse, *dout;
    void *dq, *dk,
        *dv; /* shapes of q, k, v; overwritten; keys of no segment are set to 0 by the caller */
    double scale;
    int64_t window;
    int causal;
} sqn_k_attention_grad;

/* One chunk of a language-model head's loss. labels are in [0, vocab). */
typedef struct sqn_k_cross_entropy {
    sqn_dtype dtype; /* of dlogits; logits are in its accumulator type */
    int64_t rows, vocab;
    const void *logits;    /* [rows, vocab] */
    const int64_t *labels; /* [rows] */
    double *losses; /* [rows]: (1 - smoothing) (lse - logit of the label) + smoothing (lse - mean of
                       the logits) + z_loss lse^2, lse = log sum exp */
    void *dlogits;  /* [rows, vocab] its gradient; may be logits when the types agree; NULL: not
                       wanted */
    double smoothing, z_loss;
} sqn_k_cross_entropy;

/* ---- optimiser (adamw.c) ---- */

typedef struct sqn_k_adamw_tensor { /* one of the tensors of a step */
    int64_t n;
    void *param;
    void *master; /* f32 copy that is updated and then rounded into param; NULL: param itself is
                     updated */
    const void *grad;
    void *m, *v; /* accumulator type, or u8 codes if m_scale is set: docs/formats.md */
    float *m_scale,
        *v_scale;    /* [ceil(n / SQN_STATE_BLOCK)] largest magnitude of each block; NULL */
    uint64_t stream; /* of stochastic rounding */
} sqn_k_adamw_tensor;
typedef struct sqn_k_adamw { /* torch.optim.AdamW of `count` tensors: decay first, eps after the
                                bias correction */
    sqn_dtype dtype;         /* of every param */
    sqn_dtype grad_dtype;    /* dtype, or F32 for BF16 */
    int64_t count, step;     /* step counts from 1 */
    const sqn_k_adamw_tensor *tensors; /* on the host; all or none have a master, and scales */
    double lr, beta1, beta2, eps, weight_decay, grad_scale;
    const double *grad_scale_at; /* one number that grad_scale is multiplied by; where the product
                                    is not finite nothing is changed; NULL */
    int stochastic; /* BF16 without master: round up or down at random, right in the mean; element i
                       takes 16 bits of counter offset + i/8 of Philox keyed (seed, stream) */
    uint64_t seed, offset;
} sqn_k_adamw;
#define SQN_STATE_BLOCK 256 /* elements that share a scale in 8-bit states */
typedef struct sqn_k_norms_tensor {
    sqn_dtype dtype;
    int64_t n;
    const void *x;
} sqn_k_norms_tensor;
typedef struct sqn_k_norms { /* 2-norms in f64, in a fixed order */
    int64_t count, groups;
    const sqn_k_norms_tensor *tensors; /* on the host; group after group */
    const int64_t *start; /* on the host; [groups + 1]: where each group's tensors begin */
    double max;           /* 0: no limit */
    double *norms;        /* [1 + groups]: of all tensors, of each group's */
    double *factor; /* what brings the first norm to max, at most 1; NaN where that norm is not
                       finite; NULL: not wanted */
} sqn_k_norms;

/* KERNEL(name): sqn_<device>_<name>(const sqn_k_<name> *, void *stream); the file is
 * kernels/<device>/<family>. */
// clang-format off
#define SQN_KERNELS(KERNEL) \
    KERNEL(map) KERNEL(map_grad) KERNEL(zip) KERNEL(copy) KERNEL(random) KERNEL(dropout) \
    KERNEL(reduce) KERNEL(softmax) KERNEL(softmax_grad) KERNEL(gather_rows) \
    KERNEL(scatter_rows) KERNEL(topk) KERNEL(topk_grad) KERNEL(eigh) KERNEL(sample) KERNEL(matmul) KERNEL(lora) KERNEL(rms_norm) \
    KERNEL(rms_norm_grad) KERNEL(rope) KERNEL(swiglu) KERNEL(swiglu_grad) KERNEL(attention) \
    KERNEL(attention_grad) KERNEL(cross_entropy) KERNEL(adamw) KERNEL(norms) \
    KERNEL(moe_group) KERNEL(moe_lora) KERNEL(moe_lora_grad)
// clang-format on

typedef struct sqn_kernel_table {
#define KERNEL(name) sqn_status (*name)(const sqn_k_##name *args, void *stream);
    SQN_KERNELS(KERNEL)
#undef KERNEL
} sqn_kernel_table;

#define KERNEL(name) sqn_status sqn_cpu_##name(const sqn_k_##name *args, void *stream);
SQN_KERNELS(KERNEL)
#undef KERNEL
extern const sqn_kernel_table sqn_cpu_kernels;

#endif
