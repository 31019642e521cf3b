-- Learning rates, step by step, against the formulas of transformers and DeepSpeed.
local schedule = require "sqlune".schedule
local t = require "tests.check"

local function rates(name, o, total)
  local rate, list = schedule[name](o, total), {}
  for step = 1, total do list[step] = rate(step) end
  return list
end

local function near(list, want, what)
  t.eq(#list, #want, what)
  for i, x in ipairs(want) do t.near(list[i], x, 1e-12, what .. ", step " .. i) end
end

return {
  ["cosine falls to its floor"] = function()
    local list, want = rates("cosine", { lr = 2, warmup = 2, lr_floor = 0.25 }, 6), { 0, 1 }
    for k = 0, 3 do want[k + 3] = 2 * (0.25 + 0.75 * 0.5 * (1 + math.cos(math.pi * k / 4))) end
    near(list, want, "cosine")
    t.ok(schedule.cosine({ lr = 2, warmup = 0, lr_floor = 0.25 }, 10)(11) == 0.5)
  end,

  ["warm-up, stable, decay"] = function()
    near(rates("wsd", { lr = 1, warmup = 2, decay = 4, lr_floor = 0.2 }, 10),
      { 0, 0.5, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4 }, "wsd")
    near(rates("wsd", { lr = 1, warmup = 0, decay = 0.2 }, 10), { 1, 1, 1, 1, 1, 1, 1, 1, 1, 0.5 }, "share")
  end,

  ["inverse square root"] = function()
    near(rates("inverse_sqrt", { lr = 3, warmup = 4 }, 7),
      { 0, 0.75, 1.5, 2.25, 3, 3 * math.sqrt(4 / 5), 3 * math.sqrt(4 / 6) }, "inverse_sqrt")
    t.near(schedule.inverse_sqrt({ lr = 1, warmup = 0 }, 10)(10001), math.sqrt(0.5), 1e-12)
  end,

  ["DeepSpeed's WarmupLR"] = function()
    local log, want = rates("warmup_log", { lr = 5, warmup = 4 }, 8), { 0, 0 }
    for i = 1, 3 do want[i + 2] = 5 * math.log(i + 1) / math.log(4) end
    for i = 6, 8 do want[i] = 5 end
    near(log, want, "log")
    near(rates("warmup_linear", { lr = 5, warmup = 4 }, 8), { 0, 0, 1.25, 2.5, 3.75, 5, 5, 5 }, "linear")
    near(rates("warmup_linear", { lr = 1, warmup = 0 }, 5), { 0, 0, 0.5, 1, 1 }, "two steps at least")
  end,

  ["every name is a schedule, within its bounds"] = function()
    for _, name in ipairs(schedule.names) do
      for _, warmup in ipairs { 0, 0.1, 3, 40 } do
        for step, rate in ipairs(rates(name, { lr = 1, warmup = warmup }, 30)) do
          t.ok(rate >= 0 and rate <= 1, ("%s, warm-up %g, step %d: %g"):format(name, warmup, step, rate))
        end
      end
    end
  end,
}
