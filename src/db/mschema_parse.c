/* Reads M-Schema texts, those of the original and those that its augmentation wrote: see mschema.h.
 * Odd text yields odd names or nothing, never an error. */
#include <stdio.h>

#include "db/mschema.h"
#include "db/python_text.h"

static const char keys_heading[] = "【Foreign keys】";
static const char table_heading[] = "# Table: ";
static const char dashes[] = ") -- Value examples: [";

/* Words that announce the examples inside a column's parentheses. */
static const char *const prefixes[] = {"Examples:", "Value examples:", "示例值:", "values:"};

static const char *find(const char *at, const char *end, const char *what) {
    return at < end ? memmem(at, (size_t)(end - at), what, strlen(what)) : NULL;
}

static sqn_text strip(sqn_text t) {
    if (t.at != NULL) sqn_python_strip(&t.at, &t.n);
    return t;
}

static sqn_text between(const char *at, const char *end) {
    return (sqn_text){at, end > at ? (size_t)(end - at) : 0};
}

/* The last place of `what` in [at, end). */
static const char *find_last(const char *at, const char *end, const char *what) {
    const char *last = NULL;
    for (const char *p = find(at, end, what); p != NULL; p = find(p + 1, end, what)) last = p;
    return last;
}

/* Where a type ends: at the first ", " outside of parentheses; inside, if they never close. */
static const char *type_end(const char *at, const char *end) {
    int depth = 0;
    for (const char *p = at; p < end; p++) {
        depth += *p == '(' ? 1 : *p == ')' && depth > 0 ? -1 : 0;
        if (depth == 0 && *p == ',' && p + 1 < end && p[1] == ' ') return p;
    }
    const char *comma = find(at, end, ", ");
    return comma ? comma : end;
}

/* Takes ", Examples: […]" off the end of the column's text. */
static const char *cut_examples(sqn_parsed_column *c, const char *at, const char *end) {
    const char *first = NULL;
    char wanted[64];
    if (end == at || end[-1] != ']') return end;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        snprintf(wanted, sizeof wanted, ", %s [", prefixes[i]);
        const char *place = find(at, end, wanted);
        if (place == NULL || (first != NULL && first < place)) continue;
        first = place;
        c->prefix = between(place + 2, place + 2 + strlen(prefixes[i]));
        c->examples = between(place + strlen(wanted), end - 1);
    }
    return first ? first : end;
}

static void read_parts(sqn_parsed_column *c, const char *at, const char *end) {
    static const char key[] = "Primary Key";
    const size_t key_length = sizeof key - 1;
    const char *colon = memchr(at, ':', (size_t)(end - at));
    const char *comma = memchr(at, ',', (size_t)(end - at));
    bool typed = colon != NULL && (comma == NULL || colon < comma);
    const char *name_end = typed ? colon : comma ? comma : end;
    c->name = strip(between(at, name_end));
    at = name_end;
    c->type = between(at, at);
    if (typed) {
        const char *stop = type_end(at + 1, end);
        c->type = strip(between(at + 1, stop));
        at = stop;
    }
    sqn_text rest = strip(between(at, end)); /* "", ", comment, Primary Key", "," */
    if (rest.n > 0 && rest.at[rest.n - 1] == ',') rest.n--;
    if (rest.n > 0 && rest.at[0] == ',') rest = strip(between(rest.at + 1, rest.at + rest.n));
    if (rest.n >= key_length && memcmp(rest.at + rest.n - key_length, key, key_length) == 0) {
        sqn_text before = strip(between(rest.at, rest.at + rest.n - key_length));
        c->primary_key = before.n == 0 || before.at[before.n - 1] == ',';
        if (c->primary_key) rest = strip(between(before.at, before.at + before.n - (before.n > 0)));
    }
    c->comment = rest;
}

/* One piece between ",\n": what stands after its first "(" and before its last ")". */
static sqn_status read_column(sqn_parsed *p, sqn_text piece, sqn_parsed_column *c, sqn_err *e) {
    const char *end = piece.at + piece.n, *open = memchr(piece.at, '(', piece.n);
    const char *close = memrchr(piece.at, ')', piece.n);
    const char *at = open ? open + 1 : piece.at + (piece.n > 0);
    const char *stop = close && close >= at ? close : end;
    memset(c, 0, sizeof *c);
    c->line = between(at, stop);
    char *line = sqn_arena_alloc(&p->arena, c->line.n + 3, e);
    if (line == NULL) return SQN_NOMEM;
    line[0] = '(';
    memcpy(line + 1, c->line.at, c->line.n);
    line[c->line.n + 1] = ')';
    c->line = (sqn_text){line, c->line.n + 2};
    const char *outside = find(at, end, dashes);
    if (outside != NULL) { /* (a:TEXT, ) -- Value examples: [x, y] */
        const char *from = outside + sizeof dashes - 1, *bracket = find_last(from, end, "]");
        c->prefix = between(outside + 2, outside + 4);
        c->examples = between(from, bracket ? bracket : end);
        stop = outside;
    } else {
        stop = cut_examples(c, at, stop);
    }
    read_parts(c, at, stop);
    return SQN_OK;
}

