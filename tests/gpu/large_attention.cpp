/* Large cases of attention: thousands of keys, forward and backward, and decoding over caches. The
 * host computes rows of queries and of keys at random; of the backward pass from what the forward
 * pass left, which was looked at before. */
#include <limits.h>

#include "tests/gpu/large.h"

extern "C" {
#include "kernels/cuda/host.h"
}

namespace {
struct shape {
    std::vector<int64_t> lengths; /* of packed sequences */
    int64_t heads, kv_heads, dim, window;
    int causal;
};
constexpr double scale = 0.3; /* scores of a few units: some keys count more than others */

/* Everything of a forward and a backward pass, also on the host. */
struct passes {
    shape s;
    std::vector<int64_t> start = {0};
    int64_t tokens = 0;
    field q, k, v, dout, out, lse, dq, dk, dv;
    std::vector<double> hq, hk, hv, hdout, hout, hlse, delta; /* delta: dout . out of each head */

    static int64_t sum(const shape &s) {
        int64_t n = 0;
        for (int64_t length : s.lengths) n += length;
        return n;
    }
    static field input(sqn_dtype t, const shape &s, int64_t heads) {
        return field::drawn(t, sum(s) * heads * s.dim);
    }
    passes(sqn_dtype t, const shape &s)
        : s(s), tokens(sum(s)), q(input(t, s, s.heads)), k(input(t, s, s.kv_heads)),
          v(input(t, s, s.kv_heads)), dout(input(t, s, s.heads)), out(t, q.n),
          lse(SQN_F32, tokens * s.heads), dq(t, q.n), dk(t, k.n), dv(t, v.n) {
        for (int64_t n : s.lengths) start.push_back(start.back() + n);
    }

    void run() {
        values at = values::of(start), lengths = values::of(s.lengths);
        sqn_k_attention a = {};
        a.dtype = q.dtype, a.segments = (int64_t)s.lengths.size(), a.heads = s.heads;
        a.kv_heads = s.kv_heads, a.dim = s.dim, a.queries = a.keys = tokens;
        a.q_start = a.k_row = at.ids(), a.k_len = lengths.ids();
        a.q = q.at(), a.k = k.at(), a.v = v.at(), a.out = out.at(), a.lse = lse.at();
        a.scale = scale, a.window = s.window, a.causal = s.causal;
        check(sqn_cuda_attention(&a, nullptr), "cuda");
        sqn_k_attention_grad g = {};
        g.dtype = a.dtype, g.segments = a.segments, g.heads = a.heads, g.kv_heads = a.kv_heads;
        g.dim = a.dim, g.queries = g.keys = tokens, g.q_start = a.q_start, g.k_row = a.k_row;
        g.k_len = a.k_len, g.q = a.q, g.k = a.k, g.v = a.v, g.out = a.out, g.lse = a.lse;
        g.dout = dout.at(), g.dq = dq.at(), g.dk = dk.at(), g.dv = dv.at();
        g.scale = scale, g.window = s.window, g.causal = s.causal;
        check(sqn_cuda_attention_grad(&g, nullptr), "cuda");
        hq = q.fetch(), hk = k.fetch(), hv = v.fetch(), hdout = dout.fetch(), hout = out.fetch();
        hlse = lse.fetch();
        for (int64_t i = 0; i < tokens * s.heads; i++) delta.push_back(dot(hdout, i, hout, i));
    }

    double dot(const std::vector<double> &a, int64_t i, const std::vector<double> &b,
               int64_t j) const {
        double total = 0;
        for (int64_t d = 0; d < s.dim; d++)
            total += a[(size_t)(i * s.dim + d)] * b[(size_t)(j * s.dim + d)];
        return total;
    }
    void add(std::vector<double> &to, double factor, const std::vector<double> &from,
             int64_t row) const {
        for (int64_t d = 0; d < s.dim; d++)
            to[(size_t)d] += factor * from[(size_t)(row * s.dim + d)];
    }
    int64_t segment_of(int64_t token) const {
        int64_t i = 0;
        while (start[(size_t)i + 1] <= token) i++;
        return i;
    }
    bool reads(int64_t query, int64_t key) const {
        return !s.causal || (key <= query && (s.window == 0 || key > query - s.window));
    }
    /* Rows of heads: query i of head h, key j of its kv head. */
    int64_t q_row(int64_t i, int64_t h) const { return i * s.heads + h; }
    int64_t k_row(int64_t j, int64_t h) const {
        return j * s.kv_heads + h / (s.heads / s.kv_heads);
    }

