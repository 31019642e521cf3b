/* Cases of the kernels' test: a step of AdamW over many tensors, and their norms. The tensors are
 * slices of one buffer, aligned or not, of no elements, of less than a pack, of several pieces. */
#include "tests/gpu/kernels.h"

namespace {
const std::vector<sqn_dtype> floats = {SQN_F32, SQN_BF16, SQN_F16, SQN_F64};

struct slice {
    int64_t at, n;
};
const std::vector<slice> slices = {{0, 333}, {336, 0}, {337, 700}, {1040, 1300}, {2341, 3}};
const size_t room = 2344;

/* More than a launch takes. */
std::vector<slice> crowd(int64_t count) {
    std::vector<slice> list;
    for (int64_t i = 0; i < count; i++) list.push_back({i * 4, 1 + i % 3});
    return list;
}

void *element(const values &v, int64_t i) {
    return (char *)v.at() + (size_t)i * sqn_dtype_size(v.dtype);
}

sqn_k_adamw settings(sqn_dtype dtype, const std::vector<sqn_k_adamw_tensor> &tensors) {
    sqn_k_adamw a = {};
    a.dtype = a.grad_dtype = dtype, a.step = 3;
    a.count = (int64_t)tensors.size(), a.tensors = tensors.data();
    a.lr = 1e-2, a.beta1 = 0.9, a.beta2 = 0.99, a.eps = 1e-8, a.weight_decay = 0.1,
    a.grad_scale = 0.5;
    return a;
}

void adamw_of(sqn_dtype dtype, sqn_dtype grad_dtype, bool master, const std::vector<slice> &list,
              double factor) {
    const sqn_dtype wide = accumulator(dtype);
    const int64_t n = list.back().at + list.back().n;
    values p = values::floats(dtype, n), w = values::floats(SQN_F32, n),
           g = values::floats(grad_dtype, n), m = values::floats(wide, n),
           v = values::floats(wide, n, 0.1, 1), scale(SQN_F64, 1);
    scale.set({factor});
    std::vector<sqn_k_adamw_tensor> mine, theirs; /* the CPU's in f64 has no copies */
    for (const slice &s : list) {
        mine.push_back({s.n, element(p, s.at), master ? element(w, s.at) : nullptr,
                        element(g, s.at), element(m, s.at), element(v, s.at), nullptr, nullptr, 0});
        theirs.push_back({s.n, (master ? w : p).doubles() + s.at, nullptr, g.doubles() + s.at,
                          m.doubles() + s.at, v.doubles() + s.at, nullptr, nullptr, 0});
    }
    sqn_k_adamw a = settings(dtype, mine), r = settings(SQN_F64, theirs);
    a.grad_dtype = grad_dtype;
    a.grad_scale_at = (const double *)scale.at(), r.grad_scale_at = scale.doubles();
    check(sqn_cpu_adamw(&r, nullptr), "cpu");
    check(sqn_cuda_adamw(&a, nullptr), "cuda");
    (master ? w : p).expect("weights");
    m.expect("m");
    v.expect("v");
}

void adamw(sqn_dtype dtype) {
    for (bool master : {false, true})
        if (!master || dtype != SQN_F64) adamw_of(dtype, dtype, master, slices, 0.7);
    adamw_of(dtype, accumulator(dtype), false, slices, 0.7);
    adamw_of(dtype, dtype, false, crowd(300), 0.7);
    for (double bad : {NAN, INFINITY}) adamw_of(dtype, dtype, false, slices, bad);
}

/* 8-bit states and stochastic rounding: the same codes and weights as the CPU's, but where a sum in
 * another order falls on the other side of a rounding. */
void adamw_narrow(sqn_dtype dtype) {
    values p = values::floats(dtype, (int64_t)room),
           g = values::floats(dtype, (int64_t)room, -1, 1),
           m = values::integers(SQN_U8, (int64_t)room, 256),
           v = values::integers(SQN_U8, (int64_t)room, 256),
           ms = values::floats(SQN_F32, 16, 0.5, 1), vs = values::floats(SQN_F32, 16, 0.5, 1);
    const size_t size = sqn_dtype_size(dtype);
    std::vector<char> cp(room * size), cg(room * size), cm(room), cv(room);
    std::vector<float> cms(16), cvs(16);
    device_read(cp.data(), p.at(), cp.size()), device_read(cg.data(), g.at(), cg.size());
    device_read(cm.data(), m.at(), cm.size()), device_read(cv.data(), v.at(), cv.size());
    device_read(cms.data(), ms.at(), 64), device_read(cvs.data(), vs.at(), 64);
    std::vector<sqn_k_adamw_tensor> mine, theirs;
    int64_t block = 0;
    uint64_t stream = 4;
    for (const slice &s : slices) {
        const size_t at = (size_t)s.at;
        mine.push_back({s.n, element(p, s.at), nullptr, element(g, s.at), element(m, s.at),
                        element(v, s.at), (float *)ms.at() + block, (float *)vs.at() + block,
                        stream});
        theirs.push_back({s.n, &cp[at * size], nullptr, &cg[at * size], &cm[at], &cv[at],
                          &cms[(size_t)block], &cvs[(size_t)block], stream++});
        block += (s.n + SQN_STATE_BLOCK - 1) / SQN_STATE_BLOCK;
    }
    sqn_k_adamw a = settings(dtype, mine);
    a.stochastic = dtype == SQN_BF16, a.seed = 3, a.offset = 5;
    sqn_k_adamw r = a;
    r.tensors = theirs.data();
    check(sqn_cpu_adamw(&r, nullptr), "cpu");
    check(sqn_cuda_adamw(&a, nullptr), "cuda");
    std::vector<uint8_t> gm(room), gv(room);
    device_read(gm.data(), m.at(), gm.size()), device_read(gv.data(), v.at(), gv.size());
    for (size_t i = 0; i < gm.size(); i++)
        if (abs(gm[i] - (uint8_t)cm[i]) > 1 || abs(gv[i] - (uint8_t)cv[i]) > 1)
            fault(format("codes of %zu: %d %d, not %d %d", i, gm[i], gv[i], (uint8_t)cm[i],
                         (uint8_t)cv[i]));
    for (size_t b = 0; b < 16; b++) ms.doubles()[b] = cms[b], vs.doubles()[b] = cvs[b];
    ms.expect("scales of m");
    vs.expect("scales of v");
    std::vector<double> got = p.fetch();
    for (size_t i = 0; i < got.size(); i++) {
        double want = dtype == SQN_BF16 ? bf16_value(&cp[i * 2]) : (double)((float *)cp.data())[i];
        if (!(fabs(got[i] - want) <= tolerance(dtype) * (1 + fabs(want))))
            fault(format("weight %zu is %g, not %g", i, got[i], want));
    }
}

void norms_of(values &x, const std::vector<slice> &list, const std::vector<int64_t> &start,
              double max) {
    std::vector<sqn_k_norms_tensor> on_card, here;
    for (const slice &s : list) {
        on_card.push_back({x.dtype, s.n, element(x, s.at)});
        here.push_back({SQN_F64, s.n, x.doubles() + s.at});
    }
    const int64_t groups = (int64_t)start.size() - 1;
    values norms(SQN_F64, 1 + groups), factor(SQN_F64, 1);
    sqn_k_norms a = {(int64_t)list.size(), groups, on_card.data(),
                     start.data(),         max,    (double *)norms.at(),
                     (double *)factor.at()},
                r = a;
    r.tensors = here.data(), r.norms = norms.doubles(), r.factor = factor.doubles();
    check(sqn_cpu_norms(&r, nullptr), "cpu");
    check(sqn_cuda_norms(&a, nullptr), "cuda");
    const double scale = x.dtype == SQN_F64 ? 1 : 5e4; /* some terms are summed in f32 */
    norms.expect("norms", scale);
    factor.expect("factor", scale);
}

void norms(sqn_dtype dtype) {
    values x = values::floats(dtype, 10000);
    const std::vector<slice> list = {{0, 333}, {337, 700}, {1040, 1300}, {2341, 3}, {2400, 7001}};
    for (double max : {0.0, 0.5, 1e9}) {
        norms_of(x, list, {0, 5}, max);
        norms_of(x, list, {0, 2, 2, 5}, max);
    }
    norms_of(x, {}, {0}, 1);
    norms_of(x, {{0, 0}}, {0, 1}, 1);
    norms_of(x, crowd(600), {0, 600}, 1);
    std::vector<int64_t> each;
    for (int64_t i = 0; i <= 300; i++) each.push_back(i);
    norms_of(x, crowd(300), each, 1);
    if (dtype == SQN_F64) return;
    values bad = values::floats(SQN_F32, 8);
    bad.set({1, 2, INFINITY, 3, 1, NAN, 1, 1});
    norms_of(bad, {{0, 4}}, {0, 1}, 1);
    norms_of(bad, {{4, 4}}, {0, 1}, 0);
    values far = values::floats(SQN_F32, 12); /* squares that f32 does not hold */
    far.set({1e25, 3e30, 1, 0, 1e-25, 3e-20, 0, 0, 1e-30, 2e30, 4e-22, 0});
    norms_of(far, {{0, 4}, {4, 4}, {8, 4}}, {0, 1, 2, 3}, 1);
}
} // namespace

std::vector<kernel_case> optimizer_cases() {
    return {{"adamw", floats, adamw},
            {"adamw_narrow", {SQN_F32, SQN_BF16}, adamw_narrow},
            {"norms", floats, norms}};
}
