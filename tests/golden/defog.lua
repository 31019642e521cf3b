-- All of defog's statements on PostgreSQL, gold against itself: all of them run and give the same rows twice.
local t = require "tests.check"
local sq = require "sqlune"
local golden = require "tests.golden_schemas"
local servers = require "tests.servers"

---The statements of an item: parts between semicolons that stand in no string.
local function parts(text)
  local out, from = {}, 1
  local quoted = false
  for at = 1, #text + 1 do
    local c = text:sub(at, at)
    if c == "'" then quoted = not quoted end
    if (c == ";" or c == "") and not quoted then
      local part = text:sub(from, at - 1)
      if part:find "%S" then out[#out + 1] = part end
      from = at + 1
    end
  end
  return out
end

---{a, b} in a select list stands for any of these columns, {} for the chosen ones: the first one, and all.
local function readings(part)
  local list = part:match "{([^}]+)}"
  if not list then return { part } end
  local first = list:match "^%s*([^,]+)"
  local out = {}
  for i, chosen in ipairs { first, list } do
    local seen = false
    out[i] = part:gsub("{([^}]*)}", function(inside)
      if inside:find "%S" then
        if seen and i == 1 then return inside:match "^%s*([^,]+)" end
        seen = true
        return i == 1 and inside:match "^%s*([^,]+)" or inside
      end
      return chosen
    end)
  end
  return out
end

return {
  ["every gold statement against itself"] = function()
    local folder = t.shared "data/defog/"
    local places = {}
    local settings = { timezone = "UTC", lc_monetary = "C" }
    for _, name in ipairs { "academic", "broker", "car_dealership", "derm_treatment", "ewallet" } do
      places[name] = servers.new("postgresql", "defog_" .. name, golden.read(folder .. name .. "/" .. name .. ".sql"),
        settings)
    end
    local items, statements = {}, 0
    for _, file in ipairs { "questions_gen", "instruct_basic", "instruct_advanced" } do
      for _, item in ipairs(assert(sq.json.read(folder .. file .. "_postgres.json"))) do
        for _, part in ipairs(parts(item.query)) do
          statements = statements + 1
          for _, sql in ipairs(readings(part)) do
            items[#items + 1] = { db = places[item.db_name], gold = sql, pred = sql }
          end
        end
      end
    end
    t.ok(statements >= 149, statements .. " statements")
    local wrong = {}
    for i, outcome in ipairs(sq.evaluate.run { items = items, timeout = 20 }) do
      if outcome.verdict ~= "correct" then
        wrong[#wrong + 1] = ("%s: %s: %s"):format(outcome.verdict, outcome.gold_error or "", items[i].gold:sub(1, 400))
      end
    end
    t.eq(table.concat(wrong, "\n"), "", ("%d of %d"):format(#wrong, #items))
  end,
}
