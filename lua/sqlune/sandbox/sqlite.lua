-- SQL that wants to do harm to SQLite: `denied` must be refused whatever it says, `hungry` must end in time. Either way
-- the file stays as `setup` made it, and the connection serves the next statement.
local rep = string.rep

local M = {}
local endless = "WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM t) "
local big = "zeroblob(4000000)"
local text = "hex(zeroblob(1900000))" -- 3.8 million times '0'

---What must be refused, whatever it says.
M.denied = {
  -- data
  "INSERT INTO item VALUES (9, 'x', 1)", "INSERT INTO item DEFAULT VALUES", "REPLACE INTO item VALUES (1, 'x', 1)",
  "INSERT INTO item SELECT * FROM item RETURNING *", "UPDATE item SET name = 'x'",
  "UPDATE OR IGNORE item SET id = id + 1",
  "DELETE FROM item", "DELETE FROM item RETURNING *", "DELETE FROM item WHERE 0",
  "WITH d AS (SELECT 1) DELETE FROM item", "WITH d AS (SELECT 9) INSERT INTO item SELECT 9, 'x', 1 FROM d",
  "INSERT INTO item VALUES (1, 'x', 1) ON CONFLICT DO UPDATE SET name = 'y'",
  "UPDATE sqlite_master SET sql = 'x'", "INSERT INTO sqlite_sequence VALUES ('item', 7)", "DELETE FROM sqlite_schema",
  "INSERT INTO words VALUES ('new')", "INSERT INTO words(words) VALUES ('optimize')",
  "INSERT INTO words(words, rank) VALUES ('rank', 'bm25(10.0)')", "INSERT INTO words(words) VALUES ('delete-all')",
  "DELETE FROM words_content", "UPDATE words_data SET block = x''",
  -- schema
  "CREATE TABLE x (a)", "CREATE TABLE x AS SELECT * FROM item", "CREATE VIEW v AS SELECT 1",
  "CREATE INDEX i ON item (name)",
  "CREATE UNIQUE INDEX i ON item (id)", "CREATE VIRTUAL TABLE f USING fts5(a)",
  "CREATE VIRTUAL TABLE f USING rtree(a, b, c)",
  "CREATE TRIGGER g AFTER INSERT ON item BEGIN DELETE FROM item; END",
  "CREATE TEMP TABLE x (a)", "CREATE TEMP TABLE item AS SELECT * FROM item WHERE 0",
  "CREATE TEMP VIEW item AS SELECT 1",
  "CREATE TEMPORARY TRIGGER g AFTER INSERT ON item BEGIN SELECT 1; END", "CREATE TEMP TABLE IF NOT EXISTS x (a)",
  "CREATE TABLE temp.item (a)", "DROP TABLE item", "DROP TABLE IF EXISTS item", "DROP VIEW cheap",
  "DROP INDEX by_name",
  "DROP TABLE words", "ALTER TABLE item RENAME TO x", "ALTER TABLE item ADD COLUMN z",
  "ALTER TABLE item DROP COLUMN price",
  "ALTER TABLE item RENAME COLUMN name TO z", "REINDEX", "REINDEX item", "ANALYZE", "ANALYZE item",
  -- other files
  "ATTACH ':memory:' AS m", "ATTACH '/tmp/sqlune-hostile.db' AS m", "ATTACH DATABASE 'file:x?mode=rwc' AS m",
  "DETACH main", "VACUUM", "VACUUM INTO '/tmp/sqlune-hostile.db'",
  "VACUUM main INTO ('/tmp/' || 'sqlune-hostile.db')",
  "SELECT load_extension('/tmp/x.so')", "SELECT load_extension('x', 'y')",
  "SELECT writefile('/tmp/sqlune-hostile.db', 'x')",
  "SELECT readfile('/etc/passwd')", "SELECT fts3_tokenizer('simple')",
  "SELECT fts3_tokenizer('simple', x'0000000000000000')",
  "SELECT edit('x')",
  -- settings and transactions
  "PRAGMA writable_schema = 1", "PRAGMA query_only = 0", "PRAGMA journal_mode = WAL", "PRAGMA journal_mode = DELETE",
  "PRAGMA user_version = 7", "PRAGMA application_id = 7", "PRAGMA case_sensitive_like = 1",
  "PRAGMA max_page_count = 1",
  "PRAGMA foreign_keys = 1", "PRAGMA recursive_triggers = 1", "PRAGMA temp_store_directory = '/tmp'",
  "PRAGMA schema_version = 9",
  "PRAGMA cache_size = 1000000000", "PRAGMA mmap_size = 1000000000000", "PRAGMA hard_heap_limit = 0",
  "PRAGMA soft_heap_limit = 0", "PRAGMA busy_timeout = 1000000", "PRAGMA trusted_schema = 1",
  "PRAGMA incremental_vacuum(9)",
  "PRAGMA optimize", "PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA integrity_check", "PRAGMA encoding = 'UTF-16'",
  "PRAGMA threads = 8", "PRAGMA locking_mode = EXCLUSIVE", "PRAGMA legacy_alter_table = 1",
  "PRAGMA temp.user_version = 1",
  "BEGIN", "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE", "COMMIT", "ROLLBACK", "SAVEPOINT a", "RELEASE a", "ROLLBACK TO a",
  "END",
  -- more than one statement
  "SELECT 1; DROP TABLE item", "SELECT 1; SELECT 2", "SELECT 1;;", "SELECT 1; -- x\nDELETE FROM item",
  "; ; DROP TABLE item",
  "EXPLAIN SELECT 1; DELETE FROM item", "/* */ SELECT 1 /* */ ; /* */ DELETE FROM item",
  "PRAGMA query_only = 0; DELETE FROM item",
}

