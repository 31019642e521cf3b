/* Matrix products: checks the call and picks the way. See matmul.h. */
#include "kernels/cpu/matmul.h"

sqn_status sqn_cpu_matmul(const sqn_k_matmul *a, void *stream) {
    (void)stream;
    if (a->dtype != SQN_F32 && a->dtype != SQN_BF16 && a->dtype != SQN_F64) return SQN_MISUSE;
    if (a->c_dtype != a->dtype && !(a->dtype == SQN_BF16 && a->c_dtype == SQN_F32))
        return SQN_MISUSE;
    if (!a->batch || !a->m || !a->n) return SQN_OK;
    if (a->dtype == SQN_F64 || !a->k) return matmul_plain(a);
    sqn_status status = SQN_MISUSE;
    /* Tiles pass 9 GB/s of bf16 weights whatever m; rows 13 at m = 1, 9 at 2, 7 at 4, 4 at 8 (one
     * core, k = 896). */
    const int rows = a->dtype == SQN_BF16 && matmul_amx_ready() ? 2 : MATMUL_ROWS_MAX;
    if (a->m <= rows && a->trans_b && !a->trans_a) status = matmul_rows(a);
    if (status == SQN_MISUSE) status = matmul_amx(a);
    if (status == SQN_MISUSE) status = matmul_dnnl(a);
    if (status == SQN_MISUSE) status = matmul_plain(a);
    return status;
}
