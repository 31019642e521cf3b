-- adapter_config.json: what PEFT's LoRA settings mean for a model's layers.
local sq = require "sqlune"
local pattern = require "sqlune.lora.pattern"
local fs, json = sq.fs, sq.json

local M = {}

---@class sqlune.lora.Config    adapter_config.json, with PEFT's names and defaults
---@field r integer
---@field lora_alpha number
---@field lora_dropout number
---@field target_modules string[]|string  ends of names; a text: a regular expression of whole names
---@field bias "none"|"all"|"lora_only"
---@field use_rslora boolean
---@field use_dora boolean
---@field init_lora_weights boolean|string
---@field rank_pattern table<string, integer>
---@field alpha_pattern table<string, number>
---@field modules_to_save string[]?
---@field base_model_name_or_path string?

-- What a new config starts from: the keys that every version of PEFT since 0.9 reads.
local DEFAULTS = {
  { "alpha_pattern", json.object() }, { "auto_mapping", json.null }, { "base_model_name_or_path", json.null },
  { "bias", "none" }, { "fan_in_fan_out", false }, { "inference_mode", true }, { "init_lora_weights", true },
  { "layers_pattern", json.null }, { "layers_to_transform", json.null }, { "loftq_config", json.object() },
  { "lora_alpha", 8 }, { "lora_dropout", 0.0 }, { "megatron_config", json.null },
  { "megatron_core", "megatron.core" }, { "modules_to_save", json.null }, { "peft_type", "LORA" }, { "r", 8 },
  { "rank_pattern", json.object() }, { "revision", json.null }, { "target_modules", json.null },
  { "task_type", "CAUSAL_LM" }, { "use_dora", false }, { "use_rslora", false },
}

-- Keys that only say how the numbers came about or how PEFT works on them.
local HARMLESS = {
  peft_version = true, qalora_group_size = true, exclude_modules = true, ensure_weight_tying = true,
  corda_config = true, eva_config = true, lora_ga_config = true, runtime_config = true,
}

-- Initialisations that leave the base as it is; "pissa" and "pissa_niter_N" are known beside them.
local PLAIN_INIT = { ["true"] = true, ["false"] = true, gaussian = true, eva = true, orthogonal = true }

local function given(v) if v ~= nil and v ~= json.null then return v end end

local function empty(v)
  if given(v) == nil or v == false then return true end
  return type(v) == "table" and next(v) == nil
end

---Power iterations of a PiSSA start: 0 for "pissa" (until it is exact), N for "pissa_niter_N"; nil: no PiSSA.
---@param init any
---@return integer?
function M.pissa(init)
  if init == "pissa" then return 0 end
  return math.tointeger(tonumber(tostring(init):match "^pissa_niter_(%d+)$"))
end

local function is_list(v, kind)
  if type(v) ~= "table" or #v == 0 and next(v) ~= nil then return false end
  for _, entry in ipairs(v) do if type(entry) ~= kind then return false end end
  return true
end

local function check_values(config, where)
  local function need(key, ok, wanted)
    if not ok then
      error({ message = ("%s: '%s' must be %s, got %s"):format(where, key, wanted, json.encode(config[key])) }, 0)
    end
  end
  need("r", math.type(config.r) == "integer" and config.r > 0, "a positive integer")
  need("lora_alpha", type(config.lora_alpha) == "number", "a number")
  if given(config.lora_dropout) == nil then config.lora_dropout = 0.0 end
  local p = config.lora_dropout
  need("lora_dropout", type(p) == "number" and p >= 0 and p < 1, "in [0, 1)")
  for _, key in ipairs { "use_dora", "use_rslora" } do
    need(key, given(config[key]) == nil or type(config[key]) == "boolean", "true or false")
  end
  need("bias", ({ none = true, all = true, lora_only = true })[config.bias], "none, all or lora_only")
  local init = config.init_lora_weights
  need("init_lora_weights", PLAIN_INIT[tostring(init)] or M.pissa(init), "true, false, gaussian or pissa")
  for _, key in ipairs { "rank_pattern", "alpha_pattern" } do
    local patterns = given(config[key]) or {}
    need(key, type(patterns) == "table", "a positive number for each name")
    for name, v in pairs(patterns) do
      local ok = type(name) == "string" and type(v) == "number" and (key ~= "rank_pattern" or math.tointeger(v))
      need(key, ok and v > 0, "a positive number for each name")
    end
  end
  local saved, layers, excluded = given(config.modules_to_save), given(config.layers_to_transform),
    given(config.exclude_modules)
  need("modules_to_save", saved == nil or is_list(saved, "string"), "a list of names")
  need("exclude_modules", excluded == nil or type(excluded) == "string" or is_list(excluded, "string"),
    "a list of names or a regular expression")
  need("layers_to_transform", layers == nil or math.type(layers) == "integer" or is_list(layers, "number"),
    "a number or a list of them")
  local target = given(config.target_modules)
  need("target_modules", type(target) == "string" or is_list(target, "string") and #target > 0,
    "a list of names or a regular expression")
end

