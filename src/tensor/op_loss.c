/* Cross entropy over labelled rows, alone and together with the language-model head.
 *
 * The head: rows without a label are left out before the product, so no logits are made for them.
 * The others go through in chunks. If all chunks' dlogits fit into `keep_bytes` they are kept for
 * backward; otherwise backward makes them again.
 *
 * Label smoothing and the z-loss are terms of the same pass over the logits: see
 * sqn_k_cross_entropy.
 */
#include <string.h>

#include "tensor/op_matmul.h"

static const int64_t keep_bytes = (int64_t)512 << 20;
static const int64_t chunk_bytes = (int64_t)128 << 20;
static const int64_t unlabelled = -100;

/* Places (i64) and labels (i64) of the labelled rows, on the host with mirrors beside the logits;
 * owned. */
typedef struct labelled {
    sqn_tensor *place, *label;
    int64_t count;
} labelled;

typedef struct terms {
    double smoothing, z_loss;
} terms;

static sqn_status read_terms(const sqn_call *c, int first, terms *out, sqn_err *e) {
    *out = (terms){c->arg[first].f, c->arg[first + 1].f};
    if (!(out->smoothing >= 0 && out->smoothing < 1))
        return sqn_op_fail(c, e, "smoothing is in [0, 1), got %g", out->smoothing);
    return SQN_OK;
}

static void labelled_release(labelled *l) {
    sqn_tensor_release(l->place);
    sqn_tensor_release(l->label);
}

static sqn_status find_labelled(sqn_call *c, sqn_tensor *labels, const sqn_tensor *x, int64_t vocab,
                                labelled *out, sqn_err *e) {
    const int64_t rows = x->shape[0];
    const int device = sqn_tensor_device(x);
    *out = (labelled){0};
    if (labels->ndim != 1 || labels->shape[0] != rows)
        return sqn_op_fail(c, e, "labels is [N] with N = %lld", (long long)rows);
    sqn_tensor *all = sqn_op_index(c, labels, vocab, unlabelled, SQN_CPU, e);
    if (all == NULL) return e->code;
    const int64_t *v = sqn_tensor_data(all);
    int64_t n = 0;
    for (int64_t i = 0; i < rows; i++) n += v[i] != unlabelled;
    out->count = n;
    out->place = sqn_tensor_new(SQN_CPU, SQN_I64, 1, &n, e);
    out->label = sqn_tensor_new(SQN_CPU, SQN_I64, 1, &n, e);
    sqn_status status = out->place && out->label ? SQN_OK : SQN_NOMEM;
    for (int64_t i = 0, at = 0; i < rows && status == SQN_OK; i++) {
        if (v[i] == unlabelled) continue;
        ((int64_t *)sqn_tensor_data(out->place))[at] = i;
        ((int64_t *)sqn_tensor_data(out->label))[at++] = v[i];
    }
    sqn_tensor_release(all);
    if (status == SQN_OK) status = sqn_tensor_mirror(out->place, device, e);
    if (status == SQN_OK) status = sqn_tensor_mirror(out->label, device, e);
    if (status != SQN_OK) labelled_release(out);
    return status;
}

static sqn_tensor *rows_at(const char *name, const sqn_tensor *x, const sqn_tensor *place,
                           sqn_err *e) {
    int64_t shape[2] = {place->shape[0], x->shape[1]};
    sqn_tensor *y = sqn_tensor_new(sqn_tensor_device(x), x->dtype, 2, shape, e);
    if (y == NULL) return NULL;
    sqn_k_gather_rows k = {
        shape[0],           shape[1] * (int64_t)sqn_dtype_size(x->dtype),    x->shape[0],
        sqn_tensor_data(x), sqn_tensor_data_on(place, sqn_tensor_device(x)), sqn_tensor_data(y)};
    if (sqn_kernel_result(sqn_tensor_kernels(x)->gather_rows(&k, NULL), name, x, e) == SQN_OK)
        return y;
    sqn_tensor_release(y);
    return NULL;
}

/* Row places of dx = rows of d; the others 0. */
static sqn_status spread(const char *name, const sqn_tensor *d, const sqn_tensor *place,
                         sqn_tensor *dx, sqn_err *e) {
    sqn_k_scatter_rows k = {d->dtype,
                            dx->dtype,
                            d->shape[0],
                            d->shape[1],
                            dx->shape[0],
                            sqn_tensor_data(d),
                            sqn_tensor_data_on(place, sqn_tensor_device(d)),
                            sqn_tensor_data(dx),
                            0};
    return sqn_kernel_result(sqn_tensor_kernels(d)->scatter_rows(&k, NULL), name, d, e);
}

