/* Products through oneDNN's matmul primitive, and the cache of primitives.
 *
 * Creating a primitive costs 250 to 900 us, running a cached one 5 us, so primitives are kept by
 * everything that shapes them, the number of threads included (oneDNN fixes its split at creation).
 * The cache has WAYS places for each of SETS hash values; a full set drops its least recently used
 * entry that nobody runs. Without the library matmul_plain does its work. Written against 2.x; 3.x
 * creates the primitive descriptor directly. */
#include <dnnl.h>
#include <omp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/library.h"
#include "kernels/cpu/matmul.h"

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)
/* clang-format off */
#define DNNL_FUNCTIONS(F) \
    F(dnnl_engine_create) F(dnnl_matmul_desc_init) F(dnnl_memory_create) \
    F(dnnl_memory_desc_init_by_strides) F(dnnl_memory_destroy) F(dnnl_post_ops_append_sum) \
    F(dnnl_post_ops_create) F(dnnl_post_ops_destroy) F(dnnl_primitive_attr_create) \
    F(dnnl_primitive_attr_destroy) F(dnnl_primitive_attr_set_post_ops) F(dnnl_primitive_create) \
    F(dnnl_primitive_desc_create) F(dnnl_primitive_desc_destroy) F(dnnl_primitive_destroy) \
    F(dnnl_primitive_execute) F(dnnl_stream_create) F(dnnl_stream_destroy) F(dnnl_stream_wait)
/* clang-format on */
SQN_LIBRARY(dnnl, "libdnnl.so." TEXT(DNNL_VERSION_MAJOR), DNNL_FUNCTIONS);

#define SETS 64
#define WAYS 8

typedef struct key { /* no padding: compared as bytes */
    int64_t batch, m, n, k, lda, ldb, ldc, a_batch, b_batch, c_batch;
    int32_t dtype, c_dtype, trans_a, trans_b, accumulate, bias, threads, zero;
} key;
typedef struct entry {
    key key;
    dnnl_primitive_t primitive; /* owned; NULL: free place, unless `refused` */
    int users, refused;
    uint64_t used;
} entry;
typedef struct descs {
    dnnl_memory_desc_t a, b, c, bias;
} descs;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all below */
static entry cache[SETS][WAYS];
static uint64_t clock_now;
static dnnl_engine_t engine;

static dnnl_data_type_t type_of(sqn_dtype t) { return t == SQN_F32 ? dnnl_f32 : dnnl_bf16; }

/* [batch, rows, cols] as a logical matrix, 2-dimensional if batch is 1; a batch stride of 0 is a
 * broadcast dimension of 1. */
static dnnl_status_t matrix(dnnl_memory_desc_t *md, sqn_dtype t, int64_t batch, int64_t rows,
                            int64_t cols, int trans, int64_t ld, int64_t stride) {
    dnnl_dims_t dims = {0}, strides = {0};
    int n = 0;
    if (batch > 1) {
        dims[n] = stride ? batch : 1;
        strides[n++] = stride ? stride : ld * (trans ? cols : rows);
    }
    dims[n] = rows;
    strides[n++] = trans ? 1 : ld;
    dims[n] = cols;
    strides[n++] = trans ? ld : 1;
    return dnnl.dnnl_memory_desc_init_by_strides(md, n, dims, type_of(t), strides);
}

static dnnl_status_t describe(const sqn_k_matmul *a, descs *d) {
    const int64_t n = a->n;
    dnnl_status_t s = matrix(&d->a, a->dtype, a->batch, a->m, a->k, a->trans_a, a->lda, a->a_batch);
    if (!s) s = matrix(&d->b, a->dtype, a->batch, a->k, n, a->trans_b, a->ldb, a->b_batch);
    if (!s) s = matrix(&d->c, a->c_dtype, a->batch, a->m, n, 0, a->ldc, a->c_batch);
    if (!s && a->bias) s = matrix(&d->bias, a->dtype, a->batch, 1, n, 0, n, 0);
    return s;
}

static dnnl_status_t create(const sqn_k_matmul *a, const descs *d, dnnl_primitive_t *out) {
    dnnl_post_ops_t ops = NULL;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_matmul_desc_t desc;
    dnnl_status_t s = dnnl.dnnl_primitive_attr_create(&attr);
    if (!s && a->accumulate) {
        s = dnnl.dnnl_post_ops_create(&ops);
        if (!s) s = dnnl.dnnl_post_ops_append_sum(ops, 1.0F);
        if (!s) s = dnnl.dnnl_primitive_attr_set_post_ops(attr, ops);
    }
    if (!s) s = dnnl.dnnl_matmul_desc_init(&desc, &d->a, &d->b, a->bias ? &d->bias : NULL, &d->c);
    if (!s) s = dnnl.dnnl_primitive_desc_create(&pd, &desc, attr, engine, NULL);
    if (!s) s = dnnl.dnnl_primitive_create(out, pd);
    if (pd) dnnl.dnnl_primitive_desc_destroy(pd);
    if (attr) dnnl.dnnl_primitive_attr_destroy(attr);
    if (ops) dnnl.dnnl_post_ops_destroy(ops);
    return s;
}

