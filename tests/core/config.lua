-- Settings: types from defaults, precedence, nearest names, help, config files; the program itself through a pipe.
local t = require "tests.check"
local sq = require "sqlune"
local config = sq.config

local function schema()
  return {
    model = config.path "where the model is",
    out = config.path("run folder", false),
    lr = config.number("highest rate", 1e-5, { min = 0 }),
    steps = config.integer("steps", 10, { min = 1, max = 1000 }),
    schedule = config.one_of("cosine", "linear", "constant"),
    warmup = 0.1, flag = false, names = { "a", "b" },
    train = { deep = { x = 1.5 }, batch_size = 4 },
  }
end

local function resolve(...) return config.resolve({ ... }, schema()) end

local function message(...)
  local cfg, wrong = resolve(...)
  t.eq(cfg, nil, "it should have failed")
  return wrong
end

local function write(path, text)
  local file <close> = assert(io.open(path, "w"))
  file:write(text)
end

---Runs a script of its own in the built program; returns what it printed and its exit code.
local function run_script(body, arguments)
  local dir = t.tmpdir()
  write(dir .. "/my.lua", body)
  local pipe = io.popen(("%s %s/my.lua %s 2>&1; echo \"[$?]\""):format(arg[-1], dir, arguments))
  local text = pipe:read "a"
  pipe:close()
  local output, code = text:match "^(.*)%[(%d+)%]\n$"
  return output:gsub(dir, "DIR"), tonumber(code)
end

local SCRIPT = [[
-- my.lua: shows what it was given.
local config = require("sqlune").config
local cfg = config.parse(arg, { zeta = 1, model = config.path "where the model is", alpha = { beta = 0.5 } })
print(cfg.model, cfg.zeta, cfg.alpha.beta, config.sources(cfg)["alpha.beta"])
]]

