/* A fuzzer of what reads PostgreSQL's texts: the guard of statements, cells from values, and how
 * values print as examples: `make fuzz`. Nothing here may crash, and a call of a denied function
 * that stands in plain sight is not let through. */
#include <stdio.h>
#include <stdlib.h>

#include "db/catalog_postgresql.h"
#include "db/postgresql_guard.h"
#include "db/postgresql_value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* One of each class, arrays too; 1 and 2 stand for hstore and its array. */
static const unsigned types[] = {16,   17,   20,   25,   701,  1082, 1083, 1114, 1184, 1186,
                                 1700, 2950, 3802, 3904, 3910, 1000, 1001, 1009, 1022, 1182,
                                 1183, 1185, 1187, 1231, 2951, 3807, 3905, 3911, 1,    2};
enum { TYPES = sizeof types / sizeof *types };

static void read_statement(const char *text, size_t n) {
    static const char call[] = "pg_sleep(";
    sqn_guarded_names names = {0};
    if (sqn_guarded_names_add(&names, "pg_sleep", NULL) != SQN_OK) return;
    sqn_status status = sqn_postgresql_scan(text, n, &names, NULL);
    const char *at = memmem(text, n, call, sizeof call - 1);
    bool plain = at != NULL && strcspn(text, "'\"$-/&_0123456789\x80") == (size_t)(at + 2 - text);
    if (status == SQN_OK && plain && (at == text || at[-1] == ' ')) {
        fprintf(stderr, "let through: %.*s\n", (int)n, text);
        abort();
    }
    sqn_guarded_names_release(&names);
}

static void read_value(unsigned type, const char *text, size_t n) {
    sqn_pg_own_types own = {.hstore = 1, .hstore_array = 2};
    sqn_cell raw = {SQN_CELL_TEXT, !sqn_cell_text_valid(text, n), n, {.bytes = text}}, cell;
    sqn_buf scratch = {0}, printed = {0};
    unsigned sum = 0;
    if (sqn_pg_cell(type, text, n, &scratch, &cell, NULL) == SQN_OK && sqn_cell_has_bytes(&cell))
        for (size_t i = 0; i < cell.length; i++) sum += (unsigned char)cell.as.bytes[i];
    sqn_pg_example(&own, &raw, type, &printed);
    if (sum == 1 && printed.failed) abort(); /* the sum is used */
    sqn_buf_release(&scratch);
    sqn_buf_release(&printed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    if (n == 0) return 0;
    char *text =
        sqn_strndup((const char *)data + 1, n - 1, NULL); /* a NUL follows, as libpq's do */
    if (text == NULL) return 0;
    if (data[0] >= TYPES)
        read_statement(text, strlen(text));
    else
        read_value(types[data[0]], text, n - 1);
    sqn_free(text);
    return 0;
}
