-- Attention over keys in pages: the bits of keys that lie together, whatever the pages; tables that fit nothing.
local sq = require "sqlune"
local t = require "tests.check"
local ops = sq.ops

local function ids(list) return sq.tensor(list, { dtype = "i64" }) end
local function random(shape, dtype, stream) return sq.randn(shape, { seed = 7, stream = stream }):to(dtype) end

---Keys of some sequences one after the other, [S, KV, D], into pages of `size` rows in an order that `step` shuffles;
---rows of no key are NaN. Gives [P, R, KV, D] and the table.
local function into_pages(x, lengths, size, step)
  local most, count = 0, 0
  for _, n in ipairs(lengths) do
    most = math.max(most, (n + size - 1) // size)
    count = count + (n + size - 1) // size
  end
  local there = count + 1
  while step > 1 and there % step == 0 do there = there + 1 end
  local where, rows, next_page = {}, {}, 0
  for s, n in ipairs(lengths) do
    where[s] = {}
    for j = 1, most do
      where[s][j] = -1
      if (j - 1) * size < n then
        where[s][j] = next_page * step % there
        next_page = next_page + 1
      end
    end
    for i = 0, n - 1 do rows[#rows + 1] = where[s][i // size + 1] * size + i % size end
  end
  local paged = ops.fill_(sq.empty({ there * size, x:size(2), x:size(3) }, { dtype = x.dtype }), 0 / 0)
  ops.write_rows_(paged, ids(rows), x)
  return paged:reshape { there, size, x:size(2), x:size(3) }, ids(where)
end

---Attention over dense keys and over pages of them.
local function both(dtype, queries, lengths, heads, kv, dim, size, step, options)
  local starts, keys, total = { 0 }, {}, 0
  for s, n in ipairs(lengths) do
    starts[s + 1], keys[s], total = starts[s] + queries[s], total, total + n
  end
  local q = random({ starts[#starts], heads, dim }, dtype, 1)
  local k, v = random({ total, kv, dim }, dtype, 2), random({ total, kv, dim }, dtype, 3)
  local o = { rows = ids(starts), keys = ids(keys), lengths = ids(lengths) }
  for key, value in pairs(options or {}) do o[key] = value end
  local dense = ops.attention(q, k, v, o)
  o.keys, k, o.pages = nil, into_pages(k, lengths, size, step)
  v = into_pages(v, lengths, size, step)
  return dense, ops.attention(q, k, v, o)
end

return {
  ["keys in pages: the bits of keys that lie together"] = function()
    local _s <close> = sq.scope()
    for _, dtype in ipairs { "f32", "bf16", "f64" } do
      for _, c in ipairs {
        { { 1, 2, 1 }, { 150, 65, 1 }, 4, 2, 16, 64, 1 }, { { 1, 2, 1 }, { 150, 65, 1 }, 4, 2, 16, 64, 3 },
        { { 1, 0, 3 }, { 40, 0, 131 }, 3, 1, 10, 16, 5 }, { { 9, 30 }, { 90, 140 }, 2, 2, 32, 7, 3 },
        { { 1 }, { 2100 }, 7, 1, 8, 64, 5 }, { { 1, 4 }, { 300, 200 }, 2, 1, 32, 32, 7, { window = 70 } },
        { { 5 }, { 100 }, 2, 1, 16, 16, 3, { causal = false, scale = 0.4 } },
      } do
        local dense, paged = both(dtype, table.unpack(c, 1, 8))
        t.eq(paged:totable(), dense:totable(), dtype .. " in pages of " .. c[6])
      end
    end
  end,

  ["a table of pages that does not fit says what is wrong"] = function()
    local _s <close> = sq.scope()
    local q, k = sq.ones { 2, 2, 4 }, sq.ones { 3, 8, 1, 4 }
    local rows = ids { 0, 1, 2 }
    local function attend(more)
      local o = { rows = rows, lengths = ids { 9, 3 }, pages = ids { { 0, 1 }, { 2, -1 } } }
      for key, value in pairs(more) do o[key] = value ~= false and value or nil end
      return ops.attention(more.q or q, more.k or k, more.k or k, (function()
        o.q, o.k = nil, nil
        return o
      end)())
    end
    t.eq(attend({}).shape, { 2, 2, 4 })
    for words, more in pairs {
      ["2 pages of 8 rows do not hold the 17 keys of sequence 1"] = { lengths = ids { 17, 1 } },
      ["page 2 of sequence 1 is 3, of 3 there are"] = { pages = ids { { 0, 3 }, { 1, 1 } } },
      ["page 1 of sequence 2 is %-1, of 3 there are"] = { pages = ids { { 0, 1 }, { -1, 1 } } },
      ["index %-2 %(place 4%)"] = { pages = ids { { 0, 1 }, { 2, -2 } } },
      ["pages is %[n, M%] and stands in the place of keys"] = { pages = ids { { 0, 1 } } },
      ["stands in the place of keys"] = { keys = ids { 0, 0 } },
      ["keys and lengths are %[n%] and come together"] = { lengths = false },
      ["lengths do not fit 2 queries and 3 pages"] = { lengths = ids { 9, 0 } },
      ["do not fit %[T, H, D%], %[P, R, KV, D%]"] = { k = sq.ones { 24, 1, 4 } },
      ["do not fit %[T, H, D%], %[S, KV, D%]"] = { pages = false, lengths = false },
      ["keys in pages have no gradient"] = { q = (function()
        local x = sq.ones { 2, 2, 4 }
        x.requires_grad = true
        return x
      end)() },
    } do
      t.fails(function() attend(more) end, words)
    end
  end,
}
