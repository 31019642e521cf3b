-- M-Schema against the original's output, byte for byte: text and saved JSON of SQLite databases, texts of saved
-- schemas with selections, and what texts say when they are read.
local golden = require "tests.golden_schemas"
local sq = require "sqlune"
local t = require "tests.check"

local read, same = golden.read, golden.same

local function database(case, folder)
  if case.database.file then return t.shared("data/" .. case.database.file) end
  local scripts = {}
  for i, name in ipairs(case.database.script) do scripts[i] = read(folder .. name) end
  local path = t.tmpdir() .. "/" .. case.name .. ".sqlite"
  assert(sq.db.create(path, table.concat(scripts, "\n")))
  return path
end

local function sqlite_case(case, folder)
  local options = golden.options(case.options)
  options.db_id = case.db_id
  local schema, message = sq.schema.read(database(case, folder), options)
  if not case.text then
    t.ok(not schema, case.name .. ": is read, though the original stops")
    return
  end
  t.ok(schema, case.name .. ": " .. tostring(message))
  golden.compare(schema, case, folder)
end

local function selected_case(case, folder)
  local schema = assert(sq.schema.load(folder .. case.mschema))
  local print_it = case.call == "to_mschema" and schema.text or schema.text_selected
  local got = print_it(schema, golden.options(case.args))
  if case.text then same(got, read(folder .. case.text), case.name) end
end

local function parse_case(case, folder)
  local wanted = assert(sq.json.read(folder .. case.json))
  local got = sq.schema.parse(read(folder .. case.input))
  if case.original == "ok" then
    t.eq(#got.tables, #wanted.original.tables, case.name)
    for i, table_of in ipairs(wanted.original.tables) do
      t.eq(got.tables[i].key, table_of[1], case.name)
      t.eq(#got.tables[i].columns, #table_of[2], case.name .. ": " .. table_of[1])
      for k, column in ipairs(table_of[2]) do
        t.eq(got.tables[i].columns[k].name, column[1], case.name)
        t.eq(got.tables[i].columns[k].line, column[2], case.name)
      end
    end
    t.eq(#got.foreign_keys, #wanted.original.foreign_keys, case.name)
    for i, key in ipairs(wanted.original.foreign_keys) do
      local k = got.foreign_keys[i]
      t.eq({ k.table .. "." .. k.column, k.ref_table .. "." .. k.ref_column }, { key[1], key[2] }, case.name)
    end
  end
  local structure = wanted.structure
  if not structure then return end
  local db_id = structure.db_id ~= sq.json.null and structure.db_id or nil
  t.eq(got.db_id, db_id, case.name)
  for i, table_of in ipairs(structure.tables) do
    t.eq(got.tables[i].name, table_of.name, case.name)
    t.eq(got.tables[i].comment, table_of.comment, case.name)
    for k, column in ipairs(table_of.columns) do
      local c, where = got.tables[i].columns[k], case.name .. ": " .. table_of.name .. "." .. column.name
      for _, field in ipairs { "name", "type", "comment", "primary_key" } do t.eq(c[field], column[field], where) end
      t.eq(c.prefix or sq.json.null, column.example_prefix, where)
      t.eq(c.examples_text or sq.json.null, column.examples_text, where)
    end
  end
end

return {
  ["SQLite databases"] = function() golden.all("sqlite", sqlite_case) end,
  ["selections from saved schemas"] = function() golden.all("selected", selected_case) end,
  ["texts read"] = function() golden.all("parse", parse_case) end,
}
