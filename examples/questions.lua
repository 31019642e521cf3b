-- Questions with their SQL over the example databases: drawn with a seed, split by combination, each statement run once.
-- A combination is a kind of question with the tables and columns that it asks about; those of the held-out set never occur in
-- the training set, nor does any held-out statement with its constants masked.
local domains = require "examples.domains"
local kinds = require "examples.kinds"

local M = { domains = domains, kinds = kinds }

---A small generator of its own (xorshift64*), so that the same seed gives the same questions everywhere.
---@param seed integer
---@return fun(low: integer, high: integer): integer
local function random(seed)
  local state = seed * 2685821657736338717 + 88172645463325252
  return function(low, high)
    state = state ~ (state >> 12)
    state = state ~ (state << 25)
    state = state ~ (state >> 27)
    return low + ((state * 2685821657736338717) >> 33) % (high - low + 1)
  end
end

local function shuffle(list, draw)
  for i = #list, 2, -1 do
    local j = draw(1, i)
    list[i], list[j] = list[j], list[i]
  end
  return list
end

local function number_text(value)
  return ("%.14g"):format(value)
end

---Draws the constants of one database: values that occur in it, so that most questions have an answer.
local function constants(rows_of, null, draw)
  local cache, c = {}, {}
  local function values(relation, column)
    local sql = ('SELECT DISTINCT "%s" FROM "%s" ORDER BY 1'):format(column.name, relation.name)
    if not cache[sql] then
      cache[sql] = {}
      for _, row in ipairs(rows_of(sql)) do
        if row[1] ~= null then table.insert(cache[sql], row[1]) end
      end
    end
    return cache[sql]
  end
  function c.one(list) return list[draw(1, #list)] end
  function c.small(low, high) return draw(low, high) end
  function c.value(relation, column) return c.one(values(relation, column)) end
  function c.number(relation, column) return number_text(c.value(relation, column)) end
  function c.day(relation, column) return c.value(relation, column):sub(1, 8) .. "01" end
  function c.initial(relation, column)
    return c.value(relation, column):match(utf8.charpattern)
  end
  return c
end

---All combinations of the domain: {kind, slot, key, domain}.
local function combinations(domain)
  local list = {}
  for _, kind in ipairs(kinds) do
    kind.slots(domain, function(slot)
      local key = { kind.name, domain.name }
      for _, role in ipairs { "table", "parent", "child", "group_in", "group", "by_in", "by", "show", "number" } do
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

local function fill(phrase, words)
  local text = phrase:gsub("{(%w+)}", function(word)
    return tostring(words[word] or error(("no word '%s' for \"%s\""):format(word, phrase)))
  end)
  return (text:gsub(" a ([aeio])", " an %1"):gsub(" a hour", " an hour"))
end

---One item of a combination. Of the items without rows only one in `empty_one_in` is kept.
local function item_of(combination, source, draw)
  for _ = 1, 20 do
    local words, sql = combination.kind.make(combination.slot, source.constants)
    local phrase = source.constants.one(combination.kind.phrases)
    local rows = source.rows(sql)
    local filled = #rows > 0 and not (#rows == 1 and #rows[1] == 1 and (rows[1][1] == source.null or rows[1][1] == 0))
    if filled or draw(1, 20) == 1 then
      return {
        db_name = combination.domain.name, question = fill(phrase, words), evidence = words.evidence or "", SQL = sql,
        kind = combination.kind.name, combination = combination.key, filled = filled,
      }
    end
  end
end

---Parts the combinations of one kind: one in `share` is held out, at least one of every database stays in training.
local function split(list, share, draw)
  local train, test, kept = {}, {}, {}
  for _, combination in ipairs(shuffle(list, draw)) do
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

---Goes round the kinds, and in each kind round its combinations, until `count` different items are there or none is new.
local function collect(by_kind, count, accept, sources, draw)
  local items, seen, at, misses = {}, {}, {}, 0
  while #items < count and misses < 40 * #kinds do
    for _, kind in ipairs(kinds) do
      local list = by_kind[kind.name]
      if #list > 0 and #items < count then
        at[kind.name] = (at[kind.name] or 0) % #list + 1
        local combination = list[at[kind.name]]
        local item = item_of(combination, sources[combination.domain.name], draw)
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
---@field databases table<string, fun(sql: string): table> runs SQL on the database of that name: list of rows
---@field null any          what a row holds for NULL
---@field seed integer|nil  default 1
---@field train integer|nil items for training, default 6000
---@field test integer|nil  held-out items, default 200

---Draws the training and the held-out questions.
---@param o examples.questions.Options
---@return table train, table test  # lists of items with db_name, question, evidence, SQL, kind, combination
function M.generate(o)
  local draw, sources = random(o.seed or 1), {}
  for _, domain in ipairs(domains) do
    local rows = o.databases[domain.name] or error("no database '" .. domain.name .. "'", 2)
    sources[domain.name] = { rows = rows, null = o.null, constants = constants(rows, o.null, draw) }
  end
  local of_kind, train, test = {}, {}, {}
  for _, kind in ipairs(kinds) do of_kind[kind.name] = {} end
  for _, domain in ipairs(domains) do
    for _, combination in ipairs(combinations(domain)) do
      table.insert(of_kind[combination.kind.name], combination)
    end
  end
  for name, list in pairs(of_kind) do of_kind[name] = { list = list } end
  for _, kind in ipairs(kinds) do
    train[kind.name], test[kind.name] = split(of_kind[kind.name].list, 6, draw)
  end
  local taken = {}
  local held = collect(test, o.test or 200, function() return true end, sources, draw)
  for _, item in ipairs(held) do
    taken[item.db_name .. item.question], taken[item.db_name .. M.masked(item.SQL)] = true, true
  end
  local trained = collect(train, o.train or 6000, function(item)
    return not (taken[item.db_name .. item.question] or taken[item.db_name .. M.masked(item.SQL)])
  end, sources, draw)
  return shuffle(trained, draw), held
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
