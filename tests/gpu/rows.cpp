/* Cases of reductions, softmax, rows by index, norms, rope, the head's loss, topk and sampling. */
#include "tests/gpu/kernels.h"

#include <algorithm>

namespace {
const std::vector<sqn_dtype> floats = {SQN_F32, SQN_BF16, SQN_F16, SQN_F64};

void reduce_of(sqn_dtype dtype, sqn_reduce op, int64_t outer, int64_t n, int64_t inner) {
    const sqn_dtype to = op == SQN_REDUCE_ARGMAX ? SQN_I64 : dtype;
    values x = values::floats(dtype, outer * n * inner), y(to, outer * inner);
    sqn_k_reduce a = {op, dtype, outer, n, inner, x.at(), y.at(), 0.5, 0, 0}, r = a;
    r.dtype = SQN_F64, r.x = x.cpu(), r.y = y.cpu();
    check(sqn_cpu_reduce(&r, nullptr), "cpu");
    check(sqn_cuda_reduce(&a, nullptr), "cuda");
    y.expect(format("reduce %d of %lld", op, (long long)n).c_str(), n > 1000 ? 10 : 1);
    const shifted by(1);
    values odd = x.again(), z(to, outer * inner);
    a.x = odd.at(), a.y = z.at();
    check(sqn_cuda_reduce(&a, nullptr), "cuda");
    z.expect_bits(y, "what is not aligned");
}

void reduce(sqn_dtype dtype) {
    const int64_t sizes[][3] = {{1, 1, 1}, {3, 37, 1}, {2, 1300, 1}, {2, 130, 5}, {1, 3, 200}};
    for (auto &s : sizes)
        for (int op = SQN_REDUCE_SUM; op <= SQN_REDUCE_ARGMAX; op++)
            reduce_of(dtype, (sqn_reduce)op, s[0], s[1], s[2]);
}

void sums(sqn_dtype dtype) {
    for (int64_t n = 1; n <= 40; n++) {
        reduce_of(dtype, SQN_REDUCE_SUM, 3, n, 1);
        reduce_of(dtype, SQN_REDUCE_SUM, 2, 5, n);
    }
    reduce_of(dtype, SQN_REDUCE_SUM, 1, 70000, 1);
    reduce_of(dtype, SQN_REDUCE_SUM, 40, 264, 1);
    reduce_of(dtype, SQN_REDUCE_SUM, 1, 300, 264);
}

void reduce_into(sqn_dtype dtype) { /* what is there, of the accumulator type or the dtype */
    const int64_t sizes[][3] = {{2, 37, 1}, {1, 70000, 1}, {2, 60, 5}, {1, 130, 200}};
    for (auto &s : sizes)
        for (int wide : {0, 1}) {
            values x = values::floats(dtype, s[0] * s[1] * s[2], 0, 1e-3),
                   y = values::floats(wide ? accumulator(dtype) : dtype, s[0] * s[2]);
            sqn_k_reduce a = {SQN_REDUCE_SUM, dtype,  s[0], s[1], s[2],
                              x.at(),         y.at(), 0.5,  wide, 1};
            sqn_k_reduce r = a;
            r.dtype = SQN_F64, r.x = x.cpu(), r.y = y.cpu();
            check(sqn_cpu_reduce(&r, nullptr), "cpu");
            check(sqn_cuda_reduce(&a, nullptr), "cuda");
            y.expect(format("sum of %lld, wide %d", (long long)s[1], wide).c_str(), 4);
        }
}

void reduce_nan(sqn_dtype dtype) { /* a NaN wins, the first of equals too */
    values x(dtype, 70), y(SQN_I64, 2);
    std::vector<double> v(70, 1.0);
    v[40] = NAN, v[60] = 3, v[20] = NAN;
    x.set(v);
    sqn_k_reduce a = {SQN_REDUCE_ARGMAX, dtype, 2, 35, 1, x.at(), y.at(), 1, 0, 0}, r = a;
    r.dtype = SQN_F64, r.x = x.cpu(), r.y = y.cpu();
    check(sqn_cpu_reduce(&r, nullptr), "cpu");
    check(sqn_cuda_reduce(&a, nullptr), "cuda");
    y.expect("place");
}

void softmax_of(sqn_dtype dtype, int64_t rows, int64_t n, int log) {
    values x = values::floats(dtype, rows * n, -5, 5), y(dtype, rows * n);
    if (n > 2) { /* a mask, at the beginning and the end */
        std::vector<double> v(x.doubles(), x.doubles() + rows * n);
        v[0] = v[(size_t)n - 1] = -INFINITY;
        x.set(v);
    }
    sqn_k_softmax a = {dtype, rows, n, x.at(), y.at(), log};
    sqn_k_softmax r = {SQN_F64, rows, n, x.cpu(), y.cpu(), log};
    check(sqn_cpu_softmax(&r, nullptr), "cpu");
    check(sqn_cuda_softmax(&a, nullptr), "cuda");
    y.expect("y");
    values dy = values::floats(dtype, rows * n), dx(dtype, rows * n);
    values from = values::floats(dtype, rows * n, log ? -3 : 0, log ? -1 : 0.01);
    sqn_k_softmax_grad g = {dtype, rows, n, from.at(), dy.at(), dx.at(), log};
    sqn_k_softmax_grad h = {SQN_F64, rows, n, from.cpu(), dy.cpu(), dx.cpu(), log};
    check(sqn_cpu_softmax_grad(&h, nullptr), "cpu");
    check(sqn_cuda_softmax_grad(&g, nullptr), "cuda");
    dx.expect("dx", n > 1000 ? 40 : 4); /* sums of so many terms lose that much in any order */

    const shifted by(1);
    values x2 = x.again(), y2(dtype, rows * n), from2 = from.again(), dy2 = dy.again(),
           dx2(dtype, rows * n);
    a.x = x2.at(), a.y = y2.at();
    check(sqn_cuda_softmax(&a, nullptr), "cuda");
    y2.expect_bits(y, "y of what is not aligned");
    g.y = from2.at(), g.dy = dy2.at(), g.dx = dx2.at();
    check(sqn_cuda_softmax_grad(&g, nullptr), "cuda");
    dx2.expect_bits(dx, "dx of what is not aligned");
}

void softmax(sqn_dtype dtype) {
    for (int64_t n = 1; n <= 40; n++) softmax_of(dtype, 5, n, n % 2 == 0);
    for (int log : {0, 1}) {
        softmax_of(dtype, 20, 64, log);
        softmax_of(dtype, 5, 700, log);
    }
}

void softmax_long(sqn_dtype dtype) { /* held in several packs a thread, not held */
    for (int64_t n : {3000, 8192, 8200, 20003}) softmax_of(dtype, 2, n, n == 8200);
}

/* Indexes of `below` rows, -1 and `below`, which nobody has. */
values some_rows(int64_t n, int64_t below) {
    std::vector<int64_t> list;
    for (int64_t i = 0; i < n; i++) list.push_back(choose(below + 2) - 1);
    return values::of(list);
}

void gather(sqn_dtype dtype) {
    for (int64_t n : {1, 8, 37}) {
        values x = values::floats(dtype, 11 * n), index = some_rows(20, 11), y(dtype, 20 * n);
        int64_t bytes = n * (int64_t)sqn_dtype_size(dtype);
        sqn_k_gather_rows a = {20, bytes, 11, x.at(), index.ids(), y.at()};
        sqn_k_gather_rows r = {20, n * 8, 11, x.cpu(), (int64_t *)index.cpu(), y.cpu()};
        check(sqn_cpu_gather_rows(&r, nullptr), "cpu");
        check(sqn_cuda_gather_rows(&a, nullptr), "cuda");
        y.expect("y");
    }
}

void scatter(sqn_dtype dtype) {
    const int64_t sizes[][2] = {{30, 21}, {5, 3}}; /* of y; into the second many rows fall */
    for (auto &[y_rows, n] : sizes)
        for (int add : {0, 1})
            for (int64_t rows : {1, 40, 600}) {
                values x = values::floats(dtype, rows * n), index = some_rows(rows, y_rows);
                values y = values::floats(dtype == SQN_BF16 ? SQN_F32 : dtype, y_rows * n);
                sqn_k_scatter_rows a = {dtype,  y.dtype,     rows,   n,  y_rows,
                                        x.at(), index.ids(), y.at(), add};
                sqn_k_scatter_rows r = {
                    SQN_F64, SQN_F64, rows, n, y_rows, x.cpu(), (int64_t *)index.cpu(),
                    y.cpu(), add};
                check(sqn_cpu_scatter_rows(&r, nullptr), "cpu");
                check(sqn_cuda_scatter_rows(&a, nullptr), "cuda");
                y.expect("y", dtype == SQN_F16 ? 20 : 4); /* f16 rounds after every addition */
            }
}

/* Inputs and outputs of the norm and its gradients. */
struct norm_run {
    int64_t rows, n;
    values x, residual, w, in, dy, dh, h, y, inv, dx, dw;
    int add = 0; /* to the dweight that is there */

