/* Attention over packed sequences or rows of a cache. */
#include <string.h>

#include "tensor/ops.h"

/* Is every row of k one of a segment's keys? They share none (check_gradient). */
static bool all_keys_used(const sqn_tensor *k, const sqn_tensor *counts) {
    const int64_t *count = sqn_tensor_data(counts);
    int64_t sum = 0;
    for (int64_t i = 0; i < counts->shape[0]; i++) sum += count[i];
    return sum == k->shape[0];
}

/* saved: q k v out lse starts key_rows key_counts; i: window, causal; f: scale. */
static sqn_status attention_back(sqn_node *n, sqn_tensor *const dout[], sqn_tensor *din[],
                                 sqn_err *e) {
    const sqn_tensor *q = n->saved[0], *k = n->saved[1];
    const bool written = all_keys_used(k, n->saved[7]); /* by the kernel, whole */
    for (int j = 0; j < 3; j++) {
        const sqn_tensor *x = n->saved[j];
        din[j] = (j == 0 || written ? sqn_tensor_new : sqn_tensor_zeros)(
            sqn_tensor_device(x), x->dtype, x->ndim, x->shape, e);
        if (din[j] == NULL) return SQN_NOMEM;
    }
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

/* The packed sequences: starts [n+1]; first key row, or page numbers [n, M], and number of keys of
 * each [n]; owned. */
typedef struct segments {
    sqn_tensor *starts, *key_rows, *key_counts, *pages;
} segments;

static int64_t page_rows(const sqn_tensor *k) { return k->ndim == 4 ? k->shape[1] : 0; }

/* Every page that keys lie in is one of k's. */
static sqn_status check_pages(sqn_call *c, const segments *s, sqn_err *e) {
    const int64_t *page = sqn_tensor_data(s->pages), *count = sqn_tensor_data(s->key_counts);
    const int64_t there = c->arg[1].t->shape[0], rows = page_rows(c->arg[1].t);
    const int64_t n = s->pages->shape[0], most = s->pages->shape[1];
    for (int64_t i = 0; i < n; i++, page += most) {
        const int64_t used = count[i] / rows + (count[i] % rows > 0);
        if (used > most)
            return sqn_op_fail(c, e,
                               "%lld pages of %lld rows do not hold the %lld keys of "
                               "sequence %lld",
                               (long long)most, (long long)rows, (long long)count[i],
                               (long long)i + 1);
        for (int64_t j = 0; j < used; j++)
            if (page[j] < 0 || page[j] >= there)
                return sqn_op_fail(c, e, "page %lld of sequence %lld is %lld, of %lld there are",
                                   (long long)j + 1, (long long)i + 1, (long long)page[j],
                                   (long long)there);
    }
    return SQN_OK;
}

static sqn_status check_segments(sqn_call *c, const segments *s, sqn_err *e) {
    const sqn_tensor *list[] = {s->starts, s->key_counts, s->pages ? s->pages : s->key_rows};
    for (int i = 0; i < 3; i++)
        if (sqn_tensor_device(list[i]) != SQN_CPU) return SQN_OK; /* in a recording */
    const int64_t *start = sqn_tensor_data(s->starts), *count = sqn_tensor_data(s->key_counts),
                  *row = s->pages ? NULL : sqn_tensor_data(s->key_rows);
    const int64_t n = s->key_counts->shape[0], queries = c->arg[0].t->shape[0],
                  keys = c->arg[1].t->shape[0];
    bool fits = start[0] == 0 && start[n] == queries;
    for (int64_t i = 0; i < n && fits; i++)
        fits = start[i] <= start[i + 1] && count[i] >= start[i + 1] - start[i] &&
               (row == NULL || (row[i] >= 0 && row[i] <= keys - count[i]));
    if (fits) return s->pages ? check_pages(c, s, e) : SQN_OK;
    return sqn_op_fail(c, e, "rows, keys and lengths do not fit %lld queries and %lld %s",
                       (long long)queries, (long long)keys, s->pages ? "pages" : "keys");
}

/* Backward gives every key row to one sequence. */
static sqn_status check_gradient(sqn_call *c, const segments *s, sqn_err *e) {
    if (s->pages != NULL) return sqn_op_fail(c, e, "keys in pages have no gradient");
    const int64_t *row = sqn_tensor_data(s->key_rows), *count = sqn_tensor_data(s->key_counts);
    int64_t n = c->arg[4].present ? s->key_rows->shape[0] : 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++)
            if (row[i] < row[j] + count[j] && row[j] < row[i] + count[i])
                return sqn_op_fail(c, e, "sequences %lld and %lld share keys: no gradient",
                                   (long long)j + 1, (long long)i + 1);
    return SQN_OK;
}

