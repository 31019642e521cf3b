/* Matrix products: those of few rows by matmul_few.cu, else the library's, and a plain kernel for
 * what that does not do (no inner dimension, odd alignments). Row-major C = op(A) op(B) is
 * column-major C^T = op(B)^T op(A)^T: the operands change places, a matrix stored [rows, columns]
 * with leading dimension ld is its own transpose. */
#include "kernels/cuda/matmul_few.cuh"

extern "C" sqn_status sqn_cuda_copy(const sqn_k_copy *k, void *stream); /* copy.cu */

namespace sqn {
constexpr int side = 16; /* of a tile; a thread makes one element */

template <class T, class C> __global__ void matmul_kernel(sqn_k_matmul k) {
    using A = acc<T>;
    SQN_SHARED(A, a_tile, side * (side + 1));
    SQN_SHARED(A, b_tile, side * (side + 1));
    const int tx = (int)threadIdx.x % side, ty = (int)threadIdx.x / side;
    const int64_t across = (k.n + side - 1) / side; /* tiles */
    const int64_t row0 = blockIdx.x / across * side, col0 = blockIdx.x % across * side;
    const int64_t row = row0 + ty, col = col0 + tx;
    for (int64_t z = blockIdx.y; z < k.batch; z += gridDim.y) {
        const T *a = (const T *)k.a + z * k.a_batch, *b = (const T *)k.b + z * k.b_batch;
        C *c = (C *)k.c + z * k.c_batch;
        A sum = 0;
        for (int64_t k0 = 0; k0 < k.k; k0 += side) {
            /* Threads that are neighbours read neighbours, whichever way the operand lies. */
            const int64_t ar = row0 + (k.trans_a ? tx : ty);
            const int64_t ak = k0 + (k.trans_a ? ty : tx);
            const bool a_in = ar < k.m && ak < k.k;
            a_tile[(k.trans_a ? tx : ty) * (side + 1) + (k.trans_a ? ty : tx)] =
                a_in ? load(a[k.trans_a ? ak * k.lda + ar : ar * k.lda + ak]) : (A)0;
            const int64_t bc = col0 + (k.trans_b ? ty : tx);
            const int64_t bk = k0 + (k.trans_b ? tx : ty);
            const bool b_in = bc < k.n && bk < k.k;
            b_tile[(k.trans_b ? tx : ty) * (side + 1) + (k.trans_b ? ty : tx)] =
                b_in ? load(b[k.trans_b ? bc * k.ldb + bk : bk * k.ldb + bc]) : (A)0;
            __syncthreads();
            for (int i = 0; i < side; i++)
                sum += a_tile[ty * (side + 1) + i] * b_tile[i * (side + 1) + tx];
            __syncthreads(); /* before the tiles are filled again */
        }
        if (row >= k.m || col >= k.n) continue;
        if (k.bias) sum += load(((const T *)k.bias)[col]);
        C *to = c + row * k.ldc + col;
        store(to, sum + (k.accumulate ? (A)load(*to) : (A)0));
    }
}

template <class T, class C> sqn_status plain(const sqn_k_matmul *k, void *stream) {
    auto run = matmul_kernel<T, C>;
    const dim3 grid((unsigned)(ceil_div(k->n, side) * ceil_div(k->m, side)), grid_for(k->batch, 1));
    SQN_LAUNCH(run, grid, side * side, 0, stream, *k);
    return sqn_cuda_launched();
}

static sqn_status library(const sqn_k_matmul *k, const void *bias, void *stream) {
    const sqn_gemm g = {k->dtype,
                        k->c_dtype,
                        k->n,
                        k->m,
                        k->k,
                        k->batch,
                        k->trans_b,
                        k->trans_a,
                        k->b,
                        k->a,
                        bias,
                        k->c,
                        k->ldb,
                        k->lda,
                        k->ldc,
                        k->b_batch,
                        k->a_batch,
                        k->c_batch,
                        k->accumulate ? 1.0 : 0.0};
    return sqn_cuda_gemm(&g, stream);
}

/* The library wants the bias in C's type. */
static sqn_status with_wide_bias(const sqn_k_matmul *k, void *stream) {
    void *bias = sqn_cuda_scratch((size_t)k->n * sqn_dtype_size(k->c_dtype), stream);
    if (bias == nullptr) return SQN_NOMEM;
    const sqn_k_copy widen = {k->dtype, k->c_dtype, 1, {k->n}, {1}, {1}, k->bias, bias, 0};
    sqn_status status = sqn_cuda_copy(&widen, stream);
    if (status == SQN_OK) status = library(k, bias, stream);
    sqn_cuda_scratch_release(bias, stream);
    return status;
}
} // namespace sqn

extern "C" sqn_status sqn_cuda_matmul(const sqn_k_matmul *k, void *stream) {
    if (k->c_dtype != k->dtype && !(sqn_dtype_size(k->dtype) == 2 && k->c_dtype == SQN_F32))
        return SQN_MISUSE;
    if (k->batch == 0 || k->m == 0 || k->n == 0) return SQN_OK;
    if (k->k > 0) {
        sqn_status status = sqn::matmul_few(k, stream);
        if (status == SQN_NOTFOUND)
            status = k->bias && k->c_dtype != k->dtype ? sqn::with_wide_bias(k, stream)
                                                       : sqn::library(k, k->bias, stream);
        if (status != SQN_NOTFOUND) return status;
        sqn_cuda_count_plain();
    }
    return sqn::by_float(k->dtype, [&](auto *type) {
        using T = std::remove_pointer_t<decltype(type)>;
        if (k->c_dtype == k->dtype) return sqn::plain<T, T>(k, stream);
        return sqn::plain<T, sqn::acc<T>>(k, stream);
    });
}
