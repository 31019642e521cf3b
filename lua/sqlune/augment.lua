-- Augmentation of training samples: functions (sample, rng) -> sample over the parsed schema, one after the other.
--
-- Rules: each function has a random stream of its own per sample, so adding one changes no other; what the SQL needs
-- must still be there after each; a message says which sample, which line of which file, and what is right.
local random = require "sqlune.random"
local rename = require "sqlune.augment.rename"
local schemas = require "sqlune.augment.schema"

local M = {
  shuffle = require "sqlune.augment.shuffle",
  filter = require "sqlune.augment.filter",
  permute = require "sqlune.augment.permute",
  translate = require "sqlune.augment.translate",
  rename_tables = rename.tables,
  rename_columns = rename.columns,
}

local STANDARD = { "shuffle", "filter", "permute", "translate" }
local NAMED = { "shuffle", "filter", "permute", "translate", "rename_tables", "rename_columns" }

local RIGHT = [[
A right one looks like this:
  return function(sample, rng)
    sample.schema:drop_columns(function(column)
      return not column.used and not column.key and rng:uniform() < 0.2
    end)
    return sample
  end]]

---@class sqlune.augment.Step
---@field name string
---@field run fun(sample: sqlune.augment.Sample, rng: sqlune.random.Stream): sqlune.augment.Sample
---@field custom boolean?  from a user's file

---@class sqlune.augment.Sample
---@field schema sqlune.augment.Schema
---@field sql string?
---@field also string[]?  further statements: the one that failed, candidates
---@field renamings sqlune.augment.Renaming[]?  what was renamed, in order
---@field question string?
---@field evidence string?
---@field db_name string?
---@field dialect string
---@field where string  for messages: "train.json: item 17"

---The standard list: shuffle, filter, permute, translate.
---@return sqlune.augment.Step[]
function M.standard()
  local list = {}
  for i, name in ipairs(STANDARD) do list[i] = { name = name, run = M[name] } end
  return list
end

---Whether one of the steps may change columns (not only drop and move them).
---@param steps sqlune.augment.Step[]
---@return boolean
function M.changes_columns(steps)
  for _, step in ipairs(steps) do
    local keeps = step.run == M.shuffle or step.run == M.filter or step.run == M.permute or step.run == M.translate
    if not keeps then return true end
  end
  return false
end

local function step_of(value, path, i)
  if type(value) == "function" then return { name = ("%s[%d]"):format(path, i), run = value, custom = true } end
  if type(value) == "string" and type(M[value]) == "function" then
    for _, name in ipairs(NAMED) do
      if name == value then return { name = name, run = M[name] } end
    end
  end
  return nil, ("%s: entry %d is %s, not a function or one of %s\n%s"):format(path, i,
    type(value) == "string" and "'" .. value .. "'" or "a " .. type(value), table.concat(NAMED, ", "), RIGHT)
end

---The list of a user's file. A function is added to the standard ones; so are the functions of a list, unless it has
---`replace = true`: then the list is all there is. Names of the library's own may stand in a list.
---@param path string
---@return sqlune.augment.Step[]? list
---@return string? message
function M.load(path)
  local chunk, message = loadfile(path, "t")
  if not chunk then return nil, message end
  local ok, value = pcall(chunk)
  if not ok then return nil, tostring(value) end
  if type(value) == "function" then value = { value } end
  if type(value) ~= "table" or #value == 0 then
    return nil, ("%s: it returns %s instead of a function or a list of functions\n%s"):format(path,
      value == nil and "nothing" or type(value) == "table" and "an empty table" or "a " .. type(value), RIGHT)
  end
  local list = value.replace and {} or M.standard()
  for i, entry in ipairs(value) do
    local step, wrong = step_of(entry, path, i)
    if not step then return nil, wrong end
    list[#list + 1] = step
  end
  return list
end

---@class sqlune.augment.SampleOpts
---@field structure table?  what sq.schema.parse returns; not changed
---@field text string?      instead of it: the schema of a graph, which stays as it is
---@field sql string?
---@field also string[]?    further statements that the schema must stay able to answer
---@field question string?
---@field evidence string?
---@field db_name string?
---@field dialect string?   default "sqlite"
---@field shares boolean?   its columns are other samples' too: where M.changes_columns says no
---@field where string?

---The statements of a sample as one text.
---@param statement string?
---@param also string[]?
---@return string?
function M.statements(statement, also)
  if not also or #also == 0 then return statement end
  local list = table.move(also, 1, #also, statement and 2 or 1, { statement })
  return table.concat(list, "\n;\n")
end

---A sample to augment.
---@param o sqlune.augment.SampleOpts
---@return sqlune.augment.Sample
function M.sample(o)
  local dialect = o.dialect or "sqlite"
  local schema = o.structure and schemas.new(o.structure, M.statements(o.sql, o.also), dialect, o.shares)
    or schemas.plain(o.text)
  return { schema = schema, sql = o.sql, also = o.also, question = o.question, evidence = o.evidence,
    db_name = o.db_name, dialect = dialect, where = o.where or "a sample" }
end

---"file:line: " of a function's definition.
local function definition(fn)
  local info = debug.getinfo(fn, "S")
  return info.short_src .. ":" .. info.linedefined
end

local function wrong(step, sample, place, text)
  local message = ("%s: %s: %s"):format(place, sample.where, text)
  if not step.custom then return message end
  return message .. "\n" .. RIGHT
end

local function check(step, sample, result)
  if type(result) ~= "table" then
    return wrong(step, sample, definition(step.run), "it returned "
      .. (result == nil and "nothing" or "a " .. type(result)) .. " instead of the sample")
  end
  if getmetatable(result.schema) ~= schemas.Schema then
    return wrong(step, sample, definition(step.run), "the sample that it returned has no schema")
  end
  for _, field in ipairs { "question", "evidence", "sql" } do
    if type(result[field]) ~= type(sample[field]) then
      return wrong(step, sample, definition(step.run), ("the sample that it returned has no %s"):format(field))
    end
  end
  local lost, place = result.schema:lost()
  if lost then
    return wrong(step, sample, place or definition(step.run),
      ("it dropped %s, which the SQL needs: %s"):format(lost, sample.sql))
  end
end

---Applies the steps to a sample. The random numbers depend on the seed and on `...` (data set, index), nothing else.
---@param sample sqlune.augment.Sample
---@param steps sqlune.augment.Step[]
---@param seed integer
---@param ... string|integer
---@return sqlune.augment.Sample? sample
---@return string? message
function M.run(sample, steps, seed, ...)
  local names = table.pack(...)
  for i, step in ipairs(steps) do
    names[names.n + 1] = step.custom and "custom " .. i or step.name
    local rng = random.stream(seed, table.unpack(names, 1, names.n + 1))
    local before = { question = sample.question, evidence = sample.evidence, sql = sample.sql, where = sample.where }
    local ok, result = xpcall(step.run, function(e) return tostring(e) end, sample, rng)
    if not ok then return nil, wrong(step, before, definition(step.run), "it failed: " .. result) end
    local message = step.custom and check(step, before, result) -- the library's own keep what they must
    if message then return nil, message end
    sample = result
  end
  return sample
end

return M
