/* What a PostgreSQL type is called: the name of SQLAlchemy's class for it. */
#include <stdlib.h>

#include "db/catalog_postgresql.h"

/* How the arguments of a type are written. */
typedef enum arguments { NO_ARGUMENTS, LENGTH, PRECISION } arguments;

typedef struct type_name {
    const char *declared, *name;
    arguments arguments;
} type_name;

static const type_name known[] = {
    {"\"char\"", "VARCHAR", NO_ARGUMENTS},
    {"bigint", "BIGINT", NO_ARGUMENTS},
    {"bit", "BIT", NO_ARGUMENTS},
    {"bit varying", "BIT", NO_ARGUMENTS},
    {"boolean", "BOOLEAN", NO_ARGUMENTS},
    {"bytea", "BYTEA", NO_ARGUMENTS},
    {"character", "CHAR", LENGTH},
    {"character varying", "VARCHAR", LENGTH},
    {"cidr", "CIDR", NO_ARGUMENTS},
    {"citext", "CITEXT", NO_ARGUMENTS},
    {"date", "DATE", NO_ARGUMENTS},
    {"datemultirange", "DATEMULTIRANGE", NO_ARGUMENTS},
    {"daterange", "DATERANGE", NO_ARGUMENTS},
    {"double precision", "DOUBLE PRECISION", NO_ARGUMENTS},
    {"float", "FLOAT", NO_ARGUMENTS},
    {"hstore", "HSTORE", NO_ARGUMENTS},
    {"inet", "INET", NO_ARGUMENTS},
    {"int4multirange", "INT4MULTIRANGE", NO_ARGUMENTS},
    {"int4range", "INT4RANGE", NO_ARGUMENTS},
    {"int8multirange", "INT8MULTIRANGE", NO_ARGUMENTS},
    {"int8range", "INT8RANGE", NO_ARGUMENTS},
    {"integer", "INTEGER", NO_ARGUMENTS},
    {"interval", "INTERVAL", NO_ARGUMENTS},
    {"json", "JSON", NO_ARGUMENTS},
    {"jsonb", "JSONB", NO_ARGUMENTS},
    {"macaddr", "MACADDR", NO_ARGUMENTS},
    {"macaddr8", "MACADDR8", NO_ARGUMENTS},
    {"money", "MONEY", NO_ARGUMENTS},
    {"name", "VARCHAR", NO_ARGUMENTS},
    {"numeric", "NUMERIC", PRECISION},
    {"nummultirange", "NUMMULTIRANGE", NO_ARGUMENTS},
    {"numrange", "NUMRANGE", NO_ARGUMENTS},
    {"oid", "OID", NO_ARGUMENTS},
    {"real", "REAL", NO_ARGUMENTS},
    {"regclass", "REGCLASS", NO_ARGUMENTS},
    {"smallint", "SMALLINT", NO_ARGUMENTS},
    {"text", "TEXT", NO_ARGUMENTS},
    {"time", "TIME", NO_ARGUMENTS},
    {"time with time zone", "TIME", NO_ARGUMENTS},
    {"time without time zone", "TIME", NO_ARGUMENTS},
    {"timestamp", "TIMESTAMP", NO_ARGUMENTS},
    {"timestamp with time zone", "TIMESTAMP", NO_ARGUMENTS},
    {"timestamp without time zone", "TIMESTAMP", NO_ARGUMENTS},
    {"tsmultirange", "TSMULTIRANGE", NO_ARGUMENTS},
    {"tsrange", "TSRANGE", NO_ARGUMENTS},
    {"tstzmultirange", "TSTZMULTIRANGE", NO_ARGUMENTS},
    {"tstzrange", "TSTZRANGE", NO_ARGUMENTS},
    {"tsvector", "TSVECTOR", NO_ARGUMENTS},
    {"uuid", "UUID", NO_ARGUMENTS},
};

static int by_declared(const void *a, const void *b) {
    return strcmp(a, ((const type_name *)b)->declared);
}

static const sqn_pg_own_type *find_own(const sqn_pg_own_types *own, const char *name) {
    for (size_t i = 0; i < own->n; i++)
        if (sqn_text_is(own->items[i].name, name)) return &own->items[i];
    return NULL;
}

