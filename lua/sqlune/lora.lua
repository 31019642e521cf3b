-- LoRA adapters: made for a model or read from a folder as PEFT writes it, trained, saved, several on one base.
local sq = require "sqlune"
local config_of = require "sqlune.lora.config"
local layer = require "sqlune.lora.layer"
local start = require "sqlune.lora.start"
local fs, ops = sq.fs, sq.ops

local M = { base = config_of.base }

local PREFIX <const> = "base_model.model."

---@class sqlune.lora.Adapter
---@field config sqlune.lora.Config
---@field model sqlune.Model
---@field dtype string
---@field by_name table<string, userdata>   trained tensors by their names in adapter_model.safetensors
---@field parts table<sqlune.nn.Linear, sqlune.lora.Part>
local Adapter = {}
Adapter.__index = Adapter

local function fail(...) error({ message = (...):format(select(2, ...)) }, 0) end

---Runs fn; what it raises as a table with `message` becomes nil, the message and a code.
local function caught(fn, ...)
  local ok, result = pcall(fn, ...)
  if ok then return result end
  if type(result) ~= "table" or not result.message then error(result, 0) end
  return nil, result.message, "SQLUNE_FORMAT"
end

local function same(a, b)
  if #a ~= #b then return false end
  for i = 1, #a do if a[i] ~= b[i] then return false end end
  return true
end

