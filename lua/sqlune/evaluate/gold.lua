-- What is wrong with gold: each statement run twice, the second time with its unordered rows the other way round.
--
-- Rules: a finding is one word. missing: a table that the database lacks, or the database itself; error: anything else
-- that fails; timeout; empty: no rows, so that any empty prediction is right; unstable: two runs differ, because of
-- LIMIT without an order, random() or the clock (sums of floats that differ by rounding do not count). On servers both
-- runs are in the server's own order.
local evaluate = require "sqlune.evaluate"

local M = {}

M.FINDINGS = { "ok", "missing", "error", "timeout", "empty", "unstable" }

local ROUNDING = 1e-9 -- relative: what the order of a sum changes

local MISSING = { "no such table", 'relation ".-" does not exist', "Table '.-' doesn't exist", "Unknown database",
  'database ".-" does not exist' }

---@param outcome sqlune.evaluate.Outcome
---@return string finding
---@return string? why
local function finding_of(outcome)
  local function failed(message, code)
    if code == "SQLUNE_TIMEOUT" then return "timeout", message end
    if code == "SQLUNE_NOTFOUND" then return "missing", message end
    for _, pattern in ipairs(MISSING) do
      if message:find(pattern) then return "missing", message end
    end
    return "error", message
  end
  if outcome.gold_error then return failed(outcome.gold_error, outcome.gold_code) end
  if outcome.pred_error then return failed(outcome.pred_error, outcome.pred_code) end
  if not outcome.ex then
    local rows = outcome.gold_rows ~= outcome.pred_rows
      and ("%d rows, then %d"):format(outcome.gold_rows, outcome.pred_rows)
    return "unstable", rows or ("%d rows, not the same twice"):format(outcome.gold_rows)
  end
  if outcome.gold_rows == 0 then return "empty" end
  return "ok"
end

---The same database, its unordered rows the other way round; nil where that cannot be.
local function reversed(db)
  if type(db) == "string" then return { dialect = "sqlite", path = db, reversed = true } end
  if type(db) ~= "table" or (db.dialect or "sqlite") ~= "sqlite" then return nil end
  local copy = { reversed = true }
  for key, value in pairs(db) do copy[key] = value end
  return copy
end

---@class sqlune.evaluate.GoldItem
---@field db? string|table
---@field missing? string  why there is no db
---@field gold string
---@field dialect? string

---@class sqlune.evaluate.GoldOpts
---@field items sqlune.evaluate.GoldItem[]
---@field workers? integer
---@field timeout? number
---@field max_rows? integer
---@field progress? fun(done: integer, total: integer)

---@param o sqlune.evaluate.GoldOpts
---@return { finding: string, why: string?, seconds: number?, rows: integer? }[]? findings
---@return string? message
function M.check(o)
  local items, turned = {}, {}
  for i, item in ipairs(o.items) do
    if item.db and turned[item.db] == nil then turned[item.db] = reversed(item.db) or false end
    items[i] = { db = item.db, pred_db = item.db and turned[item.db] or nil, missing = item.missing, gold = item.gold,
      pred = item.gold, dialect = item.dialect }
  end
  local outcomes, message = evaluate.run { items = items, workers = o.workers, timeout = o.timeout,
    max_rows = o.max_rows, tolerance = ROUNDING, progress = o.progress }
  if not outcomes then return nil, message end
  local findings = {}
  for i, outcome in ipairs(outcomes) do
    local finding, why = finding_of(outcome)
    findings[i] = { finding = finding, why = why, seconds = outcome.gold_seconds, rows = outcome.gold_rows }
  end
  return findings
end

return M
