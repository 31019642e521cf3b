-- Training on a card, in this process: heads of 64 in bf16, which have the fast kernels, give the cpu's losses and the
-- same bits twice; steps leave nothing behind.
local sq = require "sqlune"
local t = require "tests.check"
local card = require "tests.card"
local trainee = require "tests.trainee"

local CARD <const> = "cuda:0"
local STEPS <const> = card and 40 or 500

local KINDS <const> = { full = {}, ["8-bit states"] = { states = "8bit" }, ["LoRA, dropout"] = { adapter = "lora" },
  MOMQ = { adapter = "momq" } }

---Losses and weights of two steps of a model with heads of 64; segments are long enough for every kind of attention.
local function trained(kind, device)
  local _s <close> = sq.scope()
  local o = { device = device, dtype = "bf16" }
  o.config = { hidden_size = 128, intermediate_size = 96, num_attention_heads = 2, num_key_value_heads = 1 }
  for key, value in pairs(KINDS[kind]) do o[key] = value end
  local one, losses = trainee.new(o), {}
  for step = 1, 2 do losses[step] = one:step { 66, 80 - step } end
  return losses, one:weights()
end

local cases = {}
for kind in pairs(KINDS) do
  cases[kind .. ": heads of 64 in bf16"] = function()
    local losses, weights = trained(kind, CARD)
    local again, same = trained(kind, CARD)
    t.eq(again, losses)
    t.eq(same, weights)
    for step, want in ipairs((trained(kind, "cpu"))) do
      t.near(losses[step] / want, 1, 1e-2, "loss of step " .. step)
    end
  end
end

---Bytes and blocks of tensors on the card; a model has none left once it was collected.
local function held(collected)
  if collected then
    collectgarbage()
    collectgarbage() -- what finalizers let go
  end
  local memory = sq.tensor_memory(false, CARD)
  return { bytes = memory.live_bytes, blocks = memory.live_blocks }
end

---The card's free bytes once the pool has given back what nobody holds: what happens before memory is refused.
local function free_bytes()
  t.fails(function() sq.empty({ 1 << 44 }, { device = CARD }) end, "out of memory on cuda:0")
  sq.synchronize(CARD)
  return sq.devices()[2].free_bytes
end

---Trains for so many steps; `lengths` says a step's sequences, `look` is called after each.
local function train(steps, lengths, look)
  local _s <close> = sq.scope()
  local one = trainee.new { device = CARD, dtype = "bf16" }
  for step = 1, steps do
    one:step(lengths(step))
    look(step)
  end
end

local function same_lengths() return { 20, 30 } end
local function varying_lengths(step) return { 1 + step * 5 % 40, 1 + step * 7 % 30 } end
local CYCLE <const> = 120 -- of the varying lengths

cases["memory is flat over many steps, and goes back"] = function()
  for name, lengths in pairs { same = same_lengths, varying = varying_lengths } do
    local first, lowest
    -- What the library and the kernels' code take they keep: the first round is theirs.
    for round, steps in ipairs { card and 8 or CYCLE, STEPS } do
      local free, before = round == 2 and free_bytes(), held(true)
      local blocks = card and card.count "blocks"
      train(steps, lengths, function(step)
        if step == 1 then first = held(true) end
        t.eq(held(), first, ("%s lengths, step %d"):format(name, step))
        if round == 2 and step == CYCLE then lowest = sq.devices()[2].free_bytes end
      end)
      if lowest then -- the pool has grown to what the largest step wants, and stays
        t.ok(sq.devices()[2].free_bytes >= lowest - (64 << 20), name .. " lengths: the pool grows")
      end
      t.eq(held(true), before)
      if free then
        local left = free_bytes()
        t.ok(left >= free - (32 << 20), ("%s lengths: %d bytes free, %d before"):format(name, left, free))
        if card then t.eq(card.count "blocks", blocks) end
      end
    end
  end
end

return t.with_card(cases)
