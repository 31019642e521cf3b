-- How an adapter begins: A drawn and B zero, or the strongest directions of the weight itself (PiSSA).
local sq = require "sqlune"
local ops = sq.ops

local M = {}

---A of a new adapter: kaiming_uniform with a = sqrt(5), PEFT's default, or normal with deviation 1/r.
---@param shape integer[]  { r, inputs }
---@param o {dtype: string, seed: integer, stream: integer, gaussian?: boolean}
---@return userdata
function M.draw(shape, o)
  local _s <close> = sq.scope()
  local drawn = o.dtype == "f64" and "f64" or "f32"
  local how = { dtype = drawn, seed = o.seed, stream = o.stream, offset = 0 }
  local a
  if o.gaussian then
    a = sq.randn(shape, how) / shape[1]
  else
    local bound = 1 / math.sqrt(shape[2])
    a = sq.rand(shape, how):affine(2 * bound, -bound)
  end
  return a:to(o.dtype):keep()
end

---Eigenvalues of a small symmetric matrix, falling, and their vectors as columns (cyclic Jacobi in f64).
---@param x userdata [n, n]
---@return number[] values
---@return userdata vectors  f64 [n, n]
local function eigen(x)
  local values, vectors = ops.eigh(x:to "f64")
  return values:totable(), vectors
end

---An orthonormal basis of the columns of y: y V / sqrt(eigenvalues) of y^T y, twice since the first pass keeps only
---half of the digits. Columns that are no direction of their own become 0.
local function basis(y)
  for _ = 1, 2 do
    local values, vectors = eigen(ops.matmul(y:transpose(1, 2):to "f64", y:to "f64"))
    local inverse = {}
    for i, v in ipairs(values) do inverse[i] = v > values[1] * 1e-14 and 1 / math.sqrt(v) or 0 end
    y = ops.matmul(y, (vectors * sq.tensor(inverse, { dtype = "f64", device = y.device })):to(y.dtype))
  end
  return y
end

---The strongest directions of w [m, n] by subspace iteration from random columns: U S V^T of rank r.
---@param w userdata        f32 or f64
---@param r integer
---@param o {seed: integer, stream: integer, rounds: integer}  rounds 0: until the values stand still
---@return userdata u       [m, r]
---@return number[] values  falling
---@return userdata v       [n, r]
function M.svd(w, r, o)
  local m, n = w:size(1), w:size(2)
  local all = math.min(m, n)
  local width = all <= 256 and all or math.min(all, 2 * r + 16)
  local wt = w:transpose(1, 2):contiguous()
  local still = w.dtype == "f64" and 1e-12 or 3e-7 -- f32 products move the values by 1e-7
  local s <close> = sq.scope()
  local how = { dtype = w.dtype, seed = o.seed, stream = o.stream, offset = 0 }
  local y = ops.matmul(w, sq.randn({ n, width }, how):to(w.device))
  local q, values, vectors, small, before
  for round = 1, o.rounds > 0 and o.rounds + 1 or 200 do
    local inner <close> = sq.scope()
    q = basis(y)
    small = ops.matmul(wt, q)                                   -- [n, width] = (q^T w)^T
    values, vectors = eigen(ops.matmul(small:transpose(1, 2):to "f64", small:to "f64"))
    local moved = 0
    for i = 1, r do moved = math.max(moved, before and math.abs(values[i] / before[i] - 1) or 1) end
    before = values
    inner:keep(q, small, vectors)
    if width == all or o.rounds == 0 and moved < still or round == o.rounds + 1 and o.rounds > 0 then break end
    y = inner:keep(ops.matmul(w, basis(small)))
  end
  local inverse, first = {}, {}
  for i = 1, r do
    first[i] = math.sqrt(math.max(values[i], 0))
    inverse[i] = first[i] > 0 and 1 / first[i] or 0
  end
  local turned = vectors:narrow(2, 1, r)
  local u = ops.matmul(q, turned:to(w.dtype))
  local v = ops.matmul(small, (turned * sq.tensor(inverse, { dtype = "f64", device = w.device })):to(w.dtype))
  s:keep(u, v)
  return u, first, v
end

---PiSSA's pair: scale B A is the rank-r part of the weight, split evenly between A and B.
---@param weight userdata [outputs, inputs]
---@param r integer
---@param scale number
---@param o {dtype: string, seed: integer, stream: integer, rounds: integer}
---@return userdata a [r, inputs]
---@return userdata b [outputs, r]
function M.pissa(weight, r, scale, o)
  return sq.no_grad(function()
    local _s <close> = sq.scope()
    -- f64 products run at a hundredth of the speed of f32 ones: exact where the matrix is small.
    local wide = weight:numel() <= 65536 and "f64" or "f32"
    local u, values, v = M.svd(weight:to(wide), r, o)
    local roots = {}
    for i, x in ipairs(values) do roots[i] = math.sqrt(x / scale) end
    local factor = sq.tensor(roots, { dtype = wide, device = weight.device })
    return (v * factor):transpose(1, 2):to(o.dtype):contiguous():keep(), (u * factor):to(o.dtype):contiguous():keep()
  end)
end

return M
