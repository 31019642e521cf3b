-- Random streams: the published Philox vectors, independence of names, ranges, rough uniformity.
local t = require "tests.check"
local sq = require "sqlune"
local random = sq.random

return {
  ["Philox 4x32-10 known answers"] = function() -- Random123's kat_vectors: counter, key -> block
    t.eq({ random.philox(0, 0, 0, 0, 0, 0) }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 })
    local f = 0xffffffff
    t.eq({ random.philox(f, f, f, f, f, f) }, { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd })
    t.eq({ random.philox(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0) },
      { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 })
  end,

  ["a stream depends on its seed and names only"] = function()
    local a, b = random.stream(7, "train", 12), random.stream(7, "train", 12)
    random.stream(7, "train", 13):uniform()
    for _ = 1, 9 do t.eq(a:bits(), b:bits()) end
    t.ok(random.stream(7, "ab", "c"):bits() ~= random.stream(7, "a", "bc"):bits())
    t.ok(random.stream(7, "x"):bits() ~= random.stream(8, "x"):bits())
    t.ok(random.stream(7, 1):bits() ~= random.stream(7, "1"):bits())
    t.eq(random.stream(-1, "x"):integer(1000), random.stream(-1, "x"):integer(1000))
    t.fails(function() random.stream(1.5) end, "must be an integer")
  end,

  ["a stream is Philox of (block, names) under the seed"] = function()
    local name, seed = sq.streams.hash("train", 12, true), -5
    local stream = random.stream(seed, "train", 12, true)
    local low <const> = 0xffffffff
    for at = 0, 3 do
      for _, word in ipairs { random.philox(at, 0, name & low, name >> 32, seed & low, seed >> 32) } do
        t.eq(stream:bits(), word)
      end
    end
    t.eq(sq.streams.hash("a"), (0xaf63dc4c8601ec8c ~ 0xff) * 0x100000001b3) -- FNV-1a of "a", as published
    t.fails(function() stream.bits {} end, "random stream expected")
    t.fails(function() stream:integer(0, 1 << 32) end, "no integer in")
    t.eq(math.type(stream:integer(math.mininteger, math.mininteger + 5)), "integer")
  end,

  ["ranges and uniformity"] = function()
    local rng, counts, sum = random.stream(1, "u"), {}, 0
    for i = 1, 6 do counts[i] = 0 end
    for _ = 1, 12000 do
      local n, u = rng:integer(6), rng:uniform()
      counts[n] = counts[n] + 1
      t.ok(u >= 0 and u < 1)
      sum = sum + u
    end
    -- five standard deviations: sqrt(12000 · 1/6 · 5/6) = 41; of the mean sqrt(1/12/12000) = 0.0026
    for i = 1, 6 do t.near(counts[i], 2000, 205) end
    t.near(sum / 12000, 0.5, 0.013)
    for _ = 1, 100 do
      local n = rng:integer(-3, 3)
      t.ok(n >= -3 and n <= 3)
    end
    t.fails(function() rng:integer(0) end, "no integer")
  end,

  ["lists"] = function()
    local rng = random.stream(3, "lists")
    local list = rng:shuffle { 1, 2, 3, 4, 5, 6, 7, 8 }
    local sorted = table.move(list, 1, #list, 1, {})
    table.sort(sorted)
    t.eq(sorted, { 1, 2, 3, 4, 5, 6, 7, 8 })
    t.ok(table.concat(list) ~= "12345678")
    t.eq(rng:choice { "only" }, "only")
    t.fails(function() rng:choice {} end, "empty list")
    local counts = { 0, 0, 0 }
    for _ = 1, 4000 do
      local i = rng:weighted { 1, 0, 3 }
      counts[i] = counts[i] + 1
    end
    t.eq(counts[2], 0)
    t.near(counts[1], 1000, 137) -- five standard deviations of 27.4
    t.fails(function() rng:weighted { 0, 0 } end, "sum to nothing")
    t.fails(function() rng:weighted { -1, 2 } end, "negative")
    local things, went = {}, {}
    for i = 1, 1000 do things[i] = { place = i, used = i % 10 == 0, key = i % 10 == 1 } end
    for _, thing in ipairs(rng:thin(things, 0.7, "used", "key")) do
      went[thing.place] = true
      t.ok(not thing.used and not thing.key)
    end
    t.near(#things, 760, 65) -- 800 draws; five standard deviations of 13
    for i, thing in ipairs(things) do t.ok(not went[thing.place] and (i == 1 or things[i - 1].place < thing.place)) end
    t.eq({ rng:thin({}, 0), rng:thin({ { a = 1 } }, 0, "a"), #rng:thin({ {}, {} }, 0) }, { nil, nil, 2 })
    t.fails(function() rng:thin({ 1 }, 0.5, "a") end, "index a number")
    t.eq(#rng:sample(10, 4), 4)
    t.eq(rng:sample(3, 3), { 1, 2, 3 })
    t.fails(function() rng:sample(2, 3) end, "cannot draw 3 of 2")
  end,
}
