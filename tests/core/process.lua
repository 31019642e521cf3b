-- The first step of the data pipeline: databases to schemas, raw items to items with their schema; bad input.
local t = require "tests.check"
local sq = require "sqlune"
local fs, json = sq.fs, sq.json

local function folder(raw)
  local dir = t.tmpdir()
  assert(fs.mkdir(dir .. "/db/b"))
  local script = "CREATE TABLE t(id INTEGER PRIMARY KEY, n TEXT); INSERT INTO t VALUES(1,'x')"
  assert(sq.db.create(dir .. "/db/a.sqlite", script))
  assert(sq.db.create(dir .. "/db/b/b.sqlite", "CREATE TABLE \"größe\"(m REAL)"))
  assert(json.write(dir .. "/raw.json", raw or {
    { db_id = "a", question = "q1", SQL = "SELECT n FROM t" },
    { db_name = "b", question = "q2", evidence = "e", sql = "SELECT m FROM größe" },
    { db_id = "a", question = "q3", query = "SELECT 1 FROM t", db_schema = "own" },
  }, { indent = 1 }))
  return dir
end

local function process(dir, o)
  o = o or {}
  o.raw, o.db, o.out = o.raw or dir .. "/raw.json", o.db or dir .. "/db", dir .. "/out"
  sq.progress.quiet = true
  local summary, message = sq.data.process(o)
  sq.progress.quiet = false
  return summary, message
end

local A = "【DB_ID】 a\n【Schema】\n# Table: t\n[\n(id:INTEGER, Primary Key, Examples: [1]),\n(n:TEXT, Examples: [x])\n]"