    norm_run(sqn_dtype t, int64_t rows, int64_t n)
        : rows(rows), n(n), x(values::floats(t, rows * n)), residual(values::floats(t, rows * n)),
          w(values::floats(t, n)), in(values::floats(accumulator(t), rows, 0.5, 1)),
          dy(values::floats(t, rows * n)), dh(values::floats(t, rows * n)), h(t, rows * n),
          y(t, rows * n), inv(accumulator(t), rows), dx(t, rows * n), dw(accumulator(t), n) {}
    norm_run(const norm_run &o) /* the same inputs, where values begin now */
        : rows(o.rows), n(o.n), x(o.x.again()), residual(o.residual.again()), w(o.w.again()),
          in(o.in.again()), dy(o.dy.again()), dh(o.dh.again()), h(x.dtype, x.n), y(x.dtype, x.n),
          inv(in.dtype, rows), dx(x.dtype, x.n), dw(in.dtype, n) {}

    void on_card(bool fused, int64_t first, int64_t count) { /* some of the rows */
        const auto at = [&](const values &v) {
            return (char *)v.at() + first * (v.n / rows) * (int64_t)sqn_dtype_size(v.dtype);
        };
        sqn_k_rms_norm a = {x.dtype, count, n,     at(x),   fused ? at(residual) : nullptr,
                            w.at(),  at(h), at(y), at(inv), 1e-6};
        check(sqn_cuda_rms_norm(&a, nullptr), "cuda");
        sqn_k_rms_norm_grad g = {x.dtype, count,
                                 n,       at(x),
                                 w.at(),  at(in),
                                 at(dy),  fused ? at(dh) : nullptr,
                                 at(dx),  count == rows ? dw.at() : nullptr,
                                 add};
        check(sqn_cuda_rms_norm_grad(&g, nullptr), "cuda");
    }
    void on_cpu(bool fused) {
        sqn_k_rms_norm a = {SQN_F64, rows,    n,       x.cpu(),   fused ? residual.cpu() : nullptr,
                            w.cpu(), h.cpu(), y.cpu(), inv.cpu(), 1e-6};
        check(sqn_cpu_rms_norm(&a, nullptr), "cpu");
        sqn_k_rms_norm_grad g = {SQN_F64,  rows,     n,        x.cpu(),
                                 w.cpu(),  in.cpu(), dy.cpu(), fused ? dh.cpu() : nullptr,
                                 dx.cpu(), dw.cpu(), add};
        check(sqn_cpu_rms_norm_grad(&g, nullptr), "cpu");
    }
};

void rms_norm_of(sqn_dtype dtype, int64_t rows, int64_t n, bool fused) {
    norm_run a(dtype, rows, n);
    a.on_card(fused, 0, rows);
    a.on_cpu(fused);
    const bool narrow = dtype != accumulator(dtype);
    if (fused) a.h.expect("h");
    a.y.expect("y");
    a.inv.expect("inv", narrow ? 500 : 1);
    a.dx.expect("dx", 4);
    a.dw.expect("dweight", narrow ? 20000 : 10); /* h inv is rounded to the dtype on the way */
    const shifted by(1);
    norm_run b(a); /* elsewhere, in two batches */
    b.on_card(fused, 0, rows);
    b.dw.expect_bits(a.dw, "dweight of what is not aligned");
    b.on_card(fused, 0, rows / 2);
    b.on_card(fused, rows / 2, rows - rows / 2);
    b.y.expect_bits(a.y, "y of what is not aligned");
    b.inv.expect_bits(a.inv, "inv of what is not aligned");
    b.dx.expect_bits(a.dx, "dx of what is not aligned");
    a.add = 1;
    a.on_card(fused, 0, rows);
    a.on_cpu(fused);
    a.dw.expect("dweight, added", narrow ? 20000 : 10);
}

void rms_norm(sqn_dtype dtype) {
    for (int64_t n = 1; n <= 40; n++) rms_norm_of(dtype, 1 + n % 3, n, n % 2 == 0);
    rms_norm_of(dtype, 700, 7, true);
    rms_norm_of(dtype, 600, 128, false);
    rms_norm_of(dtype, 3, 896, true);
}

void rms_norm_long(sqn_dtype dtype) { /* held in several packs a thread, not held */
    for (int64_t n : {2056, 8192, 8200}) rms_norm_of(dtype, 2, n, n != 8192);
}

/* Two tensors of other numbers of heads; the second may have none. */
void rope_of(sqn_dtype dtype, int64_t heads, int64_t others, int64_t dim) {
    const int64_t tokens = 9, table = 20, n = tokens * heads * dim, m = tokens * others * dim;
    sqn_dtype wide = accumulator(dtype);
    values x = values::floats(dtype, n), y(dtype, n), x2 = values::floats(dtype, m), y2(dtype, m);
    values c = values::floats(wide, table * dim / 2, -1, 1),
           s = values::floats(wide, table * dim / 2, -1, 1);
    values at = values::integers(SQN_I64, tokens, table);
    for (int backward : {0, 1}) {
        sqn_k_rope a = {
            dtype,  tokens, dim,      {heads, others}, {x.at(), x2.at()}, {y.at(), y2.at()},
            c.at(), s.at(), at.ids(), backward};
        sqn_k_rope r = {SQN_F64,
                        tokens,
                        dim,
                        {heads, others},
                        {x.cpu(), x2.cpu()},
                        {y.cpu(), y2.cpu()},
                        c.cpu(),
                        s.cpu(),
                        (int64_t *)at.cpu(),
                        backward};
        check(sqn_cpu_rope(&r, nullptr), "cpu");
        check(sqn_cuda_rope(&a, nullptr), "cuda");
        y.expect("y");
        y2.expect("the other y");
        values in_place = x.again(), other = x2.again();
        a.x[0] = a.y[0] = in_place.at(), a.x[1] = a.y[1] = other.at();
        check(sqn_cuda_rope(&a, nullptr), "cuda");
        in_place.expect_bits(y, "y in place");
        other.expect_bits(y2, "the other y in place");
        const shifted by(1);
        values odd = x.again(), z(dtype, x.n);
        a.x[0] = odd.at(), a.y[0] = z.at(), a.heads[1] = 0;
        check(sqn_cuda_rope(&a, nullptr), "cuda");
        z.expect_bits(y, "y of what is not aligned");
    }
}

void rope(sqn_dtype dtype) {
    for (int64_t dim = 2; dim <= 40; dim += 2) rope_of(dtype, 3, dim % 4, dim);
    rope_of(dtype, 14, 2, 64);
    rope_of(dtype, 5, 5, 128);
}

void cross_entropy(sqn_dtype dtype, int64_t rows, int64_t vocab, double smoothing = 0,
                   double z_loss = 0) {
    sqn_dtype wide = accumulator(dtype);
    values x = values::floats(wide, rows * vocab, -8, 8),
           labels = values::integers(SQN_I64, rows, vocab);
    values losses(SQN_F64, rows), d(dtype, rows * vocab);
    sqn_k_cross_entropy a = {};
    a.dtype = dtype, a.rows = rows, a.vocab = vocab, a.logits = x.at(), a.labels = labels.ids();
    a.losses = (double *)losses.at(), a.dlogits = d.at(), a.smoothing = smoothing,
    a.z_loss = z_loss;
    sqn_k_cross_entropy r = a;
    r.dtype = SQN_F64, r.logits = x.cpu(), r.labels = (int64_t *)labels.cpu();
    r.losses = losses.doubles(), r.dlogits = d.cpu();
    check(sqn_cpu_cross_entropy(&r, nullptr), "cpu");
    check(sqn_cuda_cross_entropy(&a, nullptr), "cuda");
    losses.expect("loss", wide == SQN_F64 ? 1 : 1e6); /* f32 logits, f64 losses */
    d.expect("dlogits");

    {
        const shifted by(1);
        values x2 = x.again(), d2(dtype, rows * vocab), losses2(SQN_F64, rows);
        a.logits = x2.at(), a.dlogits = d2.at(), a.losses = (double *)losses2.at();
        check(sqn_cuda_cross_entropy(&a, nullptr), "cuda");
        d2.expect_bits(d, "dlogits of what is not aligned");
        losses2.expect_bits(losses, "losses of what is not aligned");
        a.dlogits = nullptr; /* losses alone */
        check(sqn_cuda_cross_entropy(&a, nullptr), "cuda");
        losses2.expect_bits(losses, "losses alone");
    }
    if (dtype != wide) return;
    values losses2(SQN_F64, rows);
    a.logits = a.dlogits = x.at(), a.losses = (double *)losses2.at();
    check(sqn_cuda_cross_entropy(&a, nullptr), "cuda");
    x.expect_bits(d, "dlogits in place");
    losses2.expect_bits(losses, "losses in place");
}

void cross_entropies(sqn_dtype dtype) {
    for (int64_t vocab = 1; vocab <= 40; vocab++) cross_entropy(dtype, 3, vocab);
    cross_entropy(dtype, 6, 1001);
    cross_entropy(dtype, 6, 300, 0.1, 1e-3);
    cross_entropy(dtype, 3, 20000, 0.1);
}

void topk(sqn_dtype dtype) {
    const int64_t rows = 3, n = 150, k = 9;
    values x = values::floats(dtype, rows * n, -1, 1), v(dtype, rows * k), at(SQN_I64, rows * k);
    sqn_k_topk a = {dtype, rows, n, k, x.at(), v.at(), at.ids()};
    sqn_k_topk r = {SQN_F64, rows, n, k, x.cpu(), v.cpu(), (int64_t *)at.cpu()};
    check(sqn_cpu_topk(&r, nullptr), "cpu");
    check(sqn_cuda_topk(&a, nullptr), "cuda");
    v.expect("values");
    at.expect("places");
    std::vector<double> some(rows * n, 1.0); /* a row of numbers, one with two NaN, one of NaN */
    some[n + 70] = some[n + 3] = NAN;
    std::fill(some.begin() + 2 * n, some.end(), NAN);
    x.set(some);
    check(sqn_cpu_topk(&r, nullptr), "cpu");
    check(sqn_cuda_topk(&a, nullptr), "cuda");
    at.expect("places with NaN");
}

void topk_grad(sqn_dtype dtype) {
    const int64_t rows = 5, n = 150, k = 3;
    values d = values::floats(dtype, rows * k),
           at = values::of({0, 9, 149, 3, 2, 1, 64, 65, 66, 7, 8, 0, 1, 2, 3});
    values dx(dtype, rows * n);
    sqn_k_topk_grad a = {dtype, rows, n, k, d.at(), at.ids(), dx.at()};
    sqn_k_topk_grad r = {SQN_F64, rows, n, k, d.cpu(), (int64_t *)at.cpu(), dx.cpu()};
    check(sqn_cpu_topk_grad(&r, nullptr), "cpu");
    check(sqn_cuda_topk_grad(&a, nullptr), "cuda");
    dx.expect("dx");
}

void sample(sqn_dtype dtype) {
    struct settings {
        double penalty, temperature, top_p;
        int64_t top_k;
        double spread = 3; /* of the logits: how many are near the largest */
    } list[] = {{1, 0, 1, 0},          {1.3, 0, 1, 0},      {1, 1, 1, 0},    {1.2, 0.7, 0.8, 0},
                {1, 1.3, 1, 7},        {1.1, 0.9, 0.6, 20}, {1, 1, 0.01, 3}, {1, 1, 0.9, 0, 0.4},
                {1, 0.5, 0.9, 150, 1}, {1, 1, 0.999, 0, 30}};
    const int64_t rows = 4, n = 211;
    for (const settings &s : list) {
        values x = values::floats(dtype, rows * n, -s.spread, s.spread);
        std::vector<int64_t> context = {0, 7, 14, 20, 30}, list_of_seen;
        for (int64_t r = 0; r < rows;
             r++) /* with the largest, so that the penalty changes the choice */
            for (int64_t i = context[r]; i < context[r + 1]; i++)
                list_of_seen.push_back(
                    i % 5 == 1 ? -1
                    : i % 3    ? choose(n)
                               : std::max_element(x.doubles() + r * n, x.doubles() + (r + 1) * n) -
                                  (x.doubles() + r * n));
        values seen = values::of(list_of_seen), starts = values::of(context),
               streams = values::integers(SQN_I64, rows, 1000);
        values offsets = values::integers(SQN_I64, rows, 1000), ids(SQN_I64, rows),
               p(SQN_F32, rows * n);
        sqn_k_sample a = {
            dtype,          rows,    n,       x.at(), seen.ids(),    starts.ids(),  s.penalty,
            s.temperature,  s.top_p, s.top_k, 42,     streams.ids(), offsets.ids(), ids.ids(),
            (float *)p.at()};
        sqn_k_sample r = a;
        std::vector<float> wanted((size_t)(rows * n));
        r.dtype = SQN_F64, r.logits = x.cpu(), r.seen = (int64_t *)seen.cpu();
        r.seen_start = (int64_t *)starts.cpu(), r.streams = (int64_t *)streams.cpu();
        r.offsets = (int64_t *)offsets.cpu(), r.ids = (int64_t *)ids.cpu(),
        r.probabilities = wanted.data();
        check(sqn_cpu_sample(&r, nullptr), "cpu");
        check(sqn_cuda_sample(&a, nullptr), "cuda");
        for (size_t i = 0; i < wanted.size(); i++) p.doubles()[i] = wanted[i];
        p.expect("probabilities");
        ids.expect("ids");
        values alone(SQN_I64, rows); /* as generation asks */
        a.probabilities = nullptr, a.ids = alone.ids();
        check(sqn_cuda_sample(&a, nullptr), "cuda");
        memcpy(alone.cpu(), ids.cpu(), (size_t)rows * 8);
        alone.expect("ids alone");
    }
}
void eigh(sqn_dtype dtype) {
    const int64_t n = 9;
    values x = values::floats(dtype, n * n), v(dtype, n), vectors(dtype, n * n);
    std::vector<double> both(x.doubles(), x.doubles() + n * n);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++) both[(size_t)(i * n + j)] = both[(size_t)(j * n + i)];
    x.set(both);
    sqn_k_eigh a = {n, (double *)x.at(), (double *)v.at(), (double *)vectors.at()};
    sqn_k_eigh r = {n, x.doubles(), v.doubles(), vectors.doubles()};
    check(sqn_cpu_eigh(&r, nullptr), "cpu");
    check(sqn_cuda_eigh(&a, nullptr), "cuda");
    v.expect("values");
    vectors.expect("vectors");
}

