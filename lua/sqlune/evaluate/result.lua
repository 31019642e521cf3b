-- A finished evaluation: its numbers, and the two forms in which others read them, eval.json and --json.
local breakdown = require "sqlune.evaluate.breakdown"
local json = require "sqlune.core".json
local secret = require "sqlune.secret"
local summary = require "sqlune.evaluate.summary"

local M = {}

---@class sqlune.evaluate.Result
---@field title string
---@field items sqlune.evaluate.InputItem[]
---@field outcomes sqlune.evaluate.Outcome[]
---@field all sqlune.evaluate.Counts
---@field kinds string[]                                       breakdowns that say something
---@field groups table<string, sqlune.evaluate.Counts[]>       by kind
---@field interval? number[]                                   low and high of ex, percent
---@field left? { all: sqlune.evaluate.Counts, count: integer, path: string }  without the items of a list
---@field settings table
---@field facts any[][]

local SETTINGS = { "pred", "gold", "db", "timeout", "max_rows", "postprocess", "tolerance", "rounds", "suite", "cache",
  "leave_out" }
local WORDS = { pred = "predictions", gold = "gold", db = "databases", timeout = "seconds a statement",
  max_rows = "most rows of a result", postprocess = "statement cut out by", tolerance = "tolerance of numbers",
  rounds = "timed rounds", suite = "all databases of a folder", cache = "cache of gold", leave_out = "left out" }

---@param items sqlune.evaluate.InputItem[]
---@param outcomes sqlune.evaluate.Outcome[]
---@param o { cfg: table, left_out?: table<string, true> }
---@return sqlune.evaluate.Result
function M.of(items, outcomes, o)
  local run = { title = "Evaluation of " .. o.cfg.pred, items = items, outcomes = outcomes, groups = {}, facts = {},
    settings = json.object(), kinds = breakdown.kinds(items) }
  run.all = summary.of(outcomes)
  for _, list in ipairs { run.kinds, o.cfg.by } do
    for _, kind in ipairs(list) do
      run.groups[kind] = run.groups[kind] or breakdown.by(kind, items, outcomes)
    end
  end
  if run.all.scored > 0 then run.interval = { summary.interval(run.all.correct, run.all.scored) } end
  if o.left_out then
    local kept, count = breakdown.without(items, outcomes, o.left_out)
    run.left = { all = summary.of(kept), count = count, path = o.cfg.leave_out }
  end
  for _, key in ipairs(SETTINGS) do
    local value = o.cfg[key]
    if value then
      if key == "db" then value = secret.hide(value) end
      run.settings[key] = value
      run.facts[#run.facts + 1] = { WORDS[key], tostring(value) }
    end
  end
  return run
end

local COUNTS = { "items", "scored", "ex", "ex_bird", "ex_ordered", "ex_xiyan", "ex_spider", "soft_f1", "r_ves",
  "executable", "correct", "wrong", "error", "timeout", "gold_error", "ties_within", "ties_cut",
  "ties_unknown" }

local function counts_json(counts)
  local object = json.object()
  for _, key in ipairs(COUNTS) do
    local value = counts[key]
    if value == nil and key ~= "r_ves" then value = json.null end
    object[key] = value
  end
  return object
end

---The numbers without the items: what --json prints.
---@param run sqlune.evaluate.Result
---@return table
function M.summary_json(run)
  local object = json.object("all", counts_json(run.all), "ex_interval_95", run.interval or json.null)
  if run.left then
    object.left_out = json.object("items", run.left.count, "file", run.left.path, "rest", counts_json(run.left.all))
  end
  local plural = { database = "databases", difficulty = "difficulties", dialect = "dialects", feature = "features" }
  for _, kind in ipairs(run.kinds) do
    local groups = json.object()
    for _, group in ipairs(run.groups[kind]) do groups[group.name] = counts_json(group) end
    object[plural[kind]] = groups
  end
  return object
end

-- What stands in eval.json about an item, in this order, where there is a value.
local SHAPE = json.object()
for _, key in ipairs { "item", "id", "db_name", "question", "sql", "pred_sql", "difficulty", "verdict", "ex", "ex_bird",
  "ex_ordered", "ex_xiyan", "ex_spider", "soft_f1", "executable", "ties", "reward", "time_ratio", "reference",
  "gold_error", "gold_code", "pred_error", "pred_code", "gold_rows", "pred_rows", "gold_seconds", "pred_seconds",
  "gold_cached" } do
  SHAPE[key] = ""
end

local function item_json(i, item, o)
  return json.like(SHAPE, {
    item = i, id = item.id, db_name = item.name, question = item.question,
    sql = type(item.gold) == "table" and json.array(item.gold) or item.gold, pred_sql = item.pred,
    difficulty = item.difficulty, verdict = o.verdict, ex = o.ex, ex_bird = o.ex_bird, ex_ordered = o.ex_ordered,
    ex_xiyan = o.ex_xiyan, ex_spider = o.ex_spider, soft_f1 = o.soft_f1, executable = o.executable, ties = o.ties,
    reward = o.reward, time_ratio = o.time_ratio, reference = o.reference, gold_error = o.gold_error,
    gold_code = o.gold_code, pred_error = o.pred_error, pred_code = o.pred_code, gold_rows = o.gold_rows,
    pred_rows = o.pred_rows, gold_seconds = o.gold_seconds, pred_seconds = o.pred_seconds, gold_cached = o.gold_cached,
  })
end

---The whole of eval.json.
---@param run sqlune.evaluate.Result
---@return table
function M.json(run)
  local lines = json.array {}
  for i, outcome in ipairs(run.outcomes) do lines[i] = item_json(i, run.items[i], outcome) end
  return json.object("settings", run.settings, "summary", M.summary_json(run), "items", lines)
end

return M
