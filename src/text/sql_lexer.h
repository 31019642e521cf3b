/* A lexer for SQL that never fails: every byte of a text is in exactly one token, whatever it is.
 *
 * Rules: dialects differ in a few tokens only; what is not closed reaches the end of the text; a
 * keyword is a word that cannot be a name without quotes, and a word beside a dot is a name
 * (T2.end). Nothing is allocated.
 */
#ifndef SQN_TEXT_SQL_LEXER_H
#define SQN_TEXT_SQL_LEXER_H

#include <stdbool.h>
#include <stddef.h>

typedef enum sqn_sql_dialect {
    SQN_SQL_SQLITE,
    SQN_SQL_POSTGRESQL,
    SQN_SQL_MYSQL,
    SQN_SQL_CYPHER,
    SQN_SQL_NGQL,
    SQN_SQL_DIALECTS
} sqn_sql_dialect;

typedef enum sqn_sql_kind {
    SQN_SQL_SPACE,
    SQN_SQL_COMMENT,
    SQN_SQL_STRING,
    SQN_SQL_BLOB,
    SQN_SQL_NUMBER,
    SQN_SQL_KEYWORD,
    SQN_SQL_NAME,
    SQN_SQL_QUOTED, /* a name in quotes */
    SQN_SQL_PARAMETER,
    SQN_SQL_OPERATOR,
    SQN_SQL_UNKNOWN,
    SQN_SQL_KINDS
} sqn_sql_kind;

typedef struct sqn_sql_token {
    sqn_sql_kind kind;
    const char *at; /* borrowed from the text */
    size_t n;
} sqn_sql_token;

typedef struct sqn_sql_lexer {
    sqn_sql_dialect dialect;
    const char *at, *end; /* borrowed; at: where the next token begins */
    sqn_sql_token last;   /* the token before; at NULL: none */
} sqn_sql_lexer;

extern const char *const sqn_sql_kind_names[SQN_SQL_KINDS];

/* "sqlite", "postgresql" (or "postgres"), "mysql", "cypher", "ngql". */
bool sqn_sql_dialect_named(const char *name, sqn_sql_dialect *out);
sqn_sql_lexer sqn_sql_lexer_start(sqn_sql_dialect dialect, const char *text, size_t n);
bool sqn_sql_next(sqn_sql_lexer *l, sqn_sql_token *out); /* false at the end */
/* The next one that is neither blanks nor a comment; *gap: there were some before it. */
bool sqn_sql_next_significant(sqn_sql_lexer *l, sqn_sql_token *out, bool *gap);
/* Is it this word (capitals) in any case? */
bool sqn_sql_is(const sqn_sql_token *t, const char *word);
/* A string's or quoted name's contents, else the text, into `out` (room for t->n bytes). */
size_t sqn_sql_value(const sqn_sql_token *t, char *out);

/* Words that cannot be a name without quotes, in order; NULL ends them. */
extern const char *const *const sqn_sql_keywords[SQN_SQL_DIALECTS];
bool sqn_sql_is_keyword(sqn_sql_dialect dialect, const char *word, size_t n);

#endif
