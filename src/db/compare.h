/* When two results are the same: equality of cells, sets and bags of rows.
 *
 * Rules: cells are equal as values of Python are: integers, doubles, booleans and decimals when
 * their exact values are (1 = 1.0, 2^53+1 differs from the double 2^53, no rounding anywhere); text
 * and blobs byte by byte; NULL equals NULL; NaN equals nothing, itself included; instants with a
 * zone by the instant; a date never equals an instant. Arrays and JSON are what Python's driver
 * makes of them: lists, objects without an order of keys, plain numbers and texts. Intervals
 * compare by the driver's text. Results without rows are the same whatever their columns. A
 * tolerance for numbers is an exception that the caller asks for.
 */
#ifndef SQN_DB_COMPARE_H
#define SQN_DB_COMPARE_H

#include "core/arena.h"
#include "core/err.h"
#include "db/value.h"

typedef struct sqn_rows {
    int columns;
    int64_t rows;
    const sqn_cell *cells; /* borrowed; [rows * columns], row after row */
} sqn_rows;

/* Arrays and JSON here by their texts: sqn_pair_new looks into them. */
bool sqn_cell_equal(const sqn_cell *a, const sqn_cell *b);
/* json_cell.c: a cell of an array or JSON as Python has it: a plain value, or JSON in one text for
 * all that are equal, in the arena. What is no JSON stays as it is. */
sqn_status sqn_cell_python(const sqn_cell *c, sqn_arena *a, sqn_cell *out, sqn_err *e);
/* Whether it is a number (booleans too) that is not NaN, and the double next to it. */
bool sqn_cell_number(const sqn_cell *c, double *value);
/* Equal cells have equal hashes. */
uint64_t sqn_cell_hash(const sqn_cell *c);

/* Both tables with each cell replaced by a number: equal cells share one, all others differ. */
typedef struct sqn_pair {
    int columns[2];
    int64_t rows[2];
    uint32_t *ids[2];     /* owned; [rows * columns] */
    uint32_t count;       /* ids are below it */
    bool mixed;           /* some cells of one id differ in kind or text: 1 and 1.0 */
    bool unhashable;      /* some cells are lists or objects, which Python puts into no set */
    const uint32_t *tags; /* borrowed; NULL, or [rows] of tables of one length: in a bag, row r of
                             either side only equals rows with the same tag */
} sqn_pair;
sqn_status sqn_pair_new(const sqn_rows *a, const sqn_rows *b, sqn_pair *out, sqn_err *e);
void sqn_pair_release(sqn_pair *p);

/* tolerance.c: numbers whose neighbour in the order of their values is at most `relative` times the
 * larger size away get one id; a chain of such neighbours is one number. */
sqn_status sqn_pair_tolerate(sqn_pair *p, const sqn_rows *a, const sqn_rows *b, double relative,
                             sqn_err *e);
/* precheck.c: the test that XiYan's and the test-suite evaluator run before theirs: each row sorted
 * by the Python texts of its cells, then compared as sets of rows, or as lists if `ordered`. */
sqn_status sqn_pair_precheck(const sqn_pair *p, const sqn_rows *a, const sqn_rows *b, bool ordered,
                             bool *passed, sqn_err *e);
/* soft_f1.c: BIRD mini-dev's soft F1 (since its commit bee73fe), the first table being gold. */
sqn_status sqn_pair_soft_f1(const sqn_pair *p, double *f1, sqn_err *e);

/* The sets of rows are equal: order and repetitions do not count, the order of columns does. */
sqn_status sqn_pair_same_set(const sqn_pair *p, bool *same, sqn_err *e);
/* Row by row: place of the first row with the same cells, in first[rows of that side]. */
sqn_status sqn_pair_first_rows(const sqn_pair *p, int side, int64_t *first, sqn_err *e);
/* Some permutation of the second's columns makes the bags of rows equal. Columns that could be
 * matched in more ways than the search may try (never seen but on purpose) are SQN_LIMIT. */
sqn_status sqn_pair_same_bag(const sqn_pair *p, bool *same, sqn_err *e);

/* Hashes shared by compare.c and match.c. */
static inline uint64_t sqn_mix(uint64_t x) {
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    return x ^ (x >> 32);
}

/* The bags of rows are equal when column i of the first meets column to[i] of the second (NULL:
 * the same place). Tables of one size. */
sqn_status sqn_pair_equal_under(const sqn_pair *p, const int *to, bool *same, sqn_err *e);

#endif
