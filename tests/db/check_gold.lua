-- sqlune check_gold: what is wrong with gold statements, and the set that is left.
local t = require "tests.check"
local sq = require "sqlune"
local fs, json = sq.fs, sq.json

local function run(arguments)
  local pipe = io.popen(("env -u COLUMNS NO_COLOR=1 %s check_gold %s 2>&1; echo \"[$?]\""):format(arg[-1], arguments))
  local text = pipe:read "a"
  pipe:close()
  local output, code = text:match "^(.*)%[(%d+)%]\n$"
  return output, tonumber(code)
end

local function folder()
  local dir = t.tmpdir()
  assert(fs.mkdir(dir .. "/db"))
  assert(sq.db.create(dir .. "/db/shop.sqlite", "CREATE TABLE item (id INTEGER, price REAL); "
    .. "INSERT INTO item VALUES (1, 0.1), (2, 0.2), (3, 0.3), (4, 1e10)"))
  local items = json.array {}
  for i, gold in ipairs {
    "SELECT id FROM item", "SELECT id FROM item LIMIT 1", "SELECT id FROM items", "SELECT idd FROM item",
    "SELECT id FROM item WHERE id > 9", "SELECT random()",
    "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r) SELECT count(*) FROM r",
    "SELECT sum(price) FROM item", "SELECT id FROM item ORDER BY price DESC LIMIT 2",
  } do
    items[i] = json.object("question", "q" .. i, "db_id", "shop", "query", gold, "extra", json.array { i })
  end
  items[#items + 1] = json.object("db_id", "museum", "query", "SELECT 1")
  assert(json.write(dir .. "/gold.json", items))
  return dir
end

return {
  ["findings, the table, the filtered set"] = function()
    local dir = folder()
    local text, code = run(("@/gold.json @/db out=@/sound.json findings=@/found.jsonl timeout=0.3 --quiet")
      :gsub("@", dir))
    t.eq(code, 0, text)
    t.ok(text:find("  shop          9   3        1      1        1      1         2\n", 1, true), text)
    t.ok(text:find("  all          10   3        2      1        1      1         2\n", 1, true), text)
    t.ok(text:find "3 items written: ", text)
    for line in text:gmatch "[^\n]+" do t.ok(sq.term.width(line) <= 80 or line:find "written", line) end
    local kept = {}
    for i, item in ipairs(assert(json.read(dir .. "/sound.json"))) do kept[i] = item.extra[1] end
    t.eq(kept, { 1, 8, 9 })
    local found = {}
    for line in assert(json.items(dir .. "/found.jsonl")) do
      found[#found + 1] = ("%d %s"):format(line.item, line.finding)
    end
    t.eq(found, { "2 unstable", "3 missing", "4 error", "5 empty", "6 unstable", "7 timeout", "10 missing" })
  end,

  ["what is kept can be chosen"] = function()
    local dir = folder()
    local text, code = run(("@/gold.json @/db out=@/sound.json keep=empty,unstable timeout=0.3 --quiet --json")
      :gsub("@", dir))
    t.eq(code, 0, text)
    t.eq(#assert(json.read(dir .. "/sound.json")), 6)
    local wanted = { items = 10, ok = 3, missing = 2, error = 1, timeout = 1, empty = 1, unstable = 2 }
    t.eq(assert(json.decode(text)), wanted)
    text, code = run(("@/gold.json @/db keep=emtpy"):gsub("@", dir))
    t.ok(code ~= 0 and text:find "did you mean 'empty'", text)
    text = run(("@/absent.json @/db"):gsub("@", dir))
    t.ok(text:find "absent%.json", text)
  end,
}
