/* Device buffers of the large cases: see large.h. */
#include "tests/gpu/large.h"

void need_room(double bytes) {
    const double room = (double)device_room();
    if (bytes * 1.05 > room)
        throw skipped_case{format("%.1f GiB wanted, %.1f GiB free", bytes / 0x1p30, room / 0x1p30)};
}

std::vector<int64_t> some(int64_t n, int count) {
    std::vector<int64_t> list = {0, n - 1};
    for (int i = 2; i < count; i++) list.push_back(choose(n));
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
    return list;
}

field::field(sqn_dtype dtype, int64_t n)
    : dtype(dtype), n(n), device(device_allocate((size_t)n * sqn_dtype_size(dtype))) {}

field::field(field &&o) noexcept
    : dtype(o.dtype), n(o.n), device(o.device), seed(o.seed), from(o.from), to(o.to) {
    o.device = nullptr;
}

field::~field() { device_release(device); }

field field::drawn(sqn_dtype dtype, int64_t n, double from, double to) {
    field out(dtype, n);
    out.seed = random_bits(), out.from = from, out.to = to;
    sqn_k_random a = {};
    a.dtype = dtype, a.n = n, a.y = out.device, a.seed = out.seed, a.a = from, a.b = to;
    check(sqn_cuda_random(&a, nullptr), "random");
    return out;
}

double field::drawn_at(int64_t i) const {
    const double unit = sqn_philox_unit(sqn_philox_at(seed, 0, (uint64_t)i / 4).v[i % 4]);
    return rounded(dtype, (float)(from + (to - from) * unit));
}

std::vector<double> field::drawn(int64_t first, int64_t count) const {
    std::vector<double> out((size_t)count);
#pragma omp parallel for if (count > 4096)
    for (int64_t i = 0; i < count; i++) out[(size_t)i] = drawn_at(first + i);
    return out;
}

std::vector<double> field::fetch(int64_t first, int64_t count) const {
    const size_t size = sqn_dtype_size(dtype);
    std::vector<char> bytes((size_t)count * size);
    device_read(bytes.data(), (const char *)device + (size_t)first * size, bytes.size());
    std::vector<double> out((size_t)count);
#pragma omp parallel for if (count > 4096)
    for (int64_t i = 0; i < count; i++) out[(size_t)i] = get_value(dtype, &bytes[(size_t)i * size]);
    return out;
}

void field::expect(const std::string &what, int64_t first, const std::vector<double> &wanted,
                   double scale, double floor) const {
    const std::vector<double> got = fetch(first, (int64_t)wanted.size());
    const double limit = tolerance(dtype) * scale;
    for (size_t i = 0; i < got.size(); i++) {
        const double error = fabs(got[i] - wanted[i]);
        if (!(error <= limit * (floor + fabs(wanted[i]))))
            fault(format("%s[%lld] is %.9g, not %.9g", what.c_str(),
                         (long long)(first + (int64_t)i), got[i], wanted[i]));
    }
}
