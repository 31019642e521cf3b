-- Learning rates over steps: each function gives rate(step), step counting from 1, as transformers' schedules give it.
local M = {}

---@class sqlune.schedule.Opts
---@field lr number       the highest rate
---@field warmup number   below 1: a share of all steps; from 1: steps

---@param o sqlune.schedule.Opts
---@param total integer   steps in the run
---@param shape fun(done: number): number  factor for the share of the steps after warm-up that is done
local function warmed(o, total, shape)
  local warmup = o.warmup < 1 and math.ceil(o.warmup * total) or math.floor(o.warmup)
  return function(step)
    local at = step - 1 -- transformers counts the steps done: the first step of a warm-up has rate 0
    if at < warmup then return o.lr * at / warmup end
    return o.lr * shape(total > warmup and math.min(1, (at - warmup) / (total - warmup)) or 1)
  end
end

---@param o sqlune.schedule.Opts
---@param total integer
---@return fun(step: integer): number
function M.linear(o, total) return warmed(o, total, function(done) return 1 - done end) end

---@param o sqlune.schedule.Opts
---@param total integer
---@return fun(step: integer): number
function M.cosine(o, total) return warmed(o, total, function(done) return 0.5 * (1 + math.cos(math.pi * done)) end) end

---@param o sqlune.schedule.Opts
---@param total integer
---@return fun(step: integer): number
function M.constant(o, total) return warmed(o, total, function() return 1 end) end

---Names for a recipe's `schedule` setting.
M.names = { "cosine", "linear", "constant" }

return M
