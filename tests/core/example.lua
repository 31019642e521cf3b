-- The bundled example: databases build, every drawn statement runs, no held-out combination is trained on.
local t = require "tests.check"
local sq = require "sqlune"
local questions = require "examples.questions"

---Opens all example databases, made in a temporary folder; the caller closes them.
local function databases()
  local open = setmetatable({}, { __close = function(self)
    for _, db in pairs(self) do db:close() end
  end })
  for name, path in pairs(questions.create_databases(t.tmpdir())) do open[name] = assert(sq.db.open(path)) end
  return open
end

local function one(db, sql) return assert(db:query(sql)).rows[1][1] end

local function small(open, seed)
  return questions.generate { databases = open, seed = seed, train = 600, test = 100 }
end

return {
  ["six databases of three tables, 15 to 60 rows each, with keys that hold"] = function()
    local open <close> = databases()
    local count = 0
    for _, domain in ipairs(questions.domains) do
      count = count + 1
      local db = open[domain.name]
      t.eq(one(db, "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table'"), 3, domain.name)
      for _, relation in ipairs(domain.tables) do
        local rows = one(db, ('SELECT COUNT(*) FROM "%s"'):format(relation.name))
        t.ok(rows >= 15 and rows <= 60, ("%s.%s has %d rows"):format(domain.name, relation.name, rows))
      end
      for _, join in ipairs(domain.joins) do
        local lost = ('SELECT COUNT(*) FROM "%s" WHERE "%s" NOT IN (SELECT id FROM "%s")'):format(table.unpack(join))
        t.eq(one(db, lost), 0, lost)
      end
    end
    t.eq(count, 6)
  end,

  ["the databases hold NULL, names to quote, and more than ASCII"] = function()
    local open <close> = databases()
    t.ok(one(open.shop, "SELECT COUNT(*) FROM customer WHERE credit IS NULL") > 0)
    t.ok(one(open.clinic, [[SELECT MIN("hire date") FROM doctor]]):find "^%d%d%d%d%-%d%d%-%d%d$")
    t.eq(one(open.bakery, [[SELECT COUNT(*) FROM "Gebäck" WHERE name = 'Käsestange']]), 1)
    t.ok(one(open.shop, "SELECT sql FROM sqlite_master WHERE name = 'customer'"):find("-- ", 1, true))
  end,

  ["every question has SQL that runs, most with an answer"] = function()
    local open <close> = databases()
    local train, test = small(open, 3)
    t.eq(#train, 600)
    t.eq(#test, 100)
    local empty, kinds, asked = 0, {}, 0
    for _, list in ipairs { train, test } do
      for _, item in ipairs(list) do
        t.ok(open[item.db_name]:query(item.SQL), item.SQL)
        t.ok(not (item.question .. item.SQL .. item.evidence):find "[{}]", item.question)
        if item.empty then empty = empty + 1 end
        if not kinds[item.kind] then kinds[item.kind], asked = true, asked + 1 end
      end
    end
    t.eq(asked, #questions.kinds)
    t.ok(empty <= 35, empty .. " of 700 are empty")
  end,

  ["held-out questions differ in combination, not in constants"] = function()
    local open <close> = databases()
    for seed = 1, 3 do
      local train, test = small(open, seed)
      t.eq(questions.overlap(train, test), { combination = 0.0, question = 0.0, statement = 0.0, masked = 0.0 })
      t.eq(questions.overlap(train, train).masked, 1.0)
    end
  end,

  ["what a held-out question combines, training has apart"] = function()
    local open <close> = databases()
    local train, test = questions.generate { databases = open, train = 3000 }
    local known = {}
    for _, item in ipairs(train) do
      known[item.kind] = true
      for part in item.combination:gmatch "%w+=%S+" do known[item.db_name .. part:gsub("^%w+", "")] = true end
    end
    for _, item in ipairs(test) do
      t.ok(known[item.kind], item.kind)
      for part in item.combination:gmatch "%w+=%S+" do
        t.ok(known[item.db_name .. part:gsub("^%w+", "")], item.combination)
      end
    end
  end,

  ["the same seed draws the same questions, another seed others"] = function()
    local open <close> = databases()
    local a, b, c = small(open, 5), small(open, 5), small(open, 6)
    t.eq(a, b)
    local same = 0
    for i = 1, #a do same = same + (a[i].question == c[i].question and 1 or 0) end
    t.ok(same < 60, same)
  end,

  ["the tour of the prompt runs"] = function()
    local pipe = assert(io.popen("'" .. sq.fs.realpath "/proc/self/exe" .. "' examples/repl_tour.lua 2>&1"))
    local text = pipe:read "a"
    t.ok(pipe:close(), text)
    t.ok(text:find "SQLUNE_DENIED" and text:find "%(3 rows" and text:find "10.0000", text)
  end,
}
