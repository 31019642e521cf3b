/* Mixtures of LoRA experts: moe_lora, the sum of the experts that a router chose for each token. */
#include <string.h>

#include "tensor/ops.h"

/* Numbers of the call that backward needs beside tensors. */
typedef struct drawn {
    double scale, p;
    int64_t seed, stream, offset;
} drawn;

static sqn_k_moe_lora args_of(const sqn_tensor *x, const sqn_tensor *a, const sqn_tensor *b,
                              const sqn_tensor *weights, const sqn_tensor *order,
                              const sqn_tensor *start, const drawn *d) {
    return (sqn_k_moe_lora){.dtype = x->dtype,
                            .tokens = x->shape[0],
                            .slots = weights->shape[1],
                            .experts = a->shape[0],
                            .in = x->shape[1],
                            .out = b->shape[1],
                            .rank = a->shape[1],
                            .x = sqn_tensor_data(x),
                            .a = sqn_tensor_data(a),
                            .b = sqn_tensor_data(b),
                            .weights = sqn_tensor_data(weights),
                            .order = sqn_tensor_data(order),
                            .start = sqn_tensor_data(start),
                            .scale = d->scale,
                            .p = d->p,
                            .seed = (uint64_t)d->seed,
                            .stream = (uint64_t)d->stream,
                            .offset = (uint64_t)d->offset};
}

/* A weight's gradient, which the kernel adds to, or sets where *set: a leaf's own, or *own
 * (owned). */
static sqn_status weight_gradient(sqn_node *n, int input, const sqn_tensor *x, sqn_tensor **own,
                                  void **data, int *set, bool may_set, sqn_err *e) {
    sqn_tensor *grad;
    bool fresh;
    if (!n->needs[input]) return SQN_OK;
    SQN_TRY(sqn_node_leaf_grad(n, input, sqn_accumulator(x->dtype), &grad, &fresh, e));
    if (grad == NULL) {
        fresh = true;
        grad = *own =
            sqn_tensor_new(sqn_tensor_device(x), sqn_accumulator(x->dtype), x->ndim, x->shape, e);
        if (grad == NULL) return SQN_NOMEM;
    }
    *set = fresh && may_set;
    if (fresh && !may_set) SQN_TRY(sqn_tensor_clear(grad, e));
    grad->storage->version++;
    *data = sqn_tensor_data(grad);
    return SQN_OK;
}

/* A gradient that the kernel sets. */
static sqn_status plain_gradient(sqn_node *n, int input, const sqn_tensor *x, sqn_tensor **din,
                                 void **data, sqn_err *e) {
    if (!n->needs[input]) return SQN_OK;
    *din = sqn_tensor_new(sqn_tensor_device(x), x->dtype, x->ndim, x->shape, e);
    if (*din == NULL) return SQN_NOMEM;
    *data = sqn_tensor_data(*din);
    return SQN_OK;
}

/* saved: x, a, b, weights, order, start, h; inputs: x, a, b, weights, base. */
static sqn_status moe_lora_back(sqn_node *n, sqn_tensor *const dout[], sqn_tensor *din[],
                                sqn_err *e) {
    sqn_tensor **saved = n->saved, *own[3] = {0};
    const drawn d = {n->f[0], n->f[1], n->i[0], n->i[1], n->i[2]};
    sqn_k_moe_lora_grad k = {
        .forward = args_of(saved[0], saved[1], saved[2], saved[3], saved[4], saved[5], &d),
        .dy = sqn_tensor_data(dout[0])};
    k.forward.h = sqn_tensor_data(saved[6]);
    sqn_status status = SQN_OK;
    /* Without a token the kernel sets nothing; one leaf may be both. */
    const bool may_set = saved[0]->shape[0] > 0 &&
                         (n->edges[1].leaf == NULL || n->edges[1].leaf != n->edges[2].leaf);
    SQN_GOTO(plain_gradient(n, 0, saved[0], &din[0], &k.dx, e));
    SQN_GOTO(weight_gradient(n, 1, saved[1], &own[1], &k.da, &k.set_a, may_set, e));
    SQN_GOTO(weight_gradient(n, 2, saved[2], &own[2], &k.db, &k.set_b, may_set, e));
    SQN_GOTO(plain_gradient(n, 3, saved[3], &din[3], &k.dweights, e));
    SQN_GOTO(sqn_kernel_result(sqn_tensor_kernels(saved[0])->moe_lora_grad(&k, NULL), n->op,
                               saved[0], e));
    for (int i = 1; i < 3; i++)
        if (own[i] != NULL && (din[i] = sqn_tensor_as(own[i], saved[i]->dtype, e)) == NULL)
            status = SQN_NOMEM;
    if (n->inputs > 4 && n->needs[4]) din[4] = sqn_tensor_retain(dout[0]);
fail:
    for (int i = 1; i < 3; i++) sqn_tensor_release(own[i]);
    return status;
}

static bool is_shape(const sqn_tensor *x, int ndim, int64_t a, int64_t b, int64_t c) {
    const int64_t want[3] = {a, b, c};
    if (x->ndim != ndim) return false;
    for (int d = 0; d < ndim; d++)
        if (x->shape[d] != want[d]) return false;
    return true;
}

