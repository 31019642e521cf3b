-- The fuzzers' corpus, replayed: every file of tests/fuzz/corpus through the function that `make fuzz` feeds.
local sq = require "sqlune"
local t = require "tests.check"

local build = sq.fs.dirname(sq.fs.dirname(sq.fs.realpath "/proc/self/exe"))

local function replay(name)
  local program = ("%s/fuzz-%s"):format(build, name)
  if not sq.fs.exists(program) then t.skip(program .. " is not built") end
  local folder = "tests/fuzz/corpus/" .. name
  local count = #assert(sq.fs.list(folder))
  local pipe = assert(io.popen(("%s %s/* 2>&1"):format(program, folder)))
  local output = pipe:read "a"
  local ok = pipe:close()
  t.ok(ok and count > 5, output)
  t.ok(output:find(count .. " files", 1, true), output)
end

return {
  ["M-Schema texts and saved schemas"] = function() replay "mschema_parse" end,
  ["MySQL's statements and definitions"] = function() replay "mysql_text" end,
  ["PostgreSQL's statements and values"] = function() replay "postgresql_text" end,
  ["tokens of SQL"] = function() replay "sql_lexer" end,
}
