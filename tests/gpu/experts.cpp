/* Cases of the grouped experts: places without an expert, one expert that takes all, dropped
 * inputs. */
#include "tests/gpu/kernels.h"

namespace {
struct sizes {
    int64_t tokens, slots, in, out, rank;
};

/* The results of a call's magnitudes: sums of the absolute values of what the call adds up. What is
 * rounded on the way (a factor within 1 +- unit each time) moves a result by no more than so many
 * units of it. */
struct magnitudes {
    std::vector<double> total, dx, da, db, dw;

    static std::vector<double> of(const void *p, int64_t n) {
        std::vector<double> v((const double *)p, (const double *)p + (p ? n : 0));
        for (double &d : v) d = fabs(d);
        return v;
    }
    explicit magnitudes(sqn_k_moe_lora_grad g) {
        sqn_k_moe_lora &f = g.forward;
        const int64_t size_a = f.experts * f.rank * f.in, size_b = f.experts * f.out * f.rank,
                      places = f.tokens * f.slots;
        const auto x = of(f.x, f.tokens * f.in), a = of(f.a, size_a), b = of(f.b, size_b),
                   w = of(f.weights, places), base = of(f.base, f.tokens * f.out),
                   dy = of(g.dy, f.tokens * f.out);
        std::vector<double> h((size_t)(places * f.rank));
        total.resize((size_t)(f.tokens * f.out));
        dx.resize((size_t)(f.tokens * f.in)), dw.resize((size_t)places);
        da = of(g.da, size_a), db = of(g.db, size_b);
        f.x = x.data(), f.a = a.data(), f.b = b.data(), f.weights = w.data(), f.h = h.data();
        f.base = f.base ? base.data() : nullptr, f.total = total.data();
        check(sqn_cpu_moe_lora(&f, nullptr), "cpu");
        g.dy = dy.data(), g.dx = dx.data(), g.da = da.data(), g.db = db.data();
        g.dweights = dw.data();
        check(sqn_cpu_moe_lora_grad(&g, nullptr), "cpu");
    }
};

void experts(sqn_dtype dtype, const sizes &size, int64_t count, int64_t only, double p) {
    const int64_t tokens = size.tokens, slots = size.slots, in = size.in, out = size.out,
                  rank = size.rank, places = tokens * slots;
    std::vector<int64_t> list;
    for (int64_t i = 0; i < places; i++) list.push_back(only >= 0 ? only : choose(count + 1) - 1);
    values ids = values::of(list), order(SQN_I64, places), start(SQN_I64, count + 1);
    std::vector<int64_t> cpu_order((size_t)places, -1), cpu_start((size_t)count + 1);
    sqn_k_moe_group g = {places, count, ids.ids(), order.ids(), start.ids()};
    sqn_k_moe_group h = {places, count, list.data(), cpu_order.data(), cpu_start.data()};
    check(sqn_cpu_moe_group(&h, nullptr), "cpu");
    check(sqn_cuda_moe_group(&g, nullptr), "cuda");
    std::vector<double> got = start.fetch(), places_got = order.fetch();
    for (size_t e = 0; e <= (size_t)count; e++)
        if ((int64_t)got[e] != cpu_start[e]) fault(format("start %zu is %g", e, got[e]));
    for (size_t i = 0; i < (size_t)places; i++)
        if ((int64_t)places_got[i] != cpu_order[i])
            fault(format("place %zu is %g", i, places_got[i]));

    const sqn_dtype wide = accumulator(dtype);
    values x = values::floats(dtype, tokens * in, -1, 1),
           a = values::floats(dtype, count * rank * in, -1, 1),
           b = values::floats(dtype, count * out * rank, -1, 1),
           w = values::floats(dtype, places, 0, 1), base = values::floats(dtype, tokens * out),
           total(dtype, tokens * out), hidden(wide, places * rank);
    sqn_k_moe_lora k = {};
    k.dtype = dtype, k.tokens = tokens, k.slots = slots, k.experts = count, k.in = in, k.out = out,
    k.rank = rank;
    k.x = x.at(), k.a = a.at(), k.b = b.at(), k.weights = w.at(), k.order = order.ids(),
    k.start = start.ids(), k.base = p > 0 ? nullptr : base.at(), k.total = total.at();
    k.scale = 0.7, k.p = p, k.seed = 3, k.stream = 4, k.offset = 5, k.h = hidden.at();
    sqn_k_moe_lora r = k;
    r.dtype = SQN_F64, r.x = x.cpu(), r.a = a.cpu(), r.b = b.cpu(), r.weights = w.cpu();
    r.order = cpu_order.data(), r.start = cpu_start.data(), r.h = hidden.cpu();
    r.base = p > 0 ? nullptr : base.cpu(), r.total = total.cpu();
    check(sqn_cpu_moe_lora(&r, nullptr), "cpu");
    check(sqn_cuda_moe_lora(&k, nullptr), "cuda");

    values dy = values::floats(dtype, tokens * out, -1, 1), dx(dtype, tokens * in),
           da = values::floats(wide, a.n), db = values::floats(wide, b.n), dw(dtype, places);
    const int set = p > 0; /* what stands in da and db is added to, or not */
    sqn_k_moe_lora_grad q = {k, dy.at(), dx.at(), dw.at(), da.at(), db.at(), set, set};
    sqn_k_moe_lora_grad s = {r, dy.cpu(), dx.cpu(), dw.cpu(), da.cpu(), db.cpu(), set, set};
    magnitudes of(s);
    check(sqn_cpu_moe_lora_grad(&s, nullptr), "cpu");
    check(sqn_cuda_moe_lora_grad(&q, nullptr), "cuda");

    /* Every sum has at most so many numbers, added in the accumulator type; tensor cores cut off.
     */
    const int64_t most = in + out + rank + places;
    const auto bound = [&](int roundings) {
        return roundings * unit(dtype) + 2.0 * (double)most * unit(wide);
    };
    const int dropped = p > 0;                                  /* x is rounded once more */
    total.expect_within("total", of.total, bound(3 + dropped)); /* values, terms, the result */
    dx.expect_within("dx", of.dx, bound(3));                    /* values, terms, the result */
    da.expect_within("da", of.da, bound(1 + dropped));          /* values */
    db.expect_within("db", of.db, bound(1 + dropped));          /* values */
    dw.expect_within("dweights", of.dw, bound(1 + dropped));
}

const sizes odd = {45, 2, 69, 41, 5}, even = {70, 3, 136, 200, 24},
            wide_rank = {33, 1, 40, 72, 136};

void all(sqn_dtype dtype) {
    experts(dtype, odd, 5, -1, 0);
    experts(dtype, odd, 3, 1, 0);
    experts(dtype, odd, 40, -1, 0.3);
}

void on_tensor_cores(sqn_dtype dtype) {
    experts(dtype, even, 5, -1, 0);
    experts(dtype, even, 3, -1, 0.3);
    experts(dtype, wide_rank, 2, 1, 0);
    const shifted by(1); /* addresses that are no multiple of 16 go another way */
    experts(dtype, even, 3, -1, 0.3);
}
} // namespace

std::vector<kernel_case> expert_cases() {
    return {{"experts", {SQN_F32, SQN_BF16, SQN_F16, SQN_F64}, all},
            {"experts_mma", {SQN_BF16, SQN_F16}, on_tensor_cores}};
}
