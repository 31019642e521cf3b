/* Cases of the products of a low-rank correction: on tensor cores and by parts, each way that w is
 * stored, dropped, added to what is there. */
#include "tests/gpu/kernels.h"

namespace {
struct shape {
    int64_t rows, width, rank;
};

void product(sqn_lora_make make, sqn_dtype dtype, sqn_dtype u_dtype, const shape &s, int columns,
             int accumulate, double p) {
    const sqn_dtype w_dtype = make == SQN_LORA_W ? accumulator(dtype) : u_dtype;
    values x = values::floats(dtype, s.rows * s.width, -1, 1),
           u = values::floats(u_dtype, s.rows * s.rank, -1, 1),
           w = values::floats(w_dtype, s.rank * s.width, -1, 1);
    values &made = make == SQN_LORA_U ? u : make == SQN_LORA_X ? x : w;
    sqn_k_lora k = {make,   dtype,   u_dtype,    w_dtype, s.rows, s.width, s.rank, x.at(), u.at(),
                    w.at(), columns, accumulate, 1,       p,      5,       7,      11,     nullptr};
    if (make == SQN_LORA_U) k.alpha = 0.7;
    sqn_k_lora r = k;
    r.dtype = r.u_dtype = r.w_dtype = SQN_F64, r.x = x.cpu(), r.u = u.cpu(), r.w = w.cpu();
    check(sqn_cpu_lora(&r, nullptr), "cpu");
    check(sqn_cuda_lora(&k, nullptr), "cuda");
    made.expect(format("make %d of [%lld, %lld] by %lld, columns %d, p %g", make, (long long)s.rows,
                       (long long)s.width, (long long)s.rank, columns, p)
                    .c_str(),
                u_dtype == SQN_BF16 && p > 0 ? 4000 : 8); /* x is rounded when it is dropped */
}

void each_product(sqn_dtype dtype, sqn_dtype u_dtype, const shape &s) {
    for (sqn_lora_make make : {SQN_LORA_U, SQN_LORA_X, SQN_LORA_W})
        for (int columns : {0, 1})
            for (int more : {0, 1})
                product(make, dtype, u_dtype, s, columns, more && make != SQN_LORA_U,
                        more ? 0.3 : 0);
}

/* Both factors' gradients in one call; the second has another width, on tensor cores or not. */
void side_by_side(sqn_dtype dtype) {
    const int64_t rows = 45, rank = 11, widths[][2] = {{72, 168}, {168, 72}, {72, 21}, {21, 72}};
    for (auto &width : widths) {
        values x = values::floats(dtype, rows * width[0], -1, 1),
               u = values::floats(SQN_F32, rows * rank, -1, 1), w(SQN_F32, rank * width[0]);
        values x2 = values::floats(dtype, rows * width[1], -1, 1),
               u2 = values::floats(SQN_F32, rows * rank, -1, 1),
               w2 = values::floats(SQN_F32, rank * width[1], -1, 1);
        sqn_k_lora a = {SQN_LORA_W, dtype, SQN_F32, SQN_F32, rows, width[0], rank, x.at(), u.at(),
                        w.at(),     1,     0,       1,       0,    0,        0,    0,      nullptr};
        sqn_k_lora b = {SQN_LORA_W, dtype,   SQN_F32, SQN_F32, rows, width[1],
                        rank,       x2.at(), u2.at(), w2.at(), 0,    1,
                        1,          0.3,     5,       7,       11,   nullptr};
        a.beside = &b;
        sqn_k_lora r = a, s = b;
        r.dtype = r.u_dtype = r.w_dtype = s.dtype = s.u_dtype = s.w_dtype = SQN_F64;
        r.x = x.cpu(), r.u = u.cpu(), r.w = w.cpu();
        s.x = x2.cpu(), s.u = u2.cpu(), s.w = w2.cpu();
        r.beside = &s;
        check(sqn_cpu_lora(&r, nullptr), "cpu");
        check(sqn_cuda_lora(&a, nullptr), "cuda");
        w.expect("the first", 8);
        w2.expect("the second", 8);
    }
}

void by_parts(sqn_dtype dtype) {
    each_product(dtype, dtype, {19, 21, 5});
    each_product(dtype, accumulator(dtype), {3, 44, 2});
}

void on_tensor_cores(sqn_dtype dtype) {
    for (const shape &s : std::initializer_list<shape>{
             {1, 8, 1}, {21, 40, 4}, {65, 296, 13}, {150, 136, 30}, {33, 264, 70}, {70, 72, 64}})
        each_product(dtype, SQN_F32, s);
}
} // namespace

std::vector<kernel_case> lora_cases() {
    return {{"lora_by_parts", {SQN_F32, SQN_BF16, SQN_F64}, by_parts},
            {"lora", {SQN_BF16}, on_tensor_cores},
            {"lora_beside", {SQN_BF16}, side_by_side}};
}
