-- What every recipe and every config must do: --help, a mistyped option, configs that load; two recipes from the shell.
local t = require "tests.check"
local sq = require "sqlune"
local fs, json = sq.fs, sq.json

---Runs the built program; returns what it printed (both streams) and its exit code.
local function run(arguments)
  local pipe = io.popen(("%s %s 2>&1; echo \"[$?]\""):format(arg[-1], arguments))
  local text = pipe:read "a"
  pipe:close()
  local output, code = text:match "^(.*)%[(%d+)%]\n$"
  return output, tonumber(code)
end

local function each_recipe(visit)
  for _, name in ipairs(assert(fs.list "recipes")) do
    if name:find "%.lua$" then visit(name:gsub("%.lua$", "")) end
  end
end

local function each_config(folder, visit)
  for _, name in ipairs(assert(fs.list(folder))) do
    local path = fs.join(folder, name)
    if fs.is_dir(path) then
      each_config(path, visit)
    elseif name:find "%.lua$" or name:find "%.json$" then
      visit(path)
    end
  end
end

return {
  ["every recipe explains itself"] = function()
    each_recipe(function(name)
      local text, code = run(name .. " --help")
      t.eq(code, 0, name)
      local pattern = name:gsub("%-", "%%-")
      t.ok(text:find("^sqlune " .. pattern .. ": %S.*usage: sqlune " .. pattern), name .. ": " .. text)
      for line in text:gmatch "[^\n]+" do t.ok(sq.term.width(line) <= 80, name .. ": " .. line) end
    end)
  end,

  ["every recipe refuses an unknown option with the nearest one"] = function()
    each_recipe(function(name)
      local text, code = run(name .. " --hlep")
      t.eq(text, ("sqlune %s: unknown option '--hlep' (did you mean '--help'?)\n"):format(name))
      t.eq(code, 2)
    end)
  end,

  ["every config loads"] = function()
    local count = 0
    each_config("configs", function(path)
      t.ok(sq.config.load(path))
      count = count + 1
    end)
    t.ok(count > 0)
  end,

  ["process, assemble, mschema from the shell"] = function()
    local dir = t.tmpdir()
    assert(sq.db.create(dir .. "/shop.sqlite", "CREATE TABLE customer(id INTEGER PRIMARY KEY, name TEXT)"))
    local schema = "【DB_ID】 shop\n【Schema】\n# Table: customer\n[\n(id:INTEGER, Primary Key),\n(name:TEXT)\n]\n"
    t.eq(run("mschema " .. dir .. "/shop.sqlite"), schema)
    t.eq(run("mschema " .. dir), schema)
    assert(fs.write(dir .. "/raw.json", '[{"db_id": "shop", "question": "Who?", "SQL": "SELECT name FROM customer"}]'))
    local text, code = run(("process raw=%s/raw.json db=%s out=%s/data"):format(dir, dir, dir))
    t.eq(code, 0)
    t.ok(text:find "  database  items  tables  columns  characters\n  shop +1 +1 +2 +%d+\n  1 item of 1 data", text)
    text, code = run(("assemble %s/data/datasets.json out=%s/train.json --json seed=3"):format(dir, dir))
    t.eq(code, 0)
    t.eq(json.decode(text).items, 1)
    t.eq(assert(json.read(dir .. "/train.json"))[1].conversations[2].content, "SELECT name FROM customer")
    text, code = run(("assemble %s/none.json out=%s/x.json"):format(dir, dir))
    t.eq(code, 1)
    t.ok(text:find "^sqlune assemble: .*none%.json", text)
    text, code = run(("process raw=%s/raw.json db=%s/none out=%s/x"):format(dir, dir, dir))
    t.eq(code, 1)
    t.ok(text:find "^sqlune process: no database, folder or connection file", text)
  end,
}