struct product {
    int64_t batch, m, n, k;
    int trans_a, trans_b, bias, accumulate, wide;
    int64_t a_room, b_room; /* elements between rows */
};

void products(sqn_dtype dtype, const std::vector<product> &list) {
    for (const product &s : list) {
        const int64_t lda = (s.trans_a ? s.m : s.k) + s.a_room,
                      ldb = (s.trans_b ? s.k : s.n) + s.b_room, ldc = s.n + 3;
        const int64_t an = (s.trans_a ? s.k : s.m) * lda + 1,
                      bn = (s.trans_b ? s.n : s.k) * ldb + 1, cn = s.m * ldc;
        sqn_dtype c_dtype = s.wide && sqn_dtype_size(dtype) == 2 ? SQN_F32 : dtype;
        values a = values::floats(dtype, s.batch * an), b = values::floats(dtype, s.batch * bn),
               bias = values::floats(dtype, s.n), c = values::floats(c_dtype, s.batch * cn);
        sqn_k_matmul k = {};
        k.dtype = dtype, k.c_dtype = c_dtype, k.batch = s.batch, k.m = s.m, k.n = s.n, k.k = s.k;
        k.a = a.at(), k.b = b.at(), k.bias = s.bias ? bias.at() : nullptr, k.c = c.at();
        k.trans_a = s.trans_a, k.trans_b = s.trans_b, k.lda = lda, k.ldb = ldb, k.ldc = ldc;
        k.a_batch = an, k.b_batch = bn, k.c_batch = cn, k.accumulate = s.accumulate;
        sqn_k_matmul r = k;
        r.dtype = r.c_dtype = SQN_F64, r.a = a.cpu(), r.b = b.cpu(), r.c = c.cpu();
        if (s.bias) r.bias = bias.cpu();
        check(sqn_cpu_matmul(&r, nullptr), "cpu");
        check(sqn_cuda_matmul(&k, nullptr), "cuda");
        c.expect(
            format("product %lld x %lld x %lld", (long long)s.m, (long long)s.n, (long long)s.k)
                .c_str(),
            4);
    }
}

