-- merge: adapters into bases of any layout, files of any size; what it says of the result; what it refuses.
local sq = require "sqlune"
local t = require "tests.check"
local fs, json, lora, models, ops = sq.fs, sq.json, sq.lora, sq.models, sq.ops

local program = fs.realpath "/proc/self/exe"

local function merge(settings)
  local pipe = io.popen(("'%s' merge --quiet %s 2>&1; echo \"[$?]\""):format(program, settings))
  local text = pipe:read "a"
  pipe:close()
  local output, code = text:match "^(.*)%[(%d+)%]\n$"
  return output, tonumber(code)
end

---A base in base/ with a tokenizer, and an adapter of these settings in adapter/.
local function workshop(settings, changes, dtype)
  local dir = t.tmpdir()
  local c = {
    model_type = "qwen2", hidden_size = 32, intermediate_size = 48, num_hidden_layers = 2, num_attention_heads = 4,
    num_key_value_heads = 2, vocab_size = 300, tie_word_embeddings = false, initializer_range = 0.2,
  }
  for key, value in pairs(changes or {}) do c[key] = value end
  local _s <close> = sq.scope()
  fs.mkdir(dir .. "/base")
  assert(sq.tokenizer.train { texts = { "How many customers are there? SELECT" }, vocab_size = 290,
    path = dir .. "/base/tokenizer.json", special = { "<|im_start|>", "<|im_end|>" } })
  local model = assert(models.from_config(c, { seed = 3, dtype = dtype }))
  assert(model:save(dir .. "/base"))
  model.folder = dir .. "/base"
  local adapter = assert(lora.add(model, settings))
  for i, p in ipairs(adapter:parameters()) do
    ops.copy_(p, p + (sq.randn(p.shape, { seed = 1, stream = i, offset = 0 }) * 0.1):to(p.dtype))
  end
  assert(adapter:save(dir .. "/adapter"))
  return dir
end

local function all_linear(more)
  local settings = { r = 4, target_modules = "all-linear" }
  for key, value in pairs(more or {}) do settings[key] = value end
  return settings
end

---Runs merge and returns its comparison.
local function merged(dir, out, settings)
  local text, code = merge(("%s/adapter %s/%s json=true %s"):format(dir, dir, out, settings or ""))
  t.eq(code, 0, text)
  return t.ok(json.decode(text)).comparison
end

local cases = {}

cases["every kind of adapter"] = function()
  for i, settings in ipairs {
    all_linear(), all_linear { use_dora = true, bias = "lora_only" }, all_linear { init_lora_weights = "pissa" },
    { r = 4, target_modules = { "q_proj" }, bias = "all", modules_to_save = { "lm_head" } },
    { r = 4, target_modules = { "lm_head", "o_proj" }, use_rslora = true },
    { r = 4, target_modules = { "embed_tokens", "o_proj" } },
    all_linear { init_lora_weights = "pissa", use_dora = true },
  } do
    local dir = workshop(settings)
    local c = merged(dir, "merged")
    t.ok(c.difference <= 1e-4 and c.largest > 1, ("settings %d: %g of %g"):format(i, c.difference, c.largest))
    t.eq(c.tokens, 4 * 32)
    t.ok(c.agree >= c.tokens - 1)
    t.eq(fs.list(dir), { "adapter", "base", "merged" }) -- nothing else is left
    t.ok(fs.exists(dir .. "/merged/tokenizer.json"))
    t.ok(not lora.is_adapter(dir .. "/merged"))
  end
end

cases["an adapted embedding leaves a tied head as it was"] = function()
  local dir = workshop({ r = 4, target_modules = { "embed_tokens", "v_proj" } }, { tie_word_embeddings = true })
  local c = merged(dir, "merged")
  t.ok(c.difference <= 1e-4 and c.agree >= c.tokens - 1, ("%g, %d"):format(c.difference, c.agree))
  t.eq(t.ok(json.read(dir .. "/merged/config.json")).tie_word_embeddings, false)
  local _s <close> = sq.scope()
  local base, result = assert(sq.safetensors.load(dir .. "/base")), assert(sq.safetensors.load(dir .. "/merged"))
  t.eq(base["lm_head.weight"], nil)
  t.eq(result["lm_head.weight"]:totable(), base["model.embed_tokens.weight"]:totable())
  t.ok((result["model.embed_tokens.weight"] - base["model.embed_tokens.weight"]):abs():max():item() > 1e-3)
end

cases["bf16: rounded once"] = function()
  local dir = workshop(all_linear(), nil, "bf16")
  local c = merged(dir, "merged")
  t.ok(c.difference <= 0.05 * c.largest, ("%g of %g"):format(c.difference, c.largest))
  local _s <close> = sq.scope()
  local stored = assert(sq.safetensors.load(dir .. "/merged"))
  local name = "model.layers.1.mlp.up_proj"
  local base = assert(sq.safetensors.load(dir .. "/base"))[name .. ".weight"]
  local a = assert(sq.safetensors.load(dir .. "/adapter/adapter_model.safetensors"))
  local function part(which) return a["base_model.model." .. name .. ".lora_" .. which .. ".weight"]:to "f64" end
  local exact = base:to "f64" + ops.matmul(part "B", part "A") * 2
  t.eq(stored[name .. ".weight"]:totable(), exact:to("bf16"):totable())
