-- Models: from a Hugging Face folder or from a config with random weights; saved so that transformers opens them.
local sq = require "sqlune"
local nn = require "sqlune.nn"
local rope = require "sqlune.models.rope"
local caches = require "sqlune.models.cache"
local fs, json, ops = sq.fs, sq.json, sq.ops

local M = {}

---model_type of config.json -> the file that states it, and what its config means where it says nothing. A model of
---one's own is a line here: docs/models-in-lua.md.
M.kinds = {
  qwen2 = { file = "sqlune.models.qwen2", qkv_bias = true, theta = 10000, eps = 1e-6 },
  llama = { file = "sqlune.models.qwen2", qkv_bias = false, theta = 10000, eps = 1e-6, more_biases = true },
  mistral = { file = "sqlune.models.qwen2", qkv_bias = false, theta = 10000, eps = 1e-6, slides = true },
  qwen3 = { file = "sqlune.models.qwen2", qkv_bias = false, theta = 10000, eps = 1e-6, qk_norm = true, head_dim = 128,
    more_biases = true },
}

---@class sqlune.Model
---@field config table         config.json
---@field shape sqlune.models.Shape
---@field dtype string
---@field parts sqlune.nn.Parameters
local Model = {}
Model.__index = Model

local function given(v) if v ~= nil and v ~= json.null then return v end end

---Keys each layer may look back at, 0: all (spec: Qwen2 slides only if told to, and from max_window_layers on).
local function windows(config, kind, layers)
  local list = {}
  local window = given(config.sliding_window) or 0
  local types = given(config.layer_types)
  local on = kind.slides or config.use_sliding_window == true
  local from = kind.slides and 0 or given(config.max_window_layers) or layers
  for i = 1, layers do
    local slides = on and i > from
    if types then slides = types[i] == "sliding_attention" end
    list[i] = slides and window or 0
  end
  return list
end

---What a config says, checked; nil and a message where it lacks or contradicts something.
---@param config table   config.json as a table
---@param where string   for messages
---@return sqlune.models.Shape?
---@return string? message
function M.shape(config, where)
  local kind = M.kinds[config.model_type]
  if not kind then
    local text = "%s: model_type %q is not known here (qwen2, qwen3, llama, mistral)"
    return nil, text:format(where, tostring(config.model_type))
  end
  local function need(key)
    local v = given(config[key])
    if math.type(v) ~= "integer" or v < 1 then
      error({ message = string.format("%s: '%s' must be a positive integer, got %s", where, key, tostring(v)) }, 0)
    end
    return v
  end
  local ok, shape = pcall(function()
    local heads, hidden, layers = need "num_attention_heads", need "hidden_size", need "num_hidden_layers"
    local kv = given(config.num_key_value_heads) and need "num_key_value_heads" or heads
    local head_dim = given(config.head_dim) and need "head_dim" or kind.head_dim or hidden // heads
    for _, key in ipairs { "rms_norm_eps", "rope_theta", "initializer_range" } do
      local v = given(config[key])
      if v ~= nil and (type(v) ~= "number" or v <= 0 or v ~= v) then
        error({ message = string.format("%s: '%s' must be a positive number, got %s", where, key, tostring(v)) }, 0)
      end
    end
    if heads % kv ~= 0 then
      error({ message = string.format("%s: %d heads do not divide among %d key/value heads", where, heads, kv) }, 0)
    end
    if head_dim % 2 ~= 0 then error({ message = where .. ": the size of a head must be even" }, 0) end
    local context = given(config.max_position_embeddings) and need "max_position_embeddings" or math.maxinteger
    return {
      hidden = hidden, layers = layers, heads = heads, kv_heads = kv, head_dim = head_dim,
      intermediate = need "intermediate_size", vocabulary = need "vocab_size",
      eps = given(config.rms_norm_eps) or kind.eps, context = context,
      rope = rope.read(config, where, given, kind.theta, context), qk_norm = kind.qk_norm or false,
      padding = given(config.pad_token_id) or -1,
      tied = given(config.tie_word_embeddings) or false,
      qkv_bias = kind.qkv_bias or given(config.attention_bias) or false,
      o_bias = kind.more_biases and given(config.attention_bias) or false,
      mlp_bias = kind.more_biases and given(config.mlp_bias) or false, windows = windows(config, kind, layers),
    }
  end)
  if ok then return shape end
  if type(shape) == "table" and shape.message then return nil, shape.message end
  error(shape, 0)
end