void matmul(sqn_dtype dtype) {
    products(dtype, {{1, 5, 19, 33, 0, 1, 1, 0, 0, 2, 1},
                     {2, 17, 3, 40, 0, 0, 0, 1, 0, 2, 1},
                     {1, 20, 18, 7, 1, 0, 0, 1, 1, 2, 1},
                     {3, 4, 5, 6, 1, 1, 0, 0, 0, 2, 1},
                     {1, 3, 4, 0, 0, 1, 1, 0, 0, 2, 1},
                     {1, 33, 16, 64, 0, 1, 0, 0, 1, 2, 1}});
}

void matmul_few(sqn_dtype dtype) { /* rows of 16 bytes */
    products(dtype, {{1, 1, 37, 8, 0, 1, 1, 0, 0, 0, 0},
                     {1, 3, 50, 296, 0, 1, 0, 1, 1, 8, 0},
                     {1, 8, 16, 1320, 0, 1, 1, 1, 0, 0, 16},
                     {1, 9, 33, 264, 0, 1, 1, 0, 1, 0, 0},
                     {1, 16, 20, 64, 0, 1, 0, 0, 0, 8, 8}});
}
} // namespace

std::vector<kernel_case> row_cases() {
    return {{"matmul", floats, matmul},
            {"matmul_few", {SQN_BF16, SQN_F16}, matmul_few},
            {"eigh", {SQN_F64}, eigh},
            {"reduce", floats, reduce},
            {"reduce_into", floats, reduce_into},
            {"reduce_nan", floats, reduce_nan},
            {"sums", floats, sums},
            {"softmax", floats, softmax},
            {"softmax_long", floats, softmax_long},
            {"gather", floats, gather},
            {"scatter", floats, scatter},
            {"rms_norm", floats, rms_norm},
            {"rms_norm_long", floats, rms_norm_long},
            {"rope", floats, rope},
            {"cross_entropy", floats, cross_entropies},
            {"topk", floats, topk},
            {"topk_grad", floats, topk_grad},
            {"sample", {SQN_F32, SQN_BF16, SQN_F64}, sample}};
}
