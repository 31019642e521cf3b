-- Two evaluations held against each other: McNemar's test, flips, sqlune compare from the shell.
local t = require "tests.check"
local sq = require "sqlune"
local paired = require "sqlune.evaluate.paired"
local fs, json = sq.fs, sq.json

local function lines(verdicts)
  local list = json.array {}
  for i, verdict in ipairs(verdicts) do
    list[i] = json.object("item", i, "id", tostring(i), "db_name", "d", "question", "q" .. i, "sql", "SELECT " .. i,
      "pred_sql", "SELECT 0", "verdict", verdict, "ex", verdict == "correct")
  end
  return list
end

local function write(dir, name, verdicts)
  assert(fs.mkdir(dir .. "/" .. name))
  assert(json.write(dir .. "/" .. name .. "/eval.json", json.object("items", lines(verdicts))))
end

local function run(arguments)
  local pipe = io.popen(("env -u COLUMNS NO_COLOR=1 %s compare %s 2>&1; echo \"[$?]\""):format(arg[-1], arguments))
  local text = pipe:read "a"
  pipe:close()
  local output, code = text:match "^(.*)%[(%d+)%]\n$"
  return output, tonumber(code)
end

return {
  ["McNemar's test is the binomial test of the flips"] = function()
    t.eq(paired.mcnemar(0, 0), 1.0)
    t.near(paired.mcnemar(5, 0), 2 / 2 ^ 5, 1e-12)
    t.near(paired.mcnemar(1, 9), 2 * 11 / 2 ^ 10, 1e-12)
    t.near(paired.mcnemar(9, 1), 2 * 11 / 2 ^ 10, 1e-12)
    t.near(paired.mcnemar(4, 4), 1.0, 1e-12)
    local p = paired.mcnemar(400, 500)
    t.near(p, 0.00095644413691894, 1e-12)
    t.ok(paired.mcnemar(0, 2000) >= 0)
  end,

  ["flips, numbers, what cannot be scored"] = function()
    local a = lines { "correct", "wrong", "error", "correct", "gold_error", "correct" }
    local b = lines { "wrong", "correct", "correct", "correct", "correct", "gold_error" }
    local found = assert(paired.compare(a, b))
    t.eq({ found.items, found.skipped, found.a, found.b, found.gained, found.lost }, { 4, 2, 2, 3, 2, 1 })
    t.eq(found.p, 1.0)
    local flips = {}
    for i, flip in ipairs(found.flips) do flips[i] = ("%d %s"):format(flip.item, flip.better) end
    t.eq(flips, { "1 false", "2 true", "3 true" })
    t.ok(found.interval[1] < 25 and found.interval[2] > 25)
    t.eq(found.interval, assert(paired.compare(a, b)).interval, "the same seed, the same interval")
    b[2].sql = "SELECT 3"
    t.fails(function() return paired.compare(a, b) end, "item 2 is not the same")
    b[7] = b[1]
    t.fails(function() return paired.compare(a, b) end, "6 items, the second 7")
  end,

  ["the bootstrap's interval holds the mean, narrower with more values"] = function()
    local few, many = {}, {}
    for i = 1, 1000 do
      many[i] = i % 4 == 0 and 1.0 or 0.0
      if i <= 40 then few[i] = many[i] end
    end
    local low, high = sq.evaluate.bootstrap(few)
    local low_many, high_many = sq.evaluate.bootstrap(many)
    t.ok(low < 0.25 and 0.25 < high and low_many < 0.25 and 0.25 < high_many)
    t.near(high_many - low_many, 2 * 1.96 * math.sqrt(0.25 * 0.75 / 1000), 0.006)
    t.ok(high - low > 3 * (high_many - low_many))
  end,

  ["from the shell"] = function()
    local dir = t.tmpdir()
    write(dir, "a", { "correct", "wrong", "error", "correct" })
    write(dir, "b", { "correct", "correct", "correct", "wrong" })
    local text, code = run(("@/a @/b/eval.json out=@/flips.json"):gsub("@", dir))
    t.eq(code, 0, text)
    t.ok(text:find("  4 items   50.0    75.0       +25.0       2     1\n", 1, true), text)
    t.ok(text:find("p = 1\n", 1, true) and text:find("  + 2 d  wrong → correct  q2\n", 1, true)
      and text:find("  - 4 d  correct → wrong  q4\n", 1, true), text)
    local file = assert(json.read(dir .. "/flips.json"))
    t.eq({ #file.flips, file.flips[1].first_verdict, file.flips[3].better }, { 3, "wrong", false })
    text, code = run(("@/a @/b --json"):gsub("@", dir))
    t.eq({ code, assert(json.decode(text)).gained }, { 0, 2 })
    write(dir, "c", { "correct" })
    text, code = run(("@/a @/c"):gsub("@", dir))
    t.ok(code == 1 and text:find "the first has 4 items, the second 1", text)
    assert(fs.write(dir .. "/x.json", "{}"))
    text, code = run(("@/a @/x.json"):gsub("@", dir))
    t.ok(code == 1 and text:find "x.json: not an eval.json", text)
  end,
}
