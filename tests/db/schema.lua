-- Schemas of SQLite databases: options, keys, odd databases, and what is said about broken ones.
local t = require "tests.check"
local sq = require "sqlune"

local function created(script, name)
  local path = t.tmpdir() .. "/" .. (name or "shop") .. ".sqlite"
  assert(sq.db.create(path, script))
  return path
end

local shop = [[
  CREATE TABLE customer (id INTEGER PRIMARY KEY, name VARCHAR(40) NOT NULL, born DATE, mail TEXT UNIQUE);
  INSERT INTO customer VALUES (1, 'Nguyễn', '1990-01-02', 'a@b.cd'), (2, 'O''Brien', '1991-02-03', NULL);
  CREATE TABLE "order" (id INTEGER PRIMARY KEY, customer INT REFERENCES customer, total DECIMAL(10, 2),
    twice REAL GENERATED ALWAYS AS (total * 2));
  CREATE INDEX by_customer ON "order" (customer, total);
  INSERT INTO "order" (id, customer, total) VALUES (1, 1, 12.50), (2, 1, 7);
  CREATE VIEW rich AS SELECT name FROM customer;
]]

-- values come in the order of an index where the database reads one
local shop_text = [[
【DB_ID】 shop
【Schema】
# Table: customer
[
(id:INTEGER, Primary Key, Examples: [2, 1]),
(name:VARCHAR, Examples: [Nguyễn, O'Brien]),
(born:DATE, Examples: [1990-01-02]),
(mail:TEXT)
]
# Table: order
[
(id:INTEGER, Primary Key, Examples: [2, 1]),
(customer:INTEGER, Examples: [1]),
(total:DECIMAL, Examples: [7, 12.5]),
(twice:REAL, Examples: [25.0, 14.0])
]
【Foreign keys】
order.customer=customer.id]]

local function refused(code, pattern, ok, message, got)
  t.eq(ok, nil)
  t.eq(got, code, message)
  t.ok(message:find(pattern), message)
end

local function write(path, bytes)
  assert(sq.fs.write(path, bytes))
  return path
end

return {
  ["a shop"] = function()
    local path = created(shop)
    local schema <close> = assert(sq.schema.read(path))
    t.eq(schema:text(), shop_text)
    t.ok(schema:text { show_type_detail = true }:find("(name:VARCHAR(40), ", 1, true))
    t.ok(not schema:text { example_num = 0 }:find "Examples")
    t.eq(schema:text { selected_tables = { "ORDER" } }:match "# Table: (%S+)", "order")
    local part = schema:text_selected { select_col_list = { "customer.name" } }
    t.ok(part:find("[\n(name:VARCHAR, Examples: [Nguyễn, O'Brien])\n]", 1, true), part)
    local saved = sq.json.decode(schema:json())
    t.eq(saved.tables.customer.fields.mail.unique, true)
    t.eq(saved.tables.order.keys[1], { "customer", "total" })
    local views = assert(sq.schema.read(path, { view_support = true, include_tables = { "rich" }, db_id = "x" }))
    t.ok(views:text():find "【DB_ID】 x\n【Schema】\n# Table: rich\n")
    local db <close> = assert(sq.db.open(path))
    t.eq(assert(sq.schema.read(db, { db_id = "shop" })):text(), shop_text)
    refused("SQLUNE_DENIED", "transaction", db:query "BEGIN")
  end,

  ["saved and loaded"] = function()
    local folder = t.tmpdir()
    local schema = assert(sq.schema.read(created(shop)))
    assert(schema:save(folder .. "/s.json"))
    local loaded = assert(sq.schema.load(folder .. "/s.json"))
    t.eq(loaded:text(), shop_text)
    t.eq(loaded:json(), schema:json())
    t.eq(loaded:json(), assert(sq.fs.read(folder .. "/s.json")))
    refused("SQLUNE_NOTFOUND", "nowhere", schema:save(folder .. "/nowhere/s.json"))
  end,

  ["broken schema files"] = function()
    local folder = t.tmpdir()
    local function load(text) return sq.schema.load(write(folder .. "/s.json", text)) end
    refused("SQLUNE_NOTFOUND", "none.json", sq.schema.load(folder .. "/none.json"))
    refused("SQLUNE_FORMAT", "s.json: line 1", load "[]")
    refused("SQLUNE_FORMAT", "s.json: line 1", load '{"tables": 1}')
    refused("SQLUNE_FORMAT", "s.json: line 2.*column 'a' has no 'type'",
      load '{"tables": {"t": {"fields": {\n"a": {"comment": ""}}}}}')
    refused("SQLUNE_FORMAT", "5 parts, this has 2", load '{"foreign_keys": [["a", "b"]]}')
    refused("SQLUNE_FORMAT", "primary_key must be", load '{"tables": {"t": {"fields": {"a": {"primary_key": 3}}}}}')
    refused("SQLUNE_FORMAT", "s.json: line 1", load '{"db_id": "x"} x')
    refused("SQLUNE_FORMAT", "s.json: line 1", load '{"db_id": "x"')
    t.eq(assert(load "{}"):text(), "【DB_ID】 Anonymous\n【Schema】")
  end,

  ["options"] = function()
    local path = created(shop)
    refused("SQLUNE_NOTFOUND", "include_tables: there is no table 'nope'",
      sq.schema.read(path, { include_tables = { "nope" } }))
    refused("SQLUNE_NOTFOUND", "ignore_tables: there is no table 'nope'",
      sq.schema.read(path, { ignore_tables = { "order", "nope" } }))
    refused("SQLUNE_NOTFOUND", "'main', not 'public'", sq.schema.read(path, { schema = "public" }))
    t.fails(function() sq.schema.read(path, { include_tables = { "order" }, ignore_tables = {} }) end, "not both")
    t.fails(function() sq.schema.read(path, { include_tables = "order" }) end, "must be a list")
    t.fails(function() sq.schema.read(path, { include_tables = { 1 } }) end, "item 1 is no string")
    t.fails(function() sq.schema.read(path, { view = true }) end, "unknown option 'view'")
    local schema = assert(sq.schema.read(path))
    t.fails(function() schema:text { examples = 1 } end, "unknown option 'examples'")
    schema:close()
    schema:close()
    t.fails(function() schema:text() end, "closed")
  end,

  ["databases that cannot be read"] = function()
    local folder = t.tmpdir()
    refused("SQLUNE_FORMAT", "text: not an SQLite database", sq.schema.read(write(folder .. "/text", ("x"):rep(5000))))
    refused("SQLUNE_NOTFOUND", "none: No such file", sq.schema.read(folder .. "/none"))
    local path = created(shop)
    local bytes = assert(sq.fs.read(path))
    refused("SQLUNE_FORMAT", "cut: .*malformed", sq.schema.read(write(folder .. "/cut", bytes:sub(1, 4096 * 2))))
    t.eq(assert(sq.schema.read(write(folder .. "/zero", ""))):text(), "【DB_ID】 zero\n【Schema】")
    refused("SQLUNE_FORMAT", "not valid UTF%-8",
      sq.schema.read(write(folder .. "/latin", (bytes:gsub("born", "b\xf6rn")))))
    local broken = created "CREATE TABLE t (a); CREATE VIEW v AS SELECT gone FROM t"
    refused("SQLUNE_DB", "table 'v': no such column: gone", sq.schema.read(broken, { view_support = true }))
  end,

  ["a database that is being written"] = function()
    local path = created "PRAGMA journal_mode = WAL; CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('x')"
    local wanted = "【DB_ID】 shop\n【Schema】\n# Table: t\n[\n(a:TEXT, Examples: [x])\n]"
    t.eq(assert(sq.schema.read(path)):text(), wanted)
    -- in a folder that nobody may write, its shared-memory file cannot be made
    local folder = path:match "(.*)/"
    assert(os.execute("chmod a-w '" .. folder .. "'"))
    local schema, message = sq.schema.read(path)
    assert(os.execute("chmod u+w '" .. folder .. "'"))
    t.eq(t.ok(schema, message):text(), wanted)
  end,

  ["odd names and contents"] = function()
    local schema = assert(sq.schema.read(created([[
      CREATE TABLE "a]b`c""d" ("x:y" INT, "it's" TEXT, " " REAL);
      INSERT INTO "a]b`c""d" VALUES (1, 'v', 2);
      CREATE TABLE "%(x)s" (a INT);
      INSERT INTO "%(x)s" VALUES (1);
      CREATE TABLE bytes (b BLOB, t TEXT, u TEXT);
      INSERT INTO bytes VALUES (x'00ff', CAST(x'ff' AS TEXT), 'see http://x');
    ]], "odd")))
    local text = schema:text()
    t.ok(text:find("(a:INTEGER)", 1, true), text)
    t.ok(text:find("(b:BLOB, Examples: [b'\\x00\\xff']),\n(t:TEXT),\n(u:TEXT)", 1, true), text)
    t.eq(#sq.schema.parse(text).tables, 3)
  end,

  ["texts that are no M-Schema"] = function()
    for _, text in ipairs { "", "\0", "【DB_ID】", "# Table: ", "# Table: t\n[", "# Table: t\n[\n]", "【Foreign keys】=",
      "【Foreign keys】\na.=b.\n.a=.b\na=b\n=\na.b=c.d=e.f", "\xff\xfe# Table: \xff\n[\n(\xff:\xff)\n]\n",
      ("[]\n"):rep(1000) } do
      local parsed = sq.schema.parse(text)
      t.eq(#parsed.foreign_keys, 0, text)
      t.ok(#parsed.tables <= 1, text)
    end
    local key = sq.schema.parse("【Foreign keys】\npublic.t.a = public.u.b").foreign_keys[1]
    t.eq(key, { table = "public.t", column = "a", ref_table = "public.u", ref_column = "b" })
    local column = sq.schema.parse("# Table: t\n[\n(a:DECIMAL(10, 2), price, net, Primary Key, Examples: [1.5, 2])\n]")
      .tables[1].columns[1]
    t.eq({ column.type, column.comment, column.primary_key, column.examples },
      { "DECIMAL(10, 2)", "price, net", true, { "1.5", "2" } })
  end,
}
