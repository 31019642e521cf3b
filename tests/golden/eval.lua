-- Verdicts of published evaluators (golden/eval): where our definitions say the same each line must agree, and
-- where they differ on purpose (docs/metrics.md) the difference must be the one that is written down there.
local t = require "tests.check"
local sq = require "sqlune"

local json = sq.json

local function unhex(hex)
  return (hex:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

local floats = { inf = math.huge, ["-inf"] = -math.huge, nan = 0 / 0 }

---A duration in the one form that compares as text.
local function interval(parts)
  return ("%d %d %d"):format(parts[1], parts[2], parts[3])
end

-- Cells as golden/eval/README.md encodes them. Integers beyond 64 bits arrive as decimals, as a driver sends them.
local decode = {
  b = function(v) return { blob = unhex(v) } end,
  f = function(v, cell) return floats[v] or tonumber(cell.x) + 0.0 end,
  i = function(v) return math.tointeger(v) or { decimal = v } end,
  dec = function(v) return { decimal = v } end,
  date = function(v) return { date = v } end,
  time = function(v) return { time = v } end,
  ts = function(v) return { datetime = v } end,
  td = function(v) return { interval = interval(v) } end,
  list = function(v) return { array = json.encode(v) } end,
  json = function(v) return { json = json.encode(v) } end,
}

local function cell_of(cell)
  if type(cell) ~= "table" then return cell end
  for key, read in pairs(decode) do
    if cell[key] ~= nil then return read(cell[key], cell) end
  end
  error "a cell of an unknown kind"
end

local function rows_of(rows)
  local list = {}
  for r, row in ipairs(rows) do
    list[r] = {}
    for i, cell in ipairs(row) do list[r][i] = cell_of(cell) end
  end
  return list
end

return {
  ["result tables: ex and ex_bird"] = function()
    local pairs_of = assert(json.items(t.shared "golden/eval/result_pairs.jsonl"))
    local lines, tipped, slowest = 0, {}, 0
    for pair in pairs_of do
      local gold, pred, started = rows_of(pair.gold), rows_of(pair.pred), sq.sys.clock()
      local got = sq.evaluate.compare(gold, pred)
      slowest = math.max(slowest, sq.sys.clock() - started)
      lines = lines + 1
      local bird, ex = pair.verdicts.ex_bird, pair.verdicts.xiyan_ex
      if math.type(bird) == "integer" then t.eq(got.ex_bird and 1 or 0, bird, pair.id .. " ex_bird") end
      if math.type(ex) == "integer" and (got.ex and 1 or 0) ~= ex then
        -- Only their pre-check on the text of rows may make equal bags unequal, never the other way round.
        t.eq({ got.ex, ex }, { true, 0 }, pair.id .. " ex (" .. pair.kind .. ")")
        tipped[#tipped + 1] = pair.kind
      end
    end
    t.eq(lines, 1500)
    t.eq(#tipped, 35, "pairs that the pre-check tips: " .. table.concat(tipped, ", "))
    t.ok(slowest < 0.1, ("the slowest comparison took %.3f s"):format(slowest))
  end,
}
