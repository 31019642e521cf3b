/* Cells of JSON and arrays as Python's drivers give them: see sqn_cell_python in compare.h.
 *
 * Rules: equal values get one text: numbers by value (1 and 1.0, true and 1), strings by their
 * characters whatever their escapes, members of objects in the order of their keys, the last of
 * equal keys, no blanks. Numbers that are not whole are doubles.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "core/buf.h"
#include "core/float_text.h"
#include "db/compare.h"
#include "io/json_reader.h"

typedef struct member {
    sqn_buf key, value;
    size_t place; /* among the members, as written */
} member;

static sqn_status put_value(sqn_buf *to, sqn_json_reader *r, const sqn_json_token *t, sqn_err *e);

static void put_string(sqn_buf *to, const char *text, size_t n) {
    sqn_buf_put_byte(to, '"');
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '"' || text[i] == '\\') sqn_buf_put_byte(to, '\\');
        sqn_buf_put_byte(to, text[i]);
    }
    sqn_buf_put_byte(to, '"');
}

static void put_number(sqn_buf *to, const sqn_json_token *t) {
    char text[SQN_FLOAT_TEXT];
    double v = t->number;
    if (t->kind == SQN_JSON_INTEGER)
        sqn_buf_put(to, text, sqn_integer_text(text, t->integer));
    else if (t->text != NULL)
        sqn_buf_put(to, t->text, t->length); /* an integer beyond 64 bits */
    else if (isfinite(v) && v == floor(v))
        sqn_buf_put_format(to, "%.0f", v == 0 ? 0.0 : v);
    else
        sqn_buf_put(to, text, sqn_float_text(text, v));
}

static int by_key(const void *a, const void *b) {
    const member *x = a, *y = b;
    size_t n = x->key.n < y->key.n ? x->key.n : y->key.n;
    int order = n > 0 ? memcmp(x->key.data, y->key.data, n) : 0;
    if (order == 0) order = (x->key.n > y->key.n) - (x->key.n < y->key.n);
    return order != 0 ? order : (x->place > y->place) - (x->place < y->place);
}

static void put_members(sqn_buf *to, member *list, size_t count) {
    bool first = true;
    if (count > 0) qsort(list, count, sizeof *list, by_key);
    sqn_buf_put_byte(to, '{');
    for (size_t i = 0; i < count; i++) {
        const member *m = &list[i], *next = &list[i + 1];
        if (i + 1 < count && m->key.n == next->key.n &&
            (m->key.n == 0 || memcmp(m->key.data, next->key.data, m->key.n) == 0))
            continue; /* a later one counts */
        if (!first) sqn_buf_put_byte(to, ',');
        first = false;
        put_string(to, m->key.data, m->key.n);
        sqn_buf_put_byte(to, ':');
        sqn_buf_put(to, m->value.data, m->value.n);
    }
    sqn_buf_put_byte(to, '}');
}

static sqn_status put_object(sqn_buf *to, sqn_json_reader *r, sqn_err *e) {
    member *list = NULL;
    size_t count = 0, room = 0;
    sqn_status status = SQN_OK;
    sqn_json_token t;
    for (;;) {
        SQN_GOTO(sqn_json_next(r, &t, e));
        if (t.kind == SQN_JSON_OBJECT_END) break;
        if (count == room) {
            member *grown = sqn_realloc(list, (2 * room + 8) * sizeof *list, e);
            if (grown == NULL) SQN_GOTO(SQN_NOMEM);
            list = grown;
            room = 2 * room + 8;
        }
        member *m = &list[count];
        *m = (member){.place = count};
        count++;
        sqn_buf_put(&m->key, t.text, t.length);
        SQN_GOTO(sqn_buf_status(&m->key, e));
        SQN_GOTO(sqn_json_next(r, &t, e));
        SQN_GOTO(put_value(&m->value, r, &t, e));
        SQN_GOTO(sqn_buf_status(&m->value, e));
    }
    put_members(to, list, count);
fail:
    for (size_t i = 0; i < count; i++) {
        sqn_buf_release(&list[i].key);
        sqn_buf_release(&list[i].value);
    }
    sqn_free(list);
    return status;
}

