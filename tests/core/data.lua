-- The data pipeline on small files of its own: where databases are, datasets configs, sampling, seeds, bad input.
local t = require "tests.check"
local sq = require "sqlune"
local fs, json = sq.fs, sq.json

local SCHEMA = "【DB_ID】 shop\n【Schema】\n# Table: customer\n[\n(id:INTEGER, Primary Key, Examples: [1, 2]),\n"
  .. "(name:TEXT, Examples: [O'Brien, Zoë]),\n(city:TEXT),\n(note:TEXT)\n]\n# Table: log\n[\n(line:TEXT)\n]"

local function item(n)
  return { idx = n, db_name = "shop", question = "Question " .. n .. "?", evidence = "", db_schema = SCHEMA,
    sql = "SELECT  name FROM customer -- all\nWHERE id = " .. n }
end

---A folder with items.json (20 items) and datasets.json, changed by `change(items, entry)`.
local function folder(change)
  local dir, items = t.tmpdir(), {}
  for n = 1, 20 do items[n] = item(n) end
  local entry = { data_path = "elsewhere/items.json", sample_num = -1, sum_num = 20, task_name = "nl2sqlite",
    data_aug = true }
  if change then change(items, entry) end
  assert(json.write(dir .. "/items.json", items, { indent = 1 }))
  assert(json.write(dir .. "/datasets.json", { shop_nl2sqlite = entry }))
  return dir
end

local quiet = sq.progress
local function assemble(dir, o)
  o = o or {}
  o.datasets, o.out = o.datasets or dir .. "/datasets.json", dir .. "/sub/out.json"
  quiet.quiet = true
  local summary, message = sq.data.assemble(o)
  quiet.quiet = false
  return summary, message, summary and not o.dry_run and assert(json.read(o.out)) or nil
end

local function fails(change, pattern)
  local dir = folder(change)
  local summary, message = assemble(dir)
  t.eq(summary, nil)
  t.ok(message:find(pattern), message)
  t.ok(not fs.exists(dir .. "/sub/out.json"), "nothing half-written")
  return message
end

