-- SQL that wants to do harm to PostgreSQL: `denied` must be refused whatever it says, `hungry` must end in time. Either
-- way the databases stay as `setup` made them, and the connection serves the next statement.
local rep = string.rep

local M = {}

---What makes the victim: tables item (3 rows) and many (3,000), views, a sequence, a large object, writing functions.
M.setup = [[
CREATE TABLE item (id INT PRIMARY KEY, name TEXT, price NUMERIC(8, 2));
INSERT INTO item VALUES (1, 'pen', 1.5), (2, 'ink', 4), (3, 'pad', NULL);
CREATE TABLE many (v INT, name TEXT);
INSERT INTO many SELECT i, 'n' || i FROM generate_series(1, 3000) i;
CREATE TABLE log (what TEXT);
CREATE VIEW cheap AS SELECT * FROM item WHERE price < 3;
CREATE MATERIALIZED VIEW kept AS SELECT * FROM item;
CREATE SEQUENCE counter;
SELECT lo_from_bytea(424242, 'large');
CREATE FUNCTION deletes_inside() RETURNS INT LANGUAGE plpgsql AS $$ BEGIN DELETE FROM item; RETURN 1; END $$;
CREATE FUNCTION calls_itself_stable() RETURNS INT LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN deletes_inside(); END $$;
CREATE FUNCTION runs_sql(what TEXT) RETURNS INT LANGUAGE plpgsql AS $$ BEGIN EXECUTE what; RETURN 1; END $$;
CREATE FUNCTION as_owner() RETURNS INT LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN DROP TABLE item; RETURN 1; END $$;
CREATE FUNCTION deletes_row(item) RETURNS INT LANGUAGE plpgsql AS $$ BEGIN DELETE FROM item; RETURN 1; END $$;
CREATE FUNCTION deletes_two(INT, INT) RETURNS BOOL LANGUAGE plpgsql AS $$ BEGIN DELETE FROM item; RETURN true; END $$;
CREATE OPERATOR =#= (LEFTARG = INT, RIGHTARG = INT, FUNCTION = deletes_two);
CREATE DOMAIN guarded AS INT CHECK (deletes_inside() = VALUE);
CREATE PROCEDURE clear_all() LANGUAGE sql AS 'DELETE FROM item';
CREATE FUNCTION trigger_log() RETURNS TRIGGER LANGUAGE plpgsql AS
  $$ BEGIN INSERT INTO log VALUES ('was here'); RETURN NEW; END $$;
CREATE TRIGGER item_new AFTER INSERT ON item FOR EACH ROW EXECUTE FUNCTION trigger_log();
CREATE VIEW deleting AS SELECT deletes_inside() AS x;
CREATE VIEW counting AS SELECT nextval('counter') AS x;
CREATE VIEW sleeping AS SELECT pg_sleep(100)::text AS x;
CREATE VIEW locking AS SELECT pg_advisory_lock(v)::text AS x FROM many;
CREATE VIEW waking AS SELECT pg_notify('c', 'x')::text AS x;
CREATE VIEW setting AS SELECT set_config('work_mem', '1GB', false) AS x;
CREATE VIEW doubled AS SELECT a.v FROM many a, many b, many c;
]]

