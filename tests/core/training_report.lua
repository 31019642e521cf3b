-- The loss curve in a report: read from run folders, one run after the other.
local t = require "tests.check"
local sq = require "sqlune"
local training = require "sqlune.report.training"

local function run_folder(name, text)
  local folder = t.tmpdir() .. "/" .. name
  assert(sq.fs.mkdir(folder))
  assert(sq.fs.write(folder .. "/metrics.jsonl", text))
  return folder
end

return {
  ["steps and losses of a run; other lines do not count"] = function()
    local folder = run_folder("sft", '{"step": 2, "loss": 1.5}\n{"step": 2, "ex": 0.5}\n{"step": 4, "loss": 1}\n')
    local run = assert(training.read(folder))
    t.eq(run, { name = "sft", x = { 2, 4 }, y = { 1.5, 1 } })
  end,

  ["runs follow each other"] = function()
    local first, second = { name = "a", x = { 1, 3 }, y = { 2, 1 } }, { name = "b", x = { 1, 2 }, y = { 1, 0 } }
    local chained = training.chained { first, second }
    t.eq(chained[1].x, { 1, 3 })
    t.eq(chained[2].x, { 4, 5 })
  end,

  ["the section has a line for each run"] = function()
    local section = assert(training.section {
      run_folder("base", '{"step": 1, "loss": 7.5}\n{"step": 2, "loss": 3}\n'),
      run_folder("sft", '{"step": 1, "loss": 2}\n{"step": 2, "loss": 0.5}\n'),
    })
    local html = section[1].html
    t.eq(select(2, html:gsub("<polyline", "")), 2)
    t.ok(html:find("base", 1, true) and html:find("sft", 1, true))
  end,

  ["a run without a loss, a broken or a missing file are errors that name it"] = function()
    local without = run_folder("x", '{"step": 1}\n')
    t.fails(function() return training.section { without } end, "x/metrics.jsonl: no line has a 'loss'")
    t.fails(function() return training.read(run_folder("y", '{"step": 1, "loss"\n')) end, "y/metrics.jsonl")
    t.fails(function() return training.read "/nonexistent/metrics.jsonl" end, "/nonexistent/metrics.jsonl")
  end,
}
