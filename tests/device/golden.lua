-- The reference runs of tests/golden with the models on cuda:0: all of them on a card, some on the emulated one.
local sq = require "sqlune"
local t = require "tests.check"

-- What the emulated card has time for: each operator of training and decoding, each kind of adapter.
local quick = {
  qwen2 = { "untied f32: logits, loss, gradients", "tied f64: logits, loss, gradients",
    "bf16: logits, loss, gradients", "sliding window", "saved and loaded", "packed rows are the rows" },
  qwen3 = { "f32: logits, loss, gradients", "generation" },
  mistral = { "f32: logits, loss, gradients" },
  lora = { "dora: logits, loss, gradients", "the run, f32", "merged weights", "PiSSA: one layer's start",
    "bf16 base: logits, gradients, merged weights" },
  momq = { "a layer in bf16", "the original's model, scripted", "the paper's reading" },
}

---The case with every model that it loads on the card.
local function on_card(case)
  return function()
    local device = sq.models.device
    sq.models.device = function(name) return device(name or "cuda:0") end
    local ok, e = xpcall(case, function(e) return type(e) == "table" and e or debug.traceback(tostring(e), 2) end)
    sq.models.device = device
    if not ok then error(e, 0) end
  end
end

local emulated = (sq.devices()[2] or {}).description == "emulated card"
local cases = {}
for file, names in pairs(quick) do
  local all = dofile("tests/golden/" .. file .. ".lua")
  if emulated then
    for _, name in ipairs(names) do cases[file .. ": " .. name] = on_card(assert(all[name], name)) end
  else
    for name, case in pairs(all) do cases[file .. ": " .. name] = on_card(case) end
  end
end
return t.with_card(cases)