---The device of this name; "auto" is the first card, or the cpu where there is none. Raises for one that is not there.
---@param name? string "auto", "cpu", "cuda:1" …
---@return string
function M.device(name)
  if name == nil then return "cpu" end
  if name == "auto" then return (sq.devices()[2] or { name = "cpu" }).name end
  return sq.empty({ 0 }, { device = name }).device
end

---Settings of recipes that put a model somewhere. The cpu, until a card has shown what it does.
M.options = {
  tf32 = sq.config.boolean "a card multiplies f32 in TF32, with 10 bits of mantissa: for speed, not for exactness",
  device = sq.config.string("where the model lives: cpu, cuda:N, or auto, the first card if there is one", "cpu"),
}

local function build(config, shape, dtype, device, take, wrap)
  local parts = nn.parameters(take, wrap)
  local built = require(M.kinds[config.model_type].file).build(parts, shape, dtype)
  return setmetatable({
    config = config, shape = shape, dtype = dtype, device = device, parts = parts,
    hidden_of = built.hidden, output = built.output,
  }, Model)
end

---@class sqlune.models.NewOpts
---@field dtype? string
---@field device? string   where the weights are put: "cpu", "cuda:N" or "auto"
---@field seed? integer    of the weights
---@field train? boolean
---@field wrap? fun(name: string, linear: table): any

---A model with random weights: matrices normal with deviation `initializer_range` (0.02), norms 1, biases 0.
---@param config table   like config.json: model_type, hidden_size, num_hidden_layers, …
---@param opts? sqlune.models.NewOpts
---@return sqlune.Model? model
---@return string? message
function M.from_config(config, opts)
  opts = opts or {}
  local shape, message = M.shape(config, "config")
  if not shape then return nil, message, "SQLUNE_FORMAT" end
  local dtype, device, stream = opts.dtype or "f32", M.device(opts.device), 0
  local deviation = given(config.initializer_range) or 0.02
  return build(config, shape, dtype, device, function(_, dims, init)
    stream = stream + 1
    local t
    if init == "normal" then
      local _s <close> = sq.scope()
      local drawn = dtype == "bf16" and "f32" or dtype
      t = sq.randn(dims, { dtype = drawn, seed = opts.seed or 1, stream = stream, offset = 0 })
      t = ops.scale_(t, deviation)
      if dtype == "bf16" or device ~= "cpu" then t = t:to(dtype, device) end -- drawn on the cpu, the same for all
      t:keep()
    else
      local how = { dtype = dtype, device = device }
      t = init == "ones" and sq.ones(dims, how) or sq.zeros(dims, how)
      t:keep()
    end
    if opts.train then t.requires_grad = true end
    return t
  end, opts.wrap)
end

---What config.json of a folder says, checked; of an adapter's folder, that of its base.
---@param folder string
---@return sqlune.models.Shape? shape
---@return table|string config_or_message
---@return string? code
function M.shape_of(folder)
  if sq.lora.is_adapter(folder) then
    local base, wrong, why = sq.lora.base(folder)
    if not base then return nil, wrong, why end
    folder = base
  end
  local where = fs.join(folder, "config.json")
  local config, message, code = json.read(where)
  if message then return nil, message, code end
  if not json.is_object(config) then return nil, where .. ": an object of settings is expected", "SQLUNE_FORMAT" end
  local shape
  shape, message = M.shape(config, where)
  if not shape then return nil, message, "SQLUNE_FORMAT" end
  return shape, config
end

local function same(a, b)
  if #a ~= #b then return false end
  for i = 1, #a do if a[i] ~= b[i] then return false end end
  return true
end

---@class sqlune.models.LoadOpts
---@field dtype? string
---@field device? string     where the weights are put: "cpu", "cuda:N" or "auto"
---@field train? boolean|fun(name: string): boolean
---@field tokenizer? boolean  false: do not load it
---@field wrap? fun(name: string, linear: table): any
---@field plain? boolean     the model alone, also where the folder has experts (sqlune.momq)
---@field base? string       of experts or an adapter: the folder of its base, instead of the one that it names
---@field adapter? string    of an adapter: its name on the model, "default"

