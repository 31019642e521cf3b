-- ^C and requests to end while a model is trained: what is saved, what is said, how it ends, and that the run goes on
-- to the same weights; the same in a terminal, and through the quickstart.
local sq = require "sqlune"
local t = require "tests.check"
local workshop = require "tests.workshop"
local fs = sq.fs
local program = workshop.program
local pty = fs.join(fs.dirname(program), "../pty")

-- Long enough for a few signals; the collector of SQLUNE_GC makes each step ten times as long.
local SETTINGS = ("epochs=%d batch_tokens=60 save_every=0"):format(os.getenv "SQLUNE_GC" and 6 or 40)

---Starts sft, sends a signal once the log has `steps` lines, gives what it printed and its exit code.
local function stopped(dir, out, signal, steps, settings)
  local log = fs.join(dir, out, "metrics.jsonl")
  return workshop.sft(dir, out, settings .. (" 2>&1 & p=$!; until [ $(cat %s 2>/dev/null | wc -l) -ge %d ] "
    .. "|| ! kill -0 $p 2>/dev/null; do sleep 0.01; done; kill -%s $p; wait $p"):format(log, steps, signal))
end

---Runs `command` in a terminal and plays a script of tests/pty.c. Gives what was printed and the exit code.
local function in_terminal(command, script)
  if not fs.exists(pty) then t.skip("no " .. pty .. ": make test builds it") end
  local dir = t.tmpdir()
  assert(fs.write(dir .. "/script", script))
  local text, code = workshop.shell(("NO_COLOR=1 TERM=xterm %s %s %s < %s/script"):format(pty, program, command, dir))
  return text:gsub("\r", ""), code
end

---The same with a Lua program.
local function chunk_in_terminal(text, script)
  local path = t.tmpdir() .. "/chunk.lua"
  assert(fs.write(path, text))
  return in_terminal(path, script)
end

