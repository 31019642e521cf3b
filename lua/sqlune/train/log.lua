-- What a run writes while it goes: metrics.jsonl, samples.jsonl, a TensorBoard event file. A resumed run goes on behind
-- its checkpoint's step in all of them.
local sq = require "sqlune"
local events = require "sqlune.train.events"
local config, fs, json = sq.config, sq.fs, sq.json

local M = {}

---@class sqlune.train.Log
---@field out string run folder
local Log = {}
Log.__index = Log

local function must(value, message)
  if not value then config.fail(message) end
  return value
end

---Lines of a JSON Lines file up to a step; a line that was cut off is left out.
local function kept(path, step)
  local lines, entries = {}, {}
  for line in (fs.exists(path) and must(fs.read(path)) or ""):gmatch "[^\n]+" do
    local ok, entry = pcall(json.decode, line)
    if ok and type(entry) == "table" and math.type(entry.step) == "integer" and entry.step <= step then
      lines[#lines + 1], entries[#entries + 1] = line .. "\n", entry
    end
  end
  return table.concat(lines), entries
end

-- How TensorBoard shows a number: in which group.
local group_of = { loss = "train", lr = "train", grad_norm = "train", seconds = "speed", memory = "speed",
  tokens_per_second = "speed", tokens = "train", labelled = "train" }

---An entry's finite numbers by their TensorBoard tags: train/loss, eval/loss, grad_norm/mlp …
local function scalars(entry)
  local values = {}
  local function add(tag, value)
    if type(value) == "number" and value == value and math.abs(value) < math.huge then values[tag] = value end
  end
  for key, value in pairs(entry) do
    if type(value) == "table" then
      for name, part in pairs(value) do add((key:gsub("grad_norms", "grad_norm")) .. "/" .. name, part) end
    elseif key ~= "step" and key ~= "time" then
      local evaluated = key:match "^eval_(.*)"
      add(evaluated and "eval/" .. evaluated or (group_of[key] or "train") .. "/" .. key, value)
    end
  end
  return values
end

---Opens the files of a run folder.
---@param out string
---@param step integer the step that the run goes on from, 0: a new run
---@return sqlune.train.Log
function M.open(out, step)
  local self = setmetatable({ metrics = fs.join(out, "metrics.jsonl"), samples = fs.join(out, "samples.jsonl"),
    events = fs.join(out, "events.out.tfevents.sqlune") }, Log)
  local lines, entries = kept(self.metrics, step)
  must(fs.write(self.metrics, lines))
  local samples = kept(self.samples, step)
  if samples ~= "" then
    must(fs.write(self.samples, samples))
  elseif fs.exists(self.samples) then
    must(fs.remove(self.samples))
  end
  local parts = { events.head(entries[1] and entries[1].time or os.time()) }
  for _, entry in ipairs(entries) do
    parts[#parts + 1] = events.scalars(entry.step, entry.time or 0, scalars(entry))
  end
  must(fs.write(self.events, table.concat(parts)))
  return self
end

---JSON has no NaN and no infinity: they stand as text.
local function printable(value)
  if type(value) == "table" then
    local copy = {}
    for key, part in pairs(value) do copy[key] = printable(part) end
    return copy
  end
  if type(value) ~= "number" or value == value and math.abs(value) < math.huge then return value end
  return value ~= value and "nan" or tostring(value)
end

---Writes one step's entry.
---@param entry table<string, any> with `step`
function Log:write(entry)
  entry.time = os.time()
  must(fs.append(self.metrics, json.encode(printable(entry)) .. "\n"))
  must(fs.append(self.events, events.scalars(entry.step, entry.time, scalars(entry))))
end

---Writes answers that the model gave while it was trained.
---@param list table[] each with `step`
function Log:write_samples(list)
  local lines = {}
  for i, sample in ipairs(list) do lines[i] = json.encode(sample, { replace = true }) .. "\n" end
  if #lines > 0 then must(fs.append(self.samples, table.concat(lines))) end
end

return M
