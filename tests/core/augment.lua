-- Augmentations: what stays, what the text looks like, seeds, a user's own functions and the messages they get.
local t = require "tests.check"
local sq = require "sqlune"
local augment, schemas = sq.augment, require "sqlune.augment.schema"

local TEXT = "【DB_ID】 shop\n【Schema】\n# Table: customer, who buys\n[\n"
  .. "  (id:INTEGER, Primary Key, Examples: [1, 2]),\n  (name:TEXT, a name, Examples: [O'Brien, x], (y)]),\n"
  .. "  (Free (K-12):REAL),\n  (note:TEXT)\n]\n# Table: Order Line\n[\n  (customer_id:INTEGER),\n"
  .. "  (total:REAL, Examples: [1.5]),\n  (name:TEXT)\n]\n# Table: log\n[\n  (line:TEXT)\n]\n"
  .. "【Foreign keys】\nOrder Line.customer_id = customer.id"

local function structure() return sq.schema.parse(TEXT) end

local function sample(statement)
  return augment.sample { structure = structure(), sql = statement, question = "q", evidence = "",
    where = "x.json: item 4" }
end

local function has(schema, table_name, column_name)
  for _, one in ipairs(schema.tables) do
    for _, column in ipairs(one.columns) do
      if one.name == table_name and (column_name == nil or column.name == column_name) then return true end
    end
  end
  return false
end

local function custom(text)
  local path = t.tmpdir() .. "/my.lua"
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  return augment.load(path)
end

