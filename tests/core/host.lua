-- The executable: options, exit status, arg, chunks from stdin, LUA_INIT, recipes by name, interrupts, installation.
local t = require "tests.check"
local sq = require "sqlune"
local fs = sq.fs

local program = arg[-1]

---Runs a shell line in which %s stands for the program. Returns both streams' text and the exit status.
local function shell(line)
  local pipe = io.popen("{ " .. line:gsub("%%s", (program:gsub("%%", "%%%%"))) .. "; } 2>&1; echo \"[$?]\"")
  local text, code = pipe:read "a":match "^(.*)%[(%d+)%]\n$"
  pipe:close()
  return text, tonumber(code)
end

---Fails unless the line prints exactly the text and exits with the status.
local function expect(line, text, code)
  local printed, status = shell(line)
  t.eq(printed, text, line)
  t.eq(status, code or 0, line)
end

---Fails unless what the line prints matches the pattern.
local function expect_match(line, pattern, code)
  local printed, status = shell(line)
  t.ok(printed:find(pattern), line .. ": " .. printed)
  t.eq(status, code or 0, line)
end

local function script(text)
  local path = t.tmpdir() .. "/script.lua"
  assert(fs.write(path, text))
  return path
end

---Starts a script, sends a signal once it has printed "go", returns the rest of its text and its status.
local function signalled(text, signal, prefix)
  local path = script(text)
  local wait = "until grep -qs go %s.out || ! kill -0 $p 2>&-; do sleep 0.02; done; "
  return shell(("%s %%s %s > %s.out 2>&1 & p=$!; "):format(prefix or "", path, path) .. wait:format(path)
    .. ("kill -%s $p; wait $p; c=$?; cat %s.out; (exit $c)"):format(signal, path))
end