/* x = x factor, one number of the accumulator type. */
static sqn_status scale(const char *name, sqn_tensor *x, const sqn_tensor *factor, sqn_err *e) {
    return sqn_op_affine_into(name, x, 1, 0, factor, x, e);
}

static sqn_tensor *row_range(const sqn_tensor *x, int64_t first, int64_t count, sqn_err *e) {
    int64_t shape[2] = {count, x->ndim > 1 ? x->shape[1] : 1};
    return sqn_tensor_view(x, x->ndim, shape, NULL, x->offset + first * shape[1], e);
}

/* Losses of rows [first, first + count) into `losses`; dlogits [count, V] where it is not NULL. */
static sqn_status head_chunk(const char *name, const sqn_tensor *x, const sqn_tensor *w,
                             const sqn_tensor *label, int64_t first, int64_t count, terms t,
                             const sqn_tensor *losses, sqn_tensor *dlogits, sqn_err *e) {
    int64_t vocab = w->shape[0], shape[2] = {count, vocab};
    sqn_dtype wide = sqn_accumulator(x->dtype);
    sqn_tensor *part = row_range(x, first, count, e);
    bool in_place = dlogits != NULL && dlogits->dtype == wide;
    sqn_tensor *logits = in_place ? sqn_tensor_retain(dlogits)
                                  : sqn_tensor_new(sqn_tensor_device(x), wide, 2, shape, e);
    sqn_status status = SQN_NOMEM;
    if (part == NULL || logits == NULL) goto fail;
    SQN_GOTO(sqn_product_2d(name, part, false, w, true, NULL, logits, false, count, vocab,
                            w->shape[1], e));
    sqn_k_cross_entropy k = {x->dtype,
                             count,
                             vocab,
                             sqn_tensor_data(logits),
                             (int64_t *)sqn_tensor_data_on(label, sqn_tensor_device(x)) + first,
                             (double *)sqn_tensor_data(losses) + first,
                             dlogits ? sqn_tensor_data(dlogits) : NULL,
                             t.smoothing,
                             t.z_loss};
    status = sqn_kernel_result(sqn_tensor_kernels(x)->cross_entropy(&k, NULL), name, x, e);
fail:
    sqn_tensor_release(logits);
    sqn_tensor_release(part);
    return status;
}

static int64_t rows_per_chunk(int64_t vocab, sqn_dtype dtype) {
    int64_t rows = chunk_bytes / (vocab * (int64_t)sqn_dtype_size(sqn_accumulator(dtype)));
    return rows < 16 ? 16 : rows;
}

/* [count] f64 beside x; owned. */
static sqn_tensor *losses_new(const sqn_tensor *x, int64_t count, sqn_err *e) {
    return sqn_tensor_new(sqn_tensor_device(x), SQN_F64, 1, &count, e);
}

/* One chunk of backward: dx rows = dl W (scaled), dW += dl^T (scaled x). */
static sqn_status head_chunk_back(sqn_node *n, const sqn_tensor *dl, const sqn_tensor *scaled_x,
                                  int64_t first, sqn_tensor *dx, sqn_tensor **dw, sqn_err *e) {
    const sqn_tensor *w = n->saved[1];
    int64_t count = dl->shape[0], vocab = w->shape[0], width = w->shape[1];
    sqn_tensor *rows = dx ? row_range(dx, first, count, e) : NULL,
               *part = row_range(scaled_x, first, count, e);
    sqn_status status = (dx && !rows) || !part ? SQN_NOMEM : SQN_OK;
    if (status == SQN_OK && dx)
        status =
            sqn_product_2d(n->op, dl, false, w, false, NULL, rows, false, count, width, vocab, e);
    if (status == SQN_OK && n->needs[1] && *dw != NULL)
        status =
            sqn_product_2d(n->op, dl, true, part, false, NULL, *dw, true, vocab, width, count, e);
    else if (status == SQN_OK && n->needs[1])
        status = sqn_weight_grad(n, 1, n->op, dl, part, count, dw, e);
    sqn_tensor_release(part);
    sqn_tensor_release(rows);
    return status;
}

