/* Products by cuBLASLt: one handle and workspace for each thread and card, the library's choice
 * kept by shape. The library (half a gigabyte) is opened with the first product.
 *
 * Rules: the choice for a shape and its pointers' alignments is made once and stays, so that the
 * same call gives the same bits. f32 is computed in f32, in TF32 only where that was allowed; the
 * parts of a sum are added as they were computed, not as C is stored. What the library cannot do is
 * SQN_NOTFOUND; a library that fails is SQN_IO.
 */
#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <stdio.h>
#include <string.h>

#include "core/library.h"
#include "cuda/fault.h"
#include "cuda/thread.h"
#include "kernels/cuda/host.h"

// clang-format off
#define CALLS(CALL) \
    CALL(cublasLtCreate) CALL(cublasLtDestroy) CALL(cublasLtMatmul) CALL(cublasLtMatmulAlgoGetHeuristic) \
    CALL(cublasLtMatmulDescCreate) CALL(cublasLtMatmulDescDestroy) \
    CALL(cublasLtMatmulDescSetAttribute) CALL(cublasLtMatmulPreferenceCreate) \
    CALL(cublasLtMatmulPreferenceDestroy) CALL(cublasLtMatmulPreferenceSetAttribute) \
    CALL(cublasLtMatrixLayoutCreate) CALL(cublasLtMatrixLayoutDestroy) \
    CALL(cublasLtMatrixLayoutSetAttribute)
// clang-format on
#define TEXT(x) #x
#define SONAME(major) "libcublasLt.so." TEXT(major)
SQN_LIBRARY(lt, SONAME(CUBLAS_VER_MAJOR), CALLS);

enum { KEPT = 512, WORKSPACE = 32 << 20, MOST_CARDS = 64 };

typedef struct choice {
    sqn_gemm key; /* without pointers: their alignments instead */
    int card, tf32;
    cublasLtMatmulAlgo_t algo;
    int found; /* 0: free, 1: an algorithm, -1: there is none */
} choice;

static __thread struct {
    cublasLtHandle_t handle;
    void *workspace;
} on[MOST_CARDS];
static __thread choice kept[KEPT];
static int tf32_allowed; /* atomic */

void sqn_cuda_allow_tf32(int allowed) {
    __atomic_store_n(&tf32_allowed, allowed, __ATOMIC_RELAXED);
}

static cudaDataType_t type_of(sqn_dtype t) {
    return t == SQN_F32    ? CUDA_R_32F
           : t == SQN_BF16 ? CUDA_R_16BF
           : t == SQN_F16  ? CUDA_R_16F
                           : CUDA_R_64F;
}

static uint32_t alignment(const void *p) { /* what algorithms care for: up to 16 */
    uint32_t n = 1;
    while (n < 16 && ((uintptr_t)p & n) == 0) n *= 2;
    return n;
}

typedef struct descriptors {
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t a, b, c;
} descriptors;

static void close_descriptors(descriptors *d) {
    if (d->a) lt.cublasLtMatrixLayoutDestroy(d->a);
    if (d->b) lt.cublasLtMatrixLayoutDestroy(d->b);
    if (d->c) lt.cublasLtMatrixLayoutDestroy(d->c);
    if (d->desc) lt.cublasLtMatmulDescDestroy(d->desc);
}

static int layout(cublasLtMatrixLayout_t *l, sqn_dtype t, int64_t rows, int64_t cols, int64_t ld,
                  int64_t batch, int64_t stride) {
    int32_t count = (int32_t)batch;
    if (lt.cublasLtMatrixLayoutCreate(l, type_of(t), (uint64_t)rows, (uint64_t)cols, ld) !=
        CUBLAS_STATUS_SUCCESS)
        return 0;
    return lt.cublasLtMatrixLayoutSetAttribute(*l, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count,
                                               sizeof count) == CUBLAS_STATUS_SUCCESS &&
           lt.cublasLtMatrixLayoutSetAttribute(*l, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                               &stride, sizeof stride) == CUBLAS_STATUS_SUCCESS;
}

