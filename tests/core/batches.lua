-- How samples share batches: each comes as often as it should, none is cut, and the ways differ as they say.
local sq = require "sqlune"
local t = require "tests.check"
local batches = sq.data.batches

---Samples of these lengths, as if they were read on demand.
local function samples_of(lengths, sets) return setmetatable({ lengths = lengths, sets = sets },
  { __len = function() return #lengths end }) end

local function lengths_of(count, most, seed)
  local rng, list = sq.random.stream(seed or 1, "lengths"), {}
  for i = 1, count do list[i] = rng:integer(most) end
  return list
end

local function batches_of(plan, epoch)
  local list = {}
  for _, step in ipairs(plan:plan(epoch)) do table.move(step, 1, #step, #list + 1, list) end
  return list
end

local function tokens(batch, lengths)
  local n = 0
  for _, i in ipairs(batch) do n = n + lengths[i] end
  return n
end

local cases = {}

cases["every way uses each sample once an epoch, within the limit, the same for a seed"] = function()
  local lengths = lengths_of(700, 90)
  for _, batching in ipairs(batches.names) do
    for _, limit in ipairs { 90, 91, 128, 400 } do
      local o = { batch_tokens = limit, accumulation = 3, seed = 4, epochs = 2, batching = batching }
      local plan, again = batches.of(samples_of(lengths), o), batches.of(samples_of(lengths), o)
      local seen = {}
      for _, batch in ipairs(batches_of(plan, 1)) do
        t.ok(tokens(batch, lengths) <= limit, batching)
        for _, i in ipairs(batch) do
          t.ok(not seen[i], "twice")
          seen[i] = true
        end
      end
      t.eq(#seen, 700, batching)
      local second = plan:plan(2)
      t.eq(again:plan(2), second) -- without having made the first
      t.ok(table.concat(second[1][1], " ") ~= table.concat(again:plan(1)[1][1], " "), "epochs are alike")
    end
  end
end

---Best fit, longest first, by trying every batch.
local function slow_best_fit(lengths, limit)
  local order, rooms = table.move(lengths, 1, #lengths, 1, {}), {}
  table.sort(order, function(a, b) return a > b end)
  for _, n in ipairs(order) do
    local best
    for b, room in ipairs(rooms) do
      if room >= n and (not best or room < rooms[best]) then best = b end
    end
    if best then rooms[best] = rooms[best] - n else rooms[#rooms + 1] = limit - n end
  end
  table.sort(rooms)
  return rooms
end

cases["best fit is best fit"] = function()
  for seed = 1, 4 do
    local lengths, limit = lengths_of(300, 60, seed), 60 + 13 * seed
    local plan = batches.of(samples_of(lengths), { batch_tokens = limit, accumulation = 1, seed = 1, epochs = 1,
      batching = "best_fit" })
    local rooms = {}
    for b, batch in ipairs(batches_of(plan, 1)) do rooms[b] = limit - tokens(batch, lengths) end
    table.sort(rooms)
    t.eq(rooms, slow_best_fit(lengths, limit))
    local packed = batches.of(samples_of(lengths), { batch_tokens = limit, accumulation = 1, seed = 1, epochs = 1 })
    t.ok(#rooms < #packed:plan(1), "no fewer batches than in order")
  end
end

cases["grouped batches hold samples of like length"] = function()
  local lengths = lengths_of(2000, 100)
  local function spread(batching)
    local plan, sum = batches.of(samples_of(lengths), { batch_tokens = 500, accumulation = 1, seed = 1, epochs = 1,
      batching = batching }), 0
    local list = batches_of(plan, 1)
    for _, batch in ipairs(list) do
      local low, high = math.huge, 0
      for _, i in ipairs(batch) do low, high = math.min(low, lengths[i]), math.max(high, lengths[i]) end
      sum = sum + high - low
    end
    return sum / #list
  end
  t.ok(spread "grouped" < spread "packed" / 5)
end

cases["weights of data sets: how often each comes an epoch"] = function()
  local lengths = lengths_of(150, 10)
  local sets = { { first = 1, count = 100, weight = 0.5 }, { first = 101, count = 50, weight = 2.5 } }
  local plan = batches.of(samples_of(lengths, sets), { batch_tokens = 40, accumulation = 2, seed = 1, epochs = 3 })
  local drawn = {}
  for epoch = 1, 2 do
    local count, small = {}, 0
    for _, batch in ipairs(batches_of(plan, epoch)) do
      for _, i in ipairs(batch) do count[i] = (count[i] or 0) + 1 end
    end
    for i = 1, 100 do small = small + (count[i] or 0) end
    t.eq(small, 50)
    local three = 0
    for i = 101, 150 do
      t.ok(count[i] == 2 or count[i] == 3)
      three = three + count[i] - 2
    end
    t.eq(three, 25)
    drawn[epoch] = count
  end
  local same = true
  for i = 1, 100 do same = same and drawn[1][i] == drawn[2][i] end
  t.ok(not same, "both epochs draw the same half")
end

return cases
