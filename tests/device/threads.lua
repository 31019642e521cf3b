-- Lua states on threads of their own compute on cards at the same time: the same bits, nothing that stays.
local sq = require "sqlune"
local t = require "tests.check"
local card = require "tests.card"
local parallel = sq.parallel

---A state's job: some products on the card that it names; gives the sum's bits.
local WORK <const> = [[
local sq = require "sqlune"
return function()
  return function(job)
    local _s <close> = sq.scope()
    local device, seed = job:match "^(%S+) (%d+)$"
    local x = sq.randn({ 24, 40 }, { seed = tonumber(seed), device = device })
    local w = sq.randn({ 40, 24 }, { seed = 9, device = device })
    for _ = 1, 4 do x = sq.ops.softmax(sq.ops.matmul(sq.ops.matmul(x, w), w:transpose(1, 2))) end
    return ("%a"):format((x * x):to "f64":sum():item())
  end
end
]]

return t.with_card {
  ["two cards, four threads"] = function()
    local dir = t.tmpdir()
    t.ok(sq.fs.write(dir .. "/card_job.lua", WORK))
    local path = package.path
    package.path = dir .. "/?.lua;" .. path
    local cards = {}
    for i = 2, #sq.devices() do cards[#cards + 1] = ("cuda:%d"):format(i - 2) end
    local jobs = {}
    for i = 1, 24 do jobs[i] = ("%s %d"):format(cards[1 + i % #cards], i // 4) end
    local function results(workers) return t.ok(parallel.map({ module = "card_job", workers = workers }, jobs)) end
    local before = card and { card.count "handles", card.count "pinned", card.count "blocks" }
    local alone = results(1)
    t.ok(tonumber(alone[1]) > 0, alone[1])
    t.eq(results(4), alone)
    package.path = path
    if card then
      for _, name in ipairs(cards) do sq.synchronize(name) end
      t.eq({ card.count "handles", card.count "pinned", card.count "blocks" }, before)
    end
  end,
}
