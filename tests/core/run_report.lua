-- Following a run: TensorBoard's event files to the byte, the report of a run folder, the list of runs.
local sq = require "sqlune"
local t = require "tests.check"
local events = require "sqlune.train.events"
local page = require "sqlune.report.run".page
local fs, json = sq.fs, sq.json

local function hex(bytes) return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end

---A run folder with these log entries and samples.
local function run_folder(name, settings, entries, samples)
  local folder = fs.join(t.tmpdir(), name)
  assert(fs.mkdir(folder))
  assert(fs.write(folder .. "/config.lua", sq.config.text(settings)))
  local function lines(list)
    local parts = {}
    for i, entry in ipairs(list) do parts[i] = json.encode(entry) .. "\n" end
    return table.concat(parts)
  end
  assert(fs.write(folder .. "/metrics.jsonl", lines(entries)))
  if samples then assert(fs.write(folder .. "/samples.jsonl", lines(samples))) end
  return folder
end

local function steps(count, more)
  local entries = {}
  for step = 1, count do
    entries[step] = { step = step, loss = 4 / step, lr = 1e-3, grad_norm = 2, grad_norms = { mlp = 1, norm = 1 },
      tokens = 100 * step, tokens_per_second = 1000, seconds = 0.1, memory = 2 ^ 20, time = 1700000000 + step }
  end
  for key, value in pairs(more or {}) do entries[count][key] = value end
  return entries
end

---Runs the program; returns what it printed (both streams) and its exit code.
local function run(arguments)
  local pipe = io.popen(("%s %s 2>&1; echo \"[$?]\""):format(arg[-1], arguments))
  local output, code = pipe:read("a"):match "^(.*)%[(%d+)%]\n$"
  pipe:close()
  return output, tonumber(code)
end

local cases = {}

cases["CRC-32C of the standard's example"] = function() t.eq(events.crc32c "123456789", 0xe3069283) end

cases["event files are these bytes"] = function() -- TensorBoard 2.21 read them back as the same steps and values
  local bytes = events.head(1700000000) .. events.scalars(1, 1700000001.5, { ["train/loss"] = 2.5 })
    .. events.scalars(300, 1700000002, { ["train/lr"] = 1e-3, ["eval/ex"] = 50 })
  t.eq(hex(bytes), "1800000000000000a37f4b220900000040fc54d9411a0d627261696e2e4576656e743a32eced8f9d"
    .. "200000000000000029eda9500900006040fc54d94110012a130a110a0a747261696e2f6c6f737315000020400c53709e"
    .. "2f000000000000006d5d1d500900008040fc54d94110ac022a210a0e0a076576616c2f657815000048420a0f0a08"
    .. "747261696e2f6c72156f12833a38d6b3b8")
end

