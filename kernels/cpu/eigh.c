/* Eigenvalues and eigenvectors of a small symmetric matrix: cyclic Jacobi in f64.
 *
 * A rotation of rows and columns p and q makes their common element 0; a sweep goes through all
 * pairs. Off-diagonal elements shrink quadratically in the end: 6 to 10 sweeps. Chosen for its
 * accuracy and its length; a sweep is 6 n^3 operations, so n is meant to be some hundreds.
 */
#include <math.h>
#include <string.h>

#include "kernels/kernels.h"

enum { SWEEPS = 60 };

static double off_diagonal(const double *x, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i + 1; j < n; j++) sum += x[i * n + j] * x[i * n + j];
    return sum;
}

/* (u, v) = (c u - s v, s u + c v) for n pairs that lie `step` apart */
static void rotate(double *u, double *v, int64_t n, int64_t step, double c, double s) {
    for (int64_t i = 0; i < n; i++) {
        double a = u[i * step], b = v[i * step];
        u[i * step] = c * a - s * b;
        v[i * step] = s * a + c * b;
    }
}

/* rows: eigenvectors as rows, so that a rotation of them runs along memory */
static void annihilate(double *x, double *rows, int64_t n, int64_t p, int64_t q) {
    double off = x[p * n + q];
    if (off == 0) return;
    double theta = (x[q * n + q] - x[p * n + p]) / (2 * off);
    double t = (theta >= 0 ? 1 : -1) / (fabs(theta) + sqrt(theta * theta + 1));
    double c = 1 / sqrt(t * t + 1), s = t * c;
    rotate(x + p * n, x + q * n, n, 1, c, s);
    rotate(x + p, x + q, n, n, c, s);
    x[p * n + q] = x[q * n + p] = 0;
    rotate(rows + p * n, rows + q * n, n, 1, c, s);
}

/* Selection sort by falling value: the vectors move with their values, and n swaps are the fewest.
 */
static void sort(double *values, double *rows, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        int64_t best = i;
        for (int64_t j = i + 1; j < n; j++)
            if (values[j] > values[best]) best = j;
        if (best == i) continue;
        double v = values[i];
        values[i] = values[best];
        values[best] = v;
        for (int64_t k = 0; k < n; k++) {
            double a = rows[i * n + k];
            rows[i * n + k] = rows[best * n + k];
            rows[best * n + k] = a;
        }
    }
}

sqn_status sqn_cpu_eigh(const sqn_k_eigh *a, void *stream) {
    (void)stream;
    int64_t n = a->n;
    double *x = a->x, *v = a->vectors, scale = 0;
    memset(v, 0, (size_t)(n * n) * sizeof *v);
    for (int64_t i = 0; i < n; i++) v[i * n + i] = 1;
    for (int64_t i = 0; i < n * n; i++) scale += x[i] * x[i];
    if (!isfinite(scale)) return SQN_MISUSE;
    for (int sweep = 0; sweep < SWEEPS && off_diagonal(x, n) > 1e-32 * scale; sweep++)
        for (int64_t p = 0; p < n; p++)
            for (int64_t q = p + 1; q < n; q++) annihilate(x, v, n, p, q);
    for (int64_t i = 0; i < n; i++) a->values[i] = x[i * n + i];
    sort(a->values, v, n);
    for (int64_t i = 0; i < n; i++) /* columns, as everybody has them */
        for (int64_t j = i + 1; j < n; j++) {
            double b = v[i * n + j];
            v[i * n + j] = v[j * n + i];
            v[j * n + i] = b;
        }
    return SQN_OK;
}
