/* Attention over packed sequences or rows of a cache. */
#include <string.h>

#include "tensor/ops.h"

/* saved: q k v out lse starts key_rows key_counts; i: window, causal; f: scale. */
static sqn_status attention_back(sqn_node *n, sqn_tensor *const dout[], sqn_tensor *din[],
                                 sqn_err *e) {
    for (int j = 0; j < 3; j++) {
        const sqn_tensor *x = n->saved[j];
        if ((din[j] = sqn_tensor_zeros(sqn_tensor_device(x), x->dtype, x->ndim, x->shape, e)) ==
            NULL)
            return SQN_NOMEM;
    }
    const sqn_tensor *q = n->saved[0], *k = n->saved[1];
    const int device = sqn_tensor_device(q);
    sqn_k_attention_grad a = {.dtype = q->dtype,
                              .segments = n->saved[6]->shape[0],
                              .heads = q->shape[1],
                              .kv_heads = k->shape[1],
                              .dim = q->shape[2],
                              .queries = q->shape[0],
                              .keys = k->shape[0],
                              .q_start = sqn_tensor_data_on(n->saved[5], device),
                              .k_row = sqn_tensor_data_on(n->saved[6], device),
                              .k_len = sqn_tensor_data_on(n->saved[7], device),
                              .q = sqn_tensor_data(q),
                              .k = sqn_tensor_data(k),
                              .v = sqn_tensor_data(n->saved[2]),
                              .out = sqn_tensor_data(n->saved[3]),
                              .lse = sqn_tensor_data(n->saved[4]),
                              .dout = sqn_tensor_data(dout[0]),
                              .dq = sqn_tensor_data(din[0]),
                              .dk = sqn_tensor_data(din[1]),
                              .dv = sqn_tensor_data(din[2]),
                              .scale = n->f[0],
                              .window = n->i[0],
                              .causal = (int)n->i[1]};
    return sqn_kernel_result(sqn_tensor_kernels(q)->attention_grad(&a, NULL), n->op, q, e);
}

/* The packed sequences: starts [n+1], first key row and number of keys of each [n]; owned. */
typedef struct segments {
    sqn_tensor *starts, *key_rows, *key_counts;
} segments;

static sqn_status check_segments(sqn_call *c, const segments *s, int64_t queries, int64_t keys,
                                 sqn_err *e) {
    if (sqn_tensor_device(s->starts) != SQN_CPU || sqn_tensor_device(s->key_rows) != SQN_CPU ||
        sqn_tensor_device(s->key_counts) != SQN_CPU)
        return SQN_OK; /* in a recording */
    const int64_t *start = sqn_tensor_data(s->starts), *row = sqn_tensor_data(s->key_rows),
                  *count = sqn_tensor_data(s->key_counts);
    int64_t n = s->key_rows->shape[0];
    bool fits = start[0] == 0 && start[n] == queries;
    for (int64_t i = 0; i < n && fits; i++)
        fits = start[i] <= start[i + 1] && row[i] >= 0 && count[i] >= start[i + 1] - start[i] &&
               row[i] <= keys - count[i];
    if (fits) return SQN_OK;
    return sqn_op_fail(c, e, "rows, keys and lengths do not fit %lld queries and %lld keys",
                       (long long)queries, (long long)keys);
}

/* Backward gives every key row to one sequence. */
static sqn_status check_apart(sqn_call *c, const segments *s, sqn_err *e) {
    const int64_t *row = sqn_tensor_data(s->key_rows), *count = sqn_tensor_data(s->key_counts);
    int64_t n = c->arg[4].present ? s->key_rows->shape[0] : 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++)
            if (row[i] < row[j] + count[j] && row[j] < row[i] + count[i])
                return sqn_op_fail(c, e, "sequences %lld and %lld share keys: no gradient",
                                   (long long)j + 1, (long long)i + 1);
    return SQN_OK;
}

static sqn_status find_segments(sqn_call *c, segments *s, sqn_err *e) {
    sqn_tensor *rows = c->arg[3].t, *keys = c->arg[4].t, *lengths = c->arg[5].t;
    int64_t queries = c->arg[0].t->shape[0], n = rows ? rows->shape[0] - 1 : 1, two = 2;
    bool lists = (rows == NULL || rows->ndim == 1) &&
                 (keys == NULL || (keys->ndim == 1 && keys->shape[0] == n)) &&
                 (lengths == NULL || (lengths->ndim == 1 && lengths->shape[0] == n)) &&
                 (keys == NULL) == (lengths == NULL);
    if (!lists || n < 1)
        return sqn_op_fail(c, e, "rows is [n+1], keys and lengths are [n] and come together");
    const int device = sqn_tensor_device(c->arg[0].t);
    s->starts = rows ? sqn_op_index(c, rows, INT64_MAX, 0, device, e)
                     : sqn_tensor_zeros(SQN_CPU, SQN_I64, 1, &two, e);
    if (s->starts == NULL) return e->code;
    int64_t *start = sqn_tensor_data(s->starts);
    if (keys == NULL && sqn_tensor_device(s->starts) != SQN_CPU)
        return sqn_op_fail(c, e, "a recording wants keys and lengths");
    if (rows == NULL) start[1] = queries;
    s->key_rows = keys ? sqn_op_index(c, keys, INT64_MAX, 0, device, e)
                       : sqn_tensor_new(SQN_CPU, SQN_I64, 1, &n, e);
    s->key_counts = lengths ? sqn_op_index(c, lengths, INT64_MAX, 0, device, e)
                            : sqn_tensor_new(SQN_CPU, SQN_I64, 1, &n, e);
    if (s->key_rows == NULL || s->key_counts == NULL) return e->code;
    for (int64_t i = 0; i < n && keys == NULL; i++) {
        ((int64_t *)sqn_tensor_data(s->key_rows))[i] = start[i];
        ((int64_t *)sqn_tensor_data(s->key_counts))[i] = start[i + 1] - start[i];
    }
    SQN_TRY(check_segments(c, s, queries, c->arg[1].t->shape[0], e));
    SQN_TRY(sqn_tensor_mirror(s->starts, device, e));
    SQN_TRY(sqn_tensor_mirror(s->key_rows, device, e));
    return sqn_tensor_mirror(s->key_counts, device, e);
}