---What must be refused, whatever it says.
M.denied = {
  -- data
  "INSERT INTO item VALUES (9, 'x', 1)", "INSERT INTO item SELECT 9, 'x', 1 RETURNING *",
  "INSERT INTO item DEFAULT VALUES",
  "INSERT INTO item VALUES (1, 'x', 1) ON CONFLICT (id) DO UPDATE SET name = 'y'", "UPDATE item SET name = 'x'",
  "UPDATE item SET name = 'x' WHERE false", "DELETE FROM item", "DELETE FROM item RETURNING *", "TRUNCATE item",
  "TRUNCATE item RESTART IDENTITY CASCADE", "MERGE INTO item USING many ON id = v WHEN MATCHED THEN DELETE",
  "WITH d AS (DELETE FROM item RETURNING *) SELECT * FROM d", "WITH d AS (SELECT 1) DELETE FROM item",
  "WITH u AS (UPDATE item SET name = 'x' RETURNING id) SELECT count(*) FROM u",
  "WITH i AS (INSERT INTO item VALUES (9, 'x', 1)) SELECT 1", "SELECT * INTO x FROM item",
  "SELECT * INTO TEMP x FROM item",
  "SELECT 1 AS a INTO UNLOGGED x", "SELECT * FROM item FOR UPDATE", "SELECT * FROM item FOR SHARE NOWAIT",
  "TABLE item FOR UPDATE SKIP LOCKED", "SELECT * FROM item FOR KEY SHARE", "COPY item FROM '/etc/passwd'",
  "COPY item TO '/tmp/sqlune-hostile'", "COPY (SELECT 1) TO PROGRAM 'touch /tmp/sqlune-hostile'", "COPY item TO STDOUT",
  "COPY item FROM PROGRAM 'id'", "COPY item FROM STDIN", "CALL clear_all()", "DO $$ BEGIN DELETE FROM item; END $$",
  "DO LANGUAGE plpgsql 'BEGIN DROP TABLE item; END'", "SELECT deletes_inside()", "SELECT public.deletes_inside()",
  'SELECT "deletes_inside"()', "SELECT calls_itself_stable()", "SELECT runs_sql('DROP TABLE item')",
  "SELECT as_owner()",
  "SELECT deletes_row(item) FROM item", "SELECT item.deletes_row FROM item", "SELECT (i).deletes_row FROM item i",
  "SELECT 1 =#= 1", "SELECT 1 OPERATOR(public.=#=) 1", "SELECT 1::guarded", "SELECT CAST(1 AS guarded)",
  "SELECT * FROM deleting", "SELECT * FROM counting", "SELECT id FROM item WHERE deletes_inside() = 1",
  "SELECT count(*) FILTER (WHERE deletes_inside() = 1) FROM item", "VALUES (deletes_inside())",
  "SELECT (SELECT deletes_inside())", "SELECT * FROM deletes_inside()", "SELECT * FROM ROWS FROM (deletes_inside())",
  "EXPLAIN ANALYZE DELETE FROM item", "EXPLAIN (ANALYZE, BUFFERS) DELETE FROM item", "EXPLAIN ANALYSE SELECT 1",
  "EXPLAIN (VERBOSE, ANALYZE true) SELECT deletes_inside()", "EXPLAIN DELETE FROM item", "EXPLAIN EXECUTE p",
  "EXPLAIN CREATE TABLE x AS SELECT 1", "EXPLAIN (COSTS off) INSERT INTO item VALUES (9, 'x', 1)",
  -- schema and server
  "CREATE TABLE x (a INT)", "CREATE TABLE x AS SELECT * FROM item", "CREATE TEMP TABLE item (a INT)",
  "CREATE TEMP TABLE x ON COMMIT PRESERVE ROWS AS SELECT 1", "CREATE UNLOGGED TABLE x (a INT)",
  "CREATE VIEW v AS SELECT 1",
  "CREATE OR REPLACE VIEW cheap AS SELECT 1", "CREATE TEMP VIEW item AS SELECT 1", "CREATE INDEX ON item (price)",
  "CREATE INDEX CONCURRENTLY ON item (price)", "CREATE SCHEMA x", "CREATE DATABASE x", "CREATE ROLE x SUPERUSER",
  "CREATE USER x", "CREATE EXTENSION dblink", "CREATE FUNCTION f() RETURNS INT LANGUAGE sql AS 'SELECT 1'",
  "CREATE FUNCTION f() RETURNS INT LANGUAGE c AS '/tmp/x.so', 'f'", "CREATE LANGUAGE plpython3u",
  "CREATE EVENT TRIGGER t ON ddl_command_start EXECUTE FUNCTION trigger_log()", "CREATE PUBLICATION p FOR ALL TABLES",
  "CREATE SUBSCRIPTION s CONNECTION 'host=x' PUBLICATION p", "CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw",
  "CREATE RULE r AS ON SELECT TO log DO INSTEAD SELECT 1", "CREATE TABLESPACE t LOCATION '/tmp'", "CREATE SEQUENCE s",
  "CREATE CAST (text AS int) WITH INOUT AS IMPLICIT", "CREATE POLICY p ON item",
  "CREATE STATISTICS ON id, name FROM item",
  "DROP TABLE item", "DROP TABLE IF EXISTS item CASCADE", "DROP VIEW cheap", "DROP DATABASE postgres",
  "DROP SCHEMA public",
  "DROP SEQUENCE counter", "DROP OWNED BY reader", "DROP ROLE reader", "DROP FUNCTION deletes_inside CASCADE",
  "ALTER TABLE item ADD z INT", "ALTER TABLE item RENAME TO x", "ALTER TABLE item DISABLE TRIGGER ALL",
  "ALTER SYSTEM SET archive_command = 'touch /tmp/sqlune-hostile'", "ALTER DATABASE postgres SET work_mem = '1GB'",
  "ALTER ROLE reader SUPERUSER", "ALTER USER reader PASSWORD 'x'", "ALTER SEQUENCE counter RESTART",
  "COMMENT ON TABLE item IS 'x'",
  "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC", "GRANT ALL ON item TO PUBLIC",
  "REVOKE ALL ON item FROM PUBLIC",
  "REASSIGN OWNED BY postgres TO reader", "SECURITY LABEL ON TABLE item IS 'x'", "REFRESH MATERIALIZED VIEW kept",
  "VACUUM", "VACUUM FULL item", "ANALYZE", "ANALYZE item", "REINDEX TABLE item", "REINDEX DATABASE postgres",
  "CLUSTER item USING item_pkey", "CHECKPOINT", "LOAD '/tmp/x.so'", "IMPORT FOREIGN SCHEMA x FROM SERVER s INTO public",
  -- the session
  "BEGIN", "BEGIN READ WRITE", "START TRANSACTION READ WRITE", "COMMIT", "COMMIT AND CHAIN", "END", "ROLLBACK", "ABORT",
  "SAVEPOINT a", "ROLLBACK TO a", "RELEASE a", "PREPARE TRANSACTION 'x'", "COMMIT PREPARED 'x'",
  "SET work_mem = '10GB'",
  "SET TRANSACTION READ WRITE", "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
  "SET LOCAL statement_timeout = 0",
  "SET ROLE postgres", "SET SESSION AUTHORIZATION postgres", "SET default_transaction_read_only = off",
  "SET statement_timeout TO DEFAULT", "SET search_path = pg_temp", "SET CONSTRAINTS ALL DEFERRED", "RESET ALL",
  "RESET statement_timeout", "DISCARD ALL", "SHOW ALL", "PREPARE p AS DELETE FROM item", "EXECUTE p", "DEALLOCATE ALL",
  "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "FETCH ALL FROM c", "MOVE c", "CLOSE ALL", "LOCK TABLE item",
  "LOCK item NOWAIT",
  "LISTEN c", "NOTIFY c, 'x'", "UNLISTEN *",
  -- functions with effects of their own
  "SELECT set_config('transaction_read_only', 'off', true)", "SELECT set_config('statement_timeout', '0', false)",
  "SELECT pg_catalog.set_config('role', 'postgres', false)", "SELECT pg_sleep(100)", "SELECT pg_sleep_for('1 hour')",
  "SELECT pg_sleep_until('infinity')", "SELECT * FROM pg_sleep(100)", "SELECT count(pg_sleep(1)) FROM many",
  "SELECT pg_terminate_backend(pid) FROM pg_stat_activity", "SELECT pg_cancel_backend(1)", "SELECT pg_reload_conf()",
  "SELECT pg_rotate_logfile()", "SELECT pg_switch_wal()", "SELECT pg_create_restore_point('x')", "SELECT pg_promote()",
  "SELECT pg_read_file('/etc/passwd')", "SELECT pg_read_binary_file('/etc/passwd')", "SELECT pg_ls_dir('/')",
  "SELECT pg_stat_file('/etc/passwd')", "SELECT * FROM pg_ls_logdir()", "SELECT lo_import('/etc/passwd')",
  "SELECT lo_export(424242, '/tmp/sqlune-hostile')", "SELECT lo_create(0)", "SELECT lo_unlink(424242)",
  "SELECT lo_creat(-1)",
  "SELECT lo_put(424242, 0, 'x')", "SELECT lo_from_bytea(0, 'x')", "SELECT lo_open(424242, 131072)",
  "SELECT lowrite(lo_open(424242, 131072), 'x')", "SELECT lo_truncate(lo_open(424242, 131072), 0)",
  "SELECT nextval('counter')", "SELECT setval('counter', 50)", "SELECT setval('counter'::regclass, 50, false)",
  "SELECT pg_advisory_lock(1)", "SELECT pg_try_advisory_lock(1, 2)", "SELECT pg_advisory_xact_lock(1)",
  "SELECT pg_advisory_unlock_all()", "SELECT pg_notify('c', 'x')",
  "SELECT dblink('dbname=postgres', 'DROP TABLE item')",
  "SELECT dblink_connect('host=127.0.0.1')", "SELECT * FROM dblink_exec('dbname=postgres', 'SELECT 1') AS t",
  "SELECT query_to_xml('DELETE FROM item RETURNING 1', true, true, '')", "SELECT cursor_to_xml('c', 1, true, true, '')",
  "SELECT query_to_xml_and_xmlschema('SELECT pg_sleep(100)', true, true, '')",
  "SELECT ts_stat('DELETE FROM item RETURNING 1')",
  "SELECT ts_rewrite('a'::tsquery, 'SELECT ''a''::tsquery, ''b''::tsquery FROM pg_sleep(100)')",
  "SELECT * FROM crosstab('SELECT pg_sleep(100)') AS t(a int)", "SELECT txid_current()", "SELECT pg_current_xact_id()",
  "SELECT pg_export_snapshot()", "SELECT pg_stat_reset()", "SELECT pg_stat_reset_shared('bgwriter')",
  "SELECT pg_logical_emit_message(false, 'x', 'y')", "SELECT pg_create_physical_replication_slot('x', true)",
  "SELECT pg_drop_replication_slot('x')", "SELECT pg_replication_origin_create('x')",
  "SELECT pg_log_backend_memory_contexts(1)",
  "SELECT pg_backup_start('x')", "SELECT setseed(0.5)", "SELECT binary_upgrade_set_next_pg_type_oid(1)",
  "SELECT brin_summarize_new_values('item'::regclass)", "SELECT gin_clean_pending_list('item'::regclass)",
  "SELECT pg_import_system_collations('public')", "SELECT * FROM pg_shadow",
  "SELECT rolpassword FROM pg_catalog.pg_authid",
  "SELECT * FROM pg_hba_file_rules", "SELECT * FROM pg_user_mapping", "SELECT data FROM pg_largeobject",
  -- the same in other spellings
  "select PG_SLEEP (100)", 'SELECT "pg_sleep"(100)', 'SELECT pg_catalog . "pg_sleep" /* x */ (100)',
  "SELECT/**/pg_sleep(100)",
  "SELECT -- x\n pg_sleep\n--y\n(100)", 'SELECT U&"\\0070g_sleep"(100)', "SELECT u&\"pg!005fsleep\" UESCAPE '!' (100)",
  "(((SELECT pg_sleep(100))))", "WITH a AS (SELECT pg_sleep(100)) TABLE a", "\240DELETE FROM item",
  "\r\n\fDELETE FROM item",
  "/* SELECT */ DELETE FROM item", "/* /* */ */ DELETE FROM item", "-- SELECT\nDELETE FROM item", "(DELETE FROM item)",
  "SELECT\0 1; DELETE FROM item", "\239\187\191DELETE FROM item",
  -- more than one statement
  "SELECT 1; DROP TABLE item", "SELECT 1; SELECT 2", "SELECT 1;;", "; DROP TABLE item",
  "SELECT 1; -- x\nDELETE FROM item",
  "SELECT 1 /* ; */ ; /* */ DELETE FROM item", "COMMIT; DROP TABLE item", "ROLLBACK; DELETE FROM item; BEGIN",
  "SELECT '\\'; DROP TABLE item; --'", "SELECT E'\\\\'; DROP TABLE item; --'", "SELECT $$a$$; DROP TABLE item; --$$",
  "SELECT $a$ $b$ $a$; DROP TABLE item", "SELECT 'a' 'b'; DROP TABLE item", 'SELECT 1 AS "a"; DROP TABLE item --"',
  "SELECT 1 -- /*\n; DROP TABLE item -- */", "EXPLAIN SELECT 1; DELETE FROM item", "VALUES (1); DELETE FROM item",
}