static key key_of(const sqn_k_matmul *a) {
    key k;
    memset(&k, 0, sizeof k);
    k = (key){a->batch,
              a->m,
              a->n,
              a->k,
              a->lda,
              a->ldb,
              a->ldc,
              a->a_batch,
              a->b_batch,
              a->c_batch,
              (int32_t)a->dtype,
              (int32_t)a->c_dtype,
              a->trans_a != 0,
              a->trans_b != 0,
              a->accumulate != 0,
              a->bias != NULL,
              omp_in_parallel() ? 1 : omp_get_max_threads(),
              0};
    return k;
}

static entry *set_of(const key *k) {
    uint64_t h = 1469598103934665603u;
    const unsigned char *p = (const unsigned char *)k;
    for (size_t i = 0; i < sizeof *k; i++) h = (h ^ p[i]) * 1099511628211u;
    return cache[(h >> 32) % SETS];
}

/* The entry for this call with a user counted, or NULL: every place of the set is running. Called
 * under the lock. */
static entry *take(const sqn_k_matmul *a, const descs *d) {
    const key k = key_of(a);
    entry *set = set_of(&k), *victim = NULL;
    for (entry *e = set; e < set + WAYS; e++) {
        if ((e->primitive || e->refused) && !memcmp(&e->key, &k, sizeof k)) {
            e->users++;
            e->used = ++clock_now;
            return e;
        }
        if (!e->users && (!victim || e->used < victim->used)) victim = e;
    }
    if (!victim) return NULL;
    if (victim->primitive) dnnl.dnnl_primitive_destroy(victim->primitive);
    *victim = (entry){.key = k, .users = 1, .used = ++clock_now};
    victim->refused = create(a, d, &victim->primitive) != dnnl_success;
    if (victim->refused) victim->primitive = NULL;
    return victim;
}

static dnnl_status_t execute(const sqn_k_matmul *a, const descs *d, dnnl_primitive_t p) {
    const dnnl_memory_desc_t *md[] = {&d->a, &d->b, &d->c, &d->bias};
    void *data[] = {(void *)a->a, (void *)a->b, a->c, (void *)a->bias};
    dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, NULL},
                              {DNNL_ARG_WEIGHTS, NULL},
                              {DNNL_ARG_DST, NULL},
                              {DNNL_ARG_BIAS, NULL}};
    const int count = a->bias ? 4 : 3;
    dnnl_stream_t stream = NULL;
    dnnl_status_t s = dnnl.dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
    for (int i = 0; i < count && !s; i++)
        s = dnnl.dnnl_memory_create(&args[i].memory, md[i], engine, data[i]);
    if (!s) s = dnnl.dnnl_primitive_execute(p, stream, count, args);
    if (!s) s = dnnl.dnnl_stream_wait(stream);
    for (int i = 0; i < count; i++)
        if (args[i].memory) dnnl.dnnl_memory_destroy(args[i].memory);
    if (stream) dnnl.dnnl_stream_destroy(stream);
    return s;
}

static bool missing;
static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static void open_library(void) {
    sqn_err e = SQN_ERR_INIT;
    missing = sqn_library_open(&dnnl_library, &e) != SQN_OK;
    if (missing) fprintf(stderr, "sqlune: %s; products are slow without it\n", e.message);
}

sqn_status matmul_dnnl(const sqn_k_matmul *a) {
    descs d;
    pthread_once(&library_once, open_library);
    if (missing) return SQN_MISUSE;
    if (describe(a, &d)) return SQN_MISUSE;
    pthread_mutex_lock(&lock);
    entry *e = NULL;
    if (engine || !dnnl.dnnl_engine_create(&engine, dnnl_cpu, 0)) e = take(a, &d);
    pthread_mutex_unlock(&lock);
    if (!e) return SQN_MISUSE;
    dnnl_status_t s = e->refused ? dnnl_unimplemented : execute(a, &d, e->primitive);
    pthread_mutex_lock(&lock);
    e->users--;
    pthread_mutex_unlock(&lock);
    return s == dnnl_success ? SQN_OK : s == dnnl_out_of_memory ? SQN_NOMEM : SQN_MISUSE;
}
