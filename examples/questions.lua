-- Questions with their SQL over the example databases: drawn with a seed, each statement run, split by combination.
--
-- A combination is a kind of question with the tables and columns that it asks about. Those of the held-out set never
-- occur in training, nor does any held-out statement with its constants masked.
local sq = require "sqlune"

local domains = require "examples.domains"
local kinds = require "examples.kinds"

local HERE = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"

local M = { domains = domains, kinds = kinds }

---Draws the constants of one database: values that occur in it, so that most questions have an answer.
local function constants(db, random)
  local cache, draw = {}, {}
  local function values(relation, column)
    local sql = ('SELECT DISTINCT "%s" FROM "%s" ORDER BY 1'):format(column.name, relation.name)
    if not cache[sql] then
      cache[sql] = {}
      for _, row in ipairs(assert(db:query(sql)).rows) do
        if row[1] ~= sq.json.null then table.insert(cache[sql], row[1]) end
      end
    end
    return cache[sql]
  end
  function draw.one(list) return random:choice(list) end
  function draw.small(low, high) return random:integer(low, high) end
  function draw.value(relation, column) return random:choice(values(relation, column)) end
  function draw.number(relation, column) return ("%.14g"):format(draw.value(relation, column)) end
  function draw.day(relation, column) return draw.value(relation, column):sub(1, 8) .. "01" end
  function draw.initial(relation, column) return draw.value(relation, column):match(utf8.charpattern) end
  return draw
end

