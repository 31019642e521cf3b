/* Large cases of elements: more of them than 2^31, the gates of a 7B model, a step of AdamW over as
 * many tensors as it has. */
#include "tests/gpu/large.h"

namespace {
const std::vector<sqn_dtype> stored = {SQN_F32, SQN_BF16};
constexpr int64_t limit = (int64_t)1 << 31;
constexpr int64_t tall = size_of(65537, 257), wide = size_of(32771, 273), huge = tall * wide;
static_assert(!on_card || huge > limit, "beyond what 32 bits count");

double gigabytes(int arrays, sqn_dtype dtype) {
    return (double)arrays * (double)huge * (double)sqn_dtype_size(dtype);
}

/* Where runs begin that are looked at: the ends, 2^31, others; multiples of 4. */
constexpr int64_t run = size_of(4096, 64);
std::vector<int64_t> runs(int64_t n) {
    std::vector<int64_t> list;
    for (int64_t at : some(n - run, 60)) list.push_back(at / 4 * 4);
    if (n > limit + run) list.push_back(limit - run / 2);
    list.push_back((n - run + 3) / 4 * 4);
    return list;
}

/* y is f of what was drawn at the same place. */
template <class F>
void expect_each(const char *what, const field &y, F f, double scale = 1, double floor = 1) {
    for (int64_t first : runs(y.n)) {
        std::vector<double> wanted;
        for (int64_t i = first; i < std::min(first + run, y.n); i++) wanted.push_back(f(i));
        y.expect(what, first, wanted, scale, floor);
    }
}

void copy(sqn_dtype dtype) {
    need_room(gigabytes(2, dtype));
    field x = field::drawn(dtype, huge), y(dtype, huge);
    sqn_k_copy a = {};
    a.from = a.to = dtype, a.x = x.at(), a.y = y.at();
    a.ndim = 2, a.shape[0] = tall, a.shape[1] = wide;
    a.x_stride[0] = 1, a.x_stride[1] = tall, a.y_stride[0] = wide, a.y_stride[1] = 1;
    check(sqn_cuda_copy(&a, nullptr), "cuda");
    expect_each("transposed", y, [&](int64_t i) { return x.drawn_at(i % wide * tall + i / wide); });
    sqn_k_copy b = {};
    b.from = b.to = dtype, b.x = x.at(), b.y = y.at(), b.add = 1;
    b.ndim = 1, b.shape[0] = huge, b.x_stride[0] = b.y_stride[0] = 1;
    check(sqn_cuda_copy(&b, nullptr), "cuda");
    expect_each("added", y,
                [&](int64_t i) { return x.drawn_at(i % wide * tall + i / wide) + x.drawn_at(i); });
}

void convert(sqn_dtype dtype) {
    need_room(gigabytes(1, SQN_F32) + gigabytes(1, SQN_BF16));
    const sqn_dtype other = dtype == SQN_F32 ? SQN_BF16 : SQN_F32;
    field x = field::drawn(dtype, huge), y(other, huge);
    sqn_k_copy a = {};
    a.from = dtype, a.to = other, a.x = x.at(), a.y = y.at();
    a.ndim = 1, a.shape[0] = huge, a.x_stride[0] = a.y_stride[0] = 1;
    check(sqn_cuda_copy(&a, nullptr), "cuda");
    expect_each(
        "converted", y, [&](int64_t i) { return rounded(other, x.drawn_at(i)); }, 0, 0);
}

void zip(sqn_dtype dtype) {
    need_room(gigabytes(3, dtype));
    field a = field::drawn(dtype, huge), b = field::drawn(dtype, huge), y(dtype, huge);
    sqn_k_zip k = {};
    k.op = SQN_ZIP_ADD, k.dtype = dtype, k.a = a.at(), k.b = b.at(), k.y = y.at();
    k.ndim = 1, k.shape[0] = huge, k.a_stride[0] = k.b_stride[0] = 1;
    check(sqn_cuda_zip(&k, nullptr), "cuda");
    expect_each("sum", y, [&](int64_t i) { return a.drawn_at(i) + b.drawn_at(i); });
    k.op = SQN_ZIP_MUL, k.ndim = 2, k.shape[0] = tall, k.shape[1] = wide;
    k.a_stride[0] = wide, k.a_stride[1] = 1, k.b_stride[0] = 0, k.b_stride[1] = 1;
    check(sqn_cuda_zip(&k, nullptr), "cuda");
    expect_each("product", y, [&](int64_t i) { return a.drawn_at(i) * b.drawn_at(i % wide); });
}

void map(sqn_dtype dtype) {
    need_room(gigabytes(2, dtype));
    field x = field::drawn(dtype, huge), y(dtype, huge);
    sqn_k_map a = {};
    a.op = SQN_MAP_EXP, a.dtype = dtype, a.n = huge, a.x = x.at(), a.y = y.at();
    check(sqn_cuda_map(&a, nullptr), "cuda");
    expect_each("exp", y, [&](int64_t i) { return exp(x.drawn_at(i)); });
}

void dropout(sqn_dtype dtype) {
    need_room(gigabytes(2, dtype));
    field x = field::drawn(dtype, huge), y(dtype, huge);
    sqn_k_dropout a = {dtype, huge, x.at(), y.at(), 0.3, 5, 7, 11};
    check(sqn_cuda_dropout(&a, nullptr), "cuda");
    for (int64_t first : runs(huge)) {
        const int64_t count = std::min(run, huge - first);
        std::vector<double> in = x.drawn(first, count), out((size_t)count);
        sqn_k_dropout c = {SQN_F64, count, in.data(), out.data(),
                           0.3,     5,     7,         11 + (uint64_t)first / 4};
        check(sqn_cpu_dropout(&c, nullptr), "cpu");
        y.expect("y", first, out);
    }
}

void rows(sqn_dtype dtype) { /* out of a table of more than 2^31, and into one */
    const int64_t count = size_of(5000, 40), bytes = wide * (int64_t)sqn_dtype_size(dtype);
    need_room(gigabytes(1, dtype) + 2.0 * (double)(count * bytes));
    std::vector<int64_t> list = some(tall, (int)count);
    std::shuffle(list.begin(), list.end(), random_bits);
    values index = values::of(list);
    field x = field::drawn(dtype, huge), y(dtype, index.n * wide);
    sqn_k_gather_rows a = {};
    a.rows = index.n, a.x_rows = tall, a.row_bytes = bytes;
    a.x = x.at(), a.index = index.ids(), a.y = y.at();
    check(sqn_cuda_gather_rows(&a, nullptr), "cuda");
    field back = field::drawn(dtype, index.n * wide);
    for (int64_t r : some(index.n, 20))
        y.expect("gathered", r * wide, x.drawn(list[(size_t)r] * wide, wide), 0, 0);
    sqn_k_scatter_rows s = {};
    s.dtype = s.y_dtype = dtype, s.rows = index.n, s.n = wide, s.y_rows = tall;
    s.x = back.at(), s.index = index.ids(), s.y = x.at();
    check(sqn_cuda_scatter_rows(&s, nullptr), "cuda");
    for (int64_t r : some(index.n, 20))
        x.expect("scattered", list[(size_t)r] * wide, back.drawn(r * wide, wide), 0, 0);
}

void reduce(sqn_dtype dtype) {
    need_room(gigabytes(1, dtype));
    field x = field::drawn(dtype, huge), y(dtype, tall), z(dtype, wide);
    sqn_k_reduce a = {};
    a.op = SQN_REDUCE_SUM, a.dtype = dtype, a.outer = tall, a.n = wide, a.inner = 1, a.scale = 1;
    a.x = x.at(), a.y = y.at();
    check(sqn_cuda_reduce(&a, nullptr), "cuda");
    a.outer = 1, a.n = tall, a.inner = wide, a.y = z.at();
    check(sqn_cuda_reduce(&a, nullptr), "cuda");
    const auto expect = [&](const field &sums, int64_t at, int64_t first, int64_t step, int64_t n) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++) sum += x.drawn_at(first + i * step);
        sums.expect(step == 1 ? "row" : "column", at, {sum}, 2, sqrt((double)n));
    };
    for (int64_t r : some(tall, 20)) expect(y, r, r * wide, 1, wide);
    for (int64_t c : some(wide, 20)) expect(z, c, c, wide, tall);
}