static sqn_status mirror_segments(const segments *s, int device, sqn_err *e) {
    sqn_tensor *list[] = {s->starts, s->key_rows, s->key_counts, s->pages};
    for (int i = 0; i < 4; i++)
        if (list[i] != NULL) SQN_TRY(sqn_tensor_mirror(list[i], device, e));
    return SQN_OK;
}

/* Without keys and lengths a sequence's keys are those beside its queries. */
static sqn_status own_keys(sqn_call *c, segments *s, int64_t n, sqn_err *e) {
    if (sqn_tensor_device(s->starts) != SQN_CPU)
        return sqn_op_fail(c, e, "a recording wants keys and lengths");
    s->key_rows = sqn_tensor_view(s->starts, 1, &n, s->starts->stride, s->starts->offset, e);
    s->key_counts = sqn_tensor_new(SQN_CPU, SQN_I64, 1, &n, e);
    if (s->key_rows == NULL || s->key_counts == NULL) return e->code;
    const int64_t *start = sqn_tensor_data(s->starts);
    for (int64_t i = 0; i < n; i++) {
        ((int64_t *)sqn_tensor_data(s->key_counts))[i] = start[i + 1] - start[i];
    }
    return SQN_OK;
}

static bool is_list(const sqn_tensor *x, int64_t n) {
    return x == NULL || (x->ndim == 1 && x->shape[0] == n);
}

static sqn_status find_segments(sqn_call *c, segments *s, sqn_err *e) {
    sqn_tensor *rows = c->arg[3].t, *keys = c->arg[4].t, *lengths = c->arg[5].t,
               *pages = c->arg[9].t;
    int64_t n = rows && rows->ndim == 1 ? rows->shape[0] - 1 : 1, two = 2;
    if (!is_list(rows, n + 1) || !is_list(keys, n) || !is_list(lengths, n) || n < 1 ||
        (keys != NULL || pages != NULL) != (lengths != NULL))
        return sqn_op_fail(c, e, "rows is [n+1], keys and lengths are [n] and come together");
    if (pages != NULL && (keys != NULL || pages->ndim != 2 || pages->shape[0] != n))
        return sqn_op_fail(c, e, "pages is [n, M] and stands in the place of keys");
    const int device = sqn_tensor_device(c->arg[0].t);
    s->starts = rows ? sqn_op_index(c, rows, INT64_MAX, 0, device, e)
                     : sqn_tensor_zeros(SQN_CPU, SQN_I64, 1, &two, e);
    if (s->starts == NULL) return e->code;
    if (rows == NULL) ((int64_t *)sqn_tensor_data(s->starts))[1] = c->arg[0].t->shape[0];
    if (lengths == NULL)
        SQN_TRY(own_keys(c, s, n, e));
    else if ((s->key_counts = sqn_op_index(c, lengths, INT64_MAX, 0, device, e)) == NULL)
        return e->code;
    if (keys && (s->key_rows = sqn_op_index(c, keys, INT64_MAX, 0, device, e)) == NULL)
        return e->code;
    if (pages && (s->pages = sqn_op_index(c, pages, INT64_MAX, -1, device, e)) == NULL)
        return e->code;
    SQN_TRY(check_segments(c, s, e));
    return mirror_segments(s, device, e);
}

