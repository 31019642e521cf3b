-- Libraries that are opened when they are first needed: what the start does without, what one that is missing says.
local sq = require "sqlune"
local t = require "tests.check"
local fs = sq.fs

local program = fs.realpath "/proc/self/exe"
local LATE = { "libpq", "libmariadb", "libcurl", "libdnnl", "libedit", "libcrypto", "libstdc++" }

---What a script prints in a fresh process, stderr included; `folder` comes first in the search for libraries.
local function run(script, folder)
  local path = t.tmpdir() .. "/script.lua"
  assert(fs.write(path, script))
  local pipe = io.popen(("unset SQLUNE_GC; LD_LIBRARY_PATH='%s' '%s' '%s' 2>&1"):format(folder or "", program, path))
  local text = pipe:read "a"
  pipe:close()
  return text
end

---A folder in which libraries have the right names and nothing in them.
local function broken(...)
  local folder = t.tmpdir()
  for _, name in ipairs { ... } do assert(fs.write(folder .. "/" .. name, "")) end
  return folder
end

local OPEN = [[
  local sq = require "sqlune"
  local conn, message, code = sq.db.open { dialect = "%s", host = "127.0.0.1", port = 1, timeout = 1 }
  print(conn, message, code)
]]

return {
  ["the start opens none of them"] = function()
    local text = run [[
      local sq = require "sqlune"
      local rows = sq.schema.parse "x"
      for line in io.lines "/proc/self/maps" do print(line) end
    ]]
    t.ok(text:find("libutf8proc", 1, true), text)
    for _, name in ipairs(LATE) do
      local ours = name ~= "libstdc++" or not os.getenv "SQLUNE_SANITIZED" -- gcc's sanitizers bring that one
      t.ok(not ours or not text:find(name, 1, true), name)
    end
  end,

  ["a missing client of a server is an error that names it"] = function()
    local folder = broken("libpq.so.5", "libmariadb.so.3")
    for dialect, library in pairs { postgresql = "libpq.so.5", mysql = "libmariadb.so.3" } do
      local text = run(OPEN:format(dialect), folder)
      t.ok(text:find("nil\t.*cannot load a library: .*" .. library:gsub("%.", "%%.") .. ".*\tSQLUNE_IO"), text)
    end
  end,

  ["a missing curl is an error that names it"] = function()
    local text = run([[print(require "sqlune".http.request { url = "http://127.0.0.1:1/" })]], broken "libcurl.so.4")
    t.ok(text:find "nil\tcannot load a library: .*libcurl%.so%.4.*\tSQLUNE_IO", text)
  end,

  ["without oneDNN products are right, and slow ones are announced"] = function()
    local text = run([[
      local sq = require "sqlune"
      local a = sq.ones { 40, 50 }
      print(a:matmul(sq.ones { 50, 60 }):sum():item())
    ]], broken("libdnnl.so.2", "libdnnl.so.3"))
    t.ok(text:find "120000", text)
    local rest = text:gsub("120000[%.0]*\n", "") -- a processor with tiles of its own needs no oneDNN
    t.ok(rest == "" or rest:find "^sqlune: cannot load a library: .*libdnnl.*; products are slow without it\n$", text)
  end,
}