return {
  ["a training set"] = function()
    local summary, _, list = assemble(folder())
    t.eq(summary.items, 20)
    t.eq({ table.unpack(summary.rows[1], 1, 8) }, { "shop_nl2sqlite", "nl2sqlite", "sqlite", 20, "-", 20, 0, 20 })
    t.eq(#summary.columns, #summary.rows[1])
    t.eq(#list, 20)
    local one = list[3]
    t.eq(json.keys(one), { "id", "conversations", "sql_type", "task", "db_name", "question", "evidence", "sql" })
    t.eq({ one.id, one.sql_type, one.task, one.db_name }, { 2, "sqlite", "nl2sqlite", "shop" })
    t.eq(one.conversations[2].content, "SELECT name FROM customer WHERE id = 3")
    t.eq(one.sql, "SELECT  name FROM customer -- all\nWHERE id = 3")
    t.eq({ one.conversations[1].role, one.conversations[2].role }, { "user", "assistant" })
    t.ok(one.conversations[1].content:find "```sql$")
  end,

  ["a split is train or test"] = function()
    fails(function(_, entry) entry.split = "dev" end, "'shop_nl2sqlite': 'split' is neither 'train' nor 'test'")
  end,

  ["a test set keeps schema and SQL as they are"] = function()
    local _, _, list = assemble(folder(), { aug = false, prompt = "en" })
    t.eq(list[3].conversations[1].content, sq.prompt.text("en", { question = "Question 3?", schema = SCHEMA }))
    t.eq(list[3].conversations[2].content, list[3].sql)
    local _, _, plain = assemble(folder(function(_, entry) entry.data_aug = false end), { prompt = "en" })
    t.eq(plain, list)
  end,

  ["one seed, one result; items do not depend on each other"] = function()
    local dir = folder()
    local _, _, first = assemble(dir, { seed = 5 })
    local _, _, again = assemble(dir, { seed = 5 })
    t.eq(first, again)
    local _, _, other = assemble(dir, { seed = 6 })
    local same = 0
    for i = 1, 20 do
      same = same + (first[i].conversations[1].content == other[i].conversations[1].content and 1 or 0)
    end
    t.ok(same < 15, same)
    local _, _, some = assemble(folder(function(_, entry) entry.sample_num = 6 end), { seed = 5 })
    t.eq(#some, 6)
    local by_question = {}
    for _, one in ipairs(first) do by_question[one.question] = one.conversations end
    for i, one in ipairs(some) do
      t.eq(one.conversations, by_question[one.question])
      t.eq(one.id, i - 1)
    end
    local _, _, all = assemble(folder(function(_, entry) entry.sample_num = 99 end), { seed = 5 })
    t.eq(#all, 20)
  end,

  ["a config in Lua, a list, a file of items"] = function()
    local dir = folder()
    assert(fs.write(dir .. "/sets.lua", "return { { name = 'b', data_path = 'items.json', sample_num = 2 },"
      .. " { name = 'a', data_path = 'items.json', prompt = 'en', data_aug = false } }"))
    local summary, _, list = assemble(dir, { datasets = dir .. "/sets.lua" })
    t.eq({ summary.rows[1][1], summary.rows[2][1], #list }, { "b", "a", 22 })
    t.ok(list[22].conversations[1].content:find "^You are a SQLite expert")
    summary = assemble(dir, { datasets = dir .. "/items.json", dry_run = true })
    t.eq({ summary.rows[1][1], summary.items }, { "items", 20 })
  end,

  ["what is wrong names file and item"] = function()
    fails(function(items) items[17].sql = nil end, "items.json: item 17 %(line 1%d%d%): 'sql' is missing$")
    fails(function(items) items[2].question = 5 end, "item 2 %(line %d+%): 'question' is a number, not a text")
    fails(function(items) items[4] = "text" end, "item 4 .*: an object is expected")
    fails(function(items) items[1].db_schema = json.null end, "item 1 .*'db_schema' is missing")
    fails(function(_, entry) entry.data_pth = "x" end, "no setting 'data_pth' %(did you mean 'data_path'%?%)")
    fails(function(_, entry) entry.data_path = "none.json" end, "data set 'shop_nl2sqlite': no file 'none.json'")
    fails(function(_, entry) entry.task_name = "nl2sqlit" end, "no task 'nl2sqlit' %(did you mean 'nl2sqlite'%?%)")
    fails(function(_, entry) entry.task_name = "sql2select" end, "item 1 %(line 2%): 'candidates' is missing")
    fails(function(_, entry) entry.dialect = "mysql" end, "dialect 'mysql' does not go with task 'nl2sqlite'")
    fails(function(_, entry) entry.weight = 0 end, "'weight' is not a number above 0")
    fails(function(_, entry) entry.data_aug = "yes" end, "'data_aug' is neither true nor false")
    fails(function(_, entry) entry.sample_num = "all" end, "'sample_num' is not an integer")
    local dir = folder()
    assert(fs.write(dir .. "/items.json", '[{"db_name": "x",\n "question": '))
    local _, message = assemble(dir)
    t.ok(message:find "items.json: line 2, column 14", message)
    assert(fs.write(dir .. "/items.json", "[]"))
    _, message = assemble(dir)
    t.ok(message:find "no items", message)
    _, message = assemble(dir, { datasets = dir .. "/none.json" })
    t.ok(message:find "none.json", message)
  end,

  ["a user's augmentation, and what is said when it is wrong"] = function()
    local dir = folder()
    assert(fs.write(dir .. "/my.lua", "return function(sample)\n  sample.question = 'changed'\n  return sample\nend"))
    local _, _, list = assemble(dir, { augment = dir .. "/my.lua" })
    t.eq(list[1].question, "changed")
    assert(fs.write(dir .. "/my.lua", "return function(sample)\n"
      .. "  sample.schema:drop_columns(function(c) return c.name == 'name' end)\n  return sample\nend"))
    local _, message = assemble(dir, { augment = dir .. "/my.lua" })
    t.ok(message:find "my.lua:2: .*items.json: item 1 %(line 2%): it dropped customer.name, which the SQL", message)
  end,

  ["the example's augmentation"] = function()
    local _, message, list = assemble(folder(), { augment = "examples/my_augment.lua" })
    t.ok(list, message)
    t.eq(#list, 20)
  end,

  ["the example that fails, and what the recipe says"] = function()
    local dir, program = folder(), fs.realpath "/proc/self/exe"
    for _, file in ipairs { "examples/my_augment.lua", "examples/wrong_augment.lua" } do
      local lines = select(2, assert(fs.read(file)):gsub("\n", "\n"))
      t.ok(lines < 30, file)
      local command = "'%s' assemble %s/datasets.json out=%s/o.json augment=%s --quiet 2>&1; echo $?"
      local pipe = assert(io.popen(command:format(program, dir, dir, file)))
      local text = pipe:read "a"
      pipe:close()
      if file:find "my_" then
        t.ok(text:find "20 conversations" and text:find "0\n$", text)
      else
        t.ok(text:find("sqlune assemble: examples/wrong_augment.lua:11: ", 1, true), text)
        t.ok(text:find "items.json: item 1 %(line 2%): it dropped customer.name, which the SQL needs: SELECT", text)
        t.ok(text:find "\nA right one looks like this:\n  return function%(sample, rng%)\n", text)
        t.ok(text:find "\n1\n$", text)
        t.ok(not text:find "traceback")
      end
    end
  end,

  ["where databases are"] = function()
    local dir = t.tmpdir()
    assert(fs.mkdir(dir .. "/db/a"))
    for _, name in ipairs { "/db/a/a.sqlite", "/db/b.db", "/one.sqlite" } do assert(fs.write(dir .. name, "")) end
    local open = sq.data.databases.open
    local there = assert(open(dir .. "/db"))
    t.eq(there:find "a", dir .. "/db/a/a.sqlite")
    t.eq(there:find "b", dir .. "/db/b.db")
    t.fails(function() return there:find "c" end, "no database 'c': neither")
    t.fails(function() return there:find "../one" end, "is not a name")
    t.eq(assert(open(dir .. "/one.sqlite")):find "any", dir .. "/one.sqlite")
    assert(json.write(dir .. "/conn.json", { db_host = "db", db_port = "5432", dialect = "sqlite" }))
    t.eq(assert(open(dir .. "/conn.json")):find "b", dir .. "/db/b.db")
    assert(json.write(dir .. "/names.json", { shop = { dialect = "sqlite", path = "one.sqlite" } }))
    t.eq(assert(open(dir .. "/names.json")):find "shop", dir .. "/one.sqlite")
    t.fails(function() return assert(open(dir .. "/names.json")):find "shp" end, "did you mean 'shop'")
    t.fails(function() return open(dir .. "/none") end, "no database, folder or connection file")
    t.fails(function() return open { db_host = dir, dialect = "oracle" } end, "dialect 'oracle' is not supported")
    t.fails(function() return open { db_host = dir .. "/no" } end, "no folder")
    t.fails(function() return open { db_host = dir, db_prt = 1 } end, "unknown key 'db_prt' %(did you mean 'db_port'")
    t.eq(assert(open(dir .. "/db")):names(), { "a", "b" })
  end,

  ["databases of servers"] = function()
    local open = sq.data.databases.open
    local original = { db_host = "h", db_port = "5433", db_user = "u", db_password = "p", dialect = "PostgreSQL" }
    local shop = assert(open(original)):find "shop"
    t.eq(shop, { dialect = "postgresql", host = "h", port = 5433, user = "u", password = "p", database = "shop" })
    local there = assert(open "mysql://me:p%40ss@db.example:3307")
    t.eq(there.dialect, "mysql")
    t.eq(there:find "a", { dialect = "mysql", host = "db.example", port = 3307, user = "me", password = "p@ss",
      database = "a" })
    t.ok(rawequal(there:find "a", there:find "a"), "one table for one database")
    t.eq(there:names(), {})
    local one = assert(open "postgresql+psycopg2://localhost/shop?sslmode=require")
    t.eq(one:find "anything", { dialect = "postgresql", host = "localhost", database = "shop", sslmode = "require" })
    t.eq(one:names(), { "shop" })
    t.eq(assert(open "postgres:///shop?host=/run/postgresql"):find "x",
      { dialect = "postgresql", socket = "/run/postgresql", database = "shop" })
    t.eq(assert(open "postgres://u@[::1]:5433/x"):find("x").host, "::1")
    t.eq(assert(open "sqlite:////tmp/x.db"):find "any", "/tmp/x.db")
    local many = assert(open { a = "mysql://h/one", b = { dialect = "postgresql", socket = "/run" }, c = "c.db" })
    t.eq({ many:find("a").database, many:find("b").database, many:find "c", many.dialect }, { "one", "b", "c.db",
      "mixed" })
    local dir = t.tmpdir()
    assert(json.write(dir .. "/conn.json", { db_host = "h", db_password = "${SQLUNE_NO_SUCH}", dialect = "mysql" }))
    t.fails(function() return open(dir .. "/conn.json") end, "conn.json: 'db_password': .*SQLUNE_NO_SUCH' is not set")
    assert(json.write(dir .. "/conn.json", { db_host = "${HOME}", dialect = "mysql" }))
    t.eq(assert(open(dir .. "/conn.json")):find("x").host, os.getenv "HOME")
    t.fails(function() return open { dialect = "mysql", db_port = "x" } end, "'db_port' must be a number")
    t.fails(function() return open "oracle://h/x" end, "no such dialect")
    t.fails(function() return open "mysql://u:hush@h/x?colour=red" end, "mysql://u:%*%*%*@h.*unknown key 'colour'")
  end,

  ["passwords do not leave the program"] = function()
    local cfg = { db = "postgresql://u:hush@h/x", db_password = "hush", list = { "mysql://u:hush@h" }, path = "a:b@c" }
    local text = sq.config.text(cfg)
    t.ok(not text:find "hush", text)
    t.ok(text:find('"a:b@c"', 1, true) and text:find("postgresql://u:***@h/x", 1, true), text)
  end,
}
