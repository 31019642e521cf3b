-- Metrics by their definitions: order and ties, tolerance, soft F1, and column searches made to be slow.
local t = require "tests.check"
local sq = require "sqlune"

local compare, null = sq.evaluate.compare, sq.json.null

---The adjacency matrix of a graph as a table: rows and columns are vertices, renumbered by `order`.
local function table_of(n, joined, order)
  local rows = {}
  for r = 1, n do
    rows[r] = {}
    for c = 1, n do rows[r][c] = joined(order[r] - 1, order[c] - 1) and 1 or 0 end
  end
  return rows
end

local function shuffled(n, seed)
  local order = {}
  for i = 1, n do order[i] = i end
  sq.random.stream(seed):shuffle(order)
  return order
end

---Whether two tables are equal, and that the answer came in time.
local function timed(a, b, wanted, what)
  local spent, outcome = t.least(0.1, function() return compare(a, b) end)
  t.eq(outcome.ex, wanted, what)
  t.ok(spent < 0.1, ("%s: %.3f s"):format(what, spent))
end

-- Strongly regular graphs: no counting of neighbours tells two vertices apart.
local function rook(a, b) return a ~= b and (a // 4 == b // 4 or a % 4 == b % 4) end
local function shrikhande(a, b)
  local x, y = (a // 4 - b // 4) % 4, (a % 4 - b % 4) % 4
  return (x == 0 and (y == 1 or y == 3)) or (y == 0 and (x == 1 or x == 3)) or (x == y and (x == 1 or x == 3))
end

-- Two cubic graphs of 20 vertices.
local function petersen_like(step)
  return function(a, b) -- generalised Petersen graph (10, step): outer ring, spokes, inner star
    local i, j = a % 10, b % 10
    if a < 10 and b < 10 then return (i - j) % 10 == 1 or (j - i) % 10 == 1 end
    if a >= 10 and b >= 10 then return (i - j) % 10 == step or (j - i) % 10 == step end
    return i == j
  end
end

return {
  ["columns that cannot be told apart by counting"] = function()
    local plain = shuffled(16, 1)
    timed(table_of(16, rook, plain), table_of(16, rook, shuffled(16, 2)), true, "a rook's graph against itself")
    timed(table_of(16, shrikhande, plain), table_of(16, shrikhande, shuffled(16, 3)), true, "Shrikhande's")
    timed(table_of(16, rook, plain), table_of(16, shrikhande, shuffled(16, 4)), true, "two graphs of one design")
    local desargues, dodecahedron = petersen_like(3), petersen_like(2)
    timed(table_of(20, desargues, shuffled(20, 5)), table_of(20, desargues, shuffled(20, 6)), true, "Desargues")
    timed(table_of(20, desargues, shuffled(20, 5)), table_of(20, dodecahedron, shuffled(20, 6)), false, "another cubic")
  end,

  ["twenty columns, all pairs, one of them twice"] = function()
    local function pairs_table(twice, missing, seed)
      local order, rows = shuffled(20, seed), {}
      local function add(a, b)
        local row = {}
        for c = 1, 20 do row[c] = (order[c] == a or order[c] == b) and 1 or 0 end
        rows[#rows + 1] = row
      end
      for a = 1, 20 do
        for b = a + 1, 20 do
          if not (a == missing[1] and b == missing[2]) then add(a, b) end
        end
      end
      add(twice[1], twice[2])
      return rows
    end
    timed(pairs_table({ 1, 2 }, { 3, 4 }, 1), pairs_table({ 5, 6 }, { 7, 8 }, 2), true, "apart in both")
    timed(pairs_table({ 1, 2 }, { 3, 4 }, 1), pairs_table({ 1, 2 }, { 2, 3 }, 2), false, "apart and joined")
  end,

  ["many rows of twenty columns of few values"] = function()
    local rng, a, b, order = sq.random.stream(9), {}, {}, shuffled(20, 9)
    for r = 1, 2000 do
      a[r], b[2001 - r] = {}, {}
      for c = 1, 20 do a[r][c] = rng:integer(0, 1) end
      for c = 1, 20 do b[2001 - r][c] = a[r][order[c]] end
    end
    timed(a, b, true, "permuted both ways")
    b[1000][7] = 1 - b[1000][7]
    b[1001][7] = 1 - b[1001][7]
    compare(a, b) -- either answer: two bits may have been the same
    timed(a, b, compare(a, b).ex, "two bits turned")
  end,

  ["ex_ordered compares lists where gold orders"] = function()
    local gold, turned = { { 1, "a" }, { 2, "b" } }, { { "b", 2 }, { "a", 1 } }
    t.eq(compare(gold, turned).ex_ordered, true)
    t.eq(compare(gold, turned, { ordered = true }).ex_ordered, false)
    t.eq(compare(gold, { { "a", 1 }, { "b", 2 } }, { ordered = true }).ex_ordered, true)
    t.eq(compare(gold, turned, { spider_ordered = true }).ex_spider, false)
    t.eq(compare({}, {}, { ordered = true }).ex_ordered, true)
    t.eq(compare(gold, { gold[1] }, { ordered = true }).ex_ordered, false)
  end,

  ["a tolerance is explicit, relative, and makes chains one number"] = function()
    local a, b = { { 0.1 + 0.2 }, { 5 } }, { { 0.3 }, { 5.0 } }
    t.eq(compare(a, b).ex, false)
    t.eq(compare(a, b, { tolerance = 1e-9 }).ex, true)
    t.eq(compare(a, b, { tolerance = 1e-9 }).ex_xiyan, false, "their definition has none")
    t.eq(compare({ { 100 } }, { { 100.4 } }, { tolerance = 0.005 }).ex, true)
    t.eq(compare({ { 100 } }, { { 100.4 } }, { tolerance = 0.001 }).ex, false)
    t.eq(compare({ { "100" } }, { { 100 } }, { tolerance = 0.5 }).ex, false, "text is no number")
    t.eq(compare({ { 0 } }, { { 1e-300 } }, { tolerance = 0.5 }).ex, false, "nothing is near 0")
    t.eq(compare({ { math.huge } }, { { 1e308 } }, { tolerance = 0.5 }).ex, false)
    t.eq(compare({ { { decimal = "12.50" } } }, { { 12.5000001 } }, { tolerance = 1e-6 }).ex, true)
    t.eq(compare({ { 1.0 }, { 1.2 } }, { { 1.1 }, { 1.1 } }, { tolerance = 0.1 }).ex, true, "a chain")
    local rows = { { 0.1 + 0.2, 7 } }
    t.near(compare(rows, { { 0.3, 7 } }).soft_f1, 0.5, 1e-12)
    t.eq(compare(rows, { { 0.3, 7 } }, { tolerance = 1e-9 }).soft_f1, 1.0)
  end,

  ["soft_f1"] = function()
    local function f1(gold, pred) return compare(gold, pred).soft_f1 end
    t.eq({ f1({}, {}), f1({ { 1 } }, {}), f1({}, { { 1 } }) }, { 1.0, 0.0, 0.0 })
    t.near(f1({ { 1, 2 }, { 3, 4 } }, { { 2, 1 } }), 2 / 3, 1e-12, "a row is missing, cells may be swapped")
    t.eq(f1({ { 1 }, { 1 } }, { { 1 } }), 1.0, "repetitions are dropped")
    t.eq(f1({ { 1 }, { 2 } }, { { 2 }, { 1 } }), 0.0, "rows stand in order")
    t.near(f1({ { 1 } }, { { 1, 9 } }), 2 / 3, 1e-12, "a surplus column")
  end,

  ["cells of one value and two types"] = function()
    local got = compare({ { 1, 1.5 } }, { { 1.0, 1.5 } })
    t.eq({ got.ex, got.ex_bird, got.ex_xiyan }, { true, true, false })
    t.eq(compare({ { 1, 2 } }, { { 1.0, 2.0 } }).ex_xiyan, true)
    t.eq(compare({ { true, null } }, { { 1, null } }).ex, true)
    t.eq(compare({ { { date = "2024-01-31" } } }, { { { datetime = "2024-01-31 00:00:00" } } }).ex, false)
    t.eq(compare({ { { json = "[1]" } } }, { { { json = "[1]" } } }).ex, true)
    t.eq(compare({ { { json = "[1]" } } }, { { { json = "[1]" } } }).ex_xiyan, false, "Python cannot hash it")
    t.eq(compare({ { { decimal = "sNaN" } } }, { { { decimal = "sNaN" } } }).ex, false)
  end,

  ["arrays and JSON are what Python's drivers give"] = function()
    local function parsed(text) return { json = text } end
    -- what json.loads(a) == json.loads(b) says in Python 3.11
    for _, case in ipairs {
      { "[1]", "[1.0]", true }, { "[1, 2]", "[1,2]", true }, { "[1, 2]", "[2, 1]", false },
      { '{"a": 1, "b": [2, {"c": null}]}', '{"b":[2.0,{"c":null}],"a":1e0}', true },
      { '{"a": 1}', '{"a": "1"}', false },
      { '{"a": 1, "a": 2}', '{"a": 2}', true }, { '{"a": 2, "a": 1}', '{"a": 2}', false },
      { '["\\u00e9\\u0041"]', '["\u{e9}A"]', true }, { '["\\""]', '["\\\\\""]', false },
      { '["a\\nb"]', '["a\\u000ab"]', true }, { "[true, false]", "[1, 0.0]", true }, { "[null]", "[0]", false },
      { "[0]", "[-0.0]", true }, { "[0.1]", "[0.10]", true }, { "[0.1]", "[0.10000000000000001]", true },
      { "[9007199254740993]", "[9007199254740992.0]", false }, { "[9007199254740992]", "[9007199254740992.0]", true },
      { "[12345678901234567890123]", "[12345678901234567890124]", false },
      { "[100000000000000000000]", "[1e20]", true }, { "[]", "{}", false }, { "[[]]", "[[], []]", false },
      { '{"b":1,"a":{"d":1,"c":2}}', '{"a":{"c":2,"d":1},"b":1}', true }, { '{"a": 1}', '{"a": 1, "b": null}', false },
      { "[1e999]", "[1e999]", true }, { "[1", "[1", true }, { "[1", "[1 ", false }, -- no JSON: its text
    } do
      local a, b, what = parsed(case[1]), parsed(case[2]), case[1] .. " | " .. case[2]
      t.eq(compare({ { a } }, { { b } }).ex, case[3], what)
      t.eq(compare({ { 1, a }, { 2, a } }, { { 2, b }, { 1, b } }).ex_bird, case[3], what)
    end
    t.eq(compare({ { parsed "[1, 2]" } }, { { { array = "[1, 2]" } } }).ex, true, "both are lists")
    t.eq(compare({ { parsed "[1]" } }, { { "[1]" } }).ex, false, "a list is no text")
    -- plain values are plain values
    for _, case in ipairs { { "1.0", 1 }, { '"a\\u0062"', "ab" }, { "true", 1 }, { "null", null }, { "0.5", 0.5 },
      { "18446744073709551616", 2.0 ^ 64 } } do
      t.eq(compare({ { parsed(case[1]) } }, { { case[2] } }).ex, true, case[1])
      t.eq(compare({ { parsed(case[1]) } }, { { case[2] } }).ex_xiyan, true, case[1])
    end
    t.eq(compare({ { parsed "1.5", parsed "1" } }, { { 1.5, 1.0 } }).ex_xiyan, false, "as 1 and 1.0")
    t.eq(compare({ { parsed "null" } }, { { "null" } }).ex, false)
    local deep = ("["):rep(400) .. "1.0" .. ("]"):rep(400)
    t.eq(compare({ { parsed(deep) } }, { { parsed((deep:gsub("%.0", ""))) } }).ex, true)
  end,
}
