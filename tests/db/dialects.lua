-- The example's statements in three dialects: on SQLite, PostgreSQL and MySQL each gives the rows that the others give.
local t = require "tests.check"
local sq = require "sqlune"
local questions = require "examples.questions"
local servers = require "tests.servers"

---Rows as one sorted text, numbers to two decimals: MySQL gives an average four.
local function shown(rows)
  local list = {}
  for i, row in ipairs(rows) do
    local cells = {}
    for k = 1, #row do
      local number = tonumber(row[k])
      cells[k] = number and ("%.2f"):format(number) or tostring(row[k])
    end
    list[i] = table.concat(cells, "|")
  end
  table.sort(list)
  return table.concat(list, "\n")
end

local function agrees(dialect)
  local sqlite, others = {}, {}
  for name, path in pairs(questions.create_databases(t.tmpdir())) do sqlite[name] = assert(sq.db.open(path)) end
  for name in pairs(sqlite) do
    others[name] = assert(sq.db.open(servers.new(dialect, "example_" .. name, questions.script(name, dialect))))
  end
  local train, test = questions.generate { databases = sqlite, seed = 2, train = 400, test = 100 }
  local different = 0
  for _, list in ipairs { train, test } do
    for _, item in ipairs(list) do
      local mine = assert(sqlite[item.db_name]:query(item.SQL)).rows
      local theirs, message = others[item.db_name]:query(item[dialect])
      t.ok(theirs, item[dialect] .. ": " .. tostring(message))
      if item.kind ~= "top" then t.eq(shown(theirs.rows), shown(mine), item[dialect]) end -- top: ties may differ
      if item[dialect] ~= item.SQL then different = different + 1 end
    end
  end
  t.ok(different > 50, "only " .. different .. " statements differ from SQLite's")
  for name, db in pairs(sqlite) do
    db:close()
    others[name]:close()
  end
end

return {
  ["PostgreSQL"] = function() agrees "postgresql" end,
  ["MySQL"] = function() agrees "mysql" end,
}
