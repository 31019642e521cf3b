/* The schema of a PostgreSQL database: tables, columns, keys, examples.
 *
 * Rules: six queries over the catalogs whatever their size, then one for each column's examples;
 * all in one read-only transaction, so that they see one moment. Rows come in the order of tables
 * by name, so that each list is walked once.
 */
#include "db/catalog_postgresql.h"

#include <stdlib.h>

#include "db/python_text.h"

static const sqn_run_options ours = {.trusted = true, .raw = true};

typedef struct reader {
    sqn_conn *conn;
    const sqn_catalog_options *options;
    sqn_schema *schema;
    sqn_pg_own_types own;
    bool *large;   /* in the schema's arena, [tables]: so many rows that one query may take long */
    sqn_buf scope; /* owned; FROM … WHERE … of the wanted relations, aliases c and n */
} reader;

static void put_literal(sqn_buf *to, const char *s) {
    sqn_buf_put_byte(to, '\'');
    for (; *s; s++) {
        if (*s == '\'') sqn_buf_put_byte(to, '\'');
        sqn_buf_put_byte(to, *s);
    }
    sqn_buf_put_byte(to, '\'');
}

static void put_scope(reader *r) {
    sqn_buf_put_string(&r->scope, "c.relkind IN ('r', 'p'");
    if (r->options->view_support) sqn_buf_put_string(&r->scope, ", 'v'");
    sqn_buf_put_string(&r->scope, ") AND c.relpersistence <> 't' AND ");
    if (r->options->schema == NULL) {
        sqn_buf_put_string(&r->scope, "pg_catalog.pg_table_is_visible(c.oid) AND n.nspname <> "
                                      "'pg_catalog'");
        return;
    }
    sqn_buf_put_string(&r->scope, "n.nspname = ");
    put_literal(&r->scope, r->options->schema);
}

/* SELECT what FROM relations and `joins` ORDER BY the relation's name and `order`. */
static sqn_status query(reader *r, const char *what, const char *joins, const char *order,
                        sqn_result **out /* owned */, sqn_err *e) {
    sqn_buf sql = {0};
    sqn_buf_put_string(&sql, "SELECT ");
    sqn_buf_put_string(&sql, what);
    sqn_buf_put_string(&sql, " FROM pg_catalog.pg_class c "
                             "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace ");
    sqn_buf_put_string(&sql, joins);
    sqn_buf_put_string(&sql, " WHERE ");
    sqn_buf_put(&sql, r->scope.data, r->scope.n);
    sqn_buf_put_string(&sql, " ORDER BY c.relname COLLATE \"C\"");
    sqn_buf_put_string(&sql, order);
    sqn_status status = sqn_buf_status(&sql, e);
    if (status == SQN_OK) status = sqn_conn_query(r->conn, sql.data, sql.n, &ours, out, e);
    sqn_buf_release(&sql);
    return status;
}

static sqn_text cell_text(const sqn_cell *cell) {
    return cell->kind == SQN_CELL_NULL ? (sqn_text){NULL, 0}
                                       : (sqn_text){cell->as.bytes, cell->length};
}

static bool is_true(const sqn_cell *cell) {
    return cell->kind != SQN_CELL_NULL && cell->as.bytes[0] == 't';
}

/* A copy in the schema's arena; text that is not UTF-8 (of a database without an encoding) is
 * SQN_FORMAT. */
static sqn_status keep(reader *r, const sqn_cell *cell, sqn_text *out, sqn_err *e) {
    sqn_text t = cell_text(cell);
    if (cell->kind != SQN_CELL_NULL && cell->bad_utf8)
        return SQN_FAIL(e, SQN_FORMAT, "the schema holds text that is not valid UTF-8: '%.100s'",
                        t.at);
    return sqn_schema_text(r->schema, t.at, t.n, out, e);
}

/* A comment, blanks at its ends taken off; "" for null. */
static sqn_status keep_comment(reader *r, const sqn_cell *cell, sqn_text *out, sqn_err *e) {
    *out = (sqn_text){"", 0};
    if (cell->kind == SQN_CELL_NULL) return SQN_OK;
    SQN_TRY(keep(r, cell, out, e));
    sqn_python_strip(&out->at, &out->n);
    return sqn_schema_text(r->schema, out->at, out->n, out, e);
}

