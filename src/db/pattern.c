/* A small backtracking matcher: see pattern.h. A pattern becomes a program of characters, forks and
 * marks; a fork remembers its second way on a stack. */
#include "db/pattern.h"

#include <string.h>

#include "core/alloc.h"
#include "db/python_text.h"

enum { CHAR, ANY, WORD, CLASS, FORK, JUMP, MARK, DONE };

typedef struct compiler {
    sqn_pattern *p;
    const char *at;
} compiler;

/* What Python's re.I takes for equal: letters of ASCII, and the four that fold onto them. */
static unsigned fold(unsigned c) {
    if (c >= 'A' && c <= 'Z') return c + 32;
    switch (c) {
    case 0x130:
    case 0x131:
        return 'i';
    case 0x17F:
        return 's';
    case 0x212A:
        return 'k';
    default:
        return c;
    }
}

static int emit(compiler *c, unsigned char kind, int a, int b) {
    SQN_ASSERT(c->p->length < SQN_PATTERN_CODE);
    c->p->code[c->p->length] = (sqn_pattern_op){.kind = kind, .a = a, .b = b};
    return c->p->length++;
}

/* Makes room for one operation at `at`. Targets are relative, so what moves stays right. */
static void insert(compiler *c, int at, unsigned char kind, int a, int b) {
    emit(c, kind, 0, 0);
    sqn_pattern_op *code = c->p->code + at;
    memmove(code + 1, code, (size_t)(c->p->length - 1 - at) * sizeof *code);
    *code = (sqn_pattern_op){.kind = kind, .a = a, .b = b};
}

static void compile_choice(compiler *c);

static void compile_atom(compiler *c) {
    char now = *c->at++;
    if (now == '(') {
        bool capture = !(c->at[0] == '?' && c->at[1] == ':');
        int group = capture ? ++c->p->groups : 0;
        SQN_ASSERT(group < SQN_PATTERN_GROUPS);
        if (capture)
            emit(c, MARK, 2 * group, 0);
        else
            c->at += 2;
        compile_choice(c);
        SQN_ASSERT(*c->at == ')');
        c->at++;
        if (capture) emit(c, MARK, 2 * group + 1, 0);
    } else if (now == '[') {
        const char *end = c->at;
        while (*end != ']') end += *end == '\\' ? 2 : 1;
        int op = emit(c, CLASS, 0, 0);
        c->p->code[op].set = c->at;
        c->p->code[op].set_length = (size_t)(end - c->at);
        c->at = end + 1;
    } else if (now == '.') {
        emit(c, ANY, 0, 0);
    } else if (now == '\\') {
        now = *c->at++;
        emit(c, now == 'w' ? WORD : CHAR, (int)fold((unsigned char)now), 0);
    } else {
        emit(c, CHAR, (int)fold((unsigned char)now), 0);
    }
}

static void compile_sequence(compiler *c) {
    while (*c->at && *c->at != '|' && *c->at != ')') {
        int start = c->p->length;
        compile_atom(c);
        char often = *c->at;
        if (often != '?' && often != '*' && often != '+') continue;
        bool lazy = *++c->at == '?';
        if (lazy) c->at++;
        int body = c->p->length - start;
        if (often == '+') { /* body; fork back to it or go on */
            emit(c, FORK, lazy ? 1 : -body, lazy ? -body : 1);
            continue;
        }
        int past = body + (often == '*' ? 2 : 1);
        insert(c, start, FORK, lazy ? past : 1, lazy ? 1 : past);
        if (often == '*') emit(c, JUMP, -(body + 1), 0);
    }
}

static void compile_choice(compiler *c) {
    int start = c->p->length;
    compile_sequence(c);
    if (*c->at != '|') return;
    c->at++;
    int first = c->p->length - start;
    insert(c, start, FORK, 1, first + 2);
    int jump = emit(c, JUMP, 0, 0);
    compile_choice(c);
    c->p->code[jump].a = c->p->length - jump;
}