/* in: x, a, b, weights, base or NULL. */
static sqn_status check(sqn_call *c, sqn_tensor *const in[5], const sqn_tensor *ids, sqn_err *e) {
    char s[96], t[96], u[96];
    const sqn_tensor *x = in[0], *a = in[1], *b = in[2];
    SQN_TRY(sqn_op_float(c, x, e));
    for (int i = 1; i < 5; i++)
        if (in[i] != NULL) SQN_TRY(sqn_op_same_dtype(c, x, in[i], e));
    if (x->ndim != 2 || a->ndim != 3 || a->shape[0] < 1 || a->shape[1] < 1 ||
        a->shape[2] != x->shape[1] || b->ndim != 3 ||
        !is_shape(b, 3, a->shape[0], b->shape[1], a->shape[1]))
        return sqn_op_fail(c, e, "x %s, a %s and b %s do not fit: [T, K], [E, R, K], [E, N, R]",
                           sqn_tensor_describe(x, s), sqn_tensor_describe(a, t),
                           sqn_tensor_describe(b, u));
    if (ids->ndim != 2 || ids->shape[0] != x->shape[0] ||
        !is_shape(in[3], 2, ids->shape[0], ids->shape[1], 0))
        return sqn_op_fail(c, e, "ids %s and weights %s are [T, S] with T = %lld",
                           sqn_tensor_describe(ids, s), sqn_tensor_describe(in[3], t),
                           (long long)x->shape[0]);
    if (in[4] != NULL && !is_shape(in[4], 2, x->shape[0], b->shape[1], 0))
        return sqn_op_fail(c, e, "base %s is [T, N] = [%lld, %lld]", sqn_tensor_describe(in[4], s),
                           (long long)x->shape[0], (long long)b->shape[1]);
    if (!(c->arg[7].f >= 0 && c->arg[7].f < 1))
        return sqn_op_fail(c, e, "p is at least 0 and below 1, got %g", c->arg[7].f);
    return SQN_OK;
}

/* Places by expert on x's device, owned; *pairs: how many have one, or at most have one. */
static sqn_status group(sqn_call *c, const sqn_tensor *x, const sqn_tensor *index, int64_t experts,
                        sqn_tensor **order, sqn_tensor **start, int64_t *pairs, sqn_err *e) {
    const int device = sqn_tensor_device(x);
    int64_t places = sqn_tensor_numel(index), starts = experts + 1;
    if ((*order = sqn_tensor_new(device, SQN_I64, 1, &places, e)) == NULL ||
        (*start = sqn_tensor_new(device, SQN_I64, 1, &starts, e)) == NULL)
        return SQN_NOMEM;
    sqn_k_moe_group k = {places, experts, sqn_tensor_data_on(index, device),
                         sqn_tensor_data(*order), sqn_tensor_data(*start)};
    SQN_TRY(sqn_kernel_result(sqn_tensor_kernels(x)->moe_group(&k, NULL), c->name, index, e));
    *pairs = device == SQN_CPU ? ((const int64_t *)sqn_tensor_data(*start))[experts] : places;
    return SQN_OK;
}

sqn_status sqn_op_moe_lora(sqn_call *c, sqn_err *e) {
    sqn_tensor *in[5] = {c->arg[0].t, c->arg[1].t, c->arg[2].t, c->arg[4].t, c->arg[6].t};
    sqn_tensor *use[5] = {0}, *index = NULL, *order = NULL, *start = NULL, *h = NULL, *total = NULL;
    sqn_node *node = NULL;
    const drawn d = {c->arg[5].f, c->arg[7].f, c->arg[8].i, c->arg[9].i, c->arg[10].i};
    SQN_TRY(check(c, in, c->arg[3].t, e));
    sqn_status status = SQN_NOMEM;
    for (int i = 0; i < 5; i++)
        if (in[i] != NULL && (use[i] = sqn_tensor_as(in[i], in[i]->dtype, e)) == NULL) goto fail;
    if ((index = sqn_op_guarded_index(c, c->arg[3].t, in[1]->shape[0], -1, sqn_tensor_device(in[0]),
                                      e)) == NULL) {
        status = e->code;
        goto fail;
    }
    int64_t kept[2] = {0, in[1]->shape[1]}, shape[2] = {in[0]->shape[0], in[2]->shape[1]};
    SQN_GOTO(group(c, use[0], index, in[1]->shape[0], &order, &start, &kept[0], e));
    status = SQN_NOMEM;
    if ((h = sqn_tensor_new(sqn_tensor_device(in[0]), sqn_accumulator(in[0]->dtype), 2, kept, e)) ==
            NULL ||
        (total = sqn_tensor_new(sqn_tensor_device(in[0]), in[0]->dtype, 2, shape, e)) == NULL)
        goto fail;
    sqn_k_moe_lora k = args_of(use[0], use[1], use[2], use[3], order, start, &d);
    k.h = sqn_tensor_data(h);
    k.base = use[4] ? sqn_tensor_data(use[4]) : NULL;
    k.total = sqn_tensor_data(total);
    SQN_GOTO(sqn_kernel_result(sqn_tensor_kernels(use[0])->moe_lora(&k, NULL), c->name, use[0], e));
    SQN_GOTO(sqn_node_new(&node, c->name, moe_lora_back, in[4] ? 5 : 4, in, e));
    if (node != NULL) {
        for (int i = 0; i < 4; i++) sqn_node_save(node, use[i]);
        sqn_node_save(node, order);
        sqn_node_save(node, start);
        sqn_node_save(node, h);
        node->f[0] = d.scale, node->f[1] = d.p;
        node->i[0] = d.seed, node->i[1] = d.stream, node->i[2] = d.offset;
    }
    status = sqn_op_result(c, node, 0, total);
    total = NULL;
fail:
    sqn_node_release(node);
    sqn_tensor_release(total);
    sqn_tensor_release(h);
    sqn_tensor_release(start);
    sqn_tensor_release(order);
    sqn_tensor_release(index);
    for (int i = 0; i < 5; i++) sqn_tensor_release(use[i]);
    return status;
}
