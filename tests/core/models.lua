-- Models made from a config: what is saved loads again, what a folder lacks is said, generation's options and limits.
local sq = require "sqlune"
local t = require "tests.check"
local models, json, fs = sq.models, sq.json, sq.fs

local function config(changes)
  local c = {
    model_type = "qwen2", hidden_size = 16, intermediate_size = 24, num_hidden_layers = 2, num_attention_heads = 4,
    num_key_value_heads = 2, vocab_size = 50, tie_word_embeddings = false,
  }
  for key, value in pairs(changes or {}) do c[key] = value end
  return c
end

local function equal(a, b)
  t.eq(a:names(), b:names())
  for i, x in ipairs(a:parameters()) do t.eq(x:totable(), b:parameters()[i]:totable(), a:names()[i]) end
end

---A folder with a model whose config.json has these changes.
local function folder_with(changes)
  local folder = t.tmpdir()
  assert(assert(models.from_config(config())):save(folder))
  local written = assert(json.read(folder .. "/config.json"))
  for key, value in pairs(changes or {}) do written[key] = value end
  assert(json.write(folder .. "/config.json", written))
  return folder
end

local function load(folder) return models.load(folder, { tokenizer = false }) end

return {
  ["saved and loaded, in every dtype"] = function()
    for _, dtype in ipairs { "f32", "bf16", "f64" } do
      local model, folder = assert(models.from_config(config(), { dtype = dtype, seed = 3 })), t.tmpdir()
      assert(model:save(folder))
      local again = assert(load(folder))
      t.eq(again.dtype, dtype)
      equal(model, again)
    end
  end,

  ["the same seed gives the same model"] = function()
    local a = assert(models.from_config(config(), { seed = 5 }))
    equal(a, assert(models.from_config(config(), { seed = 5 })))
    local b = assert(models.from_config(config(), { seed = 6 }))
    t.ok((a.output.weight - b.output.weight):abs():max():item() > 0)
    t.near(a.output.weight:square():mean():item() ^ 0.5, 0.02, 0.002)
    t.eq(a.parts.by_name["model.norm.weight"]:totable()[1], 1.0)
  end,

  ["parameters"] = function()
    local untied = assert(models.from_config(config()))
    local tied = assert(models.from_config(config { tie_word_embeddings = true }))
    t.eq(untied:size() - tied:size(), 50 * 16)
    t.eq(#untied:names(), 3 + 2 * 12)
    local llama = assert(models.from_config(config { model_type = "llama" }))
    t.eq(#llama:names(), 3 + 2 * 9) -- no biases
    local biased = assert(models.from_config(config { model_type = "llama", attention_bias = true, mlp_bias = true }))
    t.eq(#biased:names(), 3 + 2 * (9 + 4 + 3)) -- transformers' Llama: o_proj has one, too
    local qwen3 = assert(models.from_config(config { model_type = "qwen3", attention_bias = true, head_dim = 4 }))
    t.eq(#qwen3:names(), 3 + 2 * (9 + 2 + 4))
    for _, p in ipairs(assert(models.from_config(config(), { train = true })):parameters()) do
      t.eq(p.requires_grad, true)
    end
  end,

  ["training a loaded model leaves its file alone"] = function()
    local folder = folder_with()
    local before = fs.sha256(folder .. "/model.safetensors")
    local model = assert(models.load(folder, { tokenizer = false, train = true }))
    for _, p in ipairs(model:parameters()) do p:fill_(1) end
    t.eq(fs.sha256(folder .. "/model.safetensors"), before)
    local view = assert(load(folder)) -- a write into a view of the mapping stays in this process
    view:parameters()[1]:fill_(2)
    t.eq(fs.sha256(folder .. "/model.safetensors"), before)
  end,

  ["what a folder lacks"] = function()
    local refused = {
      ["config.json: model_type \"gpt2\" is not known here"] = { model_type = "gpt2" },
      ["config.json: 'hidden_size' must be a positive integer, got 0"] = { hidden_size = 0 },
      ["4 heads do not divide among 3 key/value heads"] = { num_key_value_heads = 3 },
      ["the size of a head must be even"] = { head_dim = 3 },
      ["rope_scaling 'dynamic' is not known here %(linear, yarn, llama3%)"] = { rope_scaling = { type = "dynamic" } },
      ["'factor' of rope_scaling must be a positive number, got nil"] = { rope_scaling = { type = "yarn" } },
      ["'low_freq_factor' of rope_scaling must be a positive number, got x"] = { rope_scaling = { rope_type = "llama3",
        factor = 2, low_freq_factor = "x" } },
      ["no tensor 'model.layers.2.input_layernorm.weight'"] = { num_hidden_layers = 3 },
      ["'model.embed_tokens.weight' is %[50, 16%], config.json asks for %[51, 16%]"] = { vocab_size = 51 },
    }
    for pattern, changes in pairs(refused) do
      local folder = folder_with(changes)
      t.fails(function() return load(folder) end, pattern)
      local _, _, code = load(folder)
      t.eq(code, "SQLUNE_FORMAT", pattern)
    end
    t.fails(function() return load(t.tmpdir()) end, "config.json")
    local folder = folder_with()
    assert(fs.remove(folder .. "/model.safetensors"))
    t.fails(function() return load(folder) end, "model.safetensors")
  end,

  ["generation: options and limits"] = function()
    local model = assert(models.from_config(config()))
    local run = sq.generate.run
    t.fails(function() return run(model, { { 1 } }, { max_token = 3 }) end, "unknown option 'max_token'")
    t.fails(function() return run(model, { { 1 }, {} }) end, "prompt 2 is empty")
    t.fails(function() return run(model, { { 50 } }) end, "index 50 %(place 1%) is not below 50")
    t.eq(sq.grad_enabled(), true)
    t.eq(run(model, {}), {})
    t.eq(run(model, { { 1 } }, { max_tokens = 0 }), { {} })
    local seen = {}
    local rows = run(model, { { 1, 2 }, { 3 } }, { max_tokens = 4,
      on_token = function(row, id) seen[#seen + 1] = { row, id } end })
    t.eq(#seen, 8)
    t.eq(seen[1], { 1, rows[1][1] })
    t.fails(function() return run(model, { { 1 } }, { on_token = function() error "stop" end }) end, "stop")
    local cache <close> = model:cache(1, 4)
    t.fails(function() cache:extend({ 1 }, { 5 }) end, "5 tokens do not fit into a cache of 4")
  end,

  ["a sampled row does not depend on its batch"] = function()
    local model = assert(models.from_config(config { initializer_range = 0.5 }))
    local o = { max_tokens = 10, temperature = 1, seed = 7, streams = { 4, 9 } }
    local both = sq.generate.run(model, { { 1, 2, 3 }, { 8 } }, o)
    o.streams = { 9 }
    t.eq(sq.generate.run(model, { { 8 } }, o)[1], both[2])
    o.streams = { 10 }
    local other = sq.generate.run(model, { { 8 } }, o)[1]
    t.ok(table.concat(other, " ") ~= table.concat(both[2], " "), "another stream draws the same")
  end,

  ["a window of w reads w keys"] = function()
    local function last_hidden(windows, ids)
      local _s <close> = sq.scope()
      local model = assert(models.from_config(config { model_type = "mistral", sliding_window = windows,
        num_hidden_layers = 1 }))
      return sq.no_grad(function()
        local hidden = model:hidden(sq.tensor(ids, { dtype = "i64" }), models.packed { 0, #ids })
        return hidden:select(1, #ids):totable()
      end)
    end
    t.eq(last_hidden(3, { 1, 5, 6, 7 }), last_hidden(3, { 2, 5, 6, 7 }))
    local a, b = last_hidden(4, { 1, 5, 6, 7 }), last_hidden(4, { 2, 5, 6, 7 })
    t.ok(math.abs(a[1] - b[1]) > 0, "the fourth key is not read")
  end,
}