---A model from a Hugging Face folder, and its tokenizer if the folder has one. Without a dtype the weights stay as
---stored; with `train` the parameters want gradients, or those whose names it accepts; `wrap` as in sq.nn.parameters.
---An adapter's folder gives its base with the adapter switched on, which alone is trained then (sqlune.lora).
---@param folder string
---@param opts? sqlune.models.LoadOpts
---@return sqlune.Model? model
---@return table|string tokenizer_or_message
---@return string? code
function M.load(folder, opts)
  opts = opts or {}
  if sq.lora.is_adapter(folder) then return sq.lora.load(folder, opts) end
  local shape, config, code = M.shape_of(folder)
  if not shape then return nil, config, code end
  local there, device = pcall(M.device, opts.device)
  if not there then return nil, tostring(device):gsub("^[^ ]*:%d+: ", ""), "SQLUNE_MISUSE" end
  if config.use_moe_lora == true and not opts.plain then return sq.momq.load(folder, opts) end
  local stored, message
  stored, message, code = sq.safetensors.load(folder)
  if not stored then return nil, message, code end
  local dtype = opts.dtype
  if not dtype then
    local first = stored["model.embed_tokens.weight"]
    dtype = first and first.dtype or "f32"
    if dtype == "f16" then dtype = "f32" end
  end
  local ok, model = pcall(build, config, shape, dtype, device, function(name, dims)
    local t = stored[name]
    if not t then error({ message = string.format("%s: no tensor '%s'", folder, name) }, 0) end
    if not same(t.shape, dims) then
      error({ message = string.format("%s: '%s' is [%s], config.json asks for [%s]", folder, name,
        table.concat(t.shape, ", "), table.concat(dims, ", ")) }, 0)
    end
    local trained = opts.train
    if type(trained) == "function" then trained = trained(name) end
    if t.dtype ~= dtype or t.device ~= device then t = t:to(dtype, device) elseif trained then t = t:clone() end
    t:keep()
    if trained then t.requires_grad = true end
    return t
  end, opts.wrap)
  if not ok then
    if type(model) == "table" and model.message then return nil, model.message, "SQLUNE_FORMAT" end
    error(model, 0)
  end
  model.folder = folder
  local defaults = fs.join(folder, "generation_config.json")
  if fs.exists(defaults) then
    model.generation, message, code = json.read(defaults)
    if message then return nil, message, code end
  end
  if opts.tokenizer == false or not fs.exists(fs.join(folder, "tokenizer.json")) then return model end
  local tokenizer
  tokenizer, message, code = sq.tokenizer.load(folder)
  if not tokenizer then return nil, message, code end
  local fits
  fits, message, code = model:check_tokenizer(tokenizer)
  if not fits then return nil, message, code end
  return model, tokenizer
end

---Parameters in a fixed order; the tied head counts once.
---@return userdata[]
function Model:parameters()
  local list = {}
  for i, name in ipairs(self.parts.names) do list[i] = self.parts.by_name[name] end
  return list
end

---@return string[] names in the order of parameters()
function Model:names() return self.parts.names end

---@return integer number of parameters
function Model:size()
  local n = 0
  for _, t in ipairs(self:parameters()) do n = n + t:numel() end
  return n
end

---Whether the model has a row for every token of a tokenizer.
---@param tokenizer sqlune.Tokenizer
---@return boolean? ok
---@return string? message
---@return string? code
function Model:check_tokenizer(tokenizer)
  if tokenizer:vocab_size() <= self.shape.vocabulary then return true end
  return nil, ("%s has %d tokens, the model only %d"):format(tokenizer.path or "the tokenizer", tokenizer:vocab_size(),
    self.shape.vocabulary), "SQLUNE_FORMAT"
end