static sqn_status check_shapes(sqn_call *c, sqn_err *e) {
    const sqn_tensor *q = c->arg[0].t, *k = c->arg[1].t, *v = c->arg[2].t;
    char s[96], t[96], u[96];
    SQN_TRY(sqn_op_float(c, q, e));
    bool fits = q->dtype == k->dtype && k->dtype == v->dtype && q->ndim == 3 && k->ndim == 3 &&
                sqn_tensor_same_shape(k, v) && q->shape[2] == k->shape[2] && k->shape[1] > 0 &&
                q->shape[1] % k->shape[1] == 0 && c->arg[7].i >= 0;
    if (fits) return SQN_OK;
    return sqn_op_fail(c, e, "q %s, k %s, v %s do not fit [T, H, D], [S, KV, D]",
                       sqn_tensor_describe(q, s), sqn_tensor_describe(k, t),
                       sqn_tensor_describe(v, u));
}

sqn_status sqn_op_attention(sqn_call *c, sqn_err *e) {
    sqn_tensor *in[3], *x[3] = {0}, *y = NULL, *lse = NULL, *own = NULL;
    segments s = {0};
    sqn_node *node = NULL;
    SQN_TRY(check_shapes(c, e));
    sqn_status status = find_segments(c, &s, e);
    if (status != SQN_OK) goto fail;
    status = SQN_NOMEM;
    for (int j = 0; j < 3; j++) {
        in[j] = c->arg[j].t;
        if ((x[j] = sqn_tensor_as(in[j], in[j]->dtype, e)) == NULL) goto fail;
    }
    const sqn_tensor *q = x[0];
    const int device = sqn_tensor_device(q);
    double scale = c->arg[8].f != 0 ? c->arg[8].f : 1.0 / __builtin_sqrt((double)q->shape[2]);
    SQN_GOTO(sqn_node_new(&node, c->name, attention_back, 3, in, e));
    if (node != NULL) SQN_GOTO(check_apart(c, &s, e));
    status = SQN_NOMEM;
    if ((y = sqn_tensor_new(sqn_tensor_device(q), q->dtype, 3, q->shape, e)) == NULL) goto fail;
    if (node != NULL &&
        (lse = sqn_tensor_new(device, sqn_accumulator(q->dtype), 2, q->shape, e)) == NULL)
        goto fail;
    sqn_k_attention k = {.dtype = q->dtype,
                         .segments = s.key_rows->shape[0],
                         .heads = q->shape[1],
                         .kv_heads = x[1]->shape[1],
                         .dim = q->shape[2],
                         .queries = q->shape[0],
                         .keys = x[1]->shape[0],
                         .q_start = sqn_tensor_data_on(s.starts, device),
                         .k_row = sqn_tensor_data_on(s.key_rows, device),
                         .k_len = sqn_tensor_data_on(s.key_counts, device),
                         .q = sqn_tensor_data(q),
                         .k = sqn_tensor_data(x[1]),
                         .v = sqn_tensor_data(x[2]),
                         .out = sqn_tensor_data(y),
                         .lse = lse ? sqn_tensor_data(lse) : NULL,
                         .scale = scale,
                         .window = c->arg[7].i,
                         .causal = (int)c->arg[6].i};
    SQN_GOTO(sqn_kernel_result(sqn_tensor_kernels(q)->attention(&k, NULL), c->name, q, e));
    if (node != NULL) {
        status = SQN_NOMEM;
        if ((own = sqn_tensor_detach(y, e)) == NULL) goto fail;
        sqn_tensor *saved[8] = {x[0], x[1], x[2], own, lse, s.starts, s.key_rows, s.key_counts};
        for (int j = 0; j < 8; j++) sqn_node_save(node, saved[j]);
        node->i[0] = k.window, node->i[1] = k.causal, node->f[0] = scale;
    }
    status = sqn_op_result(c, node, 0, y);
    y = NULL;
fail:
    sqn_node_release(node);
    sqn_tensor_release(own);
    sqn_tensor_release(lse);
    sqn_tensor_release(y);
    for (int j = 0; j < 3; j++) sqn_tensor_release(x[j]);
    sqn_tensor_release(s.starts);
    sqn_tensor_release(s.key_rows);
    sqn_tensor_release(s.key_counts);
    return status;
}