---Linear layers and, behind them, embeddings: what may have an adapter.
---@return (sqlune.nn.Linear|sqlune.nn.Embedding)[]
local function adaptable(model)
  local list = table.move(model.parts.linears, 1, #model.parts.linears, 1, {})
  return table.move(model.parts.embeddings, 1, #model.parts.embeddings, #list + 1, list)
end

---Modules with a weight that are no linear layer (embeddings, norms): they cannot be saved whole, norms not adapted.
local function other_modules(model)
  local linear, list = {}, {}
  for _, l in ipairs(model.parts.linears) do linear[l.name] = true end
  for _, name in ipairs(model:names()) do
    local module = name:match "^(.*)%.weight$"
    if module and not linear[module] then list[#list + 1] = module end
  end
  return list
end

---One layer's part: what the config gives it, each tensor asked for by its name in the file.
local function part_of(self, linear, plan, saved, stream)
  local config, name, part = self.config, PREFIX .. linear.name, {}
  local r, scale = plan(linear.name)
  local base = { weight = linear.weight, bias = linear.bias }
  if saved(linear.name) then
    part.weight = self:take(name .. ".weight", base.weight.shape, function() return base.weight:clone() end)
    if base.bias then
      part.bias = self:take(name .. ".bias", base.bias.shape, function() return base.bias:clone() end)
    end
    return part
  end
  if r then
    part.weight = self:carried_weight(name .. ".base_layer.weight", base.weight)
    base.weight = part.weight or base.weight
    part.scale, part.dropout, part.stream = scale, config.lora_dropout, stream
    if linear.embedding then return self:take_rows(part, name, base, r, stream) end
    self:take_pair(part, name, base, r, stream)
    if config.use_dora == true then
      part.magnitude = self:take(name .. ".lora_magnitude_vector", { base.weight:size(1) }, function()
        return layer.norms_with(base.weight, part, 1):to(self.dtype)
      end)
    end
  end
  if base.bias and (config.bias == "all" or r and config.bias == "lora_only") then
    part.bias = self:take(name .. (r and ".base_layer.bias" or ".bias"), base.bias.shape,
      function() return base.bias:clone() end)
  end
  return next(part) and part or nil
end

---PEFT saves the base's own weight along with an adapted head. It is used and saved again, but not trained.
function Adapter:carried_weight(name, like)
  local t = self.stored and self.stored[name]
  if not t then return nil end
  if not same(t.shape, like.shape) then
    fail("%s: '%s' is [%s], the base's is [%s]", self.where, name, table.concat(t.shape, ", "),
      table.concat(like.shape, ", "))
  end
  local _s <close> = sq.scope()
  self.carried[name] = t:to(self.model.dtype, self.model.device):keep()
  return self.carried[name]
end

---A and B of a layer, and where they start from if that is not zero.
function Adapter:take_pair(part, name, base, r, stream)
  local outputs, inputs = base.weight:size(1), base.weight:size(2)
  local init, o = self.config.init_lora_weights, { dtype = self.dtype, seed = self.seed, stream = stream }
  o.rounds, o.gaussian = config_of.pissa(init), init == "gaussian"
  if o.rounds then
    if r > math.min(outputs, inputs) then fail("%s: rank %d is more than its size", name, r) end
    part.start = {}
    part.start.a, part.start.b = start.pissa(base.weight, r, part.scale, o)
  end
  part.a = self:take(name .. ".lora_A.weight", { r, inputs }, function()
    return part.start and part.start.a:clone() or start.draw({ r, inputs }, o):to(base.weight.device)
  end)
  part.b = self:take(name .. ".lora_B.weight", { outputs, r }, function()
    local how = { dtype = self.dtype, device = base.weight.device }
    return part.start and part.start.b:clone() or sq.zeros({ outputs, r }, how)
  end)
end

---A and B of an embedding: A zero, B normal, whatever the start of the others; no dropout.
function Adapter:take_rows(part, name, base, r, stream)
  if self.config.use_dora == true or config_of.pissa(self.config.init_lora_weights) then
    fail("%s is an embedding, which has no DoRA and no PiSSA here", name)
  end
  local rows, width = base.weight:size(1), base.weight:size(2)
  part.embedding = true
  part.a = self:take(name .. ".lora_embedding_A", { r, rows }, function()
    return sq.zeros({ r, rows }, { dtype = self.dtype, device = base.weight.device })
  end)
  part.b = self:take(name .. ".lora_embedding_B", { width, r }, function()
    local drawn = self.dtype == "f64" and "f64" or "f32"
    local b = sq.randn({ width, r }, { dtype = drawn, seed = self.seed, stream = stream, offset = 0 })
    return b:to(self.dtype, base.weight.device)
  end)
  return part
end

local FLOATS <const> = { f32 = true, bf16 = true, f16 = true, f64 = true }

---The tensor of this name: from the file if the adapter is read, else made.
function Adapter:take(name, shape, make)
  local t
  if self.stored then
    t = self.stored[name]
    if not t then fail("%s: no tensor '%s'", self.where, name) end
    if not same(t.shape, shape) then
      fail("%s: '%s' is [%s], the base and adapter_config.json ask for [%s]", self.where, name,
        table.concat(t.shape, ", "), table.concat(shape, ", "))
    end
    if not FLOATS[t.dtype] then fail("%s: '%s' is %s", self.where, name, t.dtype) end
    local _s <close> = sq.scope()
    local whole = name:find "lora_" == nil -- what takes the base's place has its type
    t = sq.no_grad(function() return t:to(whole and self.model.dtype or self.dtype, self.model.device) end)
    t:keep()
  else
    t = sq.no_grad(make)
    t:keep()
  end
  if self.train then t.requires_grad = true end
  self.order[#self.order + 1] = name
  self.by_name[name] = t
  return t
end

local function check_modules(config, model, plan, saved)
  local embedding = {}
  for _, e in ipairs(model.parts.embeddings) do embedding[e.name] = true end
  for _, module in ipairs(other_modules(model)) do
    if plan(module) and not embedding[module] then fail("target_modules: '%s' is no linear layer", module) end
    if saved(module) then fail("modules_to_save: '%s' is no linear layer, which alone can be saved here", module) end
  end
  local found, some = {}, false
  for _, linear in ipairs(adaptable(model)) do
    some = some or plan(linear.name) ~= nil
    for _, entry in ipairs(type(config.modules_to_save) == "table" and config.modules_to_save or {}) do
      if linear.name == entry or linear.name:sub(-#entry - 1) == "." .. entry then found[entry] = true end
    end
  end
  if not some then fail("target_modules: no layer of the model has such a name") end
  for _, entry in ipairs(type(config.modules_to_save) == "table" and config.modules_to_save or {}) do
    if not found[entry] then fail("modules_to_save: the model has no layer '%s'", entry) end
  end
end

---"all-linear" as the list of names that it means: every layer's own name but the head's.
local function spell_out(config, model)
  if config.target_modules ~= "all-linear" then return end
  local list, known = sq.json.array {}, { lm_head = true }
  for _, linear in ipairs(model.parts.linears) do
    local own = linear.name:match "[^.]+$"
    if not known[own] then
      known[own] = true
      list[#list + 1] = own
    end
  end
  config.target_modules = list
end

local function build(self)
  local model = self.model
  if model.momq then fail "the model has experts (momq), which an adapter would replace" end
  spell_out(self.config, model)
  local plan, saved = config_of.plan(self.config), config_of.saved_modules(self.config)
  check_modules(self.config, model, plan, saved)
  local _s <close> = sq.scope()
  for i, linear in ipairs(adaptable(model)) do
    linear.base = linear.base or { weight = linear.weight, bias = linear.bias }
    self.parts[linear] = part_of(self, { name = linear.name, weight = linear.base.weight, bias = linear.base.bias,
      embedding = linear.padding ~= nil }, plan, saved, i)
  end
  for name in pairs(self.stored or {}) do
    if not self.by_name[name] and not self.carried[name] then
      fail("%s: the base has no place for the tensor '%s'", self.where, name)
    end
  end
  self.stored = nil
  return self
end

local function new(model, config, o)
  local dtype = o.dtype or model.dtype == "bf16" and "f32" or model.dtype
  return setmetatable({
    model = model, device = model.device, config = config, dtype = dtype, seed = o.seed or 1, train = o.train,
    by_name = {}, order = {}, carried = {}, parts = {}, where = "lora", name = o.name or "default",
  }, Adapter)
end

---Makes the adapter known to its model and switches it on; a failure leaves the model as it was.
local function install(adapter)
  local model, name = adapter.model, adapter.name
  model.adapters = model.adapters or {}
  local before = model.adapters[name]
  model.adapters[name] = adapter
  local ok, e = pcall(M.switch, model, name)
  if ok then return adapter end
  model.adapters[name] = before
  error(e, 0)
end

---@class sqlune.lora.Opts
---@field name? string    of the adapter on its model; "default"
---@field train? boolean  its tensors want gradients
---@field dtype? string   of A and B: f32 over bf16, else the model's
---@field seed? integer   of what is drawn

---A new adapter on a model, switched on. The model's own weights are left alone: load it without `train`.
---@param model sqlune.Model
---@param settings table   PEFT's names: r, lora_alpha, target_modules, …
---@param o? sqlune.lora.Opts
---@return sqlune.lora.Adapter? adapter
---@return string? message
---@return string? code
function M.add(model, settings, o)
  local adapter, message, code = caught(function() return build(new(model, config_of.new(settings), o or {})) end)
  if not adapter then return nil, message, code end
  adapter.config.base_model_name_or_path = settings.base_model_name_or_path or model.folder
  return install(adapter)
end

---Reads an adapter's folder onto a model and switches it on. Keys or shapes that do not match are an error.
---@param folder string
---@param model sqlune.Model
---@param o? sqlune.lora.Opts
---@return sqlune.lora.Adapter? adapter
---@return string? message
---@return string? code
function M.open(folder, model, o)
  o = o or {}
  local config, message, code = config_of.read(folder)
  if not config then return nil, message, code end
  if (config_of.pissa(config.init_lora_weights) or 0) > 0 then
    local text = "%s: '%s' starts from a random decomposition that nobody can repeat: save it as plain LoRA in PEFT "
      .. "(path_initial_model_for_weight_conversion)"
    return nil, text:format(folder, config.init_lora_weights), "SQLUNE_FORMAT"
  end
  local adapter = new(model, config, o)
  adapter.where = fs.join(folder, "adapter_model.safetensors")
  adapter.stored, message, code = sq.safetensors.load(adapter.where)
  if not adapter.stored then return nil, message, code end
  adapter, message, code = caught(build, adapter)
  if not adapter then return nil, message:find(folder, 1, true) and message or folder .. ": " .. message, code end
  adapter.folder = folder
  return install(adapter)
end

---Is this folder an adapter's?
---@param folder string
---@return boolean
function M.is_adapter(folder) return fs.exists(fs.join(folder, "adapter_config.json")) end

---The folder whose tokenizer and chat template count: the adapter's if it has a tokenizer, else its base's; a folder
---that is no adapter's is its own.
---@param folder string
---@param base? string|false
---@return string? path
---@return string? message
---@return string? code
function M.texts(folder, base)
  if not M.is_adapter(folder) or fs.exists(fs.join(folder, "tokenizer.json")) then return folder end
  return config_of.base(folder, base)
end

---Lists which adapters are wanted: "name", false, or { name = factor, … }.
local function wanted_of(model, which, factor)
  local list, adapters = {}, model.adapters or {}
  if which == false or which == nil then return list end
  for name, f in pairs(type(which) == "table" and which or { [which] = factor or 1 }) do
    if not adapters[name] then error("the model has no adapter '" .. tostring(name) .. "'", 3) end
    list[#list + 1] = { adapters[name], f, name }
  end
  table.sort(list, function(a, b) return a[3] < b[3] end)
  return list
end

---Which adapters take part from now on. A factor of 1 is the strength an adapter was trained with.
---@param model sqlune.Model
---@param which string|false|table<string, number>
---@param factor? number
function M.switch(model, which, factor)
  local wanted, changes = wanted_of(model, which, factor), {}
  local layers = adaptable(model)
  for i, linear in ipairs(layers) do
    linear.base = linear.base or { weight = linear.weight, bias = linear.bias }
    local weight, bias, parts = linear.base.weight, linear.base.bias, {}
    for _, entry in ipairs(wanted) do
      local part = entry[1].parts[linear]
      if part then
        weight, bias = part.weight or weight, part.bias or bias
        if part.a then parts[#parts + 1] = { part, entry[2] } end
      end
    end
    local run = false
    if #parts > 0 then
      run = (linear.padding and layer.embedding or layer.forward)(
        { weight = weight, bias = bias, padding = linear.padding }, parts)
    end
    changes[i] = { weight = weight, bias = bias or false, adapter = run }
  end
  for i, linear in ipairs(layers) do -- everything is made: what follows cannot fail half-way
    linear.weight, linear.bias, linear.adapter = changes[i].weight, changes[i].bias or nil, changes[i].adapter or nil
  end
  model.active = wanted
end

---@return string[] names of the trained tensors, in one order
function Adapter:names() return self.order end

---@return userdata[] the trained tensors, in the order of names()
function Adapter:parameters()
  local list = {}
  for i, name in ipairs(self.order) do list[i] = self.by_name[name] end
  return list
end

---@return integer trained numbers
function Adapter:size()
  local n = 0
  for _, t in ipairs(self:parameters()) do n = n + t:numel() end
  return n
end

---LoRA+: the factor of the learning rate of each tensor.
---@param ratio number  of B's rate to A's
---@return fun(name: string, p: userdata): number
function M.plus(ratio)
  return function(name, p) return (name:find("lora_B", 1, true) or p.ndim == 1) and ratio or 1 end
end

---What the folder says: the config and tensors. A PiSSA adapter is written as an ordinary one of twice the rank that
---belongs to the base as it is: A above its start, B beside the start's negative.
local function written(self)
  local config, tensors = {}, {}
  for name, t in pairs(self.by_name) do tensors[name] = t end
  for name, t in pairs(self.carried) do tensors[name] = t end
  for key, value in pairs(self.config) do config[key] = value end
  if not config_of.pissa(config.init_lora_weights) then return self.config, tensors end
  config.init_lora_weights = true
  local wider = config.use_rslora == true and math.sqrt(2) or 2
  local function twice(patterns, factor)
    local out = sq.json.object()
    for _, key in ipairs(sq.json.keys(patterns)) do out[key] = patterns[key] * factor end
    return out
  end
  config.r, config.rank_pattern = config.r * 2, twice(config.rank_pattern, 2)
  config.lora_alpha, config.alpha_pattern = config.lora_alpha * wider, twice(config.alpha_pattern, wider)
  for linear, part in pairs(self.parts) do
    if part.start then
      local name = PREFIX .. linear.name
      tensors[name .. ".lora_A.weight"] = ops.cat({ part.a, part.start.a }, 1)
      tensors[name .. ".lora_B.weight"] = ops.cat({ part.b, -part.start.b }, 2)
    end
  end
  return config, tensors
end

---Writes adapter_config.json, adapter_model.safetensors and, given a tokenizer's folder, its files, as PEFT reads them.
---@param folder string
---@param o? {tokenizer_from?: string}
---@return boolean? ok
---@return string? message
---@return string? code
function Adapter:save(folder, o)
  local ok, message, code = fs.mkdir(folder)
  if not ok then return nil, message, code end
  ok, message, code = sq.models.copy_texts(o and o.tokenizer_from, folder)
  if not ok then return nil, message, code end
  local _s <close> = sq.scope()
  local config, tensors = sq.no_grad(written, self)
  ok, message, code = sq.json.write(fs.join(folder, "adapter_config.json"), config, { indent = 2 })
  if not ok then return nil, message, code end
  return sq.safetensors.save(fs.join(folder, "adapter_model.safetensors"), tensors, { format = "pt" })
end

---Takes the numbers of a folder that save() wrote: how a run goes on.
---@param folder string
---@return boolean? ok
---@return string? message
---@return string? code
function Adapter:restore(folder)
  local _s <close> = sq.scope()
  local where = fs.join(folder, "adapter_model.safetensors")
  local stored, message, code = sq.safetensors.load(where)
  if not stored then return nil, message, code end
  local doubled = {}
  for linear, part in pairs(self.parts) do
    if part.start then
      local name = PREFIX .. linear.name
      doubled[name .. ".lora_A.weight"] = { 1, part.start.a, 1 }
      doubled[name .. ".lora_B.weight"] = { 2, part.start.b, -1 }
    end
  end
  return caught(sq.no_grad, function()
    for name, t in pairs(self.by_name) do
      local from, second = stored[name], doubled[name]
      if not from then fail("%s: no tensor '%s'", where, name) end
      if second then
        local dim, half = second[1], t:size(second[1])
        ops.copy_(second[2], from:narrow(dim, half + 1, half) * second[3])
        from = from:narrow(dim, 1, half)
      end
      ops.copy_(t, from)
    end
    return true
  end)
end

---A model with an adapter on it, from the adapter's folder.
---@param folder string
---@param o? table  sqlune.models.LoadOpts, and base: the base's folder, adapter: its name on the model
---@return sqlune.Model? model
---@return table|string tokenizer_or_message
---@return string? code
function M.load(folder, o)
  o = o or {}
  local base, message, code = config_of.base(folder, o.base)
  if not base then return nil, message, code end
  local options = {}
  for key, value in pairs(o) do options[key] = value end
  options.base, options.train = nil, nil
  local own = fs.exists(fs.join(folder, "tokenizer.json"))
  if own then options.tokenizer = false end
  local model, tokenizer
  model, tokenizer, code = sq.models.load(base, options)
  if not model then return nil, tokenizer, code end
  local adapter
  adapter, message, code = M.open(folder, model, { name = o.adapter, train = o.train ~= nil and o.train ~= false })
  if not adapter then return nil, message, code end
  if own and o.tokenizer ~= false then
    tokenizer, message, code = sq.tokenizer.load(folder)
    if not tokenizer then return nil, message, code end
    local fits
    fits, message, code = model:check_tokenizer(tokenizer)
    if not fits then return nil, message, code end
  end
  return model, tokenizer
end

return M
