-- Adapters: which layers they take, how they start, what is refused, switching, saving and opening.
local sq = require "sqlune"
local t = require "tests.check"
local config_of, pattern = require "sqlune.lora.config", require "sqlune.lora.pattern"
local start = require "sqlune.lora.start"
local fs, json, lora, models, ops = sq.fs, sq.json, sq.lora, sq.models, sq.ops

local QV <const> = { "q_proj", "v_proj" }

local function model_of(opts, changes)
  local c = {
    model_type = "qwen2", hidden_size = 16, intermediate_size = 24, num_hidden_layers = 2, num_attention_heads = 4,
    num_key_value_heads = 2, vocab_size = 50, tie_word_embeddings = false, initializer_range = 0.3,
  }
  for key, value in pairs(changes or {}) do c[key] = value end
  return assert(models.from_config(c, opts))
end

local ids = { 3, 1, 4, 1, 5, 9, 2, 6 }

local function logits(model, training)
  local at = models.packed { 0, #ids }
  at.training = training
  return model:logits(model:hidden(sq.tensor(ids, { dtype = "i64" }), at), at)
end

local function values(model, training) return sq.no_grad(logits, model, training):totable() end

local function distance(a, b) return sq.no_grad(function() return (a:to "f64" - b:to "f64"):abs():max():item() end) end

---Every B gets numbers of its own, so that the adapter does something.
local function stir(adapter, seed)
  for i, name in ipairs(adapter:names()) do
    local p = adapter.by_name[name]
    if name:find "lora_B" then ops.copy_(p, sq.randn(p.shape, { seed = seed or 7, stream = i, offset = 0 }) * 0.3) end
  end
end

local function refused(settings, wanted, changes)
  local _s <close> = sq.scope()
  t.fails(function() return lora.add(model_of({}, changes), settings) end, wanted)
end

local cases = {}

cases["patterns are Python's, of whole names"] = function()
  local name = "model.layers.12.self_attn.q_proj"
  for text, want in pairs {
    [".*q_proj"] = true, ["q_proj"] = false, [".*\\.layers\\.(1|12)\\..*"] = true, [".*[qk]_proj$"] = true,
    ["^model\\.layers\\.\\d+\\.self_attn\\.[a-z]_proj"] = true, [".*layers\\.\\d\\.self.*"] = false,
    [".*(?:v|o)_proj"] = false, ["model\\.layers\\.1{1}2?\\..*"] = true, [".+?proj"] = true, [".*[^a-p]_proj"] = true,
    ["(model|layers|\\.|12|self_attn|q_proj)*"] = true, ["\\w+"] = false, ["[\\w.]{3,}"] = true, [""] = false,
  } do
    t.eq(pattern.compile(text)(name), want, text)
  end
  for text, wanted in pairs {
    [("("):rep(1000)] = "too many groups",
    ["(a"] = "without its %)", ["a)"] = "without its %(", ["[a"] = "without its %]", ["*a"] = "nothing to repeat",
    ["(?=a)"] = "not supported", ["\\1"] = "not supported", ["a\\"] = "backslash",
  } do
    local ok, e = pcall(pattern.compile, text)
    t.ok(not ok and e.message:find(wanted), text)
  end
  local ok, e = pcall(pattern.compile "((a*)*)*b", ("a"):rep(60))
  t.ok(not ok and e.message:find "too many ways")
end

cases["rank, scale and patterns of a layer"] = function()
  local plan = config_of.plan(config_of.new {
    r = 8, lora_alpha = 16, target_modules = { "q_proj", "down_proj" }, use_rslora = true,
    rank_pattern = { down_proj = 4, ["layers.1.self_attn.q_proj"] = 2 }, alpha_pattern = { q_proj = 32 },
    layers_to_transform = { 0, 1 },
  })
  t.eq({ plan "model.layers.0.self_attn.q_proj" }, { 8, 32 / math.sqrt(8) })
  t.eq({ plan "model.layers.1.self_attn.q_proj" }, { 2, 32 / math.sqrt(2) })
  t.eq({ plan "model.layers.1.mlp.down_proj" }, { 4, 8.0 })
  t.eq({ plan "model.layers.2.mlp.down_proj" }, {})
  t.eq({ plan "model.layers.0.self_attn.k_proj" }, {})
end

cases["a new adapter changes nothing, and its base has no gradient"] = function()
  for _, init in ipairs { true, "gaussian", "pissa", "pissa_niter_4" } do
    for _, dtype in ipairs { "f32", "bf16", "f64" } do
      local _s <close> = sq.scope()
      local model = model_of { dtype = dtype }
      local before = sq.no_grad(logits, model):to "f64"
      local adapter = assert(lora.add(model, { r = 4, target_modules = "all-linear", init_lora_weights = init },
        { train = true }))
      t.ok(distance(sq.no_grad(logits, model), before) <= (dtype == "bf16" and 0.2 or 1e-5), tostring(init) .. dtype)
      t.eq(adapter:parameters()[1].dtype, dtype == "bf16" and "f32" or dtype)
      t.eq(#adapter:names(), 2 * 2 * 7)
      logits(model):sum():backward()
      for _, p in ipairs(model:parameters()) do t.eq(p.grad, nil) end
      for _, p in ipairs(adapter:parameters()) do t.ok(p.grad) end
    end
  end
end

cases["A starts as PEFT's: uniform within 1/sqrt(inputs), or normal with deviation 1/r"] = function()
  local _s <close> = sq.scope()
  local a = start.draw({ 8, 400 }, { dtype = "f32", seed = 1, stream = 1 })
  t.ok(a:abs():max():item() <= 1 / 20)
  t.near(a:square():mean():item() ^ 0.5, 1 / 20 / math.sqrt(3), 5e-4)
  a = start.draw({ 8, 400 }, { dtype = "f32", seed = 1, stream = 1, gaussian = true })
  t.near(a:square():mean():item() ^ 0.5, 1 / 8, 5e-3)
end

cases["a decomposition of a large matrix finds its strongest directions"] = function()
  local _s <close> = sq.scope()
  local function normal(shape, seed) return sq.randn(shape, { dtype = "f64", seed = seed, stream = 0, offset = 0 }) end
  local w = ops.matmul(normal({ 300, 6 }, 1), normal({ 6, 280 }, 2)) + normal({ 300, 280 }, 3) * 0.01
  for _, dtype in ipairs { "f64", "f32" } do
    local u, strengths, v = start.svd(w:to(dtype), 6, { seed = 1, stream = 1, rounds = 0 })
    local s = sq.tensor(strengths, { dtype = dtype })
    local rest = (w - ops.matmul(u * s, v:transpose(1, 2)):to "f64"):square():sum():item() ^ 0.5
    t.near(rest, 0.01 * math.sqrt(294 * 274), 0.05) -- the noise outside of six directions
    local gram = ops.matmul(u:transpose(1, 2), u):to "f64"
    for i = 1, 6 do t.near(gram:select(1, i):select(1, i):item(), 1, 1e-5) end
  end
end

cases["switching: one, several, scaled, none"] = function()
  local _s <close> = sq.scope()
  local model = model_of {}
  local base = values(model)
  local one = assert(lora.add(model, { r = 2, target_modules = QV }, { name = "one", seed = 1 }))
  stir(one, 1)
  local two = assert(lora.add(model, { r = 3, target_modules = { "q_proj", "up_proj" }, bias = "lora_only" },
    { name = "two", seed = 2 }))
  stir(two, 2)
  local with_two = values(model)
  model:adapter "one"
  local with_one = values(model)
  t.ok(distance(sq.tensor(with_one), sq.tensor(with_two)) > 0.01)
  model:adapter { one = 0.5, two = 2 }
  local both = sq.tensor(values(model))
  for _, adapter in ipairs { one, two } do
    for _, name in ipairs(adapter:names()) do
      if name:find "lora_B" then ops.scale_(adapter.by_name[name], adapter == one and 0.5 or 2) end
    end
  end
  model:adapter { two = 1, one = 1 }
  t.ok(distance(sq.tensor(values(model)), both) <= 1e-5)
  model:adapter("one", 2)
  t.ok(distance(sq.tensor(values(model)), sq.tensor(with_one)) <= 1e-5)
  model:adapter(false)
  t.eq(values(model), base)
  t.fails(function() model:adapter "three" end, "no adapter 'three'")
end

cases["what is kept between forwards follows a write into the adapter"] = function()
  local _s <close> = sq.scope()
  local model = model_of {}
  local adapter = assert(lora.add(model, { r = 2, target_modules = QV, use_dora = true }, { train = true }))
  stir(adapter, 1)
  local before = values(model)
  t.eq(values(model), before)
  stir(adapter, 2)
  local after = values(model)
  t.ok(distance(sq.tensor(before), sq.tensor(after)) > 0.01)
  logits(model):sum():backward() -- the norms are made anew here
  t.eq(values(model), after)
  sq.optim.adamw(adapter:names(), adapter:parameters(), {}):step(0.1)
  local stepped = values(model)
  model:adapter(false)
  model:adapter "default" -- nothing is kept over a switch
  t.eq(values(model), stepped)
end

cases["saved and opened, every kind"] = function()
  for i, settings in ipairs {
    { r = 4, lora_alpha = 6, target_modules = QV },
    { r = 4, target_modules = "all-linear", use_dora = true, bias = "lora_only" },
    { r = 4, target_modules = { "o_proj", "down_proj" }, bias = "all", modules_to_save = { "lm_head" } },
    { r = 4, target_modules = { "lm_head", "v_proj" }, use_rslora = true },
    { r = 4, lora_alpha = 6, target_modules = QV, init_lora_weights = "pissa", rank_pattern = { v_proj = 3 } },
    { r = 4, target_modules = QV, init_lora_weights = "pissa", use_rslora = true, alpha_pattern = { v_proj = 3 } },
    { r = 4, target_modules = "all-linear", init_lora_weights = "pissa", use_dora = true, bias = "lora_only" },
    { r = 4, lora_alpha = 6, target_modules = { "embed_tokens", "lm_head", "v_proj" },
      rank_pattern = { embed_tokens = 3 } },
  } do
    local _s <close> = sq.scope()
    local dir, model = t.tmpdir(), model_of {}
    assert(model:save(dir .. "/base"))
    local adapter = assert(lora.add(model, settings))
    adapter.config.base_model_name_or_path = dir .. "/base"
    stir(adapter)
    assert(adapter:save(dir .. "/adapter"))
    local again = assert(models.load(dir .. "/adapter"))
    t.ok(distance(sq.tensor(values(model)), sq.tensor(values(again))) <= 1e-5, "settings " .. i)
    -- and back into an adapter that was just made
    local other = model_of {}
    local mine = assert(lora.add(other, settings, { seed = 9 }))
    assert(mine:restore(dir .. "/adapter"))
    t.eq(values(other), values(model), "settings " .. i)
  end
end

cases["PiSSA with DoRA: nothing changes at first, then as the merged weight says, dropout or not"] = function()
  local _s <close> = sq.scope()
  local model = model_of { dtype = "f64" }
  local before = sq.no_grad(logits, model)
  local adapter = assert(lora.add(model, { r = 4, target_modules = "all-linear", init_lora_weights = "pissa",
    use_dora = true, lora_dropout = 0.5 }))
  t.ok(distance(sq.no_grad(logits, model), before) <= 1e-9)
  t.ok(distance(sq.no_grad(logits, model, true), before) > 1e-3, "what the start takes away is not dropped")
  stir(adapter)
  local after = sq.no_grad(logits, model)
  t.ok(distance(after, before) > 1e-3)
  local merge = require "sqlune.lora.merge"
  for linear, part in pairs(adapter.parts) do linear.merged = merge.weight(linear.base.weight, part) end
  model:adapter(false)
  for linear in pairs(adapter.parts) do linear.weight = linear.merged end
  t.ok(distance(sq.no_grad(logits, model), after) <= 1e-9)
end

cases["an embedding with an adapter: as its merged table, gradients where ids are, the padding's none"] = function()
  for _, dtype in ipairs { "f64", "f32", "bf16" } do
    local _s <close> = sq.scope()
    local model = model_of({ dtype = dtype }, { pad_token_id = 5 })
    local before = sq.no_grad(logits, model)
    local adapter = assert(lora.add(model, { r = 3, target_modules = { "embed_tokens" } }, { train = true }))
    t.eq(adapter:names(), { "base_model.model.model.embed_tokens.lora_embedding_A",
      "base_model.model.model.embed_tokens.lora_embedding_B" })
    local a, b = table.unpack(adapter:parameters())
    t.eq(a.shape, { 3, 50 })
    t.eq(b.shape, { 16, 3 })
    t.eq(distance(sq.no_grad(logits, model), before), 0.0) -- A starts as zeros
    sq.no_grad(function() ops.copy_(a, sq.randn(a.shape, { seed = 4 }):to(a.dtype)) end)
    local y = logits(model)
    y:sum():backward()
    t.ok(b.grad:abs():sum():item() > 0)
    local used, sums = {}, a.grad:abs():sum(1):totable()
    for _, id in ipairs(ids) do used[id] = id ~= 5 end
    for id = 0, 49 do t.eq(sums[id + 1] > 0, used[id] or false, "gradient of row " .. id) end
    local embedding = model.parts.embeddings[1]
    local merged = require("sqlune.lora.merge").weight(embedding.base.weight, adapter.parts[embedding])
    model:adapter(false)
    embedding.weight = merged
    local bar = ({ f64 = 1e-12, f32 = 1e-5, bf16 = 0 })[dtype] -- both are rounded once
    t.ok(distance(sq.no_grad(logits, model), y:detach()) <= bar, dtype)
  end
end

cases["a head with an adapter: the same loss as from its logits"] = function()
  local _s <close> = sq.scope()
  local model = model_of { dtype = "f64" }
  local adapter = assert(lora.add(model, { r = 4, target_modules = { "lm_head" } }, { train = true }))
  stir(adapter)
  local targets = sq.tensor({ 1, 4, -100, 5, 9, 2, 6, -100 }, { dtype = "i64" })
  local loss = model:loss_sum { ids = sq.tensor(ids, { dtype = "i64" }), targets = targets, starts = { 0, #ids } }
  t.near(loss:item(), ops.cross_entropy(logits(model), targets):item(), 1e-12)
  loss:backward()
  for _, p in ipairs(adapter:parameters()) do t.ok(p.grad) end
end

cases["dropout: only in training, from the random state, replayed by a checkpoint"] = function()
  local _s <close> = sq.scope()
  local model = model_of {}
  local adapter = assert(lora.add(model, { r = 4, target_modules = QV, lora_dropout = 0.5 }, { train = true }))
  stir(adapter)
  sq.random_state { seed = 5, offset = 0 }
  t.eq(values(model), values(model))
  local a = values(model, true)
  local b = values(model, true)
  t.ok(distance(sq.tensor(a), sq.tensor(b)) > 0.01)
  sq.random_state { seed = 5, offset = 0 }
  t.eq(values(model, true), a)
  local function gradients(run)
    sq.random_state { seed = 5, offset = 0 }
    for _, p in ipairs(adapter:parameters()) do p.grad = nil end
    run():square():sum():backward()
    local part = adapter.parts[model.parts.linears[1]]
    return { part.a.grad:totable(), part.b.grad:totable() }, sq.random_state().offset
  end
  local x = sq.randn({ 5, 16 }, { seed = 1, stream = 3, offset = 0, requires_grad = true })
  local linear = model.parts.linears[1]
  local function forward(h) return linear(h, { training = true }) end
  local straight, after = gradients(function() return forward(x) end)
  t.ok(after > 0)
  local again, after_again = gradients(function() return sq.checkpoint(forward, x) end)
  t.eq(after_again, after)
  t.eq(again, straight)
end

cases["what is refused, by name"] = function()
  refused({ r = 0, target_modules = QV }, "'r' must be a positive integer, got 0")
  refused({ target_modules = { "w_proj" } }, "no layer of the model has such a name")
  refused({ target_modules = { "norm", "q_proj" } }, "'model.norm' is no linear layer")
  refused({ target_modules = QV, modules_to_save = { "embed_tokens" } }, "'model.embed_tokens' is no linear layer")
  local embeddings = { "embed_tokens", "q_proj" }
  refused({ target_modules = embeddings, use_dora = true }, "embed_tokens is an embedding, which has no DoRA")
  refused({ target_modules = embeddings, init_lora_weights = "pissa" }, "embed_tokens is an embedding, which has no")
  refused({ target_modules = QV, modules_to_save = { "norm" } }, "'model.norm' is no linear layer")
  refused({ target_modules = QV, modules_to_save = { "head" } }, "no layer 'head'")
  refused({ target_modules = "(q_proj" }, "without its %)")
  refused({ target_modules = QV, bias = "some" }, "'bias' must be none, all or lora_only")
  refused({ target_modules = QV, init_lora_weights = "olora" }, "'init_lora_weights' must be")
  refused({ target_modules = QV, lora_dropout = 1 }, "'lora_dropout' must be in")
  refused({ target_modules = QV, rank_pattern = { q_proj = 0 } }, "'rank_pattern' must be")
  refused({ target_modules = QV, r = 32, init_lora_weights = "pissa" }, "rank 32 is more than its size")
  t.fails(function() lora.add(model_of {}, { target_module = QV }) end, "no setting 'target_module'")
end

---A saved adapter whose config has these changes, opened on a base with others.
local function opened(config_changes, base_changes, tensors)
  local dir = t.tmpdir()
  local adapter = assert(lora.add(model_of {}, { r = 4, target_modules = QV }))
  assert(adapter:save(dir))
  local config = assert(json.read(dir .. "/adapter_config.json"))
  for key, value in pairs(config_changes or {}) do config[key] = value end
  assert(json.write(dir .. "/adapter_config.json", config))
  if tensors then
    local all = {}
    for name, x in pairs(adapter.by_name) do all[name] = x end
    for name, x in pairs(tensors) do all[name] = x or nil end
    assert(sq.safetensors.save(dir .. "/adapter_model.safetensors", all))
  end
  return lora.open(dir, model_of({}, base_changes))
end

cases["an adapter that does not match its base names the key"] = function()
  local _s <close> = sq.scope()
  local first = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
  t.ok(opened())
  local function fails(wanted, ...)
    local all = { ... }
    t.fails(function() return opened(table.unpack(all, 1, 3)) end, wanted)
    t.eq(select(3, opened(table.unpack(all, 1, 3))), "SQLUNE_FORMAT")
  end
  fails("'" .. first:gsub("%p", "%%%0") .. "' is %[4, 16%], the base and adapter_config.json ask for %[4, 32%]", nil,
    { hidden_size = 32 })
  fails("no tensor 'base_model.model.model.layers.2", nil, { num_hidden_layers = 3 })
  fails("no place for the tensor 'base_model.model.model.layers.1", nil, { num_hidden_layers = 1 })
  fails("is %[4, 16%], the base and adapter_config.json ask for %[5, 16%]", { r = 5 })
  fails("no tensor '.*k_proj.lora_A.weight'", { target_modules = json.array { "q_proj", "v_proj", "k_proj" } })
  fails("no tensor '.*lora_magnitude_vector'", { use_dora = true })
  fails("no place for the tensor 'base_model.model.base_model.model.x'", nil, nil,
    { ["base_model.model.base_model.model.x"] = sq.zeros { 2 } })
  fails("lora_A.weight' is i64", nil, nil, { [first] = sq.zeros({ 4, 16 }, { dtype = "i64" }) })
  fails("peft_type must be LORA, got \"IA3\"", { peft_type = "IA3" })
  fails("the setting 'use_bdlora' = true is not known here", { use_bdlora = true })
  fails("'fan_in_fan_out' is not supported", { fan_in_fan_out = true })
  fails("'r' must be a positive integer, got \"8\"", { r = "8" })
  fails("'target_modules' must be", { target_modules = json.null })
  for key, value in pairs { target_modules = json.array { 1 }, rank_pattern = "x", alpha_pattern = 3, use_dora = "yes",
    modules_to_save = "lm_head", layers_to_transform = "all", exclude_modules = 7, lora_alpha = "16",
    lora_dropout = "0.1" } do
    fails("'" .. key .. "' must be", { [key] = value })
  end
  fails("^/.*'%(q': a %( without its %)", { target_modules = "(q" })
  fails("random decomposition", { init_lora_weights = "pissa_niter_4" })
end

cases["a head's own weight, which PEFT saves along"] = function()
  local _s <close> = sq.scope()
  local dir, model = t.tmpdir(), model_of {}
  local adapter = assert(lora.add(model, { r = 2, target_modules = { "lm_head" } }))
  stir(adapter)
  local all = { ["base_model.model.lm_head.base_layer.weight"] = model.output.base.weight * 2 }
  for name, x in pairs(adapter.by_name) do all[name] = x end
  assert(adapter:save(dir))
  assert(sq.safetensors.save(dir .. "/adapter_model.safetensors", all))
  local other = model_of {}
  local opened_one = assert(lora.open(dir, other))
  t.eq(#opened_one:names(), 2)
  t.ok(distance(other.output.weight, model.output.base.weight * 2) == 0)
  assert(opened_one:save(dir))
  t.ok(sq.safetensors.header(dir .. "/adapter_model.safetensors")["base_model.model.lm_head.base_layer.weight"])
  other:adapter(false)
  t.ok(distance(other.output.weight, model.output.base.weight) == 0)
end

---An adapter whose numbers are a formula's, saved; its base stands in folder/base.
local function written_by_formula(folder, settings)
  local model = model_of {}
  local function formula(x, place)
    local list = {}
    for i = 1, x:numel() do list[i] = ((i * 37 + place * 101) % 257 - 128) / 512 end
    ops.copy_(x, sq.tensor(list):reshape(x.shape))
  end
  for i, p in ipairs(model:parameters()) do formula(p, i) end
  local adapter = assert(lora.add(model, settings))
  for i, p in ipairs(adapter:parameters()) do formula(p, 7 * i) end
  adapter.config.base_model_name_or_path = "base"
  assert(model:save(folder .. "/base"))
  assert(adapter:save(folder))
  local function digest(name) return fs.sha256(folder .. "/" .. name):sub(1, 16) end
  return digest "adapter_config.json", digest "adapter_model.safetensors"
end

cases["the bytes of folders that PEFT 0.21.2 opened, its logits within 1e-6 of ours"] = function()
  local _s <close> = sq.scope()
  for _, case in ipairs {
    { { r = 4, lora_alpha = 6, target_modules = QV }, "4585ea00d990b14c", "3695c98661f5df9a" },
    { { r = 4, target_modules = { "o_proj", "down_proj" }, bias = "all", modules_to_save = { "lm_head" } },
      "53115a2a400c35b1", "3292412bbded7735" },
    { { r = 4, target_modules = "all-linear", use_dora = true, bias = "lora_only" },
      "3f5da6351b74602a", "3f6a3470de67d72b" },
    { { r = 2, target_modules = ".*layers\\.1\\.(self_attn\\.[qo]_proj|mlp\\.up_proj)", use_rslora = true,
      rank_pattern = { up_proj = 3 }, alpha_pattern = { o_proj = 5 } }, "746772412c087755", "3050c6413280afa8" },
    { { r = 4, lora_alpha = 6, target_modules = { "embed_tokens", "q_proj" }, rank_pattern = { embed_tokens = 3 } },
      "626043bf2139f937", "5eb766ccfc5638fc" },
  } do
    t.eq({ written_by_formula(t.tmpdir(), case[1]) }, { case[2], case[3] })
  end
end

cases["a config as PEFT 0.21.2 writes it"] = function()
  local _s <close> = sq.scope()
  local dir = t.tmpdir()
  written_by_formula(dir, { r = 4, target_modules = QV, lora_alpha = 6 })
  local mine = values(assert(models.load(dir)))
  assert(fs.write(dir .. "/adapter_config.json", [[{
  "alora_invocation_tokens": null, "alpha_pattern": {}, "arrow_config": null, "auto_mapping": null,
  "base_model_name_or_path": "base", "bias": "none", "corda_config": null, "ensure_weight_tying": false,
  "eva_config": null, "exclude_modules": null, "fan_in_fan_out": false, "inference_mode": true,
  "init_lora_weights": true, "kasa_config": null, "layer_replication": null, "layers_pattern": null,
  "layers_to_transform": null, "loftq_config": {}, "lora_alpha": 6, "lora_bias": false, "lora_dropout": 0.0,
  "lora_ga_config": null, "megatron_config": null, "megatron_core": "megatron.core", "modules_to_save": null,
  "monteclora_config": null, "peft_type": "LORA", "peft_version": "0.21.2", "qalora_group_size": 16, "r": 4,
  "rank_pattern": {}, "revision": null, "target_modules": ["v_proj", "q_proj"], "target_parameters": null,
  "task_type": "CAUSAL_LM", "trainable_token_indices": null, "use_bdlora": null, "use_dora": false,
  "use_qalora": false, "use_rslora": false, "velora_config": null
}]]))
  t.eq(values(assert(models.load(dir))), mine)
end

cases["the base that a folder names"] = function()
  local _s <close> = sq.scope()
  local dir = t.tmpdir()
  local model = model_of {}
  assert(model:save(dir .. "/base"))
  local adapter = assert(lora.add(model, { r = 2, target_modules = QV }))
  adapter.config.base_model_name_or_path = "../base" -- seen from the adapter's folder
  assert(adapter:save(dir .. "/adapter"))
  t.eq(assert(models.load(dir .. "/adapter")).adapters.default.name, "default")
  adapter.config.base_model_name_or_path = "nowhere/base"
  assert(adapter:save(dir .. "/adapter"))
  t.fails(function() return models.load(dir .. "/adapter") end,
    "its base model 'nowhere/base' is no folder here: give base=")
  t.ok(models.load(dir .. "/adapter", { base = dir .. "/base" }))
  assert(fs.remove(dir .. "/adapter/adapter_model.safetensors"))
  t.fails(function() return models.load(dir .. "/adapter", { base = dir .. "/base" }) end, "adapter_model.safetensors")
end

return cases