return {
  ["every spelling of an option"] = function()
    local cfg = resolve("model=m", "--lr", "3e-4", "--steps=20", "--flag", "train.deep.x=2", "--train.batch-size", "8",
      "names=x,y,z", "--schedule", "linear")
    t.eq(cfg, { model = "m", lr = 3e-4, steps = 20, schedule = "linear", warmup = 0.1, flag = true,
      names = { "x", "y", "z" }, train = { deep = { x = 2.0 }, batch_size = 8 } })
    t.eq(math.type(cfg.train.deep.x), "float")
    t.eq(math.type(cfg.steps), "integer")
    t.eq(resolve("model=m", "--flag", "--no-flag").flag, false)
    t.eq(resolve("model=m", "--flag", "false").flag, false)
    t.eq(resolve("model=m", "--lr", "0").lr, 0.0)
    t.eq(resolve("model=a=b c").model, "a=b c")
    t.eq(#resolve("model=m", "names=").names, 0)
    t.eq(resolve("model=m", "steps=1e2").steps, 100)
  end,

  ["wrong values say what is expected"] = function()
    t.eq(message("model=m", "steps=1.5"), "command line: steps=1.5: expected an integer of 1 … 1000")
    t.eq(message("model=m", "steps=0"), "command line: steps=0: expected an integer of 1 … 1000")
    t.eq(message("model=m", "lr=-1"), "command line: lr=-1: expected a number of at least 0")
    t.eq(message("model=m", "lr=nan"), "command line: lr=nan: expected a number of at least 0")
    t.eq(message("model=m", "schedule=step"), "command line: schedule=step: expected one of cosine, linear, constant")
    t.eq(message("model=m", "flag=perhaps"), "command line: flag=perhaps: expected true or false")
    t.eq(message("model=m", "--lr"), "option '--lr' wants a value: a number of at least 0")
    t.eq(message(), "'model' is missing: where the model is (write model=…)")
  end,

  ["unknown names and the nearest known one"] = function()
    t.eq(message("model=m", "warmpu=1"),
      "command line: no setting 'warmpu' (did you mean 'warmup', a share of all steps, default 0.1?)")
    t.eq(message("--hlep"), "unknown option '--hlep' (did you mean '--help'?)")
    t.eq(message("--stesp", "3"), "unknown option '--stesp' (did you mean '--steps', steps, default 10?)")
    t.eq(message("--nothing-like-it"), "unknown option '--nothing-like-it'")
    t.eq(message("model=m", "bare"), "unexpected argument 'bare' (settings are written name=value)")
    t.eq(config.nearest("naem", { "name", "names", "same" }), "name")
    t.eq(config.nearest("größe", { "grösse", "große" }), "große")
  end,

  ["config files are data"] = function()
    local dir = t.tmpdir()
    local path = dir .. "/c.lua"
    write(path, "return { lr = 1, train = { deep = { x = 7 } }, names = {'q'} }")
    local cfg = resolve(path, "model=m", "lr=2")
    t.eq(cfg.lr, 2.0)
    t.eq(cfg.train.deep.x, 7.0)
    t.eq(cfg.names, { "q" })
    t.eq(config.sources(cfg)["train.deep.x"], path)
    t.eq(config.sources(cfg).lr, "command line")
    t.eq(config.sources(cfg).steps, "default")
    write(path, "return { train = { depp = 1 } }")
    t.eq(message("model=m", "--config", path), path .. ": no setting 'train.depp' (did you mean 'train.deep.x', "
      .. "default 1.5?)")
    write(path, "return { train = 3 }")
    t.eq(message(path, "model=m"), path .. ": 'train' is a group of settings, write a table")
    write(path, "return { steps = 'ten' }")
    t.eq(message(path, "model=m"), path .. ": steps = ten: expected an integer of 1 … 1000")
    write(path, "os.execute 'true' return {}")
    t.ok(message(path, "model=m"):find("c.lua:1: ", 1, true))
    write(path, "return {")
    t.ok(message(path, "model=m"):find("c.lua:1: ", 1, true))
    write(path, "\27Lua")
    t.ok(message(path, "model=m"):find "binary")
    write(path, "local x = 1")
    t.ok(message(path, "model=m"):find "must end with")
    t.ok(message(dir .. "/none.lua", "model=m"):find "none.lua")
  end,

  ["a file says how it differs from another"] = function()
    local dir = t.tmpdir()
    assert(sq.fs.mkdir(dir .. "/base"))
    write(dir .. "/base/all.lua", "return { model = 'm', lr = 1, names = { 'a', 'b', 'c' }, train = { batch_size = 8, "
      .. "deep = { x = 2 } } }")
    write(dir .. "/base/more.json", [[{ "extends": "all.lua", "steps": 20, "train": { "deep": { "x": 3 } } }]])
    local path = dir .. "/c.lua"
    write(path, "return { extends = 'base/more.json', lr = 2, names = { 'q' }, train = { batch_size = 9 } }")
    local want = { model = "m", lr = 2.0, steps = 20, schedule = "cosine", warmup = 0.1, flag = false, names = { "q" },
      train = { batch_size = 9, deep = { x = 3.0 } } }
    local cfg = resolve(path)
    t.eq(cfg, want)
    local sources = config.sources(cfg)
    t.eq(sources.model, dir .. "/base/all.lua")
    t.eq(sources["train.deep.x"], dir .. "/base/more.json")
    t.eq(sources.lr, path)
    t.eq(config.load(path), { model = "m", lr = 2, steps = 20, names = { "q" }, train = { batch_size = 9,
      deep = { x = 3 } } })
    t.eq(resolve("--config", dir .. "/base/all.lua", "--config", path, "lr=5").lr, 5.0)
    write(dir .. "/base/all.lua", "return { lr = 'high' }")
    t.eq(message(path), dir .. "/base/all.lua: lr = high: expected a number of at least 0")
    write(dir .. "/base/all.lua", "return { extends = '../c.lua' }")
    t.eq(message(path), ("cannot read the config file: %s/base/all.lua: extends = '../c.lua': the files extend each "
      .. "other"):format(dir))
    write(path, "return { extends = 'c.lua' }")
    t.ok(message(path):find("c%.lua: extends = 'c%.lua': the files extend each other"))
    write(path, "return { extends = 'none.lua' }")
    t.ok(message(path):find("c%.lua: extends = 'none%.lua': cannot open .*none%.lua"))
    write(path, "return { extends = 'base/more.json', {} }")
    t.ok(message(path):find("c%.lua: a list extends no other file"))
    write(path, "return { extends = 3 }")
    t.eq(message(path), path .. ": no setting 'extends'")
  end,

  ["positional arguments"] = function()
    local cfg = config.resolve({ "shop.sqlite", "lr=1" }, { database = config.path "a database", lr = 0.5 },
      { positional = { "database" } })
    t.eq(cfg, { database = "shop.sqlite", lr = 1.0 })
    local _, wrong = config.resolve({ "a", "b" }, { database = config.path "" }, { positional = { "database" } })
    t.eq(wrong, "unexpected argument 'b' (settings are written name=value)")
  end,

  ["the resolved settings read back"] = function()
    local cfg = resolve("model=a\nb\\\"", "lr=0.1", "steps=7", "train.deep.x=3")
    local path = t.tmpdir() .. "/c.lua"
    write(path, config.text(cfg))
    local again = resolve(path)
    t.eq(again, cfg)
    t.eq(config.text(again), config.text(cfg))
  end,

  ["the environment, exit codes, help of a program"] = function()
    local out, code = run_script(SCRIPT, "model=m")
    t.eq(out, "m\t1\t0.5\tdefault\n")
    t.eq(code, 0)
    out, code = run_script("io.stderr:write('') " .. SCRIPT:gsub("^[^\n]*\n", ""), "model=m modle=x")
    t.eq(out, "sqlune DIR/my.lua: command line: no setting 'modle' (did you mean 'model', where the model is?)\n")
    t.eq(code, 2)
    out, code = run_script(SCRIPT, "--help")
    t.eq(code, 0)
    t.ok(out:find "shows what it was given", "the first comment of the file")
    t.ok(out:find("zeta=1 .*model=…  *where the model is.*alpha.beta=0.5"), "the order of the file")
    for line in out:gmatch "[^\n]+" do t.ok(sq.term.width(line) <= 80, line) end
    out, code = run_script(SCRIPT, "model=m --print-config")
    t.eq(code, 0)
    t.ok(out:find "model +m +command line")
    t.ok(out:find "zeta +1 +default")
  end,

  ["the environment lies between file and command line"] = function()
    local dir = t.tmpdir()
    write(dir .. "/my.lua", SCRIPT)
    write(dir .. "/c.lua", "return { alpha = { beta = 2 }, zeta = 5 }")
    local command = ("SQLUNE_ALPHA__BETA=%%s %s %s/my.lua %s/c.lua model=m %%s 2>&1"):format(arg[-1], dir, dir)
    local function output(...)
      local pipe <close> = io.popen(command:format(...))
      return pipe:read "a"
    end
    t.eq(output("3", ""), "m\t5\t3.0\tSQLUNE_ALPHA__BETA\n")
    t.eq(output("3", "alpha.beta=4"), "m\t5\t4.0\tcommand line\n")
    t.ok(output("three", ""):find "SQLUNE_ALPHA__BETA: alpha.beta=three: expected a number")
  end,
}
