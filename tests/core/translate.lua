-- Statements in another dialect: quoting, functions, operators; what has no counterpart is named.
local t = require "tests.check"
local translate = require "sqlune.sql.translate"

local function first(text, from, to)
  local list, why = translate.statement(text, from, to)
  return list and list[1], why
end

---Each line: a statement and its text in the other dialects ("=": the same, "-": refused).
local function cases(from, list)
  for _, case in ipairs(list) do
    for to, wanted in pairs(case) do
      if to ~= 1 then
        local got, why = first(case[1], from, to)
        if wanted == "-" then
          t.eq(got, nil, case[1])
          t.ok(why:find("in " .. to .. "$"), why)
        else
          t.eq(got, wanted == "=" and case[1] or wanted, case[1] .. " (" .. tostring(why) .. ")")
        end
      end
    end
  end
end

return {
  ["from SQLite"] = function()
    cases("sqlite", {
      { "SELECT a FROM t WHERE b == 'x''y'", mysql = "SELECT a FROM t WHERE b = 'x''y'",
        postgresql = "SELECT a FROM t WHERE b = 'x''y'" },
      { "SELECT [my col], `x` FROM \"T\"", mysql = "SELECT `my col`, `x` FROM `T`",
        postgresql = 'SELECT "my col", "x" FROM "T"' },
      { "SELECT IFNULL(a, 0) FROM t -- c", mysql = "SELECT IFNULL(a, 0) FROM t",
        postgresql = "SELECT COALESCE(a, 0) FROM t" },
      { "SELECT a || ' ' || t.b AS c FROM t", mysql = "SELECT CONCAT(a, ' ', t.b) AS c FROM t", postgresql = "=" },
      { "SELECT strftime('%Y-%m', d), strftime('%Y', 'now') FROM t",
        mysql = "SELECT DATE_FORMAT(d, '%Y-%m'), DATE_FORMAT(NOW(), '%Y') FROM t",
        postgresql = "SELECT TO_CHAR(CAST(d AS TIMESTAMP), 'YYYY-MM'), "
          .. "TO_CHAR(CAST(CURRENT_TIMESTAMP AS TIMESTAMP), 'YYYY') FROM t" },
      { "SELECT CAST(a AS REAL) / 2, CAST(b AS TEXT) FROM t LIMIT 2, 5",
        mysql = "SELECT CAST(a AS DOUBLE) / 2, CAST(b AS CHAR) FROM t LIMIT 2, 5",
        postgresql = "SELECT CAST(a AS DOUBLE PRECISION) / 2, CAST(b AS TEXT) FROM t LIMIT 5 OFFSET 2" },
      { "SELECT group_concat(DISTINCT a), iif(b > 1, 'x', 'y') FROM t",
        mysql = "SELECT GROUP_CONCAT(DISTINCT a SEPARATOR ','), CASE WHEN b > 1 THEN 'x' ELSE 'y' END FROM t",
        postgresql = "SELECT STRING_AGG(DISTINCT CAST(a AS TEXT), ','), CASE WHEN b > 1 THEN 'x' ELSE 'y' END FROM t" },
      { "SELECT max(a, b), max(c), round(d, 2), length(e) FROM t WHERE f LIKE 'a%'",
        mysql = "SELECT GREATEST(a, b), max(c), round(d, 2), CHAR_LENGTH(e) FROM t WHERE f LIKE 'a%'",
        postgresql = "SELECT GREATEST(a, b), max(c), ROUND(CAST(d AS NUMERIC), 2), length(e) FROM t "
          .. "WHERE f ILIKE 'a%'" },
      { "SELECT date(d, '-1 year'), instr(a, 'b') FROM t",
        mysql = "SELECT DATE(d - INTERVAL 1 YEAR), instr(a, 'b') FROM t",
        postgresql = "SELECT CAST(CAST(d AS DATE) - INTERVAL '1 year' AS DATE), STRPOS(a, 'b') FROM t" },
      { "SELECT '\\d' FROM t", mysql = "SELECT '\\\\d' FROM t", postgresql = "=" },
      { "SELECT julianday(d) FROM t", mysql = "-", postgresql = "-" },
      { "SELECT a FROM t WHERE a GLOB 'x*'", mysql = "-", postgresql = "-" },
      { "SELECT a FROM t FULL JOIN u ON t.a = u.a", mysql = "-", postgresql = "=" },
    })
    t.eq(translate.statement("SELECT a / b FROM t", "sqlite", "mysql"),
      { "SELECT a / b FROM t", "SELECT a DIV b FROM t" })
  end,

  ["from PostgreSQL"] = function()
    cases("postgresql", {
      { "SELECT a::text, (b + 1)::double precision, c::date FROM t",
        sqlite = "SELECT CAST(a AS TEXT), CAST((b + 1) AS REAL), date(c) FROM t",
        mysql = "SELECT CAST(a AS CHAR), CAST((b + 1) AS DOUBLE), CAST(c AS DATE) FROM t" },
      { "SELECT a FROM t WHERE b ILIKE '%x%' AND c = E'it\\'s' FETCH FIRST 3 ROWS ONLY",
        sqlite = "SELECT a FROM t WHERE b LIKE '%x%' AND c = 'it''s' LIMIT 3",
        mysql = "SELECT a FROM t WHERE b LIKE '%x%' AND c = 'it''s' LIMIT 3" },
      { "SELECT EXTRACT(YEAR FROM d), string_agg(a, '; ') FROM t",
        sqlite = "SELECT CAST(strftime('%Y', d) AS INTEGER), GROUP_CONCAT(a, '; ') FROM t",
        mysql = "SELECT EXTRACT(YEAR FROM d), GROUP_CONCAT(a SEPARATOR '; ') FROM t" },
      { "SELECT to_char(d, 'YYYY-MM-DD HH24:MI:SS') FROM t", sqlite = "SELECT strftime('%Y-%m-%d %H:%M:%S', d) FROM t",
        mysql = "SELECT DATE_FORMAT(d, '%Y-%m-%d %H:%i:%s') FROM t" },
      { "SELECT a FROM t WHERE d > CURRENT_DATE - INTERVAL '30 days'", sqlite = "-",
        mysql = "SELECT a FROM t WHERE d > CURRENT_DATE - INTERVAL 30 DAY" },
      { "SELECT $$it's$$, \"A b\" FROM t", sqlite = "SELECT 'it''s', \"A b\" FROM t",
        mysql = "SELECT 'it''s', `A b` FROM t" },
      { "SELECT date_trunc('month', d) FROM t", sqlite = "-", mysql = "-" },
      { "SELECT a FROM t ORDER BY a NULLS FIRST", sqlite = "=", mysql = "-" },
    })
  end,

  ["from MySQL"] = function()
    cases("mysql", {
      { "SELECT CONCAT(a, '-', b), IF(c > 1, \"x\", 'y\\'z') FROM `t`",
        sqlite = "SELECT (a || '-' || b), CASE WHEN c > 1 THEN 'x' ELSE 'y''z' END FROM \"t\"",
        postgresql = "SELECT (CAST(a AS TEXT) || '-' || CAST(b AS TEXT)), CASE WHEN c > 1 THEN 'x' ELSE 'y''z' END "
          .. "FROM \"t\"" },
      { "SELECT YEAR(d), a / b, a DIV b FROM t LIMIT 1, 2",
        sqlite = "SELECT CAST(strftime('%Y', d) AS INTEGER), a * 1.0 / b, a / b FROM t LIMIT 1, 2",
        postgresql = "SELECT EXTRACT(YEAR FROM CAST(d AS TIMESTAMP)), a * 1.0 / b, a / b FROM t LIMIT 2 OFFSET 1" },
      { "SELECT GROUP_CONCAT(a SEPARATOR '/') FROM t WHERE a <=> NULL AND b REGEXP 'x' # c\n",
        sqlite = "SELECT GROUP_CONCAT(a, '/') FROM t WHERE a IS NULL AND b REGEXP 'x'",
        postgresql = "SELECT STRING_AGG(CAST(a AS TEXT), '/') FROM t WHERE a IS NOT DISTINCT FROM NULL AND b ~* 'x'" },
      { "SELECT CAST(a AS SIGNED), CAST(b AS CHAR(5)) FROM t",
        sqlite = "SELECT CAST(a AS INTEGER), CAST(b AS TEXT) FROM t",
        postgresql = "SELECT CAST(a AS BIGINT), CAST(b AS TEXT) FROM t" },
      { "SELECT DATEDIFF(a, b) FROM t", sqlite = "-", postgresql = "-" },
    })
  end,

  ["odd texts end"] = function()
    t.eq(translate.statement("SELECT (a FROM t", "sqlite", "mysql"), nil)
    t.ok(select(2, translate.statement("SELECT 1", "sqlite", "oracle")):find "no translation of 'oracle'")
    t.eq(translate.statement("SELECT 1", "mysql", "mysql"), { "SELECT 1" })
    local rng = require("sqlune").random.stream(3, "texts")
    local dialects = { "sqlite", "postgresql", "mysql" }
    local pieces = { "SELECT ", "(", ")", ",", "a", "||", "::", "LIMIT ", "CAST", "strftime", "'%Y'", "/", "FETCH ",
      "'", "INTERVAL ", "1", ".", " ", "IF", "::date", "EXTRACT", "GROUP_CONCAT", "DATE" }
    for _ = 1, 2000 do
      local parts = {}
      for i = 1, rng:integer(0, 12) do parts[i] = rng:choice(pieces) end
      local text = table.concat(parts)
      for _, from in ipairs(dialects) do
        for _, to in ipairs(dialects) do translate.statement(text, from, to) end
      end
    end
  end,
}
