/* The pre-check of XiYan's and the test-suite evaluator, reproduced for their metrics.
 *
 * Rules: each row is sorted by the text str(cell) + str(type(cell)), by code points, stable; the
 * sorted rows must be equal as sets, or as lists where order counts. Equal cells of different types
 * (1 and 1.0) may sort to different places, so it refuses some equal tables.
 */
#include <stdlib.h>

#include "core/alloc.h"
#include "core/buf.h"
#include "db/compare.h"
#include "db/python_text.h"

/* A cell's text and where its row has it. */
typedef struct sort_key {
    const char *text; /* borrowed from the texts of the row */
    size_t length, from;
    uint32_t id;
    int place;
} sort_key;

static int by_text(const void *a, const void *b) {
    const sort_key *x = a, *y = b;
    size_t n = x->length < y->length ? x->length : y->length;
    int order = memcmp(x->text, y->text, n);
    if (order == 0) order = (x->length > y->length) - (x->length < y->length);
    return order ? order : x->place - y->place;
}

static const char *const class_names[] = {
    [SQN_CELL_NULL] = "NoneType",
    [SQN_CELL_INT] = "int",
    [SQN_CELL_DOUBLE] = "float",
    [SQN_CELL_TEXT] = "str",
    [SQN_CELL_BLOB] = "bytes",
    [SQN_CELL_DECIMAL] = "decimal.Decimal",
    [SQN_CELL_BOOL] = "bool",
    [SQN_CELL_DATE] = "datetime.date",
    [SQN_CELL_TIME] = "datetime.time",
    [SQN_CELL_DATETIME] = "datetime.datetime",
    [SQN_CELL_INTERVAL] = "datetime.timedelta",
    [SQN_CELL_ARRAY] = "list",
    [SQN_CELL_JSON] = "dict",
};
_Static_assert(sizeof class_names / sizeof *class_names == SQN_CELL_KIND_COUNT,
               "a class for each kind");

static void put_text(sqn_buf *to, const sqn_cell *c) {
    switch (c->kind) {
    case SQN_CELL_NULL:
        sqn_buf_put_string(to, "None");
        break;
    case SQN_CELL_INT:
        sqn_buf_put_format(to, "%lld", (long long)c->as.integer);
        break;
    case SQN_CELL_BOOL:
        sqn_buf_put_string(to, c->as.integer ? "True" : "False");
        break;
    case SQN_CELL_DOUBLE:
        sqn_python_put_float(to, c->as.real);
        break;
    case SQN_CELL_BLOB:
        sqn_python_put_bytes(to, c->as.bytes, c->length);
        break;
    default:
        sqn_buf_put(to, c->as.bytes, c->length);
        break;
    }
    sqn_buf_put_format(to, "<class '%s'>", class_names[c->kind]);
}

/* Puts the cells' numbers of one row into the order of their texts. */
static sqn_status sort_row(uint32_t *ids, const sqn_cell *cells, int n, sort_key *keys,
                           sqn_buf *texts, sqn_arena *parsed, sqn_err *e) {
    texts->n = 0;
    for (int i = 0; i < n; i++) {
        sqn_cell cell = cells[i];
        if (cell.kind == SQN_CELL_JSON) SQN_TRY(sqn_cell_python(&cells[i], parsed, &cell, e));
        keys[i] = (sort_key){.from = texts->n, .id = ids[i], .place = i};
        put_text(texts, &cell);
        keys[i].length = texts->n - keys[i].from;
    }
    SQN_TRY(sqn_buf_status(texts, e));
    for (int i = 0; i < n; i++) keys[i].text = texts->data + keys[i].from;
    qsort(keys, (size_t)n, sizeof *keys, by_text);
    for (int i = 0; i < n; i++) ids[i] = keys[i].id;
    return SQN_OK;
}

static sqn_status sort_rows(const sqn_pair *p, const sqn_rows *t, int side, uint32_t *ids,
                            sqn_err *e) {
    int n = p->columns[side];
    sqn_status status = SQN_OK;
    sqn_buf texts = {0};
    sqn_arena parsed = {0};
    sort_key *keys = sqn_alloc((size_t)n * sizeof *keys, e);
    if (keys == NULL) return SQN_NOMEM;
    memcpy(ids, p->ids[side], (size_t)p->rows[side] * (size_t)n * sizeof *ids);
    for (int64_t r = 0; r < p->rows[side]; r++)
        SQN_GOTO(sort_row(ids + r * n, t->cells + r * n, n, keys, &texts, &parsed, e));
fail:
    sqn_free(keys);
    sqn_buf_release(&texts);
    sqn_arena_release(&parsed);
    return status;
}

sqn_status sqn_pair_precheck(const sqn_pair *p, const sqn_rows *a, const sqn_rows *b, bool ordered,
                             bool *passed, sqn_err *e) {
    const sqn_rows *both[2] = {a, b};
    sqn_status status = SQN_OK;
    *passed = p->rows[0] == 0 && p->rows[1] == 0;
    if (*passed || p->rows[0] != p->rows[1] || p->columns[0] != p->columns[1]) return SQN_OK;
    sqn_pair sorted = {.rows = {p->rows[0], p->rows[1]}, .columns = {p->columns[0], p->columns[1]}};
    size_t bytes = (size_t)p->rows[0] * (size_t)p->columns[0] * sizeof(uint32_t);
    for (int side = 0; side < 2; side++) {
        sorted.ids[side] = sqn_alloc(bytes, e);
        if (sorted.ids[side] == NULL) SQN_GOTO(SQN_NOMEM);
        SQN_GOTO(sort_rows(p, both[side], side, sorted.ids[side], e));
    }
    if (ordered)
        *passed = memcmp(sorted.ids[0], sorted.ids[1], bytes) == 0;
    else
        SQN_GOTO(sqn_pair_same_set(&sorted, passed, e));
fail:
    sqn_pair_release(&sorted);
    return status;
}
