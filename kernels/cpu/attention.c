/* Attention in blocks with running softmax: forward, decoding over a cache, and backward from the
 * kept log-sums.
 *
 * Scores are kept transposed, [keys, rows]: the queries are transposed once per block of rows, keys
 * and values are read as they lie, and the softmax of a row runs down a vector lane. A row is one
 * query of one head; the heads that share a key-value head are worked together, so K and V are read
 * once for all of them. Forward tasks are (segment, kv head, block of rows, range of keys). Only
 * segments of few queries (decoding) have more than one range; their partial results are combined
 * in order. Backward tasks are (segment, head): dq belongs to the task, dk and dv go to a workspace
 * per head which is summed over the group in order. Nothing depends on the number of threads. */
#include <assert.h>
#include <omp.h>

#include "kernels/cpu/attention_tiles.h"
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/vector.h"

#define INLINE static inline __attribute__((always_inline))
#define KEYS 64     /* keys of a block */
#define FORWARD 128 /* rows of a forward block, at least one query of all heads of a group */
#define BACKWARD 64 /* rows of a backward block, all of one head */
#define FEW 8       /* up to so many queries the keys are split */
#define SPLIT 1024  /* keys of a range then */
#define PAD(n) (((n) + 15) / 16 * 16)
#ifdef __AVX512F__
#define TILE 8 /* rows of a register tile, two vectors wide */
#else
#define TILE 4
#endif

typedef struct task {
    int64_t segment, first, count; /* queries of the segment */
    int64_t low, high;             /* keys of the segment */
    int64_t part,
        parts; /* row of the partial results, and how many belong together; part < 0: whole */
} task;

static inline int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t max_of(int64_t a, int64_t b) { return a > b ? a : b; }

/* Keys that the queries at positions p0 .. p1 may read. */
static void key_range(int causal, int64_t window, int64_t k_len, int64_t p0, int64_t p1,
                      int64_t *low, int64_t *high) {
    *low = 0;
    *high = k_len;
    if (!causal) return;
    *high = max_of(0, min_of(k_len, p1 + 1));
    if (window > 0) *low = min_of(*high, max_of(0, p0 - window + 1));
}

/* Writes the tasks of one kv head to `out` (NULL: only counts them); *parts: rows of partial
 * results. */
static int64_t plan(const sqn_k_attention *a, task *out, int64_t *parts) {
    const int64_t group = a->heads / a->kv_heads, step = max_of(1, FORWARD / group);
    int64_t n = 0;
    *parts = 0;
    for (int64_t s = 0; s < a->segments; s++) {
        const int64_t queries = a->q_start[s + 1] - a->q_start[s];
        for (int64_t q = (queries - 1) / step * step; q >= 0 && queries; q -= step) {
            task t = {.segment = s, .first = q, .count = min_of(step, queries - q), .part = -1};
            const int64_t p0 = a->k_len[s] - queries + q;
            key_range(a->causal, a->window, a->k_len[s], p0, p0 + t.count - 1, &t.low, &t.high);
            const int64_t ranges = queries <= FEW ? (t.high - t.low + SPLIT - 1) / SPLIT : 1;
            const int64_t low = t.low, high = t.high;
            t.parts = max_of(1, ranges);
            for (int64_t i = 0; i < t.parts; i++) {
                if (ranges > 1) {
                    t.part = (*parts)++;
                    t.low = low + i * SPLIT;
                    t.high = min_of(high, t.low + SPLIT);
                }
                if (out) out[n] = t;
                n++;
            }
        }
    }
    return n;
}

#define EACH_FLOAT "kernels/cpu/attention.inc"
#include "kernels/cpu/each_float.h"

#define EACH_FLOAT "kernels/cpu/attention_grad.inc"
#include "kernels/cpu/each_float.h"

sqn_status sqn_cpu_attention(const sqn_k_attention *a, void *stream) {
    (void)stream;
    BY_FLOAT_STATUS(a->dtype, forward, a)
}

sqn_status sqn_cpu_attention_grad(const sqn_k_attention_grad *a, void *stream) {
    (void)stream;
    BY_FLOAT_STATUS(a->dtype, backward, a)
}
