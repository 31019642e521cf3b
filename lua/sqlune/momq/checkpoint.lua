-- Checkpointed layers of a model with experts.
--
-- A checkpoint's inside runs twice, both times off the model's tape. So what the routers' losses read leaves it as one
-- more result, and the routes that count are those of the first run, with these tensors in place of its own.
local routes_of = require "sqlune.momq.routes"
local sq = require "sqlune"
local ops = sq.ops

local M = {}

local TRAINED <const> = { "s", "u", "z" } -- what losses have gradients for: all of one dtype

---What leaves a run of the layers: its routes' tensors in a row; nil without any.
local function flat_of(routes)
  local list = {}
  for _, route in ipairs(routes) do
    for _, name in ipairs(TRAINED) do
      if route[name] then list[#list + 1] = route[name]:reshape { -1 } end
    end
  end
  return #list > 0 and ops.cat(list) or nil
end

---Puts the tensors of `flat`, which are on the tape, into the routes of the run that made them.
local function put_back(routes, flat)
  local first = 1
  for _, route in ipairs(routes) do
    for _, name in ipairs(TRAINED) do
      local old = route[name]
      if old then
        local n = old:numel()
        local new = flat:narrow(1, first, n):reshape(old.shape):keep()
        for i, x in ipairs(route.tensors) do
          if rawequal(x, old) then route.tensors[i] = new end
        end
        route[name], first = new, first + n
        old:close()
      end
    end
  end
end

---sq.checkpoint for layers that may route: run(…, at), at.routes being the list that they add to.
---@param run fun(...): userdata, userdata?
---@param ... any  its arguments, the model's context last
---@return userdata, userdata?
function M.run(run, ...)
  local n = select("#", ...)
  local at = select(n, ...)
  if not at.routes then return sq.checkpoint(run, ...) end
  local routes
  local function inside(...)
    local arguments = table.pack(...)
    local own = setmetatable({ routes = {}, inside = true }, { __index = at })
    arguments[n] = own
    local results = table.pack(run(table.unpack(arguments, 1, n)))
    local flat = flat_of(own.routes)
    if flat then
      results.n = results.n + 1
      results[results.n] = flat
    end
    if routes then routes_of.close(own.routes) else routes = own.routes end
    return table.unpack(results, 1, results.n)
  end
  local results = table.pack(sq.checkpoint(inside, ...))
  if #routes > 0 then
    put_back(routes, results[results.n])
    results.n = results.n - 1
    table.move(routes, 1, #routes, #at.routes + 1, at.routes)
  end
  return table.unpack(results, 1, results.n)
end

return M