---Checks a config; raises a table with `message`.
---@param config table
---@param where string  for messages
local function check(config, where)
  local function fail(...) error({ message = where .. ": " .. (...):format(select(2, ...)) }, 0) end
  if not json.is_object(config) then fail "an object of settings is expected" end
  if config.peft_type ~= "LORA" then fail("peft_type must be LORA, got %s", json.encode(config.peft_type)) end
  local known = {}
  for _, pair in ipairs(DEFAULTS) do
    known[pair[1]] = true
    if config[pair[1]] == nil then config[pair[1]] = pair[2] end
  end
  for key, value in pairs(config) do
    if not known[key] and not HARMLESS[key] and not empty(value) then
      fail("the setting '%s' = %s is not known here", key, json.encode(value))
    end
  end
  for _, key in ipairs { "fan_in_fan_out", "megatron_config", "loftq_config" } do
    if not empty(config[key]) then fail("'%s' is not supported", key) end
  end
  check_values(config, where)
end

---A test of names: nil matches nothing, a text is a regular expression, a list has names or their ends.
---@param target string|string[]|nil
---@return fun(name: string): boolean
local function matcher(target)
  target = given(target)
  if target == nil then return function() return false end end
  if type(target) == "string" then return pattern.compile(target) end
  return function(name)
    for _, entry in ipairs(target) do
      if name == entry or name:sub(-#entry - 1) == "." .. entry then return true end
    end
    return false
  end
end

---rank_pattern and alpha_pattern: the value of the first key that matches, in the file's order (a plain table's keys
---are sorted).
local function chooser(patterns, default)
  local list = {}
  patterns = given(patterns) or {}
  for _, key in ipairs(json.keys(patterns)) do
    list[#list + 1] = { pattern.compile("(.*\\.)?(" .. key .. ")"), patterns[key] }
  end
  return function(name)
    for _, entry in ipairs(list) do if entry[1](name) then return entry[2] end end
    return default
  end
end

local function layer_filter(config)
  local wanted = given(config.layers_to_transform)
  if wanted == nil then return function() return true end end
  local set = {}
  for _, i in ipairs(type(wanted) == "table" and wanted or { wanted }) do set[i] = true end
  return function(name) return set[tonumber(name:match "%.layers%.(%d+)%.")] or false end
end

---@class sqlune.lora.Plan
---@field rank integer?   nil: the layer has no adapter
---@field scale number?

---What a config says of each layer: function(name) -> rank, scale; nil where the layer is not adapted.
---@param config sqlune.lora.Config
---@return fun(name: string): integer?, number?
function M.plan(config)
  local target, excluded = matcher(config.target_modules), matcher(config.exclude_modules)
  local rank, alpha = chooser(config.rank_pattern, config.r), chooser(config.alpha_pattern, config.lora_alpha)
  local in_layer = layer_filter(config)
  return function(name)
    if not target(name) or excluded(name) or not in_layer(name) then return nil end
    local r = rank(name)
    return r, alpha(name) / (config.use_rslora == true and math.sqrt(r) or r)
  end
end

---Names of modules_to_save: whole names or their ends.
---@return fun(name: string): boolean
function M.saved_modules(config) return matcher(config.modules_to_save) end

---A checked config of these settings.
---@param settings table  PEFT's names; what is absent has PEFT's default
---@param where? string   for messages
---@return sqlune.lora.Config
function M.new(settings, where)
  local config = json.object()
  for _, pair in ipairs(DEFAULTS) do
    local value = settings[pair[1]]
    if value == nil then value = pair[2] end
    config[pair[1]] = type(value) == "table" and #value > 0 and json.array(value) or value
  end
  for key in pairs(settings) do
    if config[key] == nil then error("lora: no setting '" .. tostring(key) .. "'", 3) end
  end
  check(config, where or "lora")
  return config
end

---The config of an adapter's folder, checked.
---@param folder string
---@return sqlune.lora.Config? config
---@return string? message
---@return string? code
function M.read(folder)
  local where = fs.join(folder, "adapter_config.json")
  local config, message, code = json.read(where)
  if message then return nil, message, code end
  local ok, wrong = pcall(check, config, where)
  if ok then return config end
  if type(wrong) ~= "table" then error(wrong, 0) end
  return nil, wrong.message, "SQLUNE_FORMAT"
end

---The folder of the model that an adapter belongs to: `base` if given, else the name in its config, from here or from
---the adapter's folder.
---@param folder string
---@param base? string|false
---@return string? path
---@return string? message
---@return string? code
function M.base(folder, base)
  if base then return base end
  local config, message, code = M.read(folder)
  if not config then return nil, message, code end
  local name = given(config.base_model_name_or_path)
  if not name then return nil, folder .. ": adapter_config.json names no base model: give base=", "SQLUNE_FORMAT" end
  for _, path in ipairs { name, fs.join(folder, name) } do
    if fs.exists(fs.join(path, "config.json")) then return path end
  end
  return nil, ("%s: its base model '%s' is no folder here: give base="):format(folder, name), "SQLUNE_NOTFOUND"
end

return M
