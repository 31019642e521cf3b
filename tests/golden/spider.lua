-- All of Spider's gold statements that have a database, held against themselves; the exceptions by their numbers.
local t = require "tests.check"
local sq = require "sqlune"

local function items_of(name)
  local items = {}
  for i, item in ipairs(assert(sq.json.read(t.shared("data/spider/" .. name)))) do
    local path = t.shared("data/spider/database/" .. item.db_id .. "/" .. item.db_id .. ".sqlite")
    local exists = (sq.fs.size(path) or 0) > 0 -- clients leave an empty file where they looked for a database
    items[i] = { db = exists and path or nil, missing = not exists and "no database" or nil, gold = item.query,
      pred = item.query }
  end
  return items
end

---Items whose finding is one word.
local function numbers_of(findings, word)
  local list = {}
  for i, one in ipairs(findings) do
    if one.finding == word and one.why ~= "no database" then list[#list + 1] = i end
  end
  return list
end

local function check(name, wanted)
  local items = items_of(name)
  local all = sq.evaluate.summary(assert(sq.evaluate.run { items = items }))
  t.eq({ all.items, all.scored, all.gold_error }, { wanted.items, wanted.run, wanted.items - wanted.run })
  for _, metric in ipairs { "ex", "ex_bird", "ex_ordered", "ex_xiyan", "ex_spider", "soft_f1", "executable" } do
    t.eq(all[metric], 100.0, metric)
  end
  local findings = assert(require "sqlune.evaluate.gold".check { items = items })
  for _, word in ipairs { "missing", "error", "timeout", "unstable" } do
    t.eq(numbers_of(findings, word), wanted[word] or {}, word)
  end
end

return {
  ["dev: 972 statements"] = function()
    check("dev.json", { items = 1034, run = 972 })
  end,

  ["train: 6,901 statements"] = function()
    check("train.json", { items = 7000, run = 6901, missing = { 3154 }, error = { 4514, 4515 },
      unstable = { 1580, 1581 } })
  end,
}