/* ---- types of the database's own ---- */

static const char own_types[] =
    "SELECT t.typtype::text, pg_catalog.format_type(t.oid, NULL), "
    "(SELECT max(char_length(enumlabel::text)) FROM pg_catalog.pg_enum WHERE enumtypid = t.oid), "
    "pg_catalog.format_type(t.typbasetype, t.typtypmod), t.typdefault, NOT t.typnotnull, "
    "t.typname, t.oid, t.typarray FROM pg_catalog.pg_type t "
    "WHERE t.typtype IN ('e', 'd') OR t.typname = 'hstore'";

static sqn_status read_own_type(reader *r, const sqn_cell *row, sqn_pg_own_type *t, sqn_err *e) {
    enum { KIND, NAME, LONGEST, BASE, FALLBACK, NULLABLE };
    t->domain = row[KIND].as.bytes[0] == 'd';
    SQN_TRY(keep(r, &row[NAME], &t->name, e));
    SQN_TRY(keep(r, &row[BASE], &t->base, e));
    SQN_TRY(keep(r, &row[FALLBACK], &t->fallback, e));
    const char *open = t->base.n ? memchr(t->base.at, '(', t->base.n) : NULL;
    if (open != NULL) t->base.n = (size_t)(open - t->base.at);
    t->nullable = is_true(&row[NULLABLE]);
    if (row[LONGEST].kind != SQN_CELL_NULL) t->longest = strtoll(row[LONGEST].as.bytes, NULL, 10);
    return SQN_OK;
}

static sqn_status read_own_types(reader *r, sqn_err *e) {
    enum { KIND, TYPE_NAME = 6, OID, ARRAY };
    sqn_result *types = NULL;
    sqn_status status;
    SQN_GOTO(sqn_conn_query(r->conn, own_types, sizeof own_types - 1, &ours, &types, e));
    r->own.items =
        sqn_arena_alloc(&r->schema->arena, ((size_t)types->rows + 1) * sizeof *r->own.items, e);
    if (r->own.items == NULL) SQN_GOTO(SQN_NOMEM);
    for (int64_t i = 0; i < types->rows; i++) {
        const sqn_cell *row = &types->cells[i * types->columns];
        if (row[KIND].as.bytes[0] == 'e' || row[KIND].as.bytes[0] == 'd') {
            SQN_GOTO(read_own_type(r, row, &r->own.items[r->own.n++], e));
        } else {
            r->own.hstore = (unsigned)strtoul(row[OID].as.bytes, NULL, 10);
            r->own.hstore_array = (unsigned)strtoul(row[ARRAY].as.bytes, NULL, 10);
        }
    }
fail:
    sqn_result_release(types);
    return status;
}

/* ---- tables ---- */

static sqn_status check_schema(reader *r, sqn_err *e) {
    sqn_buf sql = {0};
    sqn_result *found = NULL;
    sqn_status status;
    sqn_buf_put_string(&sql, "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = ");
    put_literal(&sql, r->options->schema);
    SQN_GOTO(sqn_buf_status(&sql, e));
    SQN_GOTO(sqn_conn_query(r->conn, sql.data, sql.n, &ours, &found, e));
    if (found->rows == 0)
        status = SQN_FAIL(e, SQN_NOTFOUND, "there is no schema '%s'", r->options->schema);
fail:
    sqn_result_release(found);
    sqn_buf_release(&sql);
    return status;
}

static sqn_status read_tables(reader *r, sqn_err *e) {
    enum { NAME, COMMENT, LARGE };
    sqn_result *tables = NULL;
    sqn_status status;
    SQN_GOTO(query(r,
                   "c.relname, pg_catalog.obj_description(c.oid, 'pg_class'), "
                   "c.reltuples > 1e6 OR c.relkind <> 'r'",
                   "", "", &tables, e));
    r->large = sqn_arena_alloc(&r->schema->arena, (size_t)tables->rows + 1, e);
    if (r->large == NULL) SQN_GOTO(SQN_NOMEM);
    if (tables->rows == 0 && r->options->schema != NULL) SQN_GOTO(check_schema(r, e));
    SQN_GOTO(sqn_catalog_check_names(r->options, tables, NAME, e));
    for (int64_t i = 0; i < tables->rows; i++) {
        const sqn_cell *row = &tables->cells[i * tables->columns];
        if (!sqn_catalog_wants(r->options, row[NAME].as.bytes)) continue;
        sqn_schema_table *t = sqn_schema_add_table(r->schema, e);
        if (t == NULL) SQN_GOTO(SQN_NOMEM);
        SQN_GOTO(keep(r, &row[NAME], &t->name, e));
        SQN_GOTO(keep_comment(r, &row[COMMENT], &t->comment, e));
        r->large[r->schema->table_count - 1] = is_true(&row[LARGE]);
    }
fail:
    sqn_result_release(tables);
    return status;
}