return {
  ["-e and -l in their order, -l g=mod, joined values"] = function()
    expect([[%s -e 'x = 1' -e 'print(x)' -l j=lpeg -e 'print(type(j))' -lsqlune -e'print(sqlune._VERSION)']],
      "1\ntable\nsqlune 0.1\n")
  end,

  ["-v and --version print, with -e the text runs too"] = function()
    local cards = {}
    for i, card in ipairs(sq.devices()) do cards[i - 1] = ("%s %s"):format(card.name, card.description) end
    local version = ("sqlune 0.1  Lua 5.4.4  %s\n"):format(cards[1] and table.concat(cards, ", ") or "cpu only")
    expect("%s --version", version)
    expect("%s -v -e 'print(2)'", version .. "2\n")
  end,

  ["wrong options: exit 2 with the nearest one"] = function()
    expect("%s --hlep", "sqlune: unknown option '--hlep' (did you mean '--help'?)\n", 2)
    expect("%s -x", "sqlune: unknown option '-x'; sqlune --help lists them\n", 2)
    expect("%s -e", "sqlune: '-e' needs a value; sqlune --help lists the options\n", 2)
    expect("%s --color pink -e 'x=1'", "sqlune: --color wants auto, always or never, not 'pink'\n", 2)
    expect_match("%s --help", "^usage: sqlune .*\n  %-%-list ")
  end,

  ["recipes by name, listed, nearest one; missing files"] = function()
    expect_match("%s --list", "\n  mschema +%S")
    expect_match("%s mschema --help", "^sqlune mschema: ")
    expect("%s mshema", "sqlune: no recipe and no file 'mshema' (did you mean 'mschema'?)\n", 2)
    expect("%s ./none.lua", "sqlune: cannot open ./none.lua: No such file or directory\n", 1)
  end,

  ["arg and ... as lua.c gives them"] = function()
    local path = script "print(arg[0]:match '[^/]*$', arg[1], arg[2], #arg, arg[-1], ...)"
    expect("%s -E " .. path .. " -e --x", "script.lua\t-e\t--x\t2\t-E\t-e\t--x\n")
    expect("%s -- " .. path .. " a", "script.lua\ta\tnil\t1\t--\ta\n")
  end,

  ["a script finds modules in its folder; its first line may be #!"] = function()
    local path = script "#!/usr/bin/env sqlune\nprint(require 'beside_the_script')"
    assert(fs.write(fs.dirname(path) .. "/beside_the_script.lua", "return 'found'"))
    expect_match("%s " .. path, "^found")
  end,

  ["stdin is a chunk when it is no terminal"] = function()
    expect("echo 'print(6 * 7)' | %s", "42\n")
    expect("echo 'print(...)' | %s - a b", "a\tb\n")
  end,

  ["LUA_INIT: versioned first, @file, not with -E"] = function()
    expect("LUA_INIT='print(1)' %s -e 'print(2)'", "1\n2\n")
    expect("LUA_INIT='print(1)' LUA_INIT_5_4='print(4)' %s -e 'print(2)'", "4\n2\n")
    expect("LUA_INIT=@" .. script "print 'file'" .. " %s -e 'print(2)'", "file\n2\n")
    expect("LUA_INIT='print(1)' %s -E -e 'print(2)'", "2\n")
    expect_match("LUA_INIT='error \"in it\"' %s -e 'print(2)'", "^sqlune: LUA_INIT:1: in it", 1)
  end,

  ["errors: message, traceback also for objects, exit 1; os.exit"] = function()
    expect_match("%s -e 'error \"here\"'", "^sqlune: %(command line%):1: here\nstack traceback:\n", 1)
    expect_match([[%s -e 'error(setmetatable({}, {__tostring = function() return "an object" end}))']],
      "^sqlune: an object\nstack traceback:\n", 1)
    expect_match("%s -e 'error {}'", "^sqlune: %(error object is a table value%)\n", 1)
    expect_match("%s -e 'x ='", "^sqlune: %(command line%):1: unexpected symbol near <eof>", 1)
    expect("%s -e 'os.exit(7, true)'", "", 7)
  end,

  ["warnings need -W"] = function()
    expect("%s -e 'warn \"w\"'", "")
    expect("%s -W -e 'warn \"w\"'", "Lua warning: w\n")
  end,

  ["--color"] = function()
    local text = [[-e 'io.write(require "sqlune.term".style("x", "red"))']]
    expect("%s --color always " .. text, "\27[31mx\27[0m")
    expect("%s --color=never " .. text, "x")
  end,

  ["an interrupt passes pcall, xpcall and coroutines, closes variables, exits 130; SIGTERM 143"] = function()
    local text = [[
      io.stdout:setvbuf "no"
      local sq = require "sqlune"
      local outer <close> = setmetatable({}, { __close = function()
        print("outer", sq.sys.interrupted(), sq.ones({ 2, 2 }):sum():item()) -- C works again
      end })
      print "go"
      local co = coroutine.wrap(function()
        local inner <close> = setmetatable({}, { __close = function() print "inner" end })
        while true do
          pcall(function() xpcall(function() while true do end end, function(e) return tostring(e) end) end)
        end
      end)
      while true do pcall(co) end]]
    local printed, code = signalled(text, "INT")
    t.eq(printed, "go\ninner\nouter\t2\t4.0\nsqlune: interrupted\n")
    t.eq(code, 130)
    printed, code = signalled(text, "TERM")
    t.eq(printed, "go\ninner\nouter\t15\t4.0\nsqlune: ended by a signal\n")
    t.eq(code, 143)
  end,

  ["an interrupt ends long work in C"] = function()
    local printed, code = signalled([[
      io.stdout:setvbuf "no"
      local sq = require "sqlune"
      local path = os.tmpname()
      os.remove(path)
      assert(sq.db.create(path, "CREATE TABLE t(a)"))
      local db = sq.db.open(path)
      print "go"
      pcall(function()
        local endless = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT max(n) FROM c"
        db:query(endless, { timeout = 60 })
        print "not reached"
      end)
      print "not reached either"]], "INT")
    t.eq(printed, "go\nsqlune: interrupted\n")
    t.eq(code, 130)
  end,

  ["coroutines, pcall and xpcall behave as Lua's"] = function()
    local co = coroutine.create(function(a)
      coroutine.yield(a + 1)
      error "boom"
    end)
    t.eq({ coroutine.resume(co, 1) }, { true, 2 })
    t.fails(function() return assert(coroutine.resume(co)) end, "boom")
    t.eq({ coroutine.resume(co) }, { false, "cannot resume dead coroutine" })
    local closed
    local wrapped = coroutine.wrap(function()
      local _x <close> = setmetatable({}, { __close = function(_, e) closed = e end })
      coroutine.yield(1)
      error({ "object" })
    end)
    t.eq(wrapped(), 1)
    local ok, e = pcall(wrapped)
    t.eq({ ok, e[1], closed == e }, { false, "object", true })
    t.fails(wrapped, "cannot resume dead coroutine")
    local across = coroutine.wrap(function()
      local _, message = pcall(function()
        coroutine.yield "yielded"
        error("after", 0)
      end)
      return message, xpcall(function(...) return coroutine.yield(...) end, debug.traceback, "x")
    end)
    t.eq({ across(), across(), across "y" }, { "yielded", "x", "after", true, "y" })
    t.eq(select("#", pcall(function() return nil, nil end)), 3)
    t.eq({ xpcall(error, function(m) return "handled " .. m end, "it") }, { false, "handled it" })
    t.eq(coroutine.close(coroutine.create(print)), true)
    t.fails(function() coroutine.close(coroutine.running()) end, "cannot close a running coroutine")
  end,

  ["OMP_WAIT_POLICY is passive unless it was set"] = function()
    expect("env -u OMP_WAIT_POLICY %s -e 'print(os.getenv \"OMP_WAIT_POLICY\")'", "passive\n")
    expect("OMP_WAIT_POLICY=active %s -e 'print(os.getenv \"OMP_WAIT_POLICY\")'", "active\n")
    expect_match("env -u OMP_WAIT_POLICY OMP_DISPLAY_ENV=true %s -e 'require(\"sqlune\").ones { 70000 }:sum()'",
      "OMP_WAIT_POLICY ?= ?'PASSIVE'")
  end,

  ["a full stdout is an error, whoever prints and however the program ends"] = function()
    local function refused(line, code)
      expect_match(line .. " > /dev/full", "^sqlune: standard output could not be written: %C+\n$", code or 1)
    end
    refused "%s -e 'print(1)'"
    refused "%s -e 'io.write(1)'"
    refused "%s -e 'for i = 1, 1e5 do io.write(i, \" \") end'"
    refused "%s -e 'print(1) os.exit(0, true)'"
    refused "%s -e 'print(1) os.exit()'"
    refused("%s -e 'print(1) os.exit(7)'", 7)
    refused "%s --version"
    refused "%s --list"
    refused "echo 'print(1)' | %s -i"
    for _, name in ipairs(fs.list "recipes") do refused("%s " .. name:gsub("%.lua$", "") .. " --help") end
    expect_match("%s -e 'io.write(1) error \"broken\"' > /dev/full", "broken.*\nsqlune: standard output could not", 1)
    expect("%s -e 'x = 1' > /dev/full", "") -- nothing was printed
    expect("%s -e 'x = 1' >&-", "")
    expect("%s -e 'io.write(1)' >&-", "sqlune: standard output could not be written: Bad file descriptor\n", 1)
  end,

  ["the aggressive collector works in the middle of bindings, and a signal still ends it"] = function()
    expect_match([[SQLUNE_GC=stress %s -e '
      local sq, lpeg = require "sqlune", require "lpeg"
      collectgarbage "stop" -- what goes now goes by full collections inside sq.zeros
      local closed = false
      local weak = setmetatable({ setmetatable({}, { __gc = function() closed = true end }) }, { __mode = "v" })
      for _ = 1, 60 do local _ = sq.zeros { 1 } end
      assert(weak[1] == nil and closed)
      for _ = 1, 2000 do assert(lpeg.match(lpeg.P "a"^0, "aaa") == 4) end -- LPeg asks for memory once only
      print "fine"']], "^fine\n$")
    local printed, code = signalled([[
      io.stdout:setvbuf "no"
      local sq, lpeg = require "sqlune", require "lpeg"
      local word = lpeg.C(lpeg.R "az"^1) / function(s) return sq.zeros { #s }:sum():item() end
      print "go"
      while true do pcall(function() for _ = 1, 100 do word:match "some" end error {} end) end]], "TERM",
      "SQLUNE_GC=stress timeout 20")
    t.eq({ printed, code }, { "go\nsqlune: ended by a signal\n", 143 })
  end,

  ["SQLUNE_GC is stress or nothing"] = function()
    expect("SQLUNE_GC=stress %s -e 'local t = {} for i = 1, 2000 do t[i] = {i .. \"\"} end print(#t)'", "2000\n")
    expect("SQLUNE_GC=hard %s -e 'print(1)'", "sqlune: SQLUNE_GC must be stress or empty\n", 2)
  end,

  ["an installation runs without its source tree"] = function()
    local dir = t.tmpdir()
    for _, part in ipairs { "lua", "recipes", "configs", "examples" } do
      assert(os.execute(("mkdir -p %s/share/sqlune && cp -r %s %s/share/sqlune/"):format(dir, part, dir)))
    end
    assert(os.execute(("mkdir -p %s/bin && cp %s %s/bin/sqlune"):format(dir, program, dir)))
    expect_match(("cd / && %s/bin/sqlune mschema --help"):format(dir), "^sqlune mschema: ")
    expect_match(("cd / && SQLUNE_HOME=/nowhere %s/bin/sqlune --list"):format(dir), "^sqlune: .*/nowhere", 1)
  end,
}
