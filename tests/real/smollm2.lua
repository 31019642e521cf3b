-- A real model against transformers: `make test-real MODEL=folder` with SmolLM2-135M-Instruct in f32 (tools/get_smollm2.py
-- of the reference data makes the folder). Not part of `make test`: the weights are 538 MB.
local sq = require "sqlune"
local t = require "tests.check"

local folder = os.getenv "MODEL" or t.skip "no MODEL folder given"
local reference = t.ok(sq.json.read(t.shared "golden/smollm2/reference.json"))

local cases = {}

local function logits_of(model, ids)
  return sq.no_grad(function()
    local at = sq.models.packed { 0, #ids }
    local hidden = model:hidden(sq.tensor(ids, { dtype = "i64" }), at)
    return model:logits(hidden:narrow(1, #ids, 1)):select(1, 1)
  end)
end

cases["tokenizer, logits and greedy tokens"] = function()
  local _s <close> = sq.scope()
  local model, tokenizer = sq.models.load(folder)
  t.ok(model, tokenizer)
  for n, prompt in ipairs(reference.prompts) do
    t.eq(tokenizer:encode(prompt.text), { table.unpack(prompt.ids) }, "prompt " .. n)
    local logits = logits_of(model, prompt.ids)
    for _, pair in ipairs(prompt.last_logits_top20) do
      t.near(logits:select(1, pair[1] + 1):item(), pair[2], 2e-3, "logit " .. pair[1])
    end
    t.near(sq.ops.global_norm({ logits }):item() / prompt.last_logits_norm, 1, 1e-4)
    local new = model:generate(prompt.ids, { max_tokens = #prompt.greedy })
    if prompt.min_top2_gap >= 1e-3 then t.eq(new, { table.unpack(prompt.greedy) }, "greedy " .. n) end
  end
end

cases["loss and gradient norms"] = function()
  local _s <close> = sq.scope()
  local model = t.ok(sq.models.load(folder, { train = true, tokenizer = false }))
  for _, item in ipairs(reference.training) do
    local targets, labelled = {}, 0
    for i = 1, #item.ids do
      targets[i] = item.labels[i + 1] or -100
      if targets[i] ~= -100 then labelled = labelled + 1 end
    end
    local loss = model:loss_sum {
      ids = sq.tensor(item.ids, { dtype = "i64" }), targets = sq.tensor(targets, { dtype = "i64" }), starts = { 0, #item.ids },
    } / labelled
    t.near(loss:item() / item.loss, 1, 1e-4, "loss")
    loss:backward()
    local grads = {}
    for i, p in ipairs(model:parameters()) do grads[i] = p.grad end
    t.near(sq.ops.global_norm(grads):item() / item.grad_norm, 1, 1e-4, "norm of all gradients")
    for name, norm in pairs(item.grad_norms) do
      t.near(sq.ops.global_norm({ model.parts.by_name[name].grad }):item() / norm, 1, 1e-4, name)
    end
    for _, p in ipairs(model:parameters()) do p:zero_grad() end
  end
end

return cases