static sqn_status put_array(sqn_buf *to, sqn_json_reader *r, sqn_err *e) {
    sqn_json_token t;
    sqn_buf_put_byte(to, '[');
    for (bool first = true;; first = false) {
        SQN_TRY(sqn_json_next(r, &t, e));
        if (t.kind == SQN_JSON_ARRAY_END) break;
        if (!first) sqn_buf_put_byte(to, ',');
        SQN_TRY(put_value(to, r, &t, e));
    }
    sqn_buf_put_byte(to, ']');
    return SQN_OK;
}

static sqn_status put_value(sqn_buf *to, sqn_json_reader *r, const sqn_json_token *t, sqn_err *e) {
    switch (t->kind) {
    case SQN_JSON_ARRAY:
        return put_array(to, r, e);
    case SQN_JSON_OBJECT:
        return put_object(to, r, e);
    case SQN_JSON_STRING:
        put_string(to, t->text, t->length);
        break;
    case SQN_JSON_INTEGER:
    case SQN_JSON_FLOAT:
        put_number(to, t);
        break;
    case SQN_JSON_TRUE:
    case SQN_JSON_FALSE:
        sqn_buf_put_byte(to, t->kind == SQN_JSON_TRUE ? '1' : '0');
        break;
    default:
        sqn_buf_put_string(to, "null");
    }
    return SQN_OK;
}

/* A value that is no list and no object, as a cell of its own kind. */
static sqn_status scalar(const sqn_json_token *t, sqn_arena *a, sqn_cell *out, sqn_err *e) {
    bool digits = t->kind == SQN_JSON_FLOAT && t->text != NULL;
    *out = (sqn_cell){.kind = SQN_CELL_NULL};
    if (t->kind == SQN_JSON_STRING || digits) {
        out->kind = digits ? SQN_CELL_DECIMAL : SQN_CELL_TEXT;
        out->length = t->length;
        out->as.bytes = sqn_arena_copy(a, t->text, t->length, e);
        return out->as.bytes == NULL ? SQN_NOMEM : SQN_OK;
    }
    if (t->kind == SQN_JSON_INTEGER) {
        out->kind = SQN_CELL_INT;
        out->as.integer = t->integer;
    } else if (t->kind == SQN_JSON_FLOAT) {
        out->kind = SQN_CELL_DOUBLE;
        out->as.real = t->number;
    } else if (t->kind != SQN_JSON_NULL) {
        out->kind = SQN_CELL_BOOL;
        out->as.integer = t->kind == SQN_JSON_TRUE;
    }
    return SQN_OK;
}

sqn_status sqn_cell_python(const sqn_cell *c, sqn_arena *a, sqn_cell *out, sqn_err *e) {
    sqn_json_reader *r = NULL;
    sqn_json_token t;
    sqn_err wrong = SQN_ERR_INIT;
    sqn_buf text = {0};
    *out = *c;
    sqn_status status = sqn_json_reader_memory(&r, c->as.bytes, c->length, "a value", &wrong);
    if (status == SQN_OK) status = sqn_json_next(r, &t, &wrong);
    if (status == SQN_OK && t.kind != SQN_JSON_ARRAY && t.kind != SQN_JSON_OBJECT) {
        status = scalar(&t, a, out, &wrong);
    } else if (status == SQN_OK) {
        status = put_value(&text, r, &t, &wrong);
        if (status == SQN_OK) status = sqn_buf_status(&text, &wrong);
        const char *bytes = status == SQN_OK ? sqn_arena_copy(a, text.data, text.n, &wrong) : NULL;
        if (bytes != NULL) *out = (sqn_cell){SQN_CELL_JSON, false, text.n, {.bytes = bytes}};
        if (status == SQN_OK && bytes == NULL) status = SQN_NOMEM;
    }
    sqn_buf_release(&text);
    sqn_json_reader_close(r);
    if (status != SQN_NOMEM) return SQN_OK; /* what is no JSON stays as it is */
    if (e != NULL && e->code == SQN_OK) *e = wrong;
    return SQN_NOMEM;
}
