/* Large cases of products: the layers of a 0.5B and a 7B model, and MOMQ's experts as the 7B script
 * has them. Entries at random against f64. */
#include "tests/gpu/large.h"

namespace {
struct product {
    int64_t m, n, k;
    int trans_a, trans_b, bias, accumulate;
    bool wide; /* into f32 */
};

/* Sizes of layers, and small ones like them. */
constexpr int64_t like(int64_t n) { return size_of(n, (n / 112 + 7) / 8 * 8); }
constexpr int64_t tokens = size_of(8192, 37);

void multiply(sqn_dtype dtype, const product &s) {
    const sqn_dtype c_dtype = s.wide ? SQN_F32 : dtype;
    field a = field::drawn(dtype, s.m * s.k), b = field::drawn(dtype, s.k * s.n),
          bias = field::drawn(dtype, s.n), c = field::drawn(c_dtype, s.m * s.n);
    sqn_k_matmul k = {};
    k.dtype = dtype, k.c_dtype = c_dtype, k.batch = 1, k.m = s.m, k.n = s.n, k.k = s.k;
    k.a = a.at(), k.b = b.at(), k.c = c.at(), k.bias = s.bias ? bias.at() : nullptr;
    k.trans_a = s.trans_a, k.trans_b = s.trans_b, k.accumulate = s.accumulate;
    k.lda = s.trans_a ? s.m : s.k, k.ldb = s.trans_b ? s.k : s.n, k.ldc = s.n;
    check(sqn_cuda_matmul(&k, nullptr), "cuda");
    for (int64_t at : some(s.m * s.n, 64)) {
        const int64_t i = at / s.n, j = at % s.n;
        double sum = (s.accumulate ? c.drawn_at(at) : 0) + (s.bias ? bias.drawn_at(j) : 0);
#pragma omp parallel for reduction(+ : sum)
        for (int64_t l = 0; l < s.k; l++)
            sum += a.drawn_at(s.trans_a ? l * s.m + i : i * s.k + l) *
                   b.drawn_at(s.trans_b ? j * s.k + l : l * s.n + j);
        /* Of f32 what matters is the order of the sum, and that a tensor core cuts off its bits. */
        const bool narrow = c_dtype != SQN_F32;
        c.expect(format("%lld x %lld x %lld", (long long)s.m, (long long)s.n, (long long)s.k), at,
                 {sum}, narrow ? 1 : 4, narrow ? 1 : sqrt((double)s.k));
    }
}

/* y = x W^T + bias, dx = dy W, dW += dy^T x */
void layer(sqn_dtype dtype, int64_t out, int64_t in) {
    multiply(dtype, {tokens, out, in, 0, 1, 1, 0, false});
    multiply(dtype, {tokens, in, out, 0, 0, 0, 0, false});
    multiply(dtype, {out, in, tokens, 1, 0, 0, 1, true});
}

void products(sqn_dtype dtype) {
    for (int64_t hidden : {896, 3584}) {
        const int64_t inner = like(hidden == 896 ? 4864 : 18944), h = like(hidden);
        layer(dtype, h, h);
        layer(dtype, like(hidden / 7), h); /* keys and values */
        layer(dtype, inner, h);
        layer(dtype, h, inner);
        multiply(dtype, {size_of(512, 20), like(151936), h, 0, 1, 0, 0, true}); /* the head */
    }
}

void few_rows(sqn_dtype dtype) {
    for (int64_t rows : {1, 8, 16}) {
        multiply(dtype, {rows, like(18944), like(3584), 0, 1, 1, 0, false});
        multiply(dtype, {rows, like(3584), like(18944), 0, 1, 0, 0, false});
        multiply(dtype, {rows, like(151936), like(896), 0, 1, 0, 0, true});
    }
}

/* ---- experts ---- */

struct experts {
    const int64_t count = size_of(24, 5), slots = 2, rank = size_of(128, 8), in = like(3584),
                  out = like(18944), places = tokens * slots;
    const double scale = 2, p = 0.05;
    const uint64_t seed = 3, stream = 4, offset = 5;
    std::vector<int64_t> id, order, start;
    field x, a, b, w, h, base, total, dy, dx, da, db, dw;

    explicit experts(sqn_dtype t)
        : order((size_t)places), start((size_t)count + 1), x(field::drawn(t, tokens * in, -1, 1)),
          a(field::drawn(t, count * rank * in, -0x1p-5, 0x1p-5)),
          b(field::drawn(t, count * out * rank, -0x1p-3, 0x1p-3)), w(field::drawn(t, places, 0, 1)),
          h(SQN_F32, places * rank), base(field::drawn(t, tokens * out)), total(t, tokens * out),
          dy(field::drawn(t, tokens * out, -1, 1)), dx(t, tokens * in), da(SQN_F32, a.n),
          db(SQN_F32, b.n), dw(t, places) {
        for (int64_t i = 0; i < places; i++) id.push_back(choose(count + 1) - 1);
        sqn_k_moe_group g = {places, count, id.data(), order.data(), start.data()};
        check(sqn_cpu_moe_group(&g, nullptr), "cpu");
    }