local endless = "WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM t) "
local big = "repeat('x', 10000000)"

---What would run for ever, or eat all memory, or be no statement at all. Any end is right that comes in time.
M.hungry = {
  -- rows without end
  endless .. "SELECT * FROM t", endless .. "SELECT count(*) FROM t", endless .. "SELECT max(x) FROM t WHERE x < 0",
  endless .. "SELECT x FROM t ORDER BY x DESC", endless .. "SELECT DISTINCT x % 7 FROM t",
  endless .. "SELECT array_agg(x) FROM t",
  endless .. "SELECT string_agg(x::text, ',') FROM t", endless .. "SELECT json_agg(x) FROM t",
  endless .. "SELECT sum(x) OVER (ORDER BY x) FROM t", endless .. "SELECT EXISTS (SELECT 1 FROM t WHERE x < 0)",
  endless .. "SELECT x, count(*) FROM t GROUP BY x", endless .. "SELECT 1 WHERE 5.5 IN (SELECT x FROM t)",
  "WITH RECURSIVE t(x) AS (SELECT 1 UNION SELECT x + 1 FROM t) SELECT count(*) FROM t",
  "WITH RECURSIVE t(x) AS (SELECT 'a' UNION ALL SELECT x || x FROM t) SELECT max(length(x)) FROM t",
  "WITH RECURSIVE t(x) AS (SELECT ARRAY[1] UNION ALL SELECT x || x FROM t) SELECT count(*) FROM t",
  "WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT a.x FROM t a, t b) SELECT 1",
  "WITH RECURSIVE t(x) AS (VALUES (1), (1) UNION ALL SELECT t.x FROM t, many) SELECT count(*) FROM t",
  "WITH RECURSIVE t(x, p) AS (SELECT 1, '' UNION ALL SELECT x + 1, p || x FROM t) CYCLE x SET c USING q "
    .. "SELECT count(*) FROM t",
  "SELECT * FROM generate_series(1, 100000000000)", "SELECT generate_series(1, 100000000000)",
  "SELECT count(*) FROM generate_series(1, 100000000000)", "SELECT count(*) FROM generate_series(1, 1e30, 1e-5)",
  "SELECT count(*) FROM generate_series('0001-01-01'::timestamp, 'infinity', '1 second')",
  "SELECT sum(a * b) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b",
  "SELECT generate_series(1, 1000000), generate_series(1, 999999), generate_series(1, 999998)",
  "SELECT array_agg(x) FROM generate_series(1, 1000000000) x",
  "SELECT jsonb_agg(x) FROM generate_series(1, 1000000000) x",
  "SELECT string_agg(repeat('x', 1000), '') FROM generate_series(1, 100000000)",
  "SELECT * FROM sleeping", "SELECT * FROM locking", "SELECT * FROM waking", "SELECT * FROM setting",
  "SELECT * FROM doubled", "SELECT count(*) FROM doubled", "SELECT count(*) FROM doubled a, doubled b",
  -- joins
  "SELECT count(*) FROM many a, many b, many c, many d", "SELECT * FROM many, many b, many c",
  "SELECT a.name FROM many a, many b, many c ORDER BY b.v * c.v, a.v",
  "SELECT DISTINCT a.v * b.v * c.v FROM many a, many b, many c",
  "SELECT a.v FROM many a, many b, many c GROUP BY 1, b.v, c.v",
  "SELECT count(*) FROM many a LEFT JOIN many b ON a.v <> b.v LEFT JOIN many c ON b.v <> c.v",
  "SELECT count(*) FROM many a FULL JOIN many b ON a.v = b.v, many c, many d",
  "SELECT (SELECT count(*) FROM many b, many c WHERE b.v > a.v) FROM many a",
  "SELECT v, (SELECT array_agg(b.v) FROM many b, many c WHERE b.v <> a.v) FROM many a",
  "SELECT v, sum(v) OVER (ORDER BY v ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING EXCLUDE CURRENT ROW) "
    .. "FROM many, generate_series(1, 100)",
  "SELECT string_agg(name, '') OVER (ORDER BY v ROWS BETWEEN 1500 PRECEDING AND 1500 FOLLOWING) FROM many",
  "SELECT a.v FROM many a, many b UNION SELECT b.v * c.v FROM many b, many c EXCEPT SELECT 1 INTERSECT SELECT 2",
  "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a.v * b.v * c.v) FROM many a, many b, many c",
  "SELECT mode() WITHIN GROUP (ORDER BY a.v * b.v) FROM many a, many b, many c",
  "SELECT count(*) FROM many GROUP BY CUBE (v, name, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, v + 7, v + 8)",
  "SELECT count(*) FROM many GROUP BY CUBE (v, name, v % 2, v % 3, v % 4, v % 5), "
    .. "CUBE (v % 6, v % 7, v % 8, v % 9, v % 10)",
  "SELECT * FROM many a CROSS JOIN LATERAL (SELECT * FROM many b "
    .. "CROSS JOIN LATERAL (SELECT a.v * b.v * c.v FROM many c) x) y",
  "SELECT * FROM many " .. rep("NATURAL JOIN many ", 3) .. ", many z, many y",
  "SELECT count(*) FROM " .. rep("many, ", 0)
    .. "many a JOIN many b ON a.name LIKE '%' || b.name || '%' JOIN many c ON true",
  -- long values
  "SELECT repeat('x', 300000000)", "SELECT repeat('x', 2000000000)", "SELECT repeat(repeat('x', 10000), 100000)",
  "SELECT length(repeat('x', 1000000000))", "SELECT " .. big .. " || " .. big .. " || " .. big .. " FROM many",
  "SELECT " .. rep(big .. ", ", 60) .. "1", "SELECT md5(" .. big .. ") FROM many", "SELECT rpad('x', 1000000000, 'y')",
  "SELECT lpad('x', 300000000) FROM many", "SELECT " .. big .. " FROM many a, many b",
  "SELECT max(" .. big .. " || v) FROM many",
  "SELECT array_fill(1, ARRAY[100000000])", "SELECT array_fill('x'::text, ARRAY[10000, 10000])",
  "SELECT string_to_array(" .. big .. ", NULL)", "SELECT regexp_split_to_table(" .. big .. ", '')",
  "SELECT encode(convert_to(" .. big .. ", 'UTF8'), 'base64') FROM many", "SELECT to_json(" .. big .. ") FROM many",
  "SELECT format('%s%s%s', " .. big .. ", " .. big .. ", " .. big .. ") FROM many", "SELECT format('%999999999s', 'x')",
  "SELECT replace(" .. big .. ", 'x', repeat('y', 100))", "SELECT translate(" .. big .. ", 'x', 'y') FROM many",
  "SELECT overlay(" .. big .. " PLACING " .. big .. " FROM 5) FROM many",
  "SELECT quote_literal(" .. big .. ") FROM many",
  "SELECT jsonb_build_object('a', " .. big .. ") FROM many", "SELECT xmlelement(name a, " .. big .. ") FROM many",
  "SELECT to_tsvector(repeat('abc def ', 100000)) FROM many",
  "SELECT sha512(convert_to(" .. big .. ", 'UTF8')) FROM many",
  "SELECT upper(lower(upper(" .. big .. "))) FROM many", "SELECT reverse(" .. big .. ") FROM many",
  "SELECT normalize(repeat('é', 5000000), NFKD) FROM many", "SELECT initcap(" .. big .. ") FROM many",
  -- functions whose time grows faster than their input
  "SELECT repeat('a', 50000) ~ '^(a+)+$b'", "SELECT repeat('a', 100000) ~ '(a*)*(a*)*(a*)*b'",
  "SELECT regexp_replace(repeat('a', 1000000), '(.*)(.*)(.*)b', 'x')", "SELECT repeat('ab', 10000) ~ '((a|b)*)\\1b'",
  "SELECT 'x' ~ '" .. rep("(", 200) .. "a" .. rep(")*", 200) .. "'", "SELECT 'x' ~ '(a{1,255}){1,255}'",
  "SELECT 'x' ~ repeat('(a|b)', 100000)", "SELECT regexp_matches(" .. big .. ", '(x*?)(x*?)(x*)y', 'g')",
  "SELECT " .. big .. " LIKE '" .. rep("%x", 40) .. "y'", "SELECT " .. big .. " LIKE '" .. rep("%_", 2000) .. "y'",
  "SELECT " .. big .. " SIMILAR TO '(x|xx)*y'", "SELECT 10::numeric ^ 100000", "SELECT 9.99999 ^ 100000.5::numeric",
  "SELECT factorial(100000)", "SELECT exp(5000::numeric)", "SELECT sqrt(2::numeric(1000, 900))",
  "SELECT ln(1e-1000::numeric)",
  "SELECT count(*) FROM generate_series(1, 1000000) i WHERE factorial(2000) = i",
  "SELECT gcd(10::numeric ^ 9999, 7::numeric ^ 9999)",
  "SELECT repeat('1', 100000)::numeric * repeat('3', 100000)::numeric", "SELECT (repeat('9', 100000)::numeric) / 7",
  "SELECT repeat('[', 5000000)::json", "SELECT (repeat('[', 5000) || repeat(']', 5000))::jsonb",
  "SELECT repeat('{\"a\":', 100000)::jsonb", "SELECT ('[' || repeat('1,', 5000000) || '1]')::jsonb",
  "SELECT jsonb_path_query(('[' || repeat('1,', 100000) || '1]')::jsonb, 'strict $.**.**')",
  "SELECT jsonb_pretty(('[' || repeat('[],', 1000000) || '1]')::jsonb)",
  "SELECT xmlparse(content repeat('<a>', 100000))",
  "SELECT xpath('//*//*//*', xmlparse(content repeat('<a/>', 200000)))",
  [[SELECT xmlparse(document '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;">
    <!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;"><!ENTITY e "&d;&d;&d;&d;&d;&d;&d;">]><a>&e;&e;&e;&e;</a>')]],
  "SELECT repeat('a & ', 100000)::tsquery", "SELECT ts_headline(repeat('abc def ', 300000), 'abc & def'::tsquery)",
  "SELECT '{" .. rep("{", 100) .. "}'::int[]", "SELECT array_to_string(array_fill(1, ARRAY[3000000]), ',') FROM many",
  "SELECT unnest(array_fill(1, ARRAY[10000000])) FROM many", "SELECT to_char(1e300, '" .. rep("9", 60000) .. "')",
  "SELECT to_date(repeat('1', 1000000), repeat('Y', 1000000))", "SELECT 'infinity'::timestamp - '-infinity'::timestamp",
  "SELECT make_interval(years => 2147483647) * 1e300",
  "SELECT width_bucket(i, 0, 1e9, 2147483647) FROM generate_series(1, 1e9) i",
  "SELECT hashtext(" .. big .. ") FROM many a, many b", "SELECT count(*) FROM pg_timezone_names a, pg_timezone_names b",
  -- programs that are large
  "SELECT " .. rep("(", 5000) .. "1" .. rep(")", 5000), "SELECT " .. rep("- ", 200000) .. "1",
  "SELECT " .. rep("NOT ", 50000) .. "true",
  "SELECT " .. rep("1 + ", 50000) .. "1", "SELECT " .. rep("1, ", 100000) .. "1",
  "SELECT '" .. rep("x", 3000000) .. "'",
  "SELECT 1 WHERE 1 IN (" .. rep("1, ", 300000) .. "1)", rep("SELECT 1 UNION ALL ", 5000) .. "SELECT 1",
  "SELECT * FROM (" .. rep("SELECT * FROM (", 2000) .. "SELECT 1" .. rep(") x", 2000) .. ") y",
  "VALUES " .. rep("(1), ", 200000) .. "(1)", "SELECT CASE " .. rep("WHEN false THEN 1 ", 20000) .. "END",
  "SELECT " .. rep("coalesce(NULL, ", 3000) .. "1" .. rep(")", 3000),
  "SELECT true " .. rep("AND v > 0 ", 20000) .. "FROM many",
  "SELECT * FROM " .. rep("item, ", 500) .. "item", "SELECT * FROM item " .. rep("NATURAL JOIN item ", 60),
  "SELECT count(*) FROM item a0" .. (rep("@", 40):gsub("@", " JOIN item ON true")),
  "SELECT " .. rep("ARRAY[", 3000) .. "1" .. rep("]", 3000),
  "WITH " .. rep("a AS (SELECT 1), ", 3000) .. "b AS (SELECT 1) SELECT 1",
  "SELECT " .. rep("1::text::", 20000) .. "text",
  "SELECT 1" .. rep("0", 900000), "SELECT ROW(" .. rep("1, ", 1500) .. "1)",
  "SELECT " .. rep("abs(", 3000) .. "1" .. rep(")", 3000),
  "WITH a0 AS (SELECT 1 AS x), " .. (function()
    local parts = {}
    for i = 1, 26 do parts[i] = ("a%d AS (SELECT p.x FROM a%d p, a%d q)"):format(i, i - 1, i - 1) end
    return table.concat(parts, ", ")
  end)() .. " SELECT count(*) FROM a26",
  "EXPLAIN SELECT * FROM item " .. rep("NATURAL JOIN item ", 40),
  -- what is no statement
  "", " ", ";", "--", "/*", "/* /* */", "SELECT", "SELECT $1", "SELECT $1::int, $2", "SELECT :a", "SELECT ?",
  "SELECT '", 'SELECT "',
  "SELECT $a$", "SELECT E'\\", "\0", "SELECT '\255\254'", "SELECT * FROM no_such", "SELECT 1/0", "SELECT 'x'::int",
  "SELECT 1 1",
  "SELECT * FROM item WHERE", "EXPLAIN", "EXPLAIN (", "WITH", "VALUES", "TABLE", "(", ")", "SELECT (", "SELECT U&'\\",
  "SELECT 1 /* /* */",
}

local ours = "FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'p') "
  .. "AND nspname !~ '^pg_' AND nspname <> 'information_schema' "

---What the role might do beyond reading, as queries that ask the server: a number of things, or true.
M.rights = {
  { "be a superuser", "SELECT usesuper FROM pg_user WHERE usename = current_user" },
  { "write to tables", "SELECT count(*) " .. ours
    .. "AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')" },
  { "own tables", "SELECT count(*) " .. ours .. "AND pg_has_role(relowner, 'USAGE')" },
  { "advance sequences", "SELECT count(*) FROM pg_class WHERE "
    .. "CASE WHEN relkind = 'S' THEN has_sequence_privilege(oid, 'USAGE, UPDATE') END" },
  { "create objects in schemas", "SELECT count(*) FROM pg_namespace WHERE nspname !~ '^pg_' "
    .. "AND has_schema_privilege(oid, 'CREATE')" },
  { "create schemas", "SELECT has_database_privilege(current_database(), 'CREATE')" },
  { "create temporary tables", "SELECT has_database_privilege(current_database(), 'TEMP')" },
  { "create databases or roles", "SELECT rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = current_user" },
  { "use the server's files and programs", "SELECT count(*) FROM pg_roles WHERE pg_has_role(oid, 'USAGE') AND rolname "
    .. "IN ('pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program')" },
  { "end sessions of other roles", "SELECT count(*) FROM pg_roles WHERE rolname = 'pg_signal_backend' "
    .. "AND pg_has_role(oid, 'USAGE')" },
  { "read files as large objects", "SELECT has_function_privilege('lo_import(text)', 'EXECUTE')" },
  { "reach other servers (dblink)", "SELECT count(*) FROM pg_proc WHERE proname = 'dblink' "
    .. "AND has_function_privilege(oid, 'EXECUTE')" },
  { "run functions with their owner's rights", "SELECT count(*) FROM pg_proc p JOIN pg_namespace n "
    .. "ON n.oid = pronamespace WHERE prosecdef AND nspname !~ '^pg_' AND has_function_privilege(p.oid, 'EXECUTE')" },
}

return M
