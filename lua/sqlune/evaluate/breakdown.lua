-- Outcomes by what items are: database, difficulty, dialect, features of gold, items left out.
local features = require "sqlune.evaluate.features"
local summary = require "sqlune.evaluate.summary"

local M = {}

M.KINDS = { "database", "difficulty", "dialect", "feature" }

local DIFFICULTIES = { "easy", "simple", "medium", "moderate", "hard", "challenging", "extra" }

local NAME = {
  database = function(item) return item.name end,
  difficulty = function(item) return item.difficulty or "not said" end,
  dialect = function(item) return item.dialect end,
  feature = function(item)
    return features.of(type(item.gold) == "table" and item.gold[1] or item.gold, item.dialect)
  end,
}

local function in_order(groups, order)
  local place = {}
  for i, name in ipairs(order) do place[name] = i end
  table.sort(groups, function(a, b) return (place[a.name] or 99) < (place[b.name] or 99) end)
end

---Counts by one thing that items are.
---@param kind "database"|"difficulty"|"dialect"|"feature"
---@param items sqlune.evaluate.InputItem[]
---@param outcomes sqlune.evaluate.Outcome[]
---@return sqlune.evaluate.Counts[] groups
function M.by(kind, items, outcomes)
  local names, name_of = {}, NAME[kind]
  for i, item in ipairs(items) do names[i] = name_of(item) end
  local groups = summary.groups(outcomes, names)
  if kind == "feature" then in_order(groups, features.names) end
  if kind == "difficulty" then in_order(groups, DIFFICULTIES) end
  return groups
end

---Which breakdowns say something: several dialects, a difficulty that is known.
---@param items sqlune.evaluate.InputItem[]
---@return string[] kinds
function M.kinds(items)
  local dialects, difficulty, kinds = {}, false, { "database" }
  for _, item in ipairs(items) do
    dialects[item.dialect], difficulty = true, difficulty or item.difficulty ~= nil
  end
  if difficulty then kinds[#kinds + 1] = "difficulty" end
  if next(dialects, next(dialects)) then kinds[#kinds + 1] = "dialect" end
  kinds[#kinds + 1] = "feature"
  return kinds
end

---Items and outcomes without those whose id is in a set.
---@param items sqlune.evaluate.InputItem[]
---@param outcomes sqlune.evaluate.Outcome[]
---@param ids table<string, true>
---@return sqlune.evaluate.Outcome[] kept
---@return integer left_out
function M.without(items, outcomes, ids)
  local kept = {}
  for i, item in ipairs(items) do
    if not ids[item.id] then kept[#kept + 1] = outcomes[i] end
  end
  return kept, #items - #kept
end

return M