local function check_stopped(dir, out, text, code, signal)
  local list = sq.train.checkpoints(fs.join(dir, out))
  t.eq(#list, 1, text)
  t.eq(code, ({ HUP = 129, INT = 130, TERM = 143 })[signal], text)
  t.ok(text:find(("saved %s/%s/checkpoint-%d: go on with resume=true\n"):format(dir, out, list[1].step), 1, true), text)
  t.ok(text:find(signal == "INT" and "sqlune: interrupted\n" or "sqlune: ended by a signal\n", 1, true), text)
  t.ok(not text:find "traceback", text)
  t.eq(#workshop.entries(dir, out), list[1].step, "the log ends with the checkpoint's step")
  t.ok(not fs.exists(fs.join(dir, out, "model.safetensors")))
  for _, name in ipairs(fs.list(fs.join(dir, out))) do t.ok(not name:find "saving", name) end
  return list[1].step
end

return {
  ["stopped again and again, a run ends with the weights of one that was not"] = function()
    local dir = workshop.new()
    local text, code = workshop.sft(dir, "whole", SETTINGS)
    t.eq(code, 0, text)
    local total = #workshop.losses(dir, "whole")
    local settings, times, done = SETTINGS, 0, 0
    for i, signal in ipairs { "INT", "TERM", "HUP", "INT", "TERM" } do
      text, code = stopped(dir, "stopped", signal, done + 3, settings)
      if code == 0 then break end -- faster than the signal
      done = check_stopped(dir, "stopped", text, code, signal)
      settings, times = SETTINGS .. " resume=true save_total_limit=1", i
    end
    t.ok(times >= 2, "the signals came too late")
    if code ~= 0 then
      text, code = workshop.sft(dir, "stopped", settings)
      t.eq(code, 0, text)
    end
    t.eq(workshop.weights(dir, "stopped"), workshop.weights(dir, "whole"))
    local one, other = workshop.entries(dir, "stopped"), workshop.entries(dir, "whole")
    t.eq(#one, total)
    for i, entry in ipairs(one) do
      t.eq(entry.step, i)
      t.ok(entry.loss == other[i].loss or entry.loss == nil) -- nil: the signal came between update and log
    end
  end,

  ["an update is whole or not there, wherever the signal comes"] = function()
    local path = t.tmpdir() .. "/script.lua"
    assert(fs.write(path, [[
      local sq = require "sqlune"
      io.stdout:setvbuf "no"
      local a, b = 0, 0
      local _end <close> = setmetatable({}, { __close = function() print(a == b, a > 0) end })
      print "go"
      while true do
        pcall(sq.sys.uninterrupted, function()
          a = a + 1
          for _ = 1, 300 do local _ = sq.zeros { 1 } end
          b = b + 1
          error "caught"
        end)
      end]]))
    local wait = "until grep -qs go %s || ! kill -0 $p 2>&-; do sleep 0.01; done; sleep 0.0%d; kill -INT $p; "
    for i = 1, 5 do
      local out = ("%s.%d"):format(path, i) -- a file of its own: the last one's "go" is not this one's
      local text, code = workshop.shell(("%s %s > %s 2>&1 & p=$!; "):format(program, path, out)
        .. wait:format(out, i) .. ("wait $p; c=$?; cat %s; (exit $c)"):format(out))
      t.eq({ text, code }, { "go\ntrue\ttrue\nsqlune: interrupted\n", 130 })
    end
    t.eq({ sq.sys.uninterrupted(function(...) return ... end, 1, nil, 3) }, { 1, nil, 3 })
    t.fails(function() sq.sys.uninterrupted(error, "its own") end, "its own")
  end,

  ["in a terminal: ^C at the progress bar saves, then the line is free"] = function()
    local dir = workshop.new()
    local command = ("sft model=%s/model data=%s/data.json out=%s/run batch_tokens=60 epochs=200"):format(dir, dir, dir)
    local text, code = in_terminal(command, "? loss\n> \\x03\n? go on with resume=true\n? interrupted\n")
    t.eq(code, 130, text)
    t.eq(#sq.train.checkpoints(dir .. "/run"), 1)
    t.ok(text:find "\nsaved [^\n]*resume=true\nsqlune: interrupted\n$", text)
  end,

  ["a second ^C ends the clean-up of the first, a third the process"] = function()
    local text, code = chunk_in_terminal([[
      local _outer <close> = setmetatable({}, { __close = function() print "outer closed" end })
      local _inner <close> = setmetatable({}, { __close = function()
        print "cleaning"
        while true do pcall(error, "caught") end
      end })
      print "go"
      while true do end]], "? go\n> \\x03\n? cleaning\n> \\x03\n? interrupted\n")
    t.eq(code, 130, text)
    t.ok(text:find "outer closed\nsqlune: interrupted\n$", text)
    -- Lua's own pattern matching neither ends here nor looks at the flag.
    text, code = chunk_in_terminal([[
      local _end <close> = setmetatable({}, { __close = function() print "closed" end })
      print "go"
      print(("a"):rep(40):find(("a-"):rep(40) .. "b"))]], "? go\n. 200\n> \\x03\n. 200\n> \\x03\n. 200\n> \\x03\n")
    t.eq(code, 130, text)
    t.ok(not text:find "closed", text)
  end,

  ["a second ^C during the save leaves the checkpoints that were there, and no half one"] = function()
    local dir = workshop.new()
    local text, code = chunk_in_terminal(([[
      local sq = require "sqlune"
      local run <close> = sq.train.run { out = "%s/run", save_every = 1, save_total_limit = 0 }
      local model = sq.models.load("%s/model", { train = true })
      local optimizer = sq.optim.adamw(model:names(), model:parameters())
      local save = model.save
      function model:save(folder, o)
        local result = save(self, folder, o)
        if folder:find "%%-3$" then
          print "saving"
          while true do end
        end
        return result
      end
      run:track { model = model, optimizer = optimizer, batches = {
        steps = function() return 9 end, samples = { digest = "" }, seed = 1, batching = "packed",
        at = function() return {} end,
      } }
      for step in run:steps() do
        run:log { loss = 1 }
        if step == 3 then
          optimizer.moves = optimizer.moves + 1
          print "go"
          while true do end
        end
      end]]):format(dir, dir), "? go\n> \\x03\n? saving\n> \\x03\n? interrupted\n")
    t.eq(code, 130, text)
    local steps = {}
    for i, one in ipairs(sq.train.checkpoints(dir .. "/run")) do steps[i] = one.step end
    t.eq(steps, { 1, 2 })
    t.ok(fs.exists(dir .. "/run/.saving-checkpoint-3"), text) -- not a checkpoint; the next run removes it
  end,

  ["the quickstart goes on with the training that was broken off, not with that of other data"] = function()
    local out = t.tmpdir() .. "/quickstart"
    local words = ("'%s' quickstart out=%s train=120 test=12 sft_epochs=0.3 pretrain_epochs="):format(program, out)
    local function started(epochs, signal, steps)
      local wait = "until [ $(cat %s/base/metrics.jsonl 2>/dev/null | wc -l) -ge %d ] "
        .. "|| ! kill -0 $p 2>/dev/null; do sleep 0.02; done; "
      local stop = "c=$(ps -o pid= --ppid $p); g=$(ps -o pid= --ppid $c); kill -%s ${g:-$c}; wait $p"
      return workshop.shell(("SQLUNE_GC= OMP_NUM_THREADS=1 %s%g 2>&1 & p=$!; "):format(words, epochs)
        .. (wait .. stop):format(out, steps, signal))
    end
    local text, code = started(20, "INT", 2) -- the training gets it, as from a terminal; the quickstart ends with it
    t.eq(code, 130, text)
    t.ok(text:find "go on with resume=true", text)
    local step = sq.train.checkpoints(out .. "/base")[1].step
    t.ok(fs.write(out .. "/base/mark", ""))
    text, code = started(20, "TERM", step + 2)
    t.eq(code, 143, text)
    t.ok(text:find "sft [^\n]* resume=true\n", text)
    t.ok(fs.exists(out .. "/base/mark"), "the run's folder was kept")
    text, code = workshop.shell(("SQLUNE_GC= OMP_NUM_THREADS=1 %s0.3"):format(words)) -- other settings: from the start
    t.eq(code, 0, text)
    t.ok(not text:find "resume=true", text)
    t.ok(not fs.exists(out .. "/base/mark"), "the run's folder was cleared")
  end,
}
