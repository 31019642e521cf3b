-- Translation with running as the judge: one small shop in SQLite, PostgreSQL and MySQL, from each to each.
local t = require "tests.check"
local servers = require "tests.servers"
local sq = require "sqlune"
local json = sq.json

local TABLES = [[CREATE TABLE customer(id INTEGER PRIMARY KEY, name VARCHAR(40), city VARCHAR(40));
  CREATE TABLE sale(id INTEGER PRIMARY KEY, customer_id INTEGER, day %s, amount INTEGER, price %s);
  INSERT INTO customer VALUES (1, 'Ada', 'Paris'), (2, 'bob', NULL), (3, 'Cleo', 'paris');
  INSERT INTO sale VALUES (1, 1, '2023-01-15', 3, 2.5), (2, 1, '2024-02-20', 4, 10.25), (3, 2, '2024-02-28', 7, 0.5),
    (4, 3, '2024-12-31', 2, 99.75);]]

---Connections of the same data by dialect.
local function databases(dialect)
  if dialect == "sqlite" then
    local path = t.tmpdir() .. "/shop.sqlite"
    assert(sq.db.create(path, TABLES:format("TEXT", "REAL")))
    return { shop = path }
  end
  local connection = servers.new(dialect, "translate_shop", TABLES:format("DATE", "DECIMAL(10,2)"))
  return { shop = connection }
end

local function run(from, to, statements)
  local dir, list = t.tmpdir(), json.array {}
  for i, statement in ipairs(statements) do
    list[i] = { db_name = "shop", question = "q" .. i, evidence = "", SQL = statement }
  end
  assert(json.write(dir .. "/raw.json", list))
  sq.progress.quiet = true
  local summary, message = sq.data.translated { raw = dir .. "/raw.json", db = databases(from), to_db = databases(to),
    out = dir .. "/out.json" }
  sq.progress.quiet = false
  return assert(summary, message), assert(json.read(dir .. "/out.json"))
end

local SQLITE = {
  "SELECT IFNULL(city, 'none') || '!' FROM customer ORDER BY id",
  "SELECT c.name, SUM(s.amount * s.price) FROM customer AS c JOIN sale s ON c.id = s.customer_id GROUP BY c.name",
  "SELECT strftime('%Y', day), COUNT(*) FROM sale GROUP BY strftime('%Y', day)",
  "SELECT amount / 2 FROM sale ORDER BY id LIMIT 1, 2",
  "SELECT CAST(amount AS REAL) / 2, iif(amount > 3, 'many', 'few') FROM sale",
  "SELECT [name] FROM customer WHERE name LIKE 'A%' OR city = \"paris\"", -- a text in double quotes: fails elsewhere
  "SELECT julianday(day) FROM sale",
  "SELECT nothing FROM sale",
}
local POSTGRESQL = {
  "SELECT EXTRACT(YEAR FROM day)::integer, COUNT(*) FROM sale GROUP BY 1",
  "SELECT name || ' of ' || COALESCE(city, '?') FROM customer WHERE name ILIKE 'a%'",
  "SELECT string_agg(name, ', ') FROM customer WHERE id = 1 FETCH FIRST 1 ROWS ONLY",
  "SELECT ROUND(AVG(price), 2) FROM sale", "SELECT amount / 2 FROM sale",
  "SELECT date_trunc('month', day) FROM sale",
}
local MYSQL = {
  "SELECT CONCAT(`name`, '-', id) FROM customer ORDER BY id LIMIT 1, 2", "SELECT YEAR(day), MONTH(day) FROM sale",
  "SELECT amount / 2, amount DIV 2 FROM sale", "SELECT IF(amount > 3, \"many\", 'few') FROM sale",
  "SELECT GROUP_CONCAT(name SEPARATOR '/') FROM customer WHERE id < 2", "SELECT DATEDIFF(day, day) FROM sale",
}

---Which of the statements came through, by their place.
local function kept(list)
  local set = {}
  for i, one in ipairs(list) do set[i] = tonumber(one.question:match "%d+") end
  return set
end

return {
  ["from SQLite to PostgreSQL"] = function()
    local summary, list = run("sqlite", "postgresql", SQLITE)
    t.eq(kept(list), { 1, 2, 3, 4, 5 }, json.encode(summary.left_out))
    t.eq(summary.left_out["no counterpart of JULIANDAY in postgresql"], 1)
    t.eq(summary.left_out["it fails in postgresql"], 1)
    t.eq(summary.left_out["it fails in sqlite"], 1)
    t.eq(list[1], { db_name = "shop", question = "q1", evidence = "", from = "sqlite", from_sql = SQLITE[1],
      SQL = "SELECT COALESCE(city, 'none') || '!' FROM customer ORDER BY id" })
  end,

  ["from SQLite to MySQL"] = function()
    local summary, list = run("sqlite", "mysql", SQLITE)
    t.eq(kept(list), { 1, 2, 3, 4, 5 }, json.encode(summary.left_out))
    t.eq(list[4].SQL, "SELECT amount DIV 2 FROM sale ORDER BY id LIMIT 1, 2", "the rows chose the division of integers")
    t.eq(list[5].SQL:match "/ 2", "/ 2")
  end,

  ["from PostgreSQL"] = function()
    local summary, list = run("postgresql", "sqlite", POSTGRESQL)
    t.eq(kept(list), { 1, 2, 3, 4, 5 }, json.encode(summary.left_out))
    summary, list = run("postgresql", "mysql", POSTGRESQL) -- whose databases here compare texts by their bytes
    t.eq(kept(list), { 1, 3, 4, 5 }, json.encode(summary.left_out))
    t.eq(summary.left_out["other rows"], 1)
  end,

  ["from MySQL"] = function()
    for _, to in ipairs { "sqlite", "postgresql" } do
      local summary, list = run("mysql", to, MYSQL)
      t.eq(kept(list), { 1, 2, 3, 4, 5 }, to .. json.encode(summary.left_out))
    end
  end,

  ["bad input"] = function()
    local dir = t.tmpdir()
    assert(json.write(dir .. "/raw.json", { { db_name = "shop", question = "q" } }))
    local o = { raw = dir .. "/raw.json", out = dir .. "/out.json" }
    o.db, o.to_db = databases "sqlite", databases "sqlite"
    t.fails(function() return sq.data.translated(o) end, "item 1 %(line 1%): 'sql' is missing")
    assert(json.write(dir .. "/raw.json", { { db_name = "other", SQL = "SELECT 1" } }))
    t.fails(function() return sq.data.translated(o) end, "item 1 %(line 1%): no database 'other'")
    t.ok(not sq.fs.exists(dir .. "/out.json"))
  end,
}
