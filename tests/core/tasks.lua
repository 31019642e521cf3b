-- Every task of training data, from raw items to conversations: prompts in both languages, answers, types, bad input.
local t = require "tests.check"
local sq = require "sqlune"
local fs, json = sq.fs, sq.json

local SCHEMA = "【DB_ID】 shop\n【Schema】\n# Table: customer\n[\n(id:INTEGER, Primary Key, Examples: [1, 2]),\n"
  .. "(name:TEXT, Examples: [O'Brien, Zoë]),\n(city:TEXT)\n]\n# Table: log\n[\n(line:TEXT),\n(day:DATE)\n]"
local GRAPH = "Node properties:\n- **Movie**\n  - `title`: STRING"

local RAW = {
  nl2sqlite = {}, nl2postgresql = {}, nl2mysql = {}, generic = {},
  cypher = { sql = "MATCH (m:Movie) // all\nRETURN m.title" },
  ngql = { sql = "MATCH (m:Movie)--(n) RETURN m -- all\n" },
  self_refine = { pred_sql_res = { "SELECT line FROM customer", "no such column: line" } },
  sql2select = { answer = 2, candidates = { { sql = "SELECT 1", result = "1" },
    { sql = "SELECT name FROM customer", result = "x" } } },
  question_inference = { questions = { "Who buys?", "Names of customers?" } },
  evidence_inference = { evidences = { "city is where", "name is what one is called" }, answer = 1 },
}

local function raw_item(task)
  local item = { db_name = "shop", question = "Names?", evidence = "e1", db_schema = SCHEMA,
    sql = "SELECT name\nFROM customer -- all" }
  for key, value in pairs(RAW[task]) do item[key] = value end
  if task == "sql2select" then item.sql = nil end
  if task == "cypher" or task == "ngql" then item.db_schema = GRAPH end
  return item
end

---What assemble makes of one item of a task.
local function conversation(task, o)
  local dir = t.tmpdir()
  assert(json.write(dir .. "/items.json", { o.item or raw_item(task) }))
  assert(json.write(dir .. "/sets.json", { one = { data_path = "items.json", task_name = task, dialect = o.dialect,
    data_aug = o.aug or false, prompt = o.prompt } }))
  sq.progress.quiet = true
  local summary, message = sq.data.assemble { datasets = dir .. "/sets.json", out = dir .. "/out.json", seed = o.seed }
  sq.progress.quiet = false
  if not summary then return nil, message end
  local one = assert(json.read(dir .. "/out.json"))[1]
  return one, one.conversations[1].content, one.conversations[2] and one.conversations[2].content
end

local ANSWERS = {
  cypher = "MATCH (m:Movie) // all\nRETURN m.title", ngql = "MATCH (m:Movie)--(n) RETURN m -- all\n",
  sql2select = { zh = "候选2", en = "Candidate 2" }, question_inference = "Who buys?\nNames of customers?",
  evidence_inference = "city is where",
}
local TYPES = { nl2postgresql = "postgresql", nl2mysql = "mysql", cypher = "cypher", ngql = "ngql" }
local EXPERTS = { nl2sqlite = "SQLite", nl2postgresql = "PostgreSQL", nl2mysql = "MySQL", cypher = "Neo4j",
  ngql = "NebulaGraph", generic = "SQL", self_refine = "SQLite", sql2select = "SQLite", question_inference = "SQLite",
  evidence_inference = "SQLite" }

