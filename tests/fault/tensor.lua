-- Every allocation of the tensor side fails once, and from then on: nothing leaks, and it works again afterwards.
local sq = require "sqlune"
local t = require "tests.check"
local sweep = require "tests.sweep"
local cases = require "tests.gradient_cases"
local ops = sq.ops

local function leaf(shape, dtype)
  return sq.randn(shape, { dtype = dtype or "f32", requires_grad = true, seed = 1 })
end
local function ids(list) return sq.tensor(list, { dtype = "i64" }) end

local config = {
  model_type = "qwen2", hidden_size = 8, intermediate_size = 10, num_hidden_layers = 2, num_attention_heads = 2,
  num_key_value_heads = 1, vocab_size = 11, tie_word_embeddings = true,
}

---One case of each operator that has a gradient, with its backward.
local function sweep_operator(name, case)
  sweep(name, function()
    local _s <close> = sq.scope()
    local inputs = {}
    for i, shape in ipairs(case[1]) do inputs[i] = leaf(shape) end
    local y = case[2]({ dtype = "f32", wide = "f32", ids = ids }, table.unpack(inputs))
    y:backward(sq.ones(y.shape))
    -- through nodes as well as straight into leaves, and added to what is there
    for i, x in ipairs(inputs) do inputs[i] = x * 2 end
    y = case[2]({ dtype = "f32", wide = "f32", ids = ids }, table.unpack(inputs))
    y:backward(sq.ones(y.shape))
  end)
end