void swiglu(sqn_dtype dtype) {
    const int64_t n = size_of(8192 * (int64_t)18944, 5000);
    need_room(6.0 * (double)n * (double)sqn_dtype_size(dtype));
    field gate = field::drawn(dtype, n), up = field::drawn(dtype, n), y(dtype, n),
          dy = field::drawn(dtype, n), dgate(dtype, n), dup(dtype, n);
    sqn_k_swiglu a = {dtype, n, gate.at(), up.at(), y.at()};
    check(sqn_cuda_swiglu(&a, nullptr), "cuda");
    sqn_k_swiglu_grad g = {dtype, n, gate.at(), up.at(), dy.at(), dgate.at(), dup.at()};
    check(sqn_cuda_swiglu_grad(&g, nullptr), "cuda");
    for (int64_t first : runs(n)) {
        const int64_t count = std::min(run, n - first);
        std::vector<double> x = gate.drawn(first, count), u = up.drawn(first, count),
                            d = dy.drawn(first, count), one((size_t)count), other((size_t)count);
        sqn_k_swiglu c = {SQN_F64, count, x.data(), u.data(), one.data()};
        check(sqn_cpu_swiglu(&c, nullptr), "cpu");
        y.expect("y", first, one);
        sqn_k_swiglu_grad h = {SQN_F64,  count,      x.data(),    u.data(),
                               d.data(), one.data(), other.data()};
        check(sqn_cpu_swiglu_grad(&h, nullptr), "cpu");
        dgate.expect("dgate", first, one);
        dup.expect("dup", first, other);
    }
}

