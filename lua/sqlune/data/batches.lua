-- Batches without padding: whole samples one after another, up to a number of tokens; attention never crosses a sample.
local sq = require "sqlune"
local random = sq.random

local M = {}

---@class sqlune.data.Batch
---@field ids userdata       i64 [T]
---@field targets userdata   i64 [T]: the token that should follow, -100 where none is trained
---@field starts integer[]   first token of each sample from 0, and T at the end
---@field labelled integer   targets that count
---@field sql_types table<integer, string> dialects of the samples, where they say one
---@field tokens integer     T

---@class sqlune.data.Batches
---@field samples sqlune.data.Sample[]
local Batches = {}
Batches.__index = Batches

---Ways to share batches: as they come until one is full; the fullest batch that has room for each (best fit, longest
---first); samples of like length together.
M.names = { "packed", "best_fit", "grouped" }

---@class sqlune.data.BatchOpts
---@field batch_tokens integer most tokens of a batch
---@field accumulation integer batches of a step
---@field seed integer
---@field epochs number
---@field batching? "packed"|"best_fit"|"grouped"
---@field shuffle? boolean     (true)

---@param samples sqlune.data.Sample[]  with `lengths`, samples are read when they are needed; `sets`: see mixture.lua;
---with `sample` and `lengths_in` they differ by epoch, see epochs.lua
---@param o sqlune.data.BatchOpts
---@return sqlune.data.Batches
function M.of(samples, o)
  local lengths = samples.lengths
  if not lengths and not samples.lengths_in then
    lengths = {}
    for i, sample in ipairs(samples) do lengths[i] = #sample.ids end
  end
  return setmetatable({
    samples = samples, lengths = lengths, batch_tokens = o.batch_tokens, accumulation = o.accumulation, seed = o.seed,
    epochs = o.epochs, shuffle = o.shuffle ~= false, batching = o.batching or "packed", plans = {},
  }, Batches)
end

