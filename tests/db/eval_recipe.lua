-- sqlune eval from the shell: its table, its files, its messages, its interrupt.
local t = require "tests.check"
local sq = require "sqlune"
local fs, json = sq.fs, sq.json

local function run(arguments)
  local pipe = io.popen(("env -u COLUMNS NO_COLOR=1 %s eval %s 2>&1; echo \"[$?]\""):format(arg[-1], arguments))
  local text = pipe:read "a"
  pipe:close()
  local output, code = text:match "^(.*)%[(%d+)%]\n$"
  return output, tonumber(code)
end

local function folder()
  local dir = t.tmpdir()
  assert(fs.mkdir(dir .. "/db/shop"))
  assert(sq.db.create(dir .. "/db/shop/shop.sqlite",
    "CREATE TABLE item (id INTEGER, name TEXT); INSERT INTO item VALUES (1, '<b>pen</b>'), (2, 'ink')"))
  assert(sq.db.create(dir .. "/db/library.sqlite", "CREATE TABLE book (title TEXT); INSERT INTO book VALUES ('Emma')"))
  assert(fs.write(dir .. "/conn.json", '{"db_host": "db", "db_port": "5432", "dialect": "sqlite"}'))
  return dir
end

local function item(name, gold, pred)
  return json.object("idx", 0, "db_name", name, "question", "What <is> it?", "sql", gold, "pred_sql", pred)
end

local function write(dir, items)
  assert(json.write(dir .. "/pred.json", json.array(items), { indent = 1 }))
end