    void run() {
        values ids = values::of(id), o(SQN_I64, places), s(SQN_I64, count + 1);
        sqn_k_moe_group group = {places, count, ids.ids(), o.ids(), s.ids()};
        check(sqn_cuda_moe_group(&group, nullptr), "cuda");
        const std::vector<double> got = o.fetch(), began = s.fetch();
        for (size_t i = 0; i < start.size(); i++)
            if ((int64_t)began[i] != start[i]) fault(format("start %zu is %g", i, began[i]));
        for (size_t i = 0; i < (size_t)start.back(); i++)
            if ((int64_t)got[i] != order[i]) fault(format("place %zu is %g", i, got[i]));
        sqn_k_moe_lora k = {};
        k.dtype = x.dtype, k.tokens = tokens, k.slots = slots, k.experts = count, k.in = in;
        k.out = out, k.rank = rank, k.x = x.at(), k.a = a.at(), k.b = b.at(), k.weights = w.at();
        k.order = o.ids(), k.start = s.ids(), k.scale = scale, k.p = p, k.seed = seed;
        k.stream = stream, k.offset = offset, k.h = h.at();
        k.base = base.at(), k.total = total.at();
        check(sqn_cuda_moe_lora(&k, nullptr), "cuda");
        sqn_k_moe_lora_grad g = {};
        g.forward = k, g.dy = dy.at(), g.dx = dx.at(), g.da = da.at(), g.db = db.at();
        g.dweights = dw.at(), g.set_a = g.set_b = 1;
        check(sqn_cuda_moe_lora_grad(&g, nullptr), "cuda");
    }

    /* The factor of x[i] at a place: 0 where it is dropped. */
    double kept(int64_t place, int64_t i) const {
        const uint64_t at = offset + (uint64_t)(place * ((in + 3) / 4) + i / 4);
        const float unit = sqn_philox_unit(sqn_philox_at(seed, stream, at).v[i % 4]);
        return unit < (float)p ? 0 : 1 / (1 - p);
    }
    double low(int64_t place, int64_t r) const { /* (drop(x) A^T)[r] */
        const int64_t e = id[(size_t)place];
        double sum = 0;
        for (int64_t i = 0; i < in; i++)
            sum += kept(place, i) * x.drawn_at(place / slots * in + i) *
                   a.drawn_at((e * rank + r) * in + i);
        return sum;
    }
    double back(int64_t place, int64_t r) const { /* (dy B)[r] */
        const int64_t e = id[(size_t)place];
        double sum = 0;
        for (int64_t c = 0; c < out; c++)
            sum += dy.drawn_at(place / slots * out + c) * b.drawn_at((e * out + c) * rank + r);
        return sum;
    }

    /* What a token's places give, and the gradients that go back to it. */
    void expect_token(int64_t t) const {
        const double own = x.dtype == SQN_F32 ? 10 : 2; /* all three are rounded to the dtype */
        std::vector<double> sum = base.drawn(t * out, out), gradient((size_t)in);
        for (int64_t place = t * slots; place < (t + 1) * slots; place++) {
            const int64_t e = id[(size_t)place];
            double of_weight = 0;
            if (e >= 0) {
                const double factor = scale * w.drawn_at(place);
                std::vector<double> l((size_t)rank), u((size_t)rank);
#pragma omp parallel for
                for (int64_t r = 0; r < rank; r++)
                    l[(size_t)r] = low(place, r), u[(size_t)r] = back(place, r);
                for (size_t r = 0; r < l.size(); r++) of_weight += scale * l[r] * u[r];
#pragma omp parallel for
                for (int64_t c = 0; c < out; c++)
                    for (int64_t r = 0; r < rank; r++)
                        sum[(size_t)c] +=
                            factor * l[(size_t)r] * b.drawn_at((e * out + c) * rank + r);
#pragma omp parallel for
                for (int64_t i = 0; i < in; i++)
                    for (int64_t r = 0; r < rank; r++)
                        gradient[(size_t)i] += factor * kept(place, i) * u[(size_t)r] *
                                               a.drawn_at((e * rank + r) * in + i);
            }
            dw.expect("dweights", place, {of_weight}, own, 10);
        }
        total.expect("total", t * out, sum, own);
        dx.expect("dx", t * in, gradient, own);
    }

    /* One element of da and of db: a sum over the expert's places. */
    void expect_expert(int64_t e, double loose) const {
        const int64_t r = choose(rank), i = choose(in), c = choose(out);
        const int64_t first = start[(size_t)e], n = start[(size_t)e + 1] - first;
        const std::vector<double> hidden = n ? h.fetch(first * rank, n * rank) : h.fetch(0, 0);
        double of_a = 0, of_b = 0;
#pragma omp parallel for reduction(+ : of_a, of_b)
        for (int64_t j = 0; j < n; j++) {
            const int64_t place = order[(size_t)(first + j)], t = place / slots;
            const double factor = scale * w.drawn_at(place);
            of_a += factor * back(place, r) * kept(place, i) * x.drawn_at(t * in + i);
            of_b += factor * dy.drawn_at(t * out + c) * hidden[(size_t)(j * rank + r)];
        }
        da.expect("da", (e * rank + r) * in + i, {of_a}, loose, sqrt((double)n + 1));
        db.expect("db", (e * out + c) * rank + r, {of_b}, loose, sqrt((double)n + 1));
    }
};

void mixture(sqn_dtype dtype) {
    experts m(dtype);
    m.run();
    /* What is rounded on the way is rounded to the dtype. */
    const double loose = dtype == SQN_F32 ? 10 : 2000;
    for (int64_t t : some(tokens, 6)) m.expect_token(t);
    for (int64_t e : some(m.count, 4)) m.expect_expert(e, loose);
}
} // namespace

std::vector<kernel_case> large_product_cases() {
    return {{"large_products", {SQN_BF16, SQN_F32}, products},
            {"large_few_rows", {SQN_BF16}, few_rows},
            {"large_experts", {SQN_BF16, SQN_F32}, mixture}};
}
