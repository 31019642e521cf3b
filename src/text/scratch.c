/* Scratch memory of encode calls, pooled so that their word caches stay warm. */
#include "text/tokenizer_parts.h"

static void close_scratch(sqn_scratch *x) {
    if (x == NULL) return;
    for (int i = 0; i < 2; i++) {
        sqn_bytes_release(&x->text[i]);
        sqn_words_release(&x->charges[i]);
    }
    sqn_bpe_scratch_release(&x->bpe);
    sqn_free(x->cache);
    sqn_free(x);
}

sqn_status sqn_scratch_pool_new(sqn_scratch_pool **out, sqn_err *e) {
    sqn_scratch_pool *pool = sqn_calloc(1, sizeof *pool, e);
    if (pool == NULL) return SQN_NOMEM;
    pthread_mutex_init(&pool->mutex, NULL);
    *out = pool;
    return SQN_OK;
}

void sqn_scratch_pool_close(sqn_scratch_pool *pool) {
    if (pool == NULL) return;
    for (sqn_scratch *x = pool->free, *next; x != NULL; x = next) {
        next = x->next;
        close_scratch(x);
    }
    pthread_mutex_destroy(&pool->mutex);
    sqn_free(pool);
}

sqn_status sqn_scratch_take(const sqn_tokenizer *t, sqn_scratch **out, sqn_err *e) {
    pthread_mutex_lock(&t->pool->mutex);
    sqn_scratch *x = t->pool->free;
    if (x != NULL) t->pool->free = x->next;
    pthread_mutex_unlock(&t->pool->mutex);
    if (x == NULL) {
        x = sqn_calloc(1, sizeof *x, e);
        if (x == NULL) return SQN_NOMEM;
        x->cache = sqn_calloc(SQN_CACHE_SLOTS, sizeof *x->cache, e);
        if (x->cache == NULL) {
            close_scratch(x);
            return SQN_NOMEM;
        }
    }
    *out = x;
    return SQN_OK;
}

void sqn_scratch_give(const sqn_tokenizer *t, sqn_scratch *x) {
    if (x == NULL) return;
    pthread_mutex_lock(&t->pool->mutex);
    x->next = t->pool->free;
    t->pool->free = x;
    pthread_mutex_unlock(&t->pool->mutex);
}
