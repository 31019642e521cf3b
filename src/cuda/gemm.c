/* Products by cuBLASLt: one handle and workspace a thread, the library's choice kept by shape.
 *
 * Rules: the choice for a shape is made once and stays, so that the same call gives the same bits.
 * f32 is computed in f32, not in TF32.
 */
#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <string.h>

#include "kernels/cuda/host.h"

enum { KEPT = 512, WORKSPACE = 32 << 20 };

typedef struct choice {
    sqn_gemm key; /* without pointers: their alignments instead */
    cublasLtMatmulAlgo_t algo;
    int found; /* 0: free, 1: an algorithm, -1: there is none */
} choice;

static __thread cublasLtHandle_t handle;
static __thread void *workspace;
static __thread choice kept[KEPT];

static cudaDataType_t type_of(sqn_dtype t) {
    return t == SQN_F32    ? CUDA_R_32F
           : t == SQN_BF16 ? CUDA_R_16BF
           : t == SQN_F16  ? CUDA_R_16F
                           : CUDA_R_64F;
}

static int alignment(const void *p) { /* what heuristics care for: up to 16 */
    int n = 1;
    while (n < 16 && ((uintptr_t)p & (uintptr_t)n) == 0) n *= 2;
    return n;
}

typedef struct descriptors {
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t a, b, c;
} descriptors;

static void close_descriptors(descriptors *d) {
    if (d->a) cublasLtMatrixLayoutDestroy(d->a);
    if (d->b) cublasLtMatrixLayoutDestroy(d->b);
    if (d->c) cublasLtMatrixLayoutDestroy(d->c);
    if (d->desc) cublasLtMatmulDescDestroy(d->desc);
}

static int layout(cublasLtMatrixLayout_t *l, sqn_dtype t, int64_t rows, int64_t cols, int64_t ld,
                  int64_t batch, int64_t stride) {
    int32_t count = (int32_t)batch;
    if (cublasLtMatrixLayoutCreate(l, type_of(t), (uint64_t)rows, (uint64_t)cols, ld) !=
        CUBLAS_STATUS_SUCCESS)
        return 0;
    return cublasLtMatrixLayoutSetAttribute(*l, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count,
                                            sizeof count) == CUBLAS_STATUS_SUCCESS &&
           cublasLtMatrixLayoutSetAttribute(*l, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                            &stride, sizeof stride) == CUBLAS_STATUS_SUCCESS;
}

static int describe(descriptors *d, const sqn_gemm *g) {
    cublasOperation_t ta = g->trans_a ? CUBLAS_OP_T : CUBLAS_OP_N,
                      tb = g->trans_b ? CUBLAS_OP_T : CUBLAS_OP_N;
    const int wide = g->dtype == SQN_F64;
    cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    cudaDataType_t bias_type = type_of(g->dtype);
    if (cublasLtMatmulDescCreate(&d->desc, wide ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F,
                                 wide ? CUDA_R_64F : CUDA_R_32F) != CUBLAS_STATUS_SUCCESS)
        return 0;
#define SET(name, value)                                                            \
    (cublasLtMatmulDescSetAttribute(d->desc, CUBLASLT_MATMUL_DESC_##name, &(value), \
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
static choice *place_of(const sqn_gemm *key) {
    const unsigned char *bytes = (const unsigned char *)key;
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < sizeof *key; i++) hash = (hash ^ bytes[i]) * 0x100000001b3u;
    choice *home = &kept[hash % KEPT];
    for (int i = 0; i < 8; i++) {
        choice *c = &kept[(hash + (uint64_t)i) % KEPT];
        if (c->found == 0 || memcmp(&c->key, key, sizeof *key) == 0) return c;
    }
    home->found = 0;
    return home;
}

static void choose(choice *c, const descriptors *d, const sqn_gemm *key) {
    cublasLtMatmulPreference_t preference = NULL;
    cublasLtMatmulHeuristicResult_t result;
    size_t most = WORKSPACE;
    int count = 0;
    c->key = *key;
    c->found = -1;
    if (cublasLtMatmulPreferenceCreate(&preference) != CUBLAS_STATUS_SUCCESS) return;
    cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                         &most, sizeof most);
    if (cublasLtMatmulAlgoGetHeuristic(handle, d->desc, d->a, d->b, d->c, d->c, preference, 1,
                                       &result, &count) == CUBLAS_STATUS_SUCCESS &&
        count > 0) {
        c->algo = result.algo;
        c->found = 1;
    }
    cublasLtMatmulPreferenceDestroy(preference);
}

static sqn_status ready(void) {
    if (handle == NULL && cublasLtCreate(&handle) != CUBLAS_STATUS_SUCCESS) return SQN_NOMEM;
    if (workspace == NULL && cudaMalloc(&workspace, WORKSPACE) != cudaSuccess) {
        workspace = NULL;
        cudaGetLastError();
        return SQN_NOMEM;
    }
    return SQN_OK;
}

sqn_status sqn_cuda_gemm(const sqn_gemm *g, void *stream) {
    descriptors d = {0};
    sqn_status status = ready();
    if (status != SQN_OK) return status;
    status = SQN_NOTFOUND;
    if (describe(&d, g)) {
        const sqn_gemm key = key_of(g);
        choice *c = place_of(&key);
        if (c->found == 0) choose(c, &d, &key);
        const float one = 1, beta = (float)g->beta;
        const double one_wide = 1, beta_wide = g->beta;
        const int wide = g->dtype == SQN_F64;
        if (c->found > 0 &&
            cublasLtMatmul(handle, d.desc, wide ? (const void *)&one_wide : &one, g->a, d.a, g->b,
                           d.b, wide ? (const void *)&beta_wide : &beta, g->c, d.c, g->c, d.c,
                           &c->algo, workspace, WORKSPACE,
                           stream ? (cudaStream_t)stream : cudaStreamPerThread) ==
                CUBLAS_STATUS_SUCCESS)
            status = SQN_OK;
    }
    close_descriptors(&d);
    return status;
}