cases["the log goes on behind a step, in all its files"] = function()
  local log = require "sqlune.train.log"
  local dir = t.tmpdir()
  local first = log.open(dir, 0)
  for step = 1, 5 do
    first:write { step = step, loss = step, grad_norms = { mlp = step == 3 and 0 / 0 or 1.5 }, eval_ex = 50 }
    first:write_samples { { step = step, pred = "SELECT \xff" } }
  end
  local whole = t.ok(fs.read(dir .. "/events.out.tfevents.sqlune"))
  local second = log.open(dir, 3)
  local kept = t.ok(fs.read(dir .. "/events.out.tfevents.sqlune"))
  t.eq(whole:sub(1, #kept), kept)
  for step = 4, 5 do second:write { step = step, loss = step, grad_norms = { mlp = 1.5 }, eval_ex = 50 } end
  local lines = select(2, t.ok(fs.read(dir .. "/metrics.jsonl")):gsub("\n", ""))
  t.eq(lines, 5)
  t.eq(select(2, t.ok(fs.read(dir .. "/samples.jsonl")):gsub("\n", "")), 3)
  t.ok(fs.read(dir .. "/metrics.jsonl"):find '"mlp": ?"nan"')
  log.open(dir, 0)
  t.eq(fs.read(dir .. "/metrics.jsonl"), "")
  t.ok(not fs.exists(dir .. "/samples.jsonl"))
end

cases["the report of a run: curves, evaluations, answers, skipped steps, settings"] = function()
  local entries = steps(30, { eval_loss = 0.5, eval_ex = 87.5, eval_ex_bird = 90, eval_executable = 100 })
  entries[7].skipped, entries[7].loss, entries[7].grad_norm = true, "nan", "inf"
  local folder = run_folder("sft", { lr = 1e-3, loss = { smoothing = 0.25 } }, entries, {
    { step = 10, question = "old", gold = "a", pred = "b", verdict = "wrong", db_name = "shop" },
    { step = 30, question = "How <many>?", gold = "SELECT 1", pred = "SELECT 2", verdict = "wrong" },
    { step = 30, question = "Who?", gold = "SELECT 1", pred = "SELEC", verdict = "error", error = "near SELEC" },
  })
  local html = sq.report.page(t.ok(page(folder)))
  for _, text in ipairs { "Training: sft", "87.5%", "gradient norm", "learning rate", "tokens per second",
    "memory of tensors", "1 step skipped", "How &lt;many&gt;?", "near SELEC", "smoothing = 0.25",
    "answers at step 30" } do
    t.ok(html:find(text, 1, true), text)
  end
  t.ok(not html:find("old", 1, true), "answers of an earlier evaluation")
  t.ok(not html:find("<script", 1, true))
  t.ok(not html:find("http", 1, true), "the page needs the network")
end

cases["routers as heat maps"] = function()
  local router = { own_group = 0.9, dropped = 0.1, load_by_dialect = { { 0.7, 0.3 }, { 0.2, 0.8 } },
    load_by_layer = { { 0.5, 0.5 } }, layers = { "model.layers.0.mlp.down_proj" } }
  local folder = run_folder("momq", { momq = { dialects = { "sqlite=0", "mysql=1" } } }, steps(3, { router = router }))
  local html = sq.report.page(t.ok(page(folder)))
  t.eq(select(2, html:gsub("<rect ", "")), 6)
  for _, text in ipairs { "Routers", ">sqlite<", ">mysql<", "0.mlp.down_proj", "own_group" } do
    t.ok(html:find(text, 1, true), text)
  end
end

cases["a folder that is no run, or a broken one"] = function()
  t.fails(function() return page(t.tmpdir()) end, "no run")
  t.fails(function() return page(run_folder("empty", {}, {})) end, "no step is logged")
  local folder = run_folder("broken", {}, {})
  assert(fs.write(folder .. "/metrics.jsonl", '{"step": 1, "loss"\n'))
  t.fails(function() return page(folder) end, "metrics%.jsonl")
end

cases["sqlune runs lists and compares"] = function()
  local one = run_folder("one", { lr = 1e-3, out = "a", loss = { smoothing = 0.0 } }, steps(40, { eval_loss = 0.25 }))
  local two = run_folder("two", { lr = 2e-3, out = "b", loss = { smoothing = 0.0 } }, steps(20))
  local text, code = run(("runs %s,%s"):format(one, two))
  t.eq(code, 0, text)
  t.ok(text:find("one +40 +open +0%.1%d+ +█[▁▂▃▄▅▆▇█]+ +0%.2500 +– +1%.0k"), text)
  t.ok(text:find "differs in +one +two\n +lr +0%.001 +0%.002", text)
  t.ok(not text:find "smoothing" and not text:find "\n +out", text)
  text, code = run(("runs %s --json --report"):format(fs.dirname(one)))
  t.eq(code, 0, text)
  local list = json.decode(text)
  t.eq(#list, 1)
  t.eq(list[1].step, 40)
  t.ok(fs.exists(one .. "/report.html"))
  text, code = run("runs " .. t.tmpdir())
  t.eq(code, 1)
  t.ok(text:find "no runs", text)
  text, code = run "runs /nonexistent"
  t.eq(code, 1)
  t.ok(text:find "/nonexistent: no such folder", text)
end

return cases
