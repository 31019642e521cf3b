/* Cases of the grouped experts: places without an expert, one expert that takes all, dropped
 * inputs. */
#include "tests/gpu/kernels.h"

namespace {
void experts(sqn_dtype dtype, int64_t count, int64_t only, double p) {
    const int64_t tokens = 45, slots = 2, in = 69, out = 41, rank = 5, places = tokens * slots;
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
    const int64_t pairs = cpu_start[(size_t)count];
    for (size_t i = 0; i < (size_t)pairs; i++)
        if ((int64_t)places_got[i] != cpu_order[i])
            fault(format("place %zu is %g", i, places_got[i]));

    const sqn_dtype wide = accumulator(dtype);
    values x = values::floats(dtype, tokens * in, -1, 1),
           a = values::floats(dtype, count * rank * in, -1, 1),
           b = values::floats(dtype, count * out * rank, -1, 1),
           w = values::floats(dtype, places, 0, 1), y = values::floats(wide, tokens * out),
           hidden(wide, places * rank);
    sqn_k_moe_lora k = {};
    k.dtype = dtype, k.tokens = tokens, k.slots = slots, k.experts = count, k.in = in, k.out = out,
    k.rank = rank;
    k.x = x.at(), k.a = a.at(), k.b = b.at(), k.weights = w.at(), k.order = order.ids(),
    k.start = start.ids();
    k.scale = 0.7, k.p = p, k.seed = 3, k.stream = 4, k.offset = 5, k.h = hidden.at(), k.y = y.at();
    sqn_k_moe_lora r = k;
    r.dtype = SQN_F64, r.x = x.cpu(), r.a = a.cpu(), r.b = b.cpu(), r.weights = w.cpu();
    r.order = cpu_order.data(), r.start = cpu_start.data(), r.h = hidden.cpu(), r.y = y.cpu();
    check(sqn_cpu_moe_lora(&r, nullptr), "cpu");
    check(sqn_cuda_moe_lora(&k, nullptr), "cuda");
    const double loose =
        dtype == wide ? 4 : 4000; /* what is rounded on the way is rounded to the dtype */
    y.expect("y", loose);

    values dy = values::floats(dtype, tokens * out, -1, 1), dx = values::floats(wide, tokens * in),
           da = values::floats(wide, a.n), db = values::floats(wide, b.n),
           dw = values::floats(wide, places);
    const int set = p > 0; /* what stands in da and db is added to, or not */
    sqn_k_moe_lora_grad q = {k, dy.at(), dx.at(), da.at(), db.at(), dw.at(), set, set};
    sqn_k_moe_lora_grad s = {r, dy.cpu(), dx.cpu(), da.cpu(), db.cpu(), dw.cpu(), set, set};
    check(sqn_cpu_moe_lora_grad(&s, nullptr), "cpu");
    check(sqn_cuda_moe_lora_grad(&q, nullptr), "cuda");
    dx.expect("dx", loose);
    da.expect("da", loose);
    db.expect("db", loose);
    dw.expect("dweights", loose);
}

void all(sqn_dtype dtype) {
    experts(dtype, 5, -1, 0);
    experts(dtype, 3, 1, 0);
    experts(dtype, 40, -1, 0.3);
}
} // namespace

std::vector<kernel_case> expert_cases() {
    return {{"experts", {SQN_F32, SQN_BF16, SQN_F16, SQN_F64}, all}};
}
