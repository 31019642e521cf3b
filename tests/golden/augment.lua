-- Augmentations on real questions: 1,000 of Spider's and 1,000 of BIRD's, five seeds. Nothing that a statement names is
-- lost, the statement means the same (same rows on Spider's databases), and it still runs on a database that has only
-- the tables and columns of the augmented text. Prompts: byte for byte those of the original's training file.
local t = require "tests.check"
local sq = require "sqlune"
local augment, json = sq.augment, sq.json
local parse = sq.schema.parse

local SEEDS, ITEMS = 5, 1000

---The M-Schema text of an entry of tables.json.
local function schema_text(entry)
  local primary, tables = {}, {}
  for _, key in ipairs(entry.primary_keys) do
    for _, column in ipairs(type(key) == "table" and key or { key }) do primary[column] = true end
  end
  for i in ipairs(entry.table_names_original) do tables[i] = {} end
  for i, pair in ipairs(entry.column_names_original) do
    local lines = tables[pair[1] + 1]
    if lines then
      lines[#lines + 1] = ("(%s:%s%s, Examples: [%d, b (c), d])"):format(pair[2], entry.column_types[i]:upper(),
        primary[i - 1] and ", Primary Key" or "", i)
    end
  end
  local parts = { "【DB_ID】 " .. entry.db_id, "【Schema】" }
  for i, name in ipairs(entry.table_names_original) do
    parts[#parts + 1] = ("# Table: %s\n[\n%s\n]"):format(name, table.concat(tables[i], ",\n"))
  end
  parts[#parts + 1] = "【Foreign keys】"
  for _, key in ipairs(entry.foreign_keys) do
    local from, to = entry.column_names_original[key[1] + 1], entry.column_names_original[key[2] + 1]
    parts[#parts + 1] = ("%s.%s=%s.%s"):format(entry.table_names_original[from[1] + 1], from[2],
      entry.table_names_original[to[1] + 1], to[2])
  end
  return table.concat(parts, "\n")
end

local function structures(path)
  local by_name = {}
  for _, entry in ipairs(assert(json.read(path))) do by_name[entry.db_id] = parse(schema_text(entry)) end
  return by_name
end

---Evenly spread items of a file, whose database has a structure.
local function questions(path, known, key)
  local all, list = assert(json.read(path)), {}
  for i = 1, #all, math.max(1, #all // ITEMS) do
    local item = all[i]
    if #list < ITEMS and known[item.db_id] then
      list[#list + 1] = { db = item.db_id, sql = item[key], question = item.question, structure = known[item.db_id] }
    end
  end
  return list
end

-- Words of the language that some column of the data is called, too: names only where quoted or beside a dot.
local RESERVED = { from = true, to = true, order = true, group = true, ["end"] = true, on = true, ["in"] = true }

---Names in a statement, found in another way than by the lexer: a walk over quotes and words, '…' left out unless a dot
---stands before it.
local function plain_names(statement)
  local names, at = {}, 1
  while at <= #statement do
    local c, stop = statement:sub(at, at), at
    if c:find "['\"`%[]" then
      stop = statement:find(c == "[" and "]" or c, at + 1, true) or #statement
      if c ~= "'" or statement:sub(at - 1, at - 1) == "." then
        names[statement:sub(at + 1, stop - 1):lower()] = true
      end
    elseif c:find "[%w_\128-\255]" then
      stop = select(2, statement:find("^[%w_$\128-\255]+", at))
      local word = statement:sub(at, stop):lower()
      local beside = statement:sub(at - 1, at - 1) .. statement:sub(stop + 1, stop + 1)
      if not RESERVED[word] or beside:find(".", 1, true) then names[word] = true end
    end
    at = stop + 1
  end
  return names
end

---"table.column" of a structure, lower-cased.
local function columns_of(structure)
  local set = {}
  for _, one in ipairs(structure.tables) do
    for _, column in ipairs(one.columns) do set[one.name:lower() .. "." .. column.name:lower()] = true end
  end
  return set
end

local function check_names(item, text)
  local left, names = columns_of(parse(text)), plain_names(item.sql)
  for _, one in ipairs(item.structure.tables) do
    for _, column in ipairs(one.columns) do
      if names[one.name:lower()] and (names[column.name:lower()] or column.primary_key) then
        t.ok(left[one.name:lower() .. "." .. column.name:lower()],
          ("%s: %s.%s is lost: %s"):format(item.db, one.name, column.name, item.sql))
      end
    end
  end
end

local function augmented(item, seed, number)
  local sample = augment.sample { structure = item.structure, sql = item.sql, question = item.question, evidence = "",
    where = item.db }
  return assert(augment.run(sample, augment.standard(), seed, "golden", number))
end

---SQL that makes the tables of a structure, empty.
local function create_script(structure)
  local parts = {}
  for _, one in ipairs(structure.tables) do
    local columns = {}
    for i, column in ipairs(one.columns) do columns[i] = '"' .. column.name:gsub('"', '""') .. '"' end
    if not one.name:find "^sqlite_" then -- SQLite's own tables are there already
      parts[#parts + 1] = ('CREATE TABLE "%s" (%s);'):format(one.name:gsub('"', '""'), table.concat(columns, ", "))
    end
  end
  return table.concat(parts, "\n")
end

---Whether a statement runs on empty tables; nil and the message if not.
local function runs(structure, statement, dir)
  local path = dir .. "/empty.sqlite"
  os.remove(path)
  assert(sq.db.create(path, "PRAGMA journal_mode=off; PRAGMA synchronous=off;\n" .. create_script(structure)))
  local db = assert(sq.db.open(path))
  local result, message = db:query(statement)
  db:close()
  return result ~= nil, message
end

local function check_all(list, dir)
  local whole = {} -- does it run with every table and column? Some gold statements do not.
  for i, item in ipairs(list) do whole[i] = runs(item.structure, item.sql, dir) end
  for seed = 1, SEEDS do
    for i, item in ipairs(list) do
      local sample = augmented(item, seed, i)
      local text = sample.schema:text()
      check_names(item, text)
      if whole[i] and seed == 1 then
        local ok, message = runs(parse(text), sample.sql, dir)
        t.ok(ok, ("%s: %s: %s"):format(item.db, tostring(message), sample.sql))
      end
    end
  end
end

local function same_rows(list, folder)
  local compared, open, handle = 0, nil, nil
  table.sort(list, function(a, b) return a.db < b.db end)
  for _, item in ipairs(list) do
    if item.db ~= open then
      if handle then handle:close() end
      open, handle = item.db, sq.db.open(("%s/%s/%s.sqlite"):format(folder, item.db, item.db))
    end
    local spread = item.sql:gsub(" ", "  -- a note\n\t ", 1)
    local before = handle and handle:query(item.sql)
    if before then
      local after = assert(handle:query(sq.sql.squeeze(item.sql)))
      t.eq(after.rows, before.rows, item.sql)
      t.eq(assert(handle:query(sq.sql.squeeze(spread))).rows, before.rows, spread)
      compared = compared + 1
    end
  end
  if handle then handle:close() end
  return compared
end

return {
  ["Spider: nothing lost, the same rows"] = function()
    local root = t.shared "data/spider"
    local known = structures(root .. "/tables.json")
    local list = questions(root .. "/train.json", known, "query")
    t.eq(#list, ITEMS)
    check_all(list, t.tmpdir())
    t.ok(same_rows(list, root .. "/database") > 950)
  end,

  ["BIRD: nothing lost"] = function()
    local root = t.shared "data/bird"
    local list = questions(root .. "/dev.json", structures(root .. "/dev_tables.json"), "SQL")
    t.eq(#list, ITEMS)
    check_all(list, t.tmpdir())
  end,

  ["every statement of BIRD keeps its literals when squeezed"] = function()
    for _, item in ipairs(assert(json.read(t.shared "data/bird/train.json"))) do
      local before, after = sq.sql.significant(item.SQL), sq.sql.significant(sq.sql.squeeze(item.SQL))
      t.eq(#after, #before, item.SQL)
      for i, one in ipairs(before) do t.ok(after[i].text == one.text and after[i].kind == one.kind, item.SQL) end
    end
  end,

  ["prompts equal those of the original's training file"] = function()
    local root = t.shared "data/xiyan"
    local raw, made = assert(json.read(root .. "/raw_train.json")), assert(json.read(root .. "/train_examples.json"))
    t.eq(#made, #raw)
    for i, item in ipairs(raw) do
      local content = made[i].conversations[1].content
      local schema = content:match "【数据库schema】\n(.-)\n\n【参考信息】\n"
      t.eq(sq.prompt.text("zh", { question = item.question, evidence = item.evidence, schema = schema }), content)
      t.eq(made[i].conversations[2].content, item.SQL)
    end
  end,

  ["texts as the original's augmentation writes them"] = function()
    for _, item in ipairs(assert(json.read(t.shared "data/xiyan/train_examples.json"))) do
      local text = item.conversations[1].content:match "【数据库schema】\n(.-)\n\n【参考信息】\n"
      local schema = require("sqlune.augment.schema").new(parse(text), "SELECT 1")
      schema.indent = text:find "\n  %(" and 2 or 0
      t.eq(schema:text(), text)
    end
  end,
}
