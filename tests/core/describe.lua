-- Categories and descriptions by a language model: what it is asked, what is made of its answers.
local sq = require "sqlune"
local t = require "tests.check"
local web = require "tests.web"

local function small()
  local path = t.tmpdir() .. "/a.sqlite"
  assert(sq.db.create(path, "CREATE TABLE client (id INTEGER PRIMARY KEY, born DATE);"
    .. "INSERT INTO client VALUES (7, '1990-01-02');"))
  return assert(sq.schema.read(path, { db_id = "a" }))
end

return {
  ["what is asked, and what is kept"] = function()
    local asked = {}
    local answers = {
      '```json\n{"category": "Code", "dim_or_meas": "Dimension", "description": "the number\\nof a client"}\n```',
      'Well: {"category": "Whatever", "description": "' .. ("x"):rep(200) .. '"}', '"People who buy."',
    }
    local model = { ask = function(_, question)
      asked[#asked + 1] = question
      return answers[#asked]
    end }
    local schema, counts = sq.describe.run(small(), model)
    t.eq(counts, { columns = 2, tables = 1, unread = 0 })
    t.ok(asked[1]:find("Column: id\nType: INTEGER\nComment so far: -\nExample values: 7", 1, true), asked[1])
    t.ok(asked[3]:find("(id:INTEGER, the number of a client, Primary Key, Examples: [7])", 1, true), asked[3])
    t.ok(schema:text():find("# Table: client, People who buy.\n", 1, true), schema:text())
    local saved = sq.json.decode(schema:json()).tables.client.fields
    t.eq({ saved.id.category, saved.id.dim_or_meas, saved.born.category, #saved.born.comment },
      { "Code", "Dimension", "", 60 })
    schema = sq.describe.run(schema, { ask = function() return '{"description": "new"}' end }, { language = "zh" })
    t.ok(not schema:text():find("new", 1, true))
    schema, counts = sq.describe.run(schema, { ask = function() return "no idea" end }, { replace = true })
    t.eq(counts.unread, 2)
    t.ok(schema:text():find("# Table: client, no idea\n", 1, true))
  end,

  ["an endpoint that fails in the middle goes on from its cache"] = function()
    local good = web.chat '{"category": "Code", "dim_or_meas": "Dimension", "description": "d"}'
    local server = web.start({ good, web.answer("gone", "400 Bad Request"), good, web.chat "t" })
    local o = { url = server.url, model = "m", wait = 0.01, cache = t.tmpdir() .. "/cache" }
    local schema = small()
    local model = assert(sq.llm.open(o))
    local nothing, message = sq.describe.run(schema, model)
    t.ok(nothing == nil and message:find "^column 'client.born': .*status 400", message)
    model = assert(sq.llm.open(o))
    assert(sq.describe.run(schema, model))
    t.eq({ model.asked, model.cached }, { 2, 1 })
  end,

  ["a local checkpoint answers"] = function()
    local folder = require("tests.workshop").new() .. "/model"
    local model = assert(sq.llm.open { model = folder, max_tokens = 5 })
    t.eq(type(assert(model:ask "Which name has the most total?")), "string")
    t.eq(tostring(model), ("language model %s (local)"):format(folder))
    local schema, counts = sq.describe.run(small(), model)
    t.eq({ counts.columns, counts.tables }, { 2, 1 }, schema and "" or counts)
    t.fails(function() return sq.llm.open { model = t.tmpdir() } end, "config.json")
  end,
}
