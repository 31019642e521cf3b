-- Learning rates over steps: each function gives rate(step), step counting from 1, as transformers' schedules give it.
local config = require "sqlune.config"

local M = {}

---@class sqlune.schedule.Opts
---@field lr number       the highest rate
---@field warmup number   below 1: a share of all steps; from 1: steps
---@field lr_floor? number  the lowest rate behind the warm-up, as a share of the highest (0): cosine, wsd
---@field decay? number     wsd: the steps at the end that fall; below 1: a share of all steps (0.1)

---Settings of a recipe beside lr, schedule and warmup.
M.options = {
  lr_floor = config.number("cosine, wsd: the lowest rate as a share of the highest", 0.0, { min = 0, max = 1 }),
  decay = config.number("wsd: how much falls at the end; a share of all steps, from 1: steps", 0.1, { min = 0 }),
}

---A share of all steps, or steps.
local function count(value, total) return value < 1 and math.ceil(value * total) or math.floor(value) end

---@param o sqlune.schedule.Opts
---@param total integer   steps in the run
---@param shape fun(done: number, at: integer, warmup: integer): number  factor for the share of the steps after warm-up
---that is done; `at` counts the steps done
local function warmed(o, total, shape)
  local warmup = count(o.warmup, total)
  return function(step)
    local at = step - 1 -- transformers counts the steps done: the first step of a warm-up has rate 0
    if at < warmup then return o.lr * at / warmup end
    return o.lr * shape(total > warmup and math.min(1, (at - warmup) / (total - warmup)) or 1, at, warmup)
  end
end

---@param o sqlune.schedule.Opts
---@param total integer
---@return fun(step: integer): number
function M.linear(o, total) return warmed(o, total, function(done) return 1 - done end) end

---Half a cosine down to lr_floor x lr.
---@param o sqlune.schedule.Opts
---@param total integer
---@return fun(step: integer): number
function M.cosine(o, total)
  local floor = o.lr_floor or 0
  return warmed(o, total, function(done) return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done)) end)
end

---@param o sqlune.schedule.Opts
---@param total integer
---@return fun(step: integer): number
function M.constant(o, total) return warmed(o, total, function() return 1 end) end

---Warm-up, stable, decay: the rate stays, and falls in a line to lr_floor x lr over the last `decay` steps.
---@param o sqlune.schedule.Opts
---@param total integer
---@return fun(step: integer): number
function M.wsd(o, total)
  local floor, decay = o.lr_floor or 0, count(o.decay or 0.1, total)
  return warmed(o, total, function(_, at)
    local left = math.max(0, total - at)
    return left >= decay and 1 or floor + (1 - floor) * left / decay
  end)
end

---Falls as 1 / sqrt(step) after the warm-up (transformers' inverse_sqrt): the time scale is the warm-up, else 10,000.
---@param o sqlune.schedule.Opts
---@param total integer
---@return fun(step: integer): number
function M.inverse_sqrt(o, total)
  return warmed(o, total, function(_, at, warmup)
    local scale = warmup > 0 and warmup or 10000
    return 1 / math.sqrt((at - warmup + scale) / scale)
  end)
end

---DeepSpeed's WarmupLR: rises over the warm-up, then stays. `rise(i, n)` is its factor at iteration i of n. Its
---iterations count from -1, whose rate is 0: the first two steps of a run change nothing.
local function deepspeed(o, total, rise)
  local warmup = math.max(2, count(o.warmup, total)) -- DeepSpeed takes two steps at least
  return function(step)
    local at = step - 2
    if at < 0 then return 0.0 end
    return o.lr * (at < warmup and rise(at, warmup) or 1)
  end
end

---DeepSpeed's WarmupLR as it is by default: the rise is logarithmic, log(step) / log(warm-up steps).
---@param o sqlune.schedule.Opts
---@param total integer
---@return fun(step: integer): number
function M.warmup_log(o, total)
  return deepspeed(o, total, function(at, warmup) return math.log(at + 1) / math.log(warmup) end)
end

---DeepSpeed's WarmupLR with warmup_type "linear".
---@param o sqlune.schedule.Opts
---@param total integer
---@return fun(step: integer): number
function M.warmup_linear(o, total)
  return deepspeed(o, total, function(at, warmup) return at / warmup end)
end

---Names for a recipe's `schedule` setting.
M.names = { "cosine", "linear", "constant", "wsd", "inverse_sqrt", "warmup_log", "warmup_linear" }

return M