/* The table whose name stands in the row's first cell; both are in the order of names. *at moves
 * on. NULL: it is not wanted. */
static sqn_schema_table *find_table(reader *r, const sqn_cell *row, size_t *at) {
    sqn_text name = cell_text(&row[0]);
    while (*at < r->schema->table_count) {
        sqn_schema_table *t = &r->schema->tables[*at];
        int order = strcmp(t->name.at, name.at);
        if (order == 0) return t;
        if (order > 0) return NULL;
        ++*at;
    }
    return NULL;
}

/* ---- columns ---- */

/* nextval('x'…) of a sequence that is named without a schema gets the schema's name. */
static sqn_status put_schema_in_default(reader *r, sqn_text *fallback, bool *sequence, sqn_err *e) {
    static const char call[] = "nextval('";
    const char *at = fallback->n ? memmem(fallback->at, fallback->n, call, sizeof call - 1) : NULL;
    *sequence = false;
    if (at == NULL) return SQN_OK;
    const char *name = at + sizeof call - 1, *end = fallback->at + fallback->n;
    const char *close = memchr(name, '\'', (size_t)(end - name));
    *sequence = close != NULL && close > name;
    if (!*sequence || r->options->schema == NULL || memchr(name, '.', (size_t)(close - name)))
        return SQN_OK;
    sqn_buf text = {0};
    sqn_buf_put(&text, fallback->at, (size_t)(name - fallback->at));
    sqn_buf_put_byte(&text, '"');
    sqn_buf_put_string(&text, r->options->schema);
    sqn_buf_put_string(&text, "\".");
    sqn_buf_put(&text, name, (size_t)(end - name));
    sqn_status status = sqn_buf_status(&text, e);
    if (status == SQN_OK) status = sqn_schema_text(r->schema, text.data, text.n, fallback, e);
    sqn_buf_release(&text);
    return status;
}

static sqn_status read_column(reader *r, const sqn_cell *row, sqn_schema_table *t, sqn_err *e) {
    enum { TABLE, NAME, TYPE, FALLBACK, NOT_NULL, COMMENT, GENERATED, IDENTITY };
    sqn_text declared;
    bool integer, sequence;
    sqn_schema_column *column = sqn_schema_add_column(r->schema, t, e);
    if (column == NULL) return SQN_NOMEM;
    SQN_TRY(keep(r, &row[NAME], &column->name, e));
    SQN_TRY(keep(r, &row[TYPE], &declared, e));
    SQN_TRY(keep(r, &row[FALLBACK], &column->fallback, e));
    SQN_TRY(keep_comment(r, &row[COMMENT], &column->comment, e));
    column->category = column->dim_or_meas = (sqn_text){"", 0};
    column->nullable = !is_true(&row[NOT_NULL]);
    SQN_TRY(sqn_pg_type_name(r->schema, &r->own, declared, column, &integer, e));
    if (row[GENERATED].length > 0) column->fallback = (sqn_text){NULL, 0};
    SQN_TRY(put_schema_in_default(r, &column->fallback, &sequence, e));
    column->autoincrement = (sequence && integer) || row[IDENTITY].length > 0;
    return SQN_OK;
}

