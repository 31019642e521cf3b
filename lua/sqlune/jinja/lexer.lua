-- Cuts a template into tokens: text between tags, and what stands in {{ }} and {% %}, without comments and blanks.
--
-- As transformers sets Jinja up: trim_blocks (the newline after a block tag goes), lstrip_blocks (blanks before a block
-- tag that is first on its line go); "-" takes all white space on its side, "+" keeps it; one newline at the end goes.
local lpeg = require "lpeg"
local text = require "sqlune.jinja.text"
local errors = require "sqlune.jinja.errors"

local M = {}
local P, R, S, B, C, Cc, Cp, Cs = lpeg.P, lpeg.R, lpeg.S, lpeg.B, lpeg.C, lpeg.Cc, lpeg.Cp, lpeg.Cs
local match = lpeg.match
local space = text.space

---@class sqlune.jinja.Token
---@field type string   data, name, string, integer, float, block_begin, block_end, variable_begin, variable_end, eof,
---                     or an operator's own text
---@field value any
---@field line integer

-- Literals ------------------------------------------------------------------------------------------------------

local digit, hex = R "09", R("09", "af", "AF")
local digits = digit * (P "_" ^ -1 * digit) ^ 0
local exponent = S "eE" * S "+-" ^ -1 * digits
local float = -B "." * digits * (("." * digits) * exponent ^ -1 + exponent)
local integer = "0" * S "bB" * (P "_" ^ -1 * S "01") ^ 1 + "0" * S "oO" * (P "_" ^ -1 * R "07") ^ 1
  + "0" * S "xX" * (P "_" ^ -1 * hex) ^ 1 + R "19" * (P "_" ^ -1 * digit) ^ 0 + "0" * (P "_" ^ -1 * "0") ^ 0

local function code_point(s)
  local code = tonumber(s, 16)
  if code > 0x10FFFF then errors.raise("TemplateSyntaxError", "illegal Unicode character in a string") end
  return utf8.char(code)
end

local simple_escapes = { n = "\n", t = "\t", r = "\r", a = "\a", b = "\b", f = "\f", v = "\v", ["\n"] = "" }
local function times(pattern, n) return n == 1 and pattern or pattern * times(pattern, n - 1) end

local function octal(s) return utf8.char(tonumber(s, 8)) end
local function truncated() errors.raise("TemplateSyntaxError", "truncated escape in a string") end

local escape = P "\\" / "" * (
  S "\\'\""
  + S "ntrabfv\n" / simple_escapes
  + P "x" / "" * (times(hex, 2) / code_point) + P "u" / "" * (times(hex, 4) / code_point)
  + P "U" / "" * (times(hex, 8) / code_point)
  + S "xuUN" / truncated
  + R "07" * R "07" ^ -1 * R "07" ^ -1 / octal)
local function quoted(quote)
  return quote * Cs((escape + P "\\" * 1 + (1 - S("\\" .. quote))) ^ 0) * quote
end

local most_digits = { [2] = 62, [8] = 20, [16] = 15 }

local function to_integer(s)
  local plain = s:gsub("_", "")
  local base = ({ b = 2, o = 8, x = 16 })[plain:sub(2, 2):lower()]
  local n = math.tointeger(base and tonumber(plain:sub(3), base) or tonumber(plain))
  if not n or base and #plain - 2 > most_digits[base] then
    errors.raise("TemplateSyntaxError", "integer %s is too long", s)
  end
  return n
end

local function to_float(s) return tonumber((s:gsub("_", ""))) + 0.0 end

local name = (R("az", "AZ", "09") + "_" + (R "\x80\xff" - space)) ^ 1
local operator = P "//" + "**" + "==" + "!=" + ">=" + "<=" + S "+-/*%~[](){}><=.:|,;"

-- One token inside a tag: type, value, position after it.
local token = Cc "float" * (float / to_float) * Cp()
  + Cc "integer" * (integer / to_integer) * Cp()
  + Cc "name" * C(name) * Cp()
  + Cc "string" * (quoted "'" + quoted '"') * Cp()
  + Cc "operator" * C(operator) * Cp()

-- Tags ----------------------------------------------------------------------------------------------------------

