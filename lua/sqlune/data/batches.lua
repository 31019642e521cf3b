-- Batches without padding: whole samples one after another, up to a number of tokens; attention never crosses a sample.
local sq = require "sqlune"
local random = sq.random

local M = {}

---@class sqlune.data.Batch
---@field ids userdata       i64 [T]
---@field targets userdata   i64 [T]: the token that should follow, -100 where none is trained
---@field starts integer[]   first token of each sample from 0, and T at the end
---@field labelled integer   targets that count
---@field tokens integer     T

---@class sqlune.data.Batches
---@field samples sqlune.data.Sample[]
local Batches = {}
Batches.__index = Batches

---@param samples sqlune.data.Sample[]
---@param o {batch_tokens: integer, accumulation: integer, seed: integer, epochs: number, shuffle?: boolean}
---@return sqlune.data.Batches
function M.packed(samples, o)
  return setmetatable({
    samples = samples, batch_tokens = o.batch_tokens, accumulation = o.accumulation, seed = o.seed,
    epochs = o.epochs, shuffle = o.shuffle ~= false, plans = {},
  }, Batches)
end

---The steps of an epoch (from 1): lists of micro-batches, each a list of sample numbers. The same for a seed, always.
function Batches:plan(epoch)
  if self.plans[epoch] then return self.plans[epoch] end
  local order = {}
  for i = 1, #self.samples do order[i] = i end
  if self.shuffle then random.stream(self.seed, "order", epoch):shuffle(order) end
  local steps, micro, batch, used = {}, {}, {}, 0
  local function end_batch()
    if #batch == 0 then return end
    micro[#micro + 1], batch, used = batch, {}, 0
    if #micro == self.accumulation then steps[#steps + 1], micro = micro, {} end
  end
  for _, i in ipairs(order) do
    local n = #self.samples[i].ids
    if used + n > self.batch_tokens then end_batch() end
    batch[#batch + 1], used = i, used + n
  end
  end_batch()
  if #micro > 0 then steps[#steps + 1] = micro end
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
---@return sqlune.data.Batch
function Batches:batch(numbers)
  local ids, targets, starts, labelled = {}, {}, { 0 }, 0
  for k, i in ipairs(numbers) do
    local sample = self.samples[i]
    local n = #sample.ids
    table.move(sample.ids, 1, n, #ids + 1, ids)
    table.move(sample.labels, 2, n, #targets + 1, targets) -- the label of the next token
    targets[#ids] = -100
    starts[k + 1] = #ids
    labelled = labelled + sample.labelled
  end
  local function integers(list) return sq.tensor(list, { dtype = "i64" }) end
  return { ids = integers(ids), targets = integers(targets), starts = starts, labelled = labelled, tokens = #ids }
end

---The micro-batches of one step of the run (from 1).
---@return sqlune.data.Batch[]
function Batches:at(step)
  local epoch, place = self:place(step)
  local list = {}
  for k, numbers in ipairs(self:plan(epoch)[place]) do list[k] = self:batch(numbers) end
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
