/* Bags of rows that are equal under a permutation of columns: the search of sqn_pair_same_bag.
 *
 * Rules: n^n and n! are never walked. Columns get colours (64-bit hashes) that are refined by the
 * rows they meet, and rows by their columns, until nothing splits; both tables are coloured by one
 * rule, so different colours can never match and a difference in the bag of colours ends a branch.
 * Only columns that still share a colour are tried against each other. Columns that are the same in
 * every row stand for one. A hash only ever prunes; the answer is checked cell by cell.
 */
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "core/interrupt.h"
#include "db/compare.h"

/* Cells that the search may touch, some ten seconds; 20 columns that match nowhere need 10^7. */
static const int64_t most_work = (int64_t)4000000000;

typedef struct search {
    const sqn_pair *pair;
    int columns, kinds[2]; /* kinds: different columns of each side */
    int *member[2];        /* [columns]: which kind a column is */
    int *first[2];         /* [kinds]: the column that stands for it */
    uint64_t *colour[2];   /* [kinds] */
    uint64_t *sum[2];      /* [kinds] scratch */
    uint64_t *sorted[2];   /* [kinds] scratch */
    int64_t work;
    void *memory;
} search;

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static bool column_equal(const uint32_t *ids, int64_t rows, int columns, int a, int b) {
    for (int64_t r = 0; r < rows; r++)
        if (ids[r * columns + a] != ids[r * columns + b]) return false;
    return true;
}

/* Finds columns that are the same in every row; a kind's first colour says how many it stands for.
 */
static void find_kinds(search *s, int side) {
    const uint32_t *ids = s->pair->ids[side];
    int64_t rows = s->pair->rows[0];
    uint64_t *hash = s->sum[side];
    memset(hash, 0, (size_t)s->columns * sizeof *hash);
    for (int64_t r = 0; r < rows; r++)
        for (int c = 0; c < s->columns; c++)
            hash[c] = sqn_mix(hash[c] + ids[r * s->columns + c] + 1);
    s->kinds[side] = 0;
    for (int c = 0; c < s->columns; c++) {
        int k = 0;
        while (k < s->kinds[side] && !(hash[s->first[side][k]] == hash[c] &&
                                       column_equal(ids, rows, s->columns, s->first[side][k], c)))
            k++;
        if (k == s->kinds[side]) {
            s->first[side][k] = c;
            s->colour[side][k] = 0;
            s->kinds[side]++;
        }
        s->member[side][c] = k;
        s->colour[side][k]++;
    }
}

/* One round over one side: rows by the colours of their columns, then columns by their rows.
 * Returns the bag of rows as one number. */
static uint64_t recolour(search *s, int side) {
    const uint32_t *row = s->pair->ids[side], *tags = s->pair->tags;
    int kinds = s->kinds[side];
    const int *first = s->first[side];
    uint64_t *colour = s->colour[side], *sum = s->sum[side], bag = 0;
    memset(sum, 0, (size_t)kinds * sizeof *sum);
    for (int64_t r = 0; r < s->pair->rows[0]; r++, row += s->columns) {
        uint64_t h = tags ? sqn_mix(tags[r]) : 0;
        for (int k = 0; k < kinds; k++)
            h += sqn_mix(colour[k] + row[first[k]] * 0x9e3779b97f4a7c15u);
        h = sqn_mix(h);
        bag += h;
        for (int k = 0; k < kinds; k++)
            sum[k] += sqn_mix(h ^ (row[first[k]] * 0xa0761d6478bd642fu));
    }
    for (int k = 0; k < kinds; k++) colour[k] = sqn_mix(colour[k] ^ sum[k]);
    s->work += 2 * s->pair->rows[0] * kinds;
    return bag;
}

/* Sorts both sides' colours; how many differ, or 0 if the bags of colours are not the same. */
static int count_colours(search *s) {
    int kinds = s->kinds[0], different = kinds > 0;
    for (int side = 0; side < 2; side++) {
        memcpy(s->sorted[side], s->colour[side], (size_t)kinds * sizeof(uint64_t));
        qsort(s->sorted[side], (size_t)kinds, sizeof(uint64_t), by_value);
    }
    for (int k = 0; k < kinds; k++)
        if (s->sorted[0][k] != s->sorted[1][k]) return 0;
    for (int k = 1; k < kinds; k++) different += s->sorted[0][k] != s->sorted[0][k - 1];
    return different;
}