/* Takes "[]" off the end. */
static bool take_brackets(sqn_buf *name) {
    if (name->n < 2 || memcmp(name->data + name->n - 2, "[]", 2) != 0) return false;
    name->n -= 2;
    name->data[name->n] = '\0';
    return true;
}

/* The type without what stands from its first ( to its last ), which is its argument list. */
static void split(sqn_text declared, sqn_buf *name, sqn_buf *given) {
    const char *open = memchr(declared.at, '(', declared.n);
    const char *close = memrchr(declared.at, ')', declared.n);
    if (open == NULL || close == NULL || close < open) {
        sqn_buf_put(name, declared.at, declared.n);
        return;
    }
    sqn_buf_put(name, declared.at, (size_t)(open - declared.at));
    sqn_buf_put(name, close + 1, declared.n - (size_t)(close + 1 - declared.at));
    sqn_buf_put(given, open + 1, (size_t)(close - open - 1));
}

static void put_arguments(sqn_buf *to, arguments kind, const sqn_buf *given) {
    if (kind == NO_ARGUMENTS || given->n == 0) return;
    const char *comma = memchr(given->data, ',', given->n);
    if (strspn(given->data, "0123456789,") != given->n || (kind == LENGTH && comma)) return;
    sqn_buf_put_format(to, "(%d", atoi(given->data));
    if (kind == PRECISION) sqn_buf_put_format(to, ", %d", comma ? atoi(comma + 1) : 0);
    sqn_buf_put_byte(to, ')');
}

/* A domain stands for its base, and lends the column its default and NOT NULL. */
static const sqn_pg_own_type *through_domains(const sqn_pg_own_types *own, sqn_buf *name,
                                              bool *array, sqn_schema_column *column) {
    const sqn_pg_own_type *type = find_own(own, name->data);
    for (size_t depth = 0; type && type->domain && depth < own->n; depth++) {
        column->nullable = column->nullable && type->nullable;
        if (column->fallback.n == 0 && type->fallback.n > 0) column->fallback = type->fallback;
        name->n = 0;
        sqn_buf_put(name, type->base.at, type->base.n);
        *array = take_brackets(name);
        type = find_own(own, name->data);
    }
    return type;
}

sqn_status sqn_pg_type_name(sqn_schema *s, const sqn_pg_own_types *own, sqn_text declared,
                            sqn_schema_column *column, bool *integer, sqn_err *e) {
    sqn_buf name = {0}, given = {0}, printed = {0};
    const type_name *type = NULL;
    sqn_status status;
    split(declared, &name, &given);
    SQN_GOTO(sqn_buf_status(&name, e));
    bool array = take_brackets(&name);
    if (strncmp(name.data, "interval ", 9) == 0) name.data[name.n = 8] = '\0';
    type = bsearch(name.data, known, sizeof known / sizeof *known, sizeof *known, by_declared);
    const sqn_pg_own_type *mine = type ? NULL : through_domains(own, &name, &array, column);
    SQN_GOTO(sqn_buf_status(&name, e));
    if (mine == NULL && type == NULL)
        type = bsearch(name.data, known, sizeof known / sizeof *known, sizeof *known, by_declared);
    if (mine == NULL && type == NULL) {
        sqn_buf_put_string(&printed, "NULL");
    } else if (array) {
        sqn_buf_put_string(&printed, "ARRAY");
    } else if (mine != NULL) {
        sqn_buf_put_string(&printed, "VARCHAR");
        if (mine->longest > 0) sqn_buf_put_format(&printed, "(%lld)", (long long)mine->longest);
    } else {
        sqn_buf_put_string(&printed, type->name);
        SQN_GOTO(sqn_buf_status(&given, e));
        put_arguments(&printed, type->arguments, &given);
    }
    *integer = type != NULL && !array &&
               (strcmp(type->name, "INTEGER") == 0 || strcmp(type->name, "BIGINT") == 0 ||
                strcmp(type->name, "SMALLINT") == 0);
    SQN_GOTO(sqn_buf_status(&printed, e));
    status = sqn_schema_text(s, printed.data, printed.n, &column->type, e);
fail:
    sqn_buf_release(&printed);
    sqn_buf_release(&given);
    sqn_buf_release(&name);
    return status;
}