return {
  ["table, eval.json and report.html"] = function()
    local dir = folder()
    write(dir, {
      item("shop", "SELECT name FROM item", "```sql\nSELECT name FROM item\n```"),
      item("shop", "SELECT name FROM item", "SELECT id FROM item"),
      item("shop", "SELECT name FROM item", "SELECT nam FROM item"),
      item("library", "SELECT title FROM book", "SELECT title FROM book"),
      item("library", "SELECT titl FROM book", "SELECT title FROM book"),
      item("museum", "SELECT 1", "SELECT 1"),
    })
    local text, code = run(("pred=%s/pred.json db=%s/conn.json out=%s/out --quiet"):format(dir, dir, dir))
    t.eq(code, 0, text)
    t.eq(text, [[
  database  items     ex  ex_bird  executable  wrong  error  timeout  gold error
  shop          3   33.3     33.3        66.7      1      1        0           0
  library       2  100.0    100.0       100.0      0      0        0           1
  museum        1      –        –           –      0      0        0           1
  all           6   50.0     50.0        75.0      1      1        0           2
  ex_ordered 50.0   soft_f1 50.0   ex_xiyan 50.0   ex_spider 50.0
  95% interval of ex: 0.0 … 100.0     report: ]] .. dir .. "/out/report.html\n")
    for line in text:gmatch "[^\n]+" do
      if not line:find "report:" then t.ok(sq.term.width(line) <= 80, line) end
    end
    local result = assert(json.read(dir .. "/out/eval.json"))
    local verdicts = {}
    for i, line in ipairs(result.items) do verdicts[i] = line.verdict end
    t.eq(verdicts, { "correct", "wrong", "error", "correct", "gold_error", "gold_error" })
    t.eq(result.items[1].pred_sql, "SELECT name FROM item")
    t.eq({ result.summary.all.items, result.summary.all.scored }, { 6, 4 })
    t.ok(result.items[6].gold_error:find "museum")
    local page = assert(fs.read(dir .. "/out/report.html"))
    t.ok(page:find("&lt;b&gt;pen&lt;/b&gt;", 1, true) and page:find("What &lt;is&gt; it?", 1, true))
    t.eq(page:find("<b>pen", 1, true), nil)
    text, code = run(("%s/pred.json %s/db out=%s/out --json --quiet"):format(dir, dir, dir))
    t.eq(code, 0, text)
    t.eq(assert(json.decode(text)).all.correct, 2)
  end,

  ["gold from another file"] = function()
    local dir = folder()
    write(dir, { json.object("pred_sql", "SELECT name FROM item"), json.object("pred_sql", json.null) })
    assert(fs.write(dir .. "/gold.jsonl", '{"db_id": "shop", "SQL": "SELECT name FROM item"}\n'
      .. '{"db_id": "shop", "query": "SELECT 1"}\n'))
    local arguments = ("pred=@/pred.json gold=@/gold.jsonl db=@/db out=@/out --quiet --json"):gsub("@", dir)
    local text, code = run(arguments)
    t.eq(code, 0, text)
    local all = assert(json.decode(text)).all
    t.eq({ all.correct, all.error }, { 1, 1 })
    assert(fs.append(dir .. "/gold.jsonl", '{"db_id": "shop", "query": "SELECT 1"}\n'))
    text, code = run(arguments)
    t.ok(code == 1 and text:find "has 2 items, .*gold.jsonl has 3", text)
  end,

  ["messages name the file and the item"] = function()
    local dir = folder()
    local function says(pattern, arguments)
      local text, code = run(arguments or ("pred=%s/pred.json db=%s/db out=%s/out"):format(dir, dir, dir))
      t.ok(code == 1 or code == 2, text)
      t.ok(text:find("^sqlune eval: ") and text:find(pattern), text)
      t.ok(not fs.exists(dir .. "/out"), "something was written")
    end
    write(dir, { item("shop", "SELECT 1", "SELECT 1"), json.object("db_name", "shop", "sql", "SELECT 1") })
    says "pred%.json: item 2 %(line 9%): 'pred_sql' is missing"
    write(dir, { json.object("db_name", "shop", "pred_sql", "SELECT 1") })
    says "item 1 %(line 2%): 'sql' is missing"
    write(dir, { json.object("sql", "SELECT 1", "pred_sql", "SELECT 1") })
    says "item 1 %(line 2%): 'db_name' is missing"
    write(dir, { item("shop", "SELECT 1", 7) })
    says "'pred_sql' is a number, not a text"
    write(dir, {})
    says "pred%.json: no items"
    assert(fs.write(dir .. "/pred.json", '[{"pred_sql": "SELECT 1"'))
    says "pred%.json"
    says("absent%.json", ("pred=%s/absent.json db=%s/db out=%s/out"):format(dir, dir, dir))
    write(dir, { item("shop", "SELECT 1", "SELECT 1") })
    says("absent", ("pred=%s/pred.json db=%s/absent out=%s/out"):format(dir, dir, dir))
    says("did you mean 'timeout'", ("pred=%s/pred.json db=%s/db timeoot=3"):format(dir, dir))
  end,

  ["an interrupt ends it at once, with nothing half-written"] = function()
    local dir = folder()
    local endless = "WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM t) SELECT max(x) FROM t"
    write(dir, { item("shop", "SELECT 1", endless), item("shop", "SELECT 1", endless .. " WHERE x < 0") })
    local started = sq.sys.clock()
    local command = "timeout -s INT -k 10 1 " .. arg[-1] .. " eval pred=@/pred.json db=@/db out=@/out --quiet 2>&1"
    local pipe = io.popen(command:gsub("@", dir) .. '; echo "[$?]"')
    local text = pipe:read "a"
    pipe:close()
    t.ok(text:find "%[124%]" or text:find "%[130%]", text) -- timeout says 124 when its signal ended the command
    t.ok(sq.sys.clock() - started < 8, "not before timeout -k killed it")
    t.eq(assert(fs.list(dir .. "/out")), {}) -- not even a journal: nothing was judged
  end,

  ["breakdowns, a list to leave out, several golds, rounds, a cache"] = function()
    local dir = folder()
    local items = {}
    for i, more in ipairs {
      { "simple", json.array { "SELECT 9", "SELECT id FROM item" }, "SELECT id FROM item" },
      { "hard", "SELECT name FROM item ORDER BY id", "SELECT name FROM item ORDER BY id DESC" },
      { "hard", "SELECT id FROM item GROUP BY id", "SELECT 0.1 + id - 0.1 FROM item" },
      { "simple", "SELECT count(*) FROM item", "nothing" },
    } do
      items[i] = json.object("question_id", "q" .. i, "db_id", "shop", "difficulty", more[1], "sql", more[2],
        "pred_sql", more[3])
    end
    write(dir, items)
    assert(fs.write(dir .. "/bad.txt", "q4 # a broken question\n\n"))
    local arguments = ("pred=@/pred.json db=@/db out=@/out leave_out=@/bad.txt by=difficulty,feature rounds=3 "
      .. "tolerance=1e-9 cache=@/cache --quiet"):gsub("@", dir)
    local text, code = run(arguments)
    t.eq(code, 0, text)
    t.ok(text:find("  difficulty  items     ex  ex_bird   exec  wrong  error  timeout  gold\n"
      .. "  simple          2   50.0     50.0   50.0      0      1        0     0\n"
      .. "  hard            2  100.0    100.0  100.0      0      0        0     0\n", 1, true), text)
    t.ok(text:find("  group          1  100.0", 1, true) and text:find("  aggregate      1    0.0", 1, true), text)
    t.ok(text:find("  ex_ordered 50.0   soft_f1 ", 1, true) and text:find("r_ves", 1, true), text)
    t.ok(text:find("  without the 1 of " .. dir .. "/bad.txt: ex 100.0   ex_bird 100.0   of 3 items\n", 1, true), text)
    local result = assert(json.read(dir .. "/out/eval.json"))
    t.eq({ result.items[1].reference, result.items[1].id, result.items[2].ex_ordered }, { 2, "q1", false })
    t.eq({ result.summary.left_out.rest.ex, result.summary.difficulties.simple.items }, { 100.0, 2 })
    t.ok(result.items[1].reward and not result.items[2].gold_cached)
    local again
    again, code = run(arguments)
    t.eq(code, 0, again)
    t.eq(assert(json.read(dir .. "/out/eval.json")).items[2].gold_cached, true)
    text, code = run(arguments .. " by=diffculty")
    t.ok(code == 1 and text:find "did you mean 'difficulty'", text)
    text, code = run(arguments .. " postprocess=sqlnue")
    t.ok(code ~= 0 and text:find "postprocess", text)
  end,

  ["every database of a folder, as test suites want it"] = function()
    local dir = folder()
    assert(sq.db.create(dir .. "/db/shop/shop_2.sqlite", "CREATE TABLE item (id INTEGER, name TEXT); "
      .. "INSERT INTO item VALUES (1, 'a'), (5, 'b')"))
    write(dir, { item("shop", "SELECT max(id) FROM item", "SELECT 2"),
      item("shop", "SELECT name FROM item ORDER BY id LIMIT 1; SELECT 2", "SELECT name FROM item WHERE id = 1") })
    local arguments = ("pred=@/pred.json db=@/db out=@/out --quiet --json"):gsub("@", dir)
    local text = run(arguments .. " postprocess=testsuite")
    t.eq(assert(json.decode(text)).all.correct, 2, text)
    text = run(arguments .. " postprocess=testsuite suite=true")
    local all = assert(json.decode(text)).all
    t.eq({ all.correct, all.wrong, all.gold_error, all.ex_spider }, { 1, 1, 0, 50.0 }, text)
  end,
}
