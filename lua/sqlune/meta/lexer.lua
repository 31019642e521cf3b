---@meta

---The tokens of SQL statements. `sq.sql` stands on this and is what the library uses. Dialects: sqlite (default),
---postgresql or postgres, mysql, cypher, ngql; another one raises.
---@class sqlune.lexer
local lexer = {}

---The tokens of a text, blanks and comments too: their texts joined are the text.
---@param text string
---@param dialect? string
---@return sqlune.sql.Token[]
function lexer.tokens(text, dialect) end

---The names in a statement as a set, lower-cased, quotes removed.
---@param text string
---@param dialect? string
---@return table<string, boolean>
function lexer.identifiers(text, dialect) end

---Whether a statement reads columns that it does not name: SELECT *, t.*, NATURAL JOIN.
---@param text string
---@param dialect? string
---@return boolean
function lexer.reads_unnamed(text, dialect) end

---A statement on one line: runs of blanks and comments become one blank.
---@param text string
---@param dialect? string
---@return string
function lexer.squeeze(text, dialect) end

---The words of a dialect that cannot be a name without quotes, as a set of capitals.
---@param dialect? string
---@return table<string, boolean>
function lexer.keywords(dialect) end

return lexer
