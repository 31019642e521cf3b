/* A fuzzer of the SQL lexer: `make fuzz`. The first byte picks the dialect. Every byte is in
 * exactly one token, values lie within their tokens, and a token that ends before the text does
 * reads the same alone. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/sql_lexer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool good, const char *what) {
    if (good) return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

/* Literals and quoted names depend on nothing before or after them. */
static void check_alone(sqn_sql_dialect dialect, const sqn_sql_token *t) {
    sqn_sql_lexer l = sqn_sql_lexer_start(dialect, t->at, t->n);
    sqn_sql_token alone;
    if (t->kind != SQN_SQL_STRING && t->kind != SQN_SQL_QUOTED && t->kind != SQN_SQL_BLOB) return;
    check(sqn_sql_next(&l, &alone) && alone.kind == t->kind && alone.n == t->n,
          "a literal reads otherwise alone");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    if (n == 0) return 0;
    sqn_sql_dialect dialect = (sqn_sql_dialect)(data[0] % SQN_SQL_DIALECTS);
    char *text = malloc(n), *value = malloc(n); /* exact: what reads behind it is seen */
    if (text == NULL || value == NULL) abort();
    text = realloc(text, n - 1 ? n - 1 : 1);
    memcpy(text, data + 1, n - 1);
    sqn_sql_lexer l = sqn_sql_lexer_start(dialect, text, n - 1);
    sqn_sql_token t;
    const char *at = text;
    while (sqn_sql_next(&l, &t)) {
        check(t.at == at && t.n > 0 && t.n <= (size_t)(text + n - 1 - at), "a token out of place");
        check(sqn_sql_value(&t, value) <= t.n, "a value longer than its token");
        if (t.at + t.n < text + n - 1) check_alone(dialect, &t);
        at = t.at + t.n;
    }
    check(at == text + n - 1, "bytes without a token");
    free(text);
    free(value);
    return 0;
}
