/* Cases of map, zip, copy, random, dropout, swiglu, adamw and the norm. */
#include "tests/gpu/kernels.h"

namespace {
const std::vector<sqn_dtype> floats = {SQN_F32, SQN_BF16, SQN_F16, SQN_F64};

void map(sqn_dtype dtype) {
    for (int op = 0; op < SQN_MAP_COUNT; op++) {
        for (int64_t n : {1, 7, 129, 1111}) {
            bool positive =
                op == SQN_MAP_LOG || op == SQN_MAP_SQRT || op == SQN_MAP_RSQRT || op == SQN_MAP_POW;
            values x = values::floats(dtype, n, positive ? 0.25 : -2), y(dtype, n);
            values factor = values::floats(accumulator(dtype), 1, 0.5);
            sqn_k_map a = {(sqn_map)op, dtype, n, x.at(), y.at(), 1.5, 0.25, nullptr}, r = a;
            r.dtype = SQN_F64, r.x = x.cpu(), r.y = y.cpu();
            if (n == 129) a.alpha_at = factor.at(), r.alpha_at = factor.cpu();
            check(sqn_cpu_map(&r, nullptr), "cpu");
            check(sqn_cuda_map(&a, nullptr), "cuda");
            y.expect(format("map %d of %lld", op, (long long)n).c_str());

            values y2 = values::floats(dtype, n, 0.25), dy = values::floats(dtype, n), dx(dtype, n);
            sqn_k_map_grad g = {(sqn_map)op, dtype,   n,   x.at(), y2.at(),
                                dy.at(),     dx.at(), 1.5, 0.25},
                           h = g;
            h.dtype = SQN_F64, h.x = x.cpu(), h.y = y2.cpu(), h.dy = dy.cpu(), h.dx = dx.cpu();
            check(sqn_cpu_map_grad(&h, nullptr), "cpu");
            check(sqn_cuda_map_grad(&g, nullptr), "cuda");
            dx.expect(format("gradient of map %d of %lld", op, (long long)n).c_str(), 2);
        }
    }
}

void map_unaligned(sqn_dtype dtype) { /* a view that starts at an odd element */
    values x = values::floats(dtype, 100), y = values::floats(dtype, 100);
    size_t size = sqn_dtype_size(dtype);
    sqn_k_map a = {SQN_MAP_SILU, dtype, 90, (char *)x.at() + size, (char *)y.at() + 3 * size, 0, 0,
                   nullptr};
    sqn_k_map r = {SQN_MAP_SILU, SQN_F64, 90, x.doubles() + 1, y.doubles() + 3, 0, 0, nullptr};
    check(sqn_cpu_map(&r, nullptr), "cpu");
    check(sqn_cuda_map(&a, nullptr), "cuda");
    y.expect("y");
}

struct strided { /* of a broadcast or a copy */
    int64_t shape[3], a[3], b[3];
    int64_t n() const { return shape[0] * shape[1] * shape[2]; }
    /* Elements that are reached. */
    static int64_t reach(const int64_t *shape, const int64_t *stride) {
        int64_t last = 0;
        for (int d = 0; d < 3; d++) last += (shape[d] - 1) * stride[d];
        return last + 1;
    }
};

void zip_of(sqn_dtype dtype, int op, const strided &s) {
    const bool whole = !sqn_dtype_is_float(dtype);
    const auto some = [&](const int64_t *stride) {
        const int64_t n = strided::reach(s.shape, stride);
        return whole ? values::integers(dtype, n, 5) : values::floats(dtype, n, 0.5);
    };
    values a = some(s.a), b = some(s.b), y(op >= SQN_ZIP_EQ ? SQN_U8 : dtype, s.n());
    sqn_k_zip k = {(sqn_zip)op, dtype, 3, {0}, {0}, {0}, a.at(), b.at(), y.at()};
    memcpy(k.shape, s.shape, sizeof s.shape);
    memcpy(k.a_stride, s.a, sizeof s.a);
    memcpy(k.b_stride, s.b, sizeof s.b);
    sqn_k_zip r = k;
    r.dtype = a.cpu_dtype(), r.a = a.cpu(), r.b = b.cpu(), r.y = y.cpu();
    check(sqn_cpu_zip(&r, nullptr), "cpu");
    check(sqn_cuda_zip(&k, nullptr), "cuda");
    y.expect(format("zip %d of %lld", op, (long long)s.shape[2]).c_str());
}

void zip(sqn_dtype dtype) {
    const strided list[] = {{{4, 5, 7}, {35, 7, 1}, {35, 7, 1}},
                            {{4, 5, 7}, {35, 7, 1}, {0, 7, 1}},
                            {{4, 5, 7}, {0, 0, 1}, {5, 1, 0}},
                            {{3, 1, 65}, {65, 65, 1}, {1, 1, 3}}};
    /* What can go by packs, and what lies beside it. */
    const strided more[] = {{{2, 3, 32}, {96, 32, 1}, {0, 0, 1}},
                            {{2, 3, 32}, {0, 1, 0}, {96, 32, 1}},
                            {{2, 3, 32}, {192, 64, 1}, {0, 0, 0}},
                            {{2, 3, 32}, {99, 33, 1}, {96, 32, 1}},
                            {{2, 3, 24}, {72, 24, 1}, {1, 2, 0}}};
    for (int64_t shift : {0, 1, 3}) {
        const shifted by(shift);
        for (int op = 0; op < SQN_ZIP_COUNT; op++)
            for (const strided &s : list) zip_of(dtype, op, s);
        for (int op : {SQN_ZIP_ADD, SQN_ZIP_LT}) {
            for (const strided &s : more) zip_of(dtype, op, s);
            for (int64_t n = 1; n <= 40; n++) zip_of(dtype, op, {{1, 1, n}, {0, n, 1}, {n, 0, 1}});
            zip_of(dtype, op, {{1, 1, 1100}, {0, 0, 1}, {0, 0, 0}});
        }
    }
}

void copy_of(sqn_dtype from, sqn_dtype to, const strided &s) { /* b: strides of y */
    const bool whole = !sqn_dtype_is_float(from);
    const int64_t n = strided::reach(s.shape, s.a);
    values x = whole ? values::integers(from, n, 100) : values::floats(from, n, 0, 100);
    values y = sqn_dtype_is_float(to) ? values::floats(to, strided::reach(s.shape, s.b))
                                      : values::integers(to, strided::reach(s.shape, s.b), 100);
    sqn_k_copy k = {from, to, 3, {0}, {0}, {0}, x.at(), y.at(), 0};
    memcpy(k.shape, s.shape, sizeof s.shape);
    memcpy(k.x_stride, s.a, sizeof s.a);
    memcpy(k.y_stride, s.b, sizeof s.b);
    sqn_k_copy r = k;
    r.from = x.cpu_dtype(), r.to = y.cpu_dtype(), r.x = x.cpu(), r.y = y.cpu();
    for (k.add = 0; k.add <= (!whole && sqn_dtype_is_float(to)); k.add++) {
        r.add = k.add;
        check(sqn_cpu_copy(&r, nullptr), "cpu");
        check(sqn_cuda_copy(&k, nullptr), "cuda");
        y.expect(format("%s of %lld", sqn_dtype_name(to), (long long)s.shape[2]).c_str(),
                 1 + k.add);
    }
}

void copy(sqn_dtype from) {
    const strided list[] = {{{3, 5, 7}, {5, 1, 15}, {35, 7, 1}},
                            {{2, 3, 32}, {192, 64, 1}, {96, 32, 1}},
                            {{2, 3, 32}, {96, 32, 1}, {198, 66, 1}},
                            {{2, 3, 32}, {3, 1, 0}, {96, 32, 1}},
                            {{2, 3, 24}, {72, 24, 1}, {24, 48, 1}}};
    for (int to = 0; to < SQN_DTYPE_COUNT; to++)
        for (int64_t shift : {0, 1}) {
            const shifted by(shift);
            for (const strided &s : list) copy_of(from, (sqn_dtype)to, s);
            for (int64_t n = 1; n <= 40; n++)
                copy_of(from, (sqn_dtype)to, {{1, 1, n}, {0, 0, 1}, {n, n, 1}});
        }
}

void random_values(sqn_dtype dtype) {
    for (int normal : {0, 1})
        for (int64_t n : {1, 6, 8, 517, 2060}) {
            const shifted by(n % 3);
            values y(dtype, n);
            sqn_k_random a = {dtype, n, y.at(), 5, 7, 11, normal, -1, 2}, r = a;
            r.dtype = SQN_F64, r.y = y.cpu();
            check(sqn_cpu_random(&r, nullptr), "cpu");
            check(sqn_cuda_random(&a, nullptr), "cuda");
            y.expect("y");
        }
}

void dropout_of(sqn_dtype dtype, int64_t n) {
    values x = values::floats(dtype, n), y(dtype, n);
    sqn_k_dropout a = {dtype, n, x.at(), y.at(), 0.3, 5, 7, 11}, r = a;
    r.dtype = SQN_F64, r.x = x.cpu(), r.y = y.cpu();
    check(sqn_cpu_dropout(&r, nullptr), "cpu");
    check(sqn_cuda_dropout(&a, nullptr), "cuda");
    y.expect("y");
}

void dropout(sqn_dtype dtype) {
    for (int64_t shift : {0, 1}) {
        const shifted by(shift);
        for (int64_t n = 1; n <= 40; n++) dropout_of(dtype, n);
        dropout_of(dtype, 4096 + 517);
        dropout_of(dtype, 4096 + 512);
    }
}

void swiglu_of(sqn_dtype dtype, int64_t n) {
    values gate = values::floats(dtype, n), up = values::floats(dtype, n), y(dtype, n);
    sqn_k_swiglu a = {dtype, n, gate.at(), up.at(), y.at()},
                 r = {SQN_F64, n, gate.cpu(), up.cpu(), y.cpu()};
    check(sqn_cpu_swiglu(&r, nullptr), "cpu");
    check(sqn_cuda_swiglu(&a, nullptr), "cuda");
    y.expect("y");
    values dy = values::floats(dtype, n), dgate(dtype, n), dup(dtype, n);
    sqn_k_swiglu_grad g = {dtype, n, gate.at(), up.at(), dy.at(), dgate.at(), dup.at()};
    sqn_k_swiglu_grad h = {SQN_F64, n, gate.cpu(), up.cpu(), dy.cpu(), dgate.cpu(), dup.cpu()};
    check(sqn_cpu_swiglu_grad(&h, nullptr), "cpu");
    check(sqn_cuda_swiglu_grad(&g, nullptr), "cuda");
    dgate.expect("dgate");
    dup.expect("dup");
}

void swiglu(sqn_dtype dtype) {
    for (int64_t shift : {0, 1}) {
        const shifted by(shift);
        for (int64_t n = 1; n <= 40; n++) swiglu_of(dtype, n);
        swiglu_of(dtype, 1000);
    }
}
} // namespace

std::vector<kernel_case> elementwise_cases() {
    std::vector<sqn_dtype> all = floats, integers = {SQN_I64, SQN_I32, SQN_U8};
    all.insert(all.end(), integers.begin(), integers.end());
    return {{"map", floats, map},
            {"map_unaligned", floats, map_unaligned},
            {"zip", all, zip},
            {"copy", all, copy},
            {"random", floats, random_values},
            {"dropout", floats, dropout},
            {"swiglu", floats, swiglu}};
}