return {
  ["items, schemas and the data set's entry"] = function()
    local dir = folder()
    local summary = assert(process(dir))
    t.eq({ summary.items, summary.name }, { 3, "raw_nl2sqlite" })
    t.eq(summary.rows, { { "a", 2, 1, 2, utf8.len(A) }, { "b", 1, 1, 1, summary.rows[2][5] } })
    local items = assert(json.read(dir .. "/out/raw_nl2sqlite.json"))
    t.eq(items[1], { idx = 0, db_name = "a", question = "q1", evidence = "", db_schema = A, sql = "SELECT n FROM t" })
    t.eq(json.keys(items[1]), { "idx", "db_name", "question", "evidence", "db_schema", "sql" })
    t.eq(items[2].evidence, "e")
    t.ok(items[2].db_schema:find "# Table: größe")
    t.eq(items[3].db_schema, "own")
    t.eq(fs.read(dir .. "/out/mschema/a.txt"), A)
    t.eq(assert(sq.schema.load(dir .. "/out/mschema/a.json")):text(), A)
    local sets = assert(json.read(dir .. "/out/datasets.json"))
    t.eq(sets, { raw_nl2sqlite = { data_path = dir .. "/out/raw_nl2sqlite.json", sample_num = -1, sum_num = 3,
      task_name = "nl2sqlite", data_aug = true } })
    assert(process(dir, { name = "other", data_aug = false }))
    sets = assert(json.read(dir .. "/out/datasets.json"))
    t.eq(json.keys(sets), { "raw_nl2sqlite", "other_nl2sqlite" })
    t.eq(sets.other_nl2sqlite.data_aug, false)
  end,

  ["sets that are held out are listed as such, and are not trained on"] = function()
    local dir = folder()
    for name, split in pairs { ["train.json"] = "train", ["my-test.json"] = "test", ["dev_gold.json"] = "test",
      ["latest.json"] = "train" } do
      assert(fs.write(dir .. "/" .. name, assert(fs.read(dir .. "/raw.json"))))
      t.eq(assert(process(dir, { raw = dir .. "/" .. name })).split, split, name)
    end
    t.eq(assert(process(dir, { split = "test" })).split, "test")
    local sets = assert(json.read(dir .. "/out/datasets.json"))
    t.eq({ sets.train_nl2sqlite.split, sets.train_nl2sqlite.data_aug }, { nil, true })
    t.eq({ sets["my-test_nl2sqlite"].split, sets["my-test_nl2sqlite"].data_aug }, { "test", false })
    local function names(split)
      sq.progress.quiet = true
      local summary = assert(sq.data.assemble { datasets = dir .. "/out/datasets.json", out = dir .. "/t.json",
        aug = false, split = split })
      sq.progress.quiet = false
      local taken = {}
      for i, row in ipairs(summary.rows) do taken[i] = row[1] end
      table.sort(taken)
      return taken, #summary.left_out
    end
    local taken, left = names()
    t.eq({ taken, left }, { { "latest_nl2sqlite", "train_nl2sqlite" }, 3 })
    t.eq(names "test", { "dev_gold_nl2sqlite", "my-test_nl2sqlite", "raw_nl2sqlite" })
    t.eq(#names "all", 5)
  end,

  ["a config without the split that is wanted says what it has"] = function()
    local dir = folder()
    assert(process(dir, { split = "test" }))
    t.fails(function() return sq.data.assemble { datasets = dir .. "/out/datasets.json", out = dir .. "/t.json" } end,
      "datasets.json: no data set of the split 'train' %(raw_nl2sqlite: ask for split=test%)")
    t.ok(not fs.exists(dir .. "/t.json"))
  end,

  ["what it writes assembles"] = function()
    local dir = folder()
    local function assemble(aug)
      sq.progress.quiet = true
      local summary, message = sq.data.assemble { datasets = dir .. "/out/datasets.json", out = dir .. "/train.json",
        aug = aug }
      sq.progress.quiet = false
      return summary, message
    end
    assert(process(dir))
    t.fails(function() return assemble(true) end, "item 3 .*'db_schema' is not an M%-Schema text")
    t.eq(assert(assemble(false)).items, 3)
    t.eq(assert(json.read(dir .. "/train.json"))[2].db_name, "b")
  end,

  ["items without a database can be left out"] = function()
    local dir = folder { { db_id = "c", question = "q", SQL = "x" }, { db_id = "a", question = "q", SQL = "SELECT 1" } }
    local summary = assert(process(dir, { skip_missing = true }))
    t.eq({ summary.items, summary.skipped }, { 1, 1 })
    t.eq(assert(json.read(dir .. "/out/raw_nl2sqlite.json"))[1].idx, 0)
  end,

  ["a dry run writes nothing"] = function()
    local dir = folder()
    t.eq(assert(process(dir, { dry_run = true })).items, 3)
    t.ok(not fs.exists(dir .. "/out"))
  end,

  ["bad input names file and item, and leaves no items"] = function()
    local function fails(raw, pattern, o)
      local dir = folder(raw)
      local summary, message = process(dir, o)
      t.eq(summary, nil)
      t.ok(message:find(pattern), message)
      t.ok(not fs.exists(dir .. "/out/raw_nl2sqlite.json"))
      t.ok(not fs.exists(dir .. "/out/datasets.json"))
    end
    local good = { db_id = "a", question = "q", SQL = "SELECT 1" }
    fails({ good, { db_id = "a", question = "q" } }, "raw.json: item 2 %(line %d+%): no SQL: neither 'SQL' nor")
    fails({ { db_id = "a", question = "q", SQL = " " } }, "no SQL")
    fails({ { question = "q", SQL = "x" } }, "no database: neither 'db_name' nor 'db_id'")
    fails({ { db_id = "a", SQL = "x" } }, "no 'question'")
    fails({ { db_id = "a", question = 3, SQL = "x" } }, "'question' is a number, not a text")
    fails({ { db_id = "c", question = "q", SQL = "x" } }, "item 1 .*: no database 'c': neither .*/c/c.sqlite nor")
    fails({ { db_id = "../db/a", question = "q", SQL = "x" } }, "is not a name of a database")
    fails(json.array {}, "no items")
    fails({ { db_id = "c", question = "q", SQL = "x" } }, "no items", { skip_missing = true })
    local dir = folder { good }
    assert(fs.write(dir .. "/db/a.sqlite", "this is not a database, however long it may be"))
    local _, message = process(dir)
    t.ok(message:find "item 1 .*database 'a'", message)
    _, message = process(dir, { raw = dir .. "/none.json" })
    t.ok(message:find "none.json", message)
    _, message = process(dir, { db = dir .. "/none" })
    t.ok(message:find "no database, folder or connection file", message)
  end,
}
