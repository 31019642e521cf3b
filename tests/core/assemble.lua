-- What assemble chooses and leaves out: weights, duplicates, lengths, databases held out, benchmarks; the table at the
-- end; the same file whatever the number of workers.
local t = require "tests.check"
local sq = require "sqlune"
local fs, json = sq.fs, sq.json

local function schema(name)
  return ("【DB_ID】 %s\n【Schema】\n# Table: customer\n[\n(id:INTEGER, Primary Key),\n(name:TEXT, Examples: [Zoë]),\n"
    .. "(city:TEXT)\n]\n# Table: log\n[\n(line:TEXT),\n(hour:TEXT)\n]"):format(name)
end

---40 items of 8 databases; items 5 and 6 are alike but for blanks, comments and capitals of the question.
local function item(n)
  return { db_name = "db" .. n % 8, question = ("What is the name of customer number %d, please?"):format(n),
    evidence = "", db_schema = schema("db" .. n % 8), sql = "SELECT name FROM customer WHERE id = " .. n }
end

local function folder(entries)
  local dir, list = t.tmpdir(), {}
  for n = 1, 40 do list[n] = item(n) end
  list[41] = { db_name = "db5", question = "WHAT is the name of customer number 5 please", evidence = "",
    db_schema = schema "db5", sql = "SELECT name  FROM customer WHERE id = 5; -- again" }
  assert(json.write(dir .. "/items.json", list))
  local sets = json.object()
  for _, entry in ipairs(entries or { { "one", {} } }) do
    entry[2].data_path = "items.json"
    sets[entry[1]] = entry[2]
  end
  assert(json.write(dir .. "/sets.json", sets))
  return dir
end

local function assemble(dir, o)
  o = o or {}
  o.datasets, o.out = dir .. "/sets.json", dir .. "/out.json"
  sq.progress.quiet = true
  local summary, message = sq.data.assemble(o)
  sq.progress.quiet = false
  return summary, message, summary and assert(json.read(o.out))
end

---A folder with a byte-level tokenizer; its template is ChatML.
local function tokenizer(dir)
  assert(fs.mkdir(dir .. "/model"))
  assert(sq.tokenizer.train { texts = { schema "a" }, vocab_size = 300, path = dir .. "/model/tokenizer.json",
    special = { "<|im_start|>", "<|im_end|>" } })
  return dir .. "/model"
end