static sqn_status check_shapes(sqn_call *c, sqn_err *e) {
    const sqn_tensor *q = c->arg[0].t, *k = c->arg[1].t, *v = c->arg[2].t;
    const bool pages = c->arg[9].t != NULL;
    char s[96], t[96], u[96];
    SQN_TRY(sqn_op_float(c, q, e));
    bool fits = q->dtype == k->dtype && k->dtype == v->dtype && q->ndim == 3 &&
                k->ndim == 3 + pages && sqn_tensor_same_shape(k, v) &&
                q->shape[2] == k->shape[2 + pages] && k->shape[1 + pages] > 0 &&
                q->shape[1] % k->shape[1 + pages] == 0 && (!pages || k->shape[1] > 0) &&
                c->arg[7].i >= 0;
    if (fits) return SQN_OK;
    return sqn_op_fail(c, e, "q %s, k %s, v %s do not fit [T, H, D], %s", sqn_tensor_describe(q, s),
                       sqn_tensor_describe(k, t), sqn_tensor_describe(v, u),
                       pages ? "[P, R, KV, D]" : "[S, KV, D]");
}

/* All but what is written. */
static sqn_k_attention arguments(const sqn_call *c, sqn_tensor *const x[3], const segments *s) {
    const sqn_tensor *q = x[0], *k = x[1];
    const int device = sqn_tensor_device(q);
    return (sqn_k_attention){
        .dtype = q->dtype,
        .segments = s->key_counts->shape[0],
        .heads = q->shape[1],
        .kv_heads = k->shape[k->ndim - 2],
        .dim = q->shape[2],
        .queries = q->shape[0],
        .keys = k->shape[0] * (s->pages ? page_rows(k) : 1),
        .q_start = sqn_tensor_data_on(s->starts, device),
        .k_row = s->key_rows ? sqn_tensor_data_on(s->key_rows, device) : NULL,
        .k_len = sqn_tensor_data_on(s->key_counts, device),
        .q = sqn_tensor_data(q),
        .k = sqn_tensor_data(k),
        .v = sqn_tensor_data(x[2]),
        .scale = c->arg[8].f != 0 ? c->arg[8].f : 1.0 / __builtin_sqrt((double)q->shape[2]),
        .window = c->arg[7].i,
        .causal = (int)c->arg[6].i,
        .pages = s->pages ? sqn_tensor_data_on(s->pages, device) : NULL,
        .most_pages = s->pages ? s->pages->shape[1] : 0,
        .page_rows = page_rows(k),
    };
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
    SQN_GOTO(sqn_node_new(&node, c->name, attention_back, 3, in, e));
    if (node != NULL) SQN_GOTO(check_gradient(c, &s, e));
    status = SQN_NOMEM;
    if ((y = sqn_tensor_new(sqn_tensor_device(q), q->dtype, 3, q->shape, e)) == NULL) goto fail;
    if (node != NULL &&
        (lse = sqn_tensor_new(device, sqn_accumulator(q->dtype), 2, q->shape, e)) == NULL)
        goto fail;
    sqn_k_attention k = arguments(c, x, &s);
    k.out = sqn_tensor_data(y);
    k.lse = lse ? sqn_tensor_data(lse) : NULL;
    SQN_GOTO(sqn_kernel_result(sqn_tensor_kernels(q)->attention(&k, NULL), c->name, q, e));
    if (node != NULL) {
        status = SQN_NOMEM;
        if ((own = sqn_tensor_detach(y, e)) == NULL) goto fail;
        sqn_tensor *saved[8] = {x[0], x[1], x[2], own, lse, s.starts, s.key_rows, s.key_counts};
        for (int j = 0; j < 8; j++) sqn_node_save(node, saved[j]);
        node->i[0] = k.window, node->i[1] = k.causal, node->f[0] = k.scale;
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
    sqn_tensor_release(s.pages);
    return status;
}