/* saved: labelled x, weight, places, labels, dlogits (or NULL: made again); i: rows of x. */
static sqn_status head_back(sqn_node *n, sqn_tensor *const dout[], sqn_tensor *din[], sqn_err *e) {
    sqn_tensor *x = n->saved[0], *w = n->saved[1], *kept = n->saved[4], *scaled = NULL, *dx = NULL,
               *dl = NULL, *factor = dout[0], *losses = NULL;
    int64_t count = x->shape[0], vocab = w->shape[0],
            chunk = kept ? count : rows_per_chunk(vocab, x->dtype);
    int64_t full[2] = {n->i[0], x->shape[1]};
    sqn_status status = SQN_NOMEM;
    if (n->needs[0] &&
        (din[0] = sqn_tensor_zeros(sqn_tensor_device(x), x->dtype, 2, full, e)) == NULL)
        return SQN_NOMEM;
    if (count == 0) return SQN_OK;
    if ((scaled = sqn_tensor_new(sqn_tensor_device(x), x->dtype, 2, x->shape, e)) == NULL)
        goto fail;
    SQN_GOTO(sqn_tensor_copy(scaled, x, false, e));
    SQN_GOTO(scale(n->op, scaled, factor, e));
    status = SQN_NOMEM;
    if (n->needs[0] &&
        (dx = sqn_tensor_new(sqn_tensor_device(x), x->dtype, 2, x->shape, e)) == NULL)
        goto fail;
    if (kept == NULL && (losses = losses_new(x, count, e)) == NULL) goto fail;
    for (int64_t first = 0; first < count; first += chunk) {
        int64_t now = count - first < chunk ? count - first : chunk, shape[2] = {now, vocab};
        status = SQN_NOMEM;
        dl = kept ? sqn_tensor_retain(kept)
                  : sqn_tensor_new(sqn_tensor_device(x), x->dtype, 2, shape, e);
        if (dl == NULL) goto fail;
        if (kept == NULL)
            SQN_GOTO(head_chunk(n->op, x, w, n->saved[3], first, now, (terms){n->f[0], n->f[1]},
                                losses, dl, e));
        SQN_GOTO(head_chunk_back(n, dl, scaled, first, dx, &din[1], e));
        sqn_tensor_release(dl);
        dl = NULL;
    }
    if (n->needs[0]) {
        SQN_GOTO(scale(n->op, dx, factor, e));
        SQN_GOTO(spread(n->op, dx, n->saved[2], din[0], e));
    }
    status = SQN_OK;
fail:
    sqn_tensor_release(losses);
    sqn_tensor_release(dl);
    sqn_tensor_release(dx);
    sqn_tensor_release(scaled);
    return status;
}

/* The losses' sum in f64, in a fixed order, as a scalar of the accumulator type; owned. */
static sqn_tensor *total(const char *name, const sqn_tensor *losses, sqn_dtype dtype, sqn_err *e) {
    sqn_tensor *sum = sqn_tensor_new(sqn_tensor_device(losses), SQN_F64, 0, NULL, e), *y = NULL;
    if (sum != NULL && sqn_op_total(name, losses, sum, e) == SQN_OK)
        y = sqn_tensor_as(sum, sqn_accumulator(dtype), e);
    sqn_tensor_release(sum);
    return y;
}

static sqn_status head_forward(sqn_call *c, const sqn_tensor *x, const sqn_tensor *w,
                               const labelled *l, terms t, sqn_tensor *kept,
                               const sqn_tensor *losses, sqn_err *e) {
    int64_t chunk = kept ? l->count : rows_per_chunk(w->shape[0], x->dtype);
    for (int64_t first = 0; first < l->count; first += chunk) {
        int64_t now = l->count - first < chunk ? l->count - first : chunk;
        SQN_TRY(head_chunk(c->name, x, w, l->label, first, now, t, losses, kept, e));
    }
    return SQN_OK;
}

