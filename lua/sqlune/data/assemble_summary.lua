-- The table at the end of assemble: items in, left out by reason, out, lengths; for each data set and each sql_type.
local M = {}

local REASONS = { "not drawn", "duplicate", "in a benchmark", "too long", "renamed, not shown to be the same" }

---@class sqlune.data.AssembleStats
---@field items integer
---@field dropped table<string, integer>
---@field used integer
---@field held_out integer
---@field augmented integer
---@field tokens integer[]
---@field characters integer[]

---@return sqlune.data.AssembleStats
function M.new()
  local dropped = {}
  for _, reason in ipairs(REASONS) do dropped[reason] = 0 end
  return { items = 0, dropped = dropped, used = 0, held_out = 0, augmented = 0, tokens = {}, characters = {} }
end

---Counts a conversation.
function M.count(stats, draw, held)
  if held then stats.held_out = stats.held_out + 1 else stats.used = stats.used + 1 end
  if draw.augmented then stats.augmented = stats.augmented + 1 end
  stats.tokens[#stats.tokens + 1] = draw.tokens
  stats.characters[#stats.characters + 1] = draw.characters
end

---The value that a share of a sorted list does not exceed.
local function percentile(sorted, share)
  if #sorted == 0 then return "-" end
  return sorted[math.max(1, math.ceil(share * #sorted))]
end

local function reasons_of(stats)
  local parts = {}
  for _, reason in ipairs(REASONS) do
    if stats.dropped[reason] > 0 then parts[#parts + 1] = ("%d %s"):format(stats.dropped[reason], reason) end
  end
  return #parts > 0 and table.concat(parts, ", ") or "-"
end

local function row(stats, lengths, ...)
  local sorted = table.move(lengths, 1, #lengths, 1, {})
  table.sort(sorted)
  local cells = { ... }
  for _, cell in ipairs { stats.items, reasons_of(stats), stats.used, stats.held_out, stats.augmented,
    percentile(sorted, 0.5), percentile(sorted, 0.95) } do
    cells[#cells + 1] = cell
  end
  return cells
end

---Adds one data set's counts to those of its sql_type.
local function add(to, from)
  for _, key in ipairs { "items", "used", "held_out", "augmented" } do to[key] = to[key] + from[key] end
  for reason, n in pairs(from.dropped) do to.dropped[reason] = to.dropped[reason] + n end
  for _, key in ipairs { "tokens", "characters" } do
    table.move(from[key], 1, #from[key], #to[key] + 1, to[key])
  end
end

---The columns that fit a terminal, by their place in a row.
M.shown = { 1, 2, 4, 6, 8, 9, 10 }
M.shown_types = { 1, 2, 4, 6, 7, 8 }

---Some cells of each row.
---@param rows any[][]
---@param places integer[]
---@return any[][]
function M.pick(rows, places)
  local list = {}
  for r, one in ipairs(rows) do
    list[r] = {}
    for i, place in ipairs(places) do list[r][i] = one[place] end
  end
  return list
end

---@param sets sqlune.data.Dataset[]  with their stats
---@param tokens boolean              lengths are tokens of conversations, not characters of prompts
---@return { columns: string[], rows: any[][], types: any[][] }
function M.of(sets, tokens)
  local unit = tokens and "tokens" or "characters"
  local rows, types, order = {}, {}, {}
  for i, set in ipairs(sets) do
    rows[i] = row(set.stats, set.stats[unit], set.name, set.task.name, set.dialect)
    if not types[set.dialect] then
      types[set.dialect] = M.new()
      order[#order + 1] = set.dialect
    end
    add(types[set.dialect], set.stats)
  end
  local list = {}
  for i, name in ipairs(order) do list[i] = row(types[name], types[name][unit], name) end
  return { columns = { "data set", "task", "sql_type", "items", "left out", "used", "held out", "augmented",
    unit .. " p50", "p95" }, rows = rows, types = list }
end

return M
