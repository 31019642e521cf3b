/* A fuzzer of the readers of M-Schema texts and of saved schemas: `make fuzz`. A text is read
 * without an error, whatever it is; a saved schema (it begins with a brace) that can be read
 * prints, its print reads, and what is saved of it reads and saves the same again. */
#include <stdio.h>
#include <stdlib.h>

#include "db/mschema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool good, const char *what) {
    if (good) return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

static bool within(sqn_text t) { return t.at != NULL || t.n == 0; }

/* Every text of the structure lies in readable memory: its bytes are added up. */
static unsigned sum_text(sqn_text t, unsigned sum) {
    check(within(t), "a text without bytes has a length");
    for (size_t i = 0; i < t.n; i++) sum += (unsigned char)t.at[i];
    return sum;
}

static unsigned sum_parsed(const sqn_parsed *p) {
    unsigned sum = sum_text(p->db_id, 0);
    for (size_t i = 0; i < p->table_count; i++) {
        const sqn_parsed_table *t = &p->tables[i];
        sum = sum_text(t->key, sum_text(t->name, sum_text(t->comment, sum)));
        for (size_t k = 0; k < t->column_count; k++) {
            const sqn_parsed_column *c = &t->columns[k];
            sum = sum_text(c->name, sum_text(c->type, sum_text(c->comment, sum)));
            sum = sum_text(c->line, sum_text(c->prefix, sum_text(c->examples, sum)));
        }
    }
    for (size_t i = 0; i < p->key_count; i++) {
        const sqn_parsed_key *k = &p->keys[i];
        sum = sum_text(k->table, sum_text(k->column, sum));
        sum = sum_text(k->ref_table, sum_text(k->ref_column, sum));
    }
    return sum;
}

static void read_text(const char *text, size_t n) {
    sqn_parsed *once = NULL, *twice = NULL;
    check(sqn_mschema_parse(text, n, &once, NULL) == SQN_OK, "a text was not read");
    check(sqn_mschema_parse(text, n, &twice, NULL) == SQN_OK, "a text was not read again");
    check(sum_parsed(once) == sum_parsed(twice), "two readings differ");
    check(once->table_count == twice->table_count, "two readings differ in tables");
    sqn_parsed_release(once);
    sqn_parsed_release(twice);
}

static void read_json(const char *text, size_t n) {
    sqn_schema *s = NULL, *again = NULL;
    sqn_buf printed = {0}, saved = {0}, saved_again = {0};
    const sqn_mschema_options o = {.example_num = 3, .max_length = 30};
    if (sqn_mschema_from_json(text, n, "input", &s, NULL) != SQN_OK) return;
    check(sqn_mschema_print(s, &o, &printed, NULL) == SQN_OK, "a schema was not printed");
    read_text(printed.data, printed.n);
    check(sqn_mschema_to_json(s, &saved, NULL) == SQN_OK, "a schema was not saved");
    check(sqn_mschema_from_json(saved.data, saved.n, "saved", &again, NULL) == SQN_OK,
          "a saved schema was not read");
    check(sqn_mschema_to_json(again, &saved_again, NULL) == SQN_OK, "it was not saved again");
    check(saved.n == saved_again.n && memcmp(saved.data, saved_again.data, saved.n) == 0,
          "saving what was saved gives another text");
    sqn_buf_release(&printed);
    sqn_buf_release(&saved);
    sqn_buf_release(&saved_again);
    sqn_schema_release(s);
    sqn_schema_release(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    if (n == 0) return 0;
    if (data[0] == '{')
        read_json((const char *)data, n);
    else
        read_text((const char *)data, n);
    return 0;
}
