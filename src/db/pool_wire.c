/* Outcomes as bytes: see pool_parts.h. */
#include "core/alloc.h"
#include "db/pack.h"
#include "db/pool_parts.h"

static void put_sample(sqn_buf *to, const sqn_sample *s) {
    sqn_pack_int(to, s ? s->columns : -1);
    if (s == NULL) return;
    sqn_pack_int(to, s->rows);
    sqn_pack_int(to, s->total);
    for (int i = 0; i < s->columns; i++) sqn_pack_string(to, s->names[i]);
    for (int64_t i = 0; i < s->rows * s->columns; i++) sqn_pack_cell(to, &s->cells[i]);
}

static sqn_status take_sample(sqn_unpack *u, sqn_sample **out, sqn_err *e) {
    int64_t columns = sqn_unpack_int(u);
    if (columns < 0) return SQN_OK;
    int64_t rows = sqn_unpack_count(u, (size_t)columns), total = sqn_unpack_int(u);
    if (u->failed || columns > u->end - u->at) return SQN_FAIL(e, SQN_FORMAT, "a broken message");
    size_t cells = (size_t)rows * (size_t)columns;
    size_t names = (size_t)columns * sizeof(char *);
    sqn_sample *s = sqn_alloc(sizeof *s + names + cells * sizeof(sqn_cell), e);
    if (s == NULL) return SQN_NOMEM;
    *s = (sqn_sample){.columns = (int)columns, .rows = rows, .total = total};
    s->names = (const char **)(s + 1);
    s->cells = (sqn_cell *)(s->names + columns);
    for (int64_t i = 0; i < columns; i++) s->names[i] = sqn_unpack_string(u);
    for (size_t i = 0; i < cells; i++) sqn_unpack_cell(u, &s->cells[i]);
    *out = s;
    return SQN_OK;
}

static void put_metrics(sqn_buf *to, const sqn_metrics *m) {
    sqn_pack_int(to, m->ex | m->ex_bird << 1 | m->ex_ordered << 2 | m->ex_xiyan << 3 |
                         m->ex_spider << 4 | (int)m->ties << 8);
    sqn_pack_double(to, m->soft_f1);
}

static void take_metrics(sqn_unpack *u, sqn_metrics *m) {
    int64_t bits = sqn_unpack_int(u);
    *m = (sqn_metrics){(bits & 1) != 0, (bits & 2) != 0,  (bits & 4) != 0,
                       (bits & 8) != 0, (bits & 16) != 0, .ties = (sqn_ties)(bits >> 8 & 3)};
    m->soft_f1 = sqn_unpack_double(u);
}

static void put_side(sqn_buf *to, sqn_status status, const char *error, double seconds,
                     int64_t rows, int columns) {
    sqn_pack_int(to, status);
    sqn_pack_string(to, error);
    sqn_pack_double(to, seconds);
    sqn_pack_int(to, rows);
    sqn_pack_int(to, columns);
}

static void take_side(sqn_unpack *u, sqn_status *status, const char **error, double *seconds,
                      int64_t *rows, int *columns) {
    *status = (sqn_status)sqn_unpack_int(u);
    *error = sqn_unpack_string(u);
    *seconds = sqn_unpack_double(u);
    *rows = sqn_unpack_int(u);
    *columns = (int)sqn_unpack_int(u);
}

void pool_put_outcome(sqn_buf *to, int64_t item, const sqn_outcome *o) {
    sqn_pack_int(to, item);
    sqn_pack_int(to, (int)o->verdict | o->executable << 8 | o->gold_cached << 9);
    put_metrics(to, &o->metrics);
    put_side(to, o->gold_status, o->gold_error, o->gold_seconds, o->gold_rows, o->gold_columns);
    put_side(to, o->pred_status, o->pred_error, o->pred_seconds, o->pred_rows, o->pred_columns);
    sqn_pack_int(to, o->rounds);
    for (int i = 0; i < o->rounds; i++) {
        sqn_pack_double(to, o->gold_times[i]);
        sqn_pack_double(to, o->pred_times[i]);
    }
    put_sample(to, o->gold_sample);
    put_sample(to, o->pred_sample);
}

static sqn_status take_times(sqn_unpack *u, sqn_outcome *o, sqn_err *e) {
    o->rounds = (int)sqn_unpack_count(u, 2 * sizeof(double));
    if (o->rounds == 0) return SQN_OK;
    o->gold_times = sqn_alloc((size_t)o->rounds * sizeof(double), e);
    o->pred_times = sqn_alloc((size_t)o->rounds * sizeof(double), e);
    if (o->gold_times == NULL || o->pred_times == NULL) return SQN_NOMEM;
    for (int i = 0; i < o->rounds; i++) {
        o->gold_times[i] = sqn_unpack_double(u);
        o->pred_times[i] = sqn_unpack_double(u);
    }
    return SQN_OK;
}

static sqn_status take_fields(sqn_unpack *u, sqn_outcome *o, sqn_err *e) {
    int64_t bits = sqn_unpack_int(u);
    o->verdict = (sqn_verdict)(bits & 0xff);
    o->executable = (bits & 0x100) != 0;
    o->gold_cached = (bits & 0x200) != 0;
    take_metrics(u, &o->metrics);
    take_side(u, &o->gold_status, &o->gold_error, &o->gold_seconds, &o->gold_rows,
              &o->gold_columns);
    take_side(u, &o->pred_status, &o->pred_error, &o->pred_seconds, &o->pred_rows,
              &o->pred_columns);
    SQN_TRY(take_times(u, o, e));
    SQN_TRY(take_sample(u, &o->gold_sample, e));
    SQN_TRY(take_sample(u, &o->pred_sample, e));
    bool sound = !u->failed && o->verdict < SQN_VERDICT_COUNT &&
                 o->gold_status < SQN_STATUS_COUNT && o->pred_status < SQN_STATUS_COUNT;
    return sound ? SQN_OK : SQN_FAIL(e, SQN_FORMAT, "a broken message");
}

sqn_status pool_take_outcome(const char *bytes, size_t n, sqn_outcome *o, sqn_err *e) {
    *o = (sqn_outcome){0};
    o->memory = sqn_alloc(n, e);
    if (o->memory == NULL) return SQN_NOMEM;
    memcpy(o->memory, bytes, n);
    sqn_unpack u = {.at = o->memory, .end = o->memory + n};
    sqn_status status = take_fields(&u, o, e);
    if (status != SQN_OK) pool_outcome_release(o);
    return status;
}

void pool_outcome_release(sqn_outcome *o) {
    sqn_free(o->gold_times);
    sqn_free(o->pred_times);
    sqn_free(o->gold_sample);
    sqn_free(o->pred_sample);
    sqn_free(o->memory);
    *o = (sqn_outcome){0};
}