    void expect_query(int64_t i, int64_t h) {
        const int64_t row = q_row(i, h), part = segment_of(i);
        const int64_t first = start[(size_t)part], end = start[(size_t)part + 1];
        std::vector<double> score, o((size_t)s.dim), gradient((size_t)s.dim);
        double most = -INFINITY, total = 0;
        for (int64_t j = first; j < end; j++) {
            score.push_back(reads(i, j) ? scale * dot(hq, row, hk, k_row(j, h)) : -INFINITY);
            most = std::max(most, score.back());
        }
        for (double x : score) total += exp(x - most);
        const double log_sum = most + log(total);
        const size_t at = (size_t)row;
        for (int64_t j = first; j < end; j++) {
            const double x = score[(size_t)(j - first)];
            if (x == -INFINITY) continue;
            const int64_t key = k_row(j, h);
            add(o, exp(x - log_sum), hv, key);
            const double ds = exp(x - hlse[at]) * (dot(hdout, row, hv, key) - delta[at]);
            add(gradient, scale * ds, hk, key);
        }
        const bool wide = q.dtype == SQN_F32;
        out.expect("out", row * s.dim, o, wide ? 5 : 2);
        lse.expect("lse", row, {log_sum}, wide ? 2 : 50);
        dq.expect("dq", row * s.dim, gradient, wide ? 20 : 4);
    }