return {
  ["one file for 1, 2, 3 and 5 workers"] = function()
    local dir, first = folder { { "a", { weight = 1.5 } }, { "b", { sample_num = 30, prompt = "en" } } }, nil
    for _, workers in ipairs { 1, 2, 3, 5 } do
      assert(assemble(dir, { workers = workers, seed = 3, dedupe = true, held_out = 0.3,
        held_out_file = dir .. "/held.json" }))
      local digest = fs.sha256(dir .. "/out.json") .. fs.sha256(dir .. "/held.json")
      first = first or digest
      t.eq(digest, first)
    end
  end,

  ["a wrong item is named, whoever met it"] = function()
    local dir = folder()
    local list = assert(json.read(dir .. "/items.json"))
    list[33].sql = nil
    list[39].question = nil
    assert(json.write(dir .. "/items.json", list, { indent = 1 }))
    for workers = 1, 3 do
      local summary, message = assemble(dir, { workers = workers })
      t.eq(summary, nil)
      t.ok(message:find "items.json: item 33 %(line %d+%): 'sql' is missing$", message)
      t.ok(not fs.exists(dir .. "/out.json"))
    end
  end,

  ["weights"] = function()
    local summary, _, list = assemble(folder { { "one", { weight = 2.5 } } })
    local seen, drawn = {}, 0
    for _, one in ipairs(list) do seen[one.question] = (seen[one.question] or 0) + 1 end
    for _, n in pairs(seen) do
      t.ok(n == 2 or n == 3)
      drawn = drawn + n - 2
    end
    t.near(drawn, 20.5, 16) -- five standard deviations of 41 draws
    t.eq(summary.items, #list)
    local texts, differ = {}, 0
    for _, one in ipairs(list) do
      local before = texts[one.question]
      if before and before ~= one.conversations[1].content then differ = differ + 1 end
      texts[one.question] = one.conversations[1].content
    end
    t.ok(differ > 20, "each draw is augmented anew")
    local half = assemble(folder { { "one", { weight = 0.5 } } })
    t.near(half.items, 20.5, 16)
    t.eq(half.rows[1][5], ("%d not drawn"):format(41 - half.items))
  end,

  ["duplicates"] = function()
    local summary, _, list = assemble(folder(), { dedupe = true })
    t.eq({ summary.items, summary.rows[1][4], summary.rows[1][5], #list }, { 40, 41, "1 duplicate", 40 })
    t.eq(assemble(folder()).items, 41)
    -- the second data set brings nothing new
    summary = assemble(folder { { "a", {} }, { "b", {} } }, { dedupe = true })
    t.eq({ summary.rows[1][6], summary.rows[2][6], summary.rows[2][5] }, { 40, 0, "41 duplicate" })
  end,

  ["databases held out"] = function()
    local dir = folder()
    local summary, _, list = assemble(dir, { held_out = 0.25, held_out_file = dir .. "/held.json" })
    local held, names, count = assert(json.read(dir .. "/held.json")), {}, 0
    t.eq({ summary.items + summary.held_out, #list, #held }, { 41, summary.items, summary.held_out })
    for _, one in ipairs(held) do
      if not names[one.db_name] then count = count + 1 end
      names[one.db_name] = true
      t.eq(one.conversations[2].content, one.sql, "not augmented")
      t.ok(one.conversations[1].content:find(schema(one.db_name), 1, true))
    end
    t.eq(count, 2)
    for _, one in ipairs(list) do t.ok(not names[one.db_name]) end
    t.fails(function() return assemble(dir, { held_out = 0.1 }) end, "'held_out' wants 'held_out_file'")
  end,

  ["benchmarks"] = function()
    local dir = folder()
    assert(json.write(dir .. "/dev.json", { { question = "what is the NAME of customer number 7 - please" },
      { question = "Another one", SQL = "select name from customer /* c */ where id = 9" } }))
    local summary, _, list = assemble(dir, { against = { dir .. "/dev.json" } })
    t.eq(#list, 41)
    t.eq(#summary.contaminated, 2)
    t.eq(json.keys(summary.contaminated[1]), { "item", "data_set", "shares", "with" })
    t.ok(summary.contaminated[1].item:find "item 7 " and summary.contaminated[1].with:find "dev.json: item 1 ")
    t.eq({ summary.contaminated[1].shares, summary.contaminated[2].shares }, { "question", "sql" })
    t.eq(#assert(json.read(dir .. "/out.json.contamination.json")), 2)
    summary, _, list = assemble(dir, { against = { dir .. "/dev.json" }, contamination = "drop" })
    t.eq({ #list, summary.rows[1][5] }, { 39, "2 in a benchmark" })
    assert(json.write(dir .. "/dev.json", { { SQL = "x" } }))
    t.fails(function() return assemble(dir, { against = { dir .. "/dev.json" } }) end, "dev.json: item 1 .*'question'")
  end,

  ["lengths in tokens, and what is trimmed"] = function()
    local dir = folder()
    local folder_of = tokenizer(dir)
    local whole = assemble(dir, { tokenizer = folder_of, aug = false })
    t.eq(whole.columns[9], "tokens p50")
    local p50, p95 = whole.rows[1][9], whole.rows[1][10]
    t.ok(p50 > 100 and p95 >= p50)
    local limit = p50 - 12
    local cut = select(2, assemble(dir, { tokenizer = folder_of, aug = false, max_length = limit }))
    t.ok(cut and cut:find "no items", cut)
    local trimmed, _, list = assemble(dir, { tokenizer = folder_of, aug = false, max_length = limit, trim = true })
    t.eq({ trimmed.items, trimmed.rows[1][5] }, { 40, "1 too long" }) -- the last has a long answer, which stays whole
    t.ok(trimmed.rows[1][10] <= limit)
    for _, one in ipairs(list) do
      local asked = one.conversations[1].content
      t.ok(asked:find("(name:TEXT", 1, true) and asked:find("(id:INTEGER, Primary Key)", 1, true), asked)
      t.eq(one.conversations[2].content, one.sql)
    end
    t.fails(function() return assemble(dir, { max_length = 5 }) end, "'max_length' counts tokens: 'tokenizer' says")
    t.fails(function() return assemble(dir, { tokenizer = dir .. "/none" }) end, "none")
  end,

  ["sql_types are summed up"] = function()
    local summary = assemble(folder { { "a", { task_name = "nl2mysql" } }, { "b", {} },
      { "c", { task_name = "generic", dialect = "mysql" } } })
    t.eq({ summary.types[1][1], summary.types[1][2], summary.types[2][1], summary.types[2][2] },
      { "mysql", 82, "sqlite", 41 })
  end,
}
