/* Words that cannot be a name without quotes, by dialect, in the order of their bytes. Other words
 * of the languages may be names and count as such. */
#include <ctype.h>
#include <string.h>

#include "text/sql_lexer.h"

static const char *const sqlite[] = {
    "ADD",        "ALL",     "ALTER",      "AND",         "AS",         "ASC",     "AUTOINCREMENT",
    "BETWEEN",    "BY",      "CASE",       "CAST",        "CHECK",      "COLLATE", "COMMIT",
    "CONSTRAINT", "CREATE",  "CROSS",      "DEFAULT",     "DEFERRABLE", "DELETE",  "DESC",
    "DISTINCT",   "DROP",    "ELSE",       "END",         "ESCAPE",     "EXCEPT",  "EXISTS",
    "FOREIGN",    "FROM",    "FULL",       "GROUP",       "HAVING",     "IN",      "INDEX",
    "INNER",      "INSERT",  "INTERSECT",  "INTO",        "IS",         "ISNULL",  "JOIN",
    "LEFT",       "LIKE",    "LIMIT",      "NATURAL",     "NOT",        "NOTHING", "NOTNULL",
    "NULL",       "OFFSET",  "ON",         "OR",          "ORDER",      "OUTER",   "OVER",
    "PARTITION",  "PRIMARY", "REFERENCES", "RETURNING",   "RIGHT",      "SELECT",  "SET",
    "TABLE",      "THEN",    "TO",         "TRANSACTION", "UNION",      "UNIQUE",  "UPDATE",
    "USING",      "VALUES",  "WHEN",       "WHERE",       "WITH",       NULL};
static const char *const postgresql[] = {
    "ALL",        "ANALYSE",    "ANALYZE",   "AND",        "ANY",       "ARRAY",   "AS",
    "ASC",        "ASYMMETRIC", "BETWEEN",   "BOTH",       "BY",        "CASE",    "CAST",
    "CHECK",      "COLLATE",    "COLUMN",    "CONSTRAINT", "CREATE",    "CROSS",   "DEFAULT",
    "DEFERRABLE", "DESC",       "DISTINCT",  "DO",         "ELSE",      "END",     "EXCEPT",
    "FALSE",      "FETCH",      "FOR",       "FOREIGN",    "FROM",      "FULL",    "GRANT",
    "GROUP",      "HAVING",     "ILIKE",     "IN",         "INITIALLY", "INNER",   "INTERSECT",
    "INTO",       "IS",         "ISNULL",    "JOIN",       "LATERAL",   "LEADING", "LEFT",
    "LIKE",       "LIMIT",      "NATURAL",   "NOT",        "NOTNULL",   "NULL",    "OFFSET",
    "ON",         "ONLY",       "OR",        "ORDER",      "OUTER",     "OVER",    "OVERLAPS",
    "PARTITION",  "PLACING",    "PRIMARY",   "REFERENCES", "RETURNING", "RIGHT",   "SELECT",
    "SIMILAR",    "SOME",       "SYMMETRIC", "TABLE",      "THEN",      "TO",      "TRAILING",
    "TRUE",       "UNION",      "UNIQUE",    "USING",      "VARIADIC",  "VERBOSE", "WHEN",
    "WHERE",      "WINDOW",     "WITH",      NULL};
static const char *const mysql[] = {
    "ADD",      "ALL",         "ALTER",    "ANALYZE", "AND",       "AS",         "ASC",
    "BEFORE",   "BETWEEN",     "BINARY",   "BOTH",    "BY",        "CASE",       "CAST",
    "CHANGE",   "CHECK",       "COLLATE",  "COLUMN",  "CONDITION", "CONSTRAINT", "CONVERT",
    "CREATE",   "CROSS",       "DATABASE", "DEFAULT", "DELETE",    "DESC",       "DESCRIBE",
    "DISTINCT", "DISTINCTROW", "DIV",      "DROP",    "ELSE",      "ELSEIF",     "END",
    "EXCEPT",   "EXISTS",      "EXPLAIN",  "FALSE",   "FETCH",     "FOR",        "FORCE",
    "FOREIGN",  "FROM",        "FULLTEXT", "GRANT",   "GROUP",     "GROUPING",   "HAVING",
    "IF",       "IGNORE",      "IN",       "INDEX",   "INNER",     "INSERT",     "INTERSECT",
    "INTERVAL", "INTO",        "IS",       "JOIN",    "KEY",       "KEYS",       "KILL",
    "LATERAL",  "LEADING",     "LEFT",     "LIKE",    "LIMIT",     "LINES",      "LOAD",
    "LOCK",     "MATCH",       "MOD",      "NATURAL", "NOT",       "NULL",       "ON",
    "OPTIMIZE", "OPTION",      "OR",       "ORDER",   "OUTER",     "OVER",       "PARTITION",
    "PRIMARY",  "PROCEDURE",   "RANGE",    "READ",    "RECURSIVE", "REFERENCES", "REGEXP",
    "RELEASE",  "RENAME",      "REPLACE",  "RIGHT",   "RLIKE",     "ROW",        "ROWS",
    "SCHEMA",   "SELECT",      "SET",      "SHOW",    "STARTING",  "STRAIGHT",   "TABLE",
    "THEN",     "TO",          "TRAILING", "TRUE",    "UNION",     "UNIQUE",     "UNLOCK",
    "UPDATE",   "USAGE",       "USE",      "USING",   "VALUES",    "WHEN",       "WHERE",
    "WHILE",    "WINDOW",      "WITH",     "WRITE",   "XOR",       NULL};
