-- recipes/runs.lua: lists training runs and compares them: how far, loss, evaluations, speed, settings that differ.
local sq = require "sqlune"
local config, json, term = sq.config, sq.json, sq.term
local history = require "sqlune.train.history"

local cfg = config.parse(arg, {
  folders = config.list("run folders, or folders that hold runs: a,b", { "run" }),
  report  = config.boolean "write report.html into each run folder",
  json    = false,
}, { positional = { "folders" } })

local runs = {}
for _, folder in ipairs(cfg.folders) do
  if not sq.fs.is_dir(folder) then config.fail(folder .. ": no such folder") end
  for _, path in ipairs(history.find(folder)) do
    local run, message = history.read(path)
    if not run then config.fail(message) end
    runs[#runs + 1] = run
  end
end
if #runs == 0 then config.fail(table.concat(cfg.folders, ", ") .. ": no runs") end

---A number's course in a few characters.
local function course(values, width)
  local marks, low, high = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" }, math.huge, -math.huge
  local points = {}
  for k = 1, math.min(width, #values) do -- the mean of each piece
    local first, last = (k - 1) * #values // math.min(width, #values) + 1, k * #values // math.min(width, #values)
    points[k] = history.recent(table.move(values, first, last, 1, {}), last - first + 1)
    low, high = math.min(low, points[k]), math.max(high, points[k])
  end
  for k, v in ipairs(points) do
    points[k] = marks[high > low and 1 + math.floor((v - low) / (high - low) * 7.999) or 1]
  end
  return table.concat(points)
end

---Settings as { ["loss.smoothing"] = "0.1" }.
local function flat(settings, prefix, out)
  for key, value in pairs(settings) do
    local name = prefix .. tostring(key)
    if type(value) == "table" and #value == 0 and next(value) ~= nil then
      flat(value, name .. ".", out)
    elseif type(value) == "table" then
      local words = {}
      for i, v in ipairs(value) do words[i] = tostring(v) end
      out[name] = table.concat(words, ",")
    else
      out[name] = tostring(value)
    end
  end
  return out
end

---What was switched off says nothing by its other settings.
local function without_unused(settings)
  local off = { ["lora."] = (settings["lora.rank"] or "0") == "0", ["momq."] = settings["momq.enabled"] ~= "true" }
  for prefix, unused in pairs(off) do
    for name in pairs(settings) do
      local switch = name == "lora.rank" or name == "momq.enabled"
      if unused and not switch and name:sub(1, #prefix) == prefix then settings[name] = nil end
    end
  end
  return settings
end

local function last_of(run, key)
  local y = history.series(run, key).y
  return y[#y]
end

---The shortest end of each path that tells the runs apart.
local function short_names()
  for parts = 1, 4 do
    local shown, seen, unique = {}, {}, true
    for i, run in ipairs(runs) do
      local words = {}
      for word in run.path:gmatch "[^/]+" do words[#words + 1] = word end
      shown[i] = table.concat(words, "/", math.max(1, #words - parts + 1))
      unique = unique and not seen[shown[i]]
      seen[shown[i]] = true
    end
    if unique or parts == 4 then return shown end
  end
end

local shown_names = short_names()
local rows, list = {}, {}
for i, run in ipairs(runs) do
  local last, losses = run.entries[#run.entries] or { step = 0, tokens = 0 }, history.series(run, "loss").y
  local loss, held_out, ex = history.recent(losses, 20), last_of(run, "eval_loss"), last_of(run, "eval_ex")
  local speed = run.seconds > 0 and last.tokens and last.tokens / run.seconds or nil
  rows[i] = { shown_names[i], last.step, run.finished and "done" or "open", loss and ("%.4f"):format(loss) or "–",
    course(losses, 16), held_out and ("%.4f"):format(held_out) or "–", ex and ("%.1f"):format(ex) or "–",
    speed and term.count(math.floor(speed + 0.5)) or "–", term.duration(run.seconds) }
  list[i] = { path = run.path, step = last.step, finished = run.finished, loss = loss, eval_loss = held_out,
    eval_ex = ex, tokens_per_second = speed, seconds = run.seconds, best = run.best }
  if cfg.report then
    local written, message = require("sqlune.report.run").write(run.path)
    if not written then config.fail(message) end
  end
end

-- Settings in which the runs differ, but for where they write.
local names, differing, settings = {}, {}, {}
for i, run in ipairs(runs) do
  settings[i] = without_unused(flat(run.settings, "", {}))
  for name in pairs(settings[i]) do names[name] = true end
end
for name in pairs(names) do
  local values, count = {}, 0
  for i = 1, #runs do
    local value = settings[i][name]
    if value and not values[value] then values[value], count = true, count + 1 end
  end
  if count > 1 and name ~= "out" and name ~= "resume" then differing[#differing + 1] = name end
end
table.sort(differing)

if cfg.json then
  print(json.encode(json.array(list)))
  return
end
print(term.table { rows = rows, align = "lrlrlrrrr", columns = { "run", "step", "state", "loss", "course", "held out",
  "ex", "tok/s", "time" } })
if #differing > 0 and #runs <= 8 then
  local shown = {}
  for k, name in ipairs(differing) do
    shown[k] = { name }
    for i = 1, #runs do shown[k][i + 1] = settings[i][name] or "–" end
  end
  local columns = { "differs in" }
  for i in ipairs(runs) do columns[i + 1] = shown_names[i] end
  print()
  print(term.table { columns = columns, rows = shown, align = ("l"):rep(#runs + 1) })
end
