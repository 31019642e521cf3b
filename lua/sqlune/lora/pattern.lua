-- Names against Python's regular expressions, as adapter_config.json has them (target_modules, rank_pattern).
--
-- Rules: a pattern must match a whole name. What Python has and this does not (look-around, back references) is an
-- error that says so; a pattern that tries too many ways is one too, since it comes from a file.
local M = {}

local STEPS <const> = 200000
local DEPTH <const> = 100 -- of groups in groups

local CLASSES = {
  d = "[0-9]", D = "[^0-9]", w = "[%w_]", W = "[^%w_]", s = "[ \t\n\r\f\v]", S = "[^ \t\n\r\f\v]",
}

local function fail(p, what)
  local shown = #p.text <= 80 and p.text or p.text:sub(1, 77) .. "..."
  error({ message = ("'%s': %s"):format(shown, what) }, 0)
end

local function take(p)
  local c = p.text:sub(p.at, p.at)
  p.at = p.at + 1
  return c
end

---A matcher m(s, i, k) calls k(j) for every j at which what it matches from i may end, until one gives true.
local function one(accepts)
  return function(_, s, i, k) return i <= #s and accepts(s:sub(i, i)) and k(i + 1) end
end

local function escape(p)
  local c = take(p)
  if c == "" then fail(p, "ends with a backslash") end
  local class = CLASSES[c]
  if class then return function(x) return x:find(class) ~= nil end end
  if c:find "%w" then fail(p, "\\" .. c .. " is not supported here") end
  return function(x) return x == c end
end

local function set(p)
  local negated = p.text:sub(p.at, p.at) == "^"
  if negated then p.at = p.at + 1 end
  local parts, first = {}, true
  while true do
    local c = take(p)
    if c == "" then fail(p, "a [ without its ]") end
    if c == "]" and not first then break end
    first = false
    local to = p.text:match("^%-([^%]])", p.at)
    if c == "\\" then
      parts[#parts + 1] = escape(p)
    elseif to then
      p.at = p.at + 2
      parts[#parts + 1] = function(x) return c <= x and x <= to end
    else
      parts[#parts + 1] = function(x) return x == c end
    end
  end
  return function(x)
    for _, accepts in ipairs(parts) do if accepts(x) then return not negated end end
    return negated
  end
end

local alternatives

local function atom(p)
  local c = take(p)
  if c == "(" then
    if p.text:sub(p.at, p.at) == "?" then
      if p.text:sub(p.at, p.at + 1) ~= "?:" then fail(p, "groups that begin with (? are not supported, but for (?:") end
      p.at = p.at + 2
    end
    p.depth = p.depth + 1
    if p.depth > DEPTH then fail(p, "has too many groups in groups") end
    local inner = alternatives(p)
    p.depth = p.depth - 1
    if take(p) ~= ")" then fail(p, "a ( without its )") end
    return inner
  elseif c == "[" then
    return one(set(p))
  elseif c == "." then
    return one(function(x) return x ~= "\n" end)
  elseif c == "\\" then
    return one(escape(p))
  elseif c == "^" then
    return function(_, _, i, k) return i == 1 and k(i) end
  elseif c == "$" then
    return function(_, s, i, k) return i == #s + 1 and k(i) end
  elseif c == "*" or c == "+" or c == "?" or c == "{" then
    fail(p, "nothing to repeat before " .. c)
  end
  return one(function(x) return x == c end)
end

---m, from `least` to `most` times.
local function repeated(m, least, most, lazy)
  local function try(p, s, i, k, n)
    p.steps = p.steps + 1
    if p.steps > STEPS then fail(p, "has too many ways to match") end
    local function more()
      return n < most and m(p, s, i, function(j)
        if j == i and n >= least then return false end -- nothing was matched: no use to go on
        return try(p, s, j, k, n + 1)
      end)
    end
    if n < least then return more() end
    if lazy then return k(i) or more() end
    return more() or k(i)
  end
  return function(p, s, i, k) return try(p, s, i, k, 0) end
end

local function counted(p)
  local c = p.text:sub(p.at, p.at)
  local simple = ({ ["*"] = { 0, math.huge }, ["+"] = { 1, math.huge }, ["?"] = { 0, 1 } })[c]
  if simple then
    p.at = p.at + 1
    return simple[1], simple[2]
  end
  local low, comma, high, after = p.text:match("^{(%d*)(,?)(%d*)}()", p.at)
  if not after or low == "" and high == "" then return nil end
  p.at = after
  local least = tonumber(low) or 0
  return least, comma == "" and least or tonumber(high) or math.huge
end

local function sequence(p)
  local list = {}
  while p.at <= #p.text and not p.text:find("^[|)]", p.at) do
    local m = atom(p)
    local least, most = counted(p)
    if least then
      local lazy = p.text:sub(p.at, p.at) == "?"
      if lazy then p.at = p.at + 1 end
      m = repeated(m, least, most, lazy)
    end
    list[#list + 1] = m
  end
  local function run(p_, s, i, k, n)
    if n > #list then return k(i) end
    return list[n](p_, s, i, function(j) return run(p_, s, j, k, n + 1) end)
  end
  return function(p_, s, i, k) return run(p_, s, i, k, 1) end
end

function alternatives(p)
  local list = { sequence(p) }
  while p.text:sub(p.at, p.at) == "|" do
    p.at = p.at + 1
    list[#list + 1] = sequence(p)
  end
  if #list == 1 then return list[1] end
  return function(p_, s, i, k)
    for _, m in ipairs(list) do if m(p_, s, i, k) then return true end end
    return false
  end
end

---A test of whole names: re.fullmatch(text, name). Raises a table with `message` where the pattern is wrong, also
---while it matches.
---@param text string
---@return fun(name: string): boolean
function M.compile(text)
  local p = { text = text, at = 1, steps = 0, depth = 0 }
  local m = alternatives(p)
  if p.at <= #text then fail(p, "a ) without its (") end
  return function(name)
    p.steps = 0
    return m(p, name, 1, function(i) return i == #name + 1 end) or false
  end
end

return M
