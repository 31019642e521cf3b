/* The ways to a product, private to matmul*.c. Each returns SQN_MISUSE for what it does not
 * do; the next one is tried. */
#ifndef SQN_CPU_MATMUL_H
#define SQN_CPU_MATMUL_H

#include "kernels/kernels.h"

/* matmul_rows.c: at most 8 rows times a stored [n, k] (decoding), F32 and BF16; bound by reading B
 * once. */
#define MATMUL_ROWS_MAX 8
sqn_status matmul_rows(const sqn_k_matmul *a);
/* matmul_amx.c: F32 and BF16 on AMX tiles, where the processor has them. */
sqn_status matmul_amx(const sqn_k_matmul *a);
int matmul_amx_ready(void);
/* matmul_dnnl.c: F32 and BF16 through oneDNN. */
sqn_status matmul_dnnl(const sqn_k_matmul *a);
/* matmul_plain.c: every float type; the reference, and what runs where oneDNN refuses. */
sqn_status matmul_plain(const sqn_k_matmul *a);

#endif