static sqn_status read_columns(reader *r, sqn_err *e) {
    sqn_result *columns = NULL;
    sqn_status status;
    size_t at = 0;
    SQN_GOTO(query(r,
                   "c.relname, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), "
                   "pg_catalog.pg_get_expr(d.adbin, d.adrelid), a.attnotnull, m.description, "
                   "a.attgenerated::text, a.attidentity::text",
                   "JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT "
                   "a.attisdropped LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND "
                   "d.adnum = a.attnum LEFT JOIN pg_catalog.pg_description m ON m.objoid = c.oid "
                   "AND m.objsubid = a.attnum AND m.classoid = 'pg_catalog.pg_class'::regclass",
                   ", a.attnum", &columns, e));
    for (int64_t i = 0; i < columns->rows; i++) {
        const sqn_cell *row = &columns->cells[i * columns->columns];
        sqn_schema_table *t = find_table(r, row, &at);
        if (t != NULL) SQN_GOTO(read_column(r, row, t, e));
    }
fail:
    sqn_result_release(columns);
    return status;
}

/* ---- keys ---- */

static bool same_cell(const sqn_cell *a, const sqn_cell *b) {
    return a->length == b->length && memcmp(a->as.bytes, b->as.bytes, a->length) == 0;
}

/* The key or index whose first column is row i: *columns are its names, and the row behind it is
 * returned. Rows are [table, name, column, …]; an expression is a null. */
static sqn_status take_key(reader *r, const sqn_result *rows, int64_t i, sqn_text_list *columns,
                           int64_t *end, sqn_err *e) {
    const sqn_cell *first = &rows->cells[i * rows->columns];
    sqn_text name;
    *columns = (sqn_text_list){NULL, 0};
    for (*end = i; *end < rows->rows; ++*end) {
        const sqn_cell *row = &rows->cells[*end * rows->columns];
        if (!same_cell(&row[0], &first[0]) || !same_cell(&row[1], &first[1])) break;
        SQN_TRY(keep(r, &row[2], &name, e));
        SQN_TRY(sqn_schema_add_text(r->schema, columns, name, e));
    }
    return SQN_OK;
}

static void mark_primary(sqn_schema_table *t, const sqn_text_list *columns) {
    for (size_t i = 0; i < t->column_count; i++)
        for (size_t k = 0; k < columns->n; k++)
            if (sqn_text_equal(t->columns[i].name, columns->items[k]))
                t->columns[i].primary_key = true;
}

static size_t primary_columns(const sqn_schema_table *t) {
    size_t n = 0;
    for (size_t i = 0; i < t->column_count; i++) n += t->columns[i].primary_key;
    return n;
}

static sqn_status read_unique_keys(reader *r, sqn_err *e) {
    enum { TABLE, NAME, COLUMN, KIND };
    sqn_result *keys = NULL;
    sqn_text_list columns;
    sqn_status status;
    size_t at = 0;
    SQN_GOTO(query(r, "c.relname, k.conname, a.attname, k.contype::text",
                   "JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid AND k.contype IN ('p', "
                   "'u') CROSS JOIN LATERAL unnest(k.conkey) WITH ORDINALITY x(attnum, place) JOIN "
                   "pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = x.attnum",
                   ", k.conname, x.place", &keys, e));
    for (int64_t i = 0, end; i < keys->rows; i = end) {
        const sqn_cell *row = &keys->cells[i * keys->columns];
        sqn_schema_table *t = find_table(r, row, &at);
        SQN_GOTO(take_key(r, keys, i, &columns, &end, e));
        if (t == NULL) continue;
        if (row[KIND].as.bytes[0] == 'p')
            mark_primary(t, &columns);
        else
            SQN_GOTO(sqn_schema_add_list(r->schema, &t->unique_keys, columns, e));
    }
    for (size_t i = 0; i < r->schema->table_count; i++) {
        sqn_schema_table *t = &r->schema->tables[i];
        sqn_schema_mark_unique(t, primary_columns(t));
    }
fail:
    sqn_result_release(keys);
    return status;
}

static sqn_status read_indexes(reader *r, sqn_err *e) {
    sqn_result *indexes = NULL;
    sqn_text_list columns;
    sqn_status status;
    size_t at = 0;
    SQN_GOTO(query(r, "c.relname, i.relname, a.attname",
                   "JOIN pg_catalog.pg_index k ON k.indrelid = c.oid AND NOT k.indisprimary JOIN "
                   "pg_catalog.pg_class i ON i.oid = k.indexrelid CROSS JOIN LATERAL (SELECT * "
                   "FROM unnest(k.indkey) WITH ORDINALITY y(attnum, place) WHERE place <= "
                   "k.indnkeyatts) x LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid "
                   "AND a.attnum = x.attnum AND x.attnum <> 0",
                   ", i.relname COLLATE \"C\", x.place", &indexes, e));
    for (int64_t i = 0, end; i < indexes->rows; i = end) {
        sqn_schema_table *t = find_table(r, &indexes->cells[i * indexes->columns], &at);
        SQN_GOTO(take_key(r, indexes, i, &columns, &end, e));
        if (t != NULL) SQN_GOTO(sqn_schema_add_list(r->schema, &t->keys, columns, e));
    }
fail:
    sqn_result_release(indexes);
    return status;
}

