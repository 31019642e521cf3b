/* What the cases of the kernels' test share: device buffers, random inputs, comparison with the
 * CPU.
 *
 * Rules: a case fills inputs, runs the CPU's kernel in f64 on the same (rounded) values and the
 * CUDA kernel, and compares. Outputs start as NaN. A case is run for every dtype it names and,
 * under emulation, for many orders of threads.
 */
#ifndef SQN_TESTS_GPU_KERNELS_H
#define SQN_TESTS_GPU_KERNELS_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <functional>
#include <random>
#include <string>
#include <vector>

extern "C" {
#include "kernels/kernels.h"
#define KERNEL(name) sqn_status sqn_cuda_##name(const sqn_k_##name *args, void *stream);
SQN_KERNELS(KERNEL)
#undef KERNEL
}

/* The device, per build: device.cpp for a card, emulate's memory otherwise. */
void *device_allocate(size_t bytes); /* NaN, fenced */
void device_release(void *p);
void device_write(void *to, const void *from, size_t bytes);
void device_read(void *to, const void *from, size_t bytes);
size_t device_room(); /* bytes that are free */

std::string format(const char *pattern, ...) __attribute__((format(printf, 1, 2)));
/* Ends the case that runs as failed. */
[[noreturn]] void fault(const std::string &what);

extern std::mt19937_64 random_bits;
double uniform(double from, double to);
int64_t choose(int64_t below);

/* While it lives values begin so many elements behind an address that is a multiple of 256. */
struct shifted {
    explicit shifted(int64_t elements) { now = elements; }
    ~shifted() { now = 0; }
    static int64_t now;
};

/* n values of a dtype on the device, with what the device got as f64 (floats) or i64. */
class values {
  public:
    values(sqn_dtype dtype, int64_t n); /* an output: NaN */
    static values floats(sqn_dtype dtype, int64_t n, double from = -2, double to = 2);
    static values integers(sqn_dtype dtype, int64_t n, int64_t below);
    static values of(std::vector<int64_t> list); /* i64 */
    /* The same numbers (floats), where values begin now. */
    values again() const;
    values(values &&other) noexcept;
    values(const values &) = delete;
    ~values();

    void *at() const { return device; }
    int64_t *ids() const { return (int64_t *)device; }
    /* The CPU's copy: doubles for floats, the dtype itself for integers. */
    void *cpu() { return dtype_is_float() ? (void *)wide.data() : (void *)raw.data(); }
    double *doubles() { return wide.data(); }
    sqn_dtype cpu_dtype() const { return dtype_is_float() ? SQN_F64 : dtype; }
    void set(const std::vector<double> &v); /* rounds to the dtype, writes to the device */

    /* The device's values against the CPU's copy; `scale` widens the dtype's tolerance. */
    void expect(const char *what, double scale = 1);
    /* Floats, each within `share` of its number in `of`. */
    void expect_within(const char *what, const std::vector<double> &of, double share);
    std::vector<double> fetch() const;
    /* The same numbers to the last bit. */
    void expect_bits(const values &other, const char *what) const;

    sqn_dtype dtype;
    int64_t n;

  private:
    bool dtype_is_float() const { return sqn_dtype_is_float(dtype); }
    size_t shift; /* of device, in bytes */
    void *device;
    std::vector<char> raw; /* as on the device */
    std::vector<double> wide;
};

inline double bf16_value(const void *p) {
    uint32_t u = (uint32_t) * (const uint16_t *)p << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}
void put_value(sqn_dtype dtype, void *to, double v);
double get_value(sqn_dtype dtype, const void *from);
double tolerance(sqn_dtype dtype);
double unit(sqn_dtype dtype); /* the most that rounding to it changes a number by, as a share */
inline sqn_dtype accumulator(sqn_dtype t) { return t == SQN_F64 ? SQN_F64 : SQN_F32; }
void check(sqn_status status, const char *what);

struct kernel_case {
    const char *name;
    std::vector<sqn_dtype> dtypes;
    std::function<void(sqn_dtype)> run;
};
std::vector<kernel_case> elementwise_cases();
std::vector<kernel_case> optimizer_cases();
std::vector<kernel_case> row_cases();
std::vector<kernel_case> attention_cases();
std::vector<kernel_case> expert_cases();
std::vector<kernel_case> lora_cases();
/* The sizes of training, on a card alone: large.h. */
std::vector<kernel_case> large_row_cases();
std::vector<kernel_case> large_element_cases();
std::vector<kernel_case> large_attention_cases();
std::vector<kernel_case> large_product_cases();

#endif
