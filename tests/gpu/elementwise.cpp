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

void zip(sqn_dtype dtype) {
    bool whole = !sqn_dtype_is_float(dtype);
    struct shapes {
        int64_t shape[3], a[3], b[3];
    } list[] = {{{4, 5, 7}, {35, 7, 1}, {35, 7, 1}},
                {{4, 5, 7}, {35, 7, 1}, {0, 7, 1}},
                {{4, 5, 7}, {0, 0, 1}, {5, 1, 0}},
                {{3, 1, 65}, {65, 65, 1}, {1, 1, 3}}};
    for (int op = 0; op < SQN_ZIP_COUNT; op++)
        for (const shapes &s : list) {
            int64_t n = s.shape[0] * s.shape[1] * s.shape[2];
            values a = whole ? values::integers(dtype, 200, 5) : values::floats(dtype, 200, 0.5);
            values b = whole ? values::integers(dtype, 200, 5) : values::floats(dtype, 200, 0.5);
            values y(op >= SQN_ZIP_EQ ? SQN_U8 : dtype, n);
            sqn_k_zip k = {(sqn_zip)op, dtype, 3, {0}, {0}, {0}, a.at(), b.at(), y.at()};
            memcpy(k.shape, s.shape, sizeof s.shape);
            memcpy(k.a_stride, s.a, sizeof s.a);
            memcpy(k.b_stride, s.b, sizeof s.b);
            sqn_k_zip r = k;
            r.dtype = a.cpu_dtype(), r.a = a.cpu(), r.b = b.cpu(), r.y = y.cpu();
            check(sqn_cpu_zip(&r, nullptr), "cpu");
            check(sqn_cuda_zip(&k, nullptr), "cuda");
            y.expect(format("zip %d", op).c_str());
        }
}

void copy(sqn_dtype from) {
    for (int to = 0; to < SQN_DTYPE_COUNT; to++) {
        bool whole = !sqn_dtype_is_float(from);
        values x = whole ? values::integers(from, 120, 100) : values::floats(from, 120, 0, 100);
        values y((sqn_dtype)to, 105);
        sqn_k_copy k = {from,       (sqn_dtype)to, 3,      {3, 5, 7}, {5, 1, 15},
                        {35, 7, 1}, x.at(),        y.at(), 0};
        sqn_k_copy r = k;
        r.from = x.cpu_dtype(), r.to = y.cpu_dtype(), r.x = x.cpu(), r.y = y.cpu();
        check(sqn_cpu_copy(&r, nullptr), "cpu");
        check(sqn_cuda_copy(&k, nullptr), "cuda");
        y.expect(sqn_dtype_name((sqn_dtype)to));
        if (whole || !sqn_dtype_is_float((sqn_dtype)to)) continue;
        values z = values::floats((sqn_dtype)to, 105);
        k.add = r.add = 1, k.y = z.at(), r.y = z.cpu();
        check(sqn_cpu_copy(&r, nullptr), "cpu");
        check(sqn_cuda_copy(&k, nullptr), "cuda");
        z.expect("sum");
    }
}

void random_values(sqn_dtype dtype) {
    for (int normal : {0, 1}) {
        values y(dtype, 517);
        sqn_k_random a = {dtype, 517, y.at(), 5, 7, 11, normal, -1, 2}, r = a;
        r.dtype = SQN_F64, r.y = y.cpu();
        check(sqn_cpu_random(&r, nullptr), "cpu");
        check(sqn_cuda_random(&a, nullptr), "cuda");
        y.expect("y");
    }
}

void dropout(sqn_dtype dtype) {
    values x = values::floats(dtype, 517), y(dtype, 517);
    sqn_k_dropout a = {dtype, 517, x.at(), y.at(), 0.3, 5, 7, 11}, r = a;
    r.dtype = SQN_F64, r.x = x.cpu(), r.y = y.cpu();
    check(sqn_cpu_dropout(&r, nullptr), "cpu");
    check(sqn_cuda_dropout(&a, nullptr), "cuda");
    y.expect("y");
}

