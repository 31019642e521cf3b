-- Data of others, read as it is: the original's config of data sets and its training file, 600 Cypher questions,
-- defog's questions in three dialects.
local t = require "tests.check"
local sq = require "sqlune"
local fs, json, sql = sq.fs, sq.json, sq.sql

local function quietly(fn, ...)
  sq.progress.quiet = true
  local result, message = fn(...)
  sq.progress.quiet = false
  return assert(result, message)
end

---Every byte is in one token, and the statement on one line has the same tokens.
local function check_lexer(text, dialect)
  local parts, before = {}, {}
  for i, token in ipairs(sql.tokens(text, dialect)) do parts[i] = token.text end
  t.eq(table.concat(parts), text)
  for i, token in ipairs(sql.significant(text, dialect)) do
    before[i] = token.text
    t.ok(token.kind ~= "unknown", token.text .. " in " .. text)
  end
  local after = {}
  for i, token in ipairs(sql.significant(sql.squeeze(text, dialect), dialect)) do after[i] = token.text end
  t.eq(after, before)
end

return {
  ["the original's config of data sets, unchanged, gives its prompts"] = function()
    local folder, dir = t.shared "data/xiyan", t.tmpdir()
    local config = assert(json.read(folder .. "/datasets_example.json"))
    local name = json.keys(config)[1]
    assert(fs.write(dir .. "/datasets.json", assert(fs.read(folder .. "/datasets_example.json"))))
    local items, examples = json.array {}, assert(json.read(folder .. "/train_examples.json"))
    local raw = assert(json.read(folder .. "/raw_train.json"))
    for i, one in ipairs(examples) do
      local asked = one.conversations[1].content
      items[i] = json.object("idx", i - 1, "db_name", raw[i].db_id, "question", raw[i].question, "evidence",
        raw[i].evidence, "db_schema", asked:match "【数据库schema】\n(.-)\n\n【参考信息】", "sql",
        one.conversations[2].content)
    end
    assert(json.write(fs.join(dir, fs.basename(config[name].data_path)), items))
    local summary = quietly(sq.data.assemble, { datasets = dir .. "/datasets.json", out = dir .. "/out.json",
      aug = false })
    t.eq({ summary.rows[1][1], summary.items }, { name, 221 })
    for i, one in ipairs(assert(json.read(dir .. "/out.json"))) do
      local theirs = examples[i]
      t.eq(one.conversations, theirs.conversations)
      t.eq({ one.id, one.task, one.sql_type }, { theirs.id, theirs.sql_type, "sqlite" })
    end
  end,

  ["600 Cypher questions, from raw to conversations"] = function()
    local folder, dir = t.shared "data/cypher", t.tmpdir()
    local made = quietly(sq.data.process, { raw = folder .. "/text2cypher_sample.json", dialect = "cypher",
      schemas = folder .. "/schemas.json", out = dir, skip_missing = true })
    t.ok(made.items + made.skipped == 600 and made.items > 400, made.items)
    local summary = quietly(sq.data.assemble, { datasets = made.datasets, out = dir .. "/train.json", dedupe = true })
    t.eq(summary.types[1][1], "cypher")
    t.ok(summary.items > 400)
    local list = assert(json.read(folder .. "/text2cypher_sample.json"))
    for _, item in ipairs(list) do check_lexer(item.cypher, "cypher") end
  end,

  ["defog's and BIRD's statements in three dialects"] = function()
    local files = {
      { "defog/questions_gen_%s.json", "query", { "postgres", "mysql", "sqlite" } },
      { "defog/instruct_advanced_%s.json", "query", { "postgres", "mysql", "sqlite" } },
      { "bird/mini_dev_%s.json", "SQL", { "postgresql", "mysql", "sqlite" } },
    }
    for _, file in ipairs(files) do
      for _, dialect in ipairs(file[3]) do
        for _, item in ipairs(assert(json.read(t.shared("data/" .. file[1]:format(dialect))))) do
          check_lexer(item[file[2]], dialect)
        end
      end
    end
  end,

  ["what stands in Spider's dev set is found in BIRD's and its own training questions"] = function()
    local spider = t.shared "data/spider"
    local index = assert(sq.data.contamination.read { spider .. "/dev.json" })
    local item = assert(json.read(spider .. "/dev.json"))[300]
    local kind, where = index:find { question = item.question:upper() .. " ", sql = "SELECT 1" }
    t.eq(kind, "question")
    t.ok(where:find "item 300 ", where)
    t.eq(index:find { question = "Something else entirely?", sql = item.query:gsub(" ", "  ") .. " -- c" }, "sql")
    t.eq(index:find { question = "Something else entirely?", sql = "SELECT 1" }, nil)
  end,
}