static sqn_status read_foreign_key(reader *r, const sqn_cell *row, const sqn_schema_table *t,
                                   sqn_err *e) {
    enum { TABLE, COLUMN, SCHEMA, VISIBLE, REF_TABLE, REF_COLUMN };
    sqn_schema_key *key = sqn_schema_add_key(r->schema, e);
    if (key == NULL) return SQN_NOMEM;
    key->table = t->name;
    SQN_TRY(keep(r, &row[COLUMN], &key->column, e));
    SQN_TRY(keep(r, &row[REF_TABLE], &key->ref_table, e));
    SQN_TRY(keep(r, &row[REF_COLUMN], &key->ref_column, e));
    SQN_TRY(keep(r, &row[SCHEMA], &key->schema, e));
    bool same = r->options->schema && sqn_text_is(key->schema, r->options->schema);
    if (is_true(&row[VISIBLE]) && !same) key->schema = (sqn_text){NULL, 0};
    return SQN_OK;
}

static sqn_status read_foreign_keys(reader *r, sqn_err *e) {
    sqn_result *keys = NULL;
    sqn_status status;
    size_t at = 0;
    SQN_GOTO(
        query(r,
              "c.relname, a.attname, pn.nspname, pg_catalog.pg_table_is_visible(p.oid), "
              "p.relname, b.attname",
              "JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid AND k.contype = 'f' JOIN "
              "pg_catalog.pg_class p ON p.oid = k.confrelid JOIN pg_catalog.pg_namespace pn ON "
              "pn.oid = p.relnamespace CROSS JOIN LATERAL unnest(k.conkey, k.confkey) WITH "
              "ORDINALITY x(attnum, refnum, place) JOIN pg_catalog.pg_attribute a ON "
              "a.attrelid = c.oid AND a.attnum = x.attnum JOIN pg_catalog.pg_attribute b ON "
              "b.attrelid = p.oid AND b.attnum = x.refnum",
              ", k.conname, x.place", &keys, e));
    for (int64_t i = 0; i < keys->rows; i++) {
        const sqn_cell *row = &keys->cells[i * keys->columns];
        const sqn_schema_table *t = find_table(r, row, &at);
        if (t != NULL) SQN_GOTO(read_foreign_key(r, row, t, e));
    }
fail:
    sqn_result_release(keys);
    return status;
}

/* ---- examples ---- */

static sqn_status read_examples(reader *r, sqn_err *e) {
    sqn_examples x = {.conn = r->conn,
                      .schema = r->schema,
                      .quote = '"',
                      .schema_name = r->options->schema,
                      .text = sqn_pg_example,
                      .self = &r->own,
                      .run = ours};
    return sqn_catalog_all_examples(&x, r->large, e);
}

static sqn_status read_all(reader *r, sqn_err *e) {
    put_scope(r);
    SQN_TRY(sqn_buf_status(&r->scope, e));
    SQN_TRY(read_own_types(r, e));
    SQN_TRY(read_tables(r, e));
    SQN_TRY(read_columns(r, e));
    SQN_TRY(read_unique_keys(r, e));
    SQN_TRY(read_indexes(r, e));
    return read_foreign_keys(r, e);
}

sqn_status sqn_catalog_postgresql_read(sqn_conn *c, const sqn_catalog_options *o, sqn_schema *s,
                                       sqn_err *e) {
    reader r = {.conn = c, .options = o, .schema = s};
    SQN_TRY(sqn_catalog_command(c, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", e));
    sqn_status status = read_all(&r, e);
    sqn_status ended = sqn_catalog_command(c, "ROLLBACK", status == SQN_OK ? e : NULL);
    if (status == SQN_OK) status = ended;
    if (status == SQN_OK) status = read_examples(&r, e);
    sqn_buf_release(&r.scope);
    return status;
}
