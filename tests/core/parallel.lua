-- Work on several Lua states: order, errors with their place, what ends the threads, nothing left behind.
local t = require "tests.check"
local sq = require "sqlune"
local fs, parallel = sq.fs, sq.parallel

---A module for workers in a folder that require finds; gives its name.
local function module_of(text)
  local dir = t.tmpdir()
  assert(fs.write(dir .. "/jobs_of_a_test.lua", text))
  return dir, "jobs_of_a_test"
end

---Calls fn with a module on package.path.
local function with_module(text, fn)
  local dir, name = module_of(text)
  local before = package.path
  package.path, package.loaded[name] = dir .. "/?.lua;" .. before, nil
  local ok, message = pcall(fn, name)
  package.path = before
  if not ok then error(message, 0) end
end

local SQUARES = [[return function(argument)
  local base = assert(math.tointeger(argument))
  return function(job)
    local n = math.tointeger(job)
    if n == 13 then return nil, "item 13 is wrong" end
    if n == 17 then error "item 17 fails" end
    if n == 19 then return 5 end
    local sum = base
    for i = 1, n % 7 * 10000 do sum = sum + i % 2 end -- some take longer than others
    return job .. ":" .. sum
  end
end]]

local function numbers(from, to)
  local list = {}
  for n = from, to do list[#list + 1] = tostring(n) end
  return list
end

return {
  ["results are in order, whatever the number of workers"] = function()
    with_module(SQUARES, function(name)
      local expected = assert(parallel.map({ module = name, argument = "100", workers = 1 }, numbers(100, 300)))
      t.eq(#expected, 201)
      t.eq(expected[1], "100:10100")
      for _, workers in ipairs { 0, 2, 3, 7 } do
        t.eq(assert(parallel.map({ module = name, argument = "100", workers = workers }, numbers(100, 300))), expected)
      end
      t.eq(assert(parallel.map({ module = name, argument = "1", workers = 2 }, {})), {})
    end)
  end,

  ["the first failure in order is the message"] = function()
    with_module(SQUARES, function(name)
      for _, workers in ipairs { 1, 2, 3 } do
        local results, message = parallel.map({ module = name, argument = "1", workers = workers }, numbers(1, 40))
        t.eq(results, nil)
        t.eq(message, "item 13 is wrong")
      end
      local _, message = parallel.map({ module = name, argument = "1", workers = 2 }, numbers(14, 40))
      t.ok(message:find "jobs_of_a_test.lua:6: item 17 fails\nstack traceback:", message)
      _, message = parallel.map({ module = name, argument = "1", workers = 2 }, numbers(18, 40))
      t.ok(message:find "must be a text", message)
    end)
  end,

  ["a reader that breaks is heard after the jobs before it"] = function()
    with_module(SQUARES, function(name)
      for _, workers in ipairs { 1, 3 } do
        local n, seen = 0, 0
        local ok, message = parallel.each({ module = name, argument = "1", workers = workers, jobs = function()
          n = n + 1
          if n > 10 then return nil, "the file is broken" end
          return tostring(n)
        end }, function() seen = seen + 1 end)
        t.eq({ ok == nil, message, seen }, { true, "the file is broken", 10 })
      end
    end)
  end,

  ["what keeps a worker from starting"] = function()
    local function message_of(text)
      local message
      with_module(text, function(name)
        message = select(2, parallel.map({ module = name, workers = 2 }, { "a", "b" }))
      end)
      return message
    end
    t.eq(message_of "return function() return nil, 'no such tokenizer' end", "no such tokenizer")
    t.ok(message_of("return function() return 5 end"):find "gave no function")
    t.ok(message_of("return {"):find "jobs_of_a_test.lua:1:")
    t.ok(select(2, parallel.map({ module = "no.such.module", workers = 2 }, { "a" })):find "no.such.module")
  end,

  ["closing ends what runs"] = function()
    with_module("return function() return function() while true do end end end", function(name)
      local began = sq.sys.clock()
      do
        local crew <close> = assert(sq.workers.start { module = name, workers = 2 })
        for _ = 1, 5 do crew:send "x" end
        t.eq(crew:count(), 5)
      end
      t.ok(sq.sys.clock() - began < 5)
    end)
  end,

  ["^C ends it"] = function()
    local dir = t.tmpdir()
    assert(fs.write(dir .. "/spinning_jobs.lua", "return function() return function() while true do end end end"))
    assert(fs.write(dir .. "/main.lua", 'print(pcall(require("sqlune").parallel.map, { module = "spinning_jobs", '
      .. 'workers = 2 }, { "a", "b" }))'))
    local pipe = assert(io.popen(("timeout -s INT 4 '%s' %s/main.lua 2>&1; echo $?"):format(
      fs.realpath "/proc/self/exe", dir)))
    local text = pipe:read "a"
    pipe:close()
    t.eq(text, "sqlune: interrupted\n124\n", "pcall does not catch it, and the threads end")
  end,

  ["misuse"] = function()
    local crew <close> = assert(sq.workers.start { module = "sqlune.sql", workers = 1 })
    t.fails(function() crew:receive() end, "there is no job to wait for")
    t.fails(function() sq.workers.start {} end, "'module' is missing")
    t.fails(function() sq.workers.start { module = "m", workers = 65 } end, "0 … 64")
    t.fails(function() sq.workers.start { modul = "m" } end, "unknown option 'modul'")
    crew:close()
    crew:close()
    t.fails(function() crew:send "x" end, "closed")
  end,

  ["the library works in them"] = function()
    with_module([[return function()
      local sq = require "sqlune"
      return function(job)
        local item = sq.json.decode(job)
        return item.q:upper() .. #sq.sql.tokens(item.sql) .. #sq.schema.parse(item.s).tables
      end
    end]], function(name)
      local job = sq.json.encode { q = "q", sql = "SELECT 1", s = "【DB_ID】 a\n【Schema】\n# Table: t\n[\n(a:TEXT)\n]" }
      t.eq(assert(parallel.map({ module = name, workers = 3 }, { job, job, job, job })), { "Q31", "Q31", "Q31", "Q31" })
    end)
  end,
}
