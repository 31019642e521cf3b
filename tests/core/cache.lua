-- The cache in pages: they come as sequences grow, go back when one ends, are shared until somebody writes; generation
-- over them gives what the whole sequence at once gives.
local sq = require "sqlune"
local t = require "tests.check"
local ops = sq.ops

local function model_of(more)
  local config = { model_type = "qwen2", hidden_size = 16, intermediate_size = 24, num_hidden_layers = 2,
    num_attention_heads = 4, num_key_value_heads = 2, vocab_size = 40, tie_word_embeddings = true,
    initializer_range = 0.5, max_position_embeddings = 400 }
  for key, value in pairs(more or {}) do config[key] = value end
  return assert(sq.models.from_config(config, { seed = 5, dtype = "f64" }))
end
local function prompt_of(length, by)
  local ids = {}
  for i = 1, length do ids[i] = i * by % 40 end
  return ids
end
local function integers(list) return sq.tensor(list, { dtype = "i64" }) end

---The likeliest id behind each token of a sequence, without a cache.
local function likeliest(model, ids)
  local _s <close> = sq.scope()
  return sq.no_grad(function()
    local hidden = model:hidden(integers(ids), sq.models.packed { 0, #ids })
    return ops.argmax(model:logits(hidden), 2):totable()
  end)
end

---The rows are what the model says without a cache, and what they are one at a time.
local function check(model, prompts, options)
  local got = sq.generate.run(model, prompts, options)
  for row, prompt in ipairs(prompts) do
    local ids = table.move(got[row], 1, #got[row], #prompt + 1, table.move(prompt, 1, #prompt, 1, {}))
    t.eq(table.move(likeliest(model, ids), #prompt, #ids - 1, 1, {}), got[row], "row " .. row)
    local o = { cache_tokens = math.maxinteger }
    for key, value in pairs(options) do o[key] = o[key] or value end
    t.eq(sq.generate.run(model, { prompt }, o)[1], got[row], "row " .. row .. " by itself")
  end
  return got
end

return {
  ["rows grow over the ends of pages"] = function()
    local prompts = { prompt_of(60, 7), prompt_of(1, 3), prompt_of(130, 11), prompt_of(64, 9) }
    check(model_of(), prompts, { max_tokens = 80 })
    check(model_of { model_type = "mistral", sliding_window = 50 }, prompts, { max_tokens = 30 })
    -- rows that end give their pages to others
    check(model_of(), prompts, { max_tokens = 150, eos = { 3, 4, 5 } })
  end,

  ["a cache of few tokens: rows wait for those before them"] = function()
    local model, prompts, begun, running, most = model_of(), {}, {}, {}, 0
    for i = 1, 6 do prompts[i] = prompt_of(20 * i, 6 + i) end
    local rows = check(model, prompts, { max_tokens = 70 })
    local got = sq.generate.run(model, prompts, { max_tokens = 70, cache_tokens = 6 * 64 + 5,
      on_token = function(row)
        if not running[row] then begun[#begun + 1] = row end
        running[row] = (running[row] or 0) + 1
        local now = 0
        for _, n in pairs(running) do now = now + (n < 70 and 1 or 0) end
        most = math.max(most, now)
      end })
    t.eq(got, rows)
    t.eq(begun, { 1, 2, 3, 4, 5, 6 })
    t.ok(most < 4, most .. " rows at a time")
    t.fails(function() sq.generate.run(model, prompts, { max_tokens = 70, cache_tokens = 190 }) end,
      "a row may have 190 tokens, the cache has room for 190") -- two whole pages
  end,

  ["pages come, go back, and run out"] = function()
    local model = model_of()
    local cache <close> = model:cache(3, 200, 300)
    t.eq({ cache.limit, cache.total }, { 4, 0 })
    local at = cache:extend({ 2 }, { 64 })
    t.eq({ cache.total, at.pages == nil, at.positions:size(1) }, { 1, true, 64 })
    cache:extend({ 1, 2 }, { 3, 1 })
    t.eq({ cache.total, cache.pages }, { 3, { { 1 }, { 0, 2 }, {} } })
    cache:extend({ 3 }, { 64 })
    local words = "the cache is full: 4 pages of 64 tokens are taken, 1 more are wanted, 4 there may be"
    t.fails(function() cache:extend({ 3 }, { 1 }) end, words)
    t.fails(function() cache:follow { 2, 3 } end, words)
    t.eq({ cache.lengths, cache.pages }, { { 3, 65, 64 }, { { 1 }, { 0, 2 }, { 3 } } })
    cache:drop(2)
    t.eq(cache:extend({ 3 }, { 70 }).pages:totable(), { { 3, 0, 2 } })
    t.fails(function() cache:extend({ 3 }, { 100 }) end, "sequence 3: 234 tokens do not fit into a cache of 200")
  end,

  ["beams share pages until they write"] = function()
    local model = model_of()
    local cache <close> = model:cache(3, 200)
    cache:extend({ 1 }, { 70 })
    cache:reorder { 1, 1, 1 }
    t.eq({ cache.pages, cache.lengths }, { { { 0, 1 }, { 0, 1 }, { 0, 1 } }, { 70, 70, 70 } })
    t.eq({ cache.total, cache.users[0], cache.users[1] }, { 2, 3, 3 })
    ops.fill_(cache.k[1]:narrow(1, 65, 6), 7)
    cache:extend({ 1, 2, 3 }, { 1, 1, 1 }) -- the last of them keeps the page
    t.eq({ cache.total, cache.users[0], cache.pages[3] }, { 4, 3, { 0, 1 } })
    for s = 1, 2 do
      local page = cache.pages[s][2]
      t.ok(page > 1)
      t.eq(cache.k[1]:narrow(1, page * 64 + 1, 6):sum():item(), 7 * 6 * 8)
    end
    cache:reorder { 2, 2 }
    t.eq(cache.pages[3], {})
    t.eq({ cache.users[0], cache.users[1], cache.users[cache.pages[1][2]] }, { 2, 0, 2 })

    local prompt = prompt_of(100, 7) -- against every continuation's own sum of log-probabilities
    for rank, beam in ipairs(sq.generate.beams(model, prompt, { beams = 3, max_tokens = 40 })) do
      local ids, sum = table.move(beam.ids, 1, 40, 101, table.move(prompt, 1, 100, 1, {})), 0
      local log_p = sq.no_grad(function()
        local hidden = model:hidden(integers(ids), sq.models.packed { 0, #ids })
        return ops.log_softmax(model:logits(hidden)):totable()
      end)
      for i = 101, 140 do sum = sum + log_p[i - 1][ids[i] + 1] end
      t.ok(math.abs(sum / 40 - beam.score) < 1e-9, "beam " .. rank)
    end
  end,
}