void swiglu(sqn_dtype dtype) {
    for (int64_t n : {3, 1000}) {
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
}

void adamw(sqn_dtype dtype) {
    const int64_t n = 333;
    sqn_dtype wide = accumulator(dtype);
    for (bool master : {false, true}) {
        if (master && wide == SQN_F64) continue;
        values p = values::floats(dtype, n), w = values::floats(SQN_F32, n),
               g = values::floats(dtype, n), m = values::floats(wide, n),
               v = values::floats(wide, n, 0.1, 1);
        sqn_k_adamw a = {};
        a.dtype = a.grad_dtype = dtype, a.n = n, a.step = 3;
        a.param = p.at(), a.master = master ? w.at() : nullptr, a.grad = g.at(), a.m = m.at(),
        a.v = v.at();
        a.lr = 1e-2, a.beta1 = 0.9, a.beta2 = 0.99, a.eps = 1e-8, a.weight_decay = 0.1,
        a.grad_scale = 0.5;
        sqn_k_adamw r = a;
        r.dtype = r.grad_dtype = SQN_F64, r.grad = g.cpu(), r.m = m.cpu(), r.v = v.cpu();
        r.param = master ? w.cpu() : p.cpu(),
        r.master = nullptr; /* the CPU's in f64 has no copies */
        check(sqn_cpu_adamw(&r, nullptr), "cpu");
        check(sqn_cuda_adamw(&a, nullptr), "cuda");
        if (master)
            w.expect("master");
        else
            p.expect("param");
        m.expect("m");
        v.expect("v");
    }
}

/* 8-bit states and stochastic rounding: the same codes and weights as the CPU's, but where a sum in
 * another order falls on the other side of a rounding. */
void adamw_narrow(sqn_dtype dtype) {
    const int64_t n = 700, blocks = (n + SQN_STATE_BLOCK - 1) / SQN_STATE_BLOCK;
    values p = values::floats(dtype, n), g = values::floats(dtype, n, -1, 1),
           m = values::integers(SQN_U8, n, 256), v = values::integers(SQN_U8, n, 256),
           ms = values::floats(SQN_F32, blocks, 0.5, 1),
           vs = values::floats(SQN_F32, blocks, 0.5, 1);
    sqn_k_adamw a = {};
    a.dtype = a.grad_dtype = dtype, a.n = n, a.step = 3;
    a.param = p.at(), a.grad = g.at(), a.m = m.at(), a.v = v.at();
    a.m_scale = (float *)ms.at(), a.v_scale = (float *)vs.at();
    a.lr = 1e-2, a.beta1 = 0.9, a.beta2 = 0.99, a.eps = 1e-8, a.weight_decay = 0.1,
    a.grad_scale = 0.5;
    a.stochastic = dtype == SQN_BF16, a.seed = 3, a.stream = 4, a.offset = 5;
    std::vector<char> cp((size_t)n * 4), cg((size_t)n * 4), cm((size_t)n), cv((size_t)n);
    std::vector<float> cms((size_t)blocks), cvs((size_t)blocks);
    size_t bytes = (size_t)n * sqn_dtype_size(dtype);
    device_read(cp.data(), p.at(), bytes), device_read(cg.data(), g.at(), bytes);
    device_read(cm.data(), m.at(), (size_t)n), device_read(cv.data(), v.at(), (size_t)n);
    device_read(cms.data(), ms.at(), (size_t)blocks * 4),
        device_read(cvs.data(), vs.at(), (size_t)blocks * 4);
    sqn_k_adamw r = a;
    r.param = cp.data(), r.grad = cg.data(), r.m = cm.data(), r.v = cv.data(),
    r.m_scale = cms.data(), r.v_scale = cvs.data();
    check(sqn_cpu_adamw(&r, nullptr), "cpu");
    check(sqn_cuda_adamw(&a, nullptr), "cuda");
    std::vector<uint8_t> gm((size_t)n), gv((size_t)n);
    device_read(gm.data(), m.at(), (size_t)n), device_read(gv.data(), v.at(), (size_t)n);
    for (size_t i = 0; i < (size_t)n; i++)
        if (abs(gm[i] - (uint8_t)cm[i]) > 1 || abs(gv[i] - (uint8_t)cv[i]) > 1)
            fault(format("codes of %zu: %d %d, not %d %d", i, gm[i], gv[i], (uint8_t)cm[i],
                         (uint8_t)cv[i]));
    for (int64_t b = 0; b < blocks; b++)
        ms.doubles()[b] = cms[(size_t)b], vs.doubles()[b] = cvs[(size_t)b];
    ms.expect("scales of m");
    vs.expect("scales of v");
    std::vector<double> got = p.fetch();
    for (size_t i = 0; i < (size_t)n; i++) {
        double want = dtype == SQN_BF16 ? bf16_value(&cp[i * 2]) : (double)((float *)cp.data())[i];
        if (!(fabs(got[i] - want) <= tolerance(dtype) * (1 + fabs(want))))
            fault(format("weight %zu is %g, not %g", i, got[i], want));
    }
}

void norm(sqn_dtype dtype) {
    for (int64_t n : {0, 1, 1000, 70000}) {
        values x = values::floats(dtype, n > 0 ? n : 1), sum(SQN_F64, 1);
        sqn_k_norm_sq a = {dtype, n, x.at(), (double *)sum.at()},
                      r = {SQN_F64, n, x.cpu(), sum.doubles()};
        check(sqn_cpu_norm_sq(&r, nullptr), "cpu");
        check(sqn_cuda_norm_sq(&a, nullptr), "cuda");
        sum.expect("sum");
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
            {"swiglu", floats, swiglu},
            {"adamw", floats, adamw},
            {"adamw_narrow", {SQN_F32, SQN_BF16}, adamw_narrow},
            {"norm", floats, norm}};
}
