-- An adapter's weights put into the base's: in f32 (f64 for f64), rounded once.
local sq = require "sqlune"
local layer = require "sqlune.lora.layer"
local ops = sq.ops

local M = {}

---W + scale B A (- PiSSA's start), with DoRA its rows brought to the trained lengths; of the weight's dtype.
---@param weight userdata          [outputs, inputs]
---@param part sqlune.lora.Part
---@param factor? number           1
---@return userdata
function M.weight(weight, part, factor)
  if part.weight then return part.weight end
  if not part.a then return weight end
  return sq.no_grad(function()
    local s <close> = sq.scope()
    local wide, scale = weight.dtype == "f64" and "f64" or "f32", part.scale * (factor or 1)
    local function product(pair) return ops.matmul(pair.b:to(wide), pair.a:to(wide)) * scale end
    local sum = weight:to(wide) + product(part)
    if part.start then sum = sum - product(part.start) end
    if part.magnitude then
      local gain = part.magnitude:to(wide) / layer.norms(weight, part.a, part.b, scale):to(wide)
      sum = sum * gain:reshape { -1, 1 }
    end
    return s:keep(sum:to(weight.dtype))
  end)
end

return M