local to_tag = C((1 - P "{" * S "%{#") ^ 0) * Cp()
local skip_space = space ^ 0 * Cp()
local newline = P "\n" ^ -1
local block_end = (P "+%}" + "-%}" * space ^ 0 + "%}" * newline) * Cp()
local variable_end = (P "-}}" * space ^ 0 + "}}") * Cp()
local comment = (1 - S "-+" ^ -1 * P "#}") ^ 0 * (P "+#}" + "-#}" * space ^ 0 + "#}" * newline) * Cp()
local raw_begin = P "{%" * S "-+" ^ -1 * space ^ 0 * "raw" * space ^ 0 * (P "-%}" * space ^ 0 + "%}") * Cp()
local raw_tag = P "{%" * C(S "-+" ^ -1) * space ^ 0 * "endraw" * space ^ 0
local raw_end = raw_tag * (P "+%}" + "-%}" * space ^ 0 + "%}" * newline) * Cp()
local raw_text = C((1 - raw_tag) ^ 0) * Cp()

local closing = { [")"] = "(", ["]"] = "[", ["}"] = "{" }

---@class sqlune.jinja.Lexer
---@field source string
---@field at integer     byte position
---@field line integer   of at
---@field tokens table
local Lexer = {}
Lexer.__index = Lexer

function Lexer:fail(format, ...) errors.syntax(self.line, format, ...) end

function Lexer:move(to)
  for _ in self.source:sub(self.at, to - 1):gmatch "\n" do self.line = self.line + 1 end
  self.at = to
end

function Lexer:push(type, value)
  self.tokens[#self.tokens + 1] = { type = type, value = value, line = self.line }
end

-- Text before a tag whose sign is "-", "+" or "": without what the tag takes from its end.
function Lexer:stripped(data, sign, is_variable)
  if sign == "-" then return text.rstrip(data) end
  if sign == "+" or is_variable then return data end
  local before, blanks = data:match "^(.*\n)([^\n]*)$"
  if not before then
    local first_on_line = self.at == 1 or self.source:sub(self.at - 1, self.at - 1) == "\n"
    if not first_on_line then return data end
    before, blanks = "", data
  end
  return text.strip(blanks) == "" and before or data
end

function Lexer:data(data, sign, is_variable, to)
  local kept = self:stripped(data, sign, is_variable)
  if kept ~= "" then self:push("data", kept) end
  self:move(to)
end

-- The inside of a {{ }} or {% %}; `finish` matches its end outside of brackets.
function Lexer:tag(kind, finish)
  local opened = {}
  while true do
    self:move(match(skip_space, self.source, self.at))
    local after = #opened == 0 and match(finish, self.source, self.at)
    if after then
      self:push(kind .. "_end")
      return self:move(after)
    end
    local ok, type, value, stop = pcall(match, token, self.source, self.at)
    if not ok then
      if not errors.is(type) then error(type, 0) end
      self:fail("%s", type.message)
    end
    if not type then
      if self.at > #self.source then return end
      self:fail("unexpected char %q", self.source:match(utf8.charpattern, self.at))
    end
    if type == "operator" then
      type = value
      if value == "(" or value == "[" or value == "{" then opened[#opened + 1] = value end
      if closing[value] and table.remove(opened) ~= closing[value] then self:fail("unexpected '%s'", value) end
    end
    self:push(type, value)
    self:move(stop)
  end
end

function Lexer:raw(after)
  self:move(after)
  local content, at = match(raw_text, self.source, self.at)
  local sign, stop = match(raw_end, self.source, at)
  if not sign then self:fail "Missing end of raw directive" end
  self:data(content, sign, false, stop)
end

function Lexer:comment()
  local after = match(comment, self.source, self.at + 2)
  if not after then self:fail "Missing end of comment tag" end
  self:move(after)
end

function Lexer:run()
  while self.at <= #self.source do
    local data, at = match(to_tag, self.source, self.at)
    local opener = self.source:sub(at, at + 1)
    local sign = self.source:match("^[+-]", at + 2) or ""
    self:data(data, opener == "" and "+" or sign, opener == "{{", at)
    if opener == "{#" then
      self:comment()
    elseif opener == "{{" then
      self:push "variable_begin"
      self:move(at + 2 + #sign)
      self:tag("variable", variable_end)
    elseif opener == "{%" then
      local raw_at = match(raw_begin, self.source, at)
      if raw_at then
        self:raw(raw_at)
      else
        self:push "block_begin"
        self:move(at + 2 + #sign)
        self:tag("block", block_end)
      end
    end
  end
  self:push "eof"
  return self.tokens
end

---@param source string
---@return sqlune.jinja.Token[]
function M.tokens(source)
  text.len(source) -- an error if it is not UTF-8
  source = source:gsub("\r\n?", "\n"):gsub("\n$", "")
  return setmetatable({ source = source, at = 1, line = 1, tokens = {} }, Lexer):run()
end

return M
