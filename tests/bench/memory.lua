-- What a training step holds, of Qwen2.5-Coder's shapes, beside PyTorch with transformers and PEFT. Counted, not run.
--
--   make build/bin/sqlune-counted
--   build/bin/sqlune-counted tests/bench/memory.lua [PYTHON [FILTER [small]]]   FILTER: part of a row's name
--
-- sqlune-counted has a card that counts bytes and computes nothing (tests/gpu/counted.c): a shape of any size fits. The
-- peer's tensors have sizes and no bytes, too. bf16 weights, one packed row, the last twentieth labelled; the ways to
-- train are those of shapes.lua. A row is a second step, which finds the optimiser's moments. `small`: a tiny model.
local markdown = require "tests.bench.markdown"
local shapes = require "tests.bench.shapes"
local sq = require "sqlune"

local python = arg[1] ~= "" and arg[1] ~= "-" and arg[1] or nil
local filter, small = arg[2] or "", arg[3] == "small"
local CARD <const> = "cuda:0"
if #sq.devices() < 2 then
  print "no card that counts: build/bin/sqlune-counted"
  os.exit(0)
end
-- Weights need no numbers there.
sq.randn = function(dims, o) return sq.empty(dims, { dtype = o.dtype, device = CARD }) end ---@diagnostic disable-line
local names = small and { "small" } or { "0.5B", "1.5B", "7B" }

---Bytes that live, without what the collector has not come to.
local function live()
  collectgarbage()
  collectgarbage()
  return sq.tensor_memory(false, CARD).live_bytes
end

---What a name and a way have in common: fn(run, bytes of weights, bytes of moments and copies, bytes before).
local function with_model(name, way, layers, fn)
  collectgarbage()
  local _s <close> = sq.scope()
  local nothing = live()
  local run = shapes.model(name, way, CARD, layers)
  local weights = live() - nothing
  shapes.optimizer(run)
  fn(run, weights, live() - nothing - weights, nothing)
  shapes.close(run)
end

---Bytes of a second step: `held` by the tape when the forward pass is over; the most at once.
local function count(run, length, checkpoint)
  local data, held, peak = shapes.batch(length, run.model.shape.vocabulary), nil, nil
  for _ = 1, 2 do
    local before = live()
    sq.tensor_memory(true, CARD)
    shapes.step(run, data, checkpoint, function() held = live() - before end)
    peak = sq.tensor_memory(true, CARD).peak_bytes
  end
  return held, peak
end

---Bytes that one more layer holds for one more token, without and with checkpointing.
local function each_layer(name, way)
  local function of(checkpoint)
    local held = {}
    for layers = 2, 3 do
      with_model(name, way, layers, function(run)
        held[layers] = count(run, 4096, checkpoint) - count(run, 2048, checkpoint)
      end)
    end
    return (held[3] - held[2]) / 2048
  end
  return { [false] = of(false), [true] = of(true) }
end

local rows, order = {}, {}
for _, name in ipairs(names) do
  for _, way in ipairs(shapes.ways) do
    local titles, lengths = {}, small and { 24 } or { 2048, 8192 }
    for _, length in ipairs(lengths) do
      for _, checkpoint in ipairs { false, true } do
        local title = ("%s %s %d%s"):format(name, way, length, checkpoint and " checkpointing" or "")
        if title:find(filter, 1, true) then titles[#titles + 1] = { title, length, checkpoint } end
      end
    end
    if #titles > 0 then
      local each = each_layer(name, way)
      with_model(name, way, nil, function(run, weights, moments, nothing)
        for _, row in ipairs(titles) do
          local held, peak = count(run, row[2], row[3])
          order[#order + 1] = row[1]
          rows[row[1]] = { weights, moments, held, peak - nothing, each[row[3]] }
        end
      end)
    end
  end
end

-------------------------------------------------------------------------------------------------------------- peer

local theirs = {}
if python then
  local home = debug.getinfo(1, "S").source:sub(2):match "^(.*/)" or "./"
  local command = "'%s' '%smemory_peer.py' '%s' %s"
  local pipe = assert(io.popen(command:format(python, home, filter, small and "small" or "")))
  for line in pipe:lines() do
    local name, numbers = line:match "^([^\t]+)\t(.*)$"
    if name then
      theirs[name] = {}
      for n in numbers:gmatch "%S+" do table.insert(theirs[name], tonumber(n) or false) end
    end
  end
  pipe:close()
end
local function gib(n) return ("%.2f"):format(n / 2 ^ 30) end
local function plain(n) return ("%.0f"):format(n) end
local out = {}
for i, name in ipairs(order) do
  local a, b = rows[name], theirs[name] or {}
  local cells = { name }
  for k = 1, 4 do cells[1 + k] = gib(a[k]) .. (b[k] and " / " .. gib(b[k]) or "") end
  cells[6] = b[4] and ("%.2f"):format(a[4] / b[4]) or "-"
  cells[7] = plain(a[5])
  for k = 5, 6 do cells[7] = cells[7] .. (b[k] and " / " .. plain(b[k]) or "") end
  out[i] = cells
end
markdown({ "GiB, ours / PyTorch's", "weights", "moments, copies", "held after forward", "peak", "of theirs",
  "bytes a layer and token, / compiled" }, out)
