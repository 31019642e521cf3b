-- SQL that wants to do harm to MySQL and MariaDB: `denied` must be refused whatever it says, `hungry` must end in time.
-- Either way the database stays as `setup` made it, and the connection serves the next statement.
local rep = string.rep

local M = {}

---What makes the victim: tables item (3 rows) and many (3,000), a view, a sequence, a trigger, functions, a procedure.
M.setup = [[
CREATE TABLE item (id INT PRIMARY KEY AUTO_INCREMENT, name TEXT, price DOUBLE);
INSERT INTO item VALUES (1, 'pen', 1.5), (2, 'ink', 4), (3, 'pad', NULL);
CREATE TABLE many (v INT, name VARCHAR(20), KEY by_v (v));
INSERT INTO many SELECT seq, CONCAT('n', seq) FROM seq_1_to_3000;
CREATE VIEW cheap AS SELECT * FROM item WHERE price < 3;
CREATE SEQUENCE counter;
CREATE TABLE log (what TEXT) ENGINE=MyISAM;
CREATE TRIGGER item_new AFTER INSERT ON item FOR EACH ROW INSERT INTO log VALUES (NEW.name);
CREATE FUNCTION writes_inside() RETURNS INT NOT DETERMINISTIC MODIFIES SQL DATA
  RETURN (SELECT COUNT(*) FROM item);
CREATE PROCEDURE clear_all() DELETE FROM item;
DELIMITER //
CREATE FUNCTION deletes_inside() RETURNS INT NOT DETERMINISTIC MODIFIES SQL DATA
BEGIN DELETE FROM item; RETURN 1; END//
CREATE FUNCTION logs_inside() RETURNS INT NOT DETERMINISTIC MODIFIES SQL DATA
BEGIN INSERT INTO log VALUES ('was here'); RETURN 1; END//
CREATE FUNCTION endless_inside() RETURNS INT NOT DETERMINISTIC NO SQL
BEGIN DECLARE i INT DEFAULT 0; WHILE i >= 0 DO SET i = 1; END WHILE; RETURN i; END//
DELIMITER ;
CREATE VIEW deleting AS SELECT deletes_inside() AS x;
]]

