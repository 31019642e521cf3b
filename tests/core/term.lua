-- Terminal text and progress: widths in code points, tables that fit, lines as a log and as one live line.
local t = require "tests.check"
local sq = require "sqlune"
local term, progress = sq.term, sq.progress

---A progress bar on a clock of its own; returns the bar, its text so far, and a function that moves time.
local function fake(o)
  local now, parts = 100.0, {}
  o.clock = function() return now end
  o.write = function(text) parts[#parts + 1] = text end
  return progress.bar(o), parts, function(s) now = now + s end
end

return {
  ["widths"] = function()
    t.eq(term.width "Nguyễn", 6)
    t.eq(term.width "\27[1;31mred\27[0m", 3)
    t.eq(term.width "\xff\xfe", 2)
    t.eq(term.cut("Nguyễn Văn", 7), "Nguyễn…")
    t.eq(term.cut("abc", 3), "abc")
    t.eq(term.cut("abc", 0), "")
  end,

  ["colours only when asked for"] = function()
    term.set_color "never"
    t.eq(term.style("x", "bold red"), "x")
    term.set_color "always"
    t.eq(term.style("x", "bold red"), "\27[1;31mx\27[0m")
    t.fails(function() term.style("x", "mauve") end, "unknown style 'mauve'")
    term.set_color "auto"
    t.fails(function() term.set_color "sometimes" end, "always, never or auto")
  end,

  ["a table aligns and fits"] = function()
    local rows = { { "shop", 84, 91.7 }, { "Bücherei", 7, 5.0 } }
    t.eq(term.table { columns = { "database", "items", "ex" }, rows = rows },
      "  database  items    ex\n  shop         84  91.7\n  Bücherei      7   5.0")
    local text = term.table { columns = { "sql", "n" }, rows = { { ("select "):rep(30), 123456 }, { "a\nb" } } }
    for line in text:gmatch "[^\n]+" do t.ok(term.width(line) <= 80, line) end
    t.ok(text:find("…  123456", 1, true))
    t.ok(text:find("a b", 1, true))
    t.eq(term.table { columns = {}, rows = {} }, "")
    t.eq(term.table { rows = { { "x", nil, "z" } }, indent = 0 }, "x    z")
  end,

  ["numbers in words"] = function()
    t.eq(term.plural(1, "item") .. term.plural(2, "item") .. term.plural(0, "city", "cities"), "1 item2 items0 cities")
    t.eq(term.count(999), "999")
    t.eq(term.count(6134), "6.1k")
    t.eq(term.count(135000000), "135M")
    t.eq(term.bytes(3.2 * 1024 ^ 3), "3.2 GiB")
    t.eq(term.bytes(12), "12 B")
    t.eq(term.duration(0.25), "0.2s")
    t.eq(term.duration(252), "4m12s")
    t.eq(term.duration(59.7), "1m00s")
    t.eq(term.duration(7500), "2h05m")
  end,

  ["plain lines every few seconds"] = function()
    local bar, parts, wait = fake { label = "sft", total = 100, unit = "step", every = 5, live = false }
    for n = 1, 12 do
      wait(1)
      bar:update(n, { loss = 1 / 3 })
    end
    bar:close()
    bar:close()
    t.eq(table.concat(parts), "sft    5%  step 5/100  loss 0.333  left 1m35s\n"
      .. "sft   10%  step 10/100  loss 0.333  left 1m30s\nsft  step 12/100  loss 0.333  12s\n")
  end,

  ["one live line, at most ten times a second"] = function()
    local bar, parts, wait = fake { label = "x", total = 1000, live = true, order = { "z" } }
    for n = 1, 1000 do
      wait(0.001)
      bar:update(n, { a = 1, z = 2 })
    end
    t.ok(#parts >= 9 and #parts <= 11, #parts)
    t.ok(parts[1]:find("^\r") and parts[1]:find("\27[K", 1, true))
    t.ok(parts[#parts]:find("z 2  a 1", 1, true))
    t.ok(term.width(parts[#parts]:gsub("[\r\n]", "")) <= 83)
    bar:say "note"
    t.eq(parts[#parts], "\r\27[Knote\n")
    bar:close()
    t.ok(parts[#parts]:find "\n$")
  end,

  ["work that ends at once says nothing, unless it has something to say"] = function()
    local bar, parts, wait = fake { label = "x", total = 3, live = false }
    wait(0.01)
    bar:update(3)
    bar:close()
    t.eq(#parts, 0)
    bar, parts = fake { label = "x", live = true }
    bar:close "12 items"
    t.eq(parts, { "\r\27[Kx  12 items\n" })
  end,

  ["quiet says nothing"] = function()
    progress.quiet = true
    local bar, parts, wait = fake { label = "x", total = 3, live = true }
    progress.quiet = false
    wait(60)
    bar:update(3)
    bar:close()
    t.eq(#parts, 0)
  end,
}
