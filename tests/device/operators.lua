-- Every differentiable operator on a card against the CPU: outputs and gradients of the cases of
-- tests/gradient_cases.lua. The card: cuda:0 of the build, which is the emulated one in sqlune-emulated.
local sq = require "sqlune"
local t = require "tests.check"
local all = require "tests.gradient_cases"
local checks = require "tests.operator_checks"

local function run(case, dtype, device)
  local inputs = checks.leaves(case, dtype, device)
  local outputs = { checks.forward(case, checks.context(dtype, device), inputs) }
  checks.weigher()(table.unpack(outputs)):backward()
  local all_of = {}
  for i, y in ipairs(outputs) do
    t.eq(y.device, device)
    all_of[i] = y:to "cpu"
  end
  for _, x in ipairs(inputs) do
    local g = checks.grad_of(x)
    t.eq(g.device, device)
    all_of[#all_of + 1] = g:to "cpu"
  end
  return all_of
end

local function compare(case, name, dtype, tolerance)
  local _s <close> = sq.scope()
  local got, want = run(case, dtype, "cuda:0"), run(case, dtype, "cpu")
  for i = 1, #want do checks.close(got[i], want[i], tolerance, 0.1, ("%s, tensor %d"):format(name, i)) end
end

local cases = {}
for _, op in ipairs(sq.ops.list()) do
  if op.differentiable then
    -- Both sides sum in another order and round each stored value once.
    for dtype, tolerance in pairs { f64 = 1e-13, f32 = 4e-6, bf16 = 3e-2 } do
      cases[("%s in %s"):format(op.name, dtype)] = function()
        for i, case in ipairs(all[op.name]) do compare(case, op.name .. " " .. i, dtype, tolerance) end
      end
    end
  end
end
return t.with_card(cases)
