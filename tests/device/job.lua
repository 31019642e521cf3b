-- The job on a card: training twice to the same bits, resumed to the same bits, near the cpu's numbers; memory that
-- stays; adapters, experts, 8-bit states; inference.
local sq = require "sqlune"
local t = require "tests.check"
local workshop = require "tests.workshop"
local fs = sq.fs
local sft, losses, weights = workshop.sft, workshop.losses, workshop.weights

---Losses of a run on the card are those of the cpu within `tolerance`.
local function near_cpu(dir, settings, tolerance)
  local text, code = sft(dir, "card", "device=cuda:0 " .. settings)
  t.eq(code, 0, text)
  text, code = sft(dir, "cpu", "device=cpu " .. settings)
  t.eq(code, 0, text)
  local mine, want = losses(dir, "card"), losses(dir, "cpu")
  t.eq(#mine, #want)
  for i in ipairs(want) do
    local off = math.abs(mine[i] / want[i] - 1)
    t.ok(off < tolerance, ("step %d: loss %.7g, on the cpu %.7g"):format(i, mine[i], want[i]))
  end
end

return t.with_card {
  ["training: the cpu's losses, twice the same bits, resumed"] = function()
    local dir = workshop.new()
    near_cpu(dir, "epochs=1 save_every=3 save_total_limit=0", 2e-5)
    local steps = #losses(dir, "card")
    for _, out in ipairs { "again", "stopped" } do
      t.eq(select(2, sft(dir, out, "device=cuda:0 epochs=1 save_every=3 save_total_limit=0")), 0)
      t.eq(weights(dir, out), weights(dir, "card"))
    end
    for _, c in ipairs(sq.train.checkpoints(fs.join(dir, "stopped"))) do
      if c.step > 3 then t.ok(fs.remove_tree(c.path)) end
    end
    t.ok(fs.remove(fs.join(dir, "stopped", "model.safetensors")))
    local text, code = sft(dir, "stopped", "device=cuda:0 epochs=1 save_every=3 resume=true")
    t.eq(code, 0, text)
    t.eq(weights(dir, "stopped"), weights(dir, "card"))
    t.eq(#losses(dir, "stopped"), steps)
    local memory = {}
    for i, entry in ipairs(workshop.entries(dir, "card")) do memory[i] = entry.memory end
    t.eq(memory[steps], memory[1], "bytes of tensors after the last step and after the first")
  end,

  ["training in bf16 with 8-bit states, checkpointed layers and noise"] = function()
    near_cpu(workshop.new(64), "epochs=0.4 dtype=bf16 states=8bit loss.checkpointing=true loss.neftune=5", 3e-2)
  end,

  ["training in bf16 alone: gradients too, no copies"] = function()
    near_cpu(workshop.new(64), "epochs=0.4 dtype=bf16 states=8bit gradients=bf16 stochastic_rounding=true "
      .. "accumulation=2", 3e-2)
  end,

  ["training of an adapter, and of experts"] = function()
    local dir = workshop.new()
    near_cpu(dir, "epochs=0.5 lora.rank=4 lora.dropout=0.1", 2e-5)
    dir = workshop.new()
    near_cpu(dir, "epochs=0.5 momq.enabled=true momq.dialects=sqlite=0,postgresql=1,mysql=2 momq.num_experts=6 "
      .. "momq.num_experts_per_tok=1 momq.lora_r=2 momq.lora_alpha=4", 2e-5)
  end,

  ["inference: the cpu's answers"] = function()
    local dir = workshop.new()
    t.eq(select(2, sft(dir, "out", "device=cpu epochs=1")), 0)
    local answers = {}
    for _, device in ipairs { "cpu", "cuda:0" } do
      local path = fs.join(dir, "answers-" .. device)
      local text, code = workshop.shell(("'%s' infer model=%s/out data=%s/data.json limit=3 max_tokens=6 device=%s "
        .. "out=%s --quiet"):format(workshop.program, dir, dir, device, path))
      t.eq(code, 0, text)
      answers[device] = t.ok(fs.read(path))
    end
    t.eq(answers["cuda:0"], answers.cpu)
  end,
}
