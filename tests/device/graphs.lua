-- Graphs: what is recorded is what would be done; what cannot be recorded says so; memory comes back.
local sq = require "sqlune"
local t = require "tests.check"
local ops = sq.ops

local CARD <const> = "cuda:0"
local function on_card(values, dtype) return sq.tensor(values, { dtype = dtype or "f32" }):to(CARD) end

---A tiny model on the card or the cpu: the same weights.
local function model_on(device, more)
  local config = { model_type = "qwen2", hidden_size = 16, intermediate_size = 24, num_hidden_layers = 2,
    num_attention_heads = 2, num_key_value_heads = 1, vocab_size = 40, tie_word_embeddings = true,
    max_position_embeddings = 64 }
  for key, value in pairs(more or {}) do config[key] = value end
  return assert(sq.models.from_config(config, { device = device, seed = 3 }))
end

---Runs fn with its number of recordings and replays counted.
local function counted(fn)
  local record, recordings, replays = sq.graphs.record, 0, 0
  sq.graphs.record = function(device, body)
    recordings = recordings + 1
    local results = table.pack(record(device, body))
    local recording = results[1]
    results[1] = {
      replay = function()
        replays = replays + 1
        recording:replay()
      end,
      close = function() recording:close() end,
    }
    return table.unpack(results, 1, results.n)
  end
  local ok, e = pcall(fn)
  sq.graphs.record = record
  if not ok then error(e, 0) end
  return recordings, replays
end

return t.with_card {
  ["calls run, record, replay: with the same values"] = function()
    local _s <close> = sq.scope()
    for _, device in ipairs { "cpu", CARD } do
      local x, sum, calls = sq.ones({ 3 }, { device = device }), sq.zeros({ 3 }, { device = device }), 0
      local graph <close> = sq.graph(function()
        calls = calls + 1
        local _inner <close> = sq.scope()
        ops.copy_(sum, sum + x * x)
        ops.copy_(x, x + x)
        return (x - sum):keep()
      end, device)
      local want_x, want_sum = 1, 0
      for _ = 1, 5 do
        want_sum, want_x = want_sum + want_x * want_x, 2 * want_x
        local y = graph()
        t.eq(sum:totable(), { want_sum, want_sum, want_sum })
        t.eq(y:totable(), { want_x - want_sum, want_x - want_sum, want_x - want_sum })
      end
      t.eq(calls, device == "cpu" and 5 or 2)
    end
  end,

  ["a graph keeps what it reads, and gives its memory back"] = function()
    sq.synchronize(CARD)
    collectgarbage()
    local before = sq.tensor_memory(false, CARD).live_bytes
    do
      local _s <close> = sq.scope()
      local x, y = on_card { 1, 2 }, on_card { 0, 0 }
      local graph = sq.graph(function()
        local _inner <close> = sq.scope()
        ops.copy_(y, ops.exp(x):neg() + x)
        return (y * y):keep()
      end, CARD, true)
      local result = graph()
      local want = result:totable()
      x:close()
      local other = on_card { 7, 7 } -- would take the memory of x
      t.eq(graph():totable(), want)
      graph:close()
      t.eq(result:totable(), want)
      result:close()
      other:close()
    end
    t.eq(sq.tensor_memory(false, CARD).live_bytes, before)
  end,

  ["what cannot be recorded says so, and the card goes on"] = function()
    local _s <close> = sq.scope()
    local x = on_card { 1, 2, 3 }
    local bad = {
      ["a copy to the host"] = function() return x:totable() end,
      ["a copy from the host"] = function() return x + sq.tensor({ 1, 2, 3 }):to(CARD) end,
      ["a wait"] = function() sq.synchronize(CARD) end,
      ["boom"] = function() error "boom" end,
      ["a recording is open already"] = function() sq.graphs.record(CARD, function() end) end,
    }
    for words, fn in pairs(bad) do
      t.fails(function() sq.no_grad(sq.graphs.record, CARD, fn) end, words)
      t.eq((x + x):totable(), { 2, 4, 6 })
    end
    t.fails(function() sq.graphs.record(CARD, function() end) end, "gradients are off")
    t.fails(function() sq.no_grad(sq.graphs.record, "cpu", function() end) end, "only a card's work")
  end,

  ["generation: the cpu's ids; a graph is recorded for a size, not for a token"] = function()
    local prompts = { { 1, 2, 3 }, { 8 }, { 4, 5 }, { 9, 9, 9, 9, 2 }, { 7, 1 } }
    for name, o in pairs {
      greedy = {}, penalty = { repetition_penalty = 1.3 },
      sampled = { temperature = 0.9, top_k = 8, top_p = 0.95, seed = 5, repetition_penalty = 1.1 },
    } do
      local function run(device, more)
        local options = { max_tokens = 12, eos = {} }
        for id = 30, 33 do options.eos[#options.eos + 1] = id end
        for key, value in pairs(o) do options[key] = value end
        for key, value in pairs(more or {}) do options[key] = value end
        return sq.generate.run(model_on(device), prompts, options)
      end
      local got
      local recordings, replays = counted(function() got = run(CARD) end)
      t.eq(got, run "cpu", name)
      t.ok(recordings <= 4 and replays >= 8, ("%s: %d recordings, %d replays"):format(name, recordings, replays))
      t.eq(run(CARD, { max_tokens = 1 }), run("cpu", { max_tokens = 1 }))
    end
  end,

  ["generation with experts: the cpu's ids; who looks at values runs without a graph"] = function()
    for name, more in pairs {
      soft = {}, hard = { hard_dialect_router = true }, ["compat, hard"] = { momq_mode = "compat",
        hard_dialect_router = true }, sentence = { momq_mode = "compat", lora_route_type = "sentence",
        enable_dialect_router = false, output_router_logits = false },
    } do
      local function run(device)
        local model = model_on(device)
        local settings = { num_experts = 6, num_experts_per_tok = 1, share_expert_num = 2, dialect_num = 3, lora_r = 2,
          lora_alpha = 4, lora_dropout = 0, dialects = { sqlite = 0, postgresql = 1, mysql = 2 } }
        for key, value in pairs(more) do settings[key] = value end
        local adapter = sq.momq.attach(model, sq.momq.config(settings), { seed = 5 })
        for i, x in ipairs(adapter:parameters()) do
          sq.no_grad(ops.copy_, x, sq.randn(x.shape, { seed = 6, stream = i }):affine(0.4):to(device))
        end
        return sq.generate.run(model, { { 1, 2, 3 }, { 4 }, { 5, 6 } }, { max_tokens = 6 })
      end
      local got
      local _, replays = counted(function() got = run(CARD) end)
      t.eq(got, run "cpu", name)
      t.eq(replays > 0, name ~= "sentence", name)
    end
  end,

  ["generation over the ends of pages, by more rows than the cache has room for"] = function()
    local prompts = {}
    for row, length in ipairs { 60, 3, 62, 64, 120 } do
      prompts[row] = {}
      for i = 1, length do prompts[row][i] = i * (row + 6) % 40 end
    end
    for _, tokens in ipairs { false, 8 * 64 } do
      local function run(device)
        local o = { max_tokens = 12, cache_tokens = tokens or nil, eos = { 3, 9 } }
        return sq.generate.run(model_on(device, { max_position_embeddings = 200 }), prompts, o)
      end
      t.eq(run(CARD), run "cpu")
    end
  end,
}
