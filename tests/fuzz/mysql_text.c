/* A fuzzer of what reads MySQL's texts: the reviewer of statements and the reader of SHOW CREATE
 * TABLE: `make fuzz`. Nothing here may crash, and a statement that is let through holds no INTO. */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "db/catalog_mysql.h"
#include "db/mysql_review.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void read_ddl(const char *text, size_t n) {
    sqn_schema *s = sqn_schema_new(NULL);
    if (s == NULL) return;
    sqn_schema_table *t = sqn_schema_add_table(s, NULL);
    if (t != NULL && sqn_mysql_read_ddl(s, t, (sqn_text){text, n}, NULL) != SQN_OK) abort();
    sqn_schema_release(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    if (n == 0) return 0;
    const char *text = (const char *)data + 1;
    n--;
    if (data[0] & 0x80) {
        read_ddl(text, n);
        return 0;
    }
    sqn_mysql_quoting quoting = {(data[0] & 1) != 0, (data[0] & 2) != 0, (data[0] & 4) != 0};
    if (sqn_mysql_review(text, n, quoting, NULL) != SQN_OK) return 0;
    if (n > 6 && strncasecmp(text + n - 6, " INTO ", 6) == 0 && !memchr(text, '\'', n) &&
        !memchr(text, '"', n) && !memchr(text, '`', n) && !memchr(text, '#', n) &&
        !memchr(text, '-', n) && !memchr(text, '@', n) && !memchr(text, '.', n) &&
        !memchr(text, '/', n)) {
        fprintf(stderr, "let through: %.*s\n", (int)n, text);
        abort();
    }
    return 0;
}
