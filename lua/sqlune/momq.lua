-- MoMQ: a mixture of LoRA experts in front of a frozen model, a group of experts for each SQL dialect. docs/momq.md.
--
-- Rules: the base is frozen but for its RMSNorm weights; a folder holds the adapter under the original's tensor names
-- and a config.json from which it runs; nothing looks at tokens behind the one that it routes (but the sentence route,
-- which is the original's).
local sq = require "sqlune"
local checkpoint = require "sqlune.momq.checkpoint"
local config = require "sqlune.momq.config"
local layers = require "sqlune.momq.layer"
local losses = require "sqlune.momq.losses"
local routes_of = require "sqlune.momq.routes"
local statistics = require "sqlune.momq.statistics"
local fs, json = sq.fs, sq.json

local M = { config = config.new, dialect_id = config.dialect_id }

---@class sqlune.momq.Adapter
---@field model sqlune.Model
---@field c sqlune.momq.Config
---@field layers sqlune.momq.Layer[]
---@field norms string[]   names of the RMSNorm weights that are trained
---@field statistics sqlune.momq.Statistics
local Adapter = {}
Adapter.__index = Adapter

local function one_of(list, leaf)
  for _, name in ipairs(list) do if name == leaf then return true end end
  return false
end

---Experts that a layer of this name gets: 1 is plain LoRA, nil nothing.
local function experts_of(c, name)
  local leaf = name:match "[^.]+$"
  if one_of(c.moe_lora_target_modules, leaf) then return c.num_experts end
  return one_of(c.lora_target_modules, leaf) and 1 or nil
end

---Numbers that would be trained on a model.
---@param model sqlune.Model
---@param c sqlune.momq.Config
---@return integer
function M.size(model, c)
  local total, trained = 0, M.trained(c)
  for _, linear in ipairs(model.parts.linears) do
    local experts = experts_of(c, linear.name)
    if experts then total = total + layers.size(linear, c, experts) end
  end
  for _, name in ipairs(model.parts.names) do
    if trained(name) then total = total + model.parts.by_name[name]:numel() end
  end
  return total
end

---Whether a parameter of the base is trained: for models.load's `train`.
---@param c sqlune.momq.Config
---@return fun(name: string): boolean
function M.trained(c)
  return function(name) return c.unfreeze_layer_norms and name:find "norm" ~= nil end
end

---Puts LoRA and experts before a model's linear layers. Raises a table with `message` where a target does not exist.
---@param model sqlune.Model
---@param c sqlune.momq.Config
---@param o? {seed?: integer}
---@return sqlune.momq.Adapter
function M.attach(model, c, o)
  local self = setmetatable({ model = model, device = model.device, c = c, layers = {}, norms = {}, sums = {},
    known = setmetatable({}, { __mode = "k" }) }, Adapter)
  local stream, leaves, used = 0, {}, {}
  local function random()
    stream = stream + 1
    return stream
  end
  for _, linear in ipairs(model.parts.linears) do
    local leaf = linear.name:match "[^.]+$"
    leaves[leaf] = true
    local experts = experts_of(c, linear.name)
    if experts then
      used[leaf] = true
      local layer = layers.new(linear, c, experts, random, o and o.seed or 1)
      self.layers[#self.layers + 1] = layer
      linear.adapter = function(x, at) return layer:run(x, at) end
    end
  end
  for _, list in ipairs { c.lora_target_modules, c.moe_lora_target_modules } do
    for _, name in ipairs(list) do
      if not used[name] then
        local known = {}
        for leaf in pairs(leaves) do known[#known + 1] = leaf end
        table.sort(known)
        local text = "momq: the model has no linear layer '%s' (%s)"
        error({ message = text:format(name, table.concat(known, ", ")) }, 0)
      end
    end
  end
  local trained = M.trained(c)
  for _, name in ipairs(model.parts.names) do
    if trained(name) then self.norms[#self.norms + 1] = name end
  end
  self.statistics = statistics.new(c)
  model.momq = self
  return self
end

---Makes what is trained want gradients.
function Adapter:train()
  for _, x in ipairs(self:parameters()) do x.requires_grad = true end
end

---Takes the losses' and names' settings of another config of the same shape.
---@param c sqlune.momq.Config
function Adapter:configure(c)
  self.c, self.statistics = c, statistics.new(c)
  for _, layer in ipairs(self.layers) do layer.c = c end
end

local function each(self, visit)
  for _, layer in ipairs(self.layers) do
    local keys = {}
    for key in pairs(layer.tensors) do keys[#keys + 1] = key end
    table.sort(keys)
    for _, key in ipairs(keys) do visit(layer.name .. "." .. key, layer.tensors[key]) end
  end
  for _, name in ipairs(self.norms) do visit(name, self.model.parts.by_name[name]) end
end

---What is trained, in a fixed order: experts of a layer are one tensor [E, …].
---@return userdata[]
function Adapter:parameters()
  local list = {}
  each(self, function(_, x) list[#list + 1] = x end)
  return list
end

---@return string[] names in the order of parameters()
function Adapter:names()
  local list = {}
  each(self, function(name) list[#list + 1] = name end)
  return list
end

---@return integer number of trained parameters
function Adapter:size()
  local n = 0
  for _, x in ipairs(self:parameters()) do n = n + x:numel() end
  return n
end

---What is trained under the names of a file, each expert by itself.
---@return table<string, userdata>
function Adapter:files()
  local list = {}
  for _, layer in ipairs(self.layers) do
    for name, x in pairs(layer:files()) do list[name] = x end
  end
  for _, name in ipairs(self.norms) do list[name] = self.model.parts.by_name[name] end
  return list
end

local function shape_text(x) return "[" .. table.concat(x.shape, ", ") .. "]" end

---Takes the numbers of a folder that save() wrote: how a run goes on.
---@param folder string
---@return boolean? ok
---@return string? message
---@return string? code
function Adapter:restore(folder)
  local _s <close> = sq.scope()
  local stored, message, code = sq.safetensors.load(folder)
  if not stored then return nil, message, code end
  return self:take(stored, folder)
end

---Takes the tensors of a file. Tensors that the adapter lacks or has in another shape are an error.
---@param stored table<string, userdata>
---@param where string  for messages
---@return boolean? ok
---@return string? message
---@return string? code
function Adapter:take(stored, where)
  local _s <close> = sq.scope()
  local mine, base = self:files(), self.model.parts.by_name
  for name, x in pairs(stored) do
    if not mine[name] and not base[name] then
      return nil, ("%s: '%s' belongs to no layer of this adapter"):format(where, name), "SQLUNE_FORMAT"
    end
    if mine[name] and shape_text(mine[name]) ~= shape_text(x) then
      return nil, ("%s: '%s' is %s, its config asks for %s"):format(where, name, shape_text(x),
        shape_text(mine[name])), "SQLUNE_FORMAT"
    end
  end
  for name in pairs(mine) do
    if not stored[name] then return nil, ("%s: no tensor '%s'"):format(where, name), "SQLUNE_FORMAT" end
  end
  sq.no_grad(function() for name, x in pairs(mine) do sq.ops.copy_(x, stored[name]) end end)
  return true
end

---Writes config.json and model.safetensors: the adapter alone beside its base's path, as the original does in training,
---or with the base.
---@param folder string
---@param o? {tokenizer_from?: string, whole?: boolean}
---@return boolean? ok
---@return string? message
---@return string? code
function Adapter:save(folder, o)
  o = o or {}
  local model = self.model
  local written, tensors = config.write(self.c, model.config), self:files()
  written.base_model_name_or_path = not o.whole and model.folder and fs.realpath(model.folder) or nil
  if o.whole then
    for name, x in pairs(model.parts.by_name) do tensors[name] = x end
  end
  return model:save(folder, { tokenizer_from = o.tokenizer_from, config = written, tensors = tensors })
end

---The folder of an adapter's base: `base` if given, else what its config names, from here or from the folder.
local function base_of(folder, facts, base)
  if base then return base end
  local name = facts.base_model_name_or_path or facts._name_or_path
  if type(name) ~= "string" then return nil, folder .. ": config.json names no base model: give base=" end
  for _, path in ipairs { name, fs.join(folder, name) } do
    if fs.exists(fs.join(path, "config.json")) then return path end
  end
  return nil, ("%s: its base model '%s' is no folder here: give base="):format(folder, name)
end

---A model from a folder that Adapter:save, or the original, wrote; model.momq is the adapter.
---@param folder string
---@param o? {dtype?: string, device?: string, train?: boolean, tokenizer?: boolean, base?: string}
---@return sqlune.Model? model
---@return table|string tokenizer_or_message
---@return string? code
function M.load(folder, o)
  o = o or {}
  local where = fs.join(folder, "config.json")
  local facts, message, code = json.read(where)
  if message then return nil, message, code end
  local stored
  stored, message, code = sq.safetensors.load(folder)
  if not stored then return nil, message, code end
  local names = {}
  for name in pairs(stored) do names[#names + 1] = name end
  local ok, c = pcall(config.read, facts, where, names)
  if not ok then
    if type(c) == "table" and c.message then return nil, c.message, "SQLUNE_FORMAT" end
    error(c, 0)
  end
  local whole, base = stored["model.embed_tokens.weight"] ~= nil, folder
  if not whole then
    base, message = base_of(folder, facts, o.base)
    if not base then return nil, message, "SQLUNE_NOTFOUND" end
  end
  -- Norm weights are written over, so they may not be views of the file.
  local owned = M.trained(c)
  local model, tokenizer
  model, tokenizer, code = sq.models.load(base, {
    dtype = o.dtype, device = o.device, train = owned, tokenizer = o.tokenizer, plain = true,
  })
  if not model then return nil, tokenizer, code end
  local adapter
  ok, adapter = pcall(M.attach, model, c)
  if not ok then
    if type(adapter) == "table" and adapter.message then return nil, adapter.message, "SQLUNE_FORMAT" end
    error(adapter, 0)
  end
  for _, name in ipairs(adapter.norms) do model.parts.by_name[name].requires_grad = false end
  ok, message, code = adapter:take(stored, folder)
  if not ok then return nil, message, code end
  if o.train then adapter:train() end
  if not whole and o.tokenizer ~= false and fs.exists(fs.join(folder, "tokenizer.json")) then
    tokenizer, message, code = sq.tokenizer.load(folder)
    if not tokenizer then return nil, message, code end
    ok, message, code = model:check_tokenizer(tokenizer)
    if not ok then return nil, message, code end
  end
  return model, tokenizer
end

---Merges what does not depend on the token into the base: plain LoRA, and the shared experts where each counts the same
---(compat, or one shared expert). In f32, rounded once. What is left are the routed experts; save with `whole`.
---@param model sqlune.Model
---@return sqlune.momq.Adapter
function M.merge_shared(model)
  local self = model.momq or error("momq: this model has no experts", 2)
  local left = {}
  sq.no_grad(function()
    for _, layer in ipairs(self.layers) do
      local _s <close> = sq.scope()
      local change, linear = layer:constant(), layer.linear
      if change then
        local weight = linear.weight
        linear.weight = (weight:to(change.dtype) + change):to(weight.dtype):clone():keep()
        model.parts.by_name[linear.name .. ".weight"] = linear.weight
        for _, key in ipairs(layer.experts == 1 and { "lora_A", "lora_B" } or
          { "lora_shared_A", "lora_shared_B", "lora_shared_gate" }) do layer.tensors[key] = nil end
      end
      if layer.experts == 1 then linear.adapter = nil else left[#left + 1] = layer end
    end
  end)
  self.layers = left
  self.c.lora_target_modules = table.move(self.c.moe_lora_target_modules, 1, #self.c.moe_lora_target_modules, 1, {})
  if left[1] and not left[1].tensors.lora_shared_A then self.c.share_expert_num = 0 end
  return self
end

-------------------------------------------------------------------------------------------------------- training

---What the model's layers take along in a forward whose routers' losses or statistics are wanted.
---@return table at
function M.context() return { routes = {}, checkpointed = checkpoint.run } end

---The dialect of each row of a batch, -1: none.
local function rows_of(self, batch)
  if batch.dialects then return batch.dialects end
  local list = {}
  for row = 1, #batch.starts - 1 do
    local id, wrong = config.dialect_id(self.c, (batch.sql_types or {})[row])
    list[row] = id or error(wrong, 0)
  end
  return list
end

---The dialect of each token of a batch: of all, and of prompt tokens only (-100 elsewhere). Each batch of a step is
---asked for with every other one: what was found stays as long as the batch does.
local function dialects_of(self, batch)
  local known = self.known[batch]
  if known then return known.all, known.prompts end
  local targets, all, prompts = batch.targets:totable(), {}, {}
  for row, d in ipairs(rows_of(self, batch)) do
    local first = batch.starts[row] + 1
    for i = first, batch.starts[row + 1] do
      all[i] = d
      prompts[i] = d >= 0 and (i == first or targets[i - 1] == -100) and d or -100
    end
  end
  self.known[batch] = { all = all, prompts = prompts }
  return all, prompts
end

---What a step's means are over: tokens, rows, and prompt tokens of a known dialect, of all its batches.
---@param micro sqlune.data.Batch[]
---@return table counts
function Adapter:counts(micro)
  local counts = { tokens = 0, rows = 0, prompts = 0 }
  for _, batch in ipairs(micro) do
    local _, prompts = dialects_of(self, batch)
    counts.tokens, counts.rows = counts.tokens + batch.tokens, counts.rows + #batch.starts - 1
    for _, d in ipairs(prompts) do counts.prompts = counts.prompts + (d >= 0 and 1 or 0) end
  end
  return counts
end

---The dialect and balance losses of a forward: their sum with their coefficients, and each by itself.
---@param at table     of context(), after the forward
---@param batch sqlune.data.Batch
---@param counts table of counts()
---@return userdata|number loss  0 where there is none
---@return {dialect_loss?: userdata, balance_loss?: userdata} parts
function Adapter:losses(at, batch, counts)
  local c, routes, parts, loss = self.c, at.routes, {}, 0
  local smooth = c.enable_label_smooth and c.smooth_factor or 0
  local all, prompts = dialects_of(self, batch)
  local share = batch.tokens / counts.tokens
  if #routes > 0 and c.momq_mode == "paper" then
    local labels = sq.tensor(prompts, { dtype = "i64" })
    parts.dialect_loss = losses.dialect_of_tokens(routes, labels, counts.prompts, smooth)
    parts.balance_loss = losses.balance_in_groups(routes, c) * share
  elseif #routes > 0 then
    parts.dialect_loss = losses.dialect_of_rows(routes, batch.starts, rows_of(self, batch), counts.rows, smooth)
    if c.output_router_logits then
      local columns = c.use_in_group_balance and c.num_experts // c.dialect_num or c.num_experts
      parts.balance_loss = losses.balance_of_rows(routes, c.num_experts_per_tok, columns, at.row_weights) * share
    end
  end
  if parts.dialect_loss then loss = parts.dialect_loss * c.dialect_router_loss_coef + loss end
  if parts.balance_loss then loss = parts.balance_loss * c.router_aux_loss_coef + loss end
  for key, x in pairs(parts) do
    self.sums[key] = self.sums[key] or sq.zeros({}, { dtype = "f64", device = x.device }):keep()
    self.sums[key]:add_(x)
  end
  self.statistics:add(routes, all)
  routes_of.close(routes)
  at.routes = nil
  return loss, parts
end

---The losses of the step so far, and the statistics since they were last asked for, as Run:log takes them: tensors,
---which are the caller's now, and a function that waits for its values.
---@param with_statistics boolean
---@return {dialect_loss?: userdata, balance_loss?: userdata, router?: fun(): table}
function Adapter:log(with_statistics)
  local entry = self.sums
  self.sums = {}
  if with_statistics then entry.router = self.statistics:take() end
  return entry
end

return M
