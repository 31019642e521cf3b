-- Words that cannot be a name without quotes, by dialect, as sets of capitals (src/text/sql_keywords.c has them).
local lexer = require "sqlune.core".lexer

local M = {}

for _, dialect in ipairs { "sqlite", "postgresql", "mysql", "cypher", "ngql" } do
  M[dialect] = lexer.keywords(dialect)
end

return M
