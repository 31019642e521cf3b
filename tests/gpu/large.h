/* What the large cases of the kernels' test share: the sizes of training, which only a card has
 * time for; under emulation the same code runs at small ones.
 *
 * Rules: inputs are drawn on the card by counter, so the host knows any element without keeping
 * all. What comes out is compared where the host computes it again in f64: rows, columns or runs at
 * random, the first and the last among them.
 */
#ifndef SQN_TESTS_GPU_LARGE_H
#define SQN_TESTS_GPU_LARGE_H

#include <algorithm>

#include "tests/gpu/kernels.h"

extern "C" {
#include "kernels/philox.h"
}

#ifdef SQN_EMULATE
constexpr bool on_card = false;
#else
constexpr bool on_card = true;
#endif
constexpr int64_t size_of(int64_t card, int64_t emulated) { return on_card ? card : emulated; }

struct skipped_case {
    std::string why;
};
/* Ends the case as skipped where less than that is free. */
void need_room(double bytes);

/* Different numbers below n, rising: 0, n - 1, and others at random. */
std::vector<int64_t> some(int64_t n, int count);

/* n values of a dtype on the device alone. */
class field {
  public:
    field(sqn_dtype dtype, int64_t n); /* an output: NaN */
    static field drawn(sqn_dtype dtype, int64_t n, double from = -2, double to = 2);
    field(field &&other) noexcept;
    field(const field &) = delete;
    ~field();

    void *at() const { return device; }
    double drawn_at(int64_t i) const; /* of one that was drawn: what the device has there */
    std::vector<double> drawn(int64_t first, int64_t count) const;
    std::vector<double> fetch(int64_t first, int64_t count) const;
    std::vector<double> fetch() const { return fetch(0, n); }
    /* Elements from `first` on; an error counts against `floor` + |what is wanted|. */
    void expect(const std::string &what, int64_t first, const std::vector<double> &wanted,
                double scale = 1, double floor = 1) const;

    sqn_dtype dtype;
    int64_t n;

  private:
    void *device;
    uint64_t seed = 0;
    double from = 0, to = 0;
};

inline double rounded(sqn_dtype dtype, double v) {
    char stored[8];
    put_value(dtype, stored, v);
    return get_value(dtype, stored);
}

#endif
