-- MoMQ in a training recipe: its settings, the dialects of the data, what is attached and logged.
local sq = require "sqlune"
local momq = require "sqlune.momq"
local config = sq.config

local M = {}

---Settings of a recipe, as the group `momq`. Names and defaults as in docs/momq.md.
M.options = {
  enabled   = config.boolean "train a mixture of LoRA experts and its routers; the base is frozen but for its norms",
  momq_mode = config.one_of({ "paper", "compat" }, "the paper's routers, or what XiYan's code computes", "paper"),
  dialects  = config.list("group of each sql_type of the data: sqlite=0,postgresql=1; -1: none of its own", {}),
  num_experts = config.integer("experts of all groups together", 24, { min = 1 }),
  num_experts_per_tok = config.integer("experts that a token takes, of each group (compat: of all)", 2, { min = 1 }),
  share_expert_num = config.integer("experts that every token passes", 2, { min = 0 }),
  dialect_num  = config.integer("groups", 3, { min = 1 }),
  lora_r       = config.integer("rank of an expert", 128, { min = 1 }),
  lora_alpha   = config.number("an expert counts lora_alpha / lora_r", 256.0, { min = 0 }),
  lora_dropout = config.number("share of an expert's inputs that is dropped", 0.05, { min = 0, max = 0.99 }),
  lora_target_modules = config.list("linear layers with LoRA; empty: all of a layer", {}),
  moe_lora_target_modules = config.list("linear layers with experts", { "down_proj" }),
  unfreeze_layer_norms = config.boolean("train the RMSNorm weights", true),
  hard_dialect_router  = config.boolean "a token goes to its likeliest group only",
  norm_topk_prob       = config.boolean "weights of a group's chosen experts sum to 1 (paper)",
  router_aux_loss_coef     = config.number("of the balance loss", 0.001, { min = 0 }),
  dialect_router_loss_coef = config.number("of the dialect loss", 0.01, { min = 0 }),
  enable_label_smooth = config.boolean "smooth the dialect loss",
  smooth_factor       = config.number("by this much", 0.1, { min = 0, max = 0.99 }),
  lora_route_type = config.one_of({ "token", "sentence" }, "compat: one choice a token, or a sequence", "token"),
  enable_dialect_router = config.boolean("compat: with a dialect router", true),
  output_router_logits  = config.boolean("compat: with a balance loss", true),
  use_in_group_balance  = config.boolean "compat: balance inside the groups",
  gate_init = config.one_of({ "mode", "in", "original" }, "bound of the routers' first weights", "mode"),
  rate      = config.number("of the routers' learning rate to that of all others", 1.0, { min = 0 }),
  log_every = config.integer("steps between two router statistics in the log", 50, { min = 1 }),
}

local OWN = { enabled = true, dialects = true, rate = true, log_every = true, gate_init = true }

---Settings of the recipe as a config; ends the recipe where they are wrong.
local function config_of(o)
  local settings = { dialects = {}, gate_init = o.gate_init ~= "mode" and o.gate_init or nil }
  for key, value in pairs(o) do if not OWN[key] then settings[key] = value end end
  if #settings.lora_target_modules == 0 then settings.lora_target_modules = nil end
  for _, text in ipairs(o.dialects) do
    local name, id = text:match "^%s*([%w_]+)%s*=%s*(%-?%d+)%s*$"
    if not name then config.fail(("momq.dialects: '%s' is not name=group"):format(text)) end
    settings.dialects[name] = math.tointeger(tonumber(id))
  end
  local ok, c = pcall(momq.config, settings, "momq")
  if ok then return c end
  if type(c) == "table" and c.message then config.fail(c.message) end
  error(c, 0)
end

---@class sqlune.momq.Training
---@field c sqlune.momq.Config
---@field adapter sqlune.momq.Adapter
local Training = {}
Training.__index = Training

---Ends the recipe where a folder with experts would be trained as if it had none.
local function check_plain(folder)
  local facts = sq.json.read(sq.fs.join(folder, "config.json"))
  if type(facts) == "table" and facts.use_moe_lora == true then
    config.fail(folder .. ": has experts: go on training them with momq.enabled=true and their settings")
  end
end

---What a recipe's settings ask for: nil without momq.enabled.
---@param cfg { model: string, momq: table, seed: integer }
---@return sqlune.momq.Training?
function M.wanted(cfg)
  if not cfg.momq.enabled then
    check_plain(cfg.model)
    return nil
  end
  local self = setmetatable({ c = config_of(cfg.momq), o = cfg.momq, seed = cfg.seed }, Training)
  self.check = function(sql_type)
    local id, wrong = momq.dialect_id(self.c, sql_type)
    return not id and wrong or nil
  end
  self.train = momq.trained(self.c)
  return self
end

-- What two adapters must share for one to go on with the other's weights; the rest are settings of the training.
local SHAPE = { "momq_mode", "num_experts", "num_experts_per_tok", "share_expert_num", "dialect_num", "lora_r",
  "lora_alpha", "lora_target_modules", "moe_lora_target_modules", "unfreeze_layer_norms", "hard_dialect_router",
  "norm_topk_prob", "lora_route_type", "enable_dialect_router" }

---The experts that the model's folder had, with this training's losses.
local function go_on(self, model)
  local adapter = model.momq
  for _, key in ipairs(SHAPE) do
    local mine, there = self.c[key], adapter.c[key]
    if type(mine) == "table" then
      table.sort(mine)
      table.sort(there)
      mine, there = table.concat(mine, ","), table.concat(there, ",")
    end
    if mine ~= there then
      config.fail(("momq.%s is %s, but the model's experts have %s"):format(key, tostring(mine), tostring(there)))
    end
  end
  adapter:configure(self.c)
  return adapter
end

---Puts the experts before the model's layers, or takes those that it has; what is trained, and saved.
---@param model sqlune.Model
---@return sqlune.momq.Adapter
function Training:attach(model)
  local ok, adapter
  if model.momq then
    ok, adapter = true, go_on(self, model)
  else
    ok, adapter = pcall(momq.attach, model, self.c, { seed = self.seed })
  end
  if not ok then
    if type(adapter) == "table" and adapter.message then config.fail(adapter.message) end
    error(adapter, 0)
  end
  adapter:train()
  self.adapter = adapter
  return adapter
end

---What is going to be trained: numbers, and bytes of each.
---@param model sqlune.Model
---@return integer numbers
---@return integer bytes
function Training:size(model) return momq.size(model, self.c), model.dtype == "bf16" and 2 or 4 end

---The recipe's settings as optim.adamw takes them, with the routers' own rate; in compat mode everything decays.
---@param cfg table
---@return sqlune.optim.AdamWOpts
function Training:optimizer(cfg)
  local function rate_of(name) return name:find "_gate$" and self.o.rate or nil end
  local function all() return true end
  return setmetatable({ rate_of = rate_of, decay_of = self.c.momq_mode == "compat" and all or nil }, { __index = cfg })
end

---Adds the routers' numbers of a step to its log entry.
---@param entry table
---@param step integer
---@param last boolean
function Training:log(entry, step, last)
  for key, value in pairs(self.adapter:log(last or step % self.o.log_every == 0)) do entry[key] = value end
end

return M