    void expect_key(int64_t j, int64_t kv_head) {
        const int64_t part = segment_of(j), row = j * s.kv_heads + kv_head,
                      group = s.heads / s.kv_heads;
        std::vector<double> of_k((size_t)s.dim), of_v((size_t)s.dim);
        for (int64_t i = start[(size_t)part]; i < start[(size_t)part + 1]; i++)
            for (int64_t h = kv_head * group; h < (kv_head + 1) * group && reads(i, j); h++) {
                const int64_t query = q_row(i, h);
                const double p = exp(scale * dot(hq, query, hk, row) - hlse[(size_t)query]);
                add(of_v, p, hdout, query);
                const double ds = p * (dot(hdout, query, hv, row) - delta[(size_t)query]);
                add(of_k, scale * ds, hq, query);
            }
        dk.expect("dk", row * s.dim, of_k, q.dtype == SQN_F32 ? 20 : 4);
        dv.expect("dv", row * s.dim, of_v, q.dtype == SQN_F32 ? 20 : 4);
    }
};

void attend(sqn_dtype dtype, const shape &s) {
    passes p(dtype, s);
    p.run();
    std::vector<int64_t> list = some(p.tokens, 24);
    for (int64_t first : p.start) /* and where sequences meet */
        for (int64_t i : {first - 1, first})
            if (i >= 0 && i < p.tokens) list.push_back(i);
    for (int64_t i : list) {
        p.expect_query(i, choose(s.heads));
        p.expect_key(i, choose(s.kv_heads));
    }
}

void training(sqn_dtype dtype) {
    for (int limit : {80, INT_MAX}) {
        sqn_cuda_capability_limit(limit);
        for (int64_t dim : {64, 128}) {
            const int64_t window = size_of(1000, 50);
            attend(dtype, {{size_of(8192, 150)}, 2, 1, dim, 0, 1});
            attend(dtype, {{size_of(2048, 66)}, size_of(14, 6), 2, dim, 0, 1});
            attend(dtype, {{size_of(5000, 100), 3, size_of(3189, 70)},
                           size_of(4, 2),
                           size_of(2, 1),
                           dim,
                           window,
                           1});
            attend(
                dtype,
                {{size_of(2100, 70), size_of(2048, 64)}, size_of(2, 1), size_of(2, 1), dim, 0, 0});
        }
        attend(dtype, {{1, 2, size_of(1500, 40), 5, 33, size_of(600, 10)},
                       size_of(28, 7),
                       size_of(4, 1),
                       128,
                       0,
                       1});
    }
    sqn_cuda_capability_limit(INT_MAX);
}

void training_plain(sqn_dtype dtype) { /* the kernel for what has none of its own */
    attend(dtype, {{size_of(2048, 100)}, 4, 2, 64, 0, 1});
    attend(dtype, {{size_of(1500, 40), size_of(700, 30)}, 2, 1, 80, size_of(300, 20), 1});
}

/* One query a sequence over a cache with room for `most` keys, dense or in pages. */
void decode_of(sqn_dtype dtype, int64_t heads, int64_t kv_heads, int64_t dim, int64_t page_rows) {
    const int64_t segments = size_of(64, 3), most = size_of(8192, 320), row = kv_heads * dim;
    std::vector<int64_t> first, length, q_start, pages;
    for (int64_t i = 0; i <= segments; i++) q_start.push_back(i);
    for (int64_t i = 0; i < segments; i++) {
        first.push_back(i * most);
        length.push_back(i < 2 ? most - i : 1 + choose(most));
    }
    for (int64_t i = 0; page_rows && i < segments * most / page_rows; i++) pages.push_back(i);
    std::shuffle(pages.begin(), pages.end(), random_bits);
    field q = field::drawn(dtype, segments * heads * dim),
          k = field::drawn(dtype, segments * most * row),
          v = field::drawn(dtype, segments * most * row), out(dtype, q.n);
    values at = values::of(q_start), starts = values::of(first), lengths = values::of(length),
           table = values::of(pages);
    sqn_k_attention a = {};
    a.dtype = dtype, a.segments = a.queries = segments, a.keys = segments * most;
    a.heads = heads, a.kv_heads = kv_heads, a.dim = dim, a.scale = scale, a.causal = 1;
    a.q_start = at.ids(), a.k_row = starts.ids(), a.k_len = lengths.ids();
    a.q = q.at(), a.k = k.at(), a.v = v.at(), a.out = out.at();
    if (page_rows) {
        a.k_row = nullptr, a.pages = table.ids(), a.page_rows = page_rows;
        a.most_pages = most / page_rows;
    }
    check(sqn_cuda_attention(&a, nullptr), "cuda");
    for (int64_t i : some(segments, 12)) {
        const int64_t h = choose(heads), n = length[(size_t)i];
        std::vector<double> query = q.drawn((i * heads + h) * dim, dim), score((size_t)n),
                            o((size_t)dim);
        const auto place =
            [&](int64_t j) { /* of key j in k and v */
                             const int64_t page =
                                 page_rows ? pages[(size_t)((i * most + j) / page_rows)] : 0;
                             const int64_t where =
                                 page_rows ? page * page_rows + j % page_rows : i * most + j;
                             return where * row + h / (heads / kv_heads) * dim;
            };
#pragma omp parallel for
        for (int64_t j = 0; j < n; j++) {
            double total = 0;
            for (int64_t d = 0; d < dim; d++) total += query[(size_t)d] * k.drawn_at(place(j) + d);
            score[(size_t)j] = scale * total;
        }
        const double top = *std::max_element(score.begin(), score.end());
        double total = 0;
        for (double x : score) total += exp(x - top);
        for (int64_t j = 0; j < n; j++) {
            const double p = exp(score[(size_t)j] - top) / total;
            if (p < 1e-7) continue;
            for (int64_t d = 0; d < dim; d++) o[(size_t)d] += p * v.drawn_at(place(j) + d);
        }
        out.expect("out", (i * heads + h) * dim, o, dtype == SQN_F32 ? 20 : 2);
    }
}

void decoding(sqn_dtype dtype) {
    for (int64_t page_rows : {0, 16}) {
        decode_of(dtype, 28, 4, 128, page_rows);
        decode_of(dtype, 14, 2, 64, page_rows);
    }
}
} // namespace

std::vector<kernel_case> large_attention_cases() {
    return {{"large_attention", {SQN_BF16}, training},
            {"large_attention_plain", {SQN_F32, SQN_BF16}, training_plain},
            {"large_decoding", {SQN_BF16, SQN_F32}, decoding}};
}
