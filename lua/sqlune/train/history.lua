-- What a run folder tells afterwards: its settings, its log, its samples; runs below a folder.
local sq = require "sqlune"
local config, fs, json = sq.config, sq.fs, sq.json

local M = {}

---@class sqlune.train.History
---@field name string
---@field path string
---@field settings table     config.lua
---@field entries table[]    metrics.jsonl
---@field samples table[]    samples.jsonl
---@field finished boolean   whether the folder holds its model
---@field seconds number     spent in steps
---@field best table?        best.json: step, metric, value

local function lines_of(path)
  local list = {}
  if not fs.exists(path) then return list end
  local items <close>, message = json.items(path)
  if not items then return nil, message end
  local ok, wrong = pcall(function()
    for item in items do
      if type(item) == "table" then list[#list + 1] = item end
    end
  end)
  if not ok then return nil, tostring(wrong) end
  return list
end

---Does the folder hold a run?
---@param folder string
function M.is_run(folder)
  return fs.exists(fs.join(folder, "config.lua")) and fs.exists(fs.join(folder, "metrics.jsonl"))
end

---@param folder string
---@return sqlune.train.History? history
---@return string? message
function M.read(folder)
  if not M.is_run(folder) then return nil, folder .. ": no run (config.lua and metrics.jsonl)" end
  local settings, message = config.load(fs.join(folder, "config.lua"))
  if not settings then return nil, message end
  local entries
  entries, message = lines_of(fs.join(folder, "metrics.jsonl"))
  if not entries then return nil, message end
  local samples
  samples, message = lines_of(fs.join(folder, "samples.jsonl"))
  if not samples then return nil, message end
  local seconds = 0
  for _, entry in ipairs(entries) do seconds = seconds + (tonumber(entry.seconds) or 0) end
  local best = fs.join(folder, "best.json")
  return {
    name = fs.basename(folder), path = folder, settings = settings, entries = entries, samples = samples,
    seconds = seconds, best = fs.exists(best) and json.read(best) or nil,
    finished = fs.exists(fs.join(folder, "model.safetensors"))
      or fs.exists(fs.join(folder, "adapter_model.safetensors")),
  }
end

---Run folders: the folder itself, or those below it, at most three deep.
---@param folder string
---@return string[]
function M.find(folder)
  local found = {}
  local function walk(path, depth)
    if M.is_run(path) then
      found[#found + 1] = path
    elseif depth < 3 then
      for _, name in ipairs(fs.list(path) or {}) do
        local below = fs.join(path, name)
        if name:sub(1, 1) ~= "." and fs.is_dir(below) then walk(below, depth + 1) end
      end
    end
  end
  walk(folder, 0)
  return found
end

---Values of one number over the steps: {x = steps, y = values}, only where it stands. "grad_norms.mlp" reaches inside.
---@param history sqlune.train.History
---@param key string
---@return { x: integer[], y: number[] }
function M.series(history, key)
  local outer, inner = key:match "^(.-)%.(.*)$"
  local series = { x = {}, y = {} }
  for _, entry in ipairs(history.entries) do
    local value = entry[outer or key]
    if inner then value = type(value) == "table" and value[inner] or nil end
    if type(value) == "number" then
      series.x[#series.x + 1], series.y[#series.y + 1] = entry.step, value
    end
  end
  return series
end

---The mean of the last values, at most `count` of them; nil if there is none.
---@param values number[]
---@param count integer
---@return number?
function M.recent(values, count)
  local first, sum = math.max(1, #values - count + 1), 0
  if #values == 0 then return nil end
  for i = first, #values do sum = sum + values[i] end
  return sum / (#values - first + 1)
end

return M
