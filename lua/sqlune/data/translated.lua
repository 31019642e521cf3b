-- Items in another dialect, with running as the judge: a translation is kept where it gives the same rows on the same
-- data in the other database.
--
-- Rules: candidates of a statement run in their order, the first that gives the same rows (as `ex` compares them) is
-- taken. Numbers may differ by 1e-6 of their size: an exact decimal on one side, a double on the other. What cannot be
-- translated, does not run, or gives other rows is left out and counted.
local databases = require "sqlune.data.databases"
local compose = require "sqlune.data.compose"
local items = require "sqlune.data.items"
local progress = require "sqlune.progress"
local sq = require "sqlune"
local translate = require "sqlune.sql.translate"
local fs, json = sq.fs, sq.json

local TOLERANCE <const> = 1e-6

---@class sqlune.data.TranslateOpts
---@field raw string         items with their SQL
---@field db string|table    databases of their dialect
---@field to_db string|table databases of the other one, with the same names and data
---@field out string         raw items to write
---@field timeout? number    seconds a statement, default 10
---@field max_rows? integer  of a result, default 100,000
---@field workers? integer   statements at once; default one a processor
---@field dry_run? boolean

---@class sqlune.data.TranslateSummary
---@field items integer                     kept
---@field read integer
---@field from string
---@field to string
---@field left_out table<string, integer>   by reason

---An item's fields and the candidates of its statement; a text: what is wrong with it.
local function read_item(self, raw, where)
  local item = { question = raw.question, evidence = raw.evidence }
  for key, names in pairs { db_name = { "db_name", "db_id" }, sql = compose.sql_keys } do
    local value, wrong = items.text(raw, table.unpack(names))
    if wrong or not value then return ("%s: %s"):format(where, wrong or "'" .. key .. "' is missing") end
    item[key] = value
  end
  local message
  item.db, message = self.one:find(item.db_name)
  if item.db then item.to_db, message = self.other:find(item.db_name) end
  if not item.to_db then return where .. ": " .. message end
  item.candidates, item.why = translate.statement(item.sql, self.one.dialect, self.other.dialect)
  self.list[#self.list + 1] = item
end

local REASONS = { wrong = "other rows", error = "it fails in %s", timeout = "it runs too long in %s" }

---Runs candidate k of the items that have one and are not translated yet.
local function judge(self, k, o)
  local work, place = {}, {}
  for i, item in ipairs(self.list) do
    local candidate = not item.translation and item.candidates and item.candidates[k]
    if candidate then
      work[#work + 1] = { db = item.db, pred_db = item.to_db, gold = item.sql, pred = candidate }
      place[#work] = i
    end
  end
  if #work == 0 then return end
  local bar <close> = progress.bar { label = "run", total = #work }
  local outcomes = assert(sq.evaluate.run { items = work, workers = o.workers, timeout = o.timeout or 10,
    max_rows = o.max_rows or 100000, tolerance = TOLERANCE, progress = function(done) bar:update(done) end })
  for n, outcome in ipairs(outcomes) do
    local item = self.list[place[n]]
    if outcome.verdict == "correct" then
      item.translation = item.candidates[k]
    elseif outcome.verdict == "gold_error" then
      item.why = "it fails in " .. self.one.dialect
    else
      item.why = item.why or REASONS[outcome.verdict]:format(self.other.dialect)
    end
  end
end

---Writes what is translated and counts the rest.
local function write(self, writer)
  local kept, left_out = 0, {}
  for _, item in ipairs(self.list) do
    if item.translation then
      kept = kept + 1
      local ok, message = true, nil
      if writer then
        ok, message = writer:add(json.object("db_name", item.db_name, "question", item.question or "", "evidence",
          item.evidence or "", "SQL", item.translation, "from", self.one.dialect, "from_sql", item.sql))
      end
      if not ok then return nil, message end
    else
      left_out[item.why] = (left_out[item.why] or 0) + 1
    end
  end
  return kept, left_out
end

local function open_writer(o)
  if o.dry_run then return nil end
  return json.writer(o.out, { indent = 2 })
end

---Translates items and keeps what is shown to give the same rows.
---@param o sqlune.data.TranslateOpts
---@return sqlune.data.TranslateSummary? summary
---@return string? message
local function translated(o)
  local one, message = databases.open(o.db)
  if not one then return nil, message end
  local other
  other, message = databases.open(o.to_db)
  if not other then return nil, message end
  local self = { one = one, other = other, list = {} }
  local count
  count, message = items.each(o.raw, function(raw, where) return read_item(self, raw, where) end)
  if not count then return nil, message end
  judge(self, 1, o)
  judge(self, 2, o)
  if not o.dry_run then
    local ok
    ok, message = fs.mkdir(fs.dirname(o.out))
    if not ok then return nil, message end
  end
  local writer <close>, unwritable = open_writer(o)
  if unwritable then return nil, unwritable end
  local kept, left_out = write(self, writer)
  if not kept then return nil, left_out end
  if writer then
    local ok
    ok, message = writer:commit()
    if not ok then return nil, message end
  end
  return { items = kept, read = #self.list, from = one.dialect, to = other.dialect, left_out = left_out }
end

return translated
