-- report.html: everything is escaped, the file needs no network, charts and diffs say what they should.
local t = require "tests.check"
local sq = require "sqlune"

local report = sq.report

local function html(value) return tostring(value) end

return {
  ["text is escaped everywhere"] = function()
    local evil = "<script>alert('x')</script>\"&"
    local page = report.page { title = evil, subtitle = evil, sections = {
      { title = evil, report.text(evil), report.code(evil), report.badge(evil, "bad"),
        report.tiles { { evil, evil, evil } },
        report.table({ { evil, { evil, evil } } }, { header = { evil, "b" }, footer = { evil } }),
        report.facts { { evil, evil } }, report.details(evil, evil), report.columns(evil, evil),
        report.line_chart { title = evil, x_label = evil, y_label = evil,
          series = { { name = evil, y = { 1, 2 } }, { name = evil, y = { 2, 1 } } } },
        (report.sql_diff(evil, "SELECT 1")) },
      { title = "two" },
    } }
    t.eq(page:find("<script", 1, true), nil)
    t.eq(page:find("alert('x')", 1, true), nil)
    t.eq(page:find('""', 1, true), nil)
    for address in page:gmatch "https?://[^\"' ]+" do t.eq(address, nil, "an address in the page") end
    t.eq(page:find "<link", nil)
    t.eq(page:find "src=", nil)
  end,

  ["bytes that are not text"] = function()
    t.eq(report.escape "a\0b\xffc\x1bd\n\te\x7f", "a\u{2400}b\u{FFFD}c\u{241B}d\n\te\u{2421}")
    t.eq(report.escape "\xc3", "\u{FFFD}")
    t.eq(report.escape "größe 漢", "größe 漢")
    t.eq(report.escape(1.5), "1.5")
  end,

  ["a diff of tokens"] = function()
    local gold, pred = report.sql_diff("SELECT name FROM t WHERE a = 'X'  ORDER BY b",
      "select name from t where a = 'x' order by b")
    t.eq(html(gold), "SELECT name FROM t WHERE a = <del>&#39;X&#39;</del>  ORDER BY b")
    t.eq(html(pred), "select name from t where a = <ins>&#39;x&#39;</ins> order by b")
    gold, pred = report.sql_diff("SELECT a, b FROM t", "SELECT b, a FROM t")
    t.eq(html(gold):gsub("</?del>", ""), "SELECT a, b FROM t")
    t.ok(html(pred):find "<ins>")
    gold, pred = report.sql_diff("SELECT 'a b", "")
    t.eq({ html(gold), html(pred) }, { "<del>SELECT &#39;a b</del>", "" })
    gold, pred = report.sql_diff("", "")
    t.eq({ html(gold), html(pred) }, { "", "" })
    local long = ("x "):rep(5000)
    t.ok(#html(report.sql_diff(long, long .. "y")) >= #long - 1)
  end,

  ["tables: numbers to the right, NULL is not a text"] = function()
    local table_html = html(report.table({ { "a", 1, sq.json.null }, { "NULL", 2 } }, { null = sq.json.null }))
    t.ok(table_html:find('<td>a</td><td class="r">1</td><td class="null">NULL</td>', 1, true), table_html)
    t.ok(table_html:find("<td>NULL</td>", 1, true))
  end,

  ["charts: gaps, one point, nothing, many points"] = function()
    local function chart(series, more)
      local spec = { series = { series } }
      for key, value in pairs(more or {}) do spec[key] = value end
      return html(report.line_chart(spec))
    end
    local function count(text, what) return select(2, text:gsub(what, "")) end
    local gap = chart { y = { 1, 2, 0 / 0, 3, 4, math.huge, 5 } }
    t.eq(count(gap, "<polyline"), 2)
    t.eq(count(gap, "<circle"), 1)
    t.ok(chart({ y = {} }):find "no points")
    t.ok(chart({ y = { 0 / 0 } }):find "no points")
    t.ok(chart({ y = { 3, 3, 3 } }):find "<polyline")
    t.ok(chart({ y = { 1e-9, 2e-9 } }):find "<polyline")
    t.ok(chart({ x = { 100, 200 }, y = { -5, 1e7 } }):find "<polyline")
    local y, points = {}, os.getenv "SQLUNE_GC" and 20000 or 100000
    for i = 1, points do y[i] = math.sin(i / 1000) end
    y[points * 7 // 9] = 9 -- a spike must not be lost
    local many = chart { y = y }
    t.ok(#many < 60000, #many)
    t.eq(count(chart({ y = y }, { y_min = 0 }), "<polyline"), 1)
    t.ok(many:find(">10<", 1, true) or many:find(">8<", 1, true), "the axis reaches the spike")
    t.eq(count(many, "nan"), 0)
  end,
}
