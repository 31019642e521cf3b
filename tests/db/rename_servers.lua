-- Renaming of tables and columns on servers: statements renamed with the schema give the same rows on a renamed copy of
-- the database as they gave before, with quoted names, names in mixed case, and what only looks like a name.
local rename = require "sqlune.augment.rename"
local servers = require "tests.servers"
local t = require "tests.check"
local sq = require "sqlune"

local ROWS = [[
  INSERT INTO @customer@ VALUES (1, 'Ann', 'total'), (2, 'bob', NULL), (3, 'Cy', 'Order Line');
  INSERT INTO @Order Line@ VALUES (1, 1, 2.50, 'x'), (2, 1, 4, 'total'), (3, 2, 1.25, NULL);
  INSERT INTO @Select@ VALUES (1, 7), (3, 9);]]

local SETUP = {
  postgresql = [[
    CREATE TABLE "customer" ("id" int PRIMARY KEY, "fullName" varchar(20), note varchar(20));
    CREATE TABLE "Order Line" ("LineId" int PRIMARY KEY, customer_id int REFERENCES "customer" ("id"),
      total numeric(8, 2), "Note" varchar(20));
    CREATE TABLE "Select" ("id" int, "From" int);]],
  mysql = [[
    CREATE TABLE `customer` (`id` int PRIMARY KEY, `fullName` varchar(20), note varchar(20));
    CREATE TABLE `Order Line` (`LineId` int PRIMARY KEY, customer_id int, total decimal(8, 2), `Note` varchar(20),
      FOREIGN KEY (customer_id) REFERENCES `customer` (`id`));
    CREATE TABLE `Select` (`id` int, `From` int);]],
}

-- @…@ is a quoted name.
local BOTH = {
  "SELECT @fullName@, id FROM customer",
  "SELECT c.@fullName@, sum(o.total) FROM customer AS c JOIN @Order Line@ AS o ON o.customer_id = c.id "
    .. "GROUP BY c.@fullName@",
  "SELECT count(*), 'total' FROM @Order Line@ WHERE @Order Line@.total > 2 -- total in customer\n",
  "SELECT @LineId@ FROM @Order Line@ o WHERE EXISTS (SELECT 1 FROM customer WHERE customer.id = o.customer_id AND note "
    .. "= 'total') ORDER BY total DESC",
  "SELECT @From@ + id FROM @Select@ WHERE @From@ > (SELECT avg(@From@) FROM @Select@)",
  "SELECT note FROM customer UNION ALL SELECT @Note@ FROM @Order Line@",
  "SELECT CASE WHEN total > 3 THEN 'note' ELSE customer.note END FROM customer, @Order Line@ WHERE id = customer_id",
  "WITH big AS (SELECT customer_id AS who, max(total) AS most FROM @Order Line@ GROUP BY customer_id) "
    .. "SELECT @fullName@, most FROM customer JOIN big ON who = id /* note, total */",
  "SELECT * FROM customer NATURAL JOIN @Select@ ORDER BY id",
  "SELECT id, @From@ FROM customer JOIN @Select@ USING (id)",
}
local ONLY = {
  postgresql = {
    "SELECT CASE WHEN total > 3 THEN 'note' ELSE note END FROM customer, @Order Line@ WHERE id = customer_id",
    "SELECT total::int, E'total\\'s', $$note$$, $x$customer$x$ FROM @Order Line@",
    'SELECT "customer"."note" || \'\' FROM "customer" WHERE ("customer"."id")::text = \'1\'' },
  mysql = { "SELECT `total`, \"total\", 'it\\'s total' FROM `Order Line` # total",
    "SELECT SQL_NO_CACHE `customer`.`Note` FROM `customer` WHERE customer.ID = 1 -- note" },
}

local QUOTE = { postgresql = '"', mysql = "`" }

local function quoted(dialect, text) return (text:gsub("@", QUOTE[dialect])) end

---Statements that give the names of a schema their new ones.
local function changes(dialect, schema, renaming)
  local list = {}
  local function add(text, ...) list[#list + 1] = quoted(dialect, text:format(...)) end
  for _, one in ipairs(schema.tables) do
    for _, column in ipairs(one.columns) do
      local new = renaming.columns[column.name:lower()]
      if new then add("ALTER TABLE @%s@ RENAME COLUMN @%s@ TO @%s@;", one.name, column.name, new) end
    end
    local new = renaming.tables[one.name:lower()]
    if new then add("ALTER TABLE @%s@ RENAME TO @%s@;", one.name, new) end
  end
  return table.concat(list, "\n")
end

local function check(dialect)
  local setup = SETUP[dialect] .. quoted(dialect, ROWS)
  local before = servers.new(dialect, "rename_before", setup)
  local db <close> = assert(sq.db.open(before))
  local text = assert(sq.schema.read(before)):text { example_num = 0 }
  local statements = table.move(ONLY[dialect], 1, #ONLY[dialect], #BOTH + 1, table.move(BOTH, 1, #BOTH, 1, {}))
  local renamed, refused = 0, 0
  for seed = 1, 6 do
    local schema = sq.augment.sample({ structure = sq.schema.parse(text) }).schema
    local renaming = rename.draw(schema, sq.random.stream(seed, "servers"), { tables = true, columns = true,
      dialect = dialect })
    local after = servers.new(dialect, "rename_after_" .. seed, setup .. changes(dialect, schema, renaming))
    local copy <close> = assert(sq.db.open(after))
    for _, pattern in ipairs(statements) do
      local statement = quoted(dialect, pattern)
      local other, why = rename.statement(statement, renaming, dialect)
      local first, wrong = db:query(statement)
      t.ok(first, statement .. ": " .. tostring(wrong))
      if other then
        local second, message = copy:query(other)
        t.ok(second, ("%s: %s: %s"):format(statement, other, message))
        t.ok(sq.evaluate.compare(first.rows, second.rows, { ordered = true }).ex_ordered, statement .. ": " .. other)
        if other ~= statement then renamed = renamed + 1 end
      else
        t.ok(why:find "is an alias, too" or why:find "is a name already", why)
        refused = refused + 1
      end
    end
  end
  t.ok(renamed >= 40 and refused <= 6, ("%d renamed, %d refused"):format(renamed, refused))
end

return {
  ["PostgreSQL"] = function() check "postgresql" end,
  ["MariaDB"] = function() check "mysql" end,

  ["columns that differ in capitals only keep their names"] = function()
    local at = servers.new("postgresql", "rename_twins", 'CREATE TABLE a ("Id" int, id int, other int)')
    local text = assert(sq.schema.read(at)):text { example_num = 0 }
    for seed = 1, 20 do
      local schema = sq.augment.sample({ structure = sq.schema.parse(text) }).schema
      local renaming = rename.draw(schema, sq.random.stream(seed, "x"), { columns = true, dialect = "postgresql" })
      t.eq(renaming.columns.id, nil)
    end
  end,
}
