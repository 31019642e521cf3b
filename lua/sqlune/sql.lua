-- A lexer for SQL that never fails: every byte of the text is in exactly one token, whatever the text is.
--
-- Dialects differ in a few tokens only: sqlite (default), postgresql, mysql, and the graph languages cypher and ngql.
-- What stands on the tokens: the names that a statement uses, squeezing a statement into one line, taking a statement
-- out of a model's answer.
local lpeg = require "lpeg"
local keywords = require "sqlune.sql.keywords"

local P, R, S, C, Cb, Cc, Cg, Cmt, Cp, Ct, V =
  lpeg.P, lpeg.R, lpeg.S, lpeg.C, lpeg.Cb, lpeg.Cc, lpeg.Cg, lpeg.Cmt, lpeg.Cp, lpeg.Ct, lpeg.V

local M = {}

---@class sqlune.sql.Token
---@field kind string    space comment string blob number keyword name quoted parameter operator unknown
---@field text string    as written
---@field value string   a string's or quoted name's contents; else the text
---@field start integer  first byte, from 1
---@field stop integer   last byte

---Text between two marks; inside, the closing mark is written twice. An unclosed one reaches the end of the text.
local function between(open, close, escape)
  local inner = P(close .. close) + (1 - P(close))
  if escape then inner = P "\\" * P(1) + inner end
  return P(open) * inner ^ 0 * P(close) ^ -1
end

local digit, hex = R "09", R("09", "af", "AF")
local letter = R("az", "AZ", "\128\255") + P "_"
local word = letter * (letter + digit + P "$") ^ 0
local exponent = S "eE" * S "+-" ^ -1 * digit ^ 1
local number = P "0" * S "xX" * hex ^ 1 + (digit ^ 1 * (P "." * digit ^ 0) ^ -1 + P "." * digit ^ 1) * exponent ^ -1
local line_end = (1 - S "\r\n") ^ 0
local block = P "/*" * (1 - P "*/") ^ 0 * P "*/" ^ -1
local nested = P { "/*" * (V(1) + (1 - P "*/" - P "/*")) ^ 0 * P "*/" ^ -1 }
local operators = P "->>" + "||" + "<<" + ">>" + "<=>" + "<=" + ">=" + "<>" + "!=" + "==" + "->" + "::" + ":=" + "&&"
  + "!~*" + "!~" + "~*" + "@>" + "<@" + S "+-*/%<>=&|~!^(),;.[]{}:?@#"
local parameter = P "?" * digit ^ 1 + S ":@" * word + P "$" * (word + digit ^ 1)
-- PostgreSQL: $tag$ text $tag$
local tag = (letter * (letter + digit) ^ 0) ^ -1
local same_tag = Cmt(C(tag) * Cb "tag", function(_, at, seen, opened) return seen == opened and at end)
local dollar_text = P "$" * Cg(tag, "tag") * "$" * (1 - P "$" * same_tag * "$") ^ 0 * (P "$" * tag * "$") ^ -1

local function token(kind, pattern) return Cp() * Cc(kind) * pattern end

---A text as a flat list: first byte and kind of each token, at the end the byte behind the last.
local function grammar(parts)
  local one = token("space", S " \t\r\n\f\v" ^ 1) + token("comment", parts.comment)
    + token("string", parts.string) + token("blob", S "xX" * between("'", "'"))
    + token("quoted", parts.quoted) + token("number", parts.number or number) + token("name", word)
    + token("parameter", parts.parameter or parameter) + token("operator", operators) + token("unknown", P(1))
  return Ct(one ^ 0 * Cp())
end

