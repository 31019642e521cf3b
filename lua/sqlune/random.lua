-- Random numbers by counter: Philox 4x32-10 keyed by a seed and a stream, the same everywhere in any order of work.
--
-- A stream is named by any number of strings and integers: random.stream(7, "train", 12, "shuffle").
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

---FNV-1a over the parts, 64 bits; a separator keeps ("ab", "c") apart from ("a", "bc").
local function hash(...)
  local h = 0xcbf29ce484222325
  for i = 1, select("#", ...) do
    local part = select(i, ...)
    local text = math.type(part) == "integer" and string.pack("<i8", part) or tostring(part)
    for b = 1, #text do h = (h ~ text:byte(b)) * 0x100000001b3 end
    h = (h ~ 0xFF) * 0x100000001b3
  end
  return h
end

---The number that these words give a stream of the tensors' random numbers (`stream` of sq.rand), below 2^62.
---@param ... string|integer
---@return integer
function M.name(...) return hash(...) >> 2 end

---@class sqlune.random.Stream
local Stream = {}
Stream.__index = Stream

---A stream of random numbers. The same seed and names give the same numbers on every machine.
---@param seed integer
---@param ... string|integer  what the stream is for
---@return sqlune.random.Stream
function M.stream(seed, ...)
  local key = math.tointeger(seed) or error("a seed must be an integer, not " .. tostring(seed), 2)
  local name = hash(...)
  return setmetatable({ k0 = key & LOW, k1 = key >> 32, s0 = name & LOW, s1 = name >> 32, at = 0, left = 0 }, Stream)
end

---The next 32 random bits.
---@return integer
function Stream:bits()
  if self.left == 0 then
    self[1], self[2], self[3], self[4] =
      M.philox(self.at & LOW, self.at >> 32, self.s0, self.s1, self.k0, self.k1)
    self.at, self.left = self.at + 1, 4
  end
  self.left = self.left - 1
  return self[4 - self.left]
end

---A float in [0, 1) with 53 random bits.
---@return number
function Stream:uniform()
  local high, low = self:bits() >> 5, self:bits() >> 6
  return (high * 67108864.0 + low) / 9007199254740992.0
end

---An integer of 1 … n, or of a … b, each equally likely (no modulo bias).
---@param a integer
---@param b? integer
---@return integer
function Stream:integer(a, b)
  if b == nil then a, b = 1, a end
  local span = b - a + 1
  if span < 1 or span > LOW + 1 then error(("no integer in %s … %s to draw"):format(a, b), 2) end
  local reject = (LOW + 1) % span
  while true do
    local x = self:bits()
    if x >= reject then return a + x % span end
  end
end

---Shuffles a list in place and returns it.
---@param list any[]
---@return any[]
function Stream:shuffle(list)
  for i = #list, 2, -1 do
    local j = self:integer(i)
    list[i], list[j] = list[j], list[i]
  end
  return list
end

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
