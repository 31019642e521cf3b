-- What an evaluation reads of statements without running them: order and features.
local t = require "tests.check"
local order, features = require "sqlune.evaluate.order", require "sqlune.evaluate.features"

return {
  ["orders: at the top level only, whatever stands in quotes and comments"] = function()
    for text, wanted in pairs {
      ["SELECT a FROM t"] = false,
      ["SELECT a FROM t order  by a"] = true,
      ["SELECT count(*) FROM t GROUP BY b ORDER\nBY count(*) DESC LIMIT 3"] = true,
      ["SELECT a FROM (SELECT a FROM t ORDER BY a LIMIT 3)"] = false,
      ["SELECT a FROM (SELECT a FROM t ORDER BY a LIMIT 3) ORDER BY 1"] = true,
      ["SELECT a FROM t WHERE b = 'order by'"] = false,
      ["SELECT a FROM t -- order by a"] = false,
      ["SELECT \"order by\" FROM t ORDER BY 1"] = true,
      ["SELECT rank() OVER (ORDER BY a) FROM t"] = false,
      ["SELECT a FROM orders WHERE order_by = 1"] = false,
      ["SELECT '(' FROM t ORDER BY a"] = true,
      ["SELECT reorder, bypass FROM t"] = false,
    } do
      t.eq(order.orders(text), wanted, text)
      t.eq((order.of(text)), wanted, text)
    end
  end,

  ["ranks: keys, aliases, positions, collations; none where they cannot be asked for"] = function()
    local function keyed(text, dialect) return (select(2, order.of(text, dialect))) end
    local function is(text, wanted, dialect) t.eq(keyed(text, dialect), wanted, text) end
    is("SELECT a, b FROM t ORDER BY b DESC, lower(c) NULLS LAST LIMIT 5",
      "SELECT a, b , DENSE_RANK() OVER (ORDER BY b DESC, lower(c) NULLS LAST) FROM t "
      .. "ORDER BY b DESC, lower(c) NULLS LAST LIMIT 6")
    is("WITH x AS (SELECT 1 FROM t ORDER BY z) SELECT a + 1 AS n, count(*) c FROM x GROUP BY 1 "
      .. "ORDER BY N, c COLLATE NOCASE DESC",
      "WITH x AS (SELECT 1 FROM t ORDER BY z) SELECT a + 1 AS n, count(*) c , DENSE_RANK() OVER (ORDER BY a + 1, "
      .. "count(*) COLLATE NOCASE DESC) FROM x GROUP BY 1 ORDER BY N, c COLLATE NOCASE DESC")
    is("SELECT a, b FROM t ORDER BY 2, 1 DESC LIMIT 2, 7;",
      "SELECT a, b , DENSE_RANK() OVER (ORDER BY b, a DESC) FROM t ORDER BY 2, 1 DESC LIMIT 2, 8;")
    is("SELECT * FROM t ORDER BY b", "SELECT * , DENSE_RANK() OVER (ORDER BY b) FROM t ORDER BY b")
    is("SELECT DISTINCT * FROM t ORDER BY b", "SELECT DISTINCT * , DENSE_RANK() OVER (ORDER BY b) FROM t ORDER BY b")
    is('SELECT DISTINCT a AS "A b" FROM t ORDER BY "A b"',
      'SELECT DISTINCT a AS "A b" , DENSE_RANK() OVER (ORDER BY a) FROM t ORDER BY "A b"')
    is("SELECT T1.a FROM t T1 UNION SELECT b FROM u ORDER BY 1 DESC LIMIT 3",
      "SELECT ordered_rows.*, DENSE_RANK() OVER (ORDER BY a DESC) FROM (SELECT T1.a FROM t T1 UNION SELECT b FROM u ) "
      .. "AS ordered_rows ORDER BY a DESC LIMIT 4")
    is("SELECT a FROM t ORDER BY b LIMIT (SELECT 1) OFFSET 2",
      "SELECT a , DENSE_RANK() OVER (ORDER BY b) FROM t ORDER BY b LIMIT ((SELECT 1)) + 1 OFFSET 2")
    is("SELECT a FROM t ORDER BY b LIMIT -1", "SELECT a , DENSE_RANK() OVER (ORDER BY b) FROM t ORDER BY b LIMIT -1")
    is("SELECT a FROM t ORDER BY b FETCH FIRST 3 ROWS ONLY",
      "SELECT a , DENSE_RANK() OVER (ORDER BY b) FROM t ORDER BY b FETCH FIRST 4 ROWS ONLY", "postgresql")
    is("SELECT DISTINCT a FROM t ORDER BY b", nil)
    is("SELECT DISTINCT ON (a) a, b FROM t ORDER BY a, b", nil, "postgresql")
    is("SELECT * FROM t ORDER BY 1", nil)
    is("SELECT a + 1 FROM t UNION SELECT b FROM u ORDER BY 1", nil)
    is("SELECT a FROM t ORDER BY b LIMIT ?", nil, "mysql")
    is("SELECT a ORDER BY", nil)
    is("ORDER BY a", nil)
  end,

  ["features"] = function()
    local function of(text) return table.concat(features.of(text), ", ") end
    t.eq(of "SELECT a FROM t", "plain")
    t.eq(of "select count(*) from a join b using (c) group by d having count(*) > 1 order by 2 limit 3",
      "join, group, having, order, limit, aggregate")
    t.eq(of "SELECT a FROM t WHERE b IN (SELECT b FROM u) UNION SELECT 'join'", "nested, set operation")
    t.eq(of "WITH x AS (SELECT 1) SELECT rank() OVER (ORDER BY a) FROM x", "order, nested, cte, window")
    t.eq(of "SELECT a -- JOIN\nFROM t /* GROUP */ WHERE b LIKE \"it's\"", "like")
    t.eq(of "SELECT [order] FROM t", "plain")
    t.eq(of "", "plain")
  end,
}
