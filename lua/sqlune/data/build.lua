-- Training items from executions: predictions that failed, for self_refine; candidates with results, for sql2select.
--
-- Rules: what is written are raw items for `process`; nothing is decided but by running. Draws depend on the seed, the
-- item and what was drawn before, so the same files give the same items. What cannot be used is counted by its reason.
local databases = require "sqlune.data.databases"
local items = require "sqlune.data.items"
local keywords = require "sqlune.sql.keywords"
local progress = require "sqlune.progress"
local random = require "sqlune.random"
local rows = require "sqlune.rows"
local sq = require "sqlune"
local fs, json, sql = sq.fs, sq.json, sq.sql

local SHOWN <const> = 10 -- rows of a result in a prompt, as the original's prompt says

local M = {}

---@class sqlune.data.Prediction
---@field db_name string
---@field question string
---@field evidence string
---@field sql string       gold
---@field pred string      the statement in the model's answer
---@field dialect string
---@field where string
---@field source integer   place of its file

local function field(item, where, what, ...)
  local text, wrong = items.text(item, ...)
  if wrong then return nil, where .. ": " .. wrong end
  return text, not text and ("%s: '%s' is missing"):format(where, what) or nil
end

local function prediction_of(item, where, source)
  local one = { where = where, source = source }
  if item.pred_sql == json.null then item.pred_sql = "" end
  for _, key in ipairs { { "db_name", "db_name", "db_id" }, { "question", "question" },
    { "sql", "sql", "SQL", "query", "gold_sql" }, { "pred", "pred_sql" } } do
    local wrong
    one[key[1]], wrong = field(item, where, key[1] == "pred" and "pred_sql" or key[1], table.unpack(key, 2))
    if wrong then return nil, wrong end
  end
  one.evidence = items.text(item, "evidence") or ""
  one.dialect = sq.prompt.dialect(items.text(item, "sql_type") or "sqlite") or "sqlite"
  one.pred = sql.unfence(one.pred)
  return one
end