static sqn_status read_columns(sqn_parsed *p, sqn_text body, sqn_parsed_table *t, sqn_err *e) {
    const char *end, *at;
    body = strip(body);
    at = body.at;
    end = at + body.n;
    for (bool more = true; more;) {
        sqn_parsed_column c;
        const char *cut = find(at, end, ",\n");
        more = cut != NULL;
        SQN_TRY(read_column(p, between(at, more ? cut : end), &c, e));
        if (more) at = cut + 2;
        size_t i = 0;
        while (i < t->column_count && !sqn_text_equal(t->columns[i].name, c.name)) i++;
        if (i == t->column_count) {
            void *list = sqn_arena_list(&p->arena, t->columns, t->column_count, sizeof c, e);
            if (list == NULL) return SQN_NOMEM;
            t->columns = list;
            t->column_count++;
        }
        t->columns[i] = c;
    }
    return SQN_OK;
}

static sqn_status read_tables(sqn_parsed *p, const char *at, const char *end, sqn_err *e) {
    while ((at = find(at, end, table_heading)) != NULL) {
        sqn_parsed_table t = {0};
        const char *key = at + sizeof table_heading - 1;
        const char *line = memchr(key, '\n', (size_t)(end - key));
        at = key;
        if (line == NULL || line == key || line + 1 == end || line[1] != '[') continue;
        const char *body = line + 2, *stop = find(body + 1, end, "]\n");
        if (stop == NULL) continue;
        t.key = between(key, line);
        const char *comma = find(key, line, ", ");
        t.name = between(key, comma ? comma : line);
        t.comment = comma ? between(comma + 2, line) : between(line, line);
        SQN_TRY(read_columns(p, between(body, stop), &t, e));
        size_t i = 0;
        while (i < p->table_count && !sqn_text_equal(p->tables[i].key, t.key)) i++;
        if (i == p->table_count) {
            void *list = sqn_arena_list(&p->arena, p->tables, p->table_count, sizeof t, e);
            if (list == NULL) return SQN_NOMEM;
            p->tables = list;
            p->table_count++;
        }
        p->tables[i] = t;
        at = stop + 2;
    }
    return SQN_OK;
}

/* "table . column", at the last dot. */
static bool read_side(sqn_text side, sqn_text *table, sqn_text *column) {
    side = strip(side);
    const char *dot = side.n ? memrchr(side.at, '.', side.n) : NULL;
    if (dot == NULL) return false;
    *table = strip(between(side.at, dot));
    *column = strip(between(dot + 1, side.at + side.n));
    return table->n > 0 && column->n > 0;
}

static sqn_status drop_ticks(sqn_parsed *p, sqn_text *t, sqn_err *e) {
    char *copy = sqn_arena_copy(&p->arena, t->at, t->n, e);
    size_t n = 0;
    if (copy == NULL) return SQN_NOMEM;
    for (size_t i = 0; i < t->n; i++)
        if (copy[i] != '`') copy[n++] = copy[i];
    copy[n] = '\0';
    *t = (sqn_text){copy, n};
    return SQN_OK;
}

static sqn_status read_keys(sqn_parsed *p, const char *at, const char *end, sqn_err *e) {
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (stop == NULL) stop = end;
        sqn_parsed_key k;
        const char *equals = memchr(at, '=', (size_t)(stop - at));
        bool good = equals != NULL && read_side(between(at, equals), &k.table, &k.column) &&
                    read_side(between(equals + 1, stop), &k.ref_table, &k.ref_column) &&
                    memchr(equals + 1, '=', (size_t)(stop - equals - 1)) == NULL;
        at = stop + 1;
        if (!good) continue;
        if (memchr(k.column.at, '`', k.column.n) && memchr(k.ref_column.at, '`', k.ref_column.n)) {
            SQN_TRY(drop_ticks(p, &k.column, e));
            SQN_TRY(drop_ticks(p, &k.ref_column, e));
        }
        sqn_parsed_key *list = sqn_arena_list(&p->arena, p->keys, p->key_count, sizeof k, e);
        if (list == NULL) return SQN_NOMEM;
        p->keys = list;
        list[p->key_count++] = k;
    }
    return SQN_OK;
}

sqn_status sqn_mschema_parse(const char *text, size_t n, sqn_parsed **out, sqn_err *e) {
    sqn_status status = SQN_NOMEM;
    static const char id_heading[] = "【DB_ID】";
    sqn_parsed *p = sqn_calloc(1, sizeof *p, e);
    if (p == NULL) return SQN_NOMEM;
    char *copy = sqn_arena_alloc(&p->arena, n + 2, e); /* room for one more newline */
    if (copy == NULL) goto fail;
    memcpy(copy, text, n);
    const char *end = copy + n, *keys = find_last(copy, end, keys_heading);
    if (keys == NULL) { /* so that the last table ends like the others */
        copy[n] = '\n';
        end++;
    }
    const char *id = find(copy, end, id_heading);
    if (id != NULL) {
        id += sizeof id_heading - 1;
        const char *line = memchr(id, '\n', (size_t)(end - id));
        p->db_id = strip(between(id, line ? line : end));
    }
    SQN_GOTO(read_tables(p, copy, end, e));
    if (keys != NULL) SQN_GOTO(read_keys(p, keys + sizeof keys_heading - 1, end, e));
    *out = p;
    return SQN_OK;
fail:
    sqn_parsed_release(p);
    return status;
}

void sqn_parsed_release(sqn_parsed *p) {
    if (p == NULL) return;
    sqn_arena_release(&p->arena);
    sqn_free(p);
}
