-- Text as Python sees it: UTF-8 strings counted, cut and cased by code points. Indexes are 0-based, ends exclusive.
local lpeg = require "lpeg"
local unicode = require "sqlune.core".unicode
local errors = require "sqlune.jinja.errors"

local M = {}
local concat, char = table.concat, utf8.char

local function codepoint(c) return utf8.codepoint(c, 1, 1, true) end

---True if every byte is ASCII: then bytes are code points.
function M.is_ascii(s)
  return not s:find "[\x80-\xff]"
end

---Number of code points; invalid UTF-8 is an error.
function M.len(s)
  local n = utf8.len(s, 1, -1, true) -- lax: JSON may hold lone surrogates
  if not n then errors.raise("ValueError", "text is not valid UTF-8") end
  return n
end

---The characters as a list of strings.
function M.chars(s)
  local out, n = {}, 0
  for c in s:gmatch(utf8.charpattern) do
    n = n + 1
    out[n] = c
  end
  return out
end

---Code points [first, last) of s; both must lie inside 0 … len.
function M.sub(s, first, last)
  if last <= first then return "" end
  if M.is_ascii(s) then return s:sub(first + 1, last) end
  return s:sub(utf8.offset(s, first + 1), utf8.offset(s, last + 1) - 1)
end

-- White space ---------------------------------------------------------------------------------------------------

local space_chars = {}
for _, c in ipairs {
  9, 10, 11, 12, 13, 28, 29, 30, 31, 32, 0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000,
} do
  space_chars[char(c)] = true
end
for c = 0x2000, 0x200A do space_chars[char(c)] = true end

local wide = lpeg.P(false)
for c in pairs(space_chars) do
  if #c > 1 then wide = wide + lpeg.P(c) end
end

---LPeg pattern of one white-space character of Python (str.isspace, \s).
M.space = lpeg.S "\t\n\v\f\r\x1c\x1d\x1e\x1f " + wide

local after_space = M.space ^ 0 * lpeg.Cp()
local words = lpeg.Ct((M.space ^ 0 * lpeg.C((1 - M.space) ^ 1)) ^ 0)

function M.is_space(c)
  return space_chars[c] == true
end

local function last_char(s, last)
  local first = last
  while first > 1 and s:byte(first) & 0xC0 == 0x80 do first = first - 1 end
  return s:sub(first, last), first
end

local function set_of(chars)
  local set = {}
  for _, c in ipairs(M.chars(chars)) do set[c] = true end
  return set
end

---Without white space, or the given characters, at its start.
function M.lstrip(s, chars)
  if not chars then return s:sub(lpeg.match(after_space, s)) end
  local set, at = set_of(chars), 1
  while at <= #s do
    local c = s:match(utf8.charpattern, at)
    if not set[c] then break end
    at = at + #c
  end
  return s:sub(at)
end

---Without white space, or the given characters, at its end.
function M.rstrip(s, chars)
  local set, last = chars and set_of(chars) or space_chars, #s
  while last > 0 do
    local c, first = last_char(s, last)
    if not set[c] then break end
    last = first - 1
  end
  return last == #s and s or s:sub(1, last)
end

function M.strip(s, chars)
  return M.rstrip(M.lstrip(s, chars), chars)
end

-- Search and split ----------------------------------------------------------------------------------------------

