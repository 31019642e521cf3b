-- The training section of a report: the loss of each run over its steps, from the metrics.jsonl of the run folders.
local fs, json = require("sqlune.core").fs, require("sqlune.core").json
local report = require "sqlune.report"

local M = {}

---Reads step and loss of a run. Lines without a loss (an evaluation, a note) do not count.
---@param folder string  a run folder, or its metrics.jsonl
---@return { name: string, x: number[], y: number[] }? run
---@return string? message
function M.read(folder)
  local path = fs.is_dir(folder) and fs.join(folder, "metrics.jsonl") or folder
  local list <close>, message = json.items(path)
  if not list then return nil, message end
  local run = { name = fs.basename(fs.is_dir(folder) and folder or fs.dirname(folder)), x = {}, y = {} }
  local ok, wrong = pcall(function()
    for item in list do
      if type(item) == "table" and type(item.loss) == "number" then
        run.x[#run.x + 1], run.y[#run.y + 1] = item.step or #run.x + 1, item.loss
      end
    end
  end)
  if not ok then return nil, tostring(wrong) end
  if #run.x == 0 then return nil, path .. ": no line has a 'loss'" end
  return run
end

---Runs one after the other on one axis: each begins where the one before it ended.
---@param runs table[]
---@return table[] runs
function M.chained(runs)
  local list, at = {}, 0
  for i, run in ipairs(runs) do
    local x = {}
    for k, step in ipairs(run.x) do x[k] = at + step end
    list[i] = { name = run.name, x = x, y = run.y }
    at = x[#x]
  end
  return list
end

---A section for report.page: the loss curve of the runs, in the order of their training.
---@param folders string[]
---@return sqlune.report.Section? section
---@return string? message
function M.section(folders)
  local runs, facts = {}, {}
  for i, folder in ipairs(folders) do
    local run, message = M.read(folder)
    if not run then return nil, message end
    runs[i] = run
    facts[i] = { folder, ("%d steps logged, loss %.3f at first, %.3f at last"):format(#run.y, run.y[1], run.y[#run.y]) }
  end
  return {
    title = "Training",
    report.line_chart { series = M.chained(runs), x_label = "step", y_label = "loss", y_min = 0 },
    report.facts(facts),
  }
end

return M
