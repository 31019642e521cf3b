-- Renaming of tables and columns: schema and statements together, what stays, what is refused, the judge on a copy.
local t = require "tests.check"
local sq = require "sqlune"
local augment, rename = sq.augment, require "sqlune.augment.rename"
local renamed = require "sqlune.data.renamed"

local TEXT = "【DB_ID】 shop\n【Schema】\n# Table: customer, who buys\n[\n  (id:INTEGER, Primary Key),\n  (full_name:TEXT, "
  .. "Examples: [full_name, x]),\n  (Free (K-12):REAL)\n]\n# Table: Order Line\n[\n  (customer_id:INTEGER),\n"
  .. "  (total:REAL)\n]\n【Foreign keys】\nOrder Line.customer_id = customer.id"

local RENAMING = { tables = { customer = "buyer", ["order line"] = "order_info" },
  columns = { full_name = "called", total = "amount", ["free (k-12)"] = "free_share" } }

local function statement(text, dialect) return rename.statement(text, RENAMING, dialect) end

return {
  ["statements change by tokens"] = function()
    local function is(before, after, dialect) t.eq(statement(before, dialect), after) end
    is("SELECT c.full_name, 'total' FROM Customer AS c -- total\nWHERE FULL_NAME LIKE 'customer%'",
      "SELECT c.called, 'total' FROM buyer AS c -- total\nWHERE called LIKE 'customer%'")
    is('SELECT "total", [Free (K-12)], `full_name` FROM "Order Line" JOIN customer ON customer.id = customer_id',
      'SELECT "amount", [free_share], `called` FROM "order_info" JOIN buyer ON buyer.id = customer_id')
    is("SELECT sum(total) AS s FROM [Order Line] GROUP BY customer_id HAVING sum(total) > 5",
      "SELECT sum(amount) AS s FROM [order_info] GROUP BY customer_id HAVING sum(amount) > 5")
    is('SELECT E\'total\\\' customer\', $$customer$$, total::text FROM "customer"',
      'SELECT E\'total\\\' customer\', $$customer$$, amount::text FROM "buyer"', "postgresql")
    is("SELECT `total`, \"total\", 'it\\'s total' # total\nFROM `customer`",
      "SELECT `amount`, \"total\", 'it\\'s total' # total\nFROM `buyer`", "mysql")
  end,

  ["what could mean something else is refused"] = function()
    local function refuses(text, pattern)
      local result, why = statement(text)
      t.eq(result, nil)
      t.ok(why:find(pattern), why)
    end
    refuses("SELECT id AS total FROM customer", "'total' is an alias, too")
    refuses("SELECT count(*) total FROM customer", "'total' is an alias, too")
    refuses("SELECT total.id FROM customer total", "alias")
    refuses("WITH customer AS (SELECT 1) SELECT * FROM customer", "alias")
    refuses("SELECT total(id) FROM customer", "called as a function")
    refuses("SELECT id AS amount FROM customer", "'amount' is a name already")
    refuses("SELECT 'customer'.id FROM customer", "literal in a name's place")
  end,

  ["a drawn renaming avoids what is there"] = function()
    local schema = augment.sample({ structure = sq.schema.parse(TEXT) }).schema
    local seen = {}
    for seed = 1, 60 do
      local drawn = rename.draw(schema, sq.random.stream(seed, "names"), { tables = true, columns = true })
      for _, kind in ipairs { "tables", "columns" } do
        local fresh = {}
        for old, new in pairs(drawn[kind]) do
          t.ok(new:find "^[%a_][%w_]*$" and new:lower() ~= old, new)
          t.ok(not fresh[new:lower()] and new:lower() ~= "customer" and new:lower() ~= "total")
          fresh[new:lower()] = true
          seen[new] = true
        end
      end
    end
    local count = 0
    for _ in pairs(seen) do count = count + 1 end
    t.ok(count > 20, count)
    for seed = 1, 30 do
      local drawn = rename.draw(schema, sq.random.stream(seed, "names"), { columns = true, dialect = "postgresql" })
      t.eq(drawn.tables, {})
      for _, new in pairs(drawn.columns) do t.ok(not new:find "%u", "names without quotes fold to lower case") end
    end
  end,

  ["schema, statements and evidence of a sample"] = function()
    local sample = augment.sample { structure = sq.schema.parse(TEXT), sql = "SELECT full_name, total FROM customer",
      also = { "SELECT total FROM [Order Line]" }, evidence = "full_name is the total name", question = "full_name?" }
    t.ok(rename.apply(sample, RENAMING))
    t.eq(sample.sql, "SELECT called, amount FROM buyer")
    t.eq(sample.also, { "SELECT amount FROM [order_info]" })
    t.eq({ sample.evidence, sample.question }, { "called is the total name", "full_name?" })
    local text = sample.schema:text()
    for _, part in ipairs { "# Table: buyer, who buys\n", "  (called:TEXT, Examples: [full_name, x]),\n",
      "# Table: order_info\n", "(amount:REAL)", "order_info.customer_id = buyer.id" } do
      t.ok(text:find(part, 1, true), part .. " in " .. text)
    end
    t.eq(sample.schema:lost(), nil)
    local done, why = rename.apply(sample, { tables = { buyer = "called" }, columns = {} })
    t.eq(done, false)
    t.ok(why:find "is a name already")
  end,

  ["steps by name"] = function()
    local dir = t.tmpdir()
    assert(sq.fs.write(dir .. "/my.lua", "return { replace = true, 'rename_tables', 'rename_columns', 'translate' }"))
    local steps, changed = assert(augment.load(dir .. "/my.lua")), 0
    for seed = 1, 40 do
      local sample = augment.sample { structure = sq.schema.parse(TEXT), sql = "SELECT id, customer_id FROM customer",
        db_name = "shop", question = "", evidence = "" }
      local result = assert(augment.run(sample, steps, seed, "x", 1))
      if result.sql ~= "SELECT id, customer_id FROM customer" then changed = changed + 1 end
    end
    t.ok(changed > 10 and changed < 40, changed)
  end,

  ["the judge runs both on a copy"] = function()
    local dir = t.tmpdir()
    assert(sq.db.create(dir .. "/shop.sqlite", "CREATE TABLE customer(id INTEGER PRIMARY KEY, full_name TEXT);"
      .. 'CREATE TABLE "Order Line"(customer_id INTEGER REFERENCES customer(id), total REAL);'
      .. "INSERT INTO customer VALUES (1, 'a'), (2, 'b'); INSERT INTO \"Order Line\" VALUES (1, 2.5)"))
    local checker <close> = renamed.checker(assert(sq.data.databases.open(dir)))
    local function check(before, after, list)
      return checker:check { db_name = "shop", sql = before, renamed = after, renamings = list or { RENAMING } }
    end
    t.eq(check("SELECT full_name FROM customer", "SELECT called FROM buyer"), true)
    t.eq({ check("SELECT full_name FROM customer", "SELECT id FROM buyer") }, { false, "renamed, it gives other rows" })
    t.ok(select(2, check("SELECT full_name FROM customer", "SELECT full_name FROM buyer")):find "renamed, it fails")
    t.ok(select(2, check("SELECT no FROM customer", "SELECT no FROM buyer")):find "the statement itself fails")
    t.eq(check("SELECT total FROM [Order Line]", "SELECT sum_up FROM lines", {
      { tables = {}, columns = { total = "x" } },
      { tables = { ["order line"] = "lines" }, columns = { x = "sum_up" } },
    }), true)
    t.ok(select(2, checker:check { db_name = "none", sql = "", renamed = "", renamings = {} }):find "no database")
  end,

  ["assemble leaves out what is not the same, and counts it"] = function()
    local dir, items = t.tmpdir(), {}
    assert(sq.fs.mkdir(dir .. "/db"))
    assert(sq.db.create(dir .. "/db/shop.sqlite", "CREATE TABLE customer(id INTEGER, full_name TEXT);"
      .. "INSERT INTO customer VALUES (1, 'a'), (2, 'b')"))
    local schema = "【DB_ID】 shop\n【Schema】\n# Table: customer\n[\n(id:INTEGER),\n(full_name:TEXT)\n]"
    for n = 1, 20 do -- "ghost" is a text here: which name it is cannot be seen
      items[n] = { db_name = "shop", question = "q" .. n, db_schema = schema .. "\n# Table: old\n[\n(ghost:TEXT)\n]",
        sql = n % 2 == 0 and "SELECT id, full_name FROM customer" or 'SELECT id, full_name, "ghost" FROM customer' }
    end
    assert(sq.json.write(dir .. "/items_nl2sqlite.json", items))
    assert(sq.fs.write(dir .. "/my.lua", "return { replace = true, 'rename_columns' }"))
    sq.progress.quiet = true
    local summary = assert(sq.data.assemble { datasets = dir .. "/items_nl2sqlite.json", out = dir .. "/out.json",
      augment = dir .. "/my.lua", db = dir .. "/db" })
    sq.progress.quiet = false
    t.ok(summary.items < 20 and summary.items >= 10, summary.items)
    t.eq(summary.rows[1][5], ("%d renamed, not shown to be the same"):format(20 - summary.items))
    local changed = 0
    for _, one in ipairs(assert(sq.json.read(dir .. "/out.json"))) do
      if one.conversations[2].content ~= one.sql then changed = changed + 1 end
    end
    t.ok(changed > 0)
  end,
}
