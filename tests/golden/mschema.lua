-- M-Schema against the original's output, byte for byte: text and saved JSON of SQLite databases, texts of saved
-- schemas with selections, and what texts say when they are read.
local t = require "tests.check"
local sq = require "sqlune"

local function read(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read "a"
  file:close()
  return bytes
end

local function cases(group)
  local folder = t.shared("golden/mschema/" .. group)
  return folder .. "/", assert(sq.json.read(folder .. "/cases.json")).cases
end

---Where two texts begin to differ, as one line each.
local function same(got, wanted, what)
  if got == wanted then return end
  local at = 1
  while got:byte(at) == wanted:byte(at) do at = at + 1 end
  local from = math.max(1, at - 60)
  error(("%s: differs at byte %d\n  got    %q\n  wanted %q"):format(what, at, got:sub(from, at + 80),
    wanted:sub(from, at + 80)), 2)
end

local function database(case, folder)
  if case.database.file then return t.shared("data/" .. case.database.file) end
  local scripts = {}
  for i, name in ipairs(case.database.script) do scripts[i] = read(folder .. name) end
  local path = t.tmpdir() .. "/" .. case.name .. ".sqlite"
  assert(sq.db.create(path, table.concat(scripts, "\n")))
  return path
end

local function plain_options(options)
  local out = {}
  for key, value in pairs(options) do out[key] = value end
  return out
end

local function sqlite_case(case, folder)
  local options = plain_options(case.options)
  options.db_id = case.db_id
  local schema, message = sq.schema.read(database(case, folder), options)
  if not case.text then
    t.ok(not schema, case.name .. ": is read, though the original stops")
    return
  end
  t.ok(schema, case.name .. ": " .. tostring(message))
  same(schema:text(), read(folder .. case.text), case.name)
  same(schema:json(), read(folder .. case.json), case.name .. " saved")
  local saved = t.tmpdir() .. "/schema.json"
  assert(schema:save(saved))
  local loaded = assert(sq.schema.load(saved))
  same(loaded:text(), schema:text(), case.name .. " loaded again")
  same(loaded:json(), schema:json(), case.name .. " loaded again and saved")
end

local function selected_case(case, folder)
  local schema = assert(sq.schema.load(folder .. case.mschema))
  local print_it = case.call == "to_mschema" and schema.text or schema.text_selected
  local got = print_it(schema, plain_options(case.args))
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

---Runs every case; fails with all that differ.
local function all(group, run)
  local folder, list = cases(group)
  local failures, checked = {}, 0
  for _, case in ipairs(list) do
    if case.level ~= "quirk" then
      checked = checked + 1
      local ok, message = pcall(run, case, folder)
      if not ok then failures[#failures + 1] = tostring(message) end
    end
  end
  t.ok(checked > 50, "only " .. checked .. " cases")
  t.ok(#failures == 0, ("%d of %d differ\n%s"):format(#failures, checked, table.concat(failures, "\n")))
end

return {
  ["SQLite databases"] = function() all("sqlite", sqlite_case) end,
  ["selections from saved schemas"] = function() all("selected", selected_case) end,
  ["texts read"] = function() all("parse", parse_case) end,
}
