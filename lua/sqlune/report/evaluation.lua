-- The report of an evaluation: summary, table by database, every failure with its diff, rows and messages.
local json = require "sqlune.core".json
local report = require "sqlune.report"

local M = {}

local most_failures = 400 -- eval.json has all; a browser should still open the page

local kinds = { wrong = "bad", error = "warn", timeout = "warn", gold_error = "plain", correct = "good" }

local function percent(value)
  return value and ("%.1f"):format(value) or "–"
end

local function row_of(counts)
  return { counts.name, counts.items, percent(counts.ex), percent(counts.ex_bird), percent(counts.executable),
    counts.wrong, counts.error, counts.timeout, counts.gold_error }
end

---Heading and rows of the table by database; the last row is the total. Also what the terminal prints.
---@param all sqlune.evaluate.Counts
---@param groups sqlune.evaluate.Counts[]
---@return string[] header
---@return any[][] rows
---@return any[] total
function M.table(all, groups)
  local rows = {}
  for i, group in ipairs(groups) do rows[i] = row_of(group) end
  return { "database", "items", "ex", "ex_bird", "executable", "wrong", "error", "timeout", "gold error" }, rows,
    row_of(all)
end

local function blob_text(value)
  if type(value) ~= "table" then return value end
  local hex = value.blob:sub(1, 16):gsub(".", function(c) return ("%02x"):format(c:byte()) end)
  return ("x'%s%s'"):format(hex, #value.blob > 16 and "…" or "")
end

local function sample_table(sample)
  local rows = {}
  for r, row in ipairs(sample.rows) do
    rows[r] = {}
    for i = 1, #sample.columns do rows[r][i] = blob_text(row[i]) end
  end
  local left_out = sample.total - #sample.rows
  return {
    report.table(rows, { header = sample.columns, null = json.null }),
    left_out > 0 and report.text(("… and %d more"):format(left_out), "note") or nil,
  }
end

local function milliseconds(seconds)
  return (seconds < 0.01 and "%.2f" or "%.0f"):format(1000 * seconds)
end

---One side of a failure: its SQL and what came of it.
local function side(title, sql, sample, message, count, seconds)
  local parts = { report.text(title, "note"), report.code(sql) }
  if message then
    parts[#parts + 1] = report.code(message, "error")
  elseif count then
    local counted = ("%d row%s, %s ms"):format(count, count == 1 and "" or "s", milliseconds(seconds))
    parts[#parts + 1] = report.text(counted, "note")
  end
  if sample then parts[#parts + 1] = sample_table(sample) end
  return parts
end

local function failure(item, outcome)
  local gold, pred = report.sql_diff(item.gold, item.pred)
  local title = { report.badge((outcome.verdict:gsub("_", " ")), kinds[outcome.verdict]),
    item.question ~= "" and item.question or ("item %d"):format(item.number) }
  local facts = ("%s · item %d"):format(item.name, item.number)
  if outcome.ex_bird and outcome.verdict == "wrong" then facts = facts .. " · the sets of rows are equal" end
  return report.details(title, {
    report.text(facts, "note"),
    report.columns(
      side("gold", gold, outcome.gold_sample, outcome.gold_error, outcome.gold_rows, outcome.gold_seconds),
      side("prediction", pred, outcome.pred_sample, outcome.pred_error, outcome.pred_rows, outcome.pred_seconds)),
  })
end

local function failures(run)
  local section, shown, all = { title = "Failures" }, 0, 0
  for i, outcome in ipairs(run.outcomes) do
    if outcome.verdict ~= "correct" then
      all = all + 1
      if shown < most_failures then
        shown = shown + 1
        section[#section + 1] = failure(run.items[i], outcome)
      end
    end
  end
  if all == 0 then section[1] = report.text "None: every prediction is correct." end
  if shown < all then
    section[#section + 1] = report.text(("%d more stand in eval.json."):format(all - shown), "note")
  end
  return section
end

---@class sqlune.report.Evaluation
---@field title string
---@field items { name: string, number: integer, question: string, gold: string, pred: string }[]
---@field outcomes sqlune.evaluate.Outcome[]
---@field all sqlune.evaluate.Counts
---@field groups sqlune.evaluate.Counts[]
---@field interval? number[]  low and high, percent
---@field facts any[][]       names and values: files, limits

---The page; more sections (a loss curve …) may be put into its `sections`.
---@param run sqlune.report.Evaluation
---@return sqlune.report.Page
function M.page(run)
  local all = run.all
  local header, rows, total = M.table(all, run.groups)
  local align = { "l" }
  for i = 2, #header do align[i] = "r" end
  local interval = run.interval and ("95%%: %.1f … %.1f"):format(run.interval[1], run.interval[2])
  return {
    title = run.title,
    subtitle = ("%d items, %d database%s"):format(all.items, #run.groups, #run.groups == 1 and "" or "s"),
    sections = {
      { title = "Summary",
        report.tiles {
          { "ex", percent(all.ex), interval }, { "ex_bird", percent(all.ex_bird) },
          { "executable", percent(all.executable) }, { "wrong", tostring(all.wrong) },
          { "error", tostring(all.error) }, { "timeout", tostring(all.timeout) },
          { "gold error", tostring(all.gold_error) },
        },
        report.table(rows, { header = header, align = align, footer = total }),
        report.text("Percent of the items whose gold ran. ex: the same rows, whatever the order of rows and columns; "
          .. "ex_bird: the same set of rows; executable: ran within its limits.", "note"),
      },
      failures(run),
      { title = "Settings", report.facts(run.facts) },
    },
  }
end

return M