static int describe(descriptors *d, const sqn_gemm *g, int tf32) {
    cublasOperation_t ta = g->trans_a ? CUBLAS_OP_T : CUBLAS_OP_N,
                      tb = g->trans_b ? CUBLAS_OP_T : CUBLAS_OP_N;
    const int wide = g->dtype == SQN_F64;
    cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    cudaDataType_t bias_type = type_of(g->c_dtype);
    const cublasComputeType_t compute = wide   ? CUBLAS_COMPUTE_64F
                                        : tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32
                                               : CUBLAS_COMPUTE_32F;
    if (lt.cublasLtMatmulDescCreate(&d->desc, compute, wide ? CUDA_R_64F : CUDA_R_32F) !=
        CUBLAS_STATUS_SUCCESS)
        return 0;
#define SET(name, value)                                                               \
    (lt.cublasLtMatmulDescSetAttribute(d->desc, CUBLASLT_MATMUL_DESC_##name, &(value), \
                                       sizeof(value)) == CUBLAS_STATUS_SUCCESS)
    if (!SET(TRANSA, ta) || !SET(TRANSB, tb)) return 0;
    if (g->bias && (!SET(EPILOGUE, epilogue) || !SET(BIAS_POINTER, g->bias) ||
                    !SET(BIAS_DATA_TYPE, bias_type)))
        return 0;
#undef SET
    return layout(&d->a, g->dtype, g->trans_a ? g->k : g->m, g->trans_a ? g->m : g->k, g->lda,
                  g->batch, g->a_batch) &&
           layout(&d->b, g->dtype, g->trans_b ? g->n : g->k, g->trans_b ? g->k : g->n, g->ldb,
                  g->batch, g->b_batch) &&
           layout(&d->c, g->c_dtype, g->m, g->n, g->ldc, g->batch, g->c_batch);
}

static sqn_gemm key_of(const sqn_gemm *g) {
    sqn_gemm key;
    memset(&key, 0, sizeof key); /* the padding too */
    key.dtype = g->dtype, key.c_dtype = g->c_dtype;
    key.m = g->m, key.n = g->n, key.k = g->k, key.batch = g->batch;
    key.trans_a = g->trans_a, key.trans_b = g->trans_b;
    key.a = (const void *)(uintptr_t)alignment(g->a),
    key.b = (const void *)(uintptr_t)alignment(g->b);
    key.c = (void *)(uintptr_t)alignment(g->c),
    key.bias = g->bias ? (const void *)(uintptr_t)alignment(g->bias) : NULL;
    key.lda = g->lda, key.ldb = g->ldb, key.ldc = g->ldc;
    key.a_batch = g->a_batch, key.b_batch = g->b_batch, key.c_batch = g->c_batch,
    key.beta = g->beta;
    return key;
}

/* The place of this shape's choice; a full table forgets what stands in the way. */
static choice *place_of(const sqn_gemm *key, int card, int tf32) {
    const unsigned char *bytes = (const unsigned char *)key;
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < sizeof *key; i++) hash = (hash ^ bytes[i]) * 0x100000001b3u;
    hash += (uint64_t)(2 * card + tf32) * 0x9e3779b97f4a7c15u;
    choice *home = &kept[hash % KEPT];
    for (int i = 0; i < 8; i++) {
        choice *c = &kept[(hash + (uint64_t)i) % KEPT];
        if (c->found == 0 ||
            (c->card == card && c->tf32 == tf32 && memcmp(&c->key, key, sizeof *key) == 0))
            return c;
    }
    home->found = 0;
    return home;
}

/* Of the algorithms for these alignments (256 bytes, if nothing is said) the first. */
static int choose(cublasLtMatmulAlgo_t *algo, const descriptors *d, const sqn_gemm *g,
                  cublasLtHandle_t handle) {
    cublasLtMatmulPreference_t preference = NULL;
    cublasLtMatmulHeuristicResult_t result;
    const uint64_t most = WORKSPACE;
    const uint32_t a = alignment(g->a), b = alignment(g->b), c = alignment(g->c);
    const uint32_t sums = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    int count = 0;
    if (lt.cublasLtMatmulPreferenceCreate(&preference) != CUBLAS_STATUS_SUCCESS) return 0;
#define SET(name, value)                                                                        \
    (lt.cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_##name, &(value), \
                                             sizeof(value)) == CUBLAS_STATUS_SUCCESS)
    const int found =
        SET(MAX_WORKSPACE_BYTES, most) && SET(REDUCTION_SCHEME_MASK, sums) &&
        SET(MIN_ALIGNMENT_A_BYTES, a) && SET(MIN_ALIGNMENT_B_BYTES, b) &&
        SET(MIN_ALIGNMENT_C_BYTES, c) && SET(MIN_ALIGNMENT_D_BYTES, c) &&
        lt.cublasLtMatmulAlgoGetHeuristic(handle, d->desc, d->a, d->b, d->c, d->c, preference, 1,
                                          &result, &count) == CUBLAS_STATUS_SUCCESS &&
        count > 0 && result.state == CUBLAS_STATUS_SUCCESS;