---What must be refused, whatever it says.
M.denied = {
  -- data
  "INSERT INTO item VALUES (9, 'x', 1)", "INSERT IGNORE INTO item SELECT * FROM item", "INSERT item SET name = 'x'",
  "REPLACE INTO item VALUES (1, 'x', 1)", "REPLACE item SET id = 1", "UPDATE item SET name = 'x'",
  "UPDATE item a, item b SET a.name = 'x'", "DELETE FROM item", "DELETE a FROM item a JOIN many", "TRUNCATE item",
  "TRUNCATE TABLE item", "INSERT INTO item (name) VALUES ('x') RETURNING id", "DELETE FROM item RETURNING *",
  "INSERT INTO item VALUES (1, 'x', 1) ON DUPLICATE KEY UPDATE name = 'y'", "WITH a AS (SELECT 1) DELETE FROM item",
  "WITH a AS (SELECT 1 AS x) UPDATE item, a SET name = 'x'", "WITH a AS (SELECT 9) INSERT INTO item SELECT 9, 'x', 1",
  "LOAD DATA INFILE '/etc/passwd' INTO TABLE item", "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE item",
  "LOAD XML INFILE '/etc/passwd' INTO TABLE item", "LOAD INDEX INTO CACHE log", "CALL clear_all()", "CALL `clear_all`",
  "DO deletes_inside()", "DO SLEEP(100)", "HANDLER item OPEN", "SELECT deletes_inside()", "SELECT * FROM deleting",
  "SELECT logs_inside()", "SELECT id FROM item WHERE deletes_inside() = 1", "EXPLAIN DELETE FROM item",
  "EXPLAIN INSERT INTO item VALUES (9, 'x', 1)", "EXPLAIN UPDATE item SET name = 'x'",
  "EXPLAIN FORMAT=JSON REPLACE INTO item VALUES (1, 'x', 1)", "ANALYZE DELETE FROM item",
  "ANALYZE FORMAT=JSON UPDATE item SET name = 'x'", "DESCRIBE UPDATE item SET name = 'x'",
  -- schema and servers
  "CREATE TABLE x (a INT)", "CREATE TABLE x AS SELECT * FROM item", "CREATE OR REPLACE TABLE item (a INT)",
  "CREATE TEMPORARY TABLE x (a INT)", "CREATE TEMPORARY TABLE item AS SELECT 1", "CREATE VIEW v AS SELECT 1",
  "CREATE INDEX i ON item (price)", "CREATE TRIGGER t BEFORE INSERT ON many FOR EACH ROW SET NEW.v = 1",
  "CREATE PROCEDURE p() SELECT 1", "CREATE FUNCTION f() RETURNS INT RETURN 1", "CREATE DATABASE x",
  "CREATE FUNCTION sys_exec RETURNS INT SONAME 'udf.so'", "CREATE USER x IDENTIFIED BY 'x'", "CREATE SEQUENCE s",
  "CREATE EVENT e ON SCHEDULE EVERY 1 SECOND DO DELETE FROM item", "CREATE SERVER s FOREIGN DATA WRAPPER mysql "
    .. "OPTIONS (HOST '127.0.0.1')",
  "DROP TABLE item", "DROP TABLE IF EXISTS item", "DROP VIEW cheap", "DROP DATABASE mysql", "DROP SEQUENCE counter",
  "ALTER TABLE item ADD z INT", "ALTER TABLE item ENGINE=MEMORY", "ALTER TABLE item DISABLE KEYS",
  "ALTER DATABASE CHARACTER SET latin1", "ALTER USER reader IDENTIFIED BY 'x'", "ALTER SEQUENCE counter RESTART 50",
  "RENAME TABLE item TO x", "OPTIMIZE TABLE item", "REPAIR TABLE log", "ANALYZE TABLE item", "CHECK TABLE item",
  "CHECKSUM TABLE item", "GRANT ALL ON *.* TO reader", "REVOKE ALL ON *.* FROM reader", "SET PASSWORD = 'x'",
  "INSTALL PLUGIN x SONAME 'x.so'", "INSTALL SONAME 'ha_connect'", "UNINSTALL PLUGIN x", "SHUTDOWN", "RESTART",
  "KILL 1", "KILL QUERY 1", "KILL USER reader", "FLUSH TABLES", "FLUSH TABLES WITH READ LOCK", "FLUSH PRIVILEGES",
  "RESET MASTER", "RESET QUERY CACHE", "PURGE BINARY LOGS TO 'x'", "CHANGE MASTER TO MASTER_HOST='x'", "START SLAVE",
  "STOP SLAVE", "BACKUP STAGE START", "BINLOG 'AAAA'", "CACHE INDEX log IN hot", "HELP 'select'", "USE mysql",
  -- files
  "SELECT * FROM item INTO OUTFILE '/tmp/sqlune-hostile'", "SELECT * INTO OUTFILE '/tmp/sqlune-hostile' FROM item",
  "SELECT 'x' INTO DUMPFILE '/tmp/sqlune-hostile'", "TABLE item INTO OUTFILE '/tmp/sqlune-hostile'",
  "SELECT * FROM (SELECT 1) a INTO OUTFILE '/tmp/sqlune-hostile' LINES STARTING BY '<?'",
  "SELECT 1 UNION SELECT 2 INTO OUTFILE '/tmp/sqlune-hostile'", "SELECT 1.INTO OUTFILE '/tmp/sqlune-hostile'",
  "SELECT .5INTO OUTFILE '/tmp/sqlune-hostile'", "SELECT 1e5INTO DUMPFILE '/tmp/sqlune-hostile'",
  "SELECT\n1\tinTO/**/outFILE '/tmp/sqlune-hostile'", "SELECT LOAD_FILE('/etc/passwd')",
  "SELECT load_file  ('/etc/passwd')", "SELECT `load_file`('/etc/passwd')", "SELECT Load_File/**/('/etc/passwd')",
  "SELECT 1 FROM item WHERE LENGTH(LOAD_FILE('/etc/passwd')) > 0", "SELECT 1 INTO @x", "SELECT 1 LIMIT 1 INTO @x",
  "SELECT sys_exec('id')", "SELECT sys_eval('id')", "SELECT SPIDER_DIRECT_SQL('DELETE FROM item', '', '')",
  -- settings
  "SET GLOBAL read_only = 0", "SET GLOBAL max_connections = 1", "SET SESSION max_statement_time = 0",
  "SET @@sql_mode = ''", "SET @x = 1", "SET NAMES gbk", "SET CHARACTER SET gbk", "SET autocommit = 1",
  "SET TRANSACTION READ WRITE", "SET SESSION TRANSACTION READ WRITE", "SET ROLE ALL", "SET sql_log_bin = 0",
  "SET STATEMENT max_statement_time = 0 FOR SELECT SLEEP(100)", "SET STATEMENT sql_mode = '' FOR DELETE FROM item",
  "SET PERSIST max_connections = 1", "SET GLOBAL general_log_file = '/tmp/sqlune-hostile'",
  "SELECT /*+ SET_VAR(max_execution_time = 0) */ 1", "SELECT /*+ MAX_EXECUTION_TIME(0) */ SLEEP(100)",
  -- transactions and locks
  "BEGIN", "START TRANSACTION", "START TRANSACTION READ WRITE", "COMMIT", "COMMIT AND CHAIN", "ROLLBACK",
  "ROLLBACK TO a", "SAVEPOINT a", "RELEASE SAVEPOINT a", "LOCK TABLES item WRITE", "LOCK TABLES item READ",
  "UNLOCK TABLES", "XA START 'x'", "XA COMMIT 'x'", "SELECT * FROM item FOR UPDATE",
  "SELECT * FROM item FOR UPDATE SKIP LOCKED", "SELECT * FROM item FOR SHARE", "SELECT * FROM item FOR SHARE NOWAIT",
  "SELECT * FROM item LOCK IN SHARE MODE", "(SELECT * FROM item FOR UPDATE)",
  "SELECT * FROM (SELECT * FROM item LOCK IN SHARE MODE) a", "SELECT GET_LOCK('x', 100)", "SELECT get_lock ('x', -1)",
  "SELECT `GET_LOCK`('x', 1)", "SELECT RELEASE_LOCK('x')", "SELECT RELEASE_ALL_LOCKS()",
  "SELECT MASTER_POS_WAIT('x', 1)", "SELECT MASTER_GTID_WAIT('0-1-1')", "SELECT NEXTVAL(counter)",
  "SELECT NEXT VALUE FOR counter", "SELECT PREVIOUS VALUE FOR counter", "SELECT SETVAL(counter, 100)",
  "SELECT * FROM item PROCEDURE ANALYSE()", "SELECT * FROM item PROCEDURE/**/ANALYSE(10, 2000)",
  -- programs
  "PREPARE s FROM 'DELETE FROM item'", "EXECUTE s", "EXECUTE IMMEDIATE 'DELETE FROM item'", "DEALLOCATE PREPARE s",
  "BEGIN NOT ATOMIC DELETE FROM item; END", "IF 1 THEN DELETE FROM item; END IF", "SIGNAL SQLSTATE '45000'",
  "RESIGNAL", "GET DIAGNOSTICS @x = NUMBER", "FOR i IN 1..9 DO SELECT 1; END FOR",
  -- more than one statement, and disguises
  "SELECT 1; DROP TABLE item", "SELECT 1; SELECT 2", "SELECT 1;;", "SELECT 1; -- x\nDELETE FROM item",
  "; ; DROP TABLE item", "/* */ SELECT 1 /* */ ; /* */ DELETE FROM item", "SELECT 1 # x\n; DELETE FROM item",
  "SELECT 1 -- x\r; DELETE FROM item\n; DELETE FROM item", "/*! DELETE FROM item */", "/*!50000 DROP TABLE item */",
  "/*M! DELETE FROM item */", "/*M!100100 DELETE FROM item */", "SELECT 1 /*!INTO OUTFILE '/tmp/sqlune-hostile'*/",
  "SELECT 1 /*!50000 FOR UPDATE */", "SELECT 1 /*M!100100 INTO @x */", "SELECT /*! SLEEP(100), */ 1",
  "/*!99999 SELECT 1 */ DELETE FROM item", "SELECT '\\'; DELETE FROM item; -- '; DELETE FROM item",
  "SELECT \"\\\"\"; DELETE FROM item", "SELECT `a``; DELETE FROM item", "SELECT 1 --1; DELETE FROM item",
  "SELECT 1 --\1; DELETE\n; DELETE FROM item", "COMMIT; DROP TABLE item; SELECT 1", "ROLLBACK; DELETE FROM item",
  "SELECT 1 /* x; DELETE FROM item", "DELIMITER //\nDELETE FROM item//", "\\. /etc/passwd", "\\! id", "system id",
  "source /etc/passwd", "EXPLAIN SELECT 1; DELETE FROM item", "SHOW TABLES; DELETE FROM item",
}