local tests = {
  ["making, reading, printing"] = function()
    sweep("making", function()
      local x = sq.tensor({ { 1, 2 }, { 3, 4 } }, { dtype = "bf16" })
      local y = sq.full({ 2, 2 }, 3)
      return tostring(x), x:totable(), y:clone(), y:detach(), sq.arange(1, 4):to "f32", -y + 1, 2 / y
    end)
    sweep("scope", function()
      local s <close> = sq.scope()
      local x = sq.rand { 3 }
      local s2 <close> = sq.scope()
      return s:keep(s2:keep(x * 2)):keep()
    end)
    sweep("no_grad", function()
      local x = leaf { 2 }
      t.eq(sq.grad_enabled(), true)
      return sq.no_grad(function() return x * x end)
    end)
    t.eq(sq.grad_enabled(), true)
  end,

  ["operators without a gradient"] = function()
    local x, y = sq.randn({ 3, 4 }, { seed = 1 }), sq.randn({ 3, 4 }, { seed = 2 })
    sweep("eigenvalues", function() return ops.eigh(sq.ones({ 3, 3 }, { dtype = "f64" })) end)
    sweep("comparing", function() return x:eq(y), x:lt(y), x:argmax(), x:topk(2) end)
    sweep("in place", function()
      return x:copy_(y), x:fill_(1), x:scale_(2), x:write_rows_(ids { 1 }, y:narrow(1, 1, 1))
    end)
    sweep("sampling", function()
      local o = { temperature = 0.7, top_k = 3, top_p = 0.9, repetition_penalty = 1.2, seen = ids { 0, 1 },
        seen_rows = ids { 0, 1, 2, 2 } }
      local p = ops.probabilities(x, o)
      o.streams, o.offsets = ids { 1, 2, 3 }, ids { 0, 0, 0 }
      return p, ops.sample(x, o)
    end)
    sweep("optimiser", function()
      local p, g, m, v = sq.ones { 3 }, sq.ones { 3 }, sq.zeros { 3 }, sq.zeros { 3 }
      ops.adamw_({ p }, { g }, { m }, { v }, nil, { lr = 0.1, beta1 = 0.9, beta2 = 0.99, eps = 1e-8, weight_decay = 0,
        step = 1 })
      local codes, scale = sq.zeros({ 3 }, { dtype = "u8" }), sq.zeros { 1 }
      ops.adamw8_({ p }, { g }, { codes }, { codes }, nil, { scale }, { scale }, { lr = 0.1, beta1 = 0.9, beta2 = 0.99,
        eps = 1e-8, weight_decay = 0, step = 1 })
      return ops.global_norm { p, g }
    end)
  end,

  ["misuse leaks nothing"] = function()
    sweep("misuse", function()
      local x = leaf { 2, 3 }
      pcall(function() return x + sq.ones { 4 } end)
      pcall(ops.linear, x, x, x)
      pcall(ops.cat, { x, sq.ones { 1 } })
      pcall(ops.gather_rows, x, ids { 9 })
      pcall(ops.cross_entropy, x, ids { 0, 9 })
      pcall(ops.attention, x, x, x)
      pcall(x.backward, x)
    end)
  end,

  ["operators written in Lua"] = function()
    local twice = sq.custom { name = "twice", forward = function(_, x) return x * 2 end,
      backward = function(_, d) return d * 2 end }
    sweep("custom", function()
      local _s <close> = sq.scope()
      local x = leaf { 3 }
      twice(x * 1):sum():backward()
      return x.grad
    end)
    t.eq(sq.grad_enabled(), true)
  end,

  ["weight files"] = function()
    local path = t.tmpdir() .. "/x.safetensors"
    sweep("save", function()
      assert(sq.safetensors.save(path, { a = sq.ones { 3 }, b = sq.ones({ 2, 2 }):transpose(1, 2) }, { format = "pt" }))
    end)
    sweep("load", function() return assert(sq.safetensors.load(path)) end)
    t.eq(#sq.fs.list(sq.fs.dirname(path)), 1)
  end,

  ["a model: forward, backward, a step"] = function()
    local model = assert(sq.models.from_config(config, { train = true }))
    local optimiser = sq.optim.adamw(model:names(), model:parameters())
    local batch = { ids = ids { 1, 2, 3, 4, 5 }, targets = ids { 2, -100, 4, 5, -100 }, starts = { 0, 2, 5 } }
    sweep("step", function()
      local _s <close> = sq.scope()
      model:loss_sum(batch):backward()
      local _, factor = sq.optim.clip(model:parameters(), 1)
      optimiser:step(1e-3, factor)
    end)
    sweep("checkpointed step", function()
      local _s <close> = sq.scope()
      model:loss_sum(batch, { checkpoint = true, smoothing = 0.1, z_loss = 0.1 }):backward()
    end)
    t.eq(sq.grad_enabled(), true)
  end,

  ["a model: made, loaded, saved"] = function()
    local folder = t.tmpdir()
    sweep("from_config", function() return assert(sq.models.from_config(config, { dtype = "bf16" })) end)
    local model = assert(sq.models.from_config(config))
    sweep("save", function() assert(model:save(folder)) end)
    sweep("load", function() return assert(sq.models.load(folder, { train = true, tokenizer = false })) end)
  end,

  ["an adapter: made, saved, opened, switched"] = function()
    local folder = t.tmpdir()
    local settings = { r = 2, target_modules = { "q_proj", "down_proj" }, use_dora = true, bias = "all" }
    local model = assert(sq.models.from_config(config))
    sweep("add", function()
      local _s <close> = sq.scope()
      return assert(sq.lora.add(model, settings, { train = true }))
    end)
    local adapter = assert(sq.lora.add(model, { r = 2, target_modules = { "q_proj" }, init_lora_weights = "pissa" }))
    sweep("save", function() assert(adapter:save(folder)) end)
    sweep("open", function() return assert(sq.lora.open(folder, model, { name = "other" })) end)
    sweep("switch", function() model:adapter { default = 1, other = 0.5 } end)
  end,

  ["generation"] = function()
    local model = assert(sq.models.from_config(config))
    sweep("generate", function()
      local _s <close> = sq.scope()
      local o = { max_tokens = 3, repetition_penalty = 1.1, temperature = 0.5 }
      return sq.generate.run(model, { { 1, 2 }, { 3 } }, o)
    end)
    sweep("beams", function()
      local _s <close> = sq.scope()
      return sq.generate.beams(model, { 1, 2 }, { beams = 2, max_tokens = 3, eos = { 5 } })
    end)
    local long = {}
    for i = 1, 63 do long[i] = i % 11 end
    sweep("into a second page", function()
      local _s <close> = sq.scope()
      sq.generate.run(model, { long, { 1 } }, { max_tokens = 3, cache_tokens = 128 })
      return sq.generate.beams(model, long, { beams = 2, max_tokens = 2 })
    end)
    t.eq(sq.grad_enabled(), true)
  end,
}
for name, list in pairs(cases) do
  tests["operator " .. name] = function() sweep_operator(name, list[math.min(3, #list)]) end
end
return tests