static const char *const cypher[] = {
    "ALL",      "AND",    "AS",     "ASC",   "ASCENDING",  "BY",       "CALL",     "CASE",
    "CONTAINS", "CREATE", "DELETE", "DESC",  "DESCENDING", "DETACH",   "DISTINCT", "ELSE",
    "END",      "ENDS",   "EXISTS", "FALSE", "FOREACH",    "IN",       "IS",       "LIMIT",
    "MATCH",    "MERGE",  "NOT",    "NULL",  "ON",         "OPTIONAL", "OR",       "ORDER",
    "REMOVE",   "RETURN", "SET",    "SKIP",  "STARTS",     "THEN",     "TRUE",     "UNION",
    "UNWIND",   "USING",  "WHEN",   "WHERE", "WITH",       "XOR",      "YIELD",    NULL};
static const char *const ngql[] = {
    "AND",       "AS",       "ASC",    "BIDIRECT", "BY",    "CASE",   "CONTAINS", "DELETE",
    "DESC",      "DISTINCT", "EDGE",   "ELSE",     "END",   "ENDS",   "FALSE",    "FETCH",
    "FIND",      "FROM",     "GET",    "GO",       "GROUP", "IN",     "INSERT",   "INTERSECT",
    "IS",        "LIMIT",    "LOOKUP", "MATCH",    "MINUS", "NOT",    "NULL",     "OFFSET",
    "ON",        "OPTIONAL", "OR",     "ORDER",    "OVER",  "PATH",   "PROP",     "RETURN",
    "REVERSELY", "SAMPLE",   "SET",    "SHORTEST", "SKIP",  "STARTS", "STEP",     "STEPS",
    "SUBGRAPH",  "THEN",     "TO",     "TRUE",     "UNION", "UNWIND", "UPDATE",   "UPSERT",
    "UPTO",      "VALUES",   "VERTEX", "WHEN",     "WHERE", "WITH",   "XOR",      "YIELD",
    NULL};

const char *const *const sqn_sql_keywords[SQN_SQL_DIALECTS] = {[SQN_SQL_SQLITE] = sqlite,
                                                               [SQN_SQL_POSTGRESQL] = postgresql,
                                                               [SQN_SQL_MYSQL] = mysql,
                                                               [SQN_SQL_CYPHER] = cypher,
                                                               [SQN_SQL_NGQL] = ngql};
static const size_t counts[SQN_SQL_DIALECTS] = {
    [SQN_SQL_SQLITE] = sizeof sqlite / sizeof *sqlite - 1,
    [SQN_SQL_POSTGRESQL] = sizeof postgresql / sizeof *postgresql - 1,
    [SQN_SQL_MYSQL] = sizeof mysql / sizeof *mysql - 1,
    [SQN_SQL_CYPHER] = sizeof cypher / sizeof *cypher - 1,
    [SQN_SQL_NGQL] = sizeof ngql / sizeof *ngql - 1};

enum { LONGEST = 16 };

bool sqn_sql_is_keyword(sqn_sql_dialect dialect, const char *word, size_t n) {
    char capitals[LONGEST + 1];
    if (n > LONGEST) return false;
    for (size_t i = 0; i < n; i++) capitals[i] = (char)toupper((unsigned char)word[i]);
    capitals[n] = '\0';
    size_t from = 0, to = counts[dialect];
    while (from < to) {
        size_t middle = (from + to) / 2;
        int order = strcmp(capitals, sqn_sql_keywords[dialect][middle]);
        if (order == 0) return true;
        if (order < 0)
            to = middle;
        else
            from = middle + 1;
    }
    return false;
}
