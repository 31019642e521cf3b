-- Memory of a training step: no more at its peak than weights, gradients, moments and what backward needs, and the same
-- after 500 steps.
local sq = require "sqlune"
local t = require "tests.check"
local workshop = require "tests.workshop"

local function ids(list) return sq.tensor(list, { dtype = "i64" }) end
local function live()
  collectgarbage()
  collectgarbage()
  return sq.tensor_memory()
end

local function config(hidden, intermediate, layers, vocabulary)
  return {
    model_type = "qwen2", hidden_size = hidden, intermediate_size = intermediate, num_hidden_layers = layers,
    num_attention_heads = 4, num_key_value_heads = 2, vocab_size = vocabulary, tie_word_embeddings = true,
  }
end

local function batch_of(tokens, vocabulary)
  local list, targets = {}, {}
  for i = 1, tokens do list[i], targets[i] = i * 7 % vocabulary, i * 11 % vocabulary end
  return { ids = ids(list), targets = ids(targets), starts = { 0, tokens // 2, tokens } }
end

local function step(model, optimiser, batch)
  local _s <close> = sq.scope()
  model:loss_sum(batch):backward()
  local _, factor = sq.optim.clip(model:parameters(), 1)
  optimiser:step(1e-3, factor)
end

---Bytes that the tape holds of a layer for a token: what each operator's gradient is written in, counted once where two
---share it. `size`: of an element; 1 / rms and log-sum-exp are f32.
local function layer_bytes(c, size)
  local C, I, width = c.hidden, c.intermediate, c.heads * c.head_dim
  local kv = c.kv_heads * c.head_dim
  return size * (C -- sum before the first norm
    + C -- its result: input of q, k, v
    + width + 2 * kv -- q and k turned, v
    + width -- attention's result, also input of o_proj
    + C + C -- sum before the second norm, its result
    + 2 * I -- gate and up
    + I) -- their product: input of down_proj
    + 4 * (2 + c.heads) -- 1 / rms of both norms, log-sum-exp
end

---Bytes, f32, that the tape holds when the forward pass of T tokens is over.
local function saved_bytes(c, T, labelled)
  local head = 2 * c.hidden + 1 -- sum before the last norm, its result, 1 / rms
  local labels = labelled * (c.hidden + c.vocabulary) -- labelled rows and the gradients of their logits
  return T * (layer_bytes(c, 4) * c.layers + 4 * head) + 4 * labels
end

---Bytes that a step of T tokens holds when its forward pass is over; a second step leaves what the first one left.
local function tape_bytes(how, dtype, layers, T)
  local _s <close> = sq.scope()
  local model = assert(sq.models.from_config(config(64, 192, layers, 128), { dtype = dtype, train = how ~= "lora" }))
  local trained = how == "lora" and assert(sq.lora.add(model, { r = 8, target_modules = "all-linear" },
    { train = true })) or model
  local parameters, batch, bytes, left = trained:parameters(), batch_of(T, 128), nil, {}
  local optimiser = sq.optim.adamw(trained:names(), parameters)
  for i = 1, 2 do
    local before = live().live_bytes
    do
      local _inner <close> = sq.scope()
      local loss = model:loss_sum(batch, { checkpoint = how == "checkpoint" })
      bytes = live().live_bytes - before
      loss:backward()
    end
    local _, factor = sq.optim.clip(parameters, 1)
    optimiser:step(1e-3, factor)
    left[i] = live().live_bytes
  end
  t.eq(left[2], left[1])
  return bytes, model.shape
end

return {
  ["the peak of a training step"] = function()
    local before = live().live_bytes
    local model = assert(sq.models.from_config(config(64, 176, 4, 1000), { train = true }))
    local optimiser = sq.optim.adamw(model:names(), model:parameters())
    local tokens = 512
    local batch = batch_of(tokens, 1000)
    step(model, optimiser, batch) -- gradients are made
    local base = live().live_bytes - before
    -- weights, gradients, two moments; tables, ids
    t.ok(base >= 16 * model:size() and base <= 16 * model:size() * 1.02 + 2 ^ 17, ("%d bytes of %d parameters")
      :format(base, model:size()))
    sq.tensor_memory(true)
    step(model, optimiser, batch)
    local peak = sq.tensor_memory().peak_bytes - before
    local counted = 16 * model:size() + saved_bytes(model.shape, tokens, tokens)
    t.ok(peak <= 1.10 * counted, ("a step holds %.3f of what is counted (%d bytes)"):format(peak / counted, counted))
    t.ok(peak >= 0.9 * counted, ("the count is off: %.3f"):format(peak / counted))
  end,

  -- Sizes that the block cache does not round up. A tensor more that an operator saves has to come into the formula.
  ["what the tape holds of a layer for a token, to the byte"] = function()
    for dtype, size in pairs { f32 = 4, bf16 = 2 } do
      for _, how in ipairs { "full", "lora", "checkpoint" } do
        local T, bytes, shape = 512, 0, nil
        for _, part in ipairs { { 3, 2, 1 }, { 2, 2, -1 }, { 3, 1, -1 }, { 2, 1, 1 } } do
          local part_bytes
          part_bytes, shape = tape_bytes(how, dtype, part[1], part[2] * T)
          bytes = bytes + part[3] * part_bytes
        end
        local wanted = how == "checkpoint" and size * shape.hidden -- the sum that the layer begins with
          or layer_bytes(shape, size) + (how == "lora" and 7 * 8 * 4 or 0) -- scale drop(x) A^T of each layer
        t.eq({ dtype, how, bytes / T }, { dtype, how, wanted + 0.0 })
      end
    end
  end,

  ["what a card holds, as the bench counts it"] = function()
    local program = sq.fs.join(sq.fs.dirname(workshop.program), "sqlune-counted")
    if not sq.fs.exists(program) then t.skip("no " .. program .. ": make test builds it") end
    local text, code = workshop.shell(program .. " tests/bench/memory.lua - '' small")
    t.eq(code, 0, text)
    local shape = { hidden = 128, intermediate = 48, heads = 2, kv_heads = 1, head_dim = 64 }
    local each = layer_bytes(shape, 2)
    for title, wanted in pairs { full = each, bf16 = each, lora = each + 7 * 16 * 4 } do
      t.eq(tonumber(text:match("small " .. title .. " 24 |[^\n]- (%d+) |\n")), wanted)
      t.eq(tonumber(text:match("small " .. title .. " 24 checkpointing |[^\n]- (%d+) |\n")), 2 * shape.hidden)
    end
  end,

  ["500 steps hold what one holds"] = function()
    local model = assert(sq.models.from_config(config(16, 24, 1, 50), { train = true }))
    local optimiser = sq.optim.adamw(model:names(), model:parameters())
    local batch = batch_of(20, 50)
    for _ = 1, 3 do step(model, optimiser, batch) end
    local tensors, blocks = live(), sq.sys.memory().live_blocks
    sq.tensor_memory(true)
    step(model, optimiser, batch)
    local peak = sq.tensor_memory(true).peak_bytes
    for _ = 1, 500 do step(model, optimiser, batch) end
    t.eq(sq.tensor_memory().peak_bytes, peak)
    local after = live()
    t.eq({ after.live_bytes, after.live_blocks }, { tensors.live_bytes, tensors.live_blocks })
    t.eq(sq.sys.memory().live_blocks, blocks)
  end,

  ["without gradients a layer's tensors go when it is done"] = function()
    local peaks = {}
    for i, layers in ipairs { 2, 8 } do
      local model = assert(sq.models.from_config(config(32, 64, layers, 50)))
      local batch = batch_of(256, 50)
      local base = live().live_bytes
      sq.tensor_memory(true)
      sq.no_grad(function()
        local _s <close> = sq.scope()
        model:hidden(batch.ids, sq.models.packed(batch.starts))
      end)
      peaks[i] = sq.tensor_memory().peak_bytes - base
    end
    local one = 602 * 4 * 256 -- what a layer makes of 256 tokens, and the hidden state before it
    for _, peak in ipairs(peaks) do
      if os.getenv "SQLUNE_GC" then -- it frees some of a layer's tensors before the layer is done
        t.ok(peak <= 1.02 * one, peak)
      else
        t.near(peak / one, 1, 0.02)
      end
    end
  end,

  ["a checkpoint holds its results only"] = function()
    local function block(x)
      for _ = 1, 10 do x = (x * 1.01):tanh() end
      return x
    end
    local size, blocks, held, gradients = 2 ^ 20, 8, {}, {}
    for i, run in ipairs { block, function(x) return sq.checkpoint(block, x) end } do
      local _s <close> = sq.scope()
      local x = sq.ones({ 1 << 18 }, { requires_grad = true })
      local base = live().live_bytes
      sq.tensor_memory(true)
      local h = x
      for _ = 1, blocks do h = run(h) end
      h:sum():backward()
      held[i] = (sq.tensor_memory().peak_bytes - base) / size
      gradients[i] = x.grad:narrow(1, 1, 3):totable()
    end
    t.eq(gradients[1], gradients[2])
    t.ok(held[1] >= 10 * blocks, held[1])
    t.ok(held[2] <= blocks + 35, held[2]) -- a result a block, and one block's products and sums again in backward
  end,

  ["tensors that nothing holds are collected without being asked for"] = function()
    live()
    sq.tensor_memory(true)
    local start = sq.tensor_memory().live_bytes
    for _ = 1, 2000 do sq.empty { 1 << 18 } end -- 1 MiB each, outside any scope
    -- a full collection runs when 256 MiB were added; one young collection comes every 32 MiB
    t.ok(sq.tensor_memory().peak_bytes - start <= 400 * 2 ^ 20,
      ("%.0f MiB"):format((sq.tensor_memory().peak_bytes - start) / 2 ^ 20))
  end,
}
