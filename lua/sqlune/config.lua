-- Settings of a recipe: a typed schema, read from config files, the environment and the command line.
--
-- Rules: defaults < config files < SQLUNE_A__B < a.b=c and --a.b c. The schema's defaults give the types; a name that
-- the schema lacks is an error that says the nearest one. Config files are data (config/files.lua).
local files = require "sqlune.config.files"
local help = require "sqlune.config.help"
local kinds = require "sqlune.config.kinds"
local nearest = require "sqlune.config.nearest"
local progress = require "sqlune.progress"
local secret = require "sqlune.secret"
local term = require "sqlune.term"

local M = {
  path = kinds.path, string = kinds.string, number = kinds.number, integer = kinds.integer,
  boolean = kinds.boolean, list = kinds.list, one_of = kinds.one_of, nearest = nearest.find, load = files.load,
}

local details = setmetatable({}, { __mode = "k" }) -- resolved table -> {settings=, sources=}

---What every recipe understands beside its own settings.
local SHARED = { "help", "print_config", "config", "quiet", "color" }

---A schema as a list of {name=, kind=}, groups flattened to a.b, in the order in which the recipe writes them.
local function flatten(schema, prefix, list)
  for name, default in pairs(schema) do
    local kind = kinds.of(default)
    if kind then
      if kind.doc == "" then kind.doc = help.docs[name] or "" end
      list[#list + 1] = { name = prefix .. name, kind = kind }
    else
      flatten(default, prefix .. name .. ".", list)
    end
  end
  return list
end

local function index(settings)
  local by_name = {}
  for _, setting in ipairs(settings) do by_name[setting.name] = setting end
  return by_name
end

local function with_doubt(self, message, name, dashes)
  local known = {}
  for _, setting in ipairs(self.settings) do known[#known + 1] = setting.name end
  if dashes then table.move(SHARED, 1, #SHARED, #known + 1, known) end
  local near = nearest.find(name, known)
  if near == nil then return message end
  local shown = dashes and "--" .. near:gsub("_", "-") or near
  local setting = self.by_name[near]
  if setting == nil then return ("%s (did you mean '%s'?)"):format(message, shown) end
  local doc = setting.kind.doc ~= "" and ", " .. setting.kind.doc or ""
  local default = setting.kind.default == nil and "" or ", default " .. setting.kind:show(setting.kind.default)
  return ("%s (did you mean '%s'%s%s?)"):format(message, shown, doc, default)
end

local function set(self, setting, value, source)
  self.values[setting.name], self.sources[setting.name] = value, source
end

---Sets a value given as text. Returns nil, or what is wrong.
local function set_text(self, name, text, source)
  local setting = self.by_name[name]
  if setting == nil then return with_doubt(self, ("%s: no setting '%s'"):format(source, name), name) end
  local value, expected = setting.kind:read(text)
  if expected or value == nil then
    return ("%s: %s=%s: expected %s"):format(source, name, text, expected or setting.kind:expects())
  end
  set(self, setting, value, source)
end

local function set_table(self, values, prefix, source)
  local names = {}
  for name in pairs(values) do names[#names + 1] = name end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  for _, name in ipairs(names) do
    local full, value = prefix .. tostring(name), values[name]
    local setting, is_group = self.by_name[full], false
    for _, other in ipairs(self.settings) do
      is_group = is_group or other.name:sub(1, #full + 1) == full .. "."
    end
    local wrong
    if setting then
      local checked, expected = setting.kind:check(value)
      if expected then
        local shown = type(value) == "table" and "a table" or tostring(value)
        wrong = ("%s: %s = %s: expected %s"):format(source, full, shown, expected)
      else
        set(self, setting, checked, source)
      end
    elseif is_group and type(value) == "table" then
      wrong = set_table(self, value, full .. ".", source)
    elseif is_group then
      wrong = ("%s: '%s' is a group of settings, write a table"):format(source, full)
    else
      wrong = with_doubt(self, ("%s: no setting '%s'"):format(source, full), full)
    end
    if wrong then return wrong end
  end
end

---The next argument of the command line into `self`. Returns how many were used, or nil and what is wrong.
local function take_option(self, args, i)
  local name, text = args[i]:match "^%-%-([^=]+)=(.*)$"
  name = name or args[i]:sub(3)
  local key = name:gsub("%-", "_")
  if key == "help" or key == "print_config" or key == "quiet" then
    self.flags[key] = true
    return 1
  end
  local setting, negated = self.by_name[key], key:match "^no_(.+)$"
  if setting == nil and negated and self.by_name[negated] and self.by_name[negated].kind.kind == "boolean" then
    self.given[#self.given + 1] = { negated, "false" }
    return 1
  end
  if setting == nil and key ~= "config" and key ~= "color" then
    return nil, with_doubt(self, ("unknown option '--%s'"):format(name), key, true)
  end
  local used = text and 1 or 2
  if text == nil then text = args[i + 1] end
  if setting and setting.kind.kind == "boolean" and used == 2 and text ~= "true" and text ~= "false" then
    text, used = "true", 1
  end
  if text == nil then
    return nil, ("option '--%s' wants a value: %s"):format(name, setting and setting.kind:expects() or
      key == "config" and "a file" or "auto, always or never")
  end
  if key == "config" then
    self.files[#self.files + 1] = text
  elseif key == "color" then
    self.flags.color = text
  else
    self.given[#self.given + 1] = { key, text }
  end
  return used
end

local function take_bare(self, text)
  local name, value = text:match "^([%a_][%w_.%-]*)=(.*)$"
  local slot = self.positional[self.bare + 1]
  if name then
    self.given[#self.given + 1] = { name, value }
  elseif slot == nil and self.bare == 0 and (text:find "%.lua$" or text:find "%.json$") then
    self.files[#self.files + 1] = text
  elseif slot then
    self.bare = self.bare + 1
    self.given[#self.given + 1] = { slot, text }
  else
    return ("unexpected argument '%s' (settings are written name=value)"):format(text)
  end
end

local function take_arguments(self, args)
  local i = 1
  while i <= #args do
    local used, wrong = 1, nil
    if args[i]:sub(1, 2) == "--" and #args[i] > 2 then
      used, wrong = take_option(self, args, i)
    elseif args[i] == "-h" then
      self.flags.help = true
    else
      wrong = take_bare(self, args[i])
    end
    if wrong then return wrong end
    i = i + used
  end
end

local function fill(self)
  for _, setting in ipairs(self.settings) do
    if setting.kind.default ~= nil then set(self, setting, setting.kind.default, "default") end
  end
  for _, path in ipairs(self.files) do
    local layers, message = files.layers(path)
    if not layers then return "cannot read the config file: " .. message end
    for _, layer in ipairs(layers) do
      local wrong = set_table(self, layer.values, "", layer.path)
      if wrong then return wrong end
    end
  end
  for _, setting in ipairs(self.settings) do
    local variable = "SQLUNE_" .. setting.name:gsub("%.", "__"):upper()
    local text = os.getenv(variable)
    if text and variable ~= "SQLUNE_HOME" and variable ~= "SQLUNE_SHARED" then
      local wrong = set_text(self, setting.name, text, variable)
      if wrong then return wrong end
    end
  end
  for _, pair in ipairs(self.given) do
    local wrong = set_text(self, pair[1], pair[2], "command line")
    if wrong then return wrong end
  end
end

---Values as nested tables; `false` of an optional setting stays away.
local function nest(self)
  local cfg = {}
  for _, setting in ipairs(self.settings) do
    local value, at = self.values[setting.name], cfg
    if value == false and setting.kind.kind ~= "boolean" then value = nil end
    for group in setting.name:gmatch "([^.]+)%." do
      at[group] = at[group] or {}
      at = at[group]
    end
    at[setting.name:match "[^.]+$"] = value
  end
  return cfg
end

local function missing(self)
  for _, setting in ipairs(self.settings) do
    if self.values[setting.name] == nil then
      local doc = setting.kind.doc ~= "" and ": " .. setting.kind.doc or ""
      return ("'%s' is missing%s (write %s=…)"):format(setting.name, doc, setting.name)
    end
  end
end

---@class sqlune.config.Opts
---@field positional? string[]  names of the settings that bare arguments fill, in order
---@field program? string       what messages begin with, default "sqlune NAME"
---@field doc? string           what the recipe does, default: the first comment of its file

---Resolves settings without ending the program. Returns the settings, or nil and what is wrong; the third value tells
---what else was asked for: {help=, print_config=, quiet=, color=}.
---@param args string[]
---@param schema table
---@param o? sqlune.config.Opts
---@return table? cfg
---@return string? message
---@return table request
function M.resolve(args, schema, o)
  o = o or {}
  local self = { settings = flatten(schema, "", {}), values = {}, sources = {}, flags = {}, files = {}, given = {},
    positional = o.positional or {}, bare = 0 }
  help.order(self.settings, args[0])
  self.by_name = index(self.settings)
  self.flags.resolved = self
  local wrong = take_arguments(self, args)
  if self.flags.help then return nil, nil, self.flags end
  wrong = wrong or fill(self) or not self.flags.print_config and missing(self) or nil
  if wrong then return nil, wrong, self.flags end
  local cfg = nest(self)
  details[cfg] = self
  return cfg, nil, self.flags
end

---The settings of a recipe from its command line. Prints and ends the program for --help (0), --print-config (0) and
---for anything wrong (2).
---@param args table   the global `arg`
---@param schema table name = default, name = config.path "doc" …, or a table of further settings
---@param o? sqlune.config.Opts
---@return table
function M.parse(args, schema, o)
  o = o or {}
  local program = o.program or help.program(args[0])
  local cfg, wrong, request = M.resolve(args, schema, o)
  if not wrong and request.color then
    local ok = pcall(term.set_color, request.color)
    if not ok then wrong = "--color wants auto, always or never, not '" .. request.color .. "'" end
  end
  if wrong then
    io.stderr:write(program, ": ", wrong, "\n")
    os.exit(2, true)
  end
  if request.help then
    io.stdout:write(help.text(program, o.doc or help.first_comment(args[0]), request.resolved), "\n")
    os.exit(0, true)
  end
  if request.print_config then
    io.stdout:write(help.values(request.resolved), "\n")
    os.exit(0, true)
  end
  if request.quiet then progress.quiet = true end
  return cfg --[[@as table]]
end

---Where each setting of a resolved table came from: {["train.lr"] = "command line"}.
---@param cfg table
---@return table<string, string>
function M.sources(cfg)
  return details[cfg] and details[cfg].sources or {}
end

---Ends a recipe because the settings or the input are wrong: prints "sqlune NAME: message" and exits.
---@param message string
---@param code? integer  default 1 (2: the settings are wrong)
function M.fail(message, code)
  io.stderr:write(help.program(arg and arg[0]), ": ", secret.hide(message), "\n")
  os.exit(code or 1, true)
end

---The shortest decimal text that reads back as the same float.
local function shortest(value)
  for digits = 14, 17 do
    local text = ("%." .. digits .. "g"):format(value)
    if tonumber(text) == value then return text end
  end
  return value > 0 and "1e999" or "-1e999"
end

local function literal(value, indent, key)
  if type(value) ~= "table" then
    value = secret.shown(value, key)
    return math.type(value) == "float" and shortest(value) or ("%q"):format(value):gsub("\\\n", "\\n")
  end
  local parts, names = {}, {}
  for _, element in ipairs(value) do parts[#parts + 1] = (literal(element, indent)) end
  if #value > 0 or next(value) == nil then return "{" .. table.concat(parts, ", ") .. "}" end
  for name in pairs(value) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    parts[#parts + 1] = ("%s  %s = %s,\n"):format(indent, name, (literal(value[name], indent .. "  ", name)))
  end
  return "{\n" .. table.concat(parts) .. indent .. "}"
end

---Resolved settings as the text of a config file, which a later run reads again. Passwords are hidden.
---@param cfg table
---@return string
function M.text(cfg)
  return "return " .. literal(cfg, "") .. "\n"
end

return M