end

cases["a base in f16 stays one"] = function()
  local dir = workshop(all_linear())
  do
    local _s <close> = sq.scope()
    local half = {}
    for name, x in pairs(assert(sq.safetensors.load(dir .. "/base"))) do half[name] = x:to "f16" end
    assert(sq.safetensors.save(dir .. "/base/model.safetensors", half))
  end
  local c = merged(dir, "merged")
  t.ok(c.difference <= 5e-3 * c.largest, ("%g of %g"):format(c.difference, c.largest))
  for name, entry in pairs(sq.safetensors.header(dir .. "/merged")) do t.eq(entry.dtype, "F16", name) end
end

cases["sharded in, sharded out"] = function()
  local dir = workshop(all_linear())
  merged(dir, "one")
  merged(dir, "many", "shard=0.00003")
  local index = t.ok(json.read(dir .. "/many/model.safetensors.index.json"))
  local files = {}
  for _, file in pairs(index.weight_map) do files[file] = true end
  local count = 0
  for file in pairs(files) do
    count = count + 1
    local size = 0
    for _, entry in pairs(sq.safetensors.header(dir .. "/many/" .. file)) do size = size + entry.bytes end
    t.ok(size <= 38400, file .. " has " .. size) -- the embedding alone is more than 30000 bytes
  end
  t.ok(count >= 4)
  t.ok(fs.remove_tree(dir .. "/base"))
  t.ok(fs.rename(dir .. "/many", dir .. "/base"))
  merged(dir, "twice")
  local _s <close> = sq.scope()
  local one, two = assert(sq.safetensors.load(dir .. "/one")), assert(sq.safetensors.load(dir .. "/base"))
  for name, x in pairs(one) do t.eq(x:totable(), two[name]:totable(), name) end
end

cases["a tied head that is trained is written"] = function()
  local dir = workshop({ r = 4, target_modules = { "q_proj" }, modules_to_save = { "lm_head" } },
    { tie_word_embeddings = true })
  local c = merged(dir, "merged")
  t.ok(c.difference <= 1e-4)
  t.eq(t.ok(json.read(dir .. "/merged/config.json")).tie_word_embeddings, false)
  t.ok(sq.safetensors.header(dir .. "/merged")["lm_head.weight"])
end

cases["a mixture of experts: what does not depend on the token"] = function()
  local dir = workshop(all_linear())
  do
    local _s <close> = sq.scope()
    local model = assert(models.load(dir .. "/base", { tokenizer = false }))
    local adapter = sq.momq.attach(model, sq.momq.config({
      momq_mode = "paper", dialects = { sqlite = 0, postgresql = 1 }, num_experts = 4, num_experts_per_tok = 1,
      share_expert_num = 1, dialect_num = 2, lora_r = 2, lora_alpha = 4, lora_dropout = 0.0,
      moe_lora_target_modules = { "down_proj" },
    }, "momq"), { seed = 1 })
    for _, x in pairs(adapter:files()) do
      ops.copy_(x, x + sq.randn(x.shape, { seed = 5, stream = 1, offset = 0 }) * 0.05)
    end
    assert(fs.remove_tree(dir .. "/adapter"))
    assert(adapter:save(dir .. "/adapter"))
  end
  local c = merged(dir, "merged")
  t.ok(c.difference <= 1e-4 and c.largest > 1)
  local names = sq.safetensors.header(dir .. "/merged")
  t.ok(names["model.embed_tokens.weight"] and not names["model.layers.0.self_attn.q_proj.lora_A"])
  t.eq(t.ok(json.read(dir .. "/merged/config.json")).use_moe_lora, true) -- the routed experts are still there
end

cases["what is refused leaves nothing behind"] = function()
  local dir = workshop(all_linear())
  local function refused(settings, wanted)
    local text, code = merge(settings)
    t.eq(code, 1, text)
    t.ok(text:find(wanted), text)
    t.ok(not text:find "traceback", text)
    t.ok(not fs.exists(dir .. "/merged"))
    for _, name in ipairs(fs.list(dir)) do t.ok(not name:find "merging", name) end
  end
  refused(dir .. "/base " .. dir .. "/merged", "neither an adapter nor")
  refused(dir .. "/adapter " .. dir .. "/base", "there is something already")
  refused(dir .. "/nothing " .. dir .. "/merged", "config.json")
  refused(("%s/adapter %s/merged base=%s/none"):format(dir, dir, dir), "none/config.json")
  local other = workshop(all_linear(), { hidden_size = 16 })
  refused(("%s/adapter %s/merged base=%s/base"):format(dir, dir, other), "lora_A.weight' is %[4, 32%], the base")
  local broken = fs.read(dir .. "/adapter/adapter_model.safetensors")
  t.ok(fs.write(dir .. "/adapter/adapter_model.safetensors", broken:sub(1, #broken // 2)))
  refused(dir .. "/adapter " .. dir .. "/merged", "adapter_model.safetensors")
end

return cases
