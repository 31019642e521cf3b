/* Cases of attention: packed sequences, grouped queries, windows, caches; every head size that has
 * a kernel of its own, and odd ones. */
#include <limits.h>

#include "tests/gpu/kernels.h"

extern "C" {
#include "kernels/cuda/host.h"
}

namespace {
struct shape {
    std::vector<int64_t> queries, keys; /* of each segment */
    int64_t heads, kv_heads, dim, window;
    int causal;
    int64_t page_rows = 0; /* 0: keys lie one after the other */
    int64_t gap = 0;       /* rows of NaN after each segment's keys */
    int64_t lost = -1;     /* a segment whose queries are NaN */
};

/* The rows of each segment's pages; all pages in random order, one of them nobody's. */
struct paging {
    std::vector<int64_t> list;
    int64_t most = 0, count = 0;
    explicit paging(const shape &s) {
        for (int64_t n : s.keys) most = std::max(most, (n + s.page_rows - 1) / s.page_rows);
        std::vector<int64_t> numbers;
        for (int64_t n : s.keys) count += (n + s.page_rows - 1) / s.page_rows;
        for (int64_t i = 0; i <= count; i++) numbers.push_back(i);
        for (size_t i = numbers.size(); i > 1; i--)
            std::swap(numbers[i - 1], numbers[(size_t)choose((int64_t)i)]);
        count++;
        list.assign(s.keys.size() * (size_t)most, -1);
        size_t next = 0;
        for (size_t i = 0; i < s.keys.size(); i++)
            for (int64_t j = 0; j * s.page_rows < s.keys[i]; j++)
                list[i * (size_t)most + (size_t)j] = numbers[next++];
    }
    /* Keys in use get values, the others NaN. */
    void fill(values &x, const shape &s) const {
        std::vector<double> v((size_t)x.n, NAN);
        const int64_t row = s.kv_heads * s.dim;
        for (size_t i = 0; i < s.keys.size(); i++)
            for (int64_t j = 0; j < s.keys[i]; j++) {
                const int64_t at = list[i * (size_t)most + (size_t)(j / s.page_rows)] * s.page_rows;
                for (int64_t d = 0; d < row; d++)
                    v[(size_t)((at + j % s.page_rows) * row + d)] = uniform(-2, 2);
            }
        x.set(v);
    }
};

std::vector<int64_t> starts(const std::vector<int64_t> &lengths) {
    std::vector<int64_t> out = {0};
    for (int64_t n : lengths) out.push_back(out.back() + n);
    return out;
}

enum class what { inference, forward, backward }; /* without lse, with it, and backward, too */

/* NaN in `count` rows. */
void spoil(values &x, int64_t first, int64_t count, int64_t width) {
    std::vector<double> v(x.doubles(), x.doubles() + x.n);
    std::fill_n(v.begin() + first * width, count * width, (double)NAN);
    x.set(v);
}

void attend(sqn_dtype dtype, const shape &s, what wanted) {
    const int64_t segments = (int64_t)s.queries.size();
    const paging table = s.page_rows ? paging(s) : paging(shape{{}, {}, 1, 1, 1, 0, 0, 1});
    std::vector<int64_t> q_start = starts(s.queries), k_start = starts(s.keys), k_end = s.keys;
    for (size_t i = 0; i < k_end.size(); i++)
        k_start[i] += (int64_t)i * s.gap, k_end[i] += k_start[i];
    const int64_t queries = q_start.back(),
                  keys = s.page_rows ? table.count * s.page_rows : k_end.back() + s.gap;
    k_start.pop_back();
    sqn_dtype wide = accumulator(dtype);
    values q = values::floats(dtype, queries * s.heads * s.dim),
           k = values::floats(dtype, keys * s.kv_heads * s.dim),
           v = values::floats(dtype, keys * s.kv_heads * s.dim),
           out(dtype, queries * s.heads * s.dim), lse(wide, queries * s.heads);
    if (s.page_rows)
        table.fill(k, s), table.fill(v, s);
    else
        for (int64_t end : k_end)
            for (values *x : {&k, &v}) spoil(*x, end, s.gap, s.kv_heads * s.dim);
    if (s.lost >= 0) spoil(q, q_start[(size_t)s.lost], s.queries[(size_t)s.lost], s.heads * s.dim);
    values pages = values::of(table.list);
    values at = values::of(q_start), rows = values::of(k_start), lengths = values::of(s.keys);
    sqn_k_attention a = {};
    a.dtype = dtype, a.segments = segments, a.heads = s.heads, a.kv_heads = s.kv_heads,
    a.dim = s.dim;
    a.queries = queries, a.keys = keys, a.q_start = at.ids(), a.k_row = rows.ids(),
    a.k_len = lengths.ids();
    a.q = q.at(), a.k = k.at(), a.v = v.at(), a.out = out.at(),
    a.lse = wanted == what::inference ? nullptr : lse.at();
    a.scale = 0.3, a.window = s.window, a.causal = s.causal;
    if (s.page_rows) {
        a.k_row = nullptr, a.pages = pages.ids();
        a.most_pages = table.most, a.page_rows = s.page_rows;
    }
    sqn_k_attention r = a;
    r.dtype = SQN_F64, r.q_start = q_start.data(), r.k_row = k_start.data(),
    r.k_len = s.keys.data();
    if (s.page_rows) r.k_row = nullptr, r.pages = table.list.data();
    r.q = q.cpu(), r.k = k.cpu(), r.v = v.cpu(), r.out = out.cpu(), r.lse = lse.cpu();
    check(sqn_cpu_attention(&r, nullptr), "cpu");
    check(sqn_cuda_attention(&a, nullptr), "cuda");
    std::string name = format("%lld of dim %lld", (long long)queries, (long long)s.dim);
    out.expect(("out " + name).c_str(), 2);
    if (wanted == what::inference) return;
    lse.expect(("lse " + name).c_str(), dtype == wide ? 1 : 50);
    if (wanted == what::forward) return;

    values o(dtype, queries * s.heads * s.dim),
        l(wide, queries * s.heads); /* as forward left them */
    o.set(std::vector<double>(out.doubles(), out.doubles() + o.n));
    l.set(std::vector<double>(lse.doubles(), lse.doubles() + l.n));
    values dout = values::floats(dtype, o.n), dq(dtype, o.n), dk(dtype, k.n), dv(dtype, k.n);
    sqn_k_attention_grad g = {};
    g.dtype = dtype, g.segments = segments, g.heads = s.heads, g.kv_heads = s.kv_heads,
    g.dim = s.dim;
    g.queries = queries, g.keys = keys, g.q_start = at.ids(), g.k_row = rows.ids(),
    g.k_len = lengths.ids();
    g.q = q.at(), g.k = k.at(), g.v = v.at(), g.out = o.at(), g.lse = l.at(), g.dout = dout.at();
    g.dq = dq.at(), g.dk = dk.at(), g.dv = dv.at();
    g.scale = 0.3, g.window = s.window, g.causal = s.causal;
    sqn_k_attention_grad h = g;
    h.dtype = SQN_F64, h.q_start = q_start.data(), h.k_row = k_start.data(),
    h.k_len = s.keys.data();
    h.q = q.cpu(), h.k = k.cpu(), h.v = v.cpu(), h.out = o.cpu(), h.lse = l.cpu(),
    h.dout = dout.cpu();
    h.dq = dq.cpu(), h.dk = dk.cpu(), h.dv = dv.cpu();
    check(sqn_cpu_attention_grad(&h, nullptr), "cpu");
    check(sqn_cuda_attention_grad(&g, nullptr), "cuda");
    dq.expect(("dq " + name).c_str(), 4);
    dk.expect(("dk " + name).c_str(), 4);
    dv.expect(("dv " + name).c_str(), 4);
}

void any_dim(sqn_dtype dtype) {
    attend(dtype, {{1, 37, 0, 20}, {1, 37, 0, 20}, 4, 2, 10, 0, 1}, what::backward);
    attend(dtype, {{35, 6}, {35, 6}, 2, 2, 40, 7, 1}, what::backward);
    attend(dtype, {{5, 18}, {9, 40}, 3, 1, 8, 0, 0}, what::backward);
    attend(dtype, {{1, 2, 1}, {33, 70, 1}, 4, 1, 16, 20, 1}, what::forward); /* a cache */
    attend(dtype, {{1, 9, 0, 1}, {33, 40, 0, 1}, 4, 2, 10, 0, 1, 5}, what::forward);
    attend(dtype, {{1, 2, 0, 1}, {33, 200, 9, 1}, 2, 1, 36, 0, 1}, what::inference); /* in ranges */
    attend(dtype, {{1, 3}, {1200, 70}, 1, 1, 10, 50, 1, 16}, what::inference);
}

void tensor_cores(sqn_dtype dtype) {
    sqn_cuda_capability_limit(80);
    for (int64_t dim : {64, 128}) {
        attend(dtype, {{67, 1, 5}, {67, 1, 5}, 2, 1, dim, 0, 1}, what::backward);
        attend(dtype, {{66}, {66}, 1, 1, dim, 19, 1}, what::backward);
        attend(dtype, {{20}, {75}, 1, 1, dim, 0, 0}, what::backward);
        attend(dtype, {{1, 3}, {90, 129}, 2, 1, dim, 0, 1}, what::forward);
        attend(dtype, {{70, 0, 1}, {130, 9, 90}, 2, 1, dim, 0, 1, 16}, what::forward);
    }
    sqn_cuda_capability_limit(INT_MAX);
}
/* The same on Hopper: more tiles of keys and steps of queries than stages; segments that end within
 * a tile and before another's rows. */
void hopper(sqn_dtype dtype) {
    for (int64_t dim : {64, 128}) {
        attend(dtype, {{70, 3, 0}, {430, 50, 20}, 2, 1, dim, 0, 1, 0, 9, 1}, what::backward);
        attend(dtype, {{150}, {150}, 2, 2, dim, 37, 1}, what::backward);
        attend(dtype, {{1, 200}, {300, 20}, 1, 1, dim, 0, 0, 0, 9}, what::backward);
    }
}
/* Few queries over many keys: ranges of 64 keys and longer ones, parts of a step, segments without
 * queries or keys; groups of heads that fill a tile, share it with other queries, and do not fit.
 */
void decoding(sqn_dtype dtype) {
    for (int64_t dim : {64, 128}) {
        attend(dtype, {{1, 0, 2, 1, 0}, {150, 30, 77, 1, 0}, 3, 1, dim, 0, 1}, what::inference);
        attend(dtype, {{5}, {130}, 14, 2, dim, 66, 1}, what::inference);
        attend(dtype, {{3, 1}, {20, 129}, 2, 2, dim, 0, 0}, what::inference);
        attend(dtype, {{1}, {70}, 18, 1, dim, 0, 1}, what::inference);
        attend(dtype, {{1, 2, 0, 1}, {150, 64, 3, 1}, 4, 2, dim, 0, 1, 64}, what::inference);
        attend(dtype, {{1, 3}, {100, 131}, 2, 1, dim, 70, 1, 7}, what::inference);
    }
    attend(dtype, {{1, 1}, {150, 300}, 64, 64, 64, 0, 1}, what::inference); /* two ranges at most */
}

/* A row's result has the same bits alone, beside others, and with room for more keys. */
void company(sqn_dtype dtype) {
    const int64_t heads = 6, kv_heads = 2, dim = 64, keys = 200, row = kv_heads * dim;
    values q = values::floats(dtype, 3 * heads * dim), k = values::floats(dtype, 900 * row),
           v = values::floats(dtype, 900 * row);
    const auto attend_last = [&](int64_t segments, int64_t there) {
        std::vector<int64_t> starts, first(2, 300), count = {130, 64};
        for (int64_t s = 0; s <= segments; s++) starts.push_back(s);
        first.resize((size_t)segments - 1), count.resize((size_t)segments - 1);
        first.push_back(17), count.push_back(keys);
        values at = values::of(starts), rows = values::of(first), lengths = values::of(count),
               out(dtype, segments * heads * dim);
        sqn_k_attention a = {};
        a.dtype = dtype, a.segments = a.queries = segments, a.keys = there;
        a.heads = heads, a.kv_heads = kv_heads, a.dim = dim, a.scale = 0.3, a.causal = 1;
        a.q_start = at.ids(), a.k_row = rows.ids(), a.k_len = lengths.ids();
        a.q = (const char *)q.at() + (3 - segments) * heads * dim * (int64_t)sqn_dtype_size(dtype);
        a.k = k.at(), a.v = v.at(), a.out = out.at();
        check(sqn_cuda_attention(&a, nullptr), "cuda");
        const std::vector<double> all = out.fetch();
        return std::vector<double>(all.end() - heads * dim, all.end());
    };
    const std::vector<double> alone = attend_last(1, 250);
    if (attend_last(3, 900) != alone || attend_last(1, 900) != alone)
        fault("a row's bits depend on the batch or on the room in the cache");
}
} // namespace

std::vector<kernel_case> attention_cases() {
    return {{"attention", {SQN_F32, SQN_BF16, SQN_F16, SQN_F64}, any_dim},
            {"attention_tensor_cores", {SQN_BF16, SQN_F16}, tensor_cores},
            {"attention_hopper", {SQN_BF16, SQN_F16}, hopper},
            {"attention_decoding", {SQN_BF16, SQN_F16}, decoding},
            {"attention_company", {SQN_BF16, SQN_F32}, company}};
}
