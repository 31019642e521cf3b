-- LoRA in a training recipe: its settings, what is attached, how much is trained.
local sq = require "sqlune"
local config_of = require "sqlune.lora.config"
local lora = require "sqlune.lora"
local config, json = sq.config, sq.json

local M = {}

---Settings of a recipe, as the group `lora`.
M.options = {
  rank    = config.integer("of the adapter that is trained instead of the model; 0: none", 0, { min = 0 }),
  alpha   = config.number("the adapter counts alpha / rank", 16.0, { min = 0 }),
  dropout = config.number("share of an adapter's inputs that is dropped", 0.0, { min = 0, max = 0.99 }),
  target_modules = config.list("layers with an adapter: names or their ends; empty: all but the head", {}),
  pattern = config.string("a regular expression of whole names, instead of target_modules", false),
  bias    = config.one_of({ "none", "lora_only", "all" }, "biases that are trained", "none"),
  modules_to_save = config.list("layers that are trained whole, such as lm_head", {}),
  rslora  = config.boolean "the adapter counts alpha / sqrt(rank)",
  dora    = config.boolean "lengths of the weight's rows are trained beside their directions",
  init    = config.string("true (PEFT's), gaussian, pissa or pissa_niter_N", "true"),
  dtype   = config.one_of({ "f32", "bf16" }, "type of the adapter over a bf16 model", "f32"),
  plus    = config.number("LoRA+: how many times as fast B learns as A", 1.0, { min = 0 }),
}

---The same settings with another rank to begin with.
---@param rank integer
---@return table
function M.options_of(rank)
  local options = {}
  for name, kind in pairs(M.options) do options[name] = kind end
  options.rank = config.integer(M.options.rank.doc, rank, { min = 0 })
  return options
end

---@class sqlune.lora.Training
---@field settings table    what lora.add takes
---@field train fun(name: string): boolean  which weights of the base are trained: none
---@field adapter sqlune.lora.Adapter?
local Training = {}
Training.__index = Training

local function settings_of(o)
  local targets = o.pattern or #o.target_modules > 0 and json.array(o.target_modules) or "all-linear"
  return {
    r = o.rank, lora_alpha = o.alpha == math.floor(o.alpha) and math.tointeger(o.alpha) or o.alpha,
    lora_dropout = o.dropout, target_modules = targets, bias = o.bias, use_rslora = o.rslora, use_dora = o.dora,
    init_lora_weights = o.init == "true" or o.init,
    modules_to_save = #o.modules_to_save > 0 and json.array(o.modules_to_save) or nil,
  }
end

---What a recipe's settings ask for: nil where no adapter is trained. A `model` that is an adapter's folder is trained
---on, with its own settings.
---@param cfg {model: string, lora: table, seed: integer, dtype: string}
---@return sqlune.lora.Training?
function M.wanted(cfg)
  local again = lora.is_adapter(cfg.model)
  if again and cfg.lora.rank > 0 then
    config.fail(cfg.model .. ": an adapter, which has its own settings: leave lora.rank away, or merge it first")
  end
  if cfg.lora.rank == 0 and not again then return nil end
  if cfg.momq and cfg.momq.enabled then config.fail "lora.rank and momq.enabled: one of them can be trained" end
  return setmetatable({
    o = cfg.lora, cfg = cfg, settings = not again and settings_of(cfg.lora) or nil,
    -- Of an adapter's folder the adapter is trained; a plain model's own weights are not.
    train = function() return again end,
  }, Training)
end

---Puts the adapter on the model, or finds the one that was loaded with it.
---@param model sqlune.Model
---@return sqlune.lora.Adapter
function Training:attach(model)
  if not self.settings then
    self.adapter = model.adapters.default
    return self.adapter
  end
  local adapter, message = lora.add(model, self.settings, {
    train = true, seed = self.cfg.seed, dtype = self.cfg.dtype == "bf16" and self.o.dtype or nil,
  })
  if not adapter then config.fail((message:gsub("^lora: ", "lora.", 1))) end
  self.adapter = adapter
  return adapter
end

---Numbers that will be trained, and bytes of each.
---@param model sqlune.Model
---@return integer numbers
---@return integer bytes
function Training:size(model)
  local bytes = self.cfg.dtype == "bf16" and self.o.dtype == "bf16" and 2 or 4
  if not self.settings then return model.adapters.default:size(), bytes end
  local ok, plan = pcall(function() return config_of.plan(config_of.new(self.settings)) end)
  if not ok then config.fail(type(plan) == "table" and plan.message or tostring(plan)) end
  local n = 0
  for _, linear in ipairs(model.parts.linears) do
    local all = self.settings.target_modules == "all-linear" and linear.name ~= "lm_head"
    local r = all and self.o.rank or plan(linear.name)
    if r then n = n + r * (linear.weight:size(1) + linear.weight:size(2)) end
  end
  for _, embedding in ipairs(self.settings.target_modules ~= "all-linear" and model.parts.embeddings or {}) do
    n = n + (plan(embedding.name) or 0) * (embedding.weight:size(1) + embedding.weight:size(2))
  end
  return n, bytes
end

---The recipe's settings as optim.adamw takes them: LoRA+ has two rates.
---@param cfg table
---@return sqlune.optim.AdamWOpts
function Training:optimizer(cfg)
  if self.o.plus == 1 then return cfg end
  return setmetatable({ rate_of = lora.plus(self.o.plus) }, { __index = cfg })
end

---Adds nothing to a step's log entry.
function Training.log() end

return M