sqn_status sqn_op_linear_cross_entropy(sqn_call *c, sqn_err *e) {
    sqn_tensor *in[2] = {c->arg[0].t, c->arg[1].t}, *flat = NULL, *x = NULL, *w = NULL,
               *kept = NULL, *losses = NULL;
    sqn_node *node = NULL;
    labelled l = {0};
    terms extra;
    char s[96], t[96];
    SQN_TRY(read_terms(c, 3, &extra, e));
    SQN_TRY(sqn_op_float(c, in[0], e));
    SQN_TRY(sqn_op_same_dtype(c, in[0], in[1], e));
    if (in[0]->ndim != 2 || in[1]->ndim != 2 || in[0]->shape[1] != in[1]->shape[1])
        return sqn_op_fail(c, e, "x %s does not fit weight %s", sqn_tensor_describe(in[0], s),
                           sqn_tensor_describe(in[1], t));
    int64_t vocab = in[1]->shape[0];
    SQN_TRY(find_labelled(c, c->arg[2].t, in[0], vocab, &l, e));
    int64_t shape[2] = {l.count, vocab};
    sqn_status status = SQN_NOMEM;
    if ((flat = sqn_tensor_as(in[0], in[0]->dtype, e)) == NULL ||
        (x = rows_at(c->name, flat, l.place, e)) == NULL ||
        (w = sqn_tensor_as(in[1], x->dtype, e)) == NULL ||
        (losses = losses_new(x, l.count, e)) == NULL)
        goto fail;
    SQN_GOTO(sqn_node_new(&node, c->name, head_back, 2, in, e));
    bool keep = node != NULL && l.count * vocab * (int64_t)sqn_dtype_size(x->dtype) <= keep_bytes;
    status = SQN_NOMEM;
    if (keep && (kept = sqn_tensor_new(sqn_tensor_device(x), x->dtype, 2, shape, e)) == NULL)
        goto fail;
    SQN_GOTO(head_forward(c, x, w, &l, extra, kept, losses, e));
    if (node != NULL) {
        sqn_tensor *saved[5] = {x, w, l.place, l.label, kept};
        for (int j = 0; j < 5; j++) sqn_node_save(node, saved[j]);
        node->i[0] = flat->shape[0];
        node->f[0] = extra.smoothing;
        node->f[1] = extra.z_loss;
    }
    status = sqn_op_result(c, node, 0, total(c->name, losses, x->dtype, e));
fail:
    sqn_tensor_release(losses);
    sqn_node_release(node);
    sqn_tensor_release(kept);
    sqn_tensor_release(w);
    sqn_tensor_release(x);
    sqn_tensor_release(flat);
    labelled_release(&l);
    return status;
}

/* ---- on logits that exist ---- */

/* saved: dlogits of the labelled rows, places. */
static sqn_status loss_back(sqn_node *n, sqn_tensor *const dout[], sqn_tensor *din[], sqn_err *e) {
    sqn_tensor *d = n->saved[0];
    int64_t shape[2] = {n->i[0], d->shape[1]};
    if ((din[0] = sqn_tensor_zeros(sqn_tensor_device(d), d->dtype, 2, shape, e)) == NULL)
        return SQN_NOMEM;
    SQN_TRY(spread(n->op, d, n->saved[1], din[0], e));
    return scale(n->op, din[0], dout[0], e);
}

sqn_status sqn_op_cross_entropy(sqn_call *c, sqn_err *e) {
    sqn_tensor *x = c->arg[0].t, *flat = NULL, *rows = NULL, *wide = NULL, *d = NULL,
               *losses = NULL;
    sqn_node *node = NULL;
    labelled l = {0};
    terms extra;
    char s[96];
    SQN_TRY(read_terms(c, 2, &extra, e));
    SQN_TRY(sqn_op_float(c, x, e));
    if (x->ndim != 2)
        return sqn_op_fail(c, e, "logits are [N, V], got %s", sqn_tensor_describe(x, s));
    SQN_TRY(find_labelled(c, c->arg[1].t, x, x->shape[1], &l, e));
    sqn_status status = SQN_NOMEM;
    if ((flat = sqn_tensor_as(x, x->dtype, e)) == NULL ||
        (rows = rows_at(c->name, flat, l.place, e)) == NULL ||
        (wide = sqn_tensor_as(rows, sqn_accumulator(x->dtype), e)) == NULL ||
        (d = sqn_tensor_new(sqn_tensor_device(x), x->dtype, 2, rows->shape, e)) == NULL ||
        (losses = losses_new(x, l.count, e)) == NULL)
        goto fail;
    sqn_k_cross_entropy k = {.dtype = x->dtype,
                             .rows = l.count,
                             .vocab = x->shape[1],
                             .logits = sqn_tensor_data(wide),
                             .labels = sqn_tensor_data_on(l.label, sqn_tensor_device(x)),
                             .losses = sqn_tensor_data(losses),
                             .dlogits = sqn_tensor_data(d),
                             .smoothing = extra.smoothing,
                             .z_loss = extra.z_loss};
    SQN_GOTO(sqn_kernel_result(sqn_tensor_kernels(x)->cross_entropy(&k, NULL), c->name, x, e));
    SQN_GOTO(sqn_node_new(&node, c->name, loss_back, 1, &x, e));
    if (node != NULL) {
        sqn_node_save(node, d);
        sqn_node_save(node, l.place);
        node->i[0] = x->shape[0];
    }
    status = sqn_op_result(c, node, 0, total(c->name, losses, x->dtype, e));
fail:
    sqn_tensor_release(losses);
    sqn_node_release(node);
    sqn_tensor_release(d);
    sqn_tensor_release(wide);
    sqn_tensor_release(rows);
    sqn_tensor_release(flat);
    labelled_release(&l);
    return status;
}
