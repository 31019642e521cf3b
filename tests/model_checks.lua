-- Checks of a model's folder of the shared reference data against transformers (f32) and an independent f64
-- implementation: logits, losses, gradients, generation. Tolerances: spec/models.md (measured differences, with room).
local sq = require "sqlune"
local t = require "tests.check"
local json, models = sq.json, sq.models

local M = {}

---A folder of the shared reference data.
function M.folder(name) return t.shared("golden/" .. name) end

function M.load(name, opts)
  opts = opts or {}
  opts.tokenizer = false
  return assert(models.load(M.folder(name), opts))
end

---Largest |a - b| of two tensors.
function M.distance(a, b)
  return ((a:to("f64", "cpu") - b:to("f64", "cpu")):abs():max():item())
end

function M.relative(a, b)
  local d = a:to("f64", "cpu") - b:to("f64", "cpu")
  local norm = sq.ops.global_norm({ b:to("f64", "cpu") }):item()
  return sq.ops.global_norm({ d:contiguous() }):item() / math.max(norm, 1e-300)
end

---The padded batch of io.safetensors as packed rows; targets are the labels moved one to the left.
function M.batch_of(io)
  local ids, labels, lengths = io.input_ids:totable(), io.labels:totable(), io.lengths:totable()
  local flat, targets, starts, count = {}, {}, { 0 }, 0
  for row, n in ipairs(lengths) do
    for i = 1, n do
      flat[#flat + 1] = ids[row][i]
      local target = i < n and labels[row][i + 1] or -100
      targets[#targets + 1] = target
      if target ~= -100 then count = count + 1 end
    end
    starts[row + 1] = #flat
  end
  return { ids = sq.tensor(flat, { dtype = "i64" }), targets = sq.tensor(targets, { dtype = "i64" }), starts = starts,
    labelled = count }
end

function M.check_logits(model, io, want, tolerance)
  local batch = M.batch_of(io)
  local logits = sq.no_grad(function() return model:logits(model:hidden(batch.ids, models.packed(batch.starts))) end)
  for row = 1, #batch.starts - 1 do
    local n = batch.starts[row + 1] - batch.starts[row]
    local mine = logits:narrow(1, batch.starts[row] + 1, n)
    local d = M.distance(mine, want:select(1, row):narrow(1, 1, n))
    t.ok(d <= tolerance, string.format("row %d: logits differ by %g", row, d))
  end
end

function M.check_gradients(model, io, loss_name, prefix, tolerance)
  local batch = M.batch_of(io)
  local loss = model:loss_sum(batch) / batch.labelled
  t.near(loss:item() / io[loss_name]:to("f64"):item(), 1, tolerance, "loss")
  loss:backward()
  local worst, where = 0, ""
  for _, name in ipairs(model:names()) do
    local want = t.ok(io[prefix .. name], "no " .. prefix .. name)
    local d = M.relative(model.parts.by_name[name].grad, want)
    if d > worst then worst, where = d, name end
  end
  t.ok(worst <= tolerance, string.format("gradient of %s differs by %g", where, worst))
end

function M.both(name)
  return {
    f32 = function()
      local _s <close> = sq.scope()
      local io = sq.safetensors.load(M.folder(name .. "/io.safetensors"))
      local model = M.load(name, { train = true, dtype = "f32" })
      M.check_logits(model, io, io.logits, 5e-5)
      M.check_gradients(model, io, "loss", "grad.", 2e-5)
    end,
    f64 = function()
      local _s <close> = sq.scope()
      local io = sq.safetensors.load(M.folder(name .. "/io.safetensors"))
      local io64 = sq.safetensors.load(M.folder(name .. "/io64.safetensors"))
      local model = M.load(name, { train = true, dtype = "f64" })
      -- tied/ stores f64; elsewhere the true values were rounded to f32
      local exact = io64.logits64.dtype == "f64"
      M.check_logits(model, io, io64.logits64, exact and 1e-9 * 20 or 2e-6)
      M.check_gradients(model, setmetatable(io64, { __index = io }), "loss64", "grad64.", exact and 1e-9 or 1e-6)
    end,
  }
end

---A generate.json, its safetensors, and the model of that folder.
function M.generated(name)
  local g, numbers = assert(json.read(M.folder(name .. "/generate.json"))), M.folder(name .. "/generate.safetensors")
  return g, sq.fs.exists(numbers) and sq.safetensors.load(numbers), M.load(name)
end

function M.check_rows(got, want, what)
  for row = 1, #want do t.eq(got[row], want[row], what .. ", prompt " .. row) end
end

---Every way of generating that generate.json has, all prompts at once and each alone.
function M.check_generation(name)
  local _s <close> = sq.scope()
  local g, _, model = M.generated(name)
  local runs = {
    greedy = {},
    greedy_eos = { eos = g.eos_token_id },
    ["greedy_repetition_penalty_1.1"] = { repetition_penalty = 1.1 },
  }
  for run, o in pairs(runs) do
    if not g[run] then goto next end
    o.max_tokens = g.max_new_tokens
    M.check_rows(sq.generate.run(model, g.prompts, o), g[run], run)
    ::next::
  end
  local with_penalty = g["greedy_repetition_penalty_1.1"]
  for row, prompt in ipairs(g.prompts) do
    local o = { max_tokens = 12, repetition_penalty = with_penalty and 1.1 or 1 }
    local want = (with_penalty or g.greedy)[row]
    t.eq(model:generate(prompt, o), table.move(want, 1, 12, 1, {}), "alone, prompt " .. row)
  end
end

function M.last_logits(model, ids)
  return sq.no_grad(function()
    local hidden = model:hidden(sq.tensor(ids, { dtype = "i64" }), models.packed { 0, #ids })
    return model:logits(hidden:narrow(1, #ids, 1))
  end)
end

---Logits after each prompt, and the distributions that sampling draws from.
function M.check_distributions(name)
  local _s <close> = sq.scope()
  local g, numbers, model = M.generated(name)
  for row, prompt in ipairs(g.prompts) do
    local d = M.distance(M.last_logits(model, prompt):select(1, 1), numbers.first_logits:select(1, row))
    t.ok(d <= 5e-5, ("first logits of prompt %d differ by %g"):format(row, d))
  end
  for i, case in ipairs(g.sampling) do
    local ids = case.context
    local p = sq.ops.probabilities(M.last_logits(model, ids), {
      temperature = case.temperature, top_k = case.top_k, top_p = case.top_p,
      repetition_penalty = case.repetition_penalty,
      seen = sq.tensor(ids, { dtype = "i64" }), seen_rows = sq.tensor({ 0, #ids }, { dtype = "i64" }),
    }):select(1, 1)
    -- logits differ by 1e-5, divided by temperatures down to 0.7
    local d = M.distance(p, numbers[("sampling.%d.probabilities"):format(i - 1)])
    t.ok(d <= 3e-5, ("sampling %d: probabilities differ by %g"):format(i, d))
    local values = p:totable()
    for place, id in ipairs(case.ids) do
      t.near(values[id + 1], case.probabilities[place], 3e-5, ("sampling %d, id %d"):format(i, id))
    end
    local positive = 0
    for _, v in ipairs(values) do positive = positive + (v > 0 and 1 or 0) end
    t.eq(positive, #case.ids, ("sampling %d: ids with a probability"):format(i))
  end
end

---The stages of the forward pass; the last layer is before the norm.
function M.check_hidden(name)
  local _s <close> = sq.scope()
  local io = sq.safetensors.load(M.folder(name .. "/io.safetensors"))
  local model, batch, seen = M.load(name), M.batch_of(io), {}
  sq.no_grad(function()
    model:hidden(batch.ids, models.packed(batch.starts), function(stage, x) seen[stage] = x:keep() end)
  end)
  local stages = { "embed", "final_norm" }
  for i = 1, model.shape.layers do stages[i + 2] = "layer" .. i - 1 end
  for _, stage in ipairs(stages) do
    local want = t.ok(io["hidden." .. stage], stage)
    for row = 1, #batch.starts - 1 do
      local n = batch.starts[row + 1] - batch.starts[row]
      local d = M.relative(seen[stage]:narrow(1, batch.starts[row] + 1, n), want:select(1, row):narrow(1, 1, n))
      t.ok(d <= 5e-6, ("%s of row %d differs by %g"):format(stage, row, d)) -- measured: 7e-7
    end
    seen[stage]:close()
  end
end
---Every beam search of generate.json: the ids of all returned beams, and their scores.
function M.check_beams(name)
  local _s <close> = sq.scope()
  local g, _, model = M.generated(name)
  for i, case in ipairs(g.beam) do
    local got = sq.generate.beams(model, g.prompts[case.prompt + 1], {
      beams = case.num_beams, length_penalty = case.length_penalty, early_stopping = case.early_stopping,
      eos = case.eos_token_id, max_tokens = case.max_new_tokens,
    })
    t.eq(#got, #case.sequences, "beams of case " .. i)
    for rank, want in ipairs(case.sequences) do
      t.eq(got[rank].ids, want.ids, ("case %d, beam %d"):format(i, rank))
      t.near(got[rank].score, want.score, 1e-5, ("case %d, beam %d"):format(i, rank)) -- measured: 1.2e-6
    end
  end
end

return M
