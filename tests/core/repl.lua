-- The REPL typed into through a terminal (tests/pty.c), and its parts without one.
local t = require "tests.check"
local sq = require "sqlune"
local complete = require "sqlune.repl.complete"
local help = require "sqlune.repl.help"
local history = require "sqlune.repl.history"
local show = require "sqlune.repl.show"
local fs = sq.fs

local program = arg[-1]
local pty = fs.join(fs.dirname(program), "../pty")

---Types a script (see tests/pty.c; "$" waits for a prompt) into the REPL. Returns what was printed, and the history.
---@param status string?  the exit status, "0" unless told
local function type_in(script, arguments, state, status)
  if not fs.exists(pty) then t.skip("no " .. pty .. ": make test builds it") end
  state = state or t.tmpdir()
  script = script:gsub("%f[^\n\0]%$\n", "? 2004h\n")
  assert(fs.write(state .. "/script", script))
  local pipe = io.popen(("NO_COLOR=1 TERM=xterm XDG_STATE_HOME=%s %s %s %s < %s/script 2>&1; echo \"[$?]\""):format(
    state, pty, program, arguments or "", state))
  local output, code = pipe:read "a":match "^(.*)%[(%d+)%]\n$"
  pipe:close()
  output = output:gsub("\r", "")
  t.eq(code, status or "0", output)
  return output, fs.read(state .. "/sqlune/history")
end

---The names that TAB offers.
local function names(text, env)
  return (complete.candidates(text, env or _G, { "help", "time" }))
end

return {
  ["values, statements, locals, errors"] = function()
    local output = type_in [[
$
> 1 + 1\n
? 2
$
> local x = 5\n
$
> x, "a"\n
? 5   a
$
> _ * 2;\n
$
> _\n
? 10
$
> error "broken"\n
? repl:1: broken
$
> x = (\n
$
> 3)\n
$
> =x\n
? 3
$
> :time x\n
?  ms
$
> :tiem x\n
? did you mean ':time'?
$
> ?fs.raed\n
? did you mean 'sq.fs.read'?
$
> ?fs.read\n
? Reads a whole file as bytes.
$
> :who\n
? x                number    3
$
> :quit\n
]]
    t.ok(not output:find "traceback", output)
  end,

  ["history: arrows, whole entries, the next session"] = function()
    local state = t.tmpdir()
    local _, text = type_in([[
$
> for i = 1, 2 do\n
$
> print("line", i) end\n
? line	2
$
> "b\\\\c"\n
? b\\c
$
> \e[A\e[A\n
? line	1
$
> \x04
]], nil, state)
    t.eq(text, 'for i = 1, 2 do\\nprint("line", i) end\n"b\\\\\\\\c"\nfor i = 1, 2 do\\nprint("line", i) end\n')
    type_in([[
$
> \e[A\n
? line	2
$
> \x12b\\\\\e\n
. 100
$
> \x04
]], nil, state)
  end,

  ["a paste of several lines goes in whole, with any letters"] = function()
    local _, text = type_in [[
$
> \e[200~for i = 1, 2 do\n  print("日本語" .. i)\nend\e[201~
? end
> \n
? 日本語1
? 日本語2
$
> \x04
]]
    t.eq(text, 'for i = 1, 2 do\\n  print("日本語" .. i)\\nend\n')
  end,

  ["TAB completes and lists"] = function()
    type_in [[
$
> #sq.fs.basena\t("/a/bcd")\n
? 3
$
> sq.json.de\t("[7]")[1]\n
? 7
$
> sq.fs.rea\t
? read      realpath
> \x03
? ^C
$
> \x04
]]
  end,

  ["^C clears the line, stops loops that catch errors, and leaves the REPL alive"] = function()
    type_in [[
$
> x = 1 garbage
> \x03
? ^C
$
> while true do pcall(function() while true do end end) end\n
. 300
> \x03
? interrupted
$
> coroutine.wrap(function() while true do xpcall(function() while true do end end, print) end end)()\n
. 300
> \x03
? interrupted
$
> do local c <close> = setmetatable({}, {__close = function() print "cleaned" end}) while true do end end\n
. 300
> \x03
? ^Ccleaned
? interrupted
$
> "alive"\n
? 2004lalive
$
> \x04
]]
  end,

  ["^C in the middle of a write is no failure of the output"] = function()
    type_in [[
$
> while true do print "" end\n
z 300
> \x03
? interrupted
$
> \x04
]]
    local output = type_in("z 300\n> \\x03\n", "-e 'while true do print [[]] end'", nil, "130")
    t.ok(not output:find "could not be written", output)
  end,

  ["-i runs the script first; arg stays its own"] = function()
    local dir = t.tmpdir()
    assert(fs.write(dir .. "/first.lua", "answer = 42; given = ..."))
    type_in("$\n> answer, given, arg[0]:match '[^/]*$'\\n\n? 42   word   first.lua\n$\n> \\x04\n",
      "-i " .. dir .. "/first.lua word")
  end,

  ["without a terminal -i reads plain lines"] = function()
    local pipe = io.popen(("printf '1+1\\nlocal y = 2\\ny' | %s -i 2>&1"):format(program))
    local text = pipe:read "a"
    pipe:close()
    t.ok(text:find "> 2\n> > 2\n", text)
  end,

  ["names: chains, methods, parts of the library, commands"] = function()
    local base = { shared = 1, act = print }
    local object = setmetatable({ own = 1, call = print }, { __index = base })
    t.eq(names("o.", { o = object }), { "act", "call", "own", "shared" })
    t.eq(names("o:", { o = object }), { "act", "call" })
    t.eq(names("o.s", { o = object }), { "shared" })
    t.eq(names "sq.fs.sha", {})
    t.eq(names("sq.fs.sha", { sq = sq }), { "sha256", "sha256_bytes" })
    t.eq(names("sq.conf", { sq = sq }), { "config" })
    t.eq(names("x:narr", { x = sq.zeros { 2 } }), { "narrow" })
    t.eq(names("('a'):up", {}), { "upper" })
    t.eq(names("f().x", {}), {})
    t.eq(names(":t", {}), { "time" })
    t.eq(complete.complete("  ", {}, {}), "  ")
    t.eq(complete.complete("whi", {}, {}), "le")
  end,

  ["tables print to a depth, cycles are named"] = function()
    local loop = { 1 }
    loop.self = loop
    t.eq(show.text(loop), "{ 1, self = <cycle> }")
    t.eq(show.text { { { { { 1 } } } } }, "{ { { { {…} } } } }")
    t.eq(show.text { "a\nb", ["two words"] = true, [2.5] = {} }, '{ "a\\nb", [2.5] = {}, ["two words"] = true }')
    t.eq(show.text(setmetatable({}, { __tostring = function() return "own" end })), "own")
    local long = {}
    for i = 1, 100 do long[i] = i end
    t.ok(show.text(long):find "… 60 more")
    t.eq(show.results { n = 3, nil, "raw", 1.5 }, "nil   raw   1.5")
  end,

  ["help is known for every module of C"] = function()
    for name, module in pairs(require "sqlune.core") do
      if type(module) == "table" and next(module) then
        t.ok(not help.about("sq." .. name):find "^no help", name)
      end
    end
    t.ok(help.overview():find "\n  sq%.config +Settings of a recipe\n")
    t.ok(help.about "no_such_thing_at_all":find "^no help on")
    t.ok(history.path() == nil or history.path():find "/sqlune/history$")
  end,
}