local n3 = "SELECT COUNT(*) FROM many a, many b, many c"

---What would run for ever, or eat all memory. Any end is right that comes in time.
M.hungry = {
  -- waiting
  "SELECT SLEEP(100)", "SELECT SLEEP(v) FROM many", "SELECT * FROM many WHERE SLEEP(0.05) = 0", "SELECT SLEEP(1e300)",
  "SELECT BENCHMARK(1000000000000, MD5('x'))", "SELECT BENCHMARK(1e15, (SELECT COUNT(*) FROM many))",
  "SELECT BENCHMARK(1000000000, REPEAT('x', 1000000))", "SELECT BENCHMARK(1e12, SLEEP(1))",
  "SELECT (SELECT SLEEP(100)) FROM item", "SELECT * FROM item ORDER BY SLEEP(50)", "SHOW TABLES WHERE SLEEP(50)",
  "SELECT IF(SLEEP(100), 1, 2)", "WITH a AS (SELECT SLEEP(100)) SELECT * FROM a, a b", "SELECT endless_inside()",
  "EXPLAIN SELECT * FROM (SELECT SLEEP(100)) a", "SELECT * FROM information_schema.tables WHERE SLEEP(1) = 2",
  -- rows without end
  n3, n3 .. ", many d", "SELECT * FROM many a, many b, many c",
  "SELECT a.v FROM many a, many b, many c ORDER BY b.v * c.v",
  "SELECT DISTINCT a.v * b.v * c.v FROM many a, many b, many c",
  "SELECT GROUP_CONCAT(a.name) FROM many a, many b, many c",
  "SELECT a.v * b.v, COUNT(*) FROM many a, many b, many c GROUP BY 1",
  "SELECT (SELECT COUNT(*) FROM many b, many c WHERE b.v > a.v) FROM many a", "SELECT a.v FROM many a, many b UNION "
    .. "SELECT b.v * c.v FROM many b, many c", "SELECT JSON_ARRAYAGG(a.v) FROM many a, many b, many c",
  "SELECT SUM(a.v) OVER (ORDER BY a.v, b.v) FROM many a, many b", "SELECT v, RANK() OVER (ORDER BY name), "
    .. "SUM(v) OVER (ROWS BETWEEN 2000 PRECEDING AND 2000 FOLLOWING) FROM many",
  "SELECT EXISTS (SELECT 1 FROM many a, many b, many c WHERE a.v + b.v + c.v < 0)",
  "SELECT * FROM many a LEFT JOIN many b ON a.v <> b.v LEFT JOIN many c ON b.v <> c.v",
  "SELECT * FROM many a NATURAL JOIN many b, many c, many d", "SELECT * FROM seq_1_to_100000000000",
  "SELECT SUM(a.seq * b.seq) FROM seq_1_to_1000000000 a, seq_1_to_1000 b",
  "SELECT a.seq FROM seq_1_to_10000000 a ORDER BY RAND()",
  "WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM t) SELECT COUNT(*) FROM t a, t b, t c, t d",
  "WITH RECURSIVE t(x) AS (SELECT CAST('a' AS CHAR(4000)) UNION ALL SELECT CONCAT(x, x) FROM t) SELECT MAX(LENGTH(x)) "
    .. "FROM t",
  "WITH RECURSIVE t(x) AS (SELECT v FROM many UNION ALL SELECT t.x + m.v FROM t, many m) SELECT COUNT(*) FROM t",
  "SELECT COUNT(*) FROM item" .. rep(", item", 30), "SELECT COUNT(*) FROM " .. rep("many NATURAL JOIN ", 30) .. "many",
  "SELECT 1 FROM " .. rep("item a%s JOIN ", 60):gsub("%%s", (function()
    local i = 0
    return function()
      i = i + 1
      return tostring(i)
    end
  end)()) .. "item", "SELECT * FROM information_schema.columns a, information_schema.columns b, "
    .. "information_schema.columns c",
  -- bombs of length
  "SELECT REPEAT('x', 4000000000)", "SELECT REPEAT(REPEAT('x', 10000000), 1000)", "SELECT SPACE(4000000000)",
  "SELECT LPAD('x', 4000000000, 'y')", "SELECT REPEAT('x', 16000000) FROM many",
  "SELECT CONCAT(" .. rep("REPEAT('x', 10000000), ", 100) .. "'')", "SELECT HEX(HEX(HEX(REPEAT('x', 4000000))))",
  "SELECT REPLACE(REPEAT('x', 100000), 'x', REPEAT('y', 1000)) FROM many",
  "SELECT REVERSE(REPEAT('x', 16000000)) FROM many",
  "SELECT GROUP_CONCAT(REPEAT('x', 100000)) FROM many", "SELECT TO_BASE64(REPEAT('x', 10000000)) FROM many",
  "SELECT RANDOM_BYTES(1024) FROM many a, many b", "SELECT COMPRESS(REPEAT('x', 16000000)) FROM many",
  "SELECT UNCOMPRESS(COMPRESS(REPEAT('x', 16000000))) FROM many", "SELECT SHA2(REPEAT('x', 16000000), 512) FROM many",
  "SELECT DISTINCT REPEAT(a.name, 10000) FROM many a, many b", "SELECT REPEAT('x', 60000) t FROM many a, many b "
    .. "ORDER BY t, a.v", "SELECT COUNT(*) FROM many GROUP BY REPEAT(name, 100000)",
  "SELECT MAX(REPEAT(a.name, 100000)) FROM many a, many b",
  "SELECT FORMAT(1e308, 30), REPEAT(FORMAT(1e308, 30), 50000)",
  "SELECT EXPORT_SET(5, REPEAT('Y', 1000000), REPEAT('N', 1000000), REPEAT(',', 1000000), 64) FROM many",
  "SELECT MAKE_SET(1023, REPEAT('x', 1000000), REPEAT('x', 1000000)) FROM many", "SELECT ELT(1, REPEAT('x', 16000000)) "
    .. "FROM many a, many b", "SELECT INSERT(REPEAT('x', 16000000), 2, 1, REPEAT('y', 100)) FROM many",
  -- functions whose time is a product of lengths
  "SELECT REPEAT('a', 40) REGEXP '" .. rep("(a+)+", 10) .. "b'", "SELECT REPEAT('a', 100000) REGEXP '(a*)*b' FROM many",
  "SELECT REGEXP_REPLACE(REPEAT('a', 10000), '(a|aa)+$', 'b') FROM many", "SELECT REPEAT('ab', 50000) LIKE '"
    .. rep("%a", 100) .. "c'", "SELECT REPEAT('x', 100000) LIKE CONCAT(REPEAT('%x', 200), 'y') FROM many",
  "SELECT LOCATE(CONCAT(REPEAT('a', 10000), 'b'), REPEAT('a', 40000)) FROM many",
  "SELECT INSTR(REPEAT('a', 40000), CONCAT(REPEAT('a', 20000), 'b')) FROM many",
  "SELECT TRIM(BOTH 'ab' FROM REPEAT('ab', 5000000)) FROM many", "SELECT SOUNDEX(REPEAT('abc', 3000000)) FROM many",
  "SELECT FIND_IN_SET('x', REPEAT('a,', 5000000)) FROM many", "SELECT SUBSTRING_INDEX(REPEAT('a,', 5000000), ',', "
    .. "-4000000) FROM many", "SELECT WEIGHT_STRING(REPEAT('ä', 5000000)) FROM many",
  "SELECT JSON_VALID('" .. rep("[", 30000) .. rep("]", 30000) .. "')", "SELECT JSON_DEPTH(CONCAT(REPEAT('[', 1000000), "
    .. "REPEAT(']', 1000000)))",
  "SELECT JSON_EXTRACT(CONCAT('[', REPEAT('1,', 4000000), '1]'), '$[3999999]') FROM many",
  "SELECT JSON_SEARCH(CONCAT('[', REPEAT('\"a\",', 1000000), '1]'), 'all', '%b%') FROM many",
  "SELECT JSON_MERGE_PATCH(j, j) FROM (SELECT CONCAT('{', REPEAT('\"a\":{', 30), '}', REPEAT('}', 30)) AS j) t, many",
  "SELECT JSON_LENGTH(CONCAT('[', REPEAT('[1],', 2000000), '1]')) FROM many a, many b",
  "SELECT EXTRACTVALUE(CONCAT(REPEAT('<a>', 100000), REPEAT('</a>', 100000)), '//a//a//a//a') FROM many",
  "SELECT UPDATEXML(CONCAT('<a>', REPEAT('<b/>', 100000), '</a>'), '//b', '<c/>') FROM many",
  "SELECT COUNT(*) FROM JSON_TABLE(CONCAT('[', REPEAT('1,', 5000000), '1]'), '$[*]' COLUMNS (x INT PATH '$')) a, many",
  "SELECT ST_ASTEXT(ST_BUFFER(ST_GEOMFROMTEXT('POINT(0 0)'), 1e9))", "SELECT AES_ENCRYPT(REPEAT('x', 10000000), 'k') "
    .. "FROM many", "SELECT CRC32(REPEAT(name, 1000000)) FROM many a",
  "SELECT CAST(REPEAT('9', 1000000) AS DECIMAL(65, 30)) "
    .. "FROM many", "SELECT CONV(REPEAT('z', 1000000), 36, 2) FROM many", "SELECT STR_TO_DATE(REPEAT('1', 1000000), "
    .. "REPEAT('%Y', 500000)) FROM many", "SELECT DATE_FORMAT(NOW(), REPEAT('%W', 1000000)) FROM many",
  -- programs that are large
  "SELECT " .. rep("(", 3000) .. "1" .. rep(")", 3000), "SELECT " .. rep("-", 200000) .. "1",
  "SELECT " .. rep("NOT ", 50000) .. "1", "SELECT " .. rep("! ", 100000) .. "1", "SELECT " .. rep("1 + ", 60000) .. "1",
  "SELECT " .. rep("1, ", 80000) .. "1", "SELECT 1 WHERE 1 IN (" .. rep("1, ", 80000) .. "1)",
  rep("SELECT 1 UNION ALL ", 5000) .. "SELECT 1", "SELECT * FROM (" .. rep("SELECT * FROM (", 400) .. "SELECT 1"
    .. rep(") a", 400) .. ") a", "VALUES " .. rep("(1), ", 40000) .. "(1)", "SELECT CASE " .. rep("WHEN 0 THEN 1 ",
  15000)
    .. "END", "SELECT " .. rep("COALESCE(NULL, ", 400) .. "1" .. rep(")", 400), "SELECT " .. rep("ABS(", 499) .. "1"
    .. rep(")", 499), "SELECT * FROM " .. rep("item, ", 500) .. "item", "SELECT 1 FROM item WHERE "
    .. rep("id = 1 OR name = 'x' OR ", 9000) .. "0", "WITH " .. rep("a AS (SELECT 1), ",
  3000) .. "b AS (SELECT 1) SELECT 1",
  "SELECT '" .. rep("x", 3000000) .. "'", "SELECT " .. rep("(SELECT ", 200) .. "1" .. rep(")", 200), "SELECT 0x"
    .. rep("f", 200000), "SELECT " .. rep("9", 200000), "SELECT _utf8mb4'" .. rep("é", 100000) .. "'",
  -- what is no statement
  "", ";", "--", "/*", "#", "SELECT", "SELECT ?", "SELECT '", "SELECT \"", "SELECT `", "\0",
  "SELECT 1\0; DROP TABLE item",
  "SELECT '\xff\xfe'", "SELECT @", "SELECT @@", "SELECT @@nothing", "SELECT * FROM nothing", "SELECT nothing()",
  "SELECT * FROM mysql.nothing", "SHOW NOTHING", "EXPLAIN", "EXPLAIN EXPLAIN SELECT 1", "DESCRIBE nothing", "WITH",
  "(SELECT 1", "SELECT 1)", "VALUES", "TABLE nothing", "SELECT 1 FROM DUAL WHERE", "SELECT * FROM item LIMIT -1",
  "SELECT @x := @x + 1 FROM many a, many b, many c", "SELECT LAST_INSERT_ID(9)", "SHOW PROCESSLIST",
  "SELECT * FROM information_schema.processlist", "SHOW GRANTS", "SHOW VARIABLES",
  "SELECT @@datadir, @@secure_file_priv",
}

---What the user might do if nothing here stood in the way: what it is, a query that says whether.
M.rights = {}
for _, right in ipairs {
  { "change rows everywhere", "'INSERT', 'UPDATE', 'DELETE'" },
  { "change tables everywhere", "'CREATE', 'ALTER', 'DROP'" },
  { "read and write files of the server", "'FILE'" },
  { "set the server, end sessions of others", "'SUPER', 'SYSTEM_VARIABLES_ADMIN', 'CONNECTION ADMIN'" },
  { "make users", "'CREATE USER'" },
} do
  M.rights[#M.rights + 1] = { right[1], ([[SELECT COUNT(*) > 0 FROM information_schema.user_privileges WHERE grantee =
    CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''') AND privilege_type IN (%s)]]):format(right[2]) }
end

return M
