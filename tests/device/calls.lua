-- Every call of CUDA fails in turn, on the emulated card: an error says what, where and on which card; nothing leaks;
-- what comes after works. A card that a kernel lost is lost to the process, which says so to the end.
local sq = require "sqlune"
local t = require "tests.check"
local card = require "tests.card"
local ops = sq.ops
local CARD <const>, INVALID <const>, FULL <const> = "cuda:0", 1, 2

local function emulated(fn)
  return function()
    if not card then t.skip "only the emulated card fails when it is told to" end
    fn()
  end
end

local KINDS <const> = { "blocks", "pinned", "graphs", "handles" }

---What is alive on the cards, by kind.
local function alive()
  collectgarbage()
  collectgarbage()
  sq.synchronize(CARD)
  local counts = {}
  for _, kind in ipairs(KINDS) do counts[kind] = card.count(kind) end
  return counts
end

---Calls fn with the nth call of `name` failing; gives whether that came, and fn's error.
local function failing(name, nth, code, fn)
  local before = card.calls(name)
  card.fault(name, nth, code)
  local ok, e = pcall(fn)
  card.fault(name, 0, 0)
  return card.calls(name) - before >= nth, not ok and tostring(e) or nil
end

---Every call of each function fails once. An error has to match; `quiet` functions may fail without one, since there is
---another way.
local function sweep(names, fn, o)
  fn()
  fn()
  local before = alive()
  for _, name in ipairs(names) do
    local nth, came = 0, true
    while came do
      nth = nth + 1
      local e
      came, e = failing(name, nth, o.code or INVALID, fn)
      local where = ("%s, call %d"):format(name, nth)
      if came and not (o.quiet and o.quiet[name]) then t.ok(e, where .. " failed, and nobody says so") end
      if e then t.ok(e:find(o.error), ("%s: %s"):format(where, e)) end
      local after = alive()
      for _, kind in ipairs(KINDS) do
        t.ok(after[kind] <= before[kind], ("%s: %d %s stay"):format(where, after[kind] - before[kind], kind))
      end
      before = after
      fn()
    end
    t.ok(nth > 1, name .. " is not called")
  end
end

local WORDS <const> = "cuda:0.*cudaErrorInvalidValue: invalid argument"

local cases = {
  ["moving"] = emulated(function()
    local function moving()
      local _s <close> = sq.scope()
      local x = sq.tensor({ { 1, 2 }, { 3, 4 } }, { device = CARD })
      local y = sq.zeros({ 2, 2 }, { device = CARD })
      t.eq((x + y):totable(), { { 1, 2 }, { 3, 4 } })
    end
    sweep({ "cudaMemcpyAsync", "cudaMemsetAsync", "cudaStreamSynchronize" }, moving, { error = WORDS })
    sweep({ "cudaMallocAsync" }, moving, { error = WORDS })
    sweep({ "cudaMallocAsync" }, moving, { error = "out of memory on cuda:0", code = FULL,
      quiet = { cudaMallocAsync = true } }) -- operators ask again after a collection
  end),

  ["launches"] = emulated(function()
    local _s <close> = sq.scope()
    local x = sq.ones({ 5, 7 }, { device = CARD })
    sweep({ "cudaLaunchKernel" }, function()
      local _inner <close> = sq.scope()
      return ops.softmax(x * 2 + x)
    end, { error = "^.*: f32 %[5, 7%] on cuda:0: cudaErrorInvalidValue: invalid argument" })
  end),

  ["products fall back, or say why not"] = emulated(function()
    local _s <close> = sq.scope()
    local x = sq.ones({ 40, 50 }, { device = CARD })
    local function multiply(columns)
      return function()
        local _inner <close> = sq.scope()
        t.eq(ops.matmul(x, sq.ones({ 50, columns }, { device = CARD })):sum():item(), 40 * 50.0 * columns)
      end
    end
    multiply(3)()
    local columns = 3
    for _, name in ipairs { "cublasLtMatmulDescCreate", "cublasLtMatmulDescSetAttribute", "cublasLtMatrixLayoutCreate",
      "cublasLtMatrixLayoutSetAttribute", "cublasLtMatmulPreferenceCreate", "cublasLtMatmulPreferenceSetAttribute",
      "cublasLtMatmulAlgoGetHeuristic", "cublasLtMatmul" } do
      columns = columns + 1 -- a shape that has no algorithm yet
      local came, e = failing(name, 1, 15, multiply(columns))
      t.ok(came and not e, ("%s: %s"):format(name, e))
    end
    local _, e = failing("cublasLtMatmul", 1, 13, multiply(3))
    t.ok(e and e:find "matmul: f32 .* on cuda:0: cuBLASLt: a product: status 13", e)
    multiply(3)()
  end),

  ["graphs"] = emulated(function()
    local x = sq.ones({ 3, 4 }, { device = CARD })
    sweep({ "cudaStreamBeginCapture", "cudaStreamEndCapture", "cudaGraphInstantiate", "cudaGraphLaunch" }, function()
      local _s <close> = sq.scope()
      local graph <close> = sq.graph(function()
        local _inner <close> = sq.scope()
        return (ops.exp(x) * x + x):keep()
      end, CARD, true)
      graph()
      graph()
      return graph()
    end, { error = WORDS })
    x:close()
  end),

  ["a card that is full"] = emulated(function()
    local _s <close> = sq.scope()
    sq.ones({ 1 }, { device = CARD })
    card.set("memory", 64 << 20)
    local ok, e = pcall(function()
      local held = {}
      for i = 1, 20 do held[i] = sq.zeros({ 1 << 20 }, { device = CARD }) end
      return held
    end)
    card.set("memory", 1 << 34)
    t.ok(not ok and tostring(e):find "out of memory on cuda:0: 4.0 MiB wanted, tensors hold %d+%.%d MiB", tostring(e))
    sq.zeros({ 1 << 20 }, { device = CARD })
    local _, full = failing("cudaMallocAsync", 1, FULL, function() return sq.ones({ 9 }, { device = CARD }) end)
    t.ok(not full, full) -- a collection makes room
  end),

  ["a card that a kernel lost"] = emulated(function()
    local dir = t.tmpdir()
    local script = dir .. "/lost.lua"
    t.ok(sq.fs.write(script, [[
      local sq = require "sqlune"
      local x = sq.ones({ 3, 4 }, { device = "cuda:0" })
      local function tried(name, fn) print(name, select(2, pcall(fn))) end
      tried("read", function() return (x + x):totable() end)
      tried("operator", function() return sq.ops.exp(x) end)
      tried("new", function() return sq.ones({ 3 }, { device = "cuda:0" }) end)
      tried("moved", function() return x:to "cpu" end)
      tried("wait", function() sq.synchronize "cuda:0" end)
      x:close()
      collectgarbage()
      print "done"
    ]]))
    local pipe = assert(io.popen(("SQLUNE_CARD='fault=kernel:2:700' '%s' %s 2>&1"):format(
      sq.fs.realpath "/proc/self/exe", script)))
    local text = pipe:read "a"
    t.ok(pipe:close(), text)
    t.ok(text:find "done\n$", text)
    local lines = 0
    for line in text:gmatch "[^\n]+" do
      lines = lines + 1
      if line ~= "done" then
        t.ok(line:find "cuda:0" and line:find
          "cudaErrorIllegalAddress: an illegal memory access was encountered; the card is lost to this process", line)
      end
    end
    t.eq(lines, 6, text)
  end),
}
return cases
