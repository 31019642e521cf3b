-- Kinds of settings: what a setting accepts, how its text is read, what --help says of it.
--
-- A kind is {kind=, doc=, default=, min=, max=, choices=, element=}. A default of nil means that the setting must be
-- given; a default of false on a path or a string, that it may stay away.
local M = {}

local Kind = {}
Kind.__index = Kind
M.Kind = Kind

local made = 0

---`serial` counts the kinds: a table of settings in a module shows them in the order in which it writes them.
local function make(kind, doc, default, limits)
  made = made + 1
  local self = setmetatable({ kind = kind, doc = doc or "", default = default, serial = made }, Kind)
  for name, value in pairs(limits or {}) do self[name] = value end
  return self
end

---A file or folder. Without a default it must be given; with false it may stay away.
---@param doc string
---@param default? string|false
function M.path(doc, default) return make("path", doc, default) end

---A text. Without a default it must be given; with false it may stay away.
---@param doc string
---@param default? string|false
function M.string(doc, default) return make("string", doc, default) end

---A number with its limits: config.number("learning rate", 1e-5, {min = 0}).
---@param doc string
---@param default? number|false
---@param limits? {min?: number, max?: number}
function M.number(doc, default, limits) return make("number", doc, default, limits) end

---An integer with its limits.
---@param doc string
---@param default? integer|false
---@param limits? {min?: integer, max?: integer}
function M.integer(doc, default, limits) return make("integer", doc, default, limits) end

---@param doc string
---@param default? boolean  default false
function M.boolean(doc, default) return make("boolean", doc, default or false) end

---A list, written a,b,c on the command line; its elements have the kind of the first default, or are strings.
---@param doc string
---@param default? any[]|false
function M.list(doc, default)
  local first = type(default) == "table" and default[1]
  local element = first and M.of(first) or M.string("", "")
  return make("list", doc, default, { element = element })
end

---One of some words, the first being the default: config.one_of("cosine", "linear"), or
---config.one_of({"cosine", "linear"}, "shape of the schedule"[, default]).
function M.one_of(choices, doc, default, ...)
  if type(choices) == "table" then
    if default == nil then default = choices[1] end
    return make("one_of", doc, default, { choices = choices })
  end
  return make("one_of", "", choices, { choices = { choices, doc, default, ... } })
end

---The kind that a plain default stands for; nil if it is a group of settings.
function M.of(default)
  if getmetatable(default) == Kind then return default end
  local kind = math.type(default) == "integer" and "integer" or math.type(default) == "float" and "number"
    or type(default)
  if kind == "table" and (#default > 0 or next(default) == nil) then return M.list("", default) end
  if kind == "table" then return nil end
  if kind == "function" or kind == "userdata" or kind == "thread" then
    error("a setting's default cannot be a " .. kind, 3)
  end
  return make(kind, "", default)
end

local WORDS = { ["true"] = true, yes = true, on = true, ["1"] = true,
  ["false"] = false, no = false, off = false, ["0"] = false }
local NAMES = { path = "a path", string = "a text", number = "a number", integer = "an integer",
  boolean = "true or false", list = "a list" }

---What a kind accepts, in words.
function Kind:expects()
  if self.kind == "one_of" then
    local words = {}
    for i, choice in ipairs(self.choices) do words[i] = tostring(choice) end
    return "one of " .. table.concat(words, ", ")
  end
  local low, high = self.min and ("%.14g"):format(self.min), self.max and ("%.14g"):format(self.max)
  local range = low and high and (" of %s … %s"):format(low, high) or low and " of at least " .. low
    or high and " of at most " .. high or ""
  return NAMES[self.kind] .. range
end

local function read_list(self, text)
  local list = {}
  if text == "" then return list end
  for part in (text .. ","):gmatch "([^,]*)," do
    local value, why = self.element:read(part)
    if why then return nil, why end
    list[#list + 1] = value
  end
  return list
end

---Reads a setting's text from the command line or the environment. Returns the value, or nil and what is expected.
function Kind:read(text)
  if self.kind == "list" then return read_list(self, text) end
  if self.default == false and (text == "" or text == "none") and self.kind ~= "boolean" then return false end
  local value = text
  if self.kind == "number" or self.kind == "integer" then value = tonumber(text) end
  if self.kind == "boolean" then value = WORDS[text:lower()] end
  if self.kind == "one_of" and type(self.choices[1]) == "number" then value = tonumber(text) end
  return self:check(value)
end

---Checks a value from a config file. Returns it (a number as the kind wants it), or nil and what is expected.
function Kind:check(value)
  local kind = self.kind
  if value == false and self.default == false then return false end
  if kind == "one_of" then
    for _, choice in ipairs(self.choices) do
      if choice == value then return choice end
    end
    return nil, self:expects()
  end
  if kind == "list" then
    if type(value) ~= "table" then return nil, self:expects() end
    for i, element in ipairs(value) do
      local checked, why = self.element:check(element)
      if why then return nil, ("%s whose elements are each %s"):format(self:expects(), why) end
      value[i] = checked
    end
    return value
  end
  local ok = type(value) == kind or kind == "path" and type(value) == "string"
  if kind == "integer" then
    value = type(value) == "number" and math.tointeger(value) or nil
    ok = value ~= nil
  elseif kind == "number" and ok then
    value = value + 0.0
    ok = value == value
  end
  if not ok or self.min and value < self.min or self.max and value > self.max then return nil, self:expects() end
  return value
end

---A value as it would be typed on the command line.
function Kind:show(value)
  if value == nil then return "must be given" end
  if value == false then return self.kind == "boolean" and "false" or "none" end
  if type(value) == "table" then
    local words = {}
    for i, element in ipairs(value) do words[i] = self.element:show(element) end
    return table.concat(words, ",")
  end
  if math.type(value) == "float" then return (("%.14g"):format(value)) end
  return tostring(value)
end

return M