---Reads files of predictions, as infer writes them.
---@param paths string[]
---@return sqlune.data.Prediction[]? list
---@return string? message
local function read(paths)
  local list = {}
  for source, path in ipairs(paths) do
    local count, message = items.each(path, function(item, where)
      local one, wrong = prediction_of(item, where, source)
      list[#list + 1] = one
      return wrong
    end)
    if not count then return nil, message end
  end
  return list
end

---A result as a prompt shows it: names of columns, the first rows, how many there are.
---@param columns string[]
---@param list any[][]
---@param total integer
---@return string
function M.result_text(columns, list, total)
  local lines = { table.concat(columns, " | ") }
  for r = 1, math.min(#list, SHOWN) do
    local cells = {}
    for c = 1, #columns do cells[c] = (rows.cell(list[r][c])) end
    lines[r + 1] = table.concat(cells, " | ")
  end
  lines[#lines + 1] = ("(%d %s)"):format(total, total == 1 and "row" or "rows")
  return table.concat(lines, "\n")
end

local function judge(list, o)
  local places, message = databases.open(o.db)
  if not places then return nil, message end
  local work = {}
  for i, one in ipairs(list) do
    local place, missing = places:find(one.db_name)
    work[i] = { db = place, missing = missing, gold = one.sql, pred = one.pred, dialect = one.dialect }
  end
  local bar <close> = progress.bar { label = "run", total = #work }
  return sq.evaluate.run { items = work, workers = o.workers, timeout = o.timeout, max_rows = o.max_rows,
    samples = SHOWN, progress = function(done) bar:update(done) end }
end

local function open_writer(o)
  if o.dry_run then return nil end
  local ok, message = fs.mkdir(fs.dirname(o.out))
  if not ok then return nil, message end
  return json.writer(o.out, { indent = 2 })
end

---Writes the records, all or none.
local function write(o, records)
  if #records == 0 then return nil, "no item came out" end
  local writer <close>, message = open_writer(o)
  if message then return nil, message end
  for _, record in ipairs(writer and records or {}) do
    local ok
    ok, message = writer:add(record)
    if not ok then return nil, message end
  end
  if writer then return writer:commit() end
  return true
end

---@class sqlune.data.BuildOpts
---@field pred string[]      files of predictions
---@field db string|table    where databases are
---@field out string         raw items to write
---@field seed? integer      default 1
---@field wrong? boolean     self_refine: statements that ran and gave other rows, too
---@field candidates? integer  sql2select: most candidates of an item, default 5
---@field timeout? number
---@field max_rows? integer
---@field workers? integer
---@field dry_run? boolean

---@class sqlune.data.BuildSummary
---@field items integer
---@field left_out table<string, integer>  by reason
---@field places integer[]?   sql2select: how often the right one stands at each place
---@field sources integer[]?  sql2select: how often the right one comes from each file

---What a failed prediction gave, for the prompt.
local function failure_of(outcome)
  if outcome.pred_error then return outcome.pred_error end
  local sample = outcome.pred_sample
  return sample and M.result_text(sample.columns, sample.rows, sample.total) or ""
end

---Items for self_refine: predictions that failed, with the message; with `wrong`, those with other rows, and these.
---@param o sqlune.data.BuildOpts
---@return sqlune.data.BuildSummary? summary
---@return string? message
function M.self_refine(o)
  local list, message = read(o.pred)
  if not list then return nil, message end
  local outcomes
  outcomes, message = judge(list, o)
  if not outcomes then return nil, message end
  local records, seen, left_out = {}, {}, {}
  local function leave_out(why) left_out[why] = (left_out[why] or 0) + 1 end
  for i, one in ipairs(list) do
    local verdict = outcomes[i].verdict
    local key = table.concat({ one.db_name, one.question, one.pred }, "\0")
    if verdict == "correct" then
      leave_out "right"
    elseif verdict == "gold_error" then
      leave_out "gold fails"
    elseif verdict == "wrong" and not o.wrong then
      leave_out "wrong rows"
    elseif not one.pred:find "%S" then
      leave_out "empty"
    elseif seen[key] then
      leave_out "twice"
    else
      seen[key] = true
      records[#records + 1] = json.object("db_name", one.db_name, "question", one.question, "evidence", one.evidence,
        "SQL", one.sql, "pred_sql_res", json.array { one.pred, failure_of(outcomes[i]) })
    end
  end
  local ok
  ok, message = write(o, records)
  if not ok then return nil, message end
  return { items = #records, left_out = left_out }
end

-- Selection -----------------------------------------------------------------------------------------------------------

---A statement without its author's style: one line, keywords in capitals, no semicolon at the end.
---@param statement string
---@param dialect? string
---@return string
function M.plain(statement, dialect)
  local parts, words = {}, keywords[dialect or "sqlite"] or keywords.sqlite
  for _, token in ipairs(sql.tokens(sql.squeeze(statement, dialect), dialect)) do
    parts[#parts + 1] = token.kind == "keyword" and words[token.text:upper()] and token.text:upper() or token.text
  end
  return (table.concat(parts):gsub("[%s;]+$", ""))
end

---Predictions of the same question, in the order of its first.
local function questions_in(list)
  local groups, by_key = {}, {}
  for _, one in ipairs(list) do
    local key = table.concat({ one.db_name, one.question, one.sql }, "\0")
    if not by_key[key] then
      by_key[key] = { key = key, list = {} }
      groups[#groups + 1] = by_key[key]
    end
    table.insert(by_key[key].list, one)
  end
  return groups
end

---Statements run one by one on a database, results kept for one question.
local function runner(places, o)
  local open = {}
  return function(name, statement)
    local db = open[name]
    if not db then
      local place, message = places:find(name)
      if not place then return nil, message end
      local connection = type(place) == "table" and place or { path = place }
      local copy = { timeout = o.timeout, max_rows = o.max_rows }
      for key, value in pairs(connection) do copy[key] = value end
      for other, handle in pairs(open) do -- one at a time: questions of a database stand together
        handle:close()
        open[other] = nil
      end
      db, message = sq.db.open(copy)
      if not db then return nil, message end
      open[name] = db
    end
    return db:query(statement)
  end
end

---The clusters of a question's candidates by their rows: {right=, list=, result=}; nil and why there is no choice.
local function clusters_of(group, run)
  local first = group.list[1]
  local gold = run(first.db_name, first.sql)
  if not gold then return nil, "gold fails" end
  local clusters, seen, right, wrong = {}, {}, false, false
  for _, one in ipairs(group.list) do
    local statement = M.plain(one.pred, one.dialect)
    local result = statement ~= "" and not seen[statement .. "\0" .. one.source] and run(one.db_name, one.pred) or nil
    seen[statement .. "\0" .. one.source] = true
    if result then
      local place
      for _, cluster in ipairs(clusters) do
        if not place and sq.evaluate.compare(cluster.result.rows, result.rows).ex then place = cluster end
      end
      if not place then
        place = { result = result, list = {}, right = sq.evaluate.compare(gold.rows, result.rows).ex }
        clusters[#clusters + 1] = place
        right, wrong = right or place.right, wrong or not place.right
      end
      table.insert(place.list, { sql = statement, source = one.source })
    end
  end
  if not right then return nil, "none right" end
  if not wrong then return nil, "all right" end
  return clusters
end

---Of a list, one whose count is least so far; drawn among equals. Counts it.
local function least(list, counts, key, rng)
  local low, best = math.huge, {}
  for _, one in ipairs(list) do
    local n = counts[key(one)] or 0
    if n < low then low, best = n, {} end
    if n == low then best[#best + 1] = one end
  end
  local chosen = rng:choice(best)
  counts[key(chosen)] = low + 1
  return chosen
end

local function source_of(candidate) return candidate.source end

---One right candidate and one of each of some wrong clusters, the right one in the place that was rarest so far.
local function choose(clusters, state, o, rng)
  local right, wrong = {}, {}
  for _, cluster in ipairs(clusters) do
    if cluster.right then
      for _, one in ipairs(cluster.list) do right[#right + 1] = { sql = one.sql, source = one.source, of = cluster } end
    else
      wrong[#wrong + 1] = cluster
    end
  end
  rng:shuffle(wrong)
  local list = {}
  for k = 1, math.min(#wrong, (o.candidates or 5) - 1) do
    local one = least(wrong[k].list, state.wrong_sources, source_of, rng)
    list[k] = { sql = one.sql, of = wrong[k] }
  end
  local places = {}
  for place = 1, #list + 1 do places[place] = place end
  state.places[#places] = state.places[#places] or {}
  local place = least(places, state.places[#places], function(p) return p end, rng)
  table.insert(list, place, least(right, state.sources, source_of, rng))
  return list, place
end

---Items for sql2select: candidates of several files of predictions, clustered by their rows; one right, others wrong.
---@param o sqlune.data.BuildOpts
---@return sqlune.data.BuildSummary? summary
---@return string? message
function M.sql2select(o)
  local list, message = read(o.pred)
  if not list then return nil, message end
  local places
  places, message = databases.open(o.db)
  if not places then return nil, message end
  local groups, records, left_out = questions_in(list), {}, {}
  local state = { places = {}, sources = {}, wrong_sources = {} }
  local run = runner(places, { timeout = o.timeout or 30, max_rows = o.max_rows or 100000 })
  local bar <close> = progress.bar { label = "run", total = #groups }
  for n, group in ipairs(groups) do
    local clusters, why = clusters_of(group, run)
    if not clusters then
      left_out[why] = (left_out[why] or 0) + 1
    else
      local first = group.list[1]
      local chosen, place = choose(clusters, state, o, random.stream(o.seed or 1, "sql2select", group.key))
      local candidates = json.array {}
      for i, one in ipairs(chosen) do
        local result = one.of.result
        candidates[i] = json.object("sql", one.sql, "result", M.result_text(result.columns, result.rows, #result.rows))
      end
      records[#records + 1] = json.object("db_name", first.db_name, "question", first.question, "evidence",
        first.evidence, "SQL", first.sql, "candidates", candidates, "answer", place)
    end
    bar:update(n)
  end
  local ok
  ok, message = write(o, records)
  if not ok then return nil, message end
  local at = {}
  for _, counts in pairs(state.places) do
    for place, n in pairs(counts) do at[place] = (at[place] or 0) + n end
  end
  for i = 1, #o.pred do state.sources[i] = state.sources[i] or 0 end
  return { items = #records, left_out = left_out, places = at, sources = state.sources }
end

return M