/* Parameters of a 0.5B model's layers, and more: biases of 128, matrices of millions. */
void adamw(sqn_dtype dtype) {
    const int64_t lengths[] = {128, 896, 1, 896 * 128, 3584, size_of(896 * 4864, 5000)};
    const int64_t count = size_of(600, 30);
    std::vector<int64_t> at = {0}, length;
    for (int64_t i = 0; i < count; i++) {
        length.push_back(i % 100 ? lengths[choose(5)] : lengths[5]);
        if (!on_card) length.back() = std::min<int64_t>(length.back(), 5000);
        at.push_back(at.back() + (length.back() + 7) / 8 * 8);
    }
    const int64_t n = at.back();
    field p = field::drawn(dtype, n), g = field::drawn(dtype, n), m = field::drawn(SQN_F32, n),
          v = field::drawn(SQN_F32, n, 0.1, 1);
    const auto element = [&](const field &x, int64_t i) {
        return (char *)x.at() + at[(size_t)i] * (int64_t)sqn_dtype_size(x.dtype);
    };
    std::vector<sqn_k_adamw_tensor> list;
    for (int64_t i = 0; i < count; i++)
        list.push_back({length[(size_t)i], element(p, i), nullptr, element(g, i), element(m, i),
                        element(v, i), nullptr, nullptr, 0});
    sqn_k_adamw a = {};
    a.dtype = a.grad_dtype = dtype, a.step = 3, a.count = count, a.tensors = list.data();
    a.lr = 1e-2, a.beta1 = 0.9, a.beta2 = 0.99, a.eps = 1e-8, a.weight_decay = 0.1;
    a.grad_scale = 0.5;
    check(sqn_cuda_adamw(&a, nullptr), "cuda");
    for (int64_t i : some(count, 40)) {
        const int64_t first = at[(size_t)i], here = length[(size_t)i];
        std::vector<double> cp = p.drawn(first, here), cg = g.drawn(first, here),
                            cm = m.drawn(first, here), cv = v.drawn(first, here);
        const sqn_k_adamw_tensor one = {here,      cp.data(), nullptr, cg.data(), cm.data(),
                                        cv.data(), nullptr,   nullptr, 0};
        sqn_k_adamw c = a;
        c.dtype = c.grad_dtype = SQN_F64, c.count = 1, c.tensors = &one;
        check(sqn_cpu_adamw(&c, nullptr), "cpu");
        const std::string which = format(" of tensor %lld", (long long)i);
        p.expect("weights" + which, first, cp);
        m.expect("m" + which, first, cm);
        v.expect("v" + which, first, cv);
    }
}
} // namespace

std::vector<kernel_case> large_element_cases() {
    return {{"large_copy", stored, copy},       {"large_convert", stored, convert},
            {"large_zip", stored, zip},         {"large_map", stored, map},
            {"large_dropout", stored, dropout}, {"large_rows", stored, rows},
            {"large_sums", stored, reduce},     {"large_swiglu", stored, swiglu},
            {"large_adamw", stored, adamw}};
}