---All combinations of the domain: {kind, slot, key, domain}.
local function combinations(domain)
  local list = {}
  for _, kind in ipairs(kinds) do
    kind.slots(domain, function(slot)
      local key = { kind.name, domain.name }
      for _, role in ipairs { "table", "parent", "child", "one", "group", "other", "by", "show", "number" } do
        if slot[role] then key[#key + 1] = role .. "=" .. slot[role].name end
      end
      list[#list + 1] = { kind = kind, slot = slot, key = table.concat(key, " "), domain = domain }
    end)
  end
  return list
end

---The statement with its constants masked.
---@param sql string
---@return string
function M.masked(sql)
  return (sql:gsub("'[^']*'", "?"):gsub("%f[%w_]%d[%d.]*", "?"))
end

---The template with its {words} filled in.
local function fill(template, words)
  return (template:gsub("{([%a_]+)}", function(word)
    return tostring(words[word] or error(("no word '%s' for \"%s\""):format(word, template)))
  end))
end

---An identifier as SQL writes it: quoted where it must be (PostgreSQL folds capitals).
local function identifier(name, dialect)
  if name:find(dialect == "postgresql" and "^[%l_][%l%d_]*$" or "^[%a_][%w_]*$") then return name end
  if dialect == "mysql" then return "`" .. name:gsub("`", "``") .. "`" end
  return '"' .. name:gsub('"', '""') .. '"'
end

---The words of a combination for the question and for the SQL: its tables and columns, then the constants.
local function words_of(combination, draw)
  local english, constants_of = {}, {}
  for role, thing in pairs(combination.slot) do
    english[role], english[role .. "s"] = thing.one, thing.many
  end
  if combination.kind.constants then
    local say
    say, constants_of = combination.kind.constants(combination.slot, draw)
    for word, text in pairs(say) do english[word] = text end
  end
  return english, constants_of
end

---The statement of a combination in a dialect.
local function statement_of(combination, constants_of, dialect)
  local words = {}
  for role, thing in pairs(combination.slot) do words[role] = identifier(thing.name, dialect) end
  for word, text in pairs(constants_of) do words[word] = text end
  return fill(combination.kind[dialect] or combination.kind.sql, words)
end

---Whether a result says something: not empty, not a lone NULL or 0.
local function says_something(rows)
  local only = #rows == 1 and #rows[1] == 1 and rows[1][1]
  return #rows > 0 and only ~= sq.json.null and only ~= 0
end

---One item of a combination. Of those whose result is empty, one in twenty is kept.
local function item_of(combination, source, random)
  for _ = 1, 20 do
    local english, words = words_of(combination, source.draw)
    local question = fill(random:choice(combination.kind.phrases), english):gsub(" a ([aeio])", " an %1")
    local sql = statement_of(combination, words, "sqlite")
    local result = assert(source.db:query(sql))
    if says_something(result.rows) or random:integer(20) == 1 then
      return {
        db_name = combination.domain.name, question = question, evidence = english.evidence or "", SQL = sql,
        kind = combination.kind.name, combination = combination.key, empty = not says_something(result.rows),
        postgresql = statement_of(combination, words, "postgresql"), mysql = statement_of(combination, words, "mysql"),
      }
    end
  end
end

---Parts the combinations of one kind: one in `share` is held out, at least one of every database stays in training.
local function split(list, share, random)
  local train, test, kept = {}, {}, {}
  for _, combination in ipairs(random:shuffle(list)) do
    local name = combination.domain.name
    if kept[name] and #test < #list // share then
      test[#test + 1] = combination
    else
      kept[name] = true
      train[#train + 1] = combination
    end
  end
  return train, test
end

---Goes round the kinds, and in each kind round its combinations, until `count` different items are there or none is
---new.
local function collect(by_kind, count, accept, sources, random)
  local items, seen, at, misses = {}, {}, {}, 0
  while #items < count and misses < 40 * #kinds do
    for _, kind in ipairs(kinds) do
      local list = by_kind[kind.name]
      if #list > 0 and #items < count then
        at[kind.name] = (at[kind.name] or 0) % #list + 1
        local combination = list[at[kind.name]]
        local item = item_of(combination, sources[combination.domain.name], random)
        local id = item and item.db_name .. "\0" .. item.question .. "\0" .. item.evidence
        if item and not seen[id] and accept(item) then
          seen[id], items[#items + 1], misses = true, item, 0
        else
          misses = misses + 1
        end
      end
    end
  end
  return items
end

---@class examples.questions.Options
---@field databases table<string, table> open connections by database name
---@field seed integer|nil  default 1
---@field train integer|nil items for training, default 12000
---@field test integer|nil  held-out items, default 200

---Draws the training and the held-out questions.
---@param o examples.questions.Options
---@return table train, table test  # lists of items with db_name, question, evidence, SQL, kind, combination, empty;
---postgresql and mysql: the statement as one writes it there
function M.generate(o)
  local random, sources = sq.random.stream(o.seed or 1, "questions"), {}
  local of_kind, train, test, taken = {}, {}, {}, {}
  for _, kind in ipairs(kinds) do of_kind[kind.name] = {} end
  for _, domain in ipairs(domains) do
    local db = o.databases[domain.name] or error("no database '" .. domain.name .. "'", 2)
    sources[domain.name] = { db = db, draw = constants(db, random) }
    for _, combination in ipairs(combinations(domain)) do
      table.insert(of_kind[combination.kind.name], combination)
    end
  end
  for _, kind in ipairs(kinds) do
    train[kind.name], test[kind.name] = split(of_kind[kind.name], 6, random)
  end
  local held = collect(test, o.test or 200, function() return true end, sources, random)
  for _, item in ipairs(held) do
    taken[item.db_name .. item.question], taken[item.db_name .. M.masked(item.SQL)] = true, true
  end
  local trained = collect(train, o.train or 12000, function(item)
    return not (taken[item.db_name .. item.question] or taken[item.db_name .. M.masked(item.SQL)])
  end, sources, random)
  return random:shuffle(trained), held
end

---Makes the example databases in `folder` (as NAME.sqlite) from examples/NAME.sql, those that are missing or older.
---@param folder string
---@return table<string, string> paths  # by database name
function M.create_databases(folder)
  local paths = {}
  assert(sq.fs.mkdir(folder))
  for _, domain in ipairs(domains) do
    local script = ("%s/%s.sql"):format(HERE, domain.name)
    local path = ("%s/%s.sqlite"):format(folder, domain.name)
    local made, written = sq.fs.mtime(path), assert(sq.fs.mtime(script))
    if not made or made < written then
      if made then assert(sq.fs.remove(path)) end
      assert(sq.db.create(path, assert(sq.fs.read(script))))
    end
    paths[domain.name] = path
  end
  return paths
end

---The script of an example database for another dialect.
---@param name string
---@param dialect "postgresql"|"mysql"
---@return string
function M.script(name, dialect)
  local text = assert(sq.fs.read(("%s/%s.sql"):format(HERE, name)))
  if dialect == "postgresql" then -- which folds what is not quoted
    for _, word in ipairs { "INTO", "TABLE", "REFERENCES" } do
      text = text:gsub(("(%s )(%%u%%l%%w*)"):format(word), '%1"%2"')
    end
    return text
  end
  -- MySQL has no index over TEXT, and takes "names" as texts unless told otherwise.
  return "SET sql_mode = 'ANSI_QUOTES';\n" .. text:gsub("%f[%w]TEXT%f[%W]", "VARCHAR(80)")
end

---How much of `test` occurs in `train`: shares of 1 by combination, question, statement, and masked statement.
---@param train table
---@param test table
---@return table<string, number>
function M.overlap(train, test)
  local ways = {
    combination = function(item) return item.combination end,
    question = function(item) return item.db_name .. item.question end,
    statement = function(item) return item.db_name .. item.SQL end,
    masked = function(item) return item.db_name .. M.masked(item.SQL) end,
  }
  local shares = {}
  for name, way in pairs(ways) do
    local known, found = {}, 0
    for _, item in ipairs(train) do known[way(item)] = true end
    for _, item in ipairs(test) do
      if known[way(item)] then found = found + 1 end
    end
    shares[name] = found / #test
  end
  return shares
end

return M
