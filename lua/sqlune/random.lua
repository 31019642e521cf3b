-- Random numbers by counter: Philox 4x32-10 keyed by a seed and a stream, the same everywhere in any order of work.
--
-- A stream is named by any number of strings and integers: random.stream(7, "train", 12, "shuffle"). Streams themselves
-- are C (src/bind/streams.c); here is what is made of them.
local streams = require "sqlune.core".streams

local M = {}

local M0, M1 <const> = 0xD2511F53, 0xCD9E8D57
local W0, W1 <const> = 0x9E3779B9, 0xBB67AE85
local LOW <const> = 0xFFFFFFFF

---One block of Philox 4x32-10: four counter words and two key words in, four words out (all 32 bits).
---@return integer, integer, integer, integer
function M.philox(c0, c1, c2, c3, k0, k1)
  for _ = 1, 10 do
    local p0, p1 = M0 * c0, M1 * c2
    c0, c1, c2, c3 = (p1 >> 32) ~ c1 ~ k0, p1 & LOW, (p0 >> 32) ~ c3 ~ k1, p0 & LOW
    k0, k1 = (k0 + W0) & LOW, (k1 + W1) & LOW
  end
  return c0, c1, c2, c3
end

---The number that these words give a stream of the tensors' random numbers (`stream` of sq.rand), below 2^62.
---@param ... string|integer
---@return integer
function M.name(...) return streams.hash(...) >> 2 end

---@class sqlune.random.Stream
---@field bits fun(self): integer                 the next 32 random bits
---@field uniform fun(self): number               a float in [0, 1) with 53 random bits
---@field integer fun(self, a: integer, b?: integer): integer  1 … a, or a … b, each equally likely (no modulo bias)
---@field shuffle fun(self, list: any[]): any[]   shuffles a list in place and returns it
---@field thin fun(self, list: table[], keep: number, ...: string): table[]?  drops tables of a list, in place; one
---stays with probability keep, or where a field named is true; returns what went, nil if nothing
local Stream = streams.methods

---A stream of random numbers. The same seed and names give the same numbers on every machine.
---@param seed integer
---@param ... string|integer  what the stream is for
---@return sqlune.random.Stream
function M.stream(seed, ...) return streams.new(seed, ...) end

---One element of a list.
---@param list any[]
---@return any
function Stream:choice(list)
  if #list == 0 then error("choice from an empty list", 2) end
  return list[self:integer(#list)]
end

---An index of a list of weights, drawn in proportion to them.
---@param weights number[]
---@return integer
function Stream:weighted(weights)
  local total = 0
  for _, w in ipairs(weights) do
    if w < 0 or w ~= w then error("a weight must not be negative", 2) end
    total = total + w
  end
  if total <= 0 then error("the weights sum to nothing", 2) end
  local at, last = self:uniform() * total, nil
  for i, w in ipairs(weights) do
    if w > 0 then
      if at < w then return i end
      at, last = at - w, i
    end
  end
  return last
end

---`count` positions of 1 … n without repetition, ascending.
---@param n integer
---@param count integer
---@return integer[]
function Stream:sample(n, count)
  if count > n then error(("cannot draw %d of %d"):format(count, n), 2) end
  local picked = {}
  for i = 1, n do -- each position with probability (wanted left) / (positions left)
    if #picked < count and self:integer(n - i + 1) <= count - #picked then picked[#picked + 1] = i end
  end
  return picked
end

return M
