/* Hopper's asynchronous units on the host: barriers in shared memory, named barriers, bulk tensor
 * copies, products of a warpgroup. What kernels/cuda/wgmma.cuh calls.
 *
 * Rules: copies and products happen at random times between their start and what waits for them,
 * products of a warp in order; they read operands and write accumulators then, so that whoever does
 * not wait sees old values. A warp's 16 rows happen by themselves. Ordinary stores that these units
 * read stay out of sight until the thread's proxy fence. A product needs products_fence() after
 * the last wait. Shared memory has addresses of its own, which begin at no multiple of 1024.
 */
#ifndef SQN_TESTS_GPU_EMULATE_ASYNC_H
#define SQN_TESTS_GPU_EMULATE_ASYNC_H

#include "tests/gpu/emulate.h"

#define EMU_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()

namespace emu {
uint32_t shared_address(const void *p);

void barrier_new(uint64_t *b, unsigned count);
void barrier_arrive(uint64_t *b, uint32_t bytes, const char *file, int line); /* expects bytes */
void barrier_wait(uint64_t *b, unsigned parity, const char *file, int line);

/* bar.sync and bar.arrive of `count` threads. ordered: for speed only, not in the tests' controls.
 */
void named_sync(int id, unsigned count, bool ordered, const char *file, int line);
void named_arrive(int id, unsigned count);

/* Rows of a [rows, heads, dim] tensor of 16-bit values, 64 columns at a time. */
struct tensor_map {
    const char *base;
    int64_t rows, heads, dim;
    int box;
};
void copy_tensor(void *to, const tensor_map &from, int column, int head, int row, uint64_t *done);

void store_for_units(void *to, const void *value16);
void units_fence(const char *file, int line);

/* d [N/2] (+)= A B for this thread's warp. a: this thread's four registers, or NULL: desc_a. */
struct product {
    float *d;
    const uint32_t *a;
    uint64_t desc_a, desc_b;
    int n;
    bool b_by_columns, add, half;
};
void products_fence(const char *file, int line);
void multiply(const product &p, const char *file, int line);
void products_commit();
void products_wait(int groups_left, const char *file, int line);
} // namespace emu

#endif
