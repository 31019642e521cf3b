-- What the routers did in one forward: a list with a route for each layer, in the order of the layers (at.routes).
--
-- A route has `layer`, `tensors` (all of it that is a tensor, out of scopes) and by name, for N tokens: s, u, z, p, v
-- (a router's probabilities and logits), ids, weights, taken (the choice), top. layer.lua says which of them when.
local sq = require "sqlune"
local ops = sq.ops

local M = {}

---ops.cat of any number of tensors: it takes 64 at a time.
local function cat(list)
  if #list <= 64 then return ops.cat(list) end
  local parts = {}
  for i = 1, #list, 64 do parts[#parts + 1] = ops.cat(table.move(list, i, math.min(i + 63, #list), 1, {})) end
  return cat(parts)
end

---One tensor [L, …] for all layers: operators behind it are launched once, not once a layer.
---@param routes table[]
---@param of string|fun(route: table): userdata  what of a route: its name, or made of it
---@return userdata
function M.stacked(routes, of)
  local list = {}
  for i, route in ipairs(routes) do
    local x = type(of) == "string" and route[of] or of(route)
    list[i] = x:reshape { 1, table.unpack(x.shape) }
  end
  return cat(list)
end

---@param routes table[]
function M.close(routes)
  for _, route in ipairs(routes) do
    for _, x in ipairs(route.tensors) do x:close() end
  end
end

return M
