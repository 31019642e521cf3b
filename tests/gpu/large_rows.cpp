/* Large cases of rows: a vocabulary of 151,936 columns in more rows than a card runs at once, the
 * norms, rotations and gates of a 7B model. */
#include "tests/gpu/large.h"

namespace {
const std::vector<sqn_dtype> stored = {SQN_F32, SQN_BF16};
constexpr int64_t vocabulary = 151936;
constexpr int64_t rows = size_of(1000, 2);

void softmax(sqn_dtype dtype) {
    const int64_t n = vocabulary;
    for (int log : {0, 1}) {
        const double floor = log ? 1 : 1e-7;
        field x = field::drawn(dtype, rows * n, -5, 5), y(dtype, rows * n);
        sqn_k_softmax a = {dtype, rows, n, x.at(), y.at(), log};
        check(sqn_cuda_softmax(&a, nullptr), "cuda");
        field dy = field::drawn(dtype, rows * n), dx(dtype, rows * n);
        sqn_k_softmax_grad g = {dtype, rows, n, y.at(), dy.at(), dx.at(), log};
        check(sqn_cuda_softmax_grad(&g, nullptr), "cuda");
        for (int64_t r : some(rows, 8)) {
            std::vector<double> in = x.drawn(r * n, n), out((size_t)n);
            sqn_k_softmax c = {SQN_F64, 1, n, in.data(), out.data(), log};
            check(sqn_cpu_softmax(&c, nullptr), "cpu");
            y.expect("y", r * n, out, 2, floor);
            std::vector<double> of = y.fetch(r * n, n), d = dy.drawn(r * n, n);
            sqn_k_softmax_grad h = {SQN_F64, 1, n, of.data(), d.data(), out.data(), log};
            check(sqn_cpu_softmax_grad(&h, nullptr), "cpu");
            dx.expect("dx", r * n, out, 4, floor);
        }
    }
}

void cross_entropy_of(sqn_dtype dtype, int64_t count, double smoothing, bool in_place) {
    const int64_t n = vocabulary;
    field x = field::drawn(SQN_F32, count * n, -8, 8), losses(SQN_F64, count),
          d(dtype, in_place ? 1 : count * n);
    const field &gradient = in_place ? x : d;
    values labels = values::integers(SQN_I64, count, n);
    const std::vector<double> label = labels.fetch();
    sqn_k_cross_entropy a = {};
    a.dtype = dtype, a.rows = count, a.vocab = n, a.logits = x.at(), a.labels = labels.ids();
    a.losses = (double *)losses.at(), a.dlogits = gradient.at(), a.smoothing = smoothing;
    a.z_loss = smoothing / 100;
    check(sqn_cuda_cross_entropy(&a, nullptr), "cuda");
    for (int64_t r : some(count, 8)) {
        std::vector<double> in = x.drawn(r * n, n), out((size_t)n), loss(1);
        const int64_t of = (int64_t)label[(size_t)r];
        sqn_k_cross_entropy c = a;
        c.dtype = SQN_F64, c.rows = 1, c.logits = in.data(), c.labels = &of;
        c.losses = loss.data(), c.dlogits = out.data();
        check(sqn_cpu_cross_entropy(&c, nullptr), "cpu");
        losses.expect("loss", r, loss, 1e6); /* logits in f32 */
        gradient.expect("dlogits", r * n, out, 2, 1e-7);
    }
}

void cross_entropy(sqn_dtype dtype) {
    cross_entropy_of(dtype, rows, 0, false);
    cross_entropy_of(dtype, rows, 0.1, false);
}

void cross_entropy_huge(sqn_dtype dtype) { /* more logits than 2^31 */
    const int64_t count = size_of(14200, 2);
    need_room((double)count * vocabulary * 4);
    cross_entropy_of(dtype, count, 0, true);
}

void reduce_of(sqn_dtype dtype, sqn_reduce op, int64_t outer, int64_t n, int64_t inner) {
    const bool place = op == SQN_REDUCE_ARGMAX;
    field x = field::drawn(dtype, outer * n * inner), y(place ? SQN_I64 : dtype, outer * inner);
    sqn_k_reduce a = {};
    a.op = op, a.dtype = dtype, a.outer = outer, a.n = n, a.inner = inner;
    a.x = x.at(), a.y = y.at(), a.scale = 1;
    check(sqn_cuda_reduce(&a, nullptr), "cuda");
    for (int64_t at : some(outer * inner, 8)) {
        std::vector<double> in((size_t)n), out(1);
        int64_t found = 0;
#pragma omp parallel for
        for (int64_t i = 0; i < n; i++)
            in[(size_t)i] = x.drawn_at((at / inner * n + i) * inner + at % inner);
        sqn_k_reduce r = a;
        r.dtype = SQN_F64, r.outer = r.inner = 1, r.x = in.data();
        r.y = place ? (void *)&found : out.data();
        check(sqn_cpu_reduce(&r, nullptr), "cpu");
        if (place) out[0] = (double)found;
        y.expect(format("reduce %d", (int)op), at, out, 2, op == SQN_REDUCE_SUM ? sqrt(n) : 0);
    }
}

void reduce(sqn_dtype dtype) {
    for (int op = SQN_REDUCE_SUM; op <= SQN_REDUCE_ARGMAX; op++) {
        reduce_of(dtype, (sqn_reduce)op, rows, vocabulary, 1);
        reduce_of(dtype, (sqn_reduce)op, 1, size_of(8192, 300), size_of(18944, 100));
    }
}

void topk(sqn_dtype dtype) {
    const int64_t n = vocabulary, k = 8, count = size_of(300, 2);
    field x = field::drawn(dtype, count * n), v(dtype, count * k), ids(SQN_I64, count * k);
    sqn_k_topk a = {dtype, count, n, k, x.at(), v.at(), (int64_t *)ids.at()};
    check(sqn_cuda_topk(&a, nullptr), "cuda");
    for (int64_t r : some(count, 8)) {
        std::vector<double> in = x.drawn(r * n, n), out((size_t)k);
        std::vector<int64_t> places((size_t)k);
        sqn_k_topk c = {SQN_F64, 1, n, k, in.data(), out.data(), places.data()};
        check(sqn_cpu_topk(&c, nullptr), "cpu");
        v.expect("values", r * k, out, 0, 0);
        ids.expect("places", r * k, std::vector<double>(places.begin(), places.end()), 0, 0);
    }
}

struct sampling {
    double penalty, temperature, top_p;
    int64_t top_k;
};

/* Sums of exponentials are rounded in another order: an element at the cut may fall, and a draw at
 * the border between two ids. */
void expect_sample(const field &p, const field &ids, int64_t r, const std::vector<float> &wanted,
                   int64_t id) {
    const std::vector<double> got = p.fetch(r * p.n / ids.n, (int64_t)wanted.size());
    int off = 0;
    for (size_t i = 0; i < wanted.size(); i++)
        off += !(fabs(got[i] - wanted[i]) <= 1e-8 + 1e-4 * wanted[i]);
    if (off > 1) fault(format("%d probabilities of row %lld are wrong", off, (long long)r));
    const int64_t mine = (int64_t)ids.fetch(r, 1)[0], least = std::min(mine, id),
                  most = std::max(mine, id);
    if (least < 0 || most >= (int64_t)wanted.size() || got[(size_t)mine] <= 0)
        fault(format("id %lld of row %lld cannot be", (long long)mine, (long long)r));
    double between = 0;
    for (int64_t i = least + 1; i < most; i++) between += wanted[(size_t)i];
    if (between > 1e-5) fault(format("id %lld, not %lld", (long long)mine, (long long)id));
}

void sample_of(sqn_dtype dtype, const sampling &s) {
    const int64_t n = vocabulary, count = size_of(300, 2), context = 64;
    field x = field::drawn(dtype, count * n, -30, 30), p(SQN_F32, count * n), ids(SQN_I64, count);
    values seen = values::integers(SQN_I64, count * context, n),
           streams = values::integers(SQN_I64, count, 1000),
           offsets = values::integers(SQN_I64, count, 1000);
    std::vector<int64_t> start;
    for (int64_t r = 0; r <= count; r++) start.push_back(r * context);
    values starts = values::of(start);
    sqn_k_sample a = {};
    a.dtype = dtype, a.rows = count, a.n = n, a.logits = x.at(), a.seen = seen.ids();
    a.seen_start = starts.ids(), a.repetition_penalty = s.penalty, a.temperature = s.temperature;
    a.top_p = s.top_p, a.top_k = s.top_k, a.seed = 42, a.streams = streams.ids();
    a.offsets = offsets.ids(), a.ids = (int64_t *)ids.at(), a.probabilities = (float *)p.at();
    check(sqn_cuda_sample(&a, nullptr), "cuda");
    for (int64_t r : some(count, 6)) {
        std::vector<double> in = x.drawn(r * n, n);
        std::vector<float> wanted((size_t)n);
        int64_t id = 0;
        sqn_k_sample c = a;
        c.dtype = SQN_F64, c.rows = 1, c.logits = in.data(), c.seen = (int64_t *)seen.cpu();
        c.seen_start = &start[(size_t)r], c.streams = (int64_t *)streams.cpu() + r;
        c.offsets = (int64_t *)offsets.cpu() + r, c.ids = &id, c.probabilities = wanted.data();
        check(sqn_cpu_sample(&c, nullptr), "cpu");
        expect_sample(p, ids, r, wanted, id);
    }
    field alone(SQN_I64, count); /* as generation asks */
    a.probabilities = nullptr, a.ids = (int64_t *)alone.at();
    check(sqn_cuda_sample(&a, nullptr), "cuda");
    alone.expect("ids alone", 0, ids.fetch(), 0, 0);
}

void sample(sqn_dtype dtype) {
    for (const sampling &s : {sampling{1.1, 0, 1, 0}, sampling{1, 1, 1, 0},
                              sampling{1.05, 0.7, 0.8, 20}, sampling{1, 1, 0.95, 0}})
        sample_of(dtype, s);
}

void rms_norm(sqn_dtype dtype) {
    const int64_t count = size_of(8192, 5), n = size_of(3584, 896);
    field x = field::drawn(dtype, count * n), residual = field::drawn(dtype, count * n),
          w = field::drawn(dtype, n), h(dtype, count * n), y(dtype, count * n), inv(SQN_F32, count),
          dy = field::drawn(dtype, count * n), dh = field::drawn(dtype, count * n),
          dx(dtype, count * n), dw(SQN_F32, n);
    sqn_k_rms_norm a = {};
    a.dtype = dtype, a.rows = count, a.n = n, a.x = x.at(), a.residual = residual.at();
    a.weight = w.at(), a.h = h.at(), a.y = y.at(), a.inv = inv.at(), a.eps = 1e-6;
    check(sqn_cuda_rms_norm(&a, nullptr), "cuda");
    sqn_k_rms_norm_grad g = {};
    g.dtype = dtype, g.rows = count, g.n = n, g.h = h.at(), g.weight = w.at(), g.inv = inv.at();
    g.dy = dy.at(), g.dh = dh.at(), g.dx = dx.at(), g.dweight = dw.at();
    check(sqn_cuda_rms_norm_grad(&g, nullptr), "cuda");
    std::vector<double> weight = w.drawn(0, n);
    for (int64_t r : some(count, 12)) {
        std::vector<double> in = x.drawn(r * n, n), more = residual.drawn(r * n, n), sum((size_t)n),
                            out((size_t)n), scale(1);
        sqn_k_rms_norm c = a;
        c.dtype = SQN_F64, c.rows = 1, c.x = in.data(), c.residual = more.data();
        c.weight = weight.data(), c.h = sum.data(), c.y = out.data(), c.inv = scale.data();
        check(sqn_cpu_rms_norm(&c, nullptr), "cpu");
        h.expect("h", r * n, sum);
        y.expect("y", r * n, out);
        inv.expect("inv", r, scale, dtype == SQN_F32 ? 1 : 500);
        std::vector<double> d = dy.drawn(r * n, n), e = dh.drawn(r * n, n);
        sum = h.fetch(r * n, n), scale = inv.fetch(r, 1);
        sqn_k_rms_norm_grad q = g;
        q.dtype = SQN_F64, q.rows = 1, q.h = sum.data(), q.weight = weight.data();
        q.inv = scale.data(), q.dy = d.data(), q.dh = e.data(), q.dx = out.data();
        q.dweight = nullptr;
        check(sqn_cpu_rms_norm_grad(&q, nullptr), "cpu");
        dx.expect("dx", r * n, out, 2);
    }
    const std::vector<double> sums = h.fetch(), scales = inv.fetch();
    for (int64_t i : some(n, 12)) {
        double total = 0;
        for (int64_t r = 0; r < count; r++)
            total += dy.drawn_at(r * n + i) *
                     rounded(dtype, sums[(size_t)(r * n + i)] * scales[(size_t)r]);
        /* h inv in f32 may round to the other side */
        dw.expect("dweight", i, {total}, dtype == SQN_F32 ? 2 : 200, sqrt((double)count));
    }
}

void rope(sqn_dtype dtype) { /* of queries and keys together */
    const int64_t tokens = size_of(8192, 9), dim = 128, heads[2] = {28, 4};
    const auto numbers = [&](int which) { return tokens * heads[which] * dim; };
    field x[2] = {field::drawn(dtype, numbers(0)), field::drawn(dtype, numbers(1))},
          y[2] = {field(dtype, numbers(0)), field(dtype, numbers(1))},
          cosine = field::drawn(SQN_F32, tokens * dim / 2, -1, 1),
          sine = field::drawn(SQN_F32, tokens * dim / 2, -1, 1);
    values at = values::integers(SQN_I64, tokens, tokens);
    const std::vector<double> position = at.fetch();
    for (int backward : {0, 1}) {
        sqn_k_rope a = {};
        a.dtype = dtype, a.tokens = tokens, a.dim = dim, a.positions = at.ids();
        a.cosine = cosine.at(), a.sine = sine.at(), a.backward = backward;
        for (int i : {0, 1}) a.heads[i] = heads[i], a.x[i] = x[i].at(), a.y[i] = y[i].at();
        check(sqn_cuda_rope(&a, nullptr), "cuda");
        for (int64_t r : some(tokens, 16)) {
            const int64_t here = (int64_t)position[(size_t)r] * dim / 2, first = 0;
            std::vector<double> c = cosine.drawn(here, dim / 2), s = sine.drawn(here, dim / 2),
                                in[2], out[2];
            sqn_k_rope b = a;
            b.dtype = SQN_F64, b.tokens = 1, b.positions = &first;
            b.cosine = c.data(), b.sine = s.data();
            for (int i : {0, 1}) {
                in[i] = x[i].drawn(r * heads[i] * dim, heads[i] * dim);
                out[i].resize(in[i].size());
                b.x[i] = in[i].data(), b.y[i] = out[i].data();
            }
            check(sqn_cpu_rope(&b, nullptr), "cpu");
            for (int i : {0, 1}) y[i].expect("y", r * heads[i] * dim, out[i]);
        }
    }
}
} // namespace

std::vector<kernel_case> large_row_cases() {
    return {{"large_softmax", stored, softmax},
            {"large_cross_entropy", stored, cross_entropy},
            {"large_cross_entropy_huge", {SQN_F32}, cross_entropy_huge},
            {"large_reduce", stored, reduce},
            {"large_topk", stored, topk},
            {"large_sample", stored, sample},
            {"large_rms_norm", stored, rms_norm},
            {"large_rope", stored, rope}};
}
