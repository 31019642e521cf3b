-- From what a model answered to the statement that runs: our rule and those of published evaluators, by name.
--
-- Rules: each function takes the raw text and gives a text, whatever the text is; where the original raises it gives
-- nil and the exception's name. `sqlune` is what `sqlune eval` does; the others repeat what others' numbers stand on.
local sql = require "sqlune.sql"

local M = {}

---@alias sqlune.evaluate.Postprocess fun(raw: string, db_name?: string): string?, string?

local MARK = "\t----- bird -----\t"

local function strip(text)
  return (text:gsub("^%s+", ""):gsub("%s+$", ""))
end

---Pieces of a text between plain separators, as Python's split gives them.
local function split(text, separator)
  local parts, at = {}, 1
  while true do
    local first, last = text:find(separator, at, true)
    parts[#parts + 1] = text:sub(at, (first or 0) - 1)
    if not first then return parts end
    at = last + 1
  end
end

---The first or last n characters (code points).
local function head(text, n) return text:sub(1, (utf8.offset(text, n + 1) or #text + 1) - 1) end
local function tail(text, n) return text:sub(utf8.offset(text, -n) or 1) end

---What `sqlune eval` runs: the last fenced block, else the text, blanks around it removed.
M.sqlune = function(raw) return sql.unfence(raw) end

---The text as it is: how XiYan's evaluator calls its function, fences reach the database.
M.none = function(raw) return raw end
M.xiyan_eval = M.none

---XiYan's function with its post_process=True, which its evaluator never sets.
M.xiyan_extract = function(raw)
  local text, last = raw, nil
  for body in raw:gmatch "```sql(.-)```" do last = body end
  if last then text = strip(last) end
  if head(text, 5):find("```", 1, true) then
    local parts = split(text, "```")
    text = parts[#parts]
  end
  if tail(text, 5):find("```", 1, true) then text = split(text, "```")[1] end
  return text
end

---BIRD's reader of a predictions file; a prediction that is no text becomes one blank.
M.bird_file = function(raw)
  if type(raw) ~= "string" then return " " end
  local parts = split(raw, MARK)
  return #parts == 2 and parts[1] or strip(raw)
end

---What BIRD's requests write into the predictions file.
M.bird_request = function(raw, db_name) return raw .. MARK .. (db_name or "") end

---A pattern for a word in any case.
local function any_case(word)
  return (word:gsub("%a", function(c) return "[" .. c:lower() .. c:upper() .. "]" end))
end

local INFER = {}
for i, tag in ipairs { "sqlite", "sql", "mysql", "postgresql" } do
  INFER[i] = "```%s*" .. any_case(tag) .. "(.-)```"
end

---BIRD's inference: the first ```sqlite, else ```sql, mysql, postgresql block; else the text without fences.
M.bird_infer = function(raw)
  for _, pattern in ipairs(INFER) do
    local body = raw:match(pattern)
    if body then return strip(body) end
  end
  return (raw:gsub("```sql", ""):gsub("```", ""))
end

---LiveBIRD's: one text out of which the list of statements is cut.
M.bird_live = function(raw)
  local body = raw:match "```sqlite\n(.-)\n```" or raw:match "^(.-)```" or raw:match "`([^\n]-)`"
    or raw:match(any_case "select" .. ".-;")
  return body and strip(body) or ""
end

---@param raw string
---@return string[] statements
M.bird_live_list = function(raw)
  local list = {}
  for _, part in ipairs(split(M.bird_live(raw), ";")) do
    part = strip(part)
    if part ~= "" then list[#list + 1] = part .. ";" end
  end
  return list
end

local YEAR = ("%s%%s*%%(%%s*%s%%s*%%(%%s*%%)%%s*%%)%%s*"):format(any_case "year", any_case "curdate")

---The test-suite evaluator with --keep_distinct: `> =` loses its blank everywhere, YEAR(CURDATE()) becomes 2020.
M.testsuite_keep_distinct = function(raw)
  return (raw:gsub("> =", ">="):gsub("< =", "<="):gsub("! =", "!="):gsub(YEAR, "2020"))
end

---The first statement as sqlparse splits: blanks and line comments behind its semicolon belong to it.
local function first_statement(list)
  local kept, depth, ended = {}, 0, false
  for _, token in ipairs(list) do
    local text = token.text
    if ended and text == "\u{A0}" then
      kept[#kept + 1] = token -- a blank of Python's
    elseif ended and token.kind == "space" then
      local line = text:find "[\r\n]"
      kept[#kept + 1] = { kind = "space", text = text:sub(1, (line or #text + 1) - 1) }
      if line then break end
    elseif ended and not (token.kind == "comment" and text:find "^%-%-") then
      break
    else
      kept[#kept + 1] = token
      if text == "(" then depth = depth + 1 end
      if text == ")" then depth = depth - 1 end
      ended = ended or text == ";" and depth <= 0
    end
  end
  return kept
end

---The test-suite evaluator's default: besides, only the first statement stays, and every DISTINCT is removed.
M.testsuite = function(raw)
  if not raw:find "%S" then return nil, "IndexError" end
  local parts = {}
  for _, token in ipairs(first_statement(sql.tokens(raw))) do
    if token.text:lower() ~= "distinct" then parts[#parts + 1] = token.text end
  end
  return M.testsuite_keep_distinct(table.concat(parts))
end

return M
