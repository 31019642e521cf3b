-- What an adapted layer computes: the base, which stays as it is, and the corrections that are switched on.
local sq = require "sqlune"
local ops = sq.ops

local M = {}

---@class sqlune.lora.Part      what one adapter has for one layer
---@field a? userdata           [r, inputs]; absent where only the bias or the weight is the adapter's
---@field b? userdata           [outputs, r]
---@field embedding? boolean    inputs are rows of a table, chosen by ids
---@field scale? number
---@field dropout? number
---@field stream? integer       of the dropout's random numbers
---@field magnitude? userdata   [outputs]: DoRA
---@field start? {a: userdata, b: userdata}  PiSSA's start, which the trained pair is counted from
---@field bias? userdata        takes the base's place
---@field weight? userdata      takes the base's place

local ROWS <const> = 2048 -- of a bf16 weight that are widened at once

---Norms of the rows of W + scale B A, [outputs], off the tape: |w|^2 + 2 scale b (A w) + scale^2 b (A A^T) b, row by
---row, so that B A is not made.
---@param weight userdata
---@param a userdata
---@param b userdata
---@param scale number
---@return userdata
function M.norms(weight, a, b, scale)
  return sq.no_grad(function()
    local s <close> = sq.scope()
    local wide = a.dtype == "f64" and "f64" or "f32"
    a, b = a:to(wide), b:to(wide)
    local gram, list = ops.linear(a, a), {}
    for first = 1, weight:size(1), ROWS do
      local inner <close> = sq.scope()
      local count = math.min(ROWS, weight:size(1) - first + 1)
      local w, rows = weight:narrow(1, first, count):to(wide), b:narrow(1, first, count)
      local cross, square = ops.linear(w, a) * rows, ops.matmul(rows, gram) * rows
      local sum = w:square():sum(2) + cross:sum(2) * (2 * scale) + square:sum(2) * scale ^ 2
      list[#list + 1] = inner:keep(sum:sqrt())
    end
    return s:keep(#list == 1 and list[1] or ops.cat(list, 1))
  end)
end

---What make() gives, kept until one of the tensors that it reads is written into; never while gradients are recorded.
---@param sources userdata[]
---@param make fun(): userdata, userdata?
---@return fun(): userdata, userdata?
local function kept(sources, make)
  local versions, first, second
  return function()
    if sq.grad_enabled() then return make() end
    local now = 0
    for _, x in ipairs(sources) do now = now + x.version end -- each only rises
    if versions ~= now then
      local _s <close> = sq.scope()
      first, second = make()
      first:keep()
      if second then second:keep() end
      versions = now
    end
    return first, second
  end
end

---Random numbers for a mask over x: (seed, offset); the state moves on, so a recomputed layer finds them again.
local function draw(x)
  local state = sq.random_state()
  sq.random_state { seed = state.seed, offset = state.offset + (x:numel() + 3) // 4 }
  return state.seed, state.offset
end

local function options(part, factor, x, at)
  local o = { scale = part.scale * factor }
  if (part.dropout or 0) > 0 and at and at.training then
    o.p, o.stream = part.dropout, part.stream
    o.seed, o.offset = draw(x)
  end
  return o
end

local function single(base, part, factor)
  return function(x, at)
    return ops.lora_linear(x, base.weight, base.bias, part.a, part.b, options(part, factor, x, at))
  end
end

---Corrections side by side as one: A's one below the other, scaled B's one beside the other.
local function joined(parts)
  local dtype = parts[1][1].a.dtype
  for _, entry in ipairs(parts) do if entry[1].a.dtype ~= dtype then dtype = "f32" end end
  local a, b = {}, {}
  for i, entry in ipairs(parts) do
    local part, factor = entry[1], entry[2]
    a[i], b[i] = part.a:to(dtype), part.b:to(dtype) * (part.scale * factor)
  end
  return ops.cat(a, 1), ops.cat(b, 2)
end

local function several(base, parts)
  local sources, drops = {}, false
  for _, entry in ipairs(parts) do
    sources[#sources + 1], sources[#sources + 2] = entry[1].a, entry[1].b
    drops = drops or (entry[1].dropout or 0) > 0
  end
  local pair_of = kept(sources, function() return joined(parts) end)
  return function(x, at)
    if drops and at and at.training then
      local y = ops.linear(x, base.weight, base.bias)
      for _, entry in ipairs(parts) do
        local part, o = entry[1], options(entry[1], entry[2], x, at)
        local h = x:to(part.a.dtype)
        if o.p then h = h:dropout(o.p, o.seed, o.stream, o.offset) end
        y = y + (ops.linear(ops.linear(h, part.a), part.b) * o.scale):to(x.dtype)
      end
      return y
    end
    return ops.lora_linear(x, base.weight, base.bias, pair_of())
  end
end

---A part's pairs: its own, and what PiSSA's start takes away again.
local function pairs_of(part, factor)
  if not part.start then return { { part, factor } } end
  return { { part, factor }, { { a = part.start.a, b = part.start.b, scale = -part.scale }, factor } }
end

---Norms of the rows of what a part makes of a weight, [outputs], off the tape.
---@param weight userdata
---@param part sqlune.lora.Part
---@param factor number
---@return userdata
function M.norms_with(weight, part, factor)
  if not part.start then return M.norms(weight, part.a, part.b, part.scale * factor) end
  local s <close> = sq.scope()
  local a, b = sq.no_grad(joined, pairs_of(part, factor))
  return s:keep(M.norms(weight, a, b, 1))
end

---y = m / n * (W + scale B A) x + bias, n the norms of the rows, held constant in backward.
local function with_magnitude(base, part, factor)
  local wide, list = part.magnitude.dtype, pairs_of(part, factor)
  local plain = #list > 1 and several({ weight = base.weight }, list) or single({ weight = base.weight }, part, factor)
  local gain_of = kept({ part.a, part.b, part.magnitude, base.weight }, function()
    return part.magnitude / M.norms_with(base.weight, part, factor):to(wide)
  end)
  return function(x, at)
    local y = plain(x, at):to(wide) * gain_of()
    if base.bias then y = y + base.bias:to(wide) end
    return y:to(x.dtype)
  end
end

---The function that takes an embedding's place: rows of the table and of A^T B^T scale, added in the wider type.
---@param base {weight: userdata, padding: integer}
---@param parts {[1]: sqlune.lora.Part, [2]: number}[]
---@return fun(ids: userdata): userdata
function M.embedding(base, parts)
  local tables = {}
  for i, entry in ipairs(parts) do
    local a = entry[1].a
    tables[i] = kept({ a }, function() return a:transpose(1, 2):contiguous() end)
  end
  return function(ids)
    local y = ops.embedding(ids, base.weight, base.padding)
    local sum = y
    for i, entry in ipairs(parts) do
      local part, factor = entry[1], entry[2]
      local rows = ops.linear(ops.embedding(ids, tables[i](), base.padding), part.b) * (part.scale * factor)
      sum = sum:to(part.b.dtype) + rows
    end
    return sum:to(y.dtype)
  end
end

---The function that takes a linear layer's place.
---@param base {weight: userdata, bias: userdata?}
---@param parts {[1]: sqlune.lora.Part, [2]: number}[]  parts with a and b, and the factor each is switched on with
---@return fun(x: userdata, at?: table): userdata
function M.forward(base, parts)
  local all = {}
  for _, entry in ipairs(parts) do
    if entry[1].magnitude then
      if #parts > 1 then error("an adapter with DoRA cannot be joined with others", 0) end
      return with_magnitude(base, entry[1], entry[2])
    end
    for _, pair in ipairs(pairs_of(entry[1], entry[2])) do all[#all + 1] = pair end
  end
  if #all > 1 then return several(base, all) end
  return single(base, all[1][1], all[1][2])
end

return M
