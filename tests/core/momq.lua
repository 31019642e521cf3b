-- MoMQ on small models with random weights: generation with a cache, files, merging, and what is refused.
local momq = require "sqlune.momq"
local sq = require "sqlune"
local t = require "tests.check"
local models, ops = sq.models, sq.ops

local kinds = {
  qwen2 = { model_type = "qwen2" },
  llama = { model_type = "llama" },
  mistral = { model_type = "mistral", sliding_window = 4 },
}

local function base(kind, dtype)
  local config = sq.json.object()
  for key, value in pairs { hidden_size = 16, intermediate_size = 24, num_hidden_layers = 2, num_attention_heads = 4,
    num_key_value_heads = 2, vocab_size = 40, initializer_range = 0.3 } do config[key] = value end
  for key, value in pairs(kinds[kind]) do config[key] = value end
  return assert(models.from_config(config, { seed = 3, dtype = dtype }))
end

local function settings(more)
  local s = { num_experts = 6, num_experts_per_tok = 1, share_expert_num = 2, dialect_num = 3, lora_r = 2,
    lora_alpha = 4, lora_dropout = 0, dialects = { sqlite = 0, postgresql = 1, mysql = 2 } }
  for key, value in pairs(more or {}) do s[key] = value end
  return s
end

---Experts whose B is not 0, so that they change something.
local function attach(model, more)
  local adapter = momq.attach(model, momq.config(settings(more)), { seed = 5 })
  for i, x in ipairs(adapter:parameters()) do
    if x.ndim > 1 then ops.copy_(x, sq.randn(x.shape, { seed = 6, stream = i }):affine(0.4):to(x.dtype)) end
  end
  return adapter
end

local modes = {
  soft = {}, hard = { hard_dialect_router = true, norm_topk_prob = true },
  compat = { momq_mode = "compat", num_experts_per_tok = 2 },
  ["compat, hard"] = { momq_mode = "compat", hard_dialect_router = true },
  ["no shared experts"] = { share_expert_num = 0 },
  ["every linear layer"] = { moe_lora_target_modules = { "q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "gate_proj",
    "down_proj" } },
}