return {
  ["every task in both languages"] = function()
    for _, task in ipairs(sq.data.tasks.names) do
      for _, language in ipairs { "zh", "en" } do
        local one, asked, answer = conversation(task, { prompt = language })
        t.ok(one, asked)
        t.eq({ one.task, one.sql_type }, { task, TYPES[task] or "sqlite" })
        local begins = (language == "zh" and "你是一名%s专家" or "You are an? %s expert"):format(EXPERTS[task])
        t.ok(asked:find("^" .. begins), asked)
        t.ok(asked:find(task == "cypher" and GRAPH or task == "ngql" and GRAPH or SCHEMA, 1, true), asked)
        t.ok(not asked:find "{%a", asked)
        local expected = ANSWERS[task] or raw_item(task).sql
        t.eq(answer, type(expected) == "table" and expected[language] or expected)
      end
    end
  end,

  ["the layouts that the original's spec gives"] = function()
    local tail = "\n\n【参考信息】\ne1\n\n【用户问题】\nNames?"
    local _, asked = conversation("self_refine", {})
    t.ok(asked:find("\n\n【数据库schema】\n" .. SCHEMA .. tail .. "\n\n【SQL】\nSELECT line FROM customer\n\n"
      .. "【执行结果】\nno such column: line\n\n【更正SQL】\n```sql", 1, true), asked)
    _, asked = conversation("sql2select", {})
    t.ok(asked:find("\n\n【数据库schema】\n" .. SCHEMA .. tail .. "\n\n==========\n\n候选1\n【SQL】\nSELECT 1\n"
      .. "【执行结果】\n1\n候选2\n【SQL】\nSELECT name FROM customer\n【执行结果】\nx\n\n请输出所选择的候选是候选1, 候选2", 1, true), asked)
    t.ok(asked:find "给出了2条候选SQL")
    _, asked = conversation("cypher", {})
    t.ok(asked:find("\n\n【图数据库schema】\n" .. GRAPH, 1, true) and asked:find "```cypher$", asked)
    _, asked = conversation("ngql", {})
    t.ok(asked:find "```ngql$", asked)
    _, asked = conversation("generic", {})
    t.ok(asked:find("描述，可能用到的【参考信息】", 1, true) and asked:find "```sql$", asked)
  end,

  ["augmentation keeps what any statement of an item needs"] = function()
    for seed = 1, 30 do
      local one, asked, answer = conversation("self_refine", { aug = true, seed = seed })
      t.ok(one, asked)
      t.eq(answer, "SELECT name FROM customer")
      t.ok(asked:find("(name:TEXT", 1, true))
      local _, chosen = conversation("sql2select", { aug = true, seed = seed, prompt = "en" })
      t.ok(chosen:find("(name:TEXT", 1, true))
    end
    local _, asked, answer = conversation("cypher", { aug = true })
    t.ok(asked:find(GRAPH, 1, true))
    t.eq(answer, "MATCH (m:Movie) RETURN m.title")
    _, _, answer = conversation("ngql", { aug = true })
    t.eq(answer, "MATCH (m:Movie)--(n) RETURN m")
  end,

  ["tasks over another dialect"] = function()
    local one, asked = conversation("self_refine", { dialect = "mysql" })
    t.eq(one.sql_type, "mysql")
    t.ok(asked:find "^你是一名MySQL专家")
  end,

  ["a test set does not know the answer"] = function()
    local item = raw_item "sql2select"
    item.answer = nil
    local one = conversation("sql2select", { item = item })
    t.eq(#one.conversations, 1)
  end,

  ["what an item lacks is named"] = function()
    local function wrong(task, key, value, pattern)
      local item = raw_item(task)
      item[key] = value
      local one, message = conversation(task, { item = item })
      t.eq(one, nil)
      t.ok(message:find("items.json: item 1 (line 1): ", 1, true) and message:find(pattern), message)
    end
    wrong("self_refine", "pred_sql_res", nil, "'pred_sql_res' is missing")
    wrong("self_refine", "pred_sql_res", { "a" }, "not a list of a statement and its result")
    wrong("sql2select", "candidates", json.array {}, "'candidates' is missing, or not a list")
    wrong("sql2select", "candidates", { { sql = "x" } }, "candidate 1 has no 'sql' or no 'result'")
    wrong("sql2select", "answer", 3, "'answer' is not a place of 1 … 2")
    wrong("evidence_inference", "evidences", nil, "'evidences' is missing")
    wrong("evidence_inference", "answer", "1", "'answer' is not a place")
    wrong("question_inference", "questions", "q", "'questions' is not a list")
    wrong("cypher", "sql", nil, "'sql' is missing")
  end,

  ["process for graphs: schemas are texts"] = function()
    local dir = t.tmpdir()
    sq.progress.quiet = true
    assert(json.write(dir .. "/raw.json", { { db_name = "movies", question = "q", cypher = "MATCH (m) RETURN m" } }))
    assert(json.write(dir .. "/schemas.json", { movies = GRAPH }))
    local o = { raw = dir .. "/raw.json", schemas = dir .. "/schemas.json", dialect = "cypher", out = dir .. "/out" }
    local summary = assert(sq.data.process(o))
    t.eq(summary.name, "raw_cypher")
    t.eq(assert(json.read(summary.path))[1], { idx = 0, db_name = "movies", question = "q", evidence = "",
      db_schema = GRAPH, sql = "MATCH (m) RETURN m" })
    t.eq(assert(json.read(summary.datasets)).raw_cypher.task_name, "cypher")
    assert(fs.mkdir(dir .. "/texts"))
    assert(fs.write(dir .. "/texts/movies.txt", GRAPH))
    o.schemas = dir .. "/texts"
    t.eq(assert(sq.data.process(o)).items, 1)
    assert(json.write(dir .. "/schemas.json", { other = GRAPH }))
    o.schemas = dir .. "/schemas.json"
    t.fails(function() return sq.data.process(o) end, "item 1 .*no schema of 'movies' in .*schemas.json")
    o.schemas = nil
    t.fails(function() return sq.data.process(o) end, "no schema of 'movies' in the items: give 'db' or 'schemas'")
    o.dialect = "cyper"
    t.fails(function() return sq.data.process(o) end, "no task 'nl2sql' over 'cyper'")
    sq.progress.quiet = false
  end,

  ["process for evidence inference draws candidates"] = function()
    local dir, raw = t.tmpdir(), {}
    for n = 1, 60 do
      raw[n] = { db_name = n % 2 == 0 and "a" or "b", question = "q" .. n, SQL = "SELECT 1", db_schema = SCHEMA,
        evidence = n % 5 == 0 and "" or "evidence " .. n }
    end
    sq.progress.quiet = true
    assert(json.write(dir .. "/raw.json", raw))
    local o = { raw = dir .. "/raw.json", task = "evidence_inference", out = dir .. "/out" }
    local summary = assert(sq.data.process(o))
    t.eq({ summary.items, summary.without_evidence }, { 48, 12 })
    local first, places = assert(json.read(summary.path)), {}
    for _, item in ipairs(first) do
      t.eq(#item.evidences, 4)
      t.eq(item.evidences[item.answer], item.evidence)
      places[item.answer] = (places[item.answer] or 0) + 1
      local known = {}
      for _, text in ipairs(item.evidences) do
        t.ok(not known[text])
        known[text] = true
      end
    end
    for place = 1, 4 do t.ok((places[place] or 0) >= 4, "the right one is in any place") end
    assert(sq.data.process(o))
    t.eq(assert(json.read(summary.path)), first)
    local made = assert(sq.data.assemble { datasets = summary.datasets, out = dir .. "/train.json" })
    t.eq(made.items, 48)
    sq.progress.quiet = false
  end,
}
