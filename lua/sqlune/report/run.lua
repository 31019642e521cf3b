-- report.html of a training run: loss, rate, gradient norms, speed, memory, evaluations, the model's answers, routers.
local history = require "sqlune.train.history"
local report = require "sqlune.report"
local sq = require "sqlune"
local config, fs, json, term = sq.config, sq.fs, sq.json, sq.term

local M = {}

local verdicts = { correct = "good", wrong = "bad", error = "warn", timeout = "warn", gold_error = "plain" }

---Names of the inner numbers of a table that entries hold under a key, in byte order.
local function inner_names(run, key)
  local names, seen = {}, {}
  for _, entry in ipairs(run.entries) do
    for name, value in pairs(type(entry[key]) == "table" and entry[key] or {}) do
      if type(value) == "number" and not seen[name] then
        seen[name] = true
        names[#names + 1] = name
      end
    end
  end
  table.sort(names)
  return names
end

local function series(run, key, name)
  local s = history.series(run, key)
  s.name = name
  return #s.y > 0 and s or nil
end

local function chart(title, list, o)
  if #list == 0 then return nil end
  local spec = { title = title, series = list, x_label = "step" }
  for key, value in pairs(o or {}) do spec[key] = value end
  return report.line_chart(spec)
end

local function tiles(run)
  local last = run.entries[#run.entries]
  local losses = history.series(run, "loss").y
  local list = {
    { "steps", tostring(last.step), run.finished and "finished" or "not finished" },
    { "loss", ("%.3f"):format(history.recent(losses, 20) or 0 / 0), "mean of the last 20 steps" },
    { "tokens", term.count(last.tokens or 0), ("in %s"):format(term.duration(run.seconds)) },
  }
  if run.seconds > 0 then
    list[#list + 1] = { "tokens/s", term.count(math.floor((last.tokens or 0) / run.seconds)), "mean of the run" }
  end
  for _, metric in ipairs { "eval_loss", "eval_ex" } do
    local y = history.series(run, metric).y
    if #y > 0 then
      local best = y[1]
      for _, v in ipairs(y) do best = metric == "eval_loss" and math.min(best, v) or math.max(best, v) end
      local shape = metric == "eval_loss" and "%.3f" or "%.1f%%"
      list[#list + 1] = { metric == "eval_loss" and "held-out loss" or "ex", shape:format(y[#y]),
        "best " .. shape:format(best) }
    end
  end
  return report.tiles(list)
end

local function curves(run)
  local loss = { series(run, "loss", "training") }
  loss[#loss + 1] = series(run, "eval_loss", "held out")
  local parts = { series(run, "grad_norm", "all") }
  for _, name in ipairs(inner_names(run, "grad_norms")) do
    parts[#parts + 1] = series(run, "grad_norms." .. name, name)
  end
  local memory = series(run, "memory")
  for i, bytes in ipairs(memory and memory.y or {}) do memory.y[i] = bytes / 2 ^ 20 end
  local small = { y_min = 0, small = true }
  local function one(key, title, o) return chart(title, { series(run, key) }, o) end
  return {
    title = "Training",
    chart("loss", loss, { y_min = 0 }),
    report.columns(one("lr", "learning rate", small) or "", chart("gradient norm", parts, small) or ""),
    report.columns(one("tokens_per_second", "tokens per second", small) or "",
      chart("memory of tensors after a step, MiB", { memory }, small) or ""),
  }
end

local function skipped_note(run)
  local steps = {}
  for _, entry in ipairs(run.entries) do
    if entry.skipped then steps[#steps + 1] = tostring(entry.step) end
  end
  if #steps == 0 then return nil end
  local shown = table.concat(steps, ", ", 1, math.min(#steps, 20)) .. (#steps > 20 and " …" or "")
  return report.text({ report.badge(term.plural(#steps, "step") .. " skipped", "warn"),
    " the gradient was not finite: " .. shown })
end

local function sample_block(sample)
  local gold, pred = report.sql_diff(sample.gold or "", sample.pred or "")
  local wrong = sample.error ~= nil and sample.error ~= json.null
  return report.details({ report.badge(sample.verdict, verdicts[sample.verdict]), sample.question }, {
    report.text(sample.db_name or "", "note"),
    report.columns({ report.text("wanted", "note"), report.code(gold) },
      { report.text("answered", "note"), report.code(pred), wrong and report.code(sample.error, "error") or "" }),
  }, sample.verdict ~= "correct")
end

local function evaluation(run)
  local list = {}
  for _, name in ipairs { "ex", "ex_bird", "executable" } do list[#list + 1] = series(run, "eval_" .. name, name) end
  if #list == 0 and #run.samples == 0 then return nil end
  local section = { title = "Evaluations", chart("answers, percent", list, { y_min = 0 }) or "" }
  if run.best then
    section[#section + 1] = report.text(("The folder's model is that of step %d: %s %.4g."):format(run.best.step,
      run.best.metric, run.best.value))
  end
  local last = run.samples[#run.samples]
  if last then section[#section + 1] = report.text(("answers at step %d"):format(last.step), "note") end
  for _, sample in ipairs(run.samples) do
    if sample.step == last.step then section[#section + 1] = sample_block(sample) end
  end
  return section
end

local function numbered(count)
  local names = {}
  for i = 1, count do names[i] = tostring(i) end
  return names
end

---The share of each expert, by dialect and by layer, from the last statistics of a MoMQ run.
local function routers(run)
  local last
  for _, entry in ipairs(run.entries) do last = entry.router and entry or last end
  local r = last and last.router
  if not r or not r.load_by_dialect or not r.load_by_dialect[1] then return nil end
  local experts, dialects, layers = numbered(#r.load_by_dialect[1]), {}, {}
  for d in ipairs(r.load_by_dialect) do dialects[d] = "dialect " .. d - 1 end
  for _, setting in ipairs((run.settings.momq or {}).dialects or {}) do
    local name, id = tostring(setting):match "^%s*([%w_]+)%s*=%s*(%d+)"
    if id and dialects[tonumber(id) + 1] then dialects[tonumber(id) + 1] = name end
  end
  for l, name in ipairs(r.layers or {}) do layers[l] = name:gsub("^model%.layers%.", "") end
  local facts = {}
  for _, key in ipairs { "own_group", "dropped", "entropy", "dialect_entropy" } do
    if type(r[key]) == "number" then facts[#facts + 1] = { key, ("%.3f"):format(r[key]) } end
  end
  return {
    title = "Routers",
    report.text(("up to step %d: the share of the routed weight that each expert got"):format(last.step), "note"),
    report.facts(facts),
    report.heat_map { title = "by dialect", values = r.load_by_dialect, rows = dialects, columns = experts,
      x_label = "expert", show = true },
    report.heat_map { title = "by layer", values = r.load_by_layer, rows = layers, columns = experts,
      x_label = "expert", show = true },
  }
end

---The page of a run folder.
---@param folder string
---@return sqlune.report.Page? page
---@return string? message
function M.page(folder)
  local run, message = history.read(folder)
  if not run then return nil, message end
  if #run.entries == 0 then return nil, folder .. ": no step is logged" end
  local training = curves(run)
  training[#training + 1] = skipped_note(run)
  local sections = { { title = "Summary", tiles(run) }, training }
  sections[#sections + 1] = evaluation(run)
  sections[#sections + 1] = routers(run)
  sections[#sections + 1] = { title = "Settings", report.code((config.text(run.settings):gsub("^return ", ""))) }
  return { title = "Training: " .. run.name, subtitle = folder, sections = sections }
end

---Writes report.html into a run folder.
---@param folder string
---@return string? path
---@return string? message
function M.write(folder)
  local page, message = M.page(folder)
  if not page then return nil, message end
  local path = fs.join(folder, "report.html")
  local ok
  ok, message = report.write(path, page)
  if not ok then return nil, message end
  return path
end

return M
