-- The report of an evaluation: summary, table by database, every failure with its diff, rows and messages.
local json = require "sqlune.core".json
local report = require "sqlune.report"

local M = {}

local most_failures = 400 -- eval.json has all; a browser should still open the page
local most_databases = 12 -- a longer table is folded away

local kinds = { wrong = "bad", error = "warn", timeout = "warn", gold_error = "plain", correct = "good" }

local function percent(value)
  return value and ("%.1f"):format(value) or "–"
end

local function row_of(counts)
  return { counts.name, counts.items, percent(counts.ex), percent(counts.ex_bird), percent(counts.executable),
    counts.wrong, counts.error, counts.timeout, counts.gold_error }
end

---Heading and rows of a table of groups; the last row is the total. Also what the terminal prints.
---@param all sqlune.evaluate.Counts
---@param groups sqlune.evaluate.Counts[]
---@param kind? string  what the groups are, default "database"
---@return string[] header
---@return any[][] rows
---@return any[] total
function M.table(all, groups, kind)
  local rows = {}
  for i, group in ipairs(groups) do rows[i] = row_of(group) end
  local header = { kind or "database", "items", "ex", "ex_bird", "executable", "wrong", "error", "timeout",
    "gold error" }
  return header, rows, row_of(all)
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

local TIES = {
  within = "the order differs from gold's among rows that tie in its ORDER BY only",
  unknown = "the order differs from gold's; whether among tied rows only could not be found out",
  cut = "gold's LIMIT cuts through rows that tie in its ORDER BY: which of them came is chance",
}

---What else is to be said about a failure, in small print.
local function remarks(item, outcome)
  local list = { item.name, "item " .. item.number }
  if item.id ~= tostring(item.number) then list[2] = list[2] .. " (" .. item.id .. ")" end
  if item.difficulty then list[#list + 1] = item.difficulty end
  if outcome.verdict == "wrong" and outcome.ex_bird then list[#list + 1] = "the sets of rows are equal" end
  if outcome.verdict == "wrong" then list[#list + 1] = ("soft F1 %.2f"):format(outcome.soft_f1) end
  if outcome.reference then
    list[#list + 1] = ("held against gold %d of %d"):format(outcome.reference, #item.gold)
  end
  if outcome.ties then list[#list + 1] = TIES[outcome.ties] end
  return table.concat(list, " · ")
end

local function failure(item, outcome)
  local text = type(item.gold) == "table" and item.gold[outcome.reference or 1] or item.gold
  local gold, pred = report.sql_diff(text, item.pred)
  local title = { report.badge((outcome.verdict:gsub("_", " ")), kinds[outcome.verdict]),
    item.question ~= "" and item.question or ("item %d"):format(item.number) }
  return report.details(title, {
    report.text(remarks(item, outcome), "note"),
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

---The other metrics and what must be said about the numbers, a line each. Also what the terminal prints.
---@param run sqlune.evaluate.Result
---@return string[]
function M.lines(run)
  local all, lines = run.all, {}
  local others = ("ex_ordered %s   soft_f1 %s   ex_xiyan %s   ex_spider %s"):format(percent(all.ex_ordered),
    percent(all.soft_f1), percent(all.ex_xiyan), percent(all.ex_spider))
  lines[1] = all.r_ves and ("%s   r_ves %.1f"):format(others, all.r_ves) or others
  if all.ties_within > 0 then
    lines[#lines + 1] = ("rows that tie: %d in another order, right in ex_ordered"):format(all.ties_within)
  end
  if all.ties_cut > 0 then
    lines[#lines + 1] = ("rows that tie: %d cut by gold's LIMIT, wrong perhaps by chance"):format(all.ties_cut)
  end
  if all.ties_unknown > 0 then
    lines[#lines + 1] = ("order differs, perhaps of rows that tie: %d, wrong in ex_ordered"):format(all.ties_unknown)
  end
  if run.left then
    lines[#lines + 1] = ("without the %d of %s: ex %s   ex_bird %s   of %d items"):format(run.left.count,
      run.left.path, percent(run.left.all.ex), percent(run.left.all.ex_bird), run.left.all.scored)
  end
  return lines
end

local HEADINGS = { difficulty = "By difficulty", dialect = "By dialect", feature = "By what gold uses" }

local function group_table(run, kind)
  local header, rows, total = M.table(run.all, run.groups[kind], kind)
  local align = { "l" }
  for i = 2, #header do align[i] = "r" end
  return report.table(rows, { header = header, align = align, footer = total })
end

local function breakdowns(run)
  local section = { title = "Breakdown" }
  for _, kind in ipairs(run.kinds) do
    if HEADINGS[kind] then
      section[#section + 1] = report.raw("<h3>" .. HEADINGS[kind] .. "</h3>")
      section[#section + 1] = group_table(run, kind)
    end
  end
  section[#section + 1] = report.text("A statement with several features counts for each of them.", "note")
  return section
end

---The page; more sections (a loss curve …) may be put into its `sections`.
---@param run sqlune.evaluate.Result
---@return sqlune.report.Page
function M.page(run)
  local all, databases = run.all, run.groups.database
  local interval = run.interval and ("95%%:\u{A0}%.1f\u{A0}…\u{A0}%.1f"):format(run.interval[1], run.interval[2])
  local tiles = {
    { "ex", percent(all.ex), interval }, { "ex_bird", percent(all.ex_bird) }, { "soft_f1", percent(all.soft_f1) },
    { "ex_ordered", percent(all.ex_ordered) }, { "executable", percent(all.executable) },
    { "wrong", tostring(all.wrong) }, { "error", tostring(all.error) }, { "timeout", tostring(all.timeout) },
    { "gold error", tostring(all.gold_error) },
  }
  if all.r_ves then table.insert(tiles, 4, { "r_ves", percent(all.r_ves) }) end
  local by_database = group_table(run, "database")
  if #databases > most_databases then
    by_database = report.details(("All %d databases"):format(#databases), by_database)
  end
  local summary = { title = "Summary", report.tiles(tiles), by_database }
  for _, line in ipairs(M.lines(run)) do
    summary[#summary + 1] = report.text((line:gsub("   ", " · ")), "note")
  end
  summary[#summary + 1] = report.text("Percent of the items whose gold ran. ex: the same rows, whatever the order of "
    .. "rows and columns; ex_bird: the same set of rows; ex_ordered: ex, and the order of rows where gold states one; "
    .. "soft_f1: the share of cells that are right, row by row; executable: ran within its limits.", "note")
  return {
    title = run.title,
    subtitle = ("%d items, %d database%s"):format(all.items, #databases, #databases == 1 and "" or "s"),
    sections = { summary, breakdowns(run), failures(run), { title = "Settings", report.facts(run.facts) } },
  }
end

return M
