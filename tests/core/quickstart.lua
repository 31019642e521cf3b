-- The quickstart from end to end in small: every step runs, a second time nothing is repeated.
local t = require "tests.check"
local sq = require "sqlune"

local SLOW <const> = os.getenv "SQLUNE_SANITIZED" or os.getenv "SQLUNE_GC"
local EPOCHS <const> = SLOW and 0.15 or 0.3 -- a few steps of each stage

local function run(out, ...)
  local words = table.concat({ "quickstart", "out=" .. out, "train=120", "test=12", "pretrain_epochs=" .. EPOCHS,
    "sft_epochs=" .. EPOCHS, ... }, " ")
  local pipe = assert(io.popen(("OMP_NUM_THREADS=1 '%s' %s 2>&1"):format(sq.fs.realpath "/proc/self/exe", words)))
  local text = pipe:read "a"
  t.ok(pipe:close(), text)
  return text
end

return {
  ["runs, and does not repeat what is done"] = function()
    local out = t.tmpdir() .. "/quickstart"
    local first = run(out)
    t.ok(first:find "held%-out questions answered", first)
    t.ok(not first:find "unchanged", first)
    local results = assert(sq.json.read(out .. "/eval/eval.json"))
    t.eq(results.summary.all.items, 12)
    t.eq(results.summary.all.gold_error, 0)
    local report = assert(sq.fs.read(out .. "/eval/report.html"))
    t.eq(select(2, report:gsub("<polyline", "")), 2, "the loss curves of two stages")

    local second = run(out)
    t.eq(select(2, second:gsub("unchanged since the last run", "")), 10)

    assert(sq.fs.append(out .. "/train.json", "\n")) -- other bytes: what was made from them is made again
    local third = run(out)
    t.eq(select(2, third:gsub("unchanged since the last run", "")), 1)
  end,
}