local function logits_of(model, ids)
  return sq.no_grad(function()
    return model:logits(model:hidden(sq.tensor(ids, { dtype = "i64" }), models.packed { 0, #ids }))
  end)
end

local function batch_of(rows, dialects)
  local ids, targets, starts, labelled = {}, {}, { 0 }, 0
  for k, row in ipairs(rows) do
    for i, id in ipairs(row) do
      ids[#ids + 1] = id
      targets[#ids] = i > 2 and row[i + 1] or -100
      if targets[#ids] ~= -100 then labelled = labelled + 1 end
    end
    starts[k + 1] = #ids
  end
  return { ids = sq.tensor(ids, { dtype = "i64" }), targets = sq.tensor(targets, { dtype = "i64" }), starts = starts,
    tokens = #ids, labelled = labelled, dialects = dialects }
end

local prompts = { { 1, 2, 3, 4, 5, 6 }, { 7, 8 }, { 9, 10, 11 } }

local function wrong(more, pattern)
  local ok, e = pcall(momq.config, settings(more))
  t.ok(not ok and type(e) == "table" and e.message:find(pattern), ok and "accepted" or tostring(e.message or e))
end

return {
  ["generation with a cache is the same as without"] = function()
    for kind in pairs(kinds) do
      for name, more in pairs(modes) do
        local _s <close> = sq.scope()
        local model = base(kind, "f64")
        attach(model, more)
        local got = sq.generate.run(model, prompts, { max_tokens = 5 })
        for row, prompt in ipairs(prompts) do
          local ids = table.move(prompt, 1, #prompt, 1, {})
          for i = 1, 5 do
            ids[#ids + 1] = logits_of(model, ids):narrow(1, #ids, 1):argmax():totable()[1]
            t.eq(got[row][i], ids[#ids], kind .. ", " .. name .. ", row " .. row)
          end
        end
      end
    end
  end,

  ["the sentence route runs on what it has seen"] = function()
    local _s <close> = sq.scope()
    local more = { momq_mode = "compat", lora_route_type = "sentence", enable_dialect_router = false,
      output_router_logits = false }
    local model = base("qwen2", "f64")
    attach(model, more)
    local alone = model:generate(prompts[1], { max_tokens = 4 })
    local ids = logits_of(model, prompts[1]):narrow(1, #prompts[1], 1):argmax():totable()
    t.eq(alone[1], ids[1])
    t.eq(sq.generate.run(model, prompts, { max_tokens = 4 })[1], alone) -- whoever stands beside it
  end,

  ["a token's route does not depend on what follows"] = function()
    for name, more in pairs(modes) do
      local _s <close> = sq.scope()
      local model = base("qwen2", "f64")
      attach(model, more)
      local long, short = logits_of(model, { 1, 2, 3, 4, 5 }), logits_of(model, { 1, 2, 3 })
      t.ok((long:narrow(1, 1, 3) - short):abs():max():item() < 1e-12, name)
    end
  end,

  ["saved beside its base, or with it"] = function()
    for _, more in pairs(modes) do
      local _s <close> = sq.scope()
      local dir = t.tmpdir()
      assert(base("qwen2"):save(dir .. "/base"))
      local plain = base "qwen2"
      local promised = momq.size(plain, momq.config(settings(more)))
      t.eq(promised, momq.attach(plain, momq.config(settings(more))):size())
      local model = assert(models.load(dir .. "/base"))
      local adapter = attach(model, more)
      local want = logits_of(model, prompts[1]):totable()
      for _, whole in ipairs { false, true } do
        assert(adapter:save(dir .. "/out", { whole = whole }))
        local again = assert(models.load(dir .. "/out"))
        t.eq(logits_of(again, prompts[1]):totable(), want)
        t.eq(again.momq.c, adapter.c)
      end
      if next(more) == nil then -- an adapter whose base has moved
        assert(adapter:save(dir .. "/out"))
        assert(sq.fs.rename(dir .. "/base", dir .. "/moved"))
        t.fails(function() return models.load(dir .. "/out") end, "its base model '.*' is no folder here: give base=")
        t.eq(logits_of(assert(models.load(dir .. "/out", { base = dir .. "/moved" })), prompts[1]):totable(), want)
      end
    end
  end,

  ["files that do not fit"] = function()
    local _s <close> = sq.scope()
    local model = base "qwen2"
    local adapter = attach(model)
    local function changed(change)
      local files = adapter:files()
      change(files)
      return function() return adapter:take(files, "x") end
    end
    local name = "model.layers.0.mlp.down_proj.lora_A.3"
    t.fails(changed(function(f) f[name] = nil end), "x: no tensor '" .. name)
    t.fails(changed(function(f) f[name] = sq.zeros { 3, 24 } end), "is %[3, 24%], its config asks for %[2, 24%]")
    t.fails(changed(function(f) f["model.layers.0.mlp.down_proj.lora_A.6"] = f[name] end), "belongs to no layer")
  end,

  ["merging what is the same for every token"] = function()
    for name, more in pairs(modes) do
      local _s <close> = sq.scope()
      local dir, model = t.tmpdir(), base("qwen2", "f64")
      attach(model, more)
      local want = logits_of(model, prompts[1])
      local adapter = momq.merge_shared(model)
      t.ok((logits_of(model, prompts[1]) - want):abs():max():item() < 1e-10, name)
      assert(adapter:save(dir, { whole = true }))
      t.ok((logits_of(assert(models.load(dir)), prompts[1]) - want):abs():max():item() < 1e-10, name .. ", loaded")
    end
  end,

  ["losses of split batches add up to those of one"] = function()
    for _, more in ipairs { {}, { hard_dialect_router = true } } do
      local _s <close> = sq.scope()
      local model = base("qwen2", "f64")
      local adapter = attach(model, more)
      adapter.c.router_aux_loss_coef = 0 -- the balance loss is a product of means: not a sum over batches
      local function loss(batches)
        local counts, total = adapter:counts(batches), 0
        for _, batch in ipairs(batches) do
          local at = momq.context()
          model:loss_sum(batch, { at = at })
          total = total + adapter:losses(at, batch, counts):item()
        end
        return total
      end
      local whole = loss { batch_of(prompts, { 0, 2, -1 }) }
      t.near(loss { batch_of({ prompts[1] }, { 0 }), batch_of({ prompts[2], prompts[3] }, { 2, -1 }) }, whole, 1e-12)
      t.ok(whole > 0)
    end
  end,

  ["checkpointed layers: losses, gradients and statistics in the same bits"] = function()
    local cases = { smooth = { enable_label_smooth = true }, sentence = { momq_mode = "compat",
      lora_route_type = "sentence", enable_dialect_router = false, output_router_logits = false } }
    for name, more in pairs(modes) do cases[name] = more end
    for name, more in pairs(cases) do
      for _, dtype in ipairs { "f32", "bf16" } do
        local _s <close> = sq.scope()
        local function run(checkpoint)
          local model = base("qwen2", dtype)
          local adapter = attach(model, more)
          adapter.c.lora_dropout = 0.3
          adapter:train()
          local state = sq.random_state { seed = 9, offset = 0 }
          local batches = { batch_of({ prompts[1], prompts[2] }, { 0, 2 }), batch_of({ prompts[3] }, { 1 }) }
          local counts, found = adapter:counts(batches), {}
          for _, batch in ipairs(batches) do
            local at = momq.context()
            local loss = model:loss_sum(batch, { at = at, checkpoint = checkpoint })
            local extra = adapter:losses(at, batch, counts)
            found[#found + 1], found[#found + 2] = loss:item(), type(extra) == "number" and extra or extra:item();
            (loss + extra):backward()
          end
          found.log, found.random = adapter:log(true), sq.random_state(state)
          for key, x in pairs(found.log) do found.log[key] = key == "router" and x() or x:item() end
          local names = adapter:names()
          for i, x in ipairs(adapter:parameters()) do found[names[i]] = x.grad and x.grad:totable() or "none" end
          return found
        end
        local whole = run(false)
        t.ok(name == "sentence" or whole.log.router, name)
        t.eq(run(true), whole, name .. ", " .. dtype)
      end
    end
  end,

  ["statistics"] = function()
    local _s <close> = sq.scope()
    local model = base "qwen2"
    local adapter = attach(model, { hard_dialect_router = true, norm_topk_prob = true })
    local batch, at = batch_of(prompts, { 0, 1, 2 }), momq.context()
    model:loss_sum(batch, { at = at })
    adapter:losses(at, batch, adapter:counts { batch })
    local s = adapter.statistics:take()()
    t.eq(#s.load_by_dialect, 3)
    t.eq(#s.load_by_layer, 2)
    for _, list in ipairs { s.load_by_dialect[1], s.load_by_layer[2] } do
      local sum = 0
      for _, x in ipairs(list) do sum = sum + x end
      t.near(sum, 1, 1e-3)
    end
    for _, key in ipairs { "entropy", "dialect_entropy", "dropped", "own_group" } do
      t.ok(s[key] >= 0 and s[key] <= 1, key .. " is " .. s[key])
    end
    t.eq(adapter.statistics:take(), nil)
  end,

  ["what many layers route is stacked, and has gradients"] = function()
    local _s <close> = sq.scope()
    local x, routes, want = sq.ones({ 2 }, { requires_grad = true }), {}, {}
    for l = 1, 130 do routes[l], want[l] = { s = x * l }, { l, l } end
    local y = require("sqlune.momq.routes").stacked(routes, "s")
    t.eq(y:totable(), want)
    y:sum():backward()
    t.eq(x.grad:totable(), { 65 * 131, 65 * 131 })
  end,

  ["names of dialects"] = function()
    local c = momq.config(settings())
    t.eq(momq.dialect_id(c, "PostgreSQL"), 1)
    t.eq(momq.dialect_id(c, "nl2mysql"), 2) -- as the original's data have it
    t.eq(momq.dialect_id(c, nil), -1)
    t.fails(function() return momq.dialect_id(c, "oracle") end, "'oracle', a dialect that momq.dialects does not name")
  end,

  ["settings that are wrong"] = function()
    wrong({ dialect_num = 4 }, "6 experts do not divide among 4 dialects")
    wrong({ num_experts_per_tok = 3 }, "cannot take 3 experts of a group of 2")
    wrong({ momq_mode = "compat", num_experts_per_tok = 7 }, "cannot take 7 of 6 experts")
    wrong({ num_experts = 2, dialect_num = 3 }, "2 experts do not divide among 3")
    wrong({ momq_mode = "paper", lora_route_type = "sentence" }, "compat mode's")
    wrong({ momq_mode = "compat", lora_route_type = "sentence" }, "must be false")
    wrong({ momq_mode = "neither" }, "'momq_mode' must be compat or paper")
    wrong({ dialects = { oracle = 3 } }, "'oracle' has the id 3: wanted 0 to 2")
    wrong({ lora_r = 0 }, "'lora_r' must be an integer of at least 1")
    wrong({ lora_rank = 4 }, "no setting 'lora_rank'")
    local model = base "qwen2"
    local ok, e = pcall(momq.attach, model, momq.config(settings { moe_lora_target_modules = { "fc1" } }))
    t.ok(not ok and e.message:find "no linear layer 'fc1' %(down_proj, gate_proj, k_proj")
  end,
}
