-- Settings of a mixture of LoRA experts (MoMQ), with the original's names: checked, read from config.json, written.
local sq = require "sqlune"
local json = sq.json

local M = {}

---@class sqlune.momq.Config
---@field momq_mode "paper"|"compat"     paper: a router in each dialect's group; compat: what the original computes
---@field num_experts integer            in all groups together
---@field num_experts_per_tok integer    that a token takes: of each group (paper), of all (compat)
---@field share_expert_num integer       experts that every token passes, 0: none
---@field dialect_num integer            groups
---@field dialects table<string, integer> name of a dialect in the data -> its group from 0; -1: no group of its own
---@field lora_r integer
---@field lora_alpha number
---@field lora_dropout number
---@field lora_target_modules string[]     linear layers that get LoRA
---@field moe_lora_target_modules string[] those among them that get experts
---@field unfreeze_layer_norms boolean     RMSNorm weights are trained
---@field hard_dialect_router boolean      a token goes to its likeliest group only
---@field norm_topk_prob boolean           the weights of a group's chosen experts sum to 1 (paper)
---@field router_aux_loss_coef number      of the balance loss
---@field dialect_router_loss_coef number  of the dialect loss
---@field enable_label_smooth boolean      of the dialect loss
---@field smooth_factor number
---@field lora_route_type "token"|"sentence" compat: one choice a token, or one a sequence
---@field enable_dialect_router boolean    compat
---@field output_router_logits boolean     compat: with a balance loss
---@field use_in_group_balance boolean     compat: the balance loss sees the experts of a group
---@field gate_init "in"|"original"        bound of a router's first weights: 1/sqrt(inputs), or 1/sqrt(outputs)

