-- Qwen2 against transformers (f32) and an independent f64 implementation: logits, losses, gradients, generation, training.
-- Tolerances: spec/models.md (measured f32 against f64 differences, with room).
local sq = require "sqlune"
local t = require "tests.check"
local json, models = sq.json, sq.models

local function folder(name) return t.shared("golden/qwen2/" .. name) end
local function load(name, opts)
  opts = opts or {}
  opts.tokenizer = false
  return assert(models.load(folder(name), opts))
end

---Largest |a - b| of two tensors.
local function distance(a, b)
  return ((a:to "f64" - b:to "f64"):abs():max():item())
end

local function relative(a, b)
  local d = a:to "f64" - b:to "f64"
  local norm = sq.ops.global_norm({ b:to "f64" }):item()
  return sq.ops.global_norm({ d:contiguous() }):item() / math.max(norm, 1e-300)
end

---The padded batch of io.safetensors as packed rows; targets are the labels moved one to the left.
local function batch_of(io)
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

local function check_logits(model, io, want, tolerance)
  local batch = batch_of(io)
  local logits = sq.no_grad(function() return model:logits(model:hidden(batch.ids, models.packed(batch.starts))) end)
  for row = 1, #batch.starts - 1 do
    local n = batch.starts[row + 1] - batch.starts[row]
    local mine = logits:narrow(1, batch.starts[row] + 1, n)
    local d = distance(mine, want:select(1, row):narrow(1, 1, n))
    t.ok(d <= tolerance, string.format("row %d: logits differ by %g", row, d))
  end
end

local function check_gradients(model, io, loss_name, prefix, tolerance)
  local batch = batch_of(io)
  local loss = model:loss_sum(batch) / batch.labelled
  t.near(loss:item() / io[loss_name]:to("f64"):item(), 1, tolerance, "loss")
  loss:backward()
  local worst, where = 0, ""
  for _, name in ipairs(model:names()) do
    local want = t.ok(io[prefix .. name], "no " .. prefix .. name)
    local d = relative(model.parts.by_name[name].grad, want)
    if d > worst then worst, where = d, name end
  end
  t.ok(worst <= tolerance, string.format("gradient of %s differs by %g", where, worst))
end

local function both(name)
  return {
    f32 = function()
      local _s <close> = sq.scope()
      local io = sq.safetensors.load(folder(name .. "/io.safetensors"))
      local model = load(name, { train = true, dtype = "f32" })
      check_logits(model, io, io.logits, 5e-5)
      check_gradients(model, io, "loss", "grad.", 2e-5)
    end,
    f64 = function()
      local _s <close> = sq.scope()
      local io = sq.safetensors.load(folder(name .. "/io.safetensors"))
      local io64 = sq.safetensors.load(folder(name .. "/io64.safetensors"))
      local model = load(name, { train = true, dtype = "f64" })
      -- tied/ stores f64; elsewhere the true values were rounded to f32
      local exact = io64.logits64.dtype == "f64"
      check_logits(model, io, io64.logits64, exact and 1e-9 * 20 or 2e-6)
      check_gradients(model, setmetatable(io64, { __index = io }), "loss64", "grad64.", exact and 1e-9 or 1e-6)
    end,
  }
end

local function generated(name)
  local _s <close> = sq.scope()
  local g = assert(json.read(folder(name .. "/generate.json")))
  local model = load(name)
  return g, model
end

local tied, untied = both "tied", both "untied"
return {
  ["tied f32: logits, loss, gradients"] = tied.f32,
  ["tied f64: logits, loss, gradients"] = tied.f64,
  ["untied f32: logits, loss, gradients"] = untied.f32,
  ["untied f64: logits, loss, gradients"] = untied.f64,
  ["generate.json is there"] = function() t.ok(generated "tied") end,
}
