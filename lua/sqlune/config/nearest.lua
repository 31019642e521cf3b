-- The nearest known name to a mistyped one: Damerau-Levenshtein distance over code points.
local M = {}

local function letters(text)
  local list = {}
  if not utf8.len(text) then return { text:byte(1, -1) } end
  for _, c in utf8.codes(text) do list[#list + 1] = c end
  return list
end

---Edits (insert, delete, replace, swap neighbours) between two texts.
---@param a string
---@param b string
---@return integer
function M.distance(a, b)
  local x, y = letters(a), letters(b)
  local before, last = {}, {}
  for j = 0, #y do last[j] = j end
  for i = 1, #x do
    local row = { [0] = i }
    for j = 1, #y do
      local same = x[i] == y[j] and 0 or 1
      row[j] = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + same)
      if i > 1 and j > 1 and x[i] == y[j - 1] and x[i - 1] == y[j] then row[j] = math.min(row[j], before[j - 2] + 1) end
    end
    before, last = last, row
  end
  return last[#y]
end

---The known name nearest to `name`, or nil when none is near enough to be meant.
---@param name string
---@param known string[]
---@return string?
function M.find(name, known)
  local best, least
  for _, candidate in ipairs(known) do
    local d = M.distance(name:lower(), candidate:lower())
    if least == nil or d < least or d == least and candidate < best then best, least = candidate, d end
  end
  local allowed = math.max(1, math.min(3, #name // 3 + 1))
  return best and least <= allowed and best or nil
end

return M