---What would run for ever, or eat all memory, or all of the stack. Any end is right that comes in time.
M.hungry = {
  -- rows without end
  endless .. "SELECT * FROM t", endless .. "SELECT max(x) FROM t", endless .. "SELECT count(*) FROM t",
  endless .. "SELECT x FROM t ORDER BY x DESC", endless .. "SELECT DISTINCT x FROM t LIMIT -1",
  endless .. "SELECT x FROM t WHERE x < 0", endless .. "SELECT group_concat(x) FROM t",
  endless .. "SELECT sum(x) OVER (ORDER BY x) FROM t", endless .. "SELECT json_group_array(x) FROM t",
  endless .. "SELECT EXISTS (SELECT 1 FROM t WHERE x < 0)", endless .. "SELECT x, count(*) FROM t GROUP BY x",
  endless .. "SELECT 1 WHERE 5.5 IN (SELECT x FROM t)", endless .. "SELECT count(DISTINCT x) FROM t",
  "WITH RECURSIVE t(x) AS (VALUES (1) UNION SELECT x + 1 FROM t) SELECT count(*) FROM t",
  "WITH RECURSIVE t(x) AS (VALUES ('a') UNION ALL SELECT x || x FROM t) SELECT max(length(x)) FROM t",
  "WITH RECURSIVE t(x, y) AS (VALUES (1, 1) UNION ALL SELECT x + 1, y FROM t UNION ALL SELECT x, y + 1 FROM t) "
    .. "SELECT count(*) FROM t",
  "WITH RECURSIVE t(x) AS (VALUES (randomblob(1000)) UNION SELECT randomblob(1000) FROM t) SELECT count(*) FROM t",
  "WITH RECURSIVE t(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM t ORDER BY 1 DESC) SELECT x FROM t",
  -- joins
  "SELECT count(*) FROM item a, item b, item c, item d, item e, item f, item g, item h, item i, item j, item k, item l",
  "SELECT a.name FROM many a, many b, many c ORDER BY b.v * c.v, a.v",
  "SELECT DISTINCT a.v * b.v * c.v FROM many a, many b, many c",
  "SELECT * FROM many a NATURAL JOIN many b, many c, many d",
  "SELECT count(*) FROM many a LEFT JOIN many b ON a.v <> b.v LEFT JOIN many c ON b.v <> c.v",
  "SELECT * FROM many, many, many, many", "SELECT a.v FROM many a, many b, many c GROUP BY 1, b.v, c.v",
  "SELECT (SELECT count(*) FROM many b, many c WHERE b.v > a.v) FROM many a",
  "SELECT v, rank() OVER (ORDER BY v), sum(v) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING "
    .. "EXCLUDE CURRENT ROW) FROM many",
  "SELECT group_concat(v) OVER (ORDER BY v ROWS BETWEEN 1500 PRECEDING AND 1500 FOLLOWING) FROM many",
  "SELECT a.v FROM many a, many b UNION SELECT b.v * c.v FROM many b, many c EXCEPT SELECT 1 INTERSECT SELECT 2",
  -- bombs of length
  "SELECT zeroblob(1000000000)", "SELECT randomblob(1000000000)", "SELECT printf('%1000000000d', 1)",
  "SELECT printf('%.*c', 2000000000, 'x')", "SELECT hex(hex(hex(hex(hex(hex(zeroblob(1000000)))))))",
  "SELECT replace(replace(replace(" .. text .. ", '0', '0000'), '0', '0000'), '0', '0000')",
  "SELECT group_concat(" .. text .. ") FROM many", "SELECT quote(" .. big .. ") || quote(" .. big .. ")",
  "SELECT " .. rep("randomblob(4000000), ", 60) .. "1",
  "SELECT " .. rep("length(hex(randomblob(1900000))) + ", 60) .. "1",
  "SELECT " .. big .. " FROM many", "SELECT a.v, " .. big .. " FROM many a, many b ORDER BY 2, 1",
  "SELECT json_group_array(" .. text .. ") FROM many",
  "SELECT sum(length(hex(randomblob(1900000)))) FROM many a, many b",
  "SELECT DISTINCT randomblob(3000000) FROM many a, many b", "SELECT char(" .. rep("1114111, ", 90) .. "1)",
  "SELECT max(upper(lower(upper(" .. text .. ")))) FROM many",
  "SELECT count(*) FROM many GROUP BY randomblob(2000000)",
  "SELECT printf('%s%s%s%s', " .. text .. ", " .. text .. ", " .. text .. ", " .. text .. ")",
  "SELECT substr(" .. text .. ", v) FROM many ORDER BY 1",
  -- functions whose time is a product of lengths
  "SELECT instr(" .. text .. ", substr(" .. text .. ", 1, 1900000) || '1')",
  "SELECT instr(" .. big .. ", zeroblob(2000000) || x'01')",
  "SELECT replace(" .. text .. ", substr(" .. text .. ", 1, 1900000) || '1', '')",
  "SELECT trim(" .. text .. ", substr(" .. text .. ", 2))",
  "SELECT rtrim(" .. text .. ", replace(" .. text .. ", '0', '1'))",
  "SELECT ltrim(" .. text .. ", '1' || " .. text .. ")",
  "SELECT " .. text .. " LIKE '" .. rep("%0", 40) .. "1'", "SELECT " .. text .. " LIKE '" .. rep("%", 4000) .. "1'",
  "SELECT " .. text .. " GLOB '" .. rep("*0", 40) .. "1'",
  "SELECT " .. text .. " GLOB '*" .. rep("[0-9]*", 30) .. "x'",
  "SELECT " .. text .. " LIKE '%" .. rep("_", 9000) .. "x%'",
  "SELECT " .. text .. " LIKE '" .. rep("_%", 1000) .. "x' ESCAPE '!'",
  "SELECT count(*) FROM many WHERE " .. text .. " LIKE '%1%' OR " .. text .. " GLOB '*2*'",
  "SELECT like('" .. rep("%a", 30) .. "%b', replace(" .. text .. ", '0', 'a'))",
  "SELECT glob('" .. rep("*a", 30) .. "', " .. text .. ")",
  "SELECT json_patch('{" .. rep('"a":{', 400) .. rep("}", 400) .. "}', '{}')",
  "SELECT count(*) FROM json_tree('" .. rep("[", 900) .. rep("]", 900) .. "')",
  "SELECT sum(length(fullkey)) FROM json_tree('" .. rep("[", 900) .. rep("1,", 20000) .. "1" .. rep("]", 900) .. "')",
  "SELECT count(*) FROM json_each('[' || replace(" .. text .. ", '0', '0,') || '0]') a, many b, many c",
  "SELECT json('" .. rep("[", 100000) .. rep("]", 100000) .. "')",
  "SELECT json_valid('" .. rep('{"a":', 100000) .. "')",
  "SELECT json_extract('[" .. rep("1,", 100000) .. "1]', '$[99999]') FROM many a, many b, many c",
  "SELECT json_set('{}'" .. rep(", '$.a" .. rep("[0]", 300) .. "', 1", 45) .. ")",
  "SELECT json_object('a', json('[' || substr(replace(" .. text .. ", '0', '1,'), 1, 3900000) || '1]')) FROM many",
  "SELECT strftime(" .. text .. ", 'now')",
  "SELECT strftime(replace(substr(" .. text .. ", 1, 1000000), '0', '%J'), 'now')",
  "SELECT soundex(" .. text .. "), unicode(" .. text .. "), quote(" .. text .. ")",
  "SELECT CAST(" .. text .. " AS REAL), CAST(" .. text .. " AS INTEGER), " .. text .. " + 0, round(1e300, 30)",
  "SELECT sum(CAST(" .. text .. " AS REAL)) FROM many a, many b",
  "SELECT max(" .. text .. " COLLATE NOCASE) FROM many a, many b",
  "SELECT printf(replace(substr(" .. text .. ", 1, 400000), '0', '%.99f'), 1.5)",
  "SELECT printf('%.100000000f', 1e308)",
  "SELECT printf('%!.*f', 100000000, 1.0 / 3)", "SELECT format('%,.90000000d', 1)",
  -- programs that are large
  "SELECT " .. rep("(", 3000) .. "1" .. rep(")", 3000), "SELECT " .. rep("-", 200000) .. "1",
  "SELECT " .. rep("NOT ", 50000) .. "1",
  "SELECT " .. rep("1 + ", 100000) .. "1", "SELECT " .. rep("1, ", 100000) .. "1",
  "SELECT '" .. rep("x", 3000000) .. "'",
  "SELECT 1 WHERE 1 IN (" .. rep("1, ", 300000) .. "1)",
  "SELECT 1 WHERE 1 IN (" .. rep("'a' || v, ", 3000) .. "1) FROM many",
  "SELECT v FROM many WHERE v IN (" .. rep("1e9, ", 200000) .. "1)", rep("SELECT 1 UNION ALL ", 5000) .. "SELECT 1",
  "SELECT * FROM (" .. rep("SELECT * FROM (", 2000) .. "SELECT 1" .. rep(")", 2000) .. ")",
  "VALUES " .. rep("(1), ", 200000) .. "(1)", "SELECT CASE " .. rep("WHEN 0 THEN 1 ", 50000) .. "END",
  "SELECT " .. rep("coalesce(NULL, ", 2000) .. "1" .. rep(")", 2000), "SELECT 1 " .. rep("AND 1 ", 100000),
  "SELECT * FROM " .. rep("item, ", 500) .. "item",
  "SELECT 1 FROM item WHERE " .. rep("id = 1 OR name = 'x' OR ", 5000) .. "0",
  "WITH " .. rep("a AS (SELECT 1), ", 3000) .. "b AS (SELECT 1) SELECT 1",
  "SELECT " .. rep("abs(", 900) .. "1" .. rep(")", 900),
  "SELECT * FROM doubled", "SELECT count(*) FROM doubled, doubled", "EXPLAIN SELECT * FROM doubled",
  "EXPLAIN QUERY PLAN SELECT * FROM many a, many b, many c, many d, many e, many f, many g, many h, "
    .. "many i, many j, many k",
  "SELECT * FROM many " .. rep("NATURAL JOIN many ", 60), "SELECT 0x" .. rep("f", 500000), "SELECT 1"
    .. rep("0", 900000),
  -- text search
  "SELECT count(*) FROM words WHERE words MATCH '" .. rep("a OR ", 20000) .. "a'",
  "SELECT * FROM words WHERE words MATCH '\"'",
  "SELECT highlight(words, 0, " .. text .. ", " .. text .. ") FROM words WHERE words MATCH 'w*'",
  "SELECT snippet(words, 0, " .. text .. ", " .. text .. ", '', 64) FROM words WHERE words MATCH 'w*'",
  "SELECT count(*) FROM words a, words b, words c, words d WHERE a.words MATCH 'w*' AND b.words MATCH 'w*' "
    .. "AND c.words MATCH 'w*'",
  "SELECT bm25(words" .. rep(", 1", 90) .. ") FROM words WHERE words MATCH 'w* NOT x*'",
  "SELECT * FROM words WHERE words MATCH '" .. rep("(", 5000) .. "a" .. rep(")", 5000) .. "'",
  -- what is no statement
  "", ";", "--", "/*", "SELECT", "SELECT ?", "SELECT :a", "SELECT '", "SELECT \"", "SELECT `", "SELECT [", "\0",
  "SELECT 1\0; DROP TABLE item",
  "SELECT '\xff\xfe'", "SELECT * FROM sqlite_dbpage", "SELECT * FROM dbstat", "SELECT * FROM sqlite_stmt",
  "SELECT * FROM pragma_table_info('item'), pragma_index_list('item')", "SELECT * FROM pragma_journal_mode",
  "SELECT * FROM generate_series(1, 1000000000000)", "SELECT sqlite_compileoption_get(v) FROM many",
}

local function setup()
  local views = { "CREATE VIEW doubled AS SELECT a.* FROM d20 a, d20 b;" }
  for i = 20, 1, -1 do
    local below = i == 1 and "many" or "d" .. i - 1
    table.insert(views, 1, ("CREATE VIEW d%d AS SELECT a.v FROM %s a, %s b;"):format(i, below, below))
  end
  return [[
    CREATE TABLE item (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, price REAL);
    INSERT INTO item VALUES (1, 'pen', 1.5), (2, 'ink', 4), (3, 'pad', NULL);
    CREATE INDEX by_name ON item (name);
    CREATE VIEW cheap AS SELECT * FROM item WHERE price < 3;
    CREATE TABLE many (v INTEGER, name TEXT);
    WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM t LIMIT 3000)
    INSERT INTO many SELECT x, 'n' || x FROM t;
    CREATE VIRTUAL TABLE words USING fts5(w);
    INSERT INTO words SELECT 'w' || v || ' x' || (v % 7) || ' a' FROM many;
  ]] .. table.concat(views, "\n")
end

---What makes the victim: tables item (3 rows) and many (3,000), an index, views of views, a text index.
M.setup = setup()

return M
