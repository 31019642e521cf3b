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

  ["keys: columns, aliases, expressions; none where they cannot be asked for"] = function()
    local function keyed(text)
      local _, found = order.of(text)
      return found and { found.sql, table.unpack(found.keys) }
    end
    t.eq(keyed "SELECT a, b FROM t ORDER BY b DESC, lower(c) NULLS LAST LIMIT 5",
      { "SELECT a, b , lower(c) FROM t ORDER BY b DESC, lower(c) NULLS LAST LIMIT 6", 2, 3 })
    t.eq(keyed "WITH x AS (SELECT 1 FROM t ORDER BY z) SELECT a AS n FROM x ORDER BY N",
      { "WITH x AS (SELECT 1 FROM t ORDER BY z) SELECT a AS n FROM x ORDER BY N", 1 })
    local union = "SELECT a FROM t UNION SELECT b FROM u ORDER BY 1"
    t.eq(keyed(union), { union, 1 })
    t.eq(keyed "SELECT a FROM t ORDER BY 1 LIMIT 2, 7;", { "SELECT a FROM t ORDER BY 1 LIMIT 2, 8;", 1 })
    t.eq(keyed "SELECT DISTINCT a FROM t ORDER BY b", nil)
    t.eq(keyed "SELECT * FROM t ORDER BY 1", nil)
    t.eq(keyed "SELECT a FROM t ORDER BY b LIMIT (SELECT 1)", nil)
    t.eq(keyed "SELECT a ORDER BY", nil)
    t.eq(keyed "ORDER BY a", nil)
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