void sqn_pattern_compile(sqn_pattern *p, const char *source) {
    compiler c = {p, source};
    p->length = p->groups = 0;
    emit(&c, MARK, 0, 0);
    compile_choice(&c);
    SQN_ASSERT(*c.at == '\0');
    emit(&c, MARK, 1, 0);
    emit(&c, DONE, 0, 0);
}

static bool in_class(const sqn_pattern_op *op, unsigned c) {
    c = fold(c);
    for (size_t i = 0; i < op->set_length; i++) {
        unsigned first = (unsigned char)op->set[i];
        if (first == '\\') first = (unsigned char)op->set[++i];
        unsigned last = first;
        if (i + 2 < op->set_length && op->set[i + 1] == '-') {
            last = (unsigned char)op->set[i + 2];
            i += 2;
        }
        if (c >= first && c <= last) return true;
    }
    return false;
}

/* A way not taken yet, or a mark to be set back on the way to it. */
typedef struct pending {
    int pc, slot; /* slot < 0: a way */
    size_t at;
} pending;

typedef struct machine {
    const sqn_pattern *p;
    const char *text;
    size_t n;
    size_t marks[2 * SQN_PATTERN_GROUPS];
    pending *stack; /* owned */
    size_t depth, room;
    long *steps;
} machine;

static sqn_status push(machine *m, pending item, sqn_err *e) {
    if (m->depth == m->room) {
        size_t room = m->room ? 2 * m->room : 64;
        pending *grown = sqn_realloc(m->stack, room * sizeof *grown, e);
        if (grown == NULL) return SQN_NOMEM;
        m->stack = grown;
        m->room = room;
    }
    m->stack[m->depth++] = item;
    return SQN_OK;
}

static bool takes(const sqn_pattern_op *op, unsigned c) {
    switch (op->kind) {
    case CHAR:
        return fold(c) == (unsigned)op->a;
    case ANY:
        return c != '\n';
    case WORD:
        return sqn_python_is_word(c);
    default:
        return in_class(op, c);
    }
}

/* Tries the program at one place. */
static sqn_status run(machine *m, size_t at, bool *found, sqn_err *e) {
    int pc = 0;
    *found = false;
    m->depth = 0;
    for (size_t i = 0; i < 2 * SQN_PATTERN_GROUPS; i++) m->marks[i] = SQN_PATTERN_NONE;
    while (--*m->steps > 0) {
        const sqn_pattern_op *op = &m->p->code[pc];
        bool dead = false;
        switch (op->kind) {
        case DONE:
            *found = true;
            return SQN_OK;
        case JUMP:
            pc += op->a;
            break;
        case FORK:
            SQN_TRY(push(m, (pending){pc + op->b, -1, at}, e));
            pc += op->a;
            break;
        case MARK:
            SQN_TRY(push(m, (pending){0, op->a, m->marks[op->a]}, e));
            m->marks[op->a] = at;
            pc++;
            break;
        default: {
            unsigned c;
            size_t length = at < m->n ? sqn_python_decode(m->text + at, m->n - at, &c) : 0;
            dead = length == 0 || !takes(op, c);
            at += length;
            pc++;
        }
        }
        while (dead && m->depth > 0) {
            pending back = m->stack[--m->depth];
            if (back.slot >= 0) {
                m->marks[back.slot] = back.at;
                continue;
            }
            pc = back.pc;
            at = back.at;
            dead = false;
        }
        if (dead) return SQN_OK;
    }
    return SQN_OK;
}

sqn_status sqn_pattern_find(const sqn_pattern *p, const char *text, size_t n, size_t from,
                            sqn_span groups[SQN_PATTERN_GROUPS], long *steps, bool *found,
                            sqn_err *e) {
    machine m = {.p = p, .text = text, .n = n, .steps = steps};
    sqn_status status = SQN_OK;
    *found = false;
    for (size_t at = from; at<n && * steps> 0 && !*found && status == SQN_OK; at++)
        if (((unsigned char)text[at] & 0xC0) != 0x80) status = run(&m, at, found, e);
    if (*found)
        for (int i = 0; i < SQN_PATTERN_GROUPS; i++)
            groups[i] = (sqn_span){m.marks[2 * i], m.marks[2 * i + 1]};
    sqn_free(m.stack);
    return status;
}
