-- From processed items to conversations: chosen, augmented, asked, counted; without augmentation they are a test set.
--
-- Rules: items go to workers in batches and come back in order, so the file is the same whatever their number; nothing
-- but what is in flight is kept in memory. Whatever is left out is counted with its reason.
local choose = require "sqlune.data.choose"
local datasets = require "sqlune.data.datasets"
local items = require "sqlune.data.items"
local jobs = require "sqlune.data.compose_jobs"
local parallel = require "sqlune.parallel"
local progress = require "sqlune.progress"
local sq = require "sqlune"
local summaries = require "sqlune.data.assemble_summary"
local fs, json = sq.fs, sq.json

local BATCH, INDENT <const> = 16, 2

---The batches of a data set, one by one: coroutine.wrap gives job after job. `fault` takes what is wrong with the file.
local function batches_of(self, index, emit)
  local set = self.sets[index]
  local picked, message = choose.sampled(set, self.seed)
  if message then return message end
  local batch = {}
  local function flush()
    if #batch == 0 then return end
    self.sent[#self.sent + 1] = { index = index, items = batch }
    emit(jobs.job(index, batch))
    batch = {}
  end
  local count
  count, message = items.each(set.path, function(text, where, number)
    set.stats.items = set.stats.items + 1
    local draws = (picked == nil or picked[number]) and choose.draws(set, self.seed, number) or 0
    if draws == 0 then
      set.stats.dropped["not drawn"] = set.stats.dropped["not drawn"] + 1
      return
    end
    local held = self.held and self.held[items.text(json.decode(text), "db_name", "db_id") or ""] or false
    batch[#batch + 1] = { text = text, where = where, number = number, draws = held and 1 or draws, plain = held,
      held = held }
    if #batch == BATCH then flush() end
  end, { raw = true })
  if not count then
    batch = {}
    return message
  end
  flush()
end

---All jobs as an iterator: the next one; nil at the end; nil and a message.
local function all_jobs(self)
  return coroutine.wrap(function()
    for index = 1, #self.sets do
      local message = batches_of(self, index, coroutine.yield)
      if message then
        coroutine.yield(nil, message)
        return nil
      end
    end
    return nil
  end)
end

---Writes one conversation, its id in front.
local function write(out, text)
  local blanks = (" "):rep(2 * INDENT)
  local id = ('{\n%s"id": %d,'):format(blanks, out.count)
  out.count = out.count + 1
  if out.writer then return out.writer:add_text(id .. text:sub(2)) end
  return true
end

---Why an item is not used at all; nil if it is.
local function refused(self, set, sent, result)
  if self.dedupe then
    local first = self.seen[result.identity]
    if first then return "duplicate" end
    self.seen[result.identity] = true
  end
  if result.kind ~= "" then
    self.contaminated[#self.contaminated + 1] = json.object("item", sent.where, "data_set", set.name, "shares",
      result.kind, "with", result.place)
    if self.contamination == "drop" then return "in a benchmark" end
  end
end

---Takes one item's result in its turn.
local function take(self, set, sent, result)
  local stats = set.stats
  local why = refused(self, set, sent, result)
  if why then
    stats.dropped[why] = stats.dropped[why] + 1
    return nil
  end
  local out = sent.held and self.held_out or self.train
  for _, draw in ipairs(result.draws) do
    if draw.why then
      stats.dropped[draw.why] = stats.dropped[draw.why] + 1
    else
      local ok, message = write(out, draw.text)
      if not ok then return message end
      summaries.count(stats, draw, sent.held)
    end
  end
  self.bar:update(self.train.count + self.held_out.count)
end

local function take_batch(self, packed)
  local batch = table.remove(self.sent, 1)
  local set = self.sets[batch.index]
  for i, result in ipairs(jobs.results(packed)) do
    local message = take(self, set, batch.items[i], result)
    if message then return message end
  end
end

---The files of conversations, unless nothing is to be written.
local function open_writer(o, path)
  if o.dry_run or not path then return nil end
  local ok, message = fs.mkdir(fs.dirname(path))
  if not ok then return nil, message end
  return json.writer(path, { indent = INDENT })
end

local function expected(sets)
  local total = 0
  for _, set in ipairs(sets) do
    local counted = set.sample_num >= 0 and set.sample_num or set.total
    if not counted or counted < 1 then return nil end
    total = total + math.floor(counted * set.weight)
  end
  return total
end

---Puts the files in their places.
local function finish(self, o)
  if self.train.count + self.held_out.count == 0 then return nil, o.datasets .. ": no items" end
  for _, out in ipairs { self.train, self.held_out } do
    if out.writer then
      local ok, message = out.writer:commit()
      if not ok then return nil, message end
    end
  end
  if #self.contaminated > 0 and not o.dry_run then
    return json.write(o.out .. ".contamination.json", json.array(self.contaminated), { indent = 1 })
  end
  return true
end

---What does not go together in the options.
local function fault(o)
  if o.max_length and not o.tokenizer then return "'max_length' counts tokens: 'tokenizer' says whose" end
  if o.trim and not o.max_length then return "'trim' wants 'max_length'" end
  if o.held_out and o.held_out > 0 and not o.held_out_file then
    return "'held_out' wants 'held_out_file', the file of the conversations that are held out"
  end
end

---@class sqlune.data.AssembleOpts
---@field datasets string   config of data sets (the original's JSON, or Lua), or one file of items
---@field out string        conversations to write
---@field split? "train"|"test"|"all"  data sets of the config to take, default "train"
---@field seed? integer     default 1
---@field aug? boolean      false: no augmentation at all, for test sets; default true
---@field augment? string   a Lua file with augmentations of one's own
---@field prompt? string    "zh" (default), "en", or a Lua file
---@field tokenizer? string folder of a model whose tokenizer and chat template count tokens
---@field max_length? integer  conversations with more tokens are left out
---@field db? string        where databases are: renamed statements must give the same rows on a renamed copy
---@field trim? boolean     rather drop what nobody needs from the schema of a long one
---@field dedupe? boolean   leave out items that stand twice (database, question, SQL)
---@field held_out? number  a share of the databases whose items go to held_out_file
---@field held_out_file? string
---@field against? string[] benchmarks whose items must not be trained on
---@field contamination? "report"|"drop"  what happens to items that stand in one; default "report"
---@field workers? integer  0 (default): one a processor
---@field dry_run? boolean  do everything but write

---@class sqlune.data.AssembleSummary
---@field items integer     conversations for training
---@field held_out integer  conversations held out
---@field path string
---@field left_out string[]  data sets of the other split
---@field columns string[]
---@field rows any[][]      a data set each
---@field types any[][]     an sql_type each
---@field contaminated table[]  {item=, data_set=, shares=, with=}

---Assembles a training or test set. Nothing is left half-written when something is wrong.
---@param o sqlune.data.AssembleOpts
---@return sqlune.data.AssembleSummary? summary
---@return string? message
local function assemble(o)
  local wrong = fault(o)
  if wrong then return nil, wrong end
  local sets, left_out = datasets.read(o.datasets, o.split)
  if not sets then return nil, left_out end
  for _, set in ipairs(sets) do set.stats = summaries.new() end
  local against = o.against and #o.against > 0 and o.against or nil
  local argument = jobs.argument { sets = sets, seed = o.seed or 1, aug = o.aug ~= false, augment = o.augment,
    prompt = o.prompt or "zh", max_length = o.max_length, trim = o.trim, tokenizer = o.tokenizer, indent = INDENT,
    dedupe = o.dedupe, db = o.db, against = against }
  local train_writer <close>, unwritable = open_writer(o, o.out)
  if unwritable then return nil, unwritable end
  local held, message
  if o.held_out and o.held_out > 0 then
    held, message = choose.held_out(sets, o.held_out, o.seed or 1)
    if not held then return nil, message end
  end
  local held_writer <close>, refusal = open_writer(o, held and o.held_out_file)
  if refusal then return nil, refusal end
  local bar <close> = progress.bar { label = "assemble", total = expected(sets) }
  local self = { sets = sets, seed = o.seed or 1, held = held, dedupe = o.dedupe, seen = {}, sent = {}, bar = bar,
    contaminated = {}, contamination = o.contamination, train = { count = 0, writer = train_writer },
    held_out = { count = 0, writer = held_writer } }
  local ok
  ok, message = parallel.each({ module = "sqlune.data.compose_jobs", argument = argument, workers = o.workers,
    jobs = all_jobs(self) }, function(packed) return take_batch(self, packed) end)
  if ok then ok, message = finish(self, o) end
  if not ok then return nil, message end
  local summary = summaries.of(sets, o.tokenizer ~= nil)
  summary.items, summary.held_out, summary.path = self.train.count, self.held_out.count, o.out
  summary.left_out, summary.contaminated = left_out, self.contaminated
  return summary
end

return assemble
