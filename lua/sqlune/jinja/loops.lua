-- {% for %}: runs the body for each item, in a scope of its own; `loop` knows where it stands.
local values = require "sqlune.jinja.values"
local operators = require "sqlune.jinja.operators"
local errors = require "sqlune.jinja.errors"

local M = {}

---Macros and recursive loops may nest this deep.
M.max_depth = 200

---Runs f(…) one level deeper.
function M.deeper(rt, f, ...)
  if rt.depth >= M.max_depth then
    errors.raise("RecursionError", "macros and recursive loops nested more than %d deep", M.max_depth)
  end
  rt.depth = rt.depth + 1
  local result = f(...)
  rt.depth = rt.depth - 1
  return result
end

-- loop ----------------------------------------------------------------------------------------------------------

---@class sqlune.jinja.Loop
---@field items table
---@field n integer      number of items
---@field index integer  of the current item, from 1
---@field level integer  0, more in recursive loops
local Loop = { kind = "loop", python = "LoopContext" }
Loop.__index = Loop

local fields = {
  index = function(loop) return loop.index end,
  index0 = function(loop) return loop.index - 1 end,
  revindex = function(loop) return loop.n - loop.index + 1 end,
  revindex0 = function(loop) return loop.n - loop.index end,
  first = function(loop) return loop.index == 1 end,
  last = function(loop) return loop.index == loop.n end,
  length = function(loop) return loop.n end,
  depth = function(loop) return loop.level + 1 end,
  depth0 = function(loop) return loop.level end,
  previtem = function(loop)
    local item = loop.items[loop.index - 1]
    return item == nil and values.undefined "there is no previous item" or item
  end,
  nextitem = function(loop)
    local item = loop.items[loop.index + 1]
    return item == nil and values.undefined "there is no next item" or item
  end,
  cycle = function(loop)
    return values.callable("cycle", function(args)
      if #args == 0 then errors.raise("TypeError", "no items for cycling given") end
      return args[(loop.index - 1) % #args + 1]
    end)
  end,
  changed = function(loop)
    return values.callable("changed", function(args)
      local now = values.tuple(args)
      if loop.seen and operators.eq(loop.seen, now) then return false end
      loop.seen = now
      return true
    end)
  end,
}

---loop.name of a template, or nil.
function Loop:field(name)
  local field = fields[name]
  return field and field(self)
end

-- The statement -------------------------------------------------------------------------------------------------

-- Items for which the loop's `if` holds; loop itself is not known there.
local function selected(parts, rt, s, items)
  local out = {}
  for _, item in ipairs(items) do
    local inner = { s }
    parts.target(rt, inner, item)
    if values.truth(parts.test(rt, inner)) then out[#out + 1] = item end
  end
  return out
end

---@param parts table    closures items, target, test, body, no (else); recursive, line
---@param capture fun(rt, run, scope): string
function M.compile(parts, capture)
  local target, body, no = parts.target, parts.body, parts.no
  local run

  local function recurse(rt, s, loop)
    return function(args)
      if #args ~= 1 then errors.raise("TypeError", "loop() takes one argument") end
      return M.deeper(rt, capture, rt, function() return run(rt, s, args[1], loop.level + 1) end)
    end
  end

  function run(rt, s, source, level)
    local items = values.iterate(source)
    if parts.test then items = selected(parts, rt, s, items) end
    local loop = setmetatable({ items = items, n = #items, index = 0, level = level }, Loop)
    loop.call = parts.recursive and recurse(rt, s, loop)
      or function() errors.raise("TypeError", "The loop must have the 'recursive' marker to be called recursively.") end
    local finished = false -- as in Jinja, {% else %} runs unless some round came to the body's end
    for i = 1, #items do
      loop.index = i
      local inner = { s, loop = loop }
      target(rt, inner, items[i])
      local leave = body(rt, inner)
      if leave == "break" then break end
      finished = finished or leave == nil
    end
    if no and not finished then return no(rt, { s }) end
  end

  return function(rt, s)
    rt.line = parts.line
    return run(rt, s, parts.items(rt, s), 0)
  end
end

return M
