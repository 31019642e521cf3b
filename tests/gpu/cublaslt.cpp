/* libcublasLt as far as src/cuda/gemm.c needs it, for emulated cards (card.h): a library of its
 * own, since the program opens the real one late.
 *
 * Rules: every argument is checked as the manual demands: what it calls invalid is
 * CUBLAS_STATUS_INVALID_VALUE, what its tables of types lack is NOT_SUPPORTED. An algorithm is
 * good for the problem and the alignments of the query that chose it, and needs as much workspace
 * as it said. Sums are in f64; the work is done in stream order.
 */
#include <cublasLt.h>
#include <math.h>
#include <string.h>

#include <algorithm>
#include <mutex>
#include <set>
#include <vector>

#include "tests/gpu/card.h"

namespace {
struct described {
    cublasComputeType_t compute;
    cudaDataType_t scale;
    cublasOperation_t a, b;
    cublasLtEpilogue_t epilogue;
    const void *bias;
    int32_t bias_type; /* -1: D's */
    int64_t bias_stride;
};
struct laid_out {
    cudaDataType type;
    uint64_t rows, cols;
    int64_t ld;
    int32_t batch;
    int64_t stride;
};
struct preferred {
    uint64_t workspace;
    uint32_t alignment[4]; /* of A, B, C, D */
    uint32_t sums;         /* ways to add the parts of a sum */
};
struct chosen { /* inside cublasLtMatmulAlgo_t */
    uint64_t magic, problem, workspace;
    uint32_t alignment[5]; /* of A, B, C, D, the bias */
};
static_assert(sizeof(chosen) <= sizeof(cublasLtMatmulAlgo_t), "an algorithm is opaque");
constexpr uint64_t magic = 0x73716c756e65474d;

struct opened {
    int device;
};
std::mutex lock;
std::set<const void *> alive; /* handles, descriptors */

template <class T, class H> cublasStatus_t make(H **out, T value) {
    std::lock_guard<std::mutex> held(lock);
    T *p = new T(value);
    alive.insert(p);
    card_counted("handles", 1);
    *out = (H *)p;
    return CUBLAS_STATUS_SUCCESS;
}
template <class T, class H> cublasStatus_t end(H *h) {
    std::lock_guard<std::mutex> held(lock);
    if (alive.erase(h) == 0) return CUBLAS_STATUS_INVALID_VALUE;
    card_counted("handles", -1);
    delete (T *)h;
    return CUBLAS_STATUS_SUCCESS;
}
bool lives(const void *h) {
    std::lock_guard<std::mutex> held(lock);
    return alive.count(h) != 0;
}

#define MAY_FAIL(function)                             \
    do {                                               \
        card::call here("");                           \
        const int code = card::asked_fault(#function); \
        if (code != 0) return (cublasStatus_t)code;    \
    } while (0)

/* An attribute of exactly its size. */
#define ATTRIBUTE(name, field)                                          \
    case name:                                                          \
        if (bytes != sizeof(field)) return CUBLAS_STATUS_INVALID_VALUE; \
        memcpy(&(field), from, bytes);                                  \
        return CUBLAS_STATUS_SUCCESS

size_t size_of(cudaDataType t) { return t == CUDA_R_64F ? 8 : t == CUDA_R_32F ? 4 : 2; }

/* The tables of cublasLtMatmul for plain layouts, as far as our types go. */
bool are_supported(const described &d, cudaDataType a, cudaDataType b, cudaDataType c) {
    if (a != b) return false;
    switch (d.compute) {
    case CUBLAS_COMPUTE_64F:
        return d.scale == CUDA_R_64F && a == CUDA_R_64F && c == a;
    case CUBLAS_COMPUTE_32F_FAST_TF32:
        return d.scale == CUDA_R_32F && a == CUDA_R_32F && c == a;
    case CUBLAS_COMPUTE_32F:
        return d.scale == CUDA_R_32F && (a == CUDA_R_32F || a == CUDA_R_16F || a == CUDA_R_16BF) &&
               (c == a || c == CUDA_R_32F);
    default:
        return false;
    }
}

struct problem {
    described d;
    laid_out a, b, c;
    int64_t m, n, k;
};

cublasStatus_t read_problem(problem *p, cublasLtMatmulDesc_t d, cublasLtMatrixLayout_t a,
                            cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                            cublasLtMatrixLayout_t out) {
    if (!lives(d) || !lives(a) || !lives(b) || !lives(c) || !lives(out))
        return CUBLAS_STATUS_INVALID_VALUE;
    p->d = *(described *)d;
    p->a = *(laid_out *)a, p->b = *(laid_out *)b, p->c = *(laid_out *)c;
    const laid_out o = *(laid_out *)out;
    const bool ta = p->d.a != CUBLAS_OP_N, tb = p->d.b != CUBLAS_OP_N;
    p->m = (int64_t)o.rows, p->n = (int64_t)o.cols;
    p->k = (int64_t)(ta ? p->a.rows : p->a.cols);
    const laid_out *const all[] = {&p->a, &p->b, &p->c, &o};
    for (const laid_out *l : all) {
        if (l->rows == 0 || l->cols == 0 || l->ld < (int64_t)l->rows || l->batch < 1 ||
            l->batch != o.batch)
            return CUBLAS_STATUS_INVALID_VALUE;
    }
    if ((int64_t)(ta ? p->a.cols : p->a.rows) != p->m ||
        (int64_t)(tb ? p->b.cols : p->b.rows) != p->k ||
        (int64_t)(tb ? p->b.rows : p->b.cols) != p->n || p->c.rows != o.rows ||
        p->c.cols != o.cols || p->c.type != o.type || p->c.ld != o.ld || p->c.stride != o.stride)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (p->c.batch > 1 && p->c.stride == 0) return CUBLAS_STATUS_INVALID_VALUE;
    if (!are_supported(p->d, p->a.type, p->b.type, p->c.type)) return CUBLAS_STATUS_NOT_SUPPORTED;
    if (p->d.epilogue == CUBLASLT_EPILOGUE_DEFAULT) return CUBLAS_STATUS_SUCCESS;
    if (p->d.epilogue != CUBLASLT_EPILOGUE_BIAS) return CUBLAS_STATUS_NOT_SUPPORTED;
    if (p->d.bias == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    const cudaDataType type = p->d.bias_type < 0 ? p->c.type : (cudaDataType)p->d.bias_type;
    return type == p->c.type ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

uint64_t hash_of(const problem &p) {
    uint64_t hash = 1469598103934665603u;
    const auto add = [&hash](uint64_t v) { hash = (hash ^ v) * 1099511628211u + (hash >> 29); };
    for (const laid_out *l : {&p.a, &p.b, &p.c})
        for (uint64_t v : {(uint64_t)l->type, l->rows, l->cols, (uint64_t)l->ld, (uint64_t)l->batch,
                           (uint64_t)l->stride})
            add(v);
    for (int v : {(int)p.d.compute, (int)p.d.a, (int)p.d.b, (int)p.d.epilogue}) add((uint64_t)v);
    return hash;
}

bool is_aligned(const void *p, uint32_t to) { return (uintptr_t)p % to == 0; }

/* ---- the product ---- */

double value(cudaDataType type, const void *p, int64_t i) {
    switch (type) {
    case CUDA_R_64F:
        return ((const double *)p)[i];
    case CUDA_R_32F:
        return ((const float *)p)[i];
    case CUDA_R_16F:
        return (double)((const _Float16 *)p)[i];
    default:
        float f;
        const uint32_t u = (uint32_t)((const uint16_t *)p)[i] << 16;
        memcpy(&f, &u, sizeof f);
        return f;
    }
}

void put(cudaDataType type, void *p, int64_t i, double v) {
    if (type == CUDA_R_64F)
        ((double *)p)[i] = v;
    else if (type == CUDA_R_32F)
        ((float *)p)[i] = (float)v;
    else if (type == CUDA_R_16F)
        ((_Float16 *)p)[i] = (_Float16)v;
    else {
        const float f = (float)v;
        uint32_t u;
        memcpy(&u, &f, sizeof u);
        ((uint16_t *)p)[i] =
            (uint16_t)(isnan(f) ? u >> 16 | 0x40u : (u + 0x7fffu + (u >> 16 & 1u)) >> 16);
    }
}

/* The whole matrix of every batch lies in one block of the card. */
void look(int device, const laid_out &l, const void *p) {
    const int64_t span = (l.batch - 1) * l.stride + (int64_t)(l.cols - 1) * l.ld + (int64_t)l.rows;
    card::check_inside(device, p, (size_t)span * size_of(l.type), "a product");
}

/* What TF32 keeps of an f32: 10 bits of the mantissa. */
double in_tf32(double x) {
    float f = (float)x;
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    u = (u + 0xfffu + (u >> 13 & 1u)) & ~0x1fffu;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* op(X) [rows, cols] as f64, column after column. */
std::vector<double> wide(const laid_out &l, const void *x, bool transposed, int64_t z,
                         bool in_tf32_only) {
    const int64_t rows = (int64_t)(transposed ? l.cols : l.rows),
                  cols = (int64_t)(transposed ? l.rows : l.cols);
    std::vector<double> out((size_t)(rows * cols));
    for (int64_t j = 0; j < cols; j++)
        for (int64_t i = 0; i < rows; i++)
            out[(size_t)(j * rows + i)] =
                value(l.type, x, z * l.stride + (transposed ? i * l.ld + j : j * l.ld + i));
    if (in_tf32_only)
        for (double &v : out) v = in_tf32(v);
    return out;
}

void multiply(const problem &p, int device, double alpha, const void *a, const void *b, double beta,
              void *c) {
    look(device, p.a, a);
    look(device, p.b, b);
    look(device, p.c, c);
    const bool biased = p.d.epilogue == CUBLASLT_EPILOGUE_BIAS;
    const bool tf32 = p.d.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
    if (biased)
        card::check_inside(device, p.d.bias, (size_t)p.m * size_of(p.c.type), "a product's bias");
    std::vector<double> column((size_t)p.m);
    for (int64_t z = 0; z < p.c.batch; z++) {
        const std::vector<double> x = wide(p.a, a, p.d.a != CUBLAS_OP_N, z, tf32),
                                  y = wide(p.b, b, p.d.b != CUBLAS_OP_N, z, tf32);
        for (int64_t j = 0; j < p.n; j++) {
            std::fill(column.begin(), column.end(), 0.0);
            for (int64_t k = 0; k < p.k; k++) {
                const double *from = &x[(size_t)(k * p.m)], by = y[(size_t)(j * p.k + k)];
                for (int64_t i = 0; i < p.m; i++) column[(size_t)i] += from[i] * by;
            }
            for (int64_t i = 0; i < p.m; i++) {
                const int64_t at = z * p.c.stride + j * p.c.ld + i;
                double v = alpha * column[(size_t)i];
                if (beta != 0) v += beta * value(p.c.type, c, at); /* else C is not read */
                if (biased) v += value(p.c.type, p.d.bias, i);
                put(p.c.type, c, at, v);
            }
        }
    }
}
} // namespace

extern "C" {
cublasStatus_t cublasLtCreate(cublasLtHandle_t *out) {
    MAY_FAIL(cublasLtCreate);
    return make(out, opened{card::current_device()});
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t h) { return end<opened>(h); }

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *out, cublasComputeType_t compute,
                                        cudaDataType_t scale) {
    MAY_FAIL(cublasLtMatmulDescCreate);
    return make(out, described{compute, scale, CUBLAS_OP_N, CUBLAS_OP_N, CUBLASLT_EPILOGUE_DEFAULT,
                               nullptr, -1, 0});
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t d) { return end<described>(d); }

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc,
                                              cublasLtMatmulDescAttributes_t which,
                                              const void *from, size_t bytes) {
    MAY_FAIL(cublasLtMatmulDescSetAttribute);
    if (!lives(desc) || from == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    described &d = *(described *)desc;
    switch (which) {
        ATTRIBUTE(CUBLASLT_MATMUL_DESC_TRANSA, d.a);
        ATTRIBUTE(CUBLASLT_MATMUL_DESC_TRANSB, d.b);
        ATTRIBUTE(CUBLASLT_MATMUL_DESC_EPILOGUE, d.epilogue);
        ATTRIBUTE(CUBLASLT_MATMUL_DESC_BIAS_POINTER, d.bias);
        ATTRIBUTE(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, d.bias_type);
        ATTRIBUTE(CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE, d.bias_stride);
    default:
        card::fail("cublasLt: attribute %d of a product", (int)which);
    }
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *out, cudaDataType type,
                                          uint64_t rows, uint64_t cols, int64_t ld) {
    MAY_FAIL(cublasLtMatrixLayoutCreate);
    return make(out, laid_out{type, rows, cols, ld, 1, 0});
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t l) { return end<laid_out>(l); }

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t which,
                                                const void *from, size_t bytes) {
    MAY_FAIL(cublasLtMatrixLayoutSetAttribute);
    if (!lives(layout) || from == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    laid_out &l = *(laid_out *)layout;
    switch (which) {
        ATTRIBUTE(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, l.batch);
        ATTRIBUTE(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, l.stride);
    default:
        card::fail("cublasLt: attribute %d of a layout", (int)which);
    }
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *out) {
    MAY_FAIL(cublasLtMatmulPreferenceCreate);
    return make(out, preferred{0, {256, 256, 256, 256}, CUBLASLT_REDUCTION_SCHEME_MASK});
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t p) {
    return end<preferred>(p);
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t which,
                                                    const void *from, size_t bytes) {
    MAY_FAIL(cublasLtMatmulPreferenceSetAttribute);
    if (!lives(preference) || from == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    preferred &p = *(preferred *)preference;
    switch (which) {
        ATTRIBUTE(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, p.workspace);
        ATTRIBUTE(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, p.sums);
        ATTRIBUTE(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, p.alignment[0]);
        ATTRIBUTE(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, p.alignment[1]);
        ATTRIBUTE(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, p.alignment[2]);
        ATTRIBUTE(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, p.alignment[3]);
    default:
        card::fail("cublasLt: attribute %d of a preference", (int)which);
    }
}

/* Some problems get an algorithm that needs all the workspace, some one that needs none; each
 * needs the alignment that was promised, as far as 16 bytes. */
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[],
                                              int *count) {
    MAY_FAIL(cublasLtMatmulAlgoGetHeuristic);
    problem p;
    *count = 0;
    if (!lives(handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (!lives(preference) || wanted < 1) return CUBLAS_STATUS_INVALID_VALUE;
    const cublasStatus_t status = read_problem(&p, desc, a, b, c, d);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    const preferred &pref = *(preferred *)preference;
    chosen mine = {magic, hash_of(p), 0, {}};
    if (mine.problem % 3 != 0) mine.workspace = mine.problem % 3 == 1 ? pref.workspace : 256;
    if (mine.workspace > pref.workspace) mine.workspace = 0;
    for (int i = 0; i < 4; i++) mine.alignment[i] = std::min(pref.alignment[i], 16u);
    mine.alignment[4] = 16;
    while (!is_aligned(p.d.bias, mine.alignment[4])) mine.alignment[4] /= 2;
    memset(&results[0], 0, sizeof results[0]);
    memcpy(&results[0].algo, &mine, sizeof mine);
    results[0].workspaceSize = mine.workspace;
    results[0].state = CUBLAS_STATUS_SUCCESS;
    *count = 1;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha,
                              const void *A, cublasLtMatrixLayout_t a, const void *B,
                              cublasLtMatrixLayout_t b, const void *beta, const void *C,
                              cublasLtMatrixLayout_t c, void *D, cublasLtMatrixLayout_t d,
                              const cublasLtMatmulAlgo_t *algo, void *workspace, size_t bytes,
                              cudaStream_t stream) {
    MAY_FAIL(cublasLtMatmul);
    problem p;
    chosen how;
    if (!lives(handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
    const int device = card::current_device();
    if (((opened *)handle)->device != device) return CUBLAS_STATUS_INVALID_VALUE;
    if (!alpha || !beta || !A || !B || !C || !D || !algo) return CUBLAS_STATUS_INVALID_VALUE;
    const cublasStatus_t status = read_problem(&p, desc, a, b, c, d);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    memcpy(&how, algo, sizeof how);
    if (how.magic != magic || how.problem != hash_of(p)) return CUBLAS_STATUS_INVALID_VALUE;
    if (how.workspace > bytes || (how.workspace > 0 && workspace == nullptr))
        return CUBLAS_STATUS_INVALID_VALUE;
    if (C != D || !is_aligned(workspace, 256)) return CUBLAS_STATUS_INVALID_VALUE;
    const void *given[] = {A, B, C, D, p.d.bias};
    for (int i = 0; i < 5; i++)
        if (!is_aligned(given[i], how.alignment[i])) return CUBLAS_STATUS_INVALID_VALUE;
    for (const void *x : {A, B, C, p.d.epilogue == CUBLASLT_EPILOGUE_BIAS ? p.d.bias : A})
        if (card::device_of(x) != device)
            card::fail("a product of memory that is not cuda:%d's", device);
    const bool is_wide = p.d.scale == CUDA_R_64F;
    const double al = is_wide ? *(const double *)alpha : *(const float *)alpha;
    const double be = is_wide ? *(const double *)beta : *(const float *)beta;
    const int code = card_ask(stream, "cublasLtMatmul", [=] {
        if (how.workspace > 0) {
            card::check_inside(device, workspace, how.workspace, "a product's workspace");
            memset(workspace, 0xff, how.workspace < 4096 ? how.workspace : 4096);
        }
        multiply(p, device, al, A, B, be, D);
    });
    return code == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}
}