-- The original's script, where it and its program's defaults differ.
local DEFAULTS = {
  momq_mode = "paper", num_experts = 24, num_experts_per_tok = 2, share_expert_num = 2, dialect_num = 3,
  lora_r = 128, lora_alpha = 256, lora_dropout = 0.05, unfreeze_layer_norms = true, hard_dialect_router = false,
  norm_topk_prob = false, router_aux_loss_coef = 0.001, dialect_router_loss_coef = 0.01, enable_label_smooth = false,
  smooth_factor = 0.1, lora_route_type = "token", enable_dialect_router = true, output_router_logits = true,
  use_in_group_balance = false,
}
local LISTS = {
  lora_target_modules = { "q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "gate_proj", "down_proj" },
  moe_lora_target_modules = { "down_proj" },
}

local function given(v) if v ~= nil and v ~= json.null then return v end end

local function fail(where, text, ...) error({ message = where .. ": " .. text:format(...) }, 0) end

local function check_numbers(c, where)
  local function need(key, ok, wanted)
    if not ok then fail(where, "'%s' must be %s, got %s", key, wanted, tostring(c[key])) end
  end
  for key, least in pairs { num_experts = 1, num_experts_per_tok = 1, dialect_num = 1, lora_r = 1,
    share_expert_num = 0 } do
    local integer = type(c[key]) == "number" and math.tointeger(c[key])
    need(key, integer and integer >= least, "an integer of at least " .. least)
    c[key] = integer
  end
  need("lora_alpha", type(c.lora_alpha) == "number" and c.lora_alpha > 0, "a positive number")
  need("lora_dropout", type(c.lora_dropout) == "number" and c.lora_dropout >= 0 and c.lora_dropout < 1, "in [0, 1)")
  local s = c.smooth_factor
  need("smooth_factor", type(s) == "number" and s >= 0 and s < 1, "in [0, 1)")
  for _, key in ipairs { "router_aux_loss_coef", "dialect_router_loss_coef" } do
    need(key, type(c[key]) == "number" and c[key] >= 0, "a number of at least 0")
  end
  for key, choices in pairs { momq_mode = { paper = true, compat = true },
    lora_route_type = { token = true, sentence = true }, gate_init = { ["in"] = true, original = true } } do
    local words = {}
    for word in pairs(choices) do words[#words + 1] = word end
    table.sort(words)
    need(key, choices[c[key]], table.concat(words, " or "))
  end
end

---Experts, groups and choices must fit each other.
local function check_counts(c, where)
  local E, D, K = c.num_experts, c.dialect_num, c.num_experts_per_tok
  if E == 1 then return end -- plain LoRA everywhere
  local grouped = c.momq_mode == "paper" or c.enable_dialect_router or c.use_in_group_balance
  if grouped and E % D ~= 0 then fail(where, "%d experts do not divide among %d dialects", E, D) end
  if (c.momq_mode == "paper" or c.use_in_group_balance) and K > E // D then
    fail(where, "a token cannot take %d experts of a group of %d (%d experts, %d dialects)", K, E // D, E, D)
  end
  if K > E then fail(where, "a token cannot take %d of %d experts", K, E) end
  if c.momq_mode == "paper" and not c.enable_dialect_router then
    fail(where, "paper mode has a dialect router: enable_dialect_router cannot be false")
  end
  if c.lora_route_type == "sentence" then
    if c.momq_mode == "paper" then fail(where, "the sentence route is compat mode's") end
    if c.enable_dialect_router or c.output_router_logits then
      fail(where, "the sentence route has no losses: enable_dialect_router and output_router_logits must be false")
    end
  end
end

local function check_dialects(c, where)
  for name, id in pairs(c.dialects) do
    if math.type(id) ~= "integer" or id < -1 or id >= c.dialect_num then
      fail(where, "the dialect '%s' has the id %s: wanted 0 to %d, or -1 for none", tostring(name), tostring(id),
        c.dialect_num - 1)
    end
  end
end

local function finish(c, where)
  c.gate_init = c.gate_init or (c.momq_mode == "compat" and "original" or "in")
  check_numbers(c, where)
  check_counts(c, where)
  check_dialects(c, where)
  return c
end

---A checked config of these settings; what is absent has its default. Raises a table with `message` where one is wrong.
---@param settings table
---@param where? string  for messages
---@return sqlune.momq.Config
function M.new(settings, where)
  where = where or "momq"
  local c = { dialects = {}, gate_init = settings.gate_init }
  for name, id in pairs(settings.dialects or {}) do c.dialects[name:lower()] = id end
  for key, default in pairs(DEFAULTS) do
    c[key] = settings[key]
    if c[key] == nil then c[key] = default end
  end
  for key, default in pairs(LISTS) do
    local list = settings[key] or default
    c[key] = table.move(list, 1, #list, 1, {})
  end
  for key in pairs(settings) do
    if c[key] == nil then fail(where, "no setting '%s'", tostring(key)) end
  end
  return finish(c, where)
end

---The config in a folder's config.json; the original's has no lists of modules: tensor names tell which have experts.
---@param config table         config.json
---@param where string         for messages
---@param names string[]       of the tensors beside it
---@return sqlune.momq.Config
function M.read(config, where, names)
  local settings = { momq_mode = given(config.momq_mode) or "compat", gate_init = given(config.gate_init),
    dialects = {} }
  for key in pairs(DEFAULTS) do settings[key] = settings[key] or given(config[key]) end
  for key in pairs(DEFAULTS) do if config[key] == false then settings[key] = false end end
  for name, id in pairs(given(config.dialects) or {}) do settings.dialects[name] = id end
  local seen = { lora_target_modules = {}, moe_lora_target_modules = {} }
  table.sort(names)
  for key in pairs(LISTS) do settings[key] = given(config[key]) or {} end
  for _, name in ipairs(names) do
    local module = name:match "([^.]+)%.lora_A$"
    local experts = name:match "([^.]+)%.lora_A%.%d+$"
    for key, found in pairs { lora_target_modules = module or experts, moe_lora_target_modules = experts } do
      if not given(config[key]) and not seen[key][found] then
        seen[key][found] = true
        table.insert(settings[key], found)
      end
    end
  end
  return M.new(settings, where)
end

---Writes the settings into a copy of a model's config.json, under the original's names.
---@param c sqlune.momq.Config
---@param base table
---@return table
function M.write(c, base)
  local config = json.object()
  for _, key in ipairs(json.keys(base)) do config[key] = base[key] end
  config.use_moe_lora = true
  for key in pairs(DEFAULTS) do config[key] = c[key] end
  config.gate_init = c.gate_init
  for key in pairs(LISTS) do config[key] = json.array(table.move(c[key], 1, #c[key], 1, {})) end
  local dialects, names = json.object(), {}
  for name in pairs(c.dialects) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do dialects[name] = c.dialects[name] end
  config.dialects = dialects
  return config
end

---The group of an item's dialect. `sql_type` is a dialect's name, perhaps behind "nl2" as the original's data have it.
---@param c sqlune.momq.Config
---@param sql_type any
---@return integer? id   -1: the item names none
---@return string? wrong
function M.dialect_id(c, sql_type)
  sql_type = given(sql_type)
  if sql_type == nil then return -1 end
  if type(sql_type) ~= "string" then return nil, "'sql_type' is a " .. type(sql_type) .. ", not a text" end
  local name = sql_type:lower()
  local id = c.dialects[name] or c.dialects[name:match "^nl2(.*)$" or name]
  if id then return id end
  local known = {}
  for one, group in pairs(c.dialects) do known[#known + 1] = ("%s=%d"):format(one, group) end
  table.sort(known)
  return nil, ("'sql_type' is '%s', a dialect that momq.dialects does not name (%s)"):format(sql_type,
    table.concat(known, ", "))
end

return M
