/* Numbers that are nearly equal made one: see sqn_pair_tolerate in compare.h. */
#include <math.h>
#include <stdlib.h>

#include "core/alloc.h"
#include "db/compare.h"

typedef struct number {
    double value;
    uint32_t id;
} number;

static int by_value(const void *a, const void *b) {
    double x = ((const number *)a)->value, y = ((const number *)b)->value;
    return x < y ? -1 : x > y;
}

/* Each number of both tables once, into list; seen is scratch of [ids]. Returns how many. */
static size_t collect(const sqn_pair *p, const sqn_rows *const both[2], number *list, bool *seen) {
    size_t count = 0;
    for (int side = 0; side < 2; side++) {
        size_t cells = (size_t)p->rows[side] * (size_t)p->columns[side];
        for (size_t i = 0; i < cells; i++) {
            uint32_t id = p->ids[side][i];
            if (seen[id] || !sqn_cell_number(&both[side]->cells[i], &list[count].value)) continue;
            seen[id] = true;
            list[count++].id = id;
        }
    }
    return count;
}

sqn_status sqn_pair_tolerate(sqn_pair *p, const sqn_rows *a, const sqn_rows *b, double relative,
                             sqn_err *e) {
    const sqn_rows *both[2] = {a, b};
    sqn_status status = SQN_OK;
    number *list = sqn_alloc(p->count * sizeof *list, e);
    bool *seen = sqn_calloc(p->count, sizeof *seen, e);
    uint32_t *one = sqn_alloc(p->count * sizeof *one, e); /* the id that stands for an id */
    if (list == NULL || seen == NULL || one == NULL) SQN_GOTO(SQN_NOMEM);
    size_t count = collect(p, both, list, seen);
    for (uint32_t i = 0; i < p->count; i++) one[i] = i;
    qsort(list, count, sizeof *list, by_value);
    for (size_t i = 1; i < count; i++) {
        double x = list[i - 1].value, y = list[i].value;
        if (y - x <= relative * fmax(fabs(x), fabs(y)) && isfinite(x) && isfinite(y))
            one[list[i].id] = one[list[i - 1].id];
    }
    for (int side = 0; side < 2; side++) {
        size_t cells = (size_t)p->rows[side] * (size_t)p->columns[side];
        for (size_t i = 0; i < cells; i++) p->ids[side][i] = one[p->ids[side][i]];
    }
fail:
    sqn_free(list);
    sqn_free(seen);
    sqn_free(one);
    return status;
}