---Sample numbers of an epoch in a random order. A data set of weight 2.5 comes twice, and half of it a third time.
local function order_of(self, epoch)
  local order = {}
  for k, set in ipairs(self.samples.sets or { { first = 1, count = #self.samples, weight = 1 } }) do
    local whole = math.floor(set.weight)
    for _ = 1, whole do
      for i = set.first, set.first + set.count - 1 do order[#order + 1] = i end
    end
    local rest = math.floor((set.weight - whole) * set.count + 0.5)
    if rest > 0 then
      local drawn = random.stream(self.seed, "mixture", epoch, k):sample(set.count, rest)
      for _, i in ipairs(drawn) do order[#order + 1] = set.first + i - 1 end
    end
  end
  if self.samples.lengths_in then -- what is too long in this epoch is not in it
    local there = {}
    for _, i in ipairs(order) do if self.lengths[i] > 0 then there[#there + 1] = i end end
    order = there
  end
  if self.shuffle then random.stream(self.seed, "order", epoch):shuffle(order) end
  return order
end

local function by_length(self, order, first, last)
  local place, part = {}, {}
  for k = first, last do
    part[#part + 1] = k
    place[k] = order[k]
  end
  table.sort(part, function(a, b)
    local x, y = self.lengths[place[a]], self.lengths[place[b]]
    if x ~= y then return x > y end
    return a < b
  end)
  for k, from in ipairs(part) do order[first + k - 1] = place[from] end
end

---Batches in this order, each full before the next begins.
local function in_order(self, order)
  local list, batch, used = {}, {}, 0
  for _, i in ipairs(order) do
    local n = self.lengths[i]
    if used + n > self.batch_tokens and #batch > 0 then
      list[#list + 1], batch, used = batch, {}, 0
    end
    batch[#batch + 1], used = i, used + n
  end
  if #batch > 0 then list[#list + 1] = batch end
  return list
end

---Best fit, longest first. `rooms[r]` lists the batches with room for exactly r tokens more; a tree of flags over the
---rooms finds the smallest one that suffices.
local function best_fit(self, order)
  by_length(self, order, 1, #order)
  local size, list, rooms, tree = 1, {}, {}, {}
  while size <= self.batch_tokens do size = size * 2 end
  local function mark(room, on) -- a flag counts the open batches below it
    local node = size + room
    while node >= 1 do
      tree[node] = (tree[node] or 0) + on
      node = node // 2
    end
  end
  local function smallest(room)
    local node = size + room
    if (tree[node] or 0) > 0 then return room end
    while node > 1 do
      if node % 2 == 0 and (tree[node + 1] or 0) > 0 then
        node = node + 1
        while node < size do node = (tree[2 * node] or 0) > 0 and 2 * node or 2 * node + 1 end
        return node - size
      end
      node = node // 2
    end
  end
  for _, i in ipairs(order) do
    local n = self.lengths[i]
    local room = smallest(n)
    local batch
    if room then
      batch = table.remove(rooms[room])
      mark(room, -1)
    else
      room, batch = self.batch_tokens, {}
      list[#list + 1] = batch
    end
    batch[#batch + 1] = i
    local left = room - n
    if left > 0 then
      rooms[left] = rooms[left] or {}
      table.insert(rooms[left], batch)
      mark(left, 1)
    end
  end
  return list
end

local GROUP <const> = 50 -- batches among which samples are sorted by length

---Samples of like length together: the order is sorted within pieces of about GROUP batches.
local function grouped(self, order)
  local tokens = 0
  for _, i in ipairs(order) do tokens = tokens + self.lengths[i] end
  local piece = math.max(1, math.ceil(#order * GROUP * self.batch_tokens / math.max(1, tokens)))
  for first = 1, #order, piece do by_length(self, order, first, math.min(first + piece - 1, #order)) end
  return in_order(self, order)
end

---The steps of an epoch (from 1): lists of micro-batches, each a list of sample numbers. The same for a seed, always.
function Batches:plan(epoch)
  if self.plans[epoch] then return self.plans[epoch] end
  if self.samples.lengths_in then self.lengths = self.samples:lengths_in(epoch) end
  local order = order_of(self, epoch)
  local list
  if self.batching == "packed" then
    list = in_order(self, order)
  else
    list = (self.batching == "best_fit" and best_fit or grouped)(self, order)
    -- Sorted samples made sorted batches.
    if self.shuffle then random.stream(self.seed, "batches", epoch):shuffle(list) end
  end
  local steps = {}
  for first = 1, #list, self.accumulation do
    steps[#steps + 1] = table.move(list, first, math.min(first + self.accumulation - 1, #list), 1, {})
  end
  self.plans = { [epoch] = steps } -- one epoch's plan is in memory
  return steps
end

---Steps of the whole run. Half an epoch (epochs = 0.5) is the first half of its steps.
---@return integer
function Batches:steps()
  local total, whole = 0, math.floor(self.epochs)
  for epoch = 1, whole do total = total + #self:plan(epoch) end
  if self.epochs > whole then total = total + math.max(1, math.floor((self.epochs - whole) * #self:plan(whole + 1))) end
  return total
end

---Epoch (from 1) and step within it of a step of the run.
function Batches:place(step)
  local epoch = 1
  while step > #self:plan(epoch) do
    step = step - #self:plan(epoch)
    epoch = epoch + 1
  end
  return epoch, step
end

---One micro-batch of these samples.
---@param numbers integer[]
---@param epoch? integer  for samples that differ by epoch
---@return sqlune.data.Batch
function Batches:batch(numbers, epoch)
  local ids, targets, starts, sql_types, labelled = {}, {}, { 0 }, {}, 0
  for k, i in ipairs(numbers) do
    local sample = self.samples.sample and self.samples:sample(i, epoch) or self.samples[i]
    local n = #sample.ids
    table.move(sample.ids, 1, n, #ids + 1, ids)
    table.move(sample.labels, 2, n, #targets + 1, targets) -- the label of the next token
    targets[#ids] = -100
    starts[k + 1] = #ids
    sql_types[k] = sample.sql_type
    labelled = labelled + sample.labelled
  end
  local function integers(list) return sq.tensor(list, { dtype = "i64" }) end
  return { ids = integers(ids), targets = integers(targets), starts = starts, labelled = labelled, tokens = #ids,
    sql_types = sql_types }
end

---The micro-batches of one step of the run (from 1).
---@return sqlune.data.Batch[]
function Batches:at(step)
  local epoch, place = self:place(step)
  local list = {}
  for k, numbers in ipairs(self:plan(epoch)[place]) do list[k] = self:batch(numbers, epoch) end
  return list
end

---Labelled tokens of a step's micro-batches together: what the step's mean is over.
---@param micro sqlune.data.Batch[]
---@return integer
function M.labelled(micro)
  local n = 0
  for _, batch in ipairs(micro) do n = n + batch.labelled end
  return n
end

return M
