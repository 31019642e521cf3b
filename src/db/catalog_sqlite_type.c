/* What a declared SQLite type is called. The declaration can be anything at all. */
#include <stdio.h>

#include "core/buf.h"
#include "db/catalog_sqlite.h"
#include "db/python_text.h"

/* How the arguments of a type are written. */
typedef enum arguments { NO_ARGUMENTS, LENGTH, PRECISION } arguments;

typedef struct type_name {
    const char *declared, *name;
    arguments arguments;
} type_name;

static const type_name known[] = {
    {"BIGINT", "BIGINT", NO_ARGUMENTS},
    {"BLOB", "BLOB", NO_ARGUMENTS},
    {"BOOL", "BOOLEAN", NO_ARGUMENTS},
    {"BOOLEAN", "BOOLEAN", NO_ARGUMENTS},
    {"CHAR", "CHAR", LENGTH},
    {"DATE", "DATE", NO_ARGUMENTS},
    {"DATE_CHAR", "DATE", NO_ARGUMENTS},
    {"DATETIME", "DATETIME", NO_ARGUMENTS},
    {"DATETIME_CHAR", "DATETIME", NO_ARGUMENTS},
    {"DOUBLE", "DOUBLE", NO_ARGUMENTS},
    {"DECIMAL", "DECIMAL", PRECISION},
    {"FLOAT", "FLOAT", NO_ARGUMENTS},
    {"INT", "INTEGER", NO_ARGUMENTS},
    {"INTEGER", "INTEGER", NO_ARGUMENTS},
    {"JSON", "JSON", NO_ARGUMENTS},
    {"NUMERIC", "NUMERIC", PRECISION},
    {"REAL", "REAL", NO_ARGUMENTS},
    {"SMALLINT", "SMALLINT", NO_ARGUMENTS},
    {"TEXT", "TEXT", LENGTH},
    {"TIME", "TIME", NO_ARGUMENTS},
    {"TIME_CHAR", "TIME", NO_ARGUMENTS},
    {"TIMESTAMP", "TIMESTAMP", NO_ARGUMENTS},
    {"VARCHAR", "VARCHAR", LENGTH},
    {"NVARCHAR", "NVARCHAR", LENGTH},
    {"NCHAR", "NCHAR", LENGTH},
};
static const type_name by_content[] = {
    {"INT", "INTEGER", NO_ARGUMENTS}, {"CHAR", "TEXT", LENGTH},
    {"CLOB", "TEXT", LENGTH},         {"TEXT", "TEXT", LENGTH},
    {"BLOB", "NULL", NO_ARGUMENTS},   {"REAL", "REAL", NO_ARGUMENTS},
    {"FLOA", "REAL", NO_ARGUMENTS},   {"DOUB", "REAL", NO_ARGUMENTS},
};
static const type_name nothing = {"", "NULL", NO_ARGUMENTS};
static const type_name anything = {"", "NUMERIC", PRECISION};

static const type_name *find_type(const char *s, size_t n) {
    if (n == 0) return &nothing;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i].declared) == n && memcmp(known[i].declared, s, n) == 0)
            return &known[i];
    for (size_t i = 0; i < sizeof by_content / sizeof *by_content; i++)
        if (memmem(s, n, by_content[i].declared, strlen(by_content[i].declared)))
            return &by_content[i];
    return &anything;
}

/* Takes every occurrence of an upper-case word out of the text. */
static void take_out(sqn_buf *text, const char *word) {
    size_t n = strlen(word);
    for (char *at; (at = memmem(text->data, text->n, word, n)) != NULL;) {
        memmove(at, at + n, text->n - (size_t)(at - text->data) - n);
        text->n -= n;
    }
}

enum { MAX_NUMBERS = 8 };

/* The runs of digits in an argument list, as plain numbers without leading zeros; *count may go
 * beyond MAX_NUMBERS, then only that many are kept. */
static void read_numbers(const char *s, size_t n, sqn_buf numbers[MAX_NUMBERS], size_t *count) {
    bool inside = false;
    unsigned c;
    *count = 0;
    for (size_t i = 0, length; i < n; i += length) {
        length = sqn_python_decode(s + i, n - i, &c);
        int digit = sqn_python_digit(c);
        if (digit >= 0 && !inside) ++*count;
        inside = digit >= 0;
        if (!inside || *count > MAX_NUMBERS) continue;
        sqn_buf *number = &numbers[*count - 1];
        if (number->n == 1 && number->data[0] == '0') number->n = 0;
        sqn_buf_put_byte(number, (char)('0' + digit));
    }
}

static bool is_zero(const sqn_buf *number) { return number->n == 1 && number->data[0] == '0'; }

static void put_arguments(sqn_buf *to, arguments kind, const sqn_buf *numbers, size_t count) {
    if (kind == LENGTH && (count == 1 || count == 2)) {
        if (!is_zero(&numbers[0])) sqn_buf_put_format(to, "(%.300s)", numbers[0].data);
        /* a second number lands where the collation is meant to stand */
        if (count == 2 && !is_zero(&numbers[1]))
            sqn_buf_put_format(to, " COLLATE \"%.300s\"", numbers[1].data);
    } else if (kind == PRECISION && count >= 1 && count <= 4) {
        sqn_buf_put_format(to, "(%.100s", numbers[0].data);
        if (count > 1) sqn_buf_put_format(to, ", %.100s", numbers[1].data);
        sqn_buf_put_byte(to, ')');
    }
}

/* Where the name ends: the run of word characters and blanks from the start. */
static size_t name_end(const char *s, size_t n) {
    size_t i = 0, length;
    unsigned c;
    for (; i < n; i += length) {
        length = sqn_python_decode(s + i, n - i, &c);
        if (c != ' ' && !sqn_python_is_word(c)) break;
    }
    return i;
}

sqn_status sqn_sqlite_type(sqn_schema *s, sqn_text declared, bool generated, sqn_text *out,
                           sqn_err *e) {
    sqn_buf text = {0}, printed = {0}, numbers[MAX_NUMBERS] = {{0}};
    size_t count = 0;
    sqn_python_upper(&text, declared.at ? declared.at : "", declared.n);
    sqn_status status = sqn_buf_status(&text, e);
    const char *at = text.data ? text.data : "";
    size_t n = text.n;
    if (status == SQN_OK && generated && n > 0) {
        take_out(&text, "GENERATED");
        take_out(&text, "ALWAYS");
        n = text.n;
        sqn_python_strip(&at, &n);
    }
    size_t end = name_end(at, n);
    const type_name *type = find_type(at, end);
    sqn_buf_put_string(&printed, type->name);
    if (end > 0 && end < n && at[end] == '(') {
        const char *close = memchr(at + end, ')', n - end);
        if (close != NULL && !memchr(at + end, '\n', (size_t)(close - at) - end)) {
            read_numbers(at + end, (size_t)(close - at) - end, numbers, &count);
            put_arguments(&printed, type->arguments, numbers, count);
        }
    }
    if (status == SQN_OK) status = sqn_buf_status(&printed, e);
    if (status == SQN_OK) status = sqn_schema_text(s, printed.data, printed.n, out, e);
    for (size_t i = 0; i < MAX_NUMBERS; i++) sqn_buf_release(&numbers[i]);
    sqn_buf_release(&printed);
    sqn_buf_release(&text);
    return status;
}
