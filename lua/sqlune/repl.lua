-- The REPL: reads, runs, prints. The executable gives it the line editor and a call that ends at errors and at ^C.
local complete = require "sqlune.repl.complete"
local help = require "sqlune.repl.help"
local history = require "sqlune.repl.history"
local show = require "sqlune.repl.show"
local sq = require "sqlune"
local term = require "sqlune.term"

local M = {}

---@class sqlune.repl.Host
---@field read fun(prompt: string, completer: function): string|false|nil  a line; false after ^C; nil at the end
---@field remember fun(entry: string)
---@field attempt fun(f: function, ...): boolean?, any  true and results; false and the error; nothing after ^C

local KEEP = "__keep_locals" -- called at the end of a chunk with locals, so that they stay
local USAGE = [[
  expression         its value is printed; a ; at the end keeps it quiet; _ is the last value
  statement          locals stay for the next lines
  ?                  this page and the modules      ?name        what is known about a name
  :time EXPRESSION   how long it takes              :load FILE   run a file
  :who               your globals                   :mem         memory
  :help              this page                      :quit, ^D    leave
  TAB completes, ^R searches the history, ^C stops what runs]]

local commands = {}

local function say(text) io.stdout:write(text, "\n") end

local function first_line(value)
  local text = show.text(value):match "^[^\n]*"
  return term.cut(text, 60)
end

---Copies the locals of the chunk that calls it into the globals.
local function keep_locals()
  for i = 1, math.huge do
    local name, value = debug.getlocal(2, i)
    if name == nil then return end
    if not name:find "^%(" then _G[name] = value end
  end
end

---A text as a function: first as an expression, then as a statement. Returns nil, message, whether more lines may help.
local function compile(text)
  local expression = text:gsub("^%s*=", ""):gsub("[;%s]+$", "")
  local chunk = load("return " .. expression, "=repl", "t")
  if chunk then return chunk, text:find ";%s*$" ~= nil end
  local plain, message = load(text, "=repl", "t")
  if not plain then return nil, message, message:find "<eof>$" ~= nil end
  if text:find "%f[%w_]local%f[^%w_]" then
    local keeping = load(text .. "\n" .. KEEP .. "()", "=repl", "t")
    if keeping then return keeping, true, KEEP end
  end
  return plain, false
end

---The traceback without the REPL's own frames; only the message where nothing else is in it.
local function shorten(message)
  local lines, inside = {}, false
  for line in (message .. "\n"):gmatch "(.-)\n" do
    if inside and line:find "^\t%[C%]: in field 'attempt'" then break end
    if inside and line:find "repl:%d+: in main chunk" then
      lines[#lines + 1] = line
      break
    end
    inside = inside or line == "stack traceback:"
    lines[#lines + 1] = line
  end
  local own = 0
  for _, line in ipairs(lines) do
    local outer = line:find "in function 'error'" or line:find "^\t%[C%]: in %?"
    if line:find "^\t" and not outer then own = own + 1 end
  end
  local text = table.concat(lines, "\n")
  return own <= 1 and text:gsub("\nstack traceback:.*", "") or text
end

local function fail(message)
  io.stdout:flush()
  io.stderr:write(term.style(shorten(tostring(message)), "red", 2), "\n")
end

---Runs a function and prints its results unless `silent`. True if it came to its end.
local function evaluate(host, f, silent)
  local outcome = table.pack(host.attempt(f))
  if outcome.n == 0 then
    io.stderr:write "interrupted\n"
    return false
  elseif not outcome[1] then
    fail(outcome[2])
    return false
  end
  if outcome.n > 1 then
    _G._ = outcome[2]
    local results = table.move(outcome, 2, outcome.n, 1, { n = outcome.n - 1 })
    local ok, text = host.attempt(show.results, results) -- __tostring is anybody's code
    if ok and not silent then say(text) elseif ok == false then fail(text) end
  end
  return true
end

local function run_text(host, text)
  local chunk, silent, keep = compile(text)
  if not chunk then return fail(silent) end
  if keep then _G[KEEP] = keep_locals end
  evaluate(host, chunk, silent)
  _G[KEEP] = nil
end

function commands.time(host, rest)
  local chunk, message = compile(rest)
  if not chunk then return fail(message) end
  local start = sq.sys.clock()
  if evaluate(host, chunk, rest:find ";%s*$" ~= nil) then say(("%.3f ms"):format(1e3 * (sq.sys.clock() - start))) end
end

function commands.load(host, rest)
  local chunk, message = loadfile((rest:gsub("^['\"]", ""):gsub("['\"]$", "")))
  if not chunk then return fail(message) end
  evaluate(host, chunk)
end

function commands.mem()
  local memory = sq.sys.memory()
  say(("Lua %.1f MiB   C %.1f MiB in %d blocks (peak %.1f MiB)"):format(collectgarbage "count" / 1024,
    memory.live_bytes / 2 ^ 20, memory.live_blocks, memory.peak_bytes / 2 ^ 20))
end

function commands.who(host)
  local names = {}
  for name in pairs(_G) do
    if type(name) == "string" and not host.builtin[name] and name ~= "_" then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    say(("  %-16s %-9s %s"):format(name, type(_G[name]), type(_G[name]) == "function" and "" or first_line(_G[name])))
  end
  if #names == 0 then say "  no globals of yours" end
end

function commands.help() say(USAGE) end

function commands.quit() return true end

local function command_names()
  local names = {}
  for name in pairs(commands) do names[#names + 1] = name end
  table.sort(names)
  return names
end

---Obeys a line that begins with ? or :. True if the REPL must end.
local function obey(host, line)
  local topic = line:match "^%?%s*(.-)%s*$"
  if topic == "" then return say(USAGE .. "\n\n" .. help.overview()) end
  if topic then return say(help.about(topic)) end
  local name, rest = line:match "^:(%a+)%s*(.-)%s*$"
  if commands[name] then return commands[name](host, rest) end
  local near = name and sq.config.nearest(name, command_names())
  fail(("no command '%s'%s"):format(line, near and (" (did you mean ':%s'?)"):format(near) or "; :help lists them"))
end

---Reads lines until they make a whole chunk. Returns it; false after ^C; nil at the end of input.
local function read_entry(host, completer)
  local entry = host.read(tostring(_G._PROMPT or "> "), completer)
  if not entry or entry:find "^%s*[?:]" then return entry end
  local _, _, incomplete = compile(entry)
  while incomplete == true do
    local line = host.read(tostring(_G._PROMPT2 or ">> "), completer)
    if not line then return line end
    entry = entry .. "\n" .. line
    _, _, incomplete = compile(entry)
  end
  return entry
end

---Runs until the end of input.
---@param host sqlune.repl.Host
function M.run(host)
  _G.sq = sq
  host.builtin = { [KEEP] = true }
  for name in pairs(_G) do host.builtin[name] = true end
  local names = command_names()
  local function completer(text)
    if text:find "^%?" then return complete.complete(text:sub(2), { sq = sq }, names) end
    return complete.complete(text, _G, names)
  end
  local past <close> = history.open(host)
  say(sq._VERSION .. "  " .. _VERSION .. "    ? for help")
  while true do
    local entry = read_entry(host, completer)
    if entry == nil then break end
    if entry and entry:find "%S" then
      past:add(entry)
      local line = entry:match "^%s*(.*)$"
      if not line:find "^[?:]" or line:find "^::" then
        run_text(host, entry)
      elseif obey(host, line) then
        return
      end
    end
  end
  if sq.sys.isatty(0) then say "" end
end

return M