---Positions and rows of packed sequences: what the layers take.
---@param starts integer[] first token of each sequence, and behind the last one their number: {0, 5, 12}
function M.packed(starts)
  local positions, longest = {}, 0
  for n = 1, #starts - 1 do
    local count = starts[n + 1] - starts[n]
    longest = math.max(longest, count)
    for i = 0, count - 1 do positions[#positions + 1] = i end
  end
  return {
    positions = sq.tensor(positions, { dtype = "i64" }), rows = sq.tensor(starts, { dtype = "i64" }), longest = longest,
  }
end

---Hidden states after the final norm, [T, C].
---@param ids userdata  i64 [T]
---@param at table      of packed() or a cache's extend()
function Model:hidden(ids, at, seen) return self.hidden_of(ids, at, seen) end

---Logits of hidden states, [T, V].
---@param hidden userdata
---@param at? table what hidden() was called with
function Model:logits(hidden, at) return self.output(hidden, at) end

---@class sqlune.models.LossOpts
---@field smoothing? number  label smoothing: this share of the target is spread over all tokens (0)
---@field z_loss? number     weight of log(sum of exp(logits))^2 (0)
---@field checkpoint? boolean layers keep no activations: backward makes them again
---@field embedded? fun(x: userdata): userdata  changes the embeddings (noise)
---@field at? table          goes to every layer as part of its context

---Places of the labelled targets, and those targets: logits are made for them alone.
local function labelled_rows(targets)
  local rows, kept = {}, {}
  for i, target in ipairs(targets:totable()) do
    if target ~= -100 then rows[#rows + 1], kept[#kept + 1] = i - 1, target end
  end
  return sq.tensor(rows, { dtype = "i64" }), sq.tensor(kept, { dtype = "i64" })
end

---Sum of the losses of a batch's labelled tokens, as one number on the tape.
---@param batch sqlune.data.Batch  ids, targets (shifted: the token that should follow), starts
---@param o? sqlune.models.LossOpts
function Model:loss_sum(batch, o)
  o = o or {}
  local at, terms = M.packed(batch.starts), { smoothing = o.smoothing or 0, z_loss = o.z_loss or 0 }
  for key, value in pairs(o.at or {}) do at[key] = value end
  at.training, at.embedded = sq.grad_enabled(), o.embedded
  at.checkpoint = o.checkpoint and at.training and (at.checkpointed or sq.checkpoint) or nil
  local hidden = self:hidden(batch.ids, at)
  if self.output.adapter then
    local rows, targets = labelled_rows(batch.targets)
    return ops.cross_entropy(self:logits(ops.gather_rows(hidden, rows), at), targets, terms)
  end
  return ops.linear_cross_entropy(hidden, self.output.weight, batch.targets, terms)
end

---A cache for `sequences` sequences of up to `capacity` tokens, of `limit` tokens at most in all (nil: no limit).
---@param sequences integer
---@param capacity integer
---@param limit? integer
---@return sqlune.models.Cache
function Model:cache(sequences, capacity, limit)
  local c = self.shape
  return caches.new(c.layers, sequences, capacity, c.kv_heads, c.head_dim, self.dtype, self.device, limit)
end

---Which adapters take part from now on: a name and how strongly (1), several as { name = factor }, false for none.
---@param which string|false|table<string, number>
---@param factor? number
function Model:adapter(which, factor) sq.lora.switch(self, which, factor) end

---New ids for one prompt; options as sq.generate.run.
---@param ids integer[]
---@return integer[]
function Model:generate(ids, opts) return sq.generate.run(self, { ids }, opts)[1] end

---Takes the weights of a folder that save() wrote.
---@param folder string
---@return boolean? ok
---@return string? message
---@return string? code
function Model:restore(folder)
  local _s <close> = sq.scope()
  local stored, message, code = sq.safetensors.load(folder)
  if not stored then return nil, message, code end
  for name, p in pairs(self.parts.by_name) do
    if not stored[name] then return nil, ("%s: no tensor '%s'"):format(folder, name), "SQLUNE_FORMAT" end
    sq.no_grad(ops.copy_, p, stored[name])
  end
  return true
end

---Copies a folder's tokenizer, chat template and generation defaults into another one.
---@param from string?  nil: nothing to copy
---@param folder string
---@return boolean? ok
---@return string? message
---@return string? code
function M.copy_texts(from, folder)
  if not from or fs.realpath(from) == fs.realpath(folder) then return true end
  for _, name in ipairs { "tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja",
    "vocab.json", "merges.txt", "special_tokens_map.json", "added_tokens.json" } do
    if fs.exists(fs.join(from, name)) then
      local bytes, message, code = fs.read(fs.join(from, name))
      if not bytes then return nil, message, code end
      local ok
      ok, message, code = fs.write(fs.join(folder, name), bytes)
      if not ok then return nil, message, code end
    end
  end
  return true
end

---Writes config.json, model.safetensors and, given a tokenizer's folder, its files. Atomic file by file, weights last.
---@param folder string
---@param opts? {tokenizer_from?: string, config?: table, tensors?: table<string, userdata>}
---@return boolean? ok
---@return string? message
---@return string? code
function Model:save(folder, opts)
  opts = opts or {}
  local ok, message, code = fs.mkdir(folder)
  if not ok then return nil, message, code end
  local dtype_name = ({ f32 = "float32", bf16 = "bfloat16", f64 = "float64" })[self.dtype]
  local config = opts.config or self.config
  config.torch_dtype = dtype_name
  ok, message, code = json.write(fs.join(folder, "config.json"), config, { indent = 2 })
  if not ok then return nil, message, code end
  ok, message, code = M.copy_texts(opts.tokenizer_from, folder)
  if not ok then return nil, message, code end
  local tensors = opts.tensors or {}
  if not opts.tensors then
    for name, t in pairs(self.parts.by_name) do tensors[name] = t end
  end
  return sq.safetensors.save(fs.join(folder, "model.safetensors"), tensors, { format = "pt" })
end

return M