return {
  ["marks what the SQL uses"] = function()
    local schema = sample("SELECT `Free (K-12)`, 'note' FROM customer AS c WHERE c.NAME = 'total'").schema
    local used = {}
    for _, one in ipairs(schema.tables) do
      for _, column in ipairs(one.columns) do
        if column.used then used[#used + 1] = one.name .. "." .. column.name end
      end
    end
    t.eq(used, { "customer.name", "customer.Free (K-12)" })
    t.eq(schema.tables[1].columns[1].key, true)
    t.eq(schema.tables[2].columns[1].key, true)
    t.eq(schema.tables[2].columns[2].key, false)
    local star = sample("SELECT * FROM customer").schema
    t.eq(star.tables[1].columns[4].used, true)
    t.eq(star.tables[2].columns[2].used, false)
    t.eq(sample("SELECT a FROM some_view").schema.tables[3].used, true, "nothing known: everything counts")
  end,

  ["the text as the original's data has it"] = function()
    local schema = sample("SELECT 1").schema
    t.eq(schema:text(), TEXT)
    schema.spelling, schema.indent = "示例值:", 0
    t.ok(schema:text():find("\n(name:TEXT, a name, 示例值: [O'Brien, x], (y)]),\n", 1, true))
    schema.spelling = "--"
    t.ok(schema:text():find("\n(id:INTEGER, Primary Key, ) -- Value examples: [1, 2],\n", 1, true))
    schema.foreign_keys = {}
    t.ok(schema:text():find "】$")
  end,

  ["filter keeps keys and what the SQL names"] = function()
    local statement = "SELECT \"total\" FROM [Order Line] JOIN customer ON customer_id = id"
    local gone = {}
    for seed = 1, 200 do
      local s = assert(augment.run(sample(statement), { { name = "filter", run = augment.filter } }, seed))
      for _, need in ipairs { { "customer", "id" }, { "Order Line", "customer_id" }, { "Order Line", "total" } } do
        t.ok(has(s.schema, need[1], need[2]), need[2])
      end
      t.eq(#s.schema.foreign_keys, 1)
      for _, other in ipairs { { "customer", "name" }, { "customer", "note" }, { "log", "line" } } do
        if not has(s.schema, other[1], other[2]) then gone[other[2]] = (gone[other[2]] or 0) + 1 end
      end
    end
    -- dropped with 0.3, 0.3 and 0.2 of 200; five standard deviations are 32 and 28
    t.near(gone.name, 60, 32)
    t.near(gone.note, 60, 32)
    t.near(gone.line, 40, 28)
  end,

  ["names that M-Schema cannot keep apart stay all the same"] = function()
    local path = t.tmpdir() .. "/odd.sqlite"
    assert(sq.db.create(path, [[CREATE TABLE "t, u"("a:b" INTEGER PRIMARY KEY, "x, y" TEXT, "p(q)" TEXT, z TEXT);
      CREATE TABLE c("r.s" INTEGER REFERENCES "t, u"("a:b"), k TEXT, "e=f.g" TEXT)]]))
    local text = assert(sq.schema.read(path, { db_id = "odd" })):text()
    local statement = 'SELECT "x, y", "p(q)", "e=f.g" FROM "t, u" JOIN c ON "r.s" = "A:B"'
    local went = 0
    for seed = 1, 100 do
      local s = augment.sample { structure = sq.schema.parse(text), sql = statement, question = "", evidence = "" }
      local after = assert(augment.run(s, { { name = "filter", run = augment.filter } }, seed)).schema:text()
      for _, need in ipairs { "# Table: t, u\n", "(a:b:INTEGER, Primary Key)", "(x, y:TEXT)", "(p(q):TEXT)",
        "(r.s:INTEGER)", "(e=f.g:TEXT)", "\nc.r.s = t, u.a:b" } do
        t.ok(after:find(need, 1, true), need .. " is lost in " .. after)
      end
      went = went + (after:find("(z:TEXT)", 1, true) and 0 or 1)
    end
    t.ok(went > 10)
  end,

  ["a name with a colon counts though its quote is never closed"] = function()
    local path = t.tmpdir() .. "/odd.sqlite"
    assert(sq.db.create(path, 'CREATE TABLE u("a:b" TEXT, z TEXT)'))
    local given = sq.schema.parse(assert(sq.schema.read(path)):text())
    local s = augment.sample { structure = given, sql = 'SELECT 1 FROM u WHERE "a:b', question = "", evidence = "" }
    t.eq({ s.schema.tables[1].columns[1].used, s.schema.tables[1].columns[2].used }, { true, false })
  end,

  ["no text makes it fail"] = function()
    local rng = sq.random.stream(5, "texts")
    local pieces = { "【DB_ID】 ", "【Schema】", "# Table: ", "\n[\n", "\n]\n", "(a:TEXT)", ",\n", "Examples: [", "]", ")",
      ") -- ", "【Foreign keys】", "a.b=c.d", "=", ".", "(", "a", "\n", " ", "Primary Key", "\255" }
    for seed = 1, 500 do
      local parts = {}
      for i = 1, rng:integer(0, 30) do parts[i] = rng:choice(pieces) end
      local parsed = sq.schema.parse(table.concat(parts))
      local s = augment.sample { structure = parsed, sql = "SELECT a FROM b", question = "", evidence = "" }
      t.eq(type(assert(augment.run(s, augment.standard(), seed)).schema:text()), "string")
    end
  end,

  ["a table that is only counted keeps a column"] = function()
    for seed = 1, 60 do
      local s = assert(augment.run(sample "SELECT count(*) FROM log", augment.standard(), seed))
      t.ok(s.schema:text():find("# Table: log\n", 1, true))
    end
  end,

  ["one seed gives one sample, whatever was drawn before"] = function()
    local statement = "SELECT name FROM customer -- all\nWHERE note = 'a  b'"
    local first = augment.run(sample(statement), augment.standard(), 7, "train", 4)
    augment.run(sample(statement), augment.standard(), 7, "train", 5)
    local second = augment.run(sample(statement), augment.standard(), 7, "train", 4)
    t.eq(first.schema:text(), second.schema:text())
    t.eq(first.sql, "SELECT name FROM customer WHERE note = 'a  b'")
    local texts, count = {}, 0
    for seed = 1, 30 do
      local text = augment.run(sample(statement), augment.standard(), seed, "train", 4).schema:text()
      count = count + (texts[text] and 0 or 1)
      texts[text] = true
    end
    t.ok(count > 15, count)
    -- a further step of one's own leaves the draws of the others as they were
    local list = augment.standard()
    list[5] = { name = "mine", custom = true, run = function(s, rng) rng:uniform() return s end }
    t.eq(augment.run(sample(statement), list, 7, "train", 4).schema:text(), first.schema:text())
  end,

  ["the structure given is not changed"] = function()
    local given = structure()
    local s = augment.sample { structure = given, sql = "SELECT name FROM customer", question = "", evidence = "" }
    s.schema:drop_columns(function(column) return column.name ~= "name" end)
    s.schema.tables[1].columns[1].line = "changed"
    t.eq(given, structure())
  end,

  ["spellings are replaced wherever the text came from"] = function()
    for _, first in ipairs { "Value examples:", "Examples:", "示例值:", "values:", "--" } do
      local schema = schemas.new(structure(), "SELECT 1")
      schema.spelling = first
      local text = schema:text()
      local again = schemas.new(sq.schema.parse(text), "SELECT 1")
      t.eq(again:text(), text)
      again.spelling = "Examples:"
      t.eq(again:text(), TEXT, first)
    end
  end,

  ["a user's function is added, a list with replace stands alone"] = function()
    t.eq(#custom "return function(sample) return sample end", 5)
    t.eq(#custom "return { replace = true, 'permute', function(sample) return sample end }", 2)
    local list = custom [[return { replace = true, function(sample, rng)
      sample.schema:drop_columns(function(c) return not c.used and not c.key end)
      sample.question = sample.question .. rng:integer(9)
      return sample
    end }]]
    local s = augment.run(sample "SELECT name FROM customer", list, 1)
    t.ok(has(s.schema, "customer", "name") and has(s.schema, "customer", "id"))
    t.ok(not has(s.schema, "customer", "note"))
    t.ok(s.question:find "^q%d$")
  end,

  ["what is wrong with a user's function is said"] = function()
    local function message(text)
      local list, wrong = custom(text)
      if not list then return wrong end
      local s
      s, wrong = augment.run(sample "SELECT name FROM customer", list, 1)
      t.eq(s, nil)
      return wrong
    end
    local text = message "return function(sample)\n end"
    t.ok(text:find "my.lua:1: x.json: item 4: it returned nothing instead of the sample\nA right one looks", text)
    text = message "\nreturn function(sample) local x = nil; return x.y end"
    t.ok(text:find "my.lua:2: x.json: item 4: it failed: .*my.lua:2: attempt to index", text)
    text = message "return function(s)\n s.schema:drop_columns(function(c) return true end)\n return s end"
    t.ok(text:find "my.lua:2: x.json: item 4: it dropped customer.name, which the SQL needs: SELECT name", text)
    text = message "return function(sample)\n sample.schema.tables = {}\n return sample end"
    t.ok(text:find "my.lua:1: x.json: item 4: it dropped customer, which", text)
    text = message "return function(sample) return {} end"
    t.ok(text:find "has no schema", text)
    text = message "return function(sample) sample.sql = nil return sample end"
    t.ok(text:find "has no sql", text)
    t.ok(message("return {}"):find "returns an empty table instead of")
    t.ok(message("local x = 1"):find "returns nothing instead of")
    t.ok(message("return { 'shufle' }"):find "entry 1 is 'shufle', not a function or one of shuffle")
    t.ok(message("return {"):find "my.lua:1:")
    t.ok(message("error 'no'"):find "no")
  end,
}
