-- Rename: tables and columns get other names, in the schema and in every statement together.
--
-- Rules: a name is renamed wherever it stands or nowhere: the same old name has one new name in all tables, so that
-- joins by USING and NATURAL stay what they were. Statements change by tokens: literals, aliases and functions keep
-- their texts, a quoted name keeps its quotes. Where a name could mean something else as well (an alias, a table and
-- a column, a literal), nothing is renamed. New names need no quotes, stand nowhere else and are no words of the
-- language.
local keywords = require "sqlune.sql.keywords"
local random = require "sqlune.random"
local sql = require "sqlune.sql"

local VARIANTS, APPLY, SHARE <const> = 4, 0.5, 0.6 -- renamings of a database; samples renamed; names of one

local M = {}

---@class sqlune.augment.Renaming
---@field tables table<string, string>   old name in lower case to new name
---@field columns table<string, string>

-- New names -----------------------------------------------------------------------------------------------------------

---The words of a name: customerName, customer_name and "Customer name" are {"customer", "name"}.
local function words_of(name)
  local list = {}
  local spaced = name:gsub("(%l)(%u)", "%1 %2"):gsub("[^%w]+", " ")
  for word in spaced:gmatch "%S+" do list[#list + 1] = word:lower() end
  return list
end

local function capital(word) return word:sub(1, 1):upper() .. word:sub(2) end

---"customer" as "cstmr".
local function shortened(word)
  if #word < 5 then return word end
  return word:sub(1, 1) .. word:sub(2):gsub("[aeiou]", "")
end

local function each(words, change, between)
  local list = {}
  for i, word in ipairs(words) do list[i] = change(word, i) end
  return table.concat(list, between)
end

local function same(word) return word end

-- Each style makes a name of words. Those with capitals are not for PostgreSQL, which folds names without quotes.
local STYLES = {
  function(words) return each(words, same, "_") end,
  function(words) return each(words, shortened, "_") end,
  function(words) return each(words, function(word, i) return i > 1 and capital(word) or word end, "") end,
  function(words) return each(words, capital, "") end,
  function(words) return each(words, string.upper, "_") end,
}
local FOLDED <const> = 2 -- styles without capitals

local AFFIXES = {
  tables = { { "", "_info" }, { "t_", "" }, { "tbl_", "" }, { "", "_data" }, { "", "_list" } },
  columns = { { "", "_value" }, { "f_", "" }, { "col_", "" }, { "", "_field" }, { "the_", "" } },
}

---A new name for an old one, or nil if none fits.
local function new_name(old, style, affixes, taken, words, rng)
  local parts = words_of(old)
  if #parts == 0 or parts[1]:find "^%d" then return nil end
  local name = style(parts)
  local start = rng:integer(#affixes)
  for i = 0, #affixes do
    local affix = i > 0 and affixes[(start + i) % #affixes + 1] or { "", "" }
    local new = affix[1] .. name .. affix[2]
    local lower = new:lower()
    if new:find "^[%a_][%w_]*$" and lower ~= old:lower() and not taken[lower] and not words[new:upper()] then
      taken[lower] = true
      return new
    end
  end
end

---Whether a column's name is the text before its type: "(a:b:TEXT" may be a column "a:b".
local function is_plain(column)
  local head = column.line:match "^%(([^,)]*)"
  return head ~= nil and head:sub(1, #column.name + 1) == column.name .. ":"
    and not head:find(":", #column.name + 2, true)
end

---Names of the schema in lower case: which are tables, which are columns, and those that cannot be renamed. PostgreSQL
---tells "Note" from note: one new name for both could mean two columns where each meant one.
local function names_in(schema, dialect)
  local tables, columns, odd, order, spelled = {}, {}, {}, { tables = {}, columns = {} }, {}
  local function see(name)
    local lower = name:lower()
    if dialect == "postgresql" and (spelled[lower] or name) ~= name then odd[lower] = true end
    spelled[lower] = name
  end
  for _, one in ipairs(schema.tables) do
    local lower = one.name:lower()
    if tables[lower] or one.name:find "[.:]" or one.key:sub(1, #one.name) ~= one.name then odd[lower] = true end
    tables[lower] = true
    order.tables[#order.tables + 1] = one.name
    see(one.name)
    for _, column in ipairs(one.columns) do
      local name = column.name:lower()
      see(column.name)
      if not columns[name] then order.columns[#order.columns + 1] = column.name end
      columns[name] = true
      if not is_plain(column) then odd[name] = true end
    end
  end
  for name in pairs(tables) do if columns[name] then odd[name] = true end end
  return tables, columns, odd, order
end

---Draws a renaming for a schema.
---@param schema sqlune.augment.Schema
---@param rng sqlune.random.Stream
---@param o { tables?: boolean, columns?: boolean, dialect?: string }
---@return sqlune.augment.Renaming
function M.draw(schema, rng, o)
  local dialect = o.dialect == "postgres" and "postgresql" or o.dialect or "sqlite"
  local tables, columns, odd, order = names_in(schema, dialect)
  local taken, words = {}, keywords[dialect] or keywords.sqlite
  for _, set in ipairs { tables, columns } do for name in pairs(set) do taken[name] = true end end
  local out = { tables = {}, columns = {} }
  for _, kind in ipairs { "tables", "columns" } do
    local style = STYLES[rng:integer(dialect == "postgresql" and FOLDED or #STYLES)]
    for _, name in ipairs(order[kind]) do
      local wanted = rng:uniform() < SHARE
      if o[kind] and wanted and not odd[name:lower()] then
        out[kind][name:lower()] = new_name(name, style, AFFIXES[kind], taken, words, rng)
      end
    end
  end
  return out
end

-- Statements ----------------------------------------------------------------------------------------------------------

local function is_name(token) return token ~= nil and (token.kind == "name" or token.kind == "quoted") end

local function is(token, text) return token ~= nil and token.text:upper() == text end

---Whether the identifier at i names something new: an alias, with or without AS, a CTE, a window.
local function defines(list, i)
  local before, after = list[i - 1], list[i + 1]
  if before == nil then return false end
  if before.text:upper() == "AS" then return true end
  if is(after, "AS") and is(list[i + 2], "(") then return true end -- a CTE, a window
  if is(after, "(") and is(before, "WITH") then return true end
  if is_name(before) or before.kind == "number" or before.kind == "string" or before.text == ")" then return true end
  return is(before, "END") and before.kind == "keyword"
end

---Why a statement cannot be renamed; nil if it can.
local function fault(list, renaming)
  for i, token in ipairs(list) do
    local new = renaming.tables[token.value:lower()] or renaming.columns[token.value:lower()]
    if new and token.kind == "string" then
      local before, after = list[i - 1], list[i + 1]
      local lead = before and before.text:upper()
      if after and after.text == "." or lead == "." or lead == "FROM" or lead == "JOIN" or lead == "AS" then
        return ("'%s' stands as a literal in a name's place"):format(token.value)
      end
    elseif new and is_name(token) then
      if defines(list, i) then return ("'%s' is an alias, too"):format(token.value) end
      if token.kind == "name" and is(list[i + 1], "(") and not is(list[i - 1], "INTO") then
        return ("'%s' is called as a function"):format(token.value)
      end
    elseif token.kind == "name" or token.kind == "quoted" then
      local lower = token.value:lower()
      for _, kind in ipairs { "tables", "columns" } do
        for _, fresh in pairs(renaming[kind]) do
          if fresh:lower() == lower then return ("'%s' is a name already"):format(fresh) end
        end
      end
    end
  end
end

---A statement with the new names; nil and why not.
---@param statement string
---@param renaming sqlune.augment.Renaming
---@param dialect? string
---@return string? statement
---@return string? why
function M.statement(statement, renaming, dialect)
  local why = fault(sql.significant(statement, dialect), renaming)
  if why then return nil, why end
  local parts = {}
  for i, token in ipairs(sql.tokens(statement, dialect)) do
    parts[i] = token.text
    if is_name(token) then
      local lower = token.value:lower()
      local new = renaming.tables[lower] or renaming.columns[lower]
      if new and token.kind == "name" then parts[i] = new end
      if new and token.kind == "quoted" then parts[i] = token.text:sub(1, 1) .. new .. token.text:sub(-1) end
    end
  end
  return table.concat(parts)
end

-- Samples -------------------------------------------------------------------------------------------------------------

local function rename_schema(schema, renaming)
  local function table_name(name) return renaming.tables[name:lower()] or name end
  local function column_name(name) return renaming.columns[name:lower()] or name end
  for _, one in ipairs(schema.tables) do
    local new = table_name(one.name)
    one.key, one.name = new .. one.key:sub(#one.name + 1), new
    for _, column in ipairs(one.columns) do
      local fresh = column_name(column.name)
      column.line = "(" .. fresh .. column.line:sub(#column.name + 2)
      column.name, column.table = fresh, new
    end
  end
  for _, key in ipairs(schema.foreign_keys) do
    key.table, key.ref_table = table_name(key.table), table_name(key.ref_table)
    key.column, key.ref_column = column_name(key.column), column_name(key.ref_column)
  end
  for _, need in ipairs(schema:needs()) do
    need[1] = table_name(need[1])
    if need[2] then need[2] = column_name(need[2]) end
  end
end

---Names in the evidence that can only be names (movie_title, not title) change, too.
local function rename_text(text, renaming)
  return (text:gsub("[%w_]+", function(word)
    local is_identifier = word:find "_" or word:find "%l%u"
    local lower = word:lower()
    return is_identifier and (renaming.columns[lower] or renaming.tables[lower]) or nil
  end))
end

---Renames in a sample: schema, statements, evidence. False and why, with nothing changed, where that is not safe.
---@param sample sqlune.augment.Sample
---@param renaming sqlune.augment.Renaming
---@return boolean done
---@return string? why
function M.apply(sample, renaming)
  if next(renaming.tables) == nil and next(renaming.columns) == nil then return true end
  local statement, also, why
  if sample.sql then
    statement, why = M.statement(sample.sql, renaming, sample.dialect)
    if not statement then return false, why end
  end
  for i, one in ipairs(sample.also or {}) do
    also = also or {}
    also[i], why = M.statement(one, renaming, sample.dialect)
    if not also[i] then return false, why end
  end
  sample.sql, sample.also = statement, also or sample.also
  if sample.evidence then sample.evidence = rename_text(sample.evidence, renaming) end
  rename_schema(sample.schema, renaming)
  sample.renamings = sample.renamings or {}
  table.insert(sample.renamings, renaming)
  return true
end

---A step for augment: half of the samples are renamed, in one of a few ways for each database.
local function step(kind)
  return function(sample, rng)
    local variant = rng:integer(VARIANTS)
    if rng:uniform() >= APPLY or #sample.schema.tables == 0 then return sample end
    local names = random.stream(variant, "rename", kind, sample.db_name or "")
    M.apply(sample, M.draw(sample.schema, names, { [kind] = true, dialect = sample.dialect }))
    return sample
  end
end

M.tables, M.columns = step "tables", step "columns"

return M