#undef SET
    if (found) *algo = result.algo;
    lt.cublasLtMatmulPreferenceDestroy(preference);
    return found;
}

static void release(void) {
    for (int card = 0; card < MOST_CARDS; card++) {
        if (on[card].handle == NULL) continue;
        sqn_cuda_verdict(cudaSetDevice(card));
        lt.cublasLtDestroy(on[card].handle);
        sqn_cuda_verdict(cudaFree(on[card].workspace));
        on[card].handle = on[card].workspace = NULL;
    }
}

static sqn_status failed(const char *what, cublasStatus_t status) {
    char words[80];
    snprintf(words, sizeof words, "cuBLASLt: %s: status %d", what, (int)status);
    sqn_cuda_note(words);
    return status == CUBLAS_STATUS_ALLOC_FAILED ? SQN_NOMEM : SQN_IO;
}

static sqn_status ready(int card) {
    sqn_err e = SQN_ERR_INIT;
    sqn_status status = sqn_library_open(&lt_library, &e);
    if (status != SQN_OK) {
        sqn_cuda_note(e.message);
        sqn_err_clear(&e);
        return status;
    }
    if (on[card].handle == NULL) {
        const cublasStatus_t made = lt.cublasLtCreate(&on[card].handle);
        if (made != CUBLAS_STATUS_SUCCESS) {
            on[card].handle = NULL;
            return failed("no handle", made);
        }
        sqn_cuda_at_thread_end(release);
    }
    if (on[card].workspace != NULL) return SQN_OK;
    status = sqn_cuda_verdict(cudaMalloc(&on[card].workspace, WORKSPACE));
    if (status != SQN_OK) on[card].workspace = NULL;
    return status;
}

static sqn_status multiply(const sqn_gemm *g, const descriptors *d, const choice *c, void *stream) {
    const float one = 1, beta = (float)g->beta;
    const double one_wide = 1;
    const int wide = g->dtype == SQN_F64;
    const cublasStatus_t status = lt.cublasLtMatmul(
        on[c->card].handle, d->desc, wide ? (const void *)&one_wide : &one, g->a, d->a, g->b, d->b,
        wide ? (const void *)&g->beta : &beta, g->c, d->c, g->c, d->c, &c->algo,
        on[c->card].workspace, WORKSPACE, stream ? (cudaStream_t)stream : cudaStreamPerThread);
    if (status == CUBLAS_STATUS_SUCCESS) return SQN_OK;
    if (status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE)
        return SQN_NOTFOUND;
    SQN_TRY(sqn_cuda_verdict(cudaGetLastError()));
    return failed("a product", status);
}

sqn_status sqn_cuda_gemm(const sqn_gemm *g, void *stream) {
    descriptors d = {0};
    int card = 0;
    SQN_TRY(sqn_cuda_verdict(cudaGetDevice(&card)));
    if (card >= MOST_CARDS) return SQN_NOTFOUND;
    SQN_TRY(ready(card));
    sqn_status status = SQN_NOTFOUND;
    const int tf32 =
        g->dtype == SQN_F32 && __atomic_load_n(&tf32_allowed, __ATOMIC_RELAXED) ? 1 : 0;
    if (describe(&d, g, tf32)) {
        const sqn_gemm key = key_of(g);
        choice *c = place_of(&key, card, tf32);
        if (c->found == 0) {
            c->key = key;
            c->card = card;
            c->tf32 = tf32;
            c->found = choose(&c->algo, &d, g, on[card].handle) ? 1 : -1;
        }
        if (c->found > 0) sqn_cuda_count_launch();
        if (c->found > 0) status = multiply(g, &d, c, stream);
    }
    close_descriptors(&d);
    return status;
}
