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
                    w.at(), columns, accumulate, 1,       p,      5,       7,      11};
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
            {"lora", {SQN_BF16}, on_tensor_cores}};
}
