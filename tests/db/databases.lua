-- Recipes on a server: schemas and evaluation through db_conn.json and URLs, and passwords that stay hidden.
local t = require "tests.check"
local sq = require "sqlune"
local servers = require "tests.servers"

local SECRET = "hu5h-hu5h"

local function shop()
  return servers.new("postgresql", "shop", [[
    CREATE TABLE item (id INT PRIMARY KEY, name TEXT, price NUMERIC(8, 2));
    COMMENT ON COLUMN item.price IS 'in euros';
    INSERT INTO item VALUES (1, 'pen', 1.50), (2, 'ink', 4), (3, 'pad', NULL);
    DROP ROLE IF EXISTS teller; CREATE ROLE teller LOGIN PASSWORD ']] .. SECRET .. [[';
    GRANT SELECT ON item TO teller;
  ]])
end

local function run(arguments, environment)
  local pipe = assert(io.popen(("%s %s %s 2>&1"):format(environment or "", arg[-1], arguments)))
  local output = pipe:read "a"
  return output, pipe:close()
end

---Every file under a folder must lack the secret.
local function no_secret(folder)
  local found = servers.line(("grep -rl %s %s"):format(SECRET, folder))
  t.ok(not found, tostring(found) .. " holds the password")
end

local function connection_file(connection, dir)
  assert(sq.json.write(dir .. "/db_conn.json", { db_host = "127.0.0.1", db_port = tostring(connection.port),
    db_user = "teller", db_password = "${TELLER}", dialect = "postgresql" }))
  return dir .. "/db_conn.json"
end

return {
  ["mschema of a server"] = function()
    local connection = shop()
    local dir = t.tmpdir()
    local url = ("postgresql://teller:%s@127.0.0.1:%d/shop"):format(SECRET, connection.port)
    local wanted = "【DB_ID】 shop\n【Schema】\n# Table: item\n[\n(id:INTEGER, Primary Key, Examples: [1, 2, 3]),\n"
      .. "(name:TEXT, Examples: [ink, pad, pen]),\n(price:NUMERIC, in euros, Examples: [1.5, 4.0])\n]\n"
    local function sorted(text) -- the order of DISTINCT is the server's
      return (text:gsub("Examples: %[(.-)%]", function(list)
        local values = {}
        for value in list:gmatch "[^, ]+" do values[#values + 1] = value end
        table.sort(values)
        return "Examples: [" .. table.concat(values, ", ") .. "]"
      end))
    end
    t.eq(sorted(run("mschema '" .. url .. "'")), wanted)
    t.eq(sorted(run("mschema " .. connection_file(connection, dir) .. " names=shop", "TELLER=" .. SECRET)), wanted)
    local output = run("mschema " .. connection_file(connection, dir), "TELLER=" .. SECRET)
    t.ok(output:find "it names no database; give names=", output)
    for _, wrong in ipairs { url:gsub(":%d+/", ":1/"), url:gsub("shop", "shp"), url:gsub("hu5h%-hu5h", SECRET .. "x"),
      url .. "?sslmode=maybe", url .. "?colour=red" } do
      local ok
      output, ok = run("mschema '" .. wrong .. "'")
      t.ok(not ok and output:find "^sqlune mschema: ", output)
      t.ok(not output:find(SECRET, 1, true), output)
    end
    t.ok(not run("mschema '" .. url .. "' --print-config"):find(SECRET, 1, true))
  end,

  ["process and eval on a server"] = function()
    local connection = shop()
    local dir = t.tmpdir()
    local gold = "SELECT count(*) FROM item"
    assert(sq.json.write(dir .. "/raw.json", { { db_id = "shop", question = "How many?", SQL = gold } }))
    assert(sq.json.write(dir .. "/pred.json", sq.json.array {
      { db_name = "shop", question = "How many?", sql = gold, pred_sql = "SELECT count(id) FROM item" },
      { db_name = "shop", question = "Prices?", sql = "SELECT price FROM item", pred_sql = "SELECT prce FROM item" },
    }))
    local file = connection_file(connection, dir)
    local output, ok = run(("process raw=%s/raw.json db=%s out=%s/data"):format(dir, file, dir), "TELLER=" .. SECRET)
    t.ok(ok, output)
    t.ok(sq.fs.exists(dir .. "/data/raw_nl2postgresql.json"), output)
    local url = ("postgresql://teller:%s@127.0.0.1:%d"):format(SECRET, connection.port)
    output, ok = run(("eval %s/pred.json '%s' out=%s/eval json=true"):format(dir, url, dir))
    t.ok(ok, output)
    t.eq(sq.json.decode(output).all.correct, 1)
    no_secret(dir)
  end,

  ["check_sandbox on a server"] = function()
    local connection = servers.new("postgresql", "scratch", require("sqlune.sandbox.postgresql").setup)
    local url = ("'postgresql:///scratch?host=%s&port=%d&user=postgres'"):format(connection.socket, connection.port)
    local output, ok = run("check_sandbox " .. url)
    t.ok(not ok and output:find "would try to change", output)
    output, ok = run("check_sandbox " .. url .. " dry_run=true")
    t.ok(ok and output:find "must be refused: %d+ statements", output)
    t.ok(run("check_sandbox " .. url .. " setup=true"):find "CREATE TABLE item")
    output, ok = run("check_sandbox " .. url .. " yes=true most=12 timeout=0.1 json=true --quiet")
    t.ok(ok, output)
    local result = sq.json.decode(output)
    t.eq({ result.denied.refused, result.hungry.statements, #result.problems }, { 12, 12, 0 })
    t.eq(result.rights["be a superuser"], "yes")
  end,
}