local line_comment = P "--" * line_end
local GRAMMARS = {
  sqlite = grammar {
    comment = line_comment + block, string = between("'", "'"),
    quoted = between('"', '"') + between("`", "`") + P "[" * (1 - P "]") ^ 0 * P "]" ^ -1,
  },
  postgresql = grammar {
    comment = line_comment + nested, string = S "eE" * between("'", "'", true) + between("'", "'") + dollar_text,
    quoted = between('"', '"'),
  },
  mysql = grammar {
    comment = P "--" * (#S " \t\r\n" + -P(1)) * line_end + "#" * line_end + -(P "/*" * S "!+") * block,
    string = between("'", "'", true) + between('"', '"', true) + block, -- /*! … */ and hints are not comments: kept
    quoted = between("`", "`"),
  },
}
GRAMMARS.postgres = GRAMMARS.postgresql
local either_string = between("'", "'", true) + between('"', '"', true)
local plain_number = P "0" * S "xX" * hex ^ 1 + digit ^ 1 * (P "." * digit ^ 1) ^ -1 * exponent ^ -1 -- 1..3 is a range
GRAMMARS.cypher = grammar {
  comment = P "//" * line_end + block, string = either_string, quoted = between("`", "`"), number = plain_number,
  parameter = P "$" * (word + digit ^ 1),
}
GRAMMARS.ngql = grammar { -- "(a)--(b)" is a pattern, "-- text" a comment
  comment = P "//" * line_end + "#" * line_end + P "--" * (#S " \t\r\n" + -P(1)) * line_end + block,
  string = either_string, quoted = between("`", "`"), number = plain_number, parameter = P "$" * (S "-$^" + word),
}

local function contents(kind, text)
  if kind ~= "string" and kind ~= "quoted" then return text end
  local open = text:match "^[eE]?(['\"`%[])"
  if open == nil then return (text:gsub("^%$[%w_]*%$", ""):gsub("%$[%w_]*%$$", "")) end
  local from = text:find(open, 1, true) + 1
  local close = open == "[" and "]" or open
  local to = #text >= from and text:sub(-1) == close and #text - 1 or #text
  local inner = text:sub(from, to)
  if open == "[" then return inner end
  return (inner:gsub(open .. open, open))
end

-- Scanning -----------------------------------------------------------------------------------------------------------

local DOT <const> = 46
local REMEMBERED <const> = 20000 -- words whose capitals are remembered

local capitals, remembered = {}, 0

---The capitals of a word; statements have few different ones.
local function upper(text)
  local known = capitals[text]
  if known then return known end
  if remembered == REMEMBERED then capitals, remembered = {}, 0 end
  known, remembered = text:upper(), remembered + 1
  capitals[text] = known
  return known
end

---@class sqlune.sql.Scan
---@field flat any[]       first byte and kind of each token, at the end the byte behind the last
---@field kinds string[]   of the tokens that mean something
---@field texts string[]
---@field plain boolean    blanks are single, there is no comment

---What a text is made of, without a table for every token.
local function read_scan(text, dialect)
  local pattern = GRAMMARS[dialect] or error("no SQL dialect '" .. tostring(dialect) .. "'", 4)
  local words = keywords[dialect == "postgres" and "postgresql" or dialect]
  local flat, kinds, texts, n, plain = pattern:match(text), {}, {}, 0, true
  for i = 1, #flat - 1, 2 do
    local start, kind, stop = flat[i], flat[i + 1], flat[i + 2] - 1
    if kind == "comment" then
      plain = false
    elseif kind == "space" then
      plain = plain and start == stop and text:byte(start) == 32
    else
      local piece = text:sub(start, stop)
      if kind == "name" and words[upper(piece)] then -- a word beside a dot is a name: T2.end
        local before = text:byte(start - 1) == DOT and flat[i - 2] == start - 1
        local after = text:byte(stop + 1) == DOT and flat[i + 4] == stop + 2
        kind = (before or after) and "name" or "keyword"
        flat[i + 1] = kind
      end
      n = n + 1
      kinds[n], texts[n] = kind, piece
    end
  end
  return { flat = flat, kinds = kinds, texts = texts, plain = plain }
end

local last_text, last_dialect, last_scan

---The text that was scanned last is kept: one statement is looked at in several ways.
local function scan(text, dialect)
  dialect = dialect or "sqlite"
  if text ~= last_text or dialect ~= last_dialect then
    last_scan = read_scan(text, dialect)
    last_text, last_dialect = text, dialect
  end
  return last_scan
end

---The tokens of a text, blanks and comments too: their texts joined are the text.
---@param text string
---@param dialect? string  sqlite (default), postgresql, mysql, cypher, ngql
---@return sqlune.sql.Token[]
function M.tokens(text, dialect)
  local flat, list = scan(text, dialect).flat, {}
  for i = 1, #flat - 1, 2 do
    local start, kind, stop = flat[i], flat[i + 1], flat[i + 2] - 1
    local piece = text:sub(start, stop)
    list[#list + 1] = { kind = kind, text = piece, value = contents(kind, piece), start = start, stop = stop }
  end
  return list
end

---The tokens that mean something: no blanks, no comments.
---@param text string
---@param dialect? string
---@return sqlune.sql.Token[]
function M.significant(text, dialect)
  local list = {}
  for _, one in ipairs(M.tokens(text, dialect)) do
    if one.kind ~= "space" and one.kind ~= "comment" then list[#list + 1] = one end
  end
  return list
end

---SQLite takes '…' for a name beside a dot and after FROM, JOIN, AS.
local function string_is_name(texts, i)
  if texts[i + 1] == "." or texts[i - 1] == "." then return true end
  local lead = texts[i - 1] and upper(texts[i - 1])
  return lead == "FROM" or lead == "JOIN" or lead == "AS"
end

---The names in a statement, lower-cased, quotes removed: {customer = true, ["free meal count (k-12)"] = true}. String
---literals do not count; what SQLite may read as a name ("…", and '…' in a name's place) does.
---@param text string
---@param dialect? string
---@return table<string, boolean>
function M.identifiers(text, dialect)
  local set, is_sqlite = {}, (dialect or "sqlite") == "sqlite"
  local known = scan(text, dialect)
  local kinds, texts = known.kinds, known.texts
  for i = 1, #kinds do
    local kind = kinds[i]
    if kind == "name" then
      set[texts[i]:lower()] = true
    elseif kind == "quoted" or kind == "string" and is_sqlite and string_is_name(texts, i) then
      set[contents(kind, texts[i]):lower()] = true
    end
  end
  return set
end

---Whether a statement reads columns that it does not name: SELECT *, t.*, NATURAL JOIN. count(*) does not.
---@param text string
---@param dialect? string
---@return boolean
function M.reads_unnamed(text, dialect)
  local known = scan(text, dialect)
  local kinds, texts = known.kinds, known.texts
  for i = 1, #kinds do
    if texts[i] == "*" and i > 1 then
      local lead = upper(texts[i - 1])
      if lead == "SELECT" or lead == "DISTINCT" or lead == "ALL" or lead == "," or lead == "." then return true end
    end
    if kinds[i] == "keyword" and upper(texts[i]) == "NATURAL" then return true end
  end
  return false
end

---A statement on one line: runs of blanks and comments become one blank; literals and quoted names stay byte for byte.
---@param text string
---@param dialect? string
---@return string
function M.squeeze(text, dialect)
  local known, parts = scan(text, dialect), {}
  local flat = known.flat
  if known.plain then
    local ends_blank = flat[#flat - 1] == "space"
    return text:sub(flat[2] == "space" and 2 or 1, ends_blank and -2 or -1)
  end
  for i = 1, #flat - 1, 2 do
    local kind = flat[i + 1]
    if kind ~= "space" and kind ~= "comment" then
      parts[#parts + 1] = text:sub(flat[i], flat[i + 2] - 1)
    elseif #parts > 0 and parts[#parts] ~= " " then
      parts[#parts + 1] = " "
    end
  end
  if parts[#parts] == " " then parts[#parts] = nil end
  return table.concat(parts)
end

---A text without the blanks around it.
local function stripped(text)
  local first = text:find "%S"
  return first and text:match(".*%S", first) or ""
end

---The statement in a model's answer: the last fenced block (```sql, ```sqlite, ```SQL, ``` …), else the text up to a
---lone closing fence; blanks around it removed.
---@param text string
---@return string
function M.unfence(text)
  if not text:find("```", 1, true) then return stripped(text) end
  local last
  for body in (text .. "\n"):gmatch "```[%a%d]*[ \t]*\r?\n(.-)\n?%f[`\0]```" do last = body end
  if not last then
    local before, after = text:match "^(.-)```[%a%d]*(.*)$"
    if before and before:find "%S" then
      last = before -- the prompt ended with the opening fence: this is the closing one
    else
      last = after and after:gsub("```.*$", "") or text
    end
  end
  return stripped(last)
end

return M