---s with the first `count` (all if nil) occurrences of old replaced.
function M.replace(s, old, new, count)
  if count and count < 0 then count = nil end
  local out, at, done = {}, 1, 0
  if old == "" then
    for _, c in ipairs(M.chars(s)) do
      if count and done >= count then break end
      out[#out + 1] = new .. c
      at, done = at + #c, done + 1
    end
    out[#out + 1] = s:sub(at)
    if not count or done < count then out[#out + 1] = new end
    return concat(out)
  end
  while not count or done < count do
    local from, to = s:find(old, at, true)
    if not from then break end
    out[#out + 1] = s:sub(at, from - 1)
    out[#out + 1] = new
    at, done = to + 1, done + 1
  end
  out[#out + 1] = s:sub(at)
  return concat(out)
end

---Byte position of the last occurrence of part, or nil.
function M.rfind_byte(s, part)
  if part == "" then return #s + 1 end
  local last, from = nil, s:find(part, 1, true)
  while from do
    last, from = from, s:find(part, from + 1, true)
  end
  return last
end

---Python's split: by white space if separator is nil; at most `limit` cuts if given.
function M.split(s, separator, limit)
  if limit and limit < 0 then limit = nil end
  if not separator then
    if not limit then return lpeg.match(words, s) end
    local out, rest = {}, M.lstrip(s)
    while rest ~= "" and #out < limit do
      local word = lpeg.match(lpeg.C((1 - M.space) ^ 1), rest)
      out[#out + 1] = word
      rest = M.lstrip(rest:sub(#word + 1))
    end
    if rest ~= "" then out[#out + 1] = rest end
    return out
  end
  if separator == "" then errors.raise("ValueError", "empty separator") end
  local out, at = {}, 1
  while not limit or #out < limit do
    local from, to = s:find(separator, at, true)
    if not from then break end
    out[#out + 1] = s:sub(at, from - 1)
    at = to + 1
  end
  out[#out + 1] = s:sub(at)
  return out
end

---The same from the right.
function M.rsplit(s, separator, limit)
  if not limit or limit < 0 then return M.split(s, separator) end
  local out, rest = {}, s
  if not separator then
    rest = M.rstrip(rest)
    while rest ~= "" and #out < limit do
      local last = #rest
      while last > 0 do
        local c, first = last_char(rest, last)
        if space_chars[c] then break end
        last = first - 1
      end
      table.insert(out, 1, rest:sub(last + 1))
      rest = M.rstrip(rest:sub(1, last))
    end
    if rest ~= "" then table.insert(out, 1, rest) end
    return out
  end
  if separator == "" then errors.raise("ValueError", "empty separator") end
  while #out < limit do
    local at = M.rfind_byte(rest, separator)
    if not at then break end
    table.insert(out, 1, rest:sub(at + #separator))
    rest = rest:sub(1, at - 1)
  end
  table.insert(out, 1, rest)
  return out
end

local line_end = lpeg.P "\r\n" + lpeg.S "\n\r\v\f\x1c\x1d\x1e" + "\u{85}" + "\u{2028}" + "\u{2029}"
local line = lpeg.Ct(lpeg.C((1 - line_end) ^ 0) * lpeg.C(line_end)) + lpeg.Ct(lpeg.C((1 - line_end) ^ 1) * lpeg.Cc "")
local lines = lpeg.Ct(line ^ 0)

---Lines without their ends, or with them.
function M.splitlines(s, keep)
  local out = lpeg.match(lines, s)
  for i, pair in ipairs(out) do out[i] = keep and pair[1] .. pair[2] or pair[1] end
  return out
end

-- Case ----------------------------------------------------------------------------------------------------------

-- Upper-case forms of more than one character (Unicode's SpecialCasing, the part without conditions).
local long_upper = {}
for code, forms in ([[
DF=53+53 149=2BC+4E 1F0=4A+30C 390=399+308+301 3B0=3A5+308+301 587=535+552 1E96=48+331 1E97=54+308 1E98=57+30A
1E99=59+30A 1E9A=41+2BE 1F50=3A5+313 1F52=3A5+313+300 1F54=3A5+313+301 1F56=3A5+313+342 1FB2=1FBA+399 1FB3=391+399
1FB4=386+399 1FB6=391+342 1FB7=391+342+399 1FBC=391+399 1FC2=1FCA+399 1FC3=397+399 1FC4=389+399 1FC6=397+342
1FC7=397+342+399 1FCC=397+399 1FD2=399+308+300 1FD3=399+308+301 1FD6=399+342 1FD7=399+308+342 1FE2=3A5+308+300
1FE3=3A5+308+301 1FE4=3A1+313 1FE6=3A5+342 1FE7=3A5+308+342 1FF2=1FFA+399 1FF3=3A9+399 1FF4=38F+399 1FF6=3A9+342
1FF7=3A9+342+399 1FFC=3A9+399 FB00=46+46 FB01=46+49 FB02=46+4C FB03=46+46+49 FB04=46+46+4C FB05=53+54 FB06=53+54
FB13=544+546 FB14=544+535 FB15=544+53B FB16=54E+546 FB17=544+53D]]):gmatch "(%x+)=([%x+]+)" do
  local list = {}
  for form in forms:gmatch "%x+" do list[#list + 1] = tonumber(form, 16) end
  long_upper[tonumber(code, 16)] = list
end
for code = 0x1F80, 0x1FAF do -- Greek vowels with iota: three rows of sixteen
  local row = ({ [0] = 0x1F08, 0x1F28, 0x1F68 })[(code - 0x1F80) // 16]
  long_upper[code] = { row + code % 8, 0x399 }
end

local function upper_of(code)
  local long = long_upper[code]
  if long then return char(table.unpack(long)) end
  return char(unicode.upper(code))
end

local function lower_of(code)
  if code == 0x130 then return "i\u{307}" end
  return char(unicode.lower(code))
end

local function title_of(code)
  local long, single = long_upper[code], unicode.title(code)
  if not long or (single ~= code and code ~= 0xDF) then return char(single) end
  if unicode.category(long[1]) ~= "Lu" then return char(table.unpack(long)) end
  local out = { char(long[1]) }
  for i = 2, #long do out[i] = char(long[i] == 0x399 and 0x345 or unicode.lower(long[i])) end
  return concat(out)
end

local function category_of(c)
  return unicode.category(codepoint(c))
end

local cased = { Lu = true, Ll = true, Lt = true }
local ignorable = { Mn = true, Me = true, Cf = true, Lm = true, Sk = true }
local ignorable_marks = { ["'"] = true, ["."] = true, [":"] = true, ["\u{b7}"] = true, ["\u{2019}"] = true }

local function sees_cased(chars, from, to, step)
  for i = from, to, step do
    local category = category_of(chars[i])
    if cased[category] then return true end
    if not ignorable[category] and not ignorable_marks[chars[i]] then return false end
  end
  return false
end

function M.upper(s)
  if M.is_ascii(s) then return s:upper() end
  return (s:gsub(utf8.charpattern, function(c) return upper_of(codepoint(c)) end))
end

-- The lower-case form of chars[i]: of a capital sigma the final one at the end of a word.
local function lower_at(chars, i)
  if chars[i] ~= "\u{3a3}" then return lower_of(codepoint(chars[i])) end
  local final = sees_cased(chars, i - 1, 1, -1) and not sees_cased(chars, i + 1, #chars, 1)
  return final and "\u{3c2}" or "\u{3c3}"
end

function M.lower(s)
  if M.is_ascii(s) then return s:lower() end
  local chars, out = M.chars(s), {}
  for i = 1, #chars do out[i] = lower_at(chars, i) end
  return concat(out)
end

---First character in title case, the rest lower.
function M.capitalize(s)
  if s == "" then return s end
  local first = s:match(utf8.charpattern)
  return title_of(codepoint(first)) .. M.lower(s:sub(#first + 1))
end

---str.title: after anything that has no case, a capital.
function M.title(s)
  local chars, out, inside = M.chars(s), {}, false
  for i, c in ipairs(chars) do
    out[i] = inside and lower_at(chars, i) or title_of(codepoint(c))
    inside = cased[category_of(c)] or upper_of(codepoint(c)) ~= c
  end
  return concat(out)
end

function M.swapcase(s)
  return (s:gsub(utf8.charpattern, function(c)
    local code = codepoint(c)
    local category = unicode.category(code)
    if category == "Lu" then return lower_of(code) end
    return category == "Ll" and upper_of(code) or c
  end))
end

-- Questions -----------------------------------------------------------------------------------------------------

local digits = { Nd = true }
local numeric = { Nd = true, Nl = true, No = true }
local alpha = { Lu = true, Ll = true, Lt = true, Lm = true, Lo = true }
local alnum = { Lu = true, Ll = true, Lt = true, Lm = true, Lo = true, Nd = true, Nl = true, No = true }
local superscripts = set_of "²³¹⁰⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉"

local function every(s, test)
  if s == "" then return false end
  for c in s:gmatch(utf8.charpattern) do
    if not test(c) then return false end
  end
  return true
end

function M.isdigit(s)
  return every(s, function(c) return digits[category_of(c)] or superscripts[c] end)
end

function M.isdecimal(s) return every(s, function(c) return digits[category_of(c)] end) end

function M.isnumeric(s) return every(s, function(c) return numeric[category_of(c)] end) end

function M.isalpha(s) return every(s, function(c) return alpha[category_of(c)] end) end

function M.isalnum(s) return every(s, function(c) return alnum[category_of(c)] end) end

function M.isspace(s) return every(s, M.is_space) end

local function one_case(s, wanted)
  local found = false
  for c in s:gmatch(utf8.charpattern) do
    local category = category_of(c)
    if cased[category] then
      if category ~= wanted then return false end
      found = true
    end
  end
  return found
end

function M.isupper(s) return one_case(s, "Lu") end

function M.islower(s) return one_case(s, "Ll") end

function M.istitle(s)
  local found, inside = false, false
  for c in s:gmatch(utf8.charpattern) do
    local category = category_of(c)
    if category == "Ll" and not inside or category ~= "Ll" and cased[category] and inside then return false end
    inside = cased[category] or false
    found = found or inside
  end
  return found
end

local unprintable = { Cc = true, Cf = true, Cs = true, Co = true, Cn = true, Zl = true, Zp = true, Zs = true }

---What Python's repr shows as it is.
function M.is_printable(code)
  return code == 32 or not unprintable[unicode.category(code)]
end

return M
