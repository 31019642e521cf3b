-- Comments of tables and columns from BIRD's descriptions and from tables.json, with all that is odd in such files.
local sq = require "sqlune"
local t = require "tests.check"
local comments, csv, fs = sq.comments, sq.csv, sq.fs

local function schema_of(script)
  local path = t.tmpdir() .. "/a.sqlite"
  assert(sq.db.create(path, script))
  return assert(sq.schema.read(path, { db_id = "a" }))
end

return {
  ["CSV as people write it"] = function()
    local rows, open = csv.parse('a,b\r\n1,"x, ""y""\nz"\n\n,\r3,"unclosed\n')
    t.eq(rows, { { "a", "b" }, { "1", 'x, "y"\nz' }, { "", "" }, { "3", "unclosed\n" } })
    t.eq(open, true)
    t.eq((csv.parse "a;b\n1;2"), { { "a", "b" }, { "1", "2" } })
    t.eq((csv.parse "a\tb\n1\t"), { { "a", "b" }, { "1", "" } })
    t.eq((csv.parse ""), {})
    t.eq(csv.decode "\xEF\xBB\xBFé", "é")
    t.eq(csv.decode "caf\xE9 \x93x\x94 \x80", "café “x” €")
    t.eq(csv.decode "\xFF\xFEa\0\x3D\xD8\0\xDE", "a😀")
  end,

  ["BIRD's descriptions"] = function()
    local folder = t.tmpdir()
    assert(fs.mkdir(folder .. "/database_description"))
    assert(fs.write(folder .. "/database_description/Client.csv", "\xEF\xBB\xBForiginal_column_name,column_name,"
      .. 'column_description,data_format,value_description\nID,client id,"the number\nof the client",integer,\n'
      .. 'Sex,,,text,"F: female\nM: male"\nborn ,birth date,,date,\nghost,,who knows,text,\n,,lost,,,surplus\n'))
    assert(fs.write(folder .. "/database_description/shop.csv", "original_column_name,column_name,column_description\n"
      .. "name,,caf\xE9 or shop\n"))
    assert(fs.write(folder .. "/database_description/nothing.csv", "something,else\n1,2\n"))
    assert(fs.write(folder .. "/database_description/notes.txt", "x"))
    local schema = schema_of [[CREATE TABLE client (id INTEGER PRIMARY KEY, sex TEXT, born DATE, name TEXT);
      CREATE TABLE Shop (Name TEXT, x INT);]]
    local found = assert(comments.open(folder, "a", { mappings = true }))
    t.eq(#found.warnings, 3, table.concat(found.warnings, "\n"))
    local with, warnings = comments.apply(schema, found)
    t.eq(warnings, { "table 'client' has no column 'ghost'" })
    local text = with:text()
    t.ok(text:find("(id:INTEGER, the number of the client, Primary Key)", 1, true), text)
    t.ok(text:find("(sex:TEXT, F表示female,M表示male)", 1, true), text)
    t.ok(text:find("(born:DATE, birth date)", 1, true), text)
    t.ok(text:find("(Name:TEXT, café or shop)", 1, true), text)
    t.eq(schema:text():find "café", nil)
    local again = comments.apply(with, { tables = { client = "people" }, mappings = {}, warnings = {},
      columns = { client = { id = "other" } } })
    t.ok(again:text():find("# Table: client, people", 1, true) and not again:text():find("other", 1, true))
    again = comments.apply(with, { tables = {}, mappings = {}, warnings = {}, columns = { client = { id = "other" } } },
      { replace = true })
    t.ok(again:text():find("(id:INTEGER, other, Primary Key)", 1, true))
    t.fails(function() return comments.bird(t.tmpdir()) end, "no .csv file")
  end,

  ["tables.json"] = function()
    local path = t.tmpdir() .. "/tables.json"
    assert(sq.json.write(path, sq.json.decode [==[[{"db_id": "a", "table_names_original": ["client", "t2"],
      "table_names": ["people who buy", "t2"], "column_names_original": [[-1, "*"], [0, "cid"],
      [0, "born_at"], [1, "x"]],
      "column_names": [[-1, "*"], [0, "client number"], [0, "born at"], [1, "x"]]}]]==]))
    local schema = schema_of "CREATE TABLE client (cid INT, born_at DATE); CREATE TABLE t2 (x INT);"
    local text = comments.apply(schema, assert(comments.open(path, "a"))):text()
    t.ok(text:find("# Table: client, people who buy\n[\n(cid:INTEGER, client number),\n(born_at:DATE)\n]", 1, true),
      text)
    t.eq(comments.open(path, "b"), nil)
    local bird = t.shared "data/bird/dev_tables.json"
    local all = assert(comments.tables_json(bird))
    local count = 0
    for _, one in pairs(all) do
      t.eq(one.warnings, {})
      count = count + 1
    end
    t.ok(count >= 11, count)
    t.eq(all.debit_card_specializing.columns.customers.customerid, nil)
  end,

  ["process takes them"] = function()
    local dir = t.tmpdir()
    assert(fs.mkdir(dir .. "/a/database_description"))
    assert(sq.db.create(dir .. "/a/a.sqlite", "CREATE TABLE c (x INT);"))
    assert(fs.write(dir .. "/a/database_description/c.csv", "original_column_name,column_description\nX,what it is\n"))
    assert(fs.write(dir .. "/q.jsonl", '{"db_id": "a", "question": "?", "SQL": "SELECT 1"}\n'))
    assert(sq.data.process { raw = dir .. "/q.jsonl", db = dir, out = dir .. "/out", comments = dir })
    t.ok(fs.read(dir .. "/out/mschema/a.txt"):find("(x:INTEGER, what it is)", 1, true))
    local ok, message = sq.data.process { raw = dir .. "/q.jsonl", db = dir, out = dir .. "/out",
      comments = dir .. "/nothing" }
    t.ok(not ok and message:find "comments of 'a'", message)
  end,
}