/* Refines until nothing splits. *colours: 0 if the sides cannot match. */
static sqn_status refine(search *s, int *colours, sqn_err *e) {
    int before = count_colours(s);
    for (*colours = before; before > 0; before = *colours) {
        SQN_TRY(sqn_interrupt_check(e));
        if (s->work > most_work)
            return SQN_FAIL(e, SQN_LIMIT, "the columns of both results match in too many ways");
        if (recolour(s, 0) != recolour(s, 1)) {
            *colours = 0;
            return SQN_OK;
        }
        *colours = count_colours(s);
        if (*colours == before) return SQN_OK;
    }
    return SQN_OK;
}

/* Every colour stands for one kind on each side: checks that matching exactly. */
static sqn_status check_matching(search *s, bool *same, sqn_err *e) {
    int *to = sqn_alloc((size_t)s->columns * sizeof *to, e);
    if (to == NULL) return SQN_NOMEM;
    for (int c = 0; c < s->columns; c++) {
        uint64_t colour = s->colour[0][s->member[0][c]];
        int before = 0, d = 0; /* the same place among the columns of the kind */
        for (int b = 0; b < c; b++) before += s->member[0][b] == s->member[0][c];
        for (;; d++)
            if (s->colour[1][s->member[1][d]] == colour && before-- == 0) break;
        to[c] = d;
    }
    sqn_status status = sqn_pair_equal_under(s->pair, to, same, e);
    sqn_free(to);
    return status;
}

/* A kind of the first side whose colour is shared by the fewest others, but by some. */
static int pick_kind(const search *s) {
    int best = 0, fewest = s->kinds[0] + 1;
    for (int k = 0; k < s->kinds[0]; k++) {
        int sharing = 0;
        for (int j = 0; j < s->kinds[0]; j++) sharing += s->colour[0][j] == s->colour[0][k];
        if (sharing > 1 && sharing < fewest) {
            fewest = sharing;
            best = k;
        }
    }
    return best;
}

static sqn_status match_kinds(search *s, bool *same, sqn_err *e) {
    int colours, kinds = s->kinds[0];
    *same = false;
    SQN_TRY(refine(s, &colours, e));
    if (colours == 0) return SQN_OK;
    if (colours == kinds) return check_matching(s, same, e);
    size_t bytes = (size_t)kinds * sizeof(uint64_t);
    uint64_t *saved = sqn_alloc(2 * bytes, e);
    if (saved == NULL) return SQN_NOMEM;
    memcpy(saved, s->colour[0], bytes);
    memcpy(saved + kinds, s->colour[1], bytes);
    int picked = pick_kind(s);
    uint64_t shared = saved[picked], marked = sqn_mix(shared ^ 0x2545f4914f6cdd1du);
    sqn_status status = SQN_OK;
    for (int k = 0; k < kinds && status == SQN_OK && !*same; k++) {
        if (saved[kinds + k] != shared) continue;
        memcpy(s->colour[0], saved, bytes);
        memcpy(s->colour[1], saved + kinds, bytes);
        s->colour[0][picked] = s->colour[1][k] = marked;
        status = match_kinds(s, same, e);
    }
    sqn_free(saved);
    return status;
}

static sqn_status search_new(search *s, const sqn_pair *p, sqn_err *e) {
    size_t n = (size_t)p->columns[0];
    *s = (search){.pair = p, .columns = p->columns[0]};
    s->memory = sqn_alloc(2 * n * (3 * sizeof(uint64_t) + 2 * sizeof(int)), e);
    if (s->memory == NULL) return SQN_NOMEM;
    uint64_t *words = s->memory;
    for (int side = 0; side < 2; side++) {
        s->colour[side] = words;
        s->sum[side] = words + n;
        s->sorted[side] = words + 2 * n;
        words += 3 * n;
    }
    int *numbers = (int *)words;
    for (int side = 0; side < 2; side++) {
        s->member[side] = numbers;
        s->first[side] = numbers + n;
        numbers += 2 * n;
    }
    return SQN_OK;
}

sqn_status sqn_pair_same_bag(const sqn_pair *p, bool *same, sqn_err *e) {
    search s;
    *same = p->rows[0] == 0 && p->rows[1] == 0;
    if (p->rows[0] == 0 || p->rows[0] != p->rows[1] || p->columns[0] != p->columns[1])
        return SQN_OK;
    SQN_TRY(sqn_pair_equal_under(p, NULL, same, e));
    if (*same || p->columns[0] < 2) return SQN_OK;
    SQN_TRY(search_new(&s, p, e));
    find_kinds(&s, 0);
    find_kinds(&s, 1);
    sqn_status status = SQN_OK;
    if (s.kinds[0] == s.kinds[1]) status = match_kinds(&s, same, e);
    sqn_free(s.memory);
    return status;
}
