/* Values as bytes: see pack.h. */
#include "db/pack.h"

#include <string.h>

void sqn_pack_int(sqn_buf *to, int64_t v) { sqn_buf_put(to, (const char *)&v, sizeof v); }

void sqn_pack_double(sqn_buf *to, double v) { sqn_buf_put(to, (const char *)&v, sizeof v); }

void sqn_pack_bytes(sqn_buf *to, const char *s, size_t n) {
    sqn_pack_int(to, (int64_t)n);
    sqn_buf_put(to, s, n);
    sqn_buf_put_byte(to, '\0');
}

void sqn_pack_string(sqn_buf *to, const char *s) {
    if (s == NULL)
        sqn_pack_int(to, -1);
    else
        sqn_pack_bytes(to, s, strlen(s));
}

void sqn_pack_cell(sqn_buf *to, const sqn_cell *c) {
    sqn_buf_put_byte(to, (char)(c->kind | (c->bad_utf8 ? 0x40 : 0)));
    if (sqn_cell_has_bytes(c))
        sqn_pack_bytes(to, c->as.bytes, c->length);
    else if (c->kind != SQN_CELL_NULL)
        sqn_pack_int(to, c->as.integer); /* the bits of a double too */
}

static const char *take(sqn_unpack *u, size_t n) {
    if (u->failed || (size_t)(u->end - u->at) < n) {
        u->failed = true;
        return NULL;
    }
    const char *at = u->at;
    u->at += n;
    return at;
}

int64_t sqn_unpack_int(sqn_unpack *u) {
    int64_t v = 0;
    const char *at = take(u, sizeof v);
    if (at) memcpy(&v, at, sizeof v);
    return v;
}

double sqn_unpack_double(sqn_unpack *u) {
    double v = 0;
    const char *at = take(u, sizeof v);
    if (at) memcpy(&v, at, sizeof v);
    return v;
}

const char *sqn_unpack_bytes(sqn_unpack *u, size_t *n) {
    int64_t length = sqn_unpack_int(u);
    *n = 0;
    if (length == -1) return NULL;
    if (length < 0 || length >= u->end - u->at) u->failed = true;
    const char *at = u->failed ? NULL : take(u, (size_t)length + 1);
    if (at == NULL || at[length] != '\0') {
        u->failed = true;
        return "";
    }
    *n = (size_t)length;
    return at;
}

const char *sqn_unpack_string(sqn_unpack *u) {
    size_t n;
    return sqn_unpack_bytes(u, &n);
}

void sqn_unpack_cell(sqn_unpack *u, sqn_cell *c) {
    const char *kind = take(u, 1);
    *c = (sqn_cell){.kind = SQN_CELL_NULL};
    if (kind == NULL) return;
    c->kind = (sqn_cell_kind)(*kind & 0x3f);
    c->bad_utf8 = (*kind & 0x40) != 0;
    if (c->kind >= SQN_CELL_KIND_COUNT) {
        u->failed = true;
        c->kind = SQN_CELL_NULL;
    } else if (sqn_cell_has_bytes(c)) {
        c->as.bytes = sqn_unpack_bytes(u, &c->length);
        if (c->as.bytes == NULL) u->failed = true;
    } else if (c->kind != SQN_CELL_NULL) {
        c->as.integer = sqn_unpack_int(u);
    }
}

int64_t sqn_unpack_count(sqn_unpack *u, size_t least) {
    int64_t count = sqn_unpack_int(u);
    if (count < 0 || (least > 0 && count > (u->end - u->at) / (int64_t)least)) u->failed = true;
    return u->failed ? 0 : count;
}

void sqn_pack_result(sqn_buf *to, const sqn_result *r) {
    size_t cells = (size_t)r->rows * (size_t)r->columns;
    sqn_pack_double(to, r->seconds);
    sqn_pack_int(to, r->columns);
    for (int i = 0; i < r->columns; i++) sqn_pack_string(to, r->names[i]);
    sqn_pack_int(to, r->rows);
    for (size_t i = 0; i < cells; i++) sqn_pack_cell(to, &r->cells[i]);
}

static sqn_status take_names(sqn_unpack *u, sqn_result *r, sqn_err *e) {
    r->columns = (int)sqn_unpack_count(u, sizeof(int64_t));
    r->names = sqn_calloc((size_t)r->columns, sizeof *r->names, e);
    if (r->names == NULL) return SQN_NOMEM;
    for (int i = 0; i < r->columns; i++) {
        size_t n;
        const char *name = sqn_unpack_bytes(u, &n);
        r->names[i] = sqn_arena_copy(&r->bytes, name ? name : "", n, e);
        if (r->names[i] == NULL) return SQN_NOMEM;
    }
    return SQN_OK;
}

static sqn_status take_cells(sqn_unpack *u, sqn_result *r, sqn_err *e) {
    r->rows = sqn_unpack_count(u, (size_t)r->columns);
    size_t cells = (size_t)r->rows * (size_t)r->columns;
    r->cells = sqn_calloc(cells, sizeof *r->cells, e);
    if (r->cells == NULL) return SQN_NOMEM;
    for (size_t i = 0; i < cells && !u->failed; i++) {
        sqn_cell *c = &r->cells[i];
        sqn_unpack_cell(u, c);
        if (u->failed || !sqn_cell_has_bytes(c)) continue;
        c->as.bytes = sqn_arena_copy(&r->bytes, c->as.bytes, c->length, e);
        if (c->as.bytes == NULL) return SQN_NOMEM;
    }
    return SQN_OK;
}

sqn_status sqn_unpack_result(sqn_unpack *u, sqn_result **out, sqn_err *e) {
    sqn_status status;
    sqn_result *r = sqn_calloc(1, sizeof *r, e);
    if (r == NULL) return SQN_NOMEM;
    r->seconds = sqn_unpack_double(u);
    SQN_GOTO(take_names(u, r, e));
    SQN_GOTO(take_cells(u, r, e));
    if (u->failed) SQN_GOTO(SQN_FAIL(e, SQN_FORMAT, "these bytes are no result"));
    *out = r;
    return SQN_OK;
fail:
    sqn_result_release(r);
    return status;
}
