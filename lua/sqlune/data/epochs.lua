-- Training samples that are augmented anew in every epoch: made when a step wants them, from items as assemble takes
-- them.
--
-- Rules: sample i of epoch e depends on the seed, its data set, its place and e, nothing else: a resumed run sees what
-- it would have seen. Nothing but the items and each epoch's lengths is kept. A sample that is too long in an epoch
-- is not in it.
local choose = require "sqlune.data.choose"
local compose = require "sqlune.data.compose"
local config = require "sqlune.config"
local datasets = require "sqlune.data.datasets"
local items = require "sqlune.data.items"
local progress = require "sqlune.progress"
local sq = require "sqlune"
local chat = sq.chat

local M = {}

---Settings of a recipe: `augment = epochs.options`.
M.options = {
  every_epoch = config.boolean("make the conversations anew in every epoch: DATA is what assemble takes, a config of "
    .. "data sets or a file of items"),
  file   = config.path("Lua file with augmentations of your own", false),
  prompt = config.string("zh, en, or a Lua file with a prompt of your own", "zh"),
  trim   = config.boolean "drop what nobody needs from the schema of a sample that is too long",
}

---@class sqlune.data.EpochSamples: sqlune.data.Conversations
---@field sets { first: integer, count: integer, weight: number }[]  see mixture.lua
local Samples = {}
Samples.__index = Samples

---The conversation's tokens and labels; the last ones are remembered, counting comes before using.
local function encoder(text, mask)
  local last, encoded
  return function(messages)
    if messages == last then return encoded end
    local result, message = chat.encode(text.tokenizer, text.template, messages, { mask = mask })
    if not result then return nil, message end
    last, encoded = messages, result
    return result
  end
end

---The sample of an item in an epoch; false where it is too long or has nothing to train.
---@param i integer
---@param epoch integer
---@return sqlune.data.Sample|false|nil sample
---@return string? why  "long", "unlabelled"; what went wrong
function Samples:sample(i, epoch)
  local one = self[i]
  local composed, message = self.composer:compose(one.set, one.item,
    { where = one.where, number = one.number, draw = { "epoch", epoch } })
  if not composed then return nil, message end
  if composed.too_long then return false, "long" end
  local encoded
  encoded, message = self.encode(composed.messages)
  if not encoded then return nil, one.where .. ": " .. message end
  local labelled = 0
  for k = 2, #encoded.labels do labelled = labelled + (encoded.labels[k] ~= chat.ignored and 1 or 0) end
  if labelled == 0 then return false, "unlabelled" end
  return { ids = encoded.ids, labels = encoded.labels, labelled = labelled, sql_type = one.set.dialect }
end

---Tokens of every sample in an epoch, 0 where it is not in it. Raises what a user's augmentation does wrong.
---@param epoch integer
---@return integer[]
function Samples:lengths_in(epoch)
  if self.known[epoch] then return self.known[epoch] end
  local bar <close> = progress.bar { label = "augment epoch " .. epoch, total = #self }
  local lengths, trained, tokens = {}, 0, 0
  for i = 1, #self do
    local sample, why = self:sample(i, epoch)
    if sample == nil then error(why, 0) end
    lengths[i] = sample and #sample.ids or 0
    if sample then
      trained, tokens = trained + sample.labelled, tokens + #sample.ids
      self.longest = math.max(self.longest, #sample.ids)
    elseif epoch == 1 and why == "long" then
      self.dropped = self.dropped + 1
    elseif epoch == 1 then
      self.unlabelled = self.unlabelled + 1
    end
    bar:update(i)
  end
  if epoch == 1 then self.tokens, self.trained = tokens, trained end
  self.known[epoch] = lengths
  return lengths
end

---Reads the items of one data set.
local function read_set(self, set, seed)
  local picked, message = choose.sampled(set, seed)
  if message then return nil, message end
  local schemas, first = {}, #self + 1
  local count
  count, message = items.each(set.path, function(raw, where, number)
    if picked and not picked[number] then return end
    local item, wrong = compose.fields(set.task, raw)
    if not item then return where .. ": " .. wrong end
    schemas[item.db_schema] = schemas[item.db_schema] or item.db_schema -- one copy of a text that many items share
    item.db_schema = schemas[item.db_schema]
    self[#self + 1] = { set = set, item = item, where = where, number = number }
  end)
  if not count then return nil, message end
  self.sets[#self.sets + 1] = { first = first, count = #self - first + 1, weight = set.weight }
  return true
end

---Reads items to train on.
---@param cfg { data: string, seed: integer, mask?: string, augment: table, show_mask?: integer }
---@param text sqlune.train.Text
---@param longest integer  tokens
---@param check? fun(sql_type: any): string?  what is wrong with a data set's dialect
---@return sqlune.data.EpochSamples? samples
---@return string? message
function M.read(cfg, text, longest, check)
  local encode = encoder(text, cfg.mask or "answers")
  local function count(messages)
    local encoded, message = encode(messages)
    return encoded and #encoded.ids, message
  end
  local composer, message = compose.new { seed = cfg.seed, augment = cfg.augment.file, prompt = cfg.augment.prompt,
    max_length = longest, trim = cfg.augment.trim, count = count }
  if not composer then return nil, message end
  local sets
  sets, message = datasets.read(cfg.data)
  if not sets then return nil, message end
  local self = setmetatable({ composer = composer, encode = encode, sets = {}, known = {}, dropped = 0, unlabelled = 0,
    tokens = 0, trained = 0, longest = 0, path = cfg.data }, Samples)
  for _, set in ipairs(sets) do
    local wrong = check and check(set.dialect)
    if wrong then return nil, ("%s: data set '%s': %s"):format(cfg.data, set.name, wrong) end
    local ok
    ok, message = read_set(self, set, cfg.seed)
    if not ok then return nil, message end
  end
  if (cfg.show_mask or 0) > 0 then return self end
  local ok, why = pcall(self.lengths_in, self, 1)
  if not ok then return nil, why end
  if self.tokens == 0 then
    return nil, ("%s: no sample to train on: %d longer than the limit of %d tokens, %d with nothing to train"):format(
      cfg.data, self.dropped, longest, self.unlabelled)
  end
  return self
end

return M
