-- What a training recipe reads and shows before it starts: samples of its data sets, their mask, the plan of the run.
local sq = require "sqlune"
local config, fs, models, term = sq.config, sq.fs, sq.models, sq.term
local cache, conversations, epochs = sq.data.cache, sq.data.conversations, sq.data.epochs

local M = {}

---@class sqlune.train.Text what turns conversations into tokens
---@field tokenizer sqlune.Tokenizer
---@field template table
---@field context integer  the model's longest sequence
---@field folder string

---The tokenizer, the chat template and the longest sequence of a model's folder.
---@param folder string
---@return sqlune.train.Text? text
---@return string? message
function M.text_of(folder)
  local shape, message = models.shape_of(folder)
  if not shape then return nil, message end
  folder, message = sq.lora.texts(folder)
  if not folder then return nil, message end
  local tokenizer
  tokenizer, message = sq.tokenizer.load(folder)
  if not tokenizer then return nil, message end
  local template
  template, message = conversations.template(folder)
  if not template then return nil, message end
  return { tokenizer = tokenizer, template = template, context = shape.context, folder = folder }
end

---Data sets of a recipe: one file, or those that a Lua file lists as { path =, weight = }, paths counted from the
---current folder, else from the list's.
---@param path string
---@return {path: string, weight: number}[]? sets
---@return string? message
local function sets_of(path)
  if not path:find "%.lua$" then return { { path = path, weight = 1 } } end
  local list, message = config.load(path)
  if not list then return nil, message end
  for i, set in ipairs(list) do
    local place = ("%s: data set %d"):format(path, i)
    if type(set) ~= "table" or type(set.path) ~= "string" then return nil, place .. " has no 'path'" end
    set.weight = set.weight or 1
    if type(set.weight) ~= "number" or not (set.weight > 0 and set.weight < math.huge) then
      return nil, place .. ": 'weight' is how often it comes in an epoch, a number above 0"
    end
    for key in pairs(set) do
      if key ~= "path" and key ~= "weight" then
        return nil, ("%s: no setting '%s' (path, weight)"):format(place, key)
      end
    end
    local beside = fs.join(fs.dirname(path), set.path)
    if not fs.exists(set.path) and fs.exists(beside) then set.path = beside end
  end
  if #list == 0 then return nil, path .. ": a list of data sets { path =, weight = } is expected" end
  return list
end

---Several data sets as one list of samples.
local function joined(parts, sets)
  local all = { lengths = {}, sets = {}, dropped = 0, unlabelled = 0, tokens = 0, trained = 0, longest = 0 }
  local digests, starts = {}, {}
  for k, samples in ipairs(parts) do
    starts[k] = #all.lengths
    all.sets[k] = { first = #all.lengths + 1, count = #samples, weight = sets[k].weight }
    for i = 1, #samples do
      all.lengths[#all.lengths + 1] = samples.lengths and samples.lengths[i] or #samples[i].ids
    end
    for _, name in ipairs { "dropped", "unlabelled", "tokens", "trained" } do all[name] = all[name] + samples[name] end
    all.longest = math.max(all.longest, samples.longest)
    digests[k] = samples.digest .. " " .. sets[k].weight
  end
  all.digest = fs.sha256_bytes(table.concat(digests, "\n"))
  return setmetatable(all, {
    __len = function() return #all.lengths end,
    __index = function(_, i)
      if math.type(i) ~= "integer" then return nil end
      for k = #starts, 1, -1 do
        if i > starts[k] then return parts[k][i - starts[k]] end
      end
    end,
  })
end

---The samples of a recipe's data, none longer than a batch.
---@param cfg table   data, cache, mask, max_length, batch_tokens, show_mask; augment: epochs.options
---@param text sqlune.train.Text
---@param check_type? fun(sql_type: any): string?  what is wrong with an item's dialect
---@return sqlune.data.Conversations? samples
---@return string? message
function M.read(cfg, text, check_type)
  local longest = math.min(cfg.max_length, cfg.batch_tokens, text.context)
  if cfg.augment and cfg.augment.every_epoch and cfg.cache then
    return nil, "cache: conversations that are made anew in every epoch (augment.every_epoch) cannot be kept"
  end
  if cfg.augment and cfg.augment.every_epoch then return epochs.read(cfg, text, longest, check_type) end
  local o = { max_length = longest, context = text.context, mask = cfg.mask, folder = cfg.cache, model = text.folder,
    max_items = cfg.show_mask > 0 and cfg.show_mask or nil, check = check_type }
  local sets, message = sets_of(cfg.data)
  if not sets then return nil, message end
  local parts = {}
  for k, set in ipairs(sets) do
    local reader = cfg.cache and cfg.show_mask == 0 and cache or conversations
    parts[k], message = reader.read(set.path, text.tokenizer, text.template, o)
    if not parts[k] then return nil, message end
    parts[k].digest = parts[k].digest or fs.sha256(set.path)
    if #parts[k] == 0 and cfg.show_mask == 0 then
      local words = "%s: no sample to train on: %d longer than the limit of %d tokens, %d with nothing to train"
      return nil, words:format(set.path, parts[k].dropped, longest, parts[k].unlabelled)
    end
  end
  if #parts == 1 and sets[1].weight == 1 then return parts[1] end
  return joined(parts, sets)
end

---Prints samples as text, trained tokens in green, the others dim.
---@param samples sqlune.data.Conversations
---@param text sqlune.train.Text
---@param count? integer  of samples that differ by epoch
function M.show(samples, text, count)
  for n, sample in ipairs(samples) do
    if samples.sample then sample = n <= (count or n) and samples:sample(n, 1) or nil end
    if not sample then return end
    print(term.style(("sample %d: %d tokens, %d trained"):format(n, #sample.ids, sample.labelled), "bold"))
    local from, parts = 1, {}
    for i = 2, #sample.ids + 1 do -- runs of tokens that are trained alike
      local ends = i > #sample.ids or (sample.labels[i] == -100) ~= (sample.labels[from] == -100)
      if ends then
        local ids = table.move(sample.ids, from, i - 1, 1, {})
        local words = text.tokenizer:decode(ids, { skip_special_tokens = false })
        local trained = sample.labels[from] ~= -100
        parts[#parts + 1] = term.style(trained and "⟦" .. words .. "⟧" or words, trained and "green" or "dim")
        from = i
      end
    end
    print(table.concat(parts) .. "\n")
  end
end

---Bytes that training takes, as a list of name and bytes: weights, what is trained beside them, master weights,
---gradients, moments.
---@param parameters integer
---@param cfg {dtype: string, states?: string, gradients?: string, stochastic_rounding?: boolean}
---@param adapter? {numbers: integer, bytes: integer}  trained instead of the parameters: how many, bytes of each
---@return {[1]: string, [2]: integer}[]
function M.memory_plan(parameters, cfg, adapter)
  local item = ({ f32 = 4, bf16 = 2, f64 = 8 })[cfg.dtype]
  local numbers, width = adapter and adapter.numbers or parameters, adapter and adapter.bytes or item
  local wide = width == 8 and 8 or 4
  return {
    { "weights", parameters * item }, { "adapter", adapter and numbers * width or 0 },
    { "master weights", width == 2 and not cfg.stochastic_rounding and numbers * 4 or 0 },
    { "gradients", numbers * (width == 2 and cfg.gradients == "bf16" and 2 or wide) },
    { "moments", cfg.states == "8bit" and numbers * 2 * 260 // 256 or numbers * 2 * wide },
  }
end

---Prints what a run is going to do and the memory that it takes at least.
---@param cfg table
---@param samples sqlune.data.Conversations
---@param steps integer
---@param model sqlune.Model
---@param added? sqlune.lora.Training  what is trained in the model's place, if it knows its size
function M.print_plan(cfg, samples, steps, model, added)
  print(("  %s: %s, %s tokens, %.1f%% trained, the longest %d"):format(cfg.data, term.plural(#samples, "sample"),
    term.count(samples.tokens), 100 * samples.trained / samples.tokens, samples.longest))
  local function left_out(n, why)
    if n > 0 then print(("  %s left out: %s"):format(term.plural(n, "sample"), why)) end
  end
  left_out(samples.dropped, "longer than max_length, a batch or the model's context")
  left_out(samples.unlabelled, "nothing to train")
  local adapter
  if added and added.size then
    local numbers, bytes = added:size(model)
    adapter = { numbers = numbers, bytes = bytes }
  end
  print(("  %s: %s parameters in %s%s, %s"):format(cfg.model, term.count(model:size()), cfg.dtype,
    adapter and (", %s of an adapter trained"):format(term.count(adapter.numbers)) or "", term.plural(steps, "step")))
  local parts, total = {}, 0
  for _, part in ipairs(M.memory_plan(model:size(), cfg, adapter)) do
    if part[2] > 0 then parts[#parts + 1] = part[1] .. " " .. term.bytes(part[2]) end
    total = total + part[2]
  end
  print(("  memory: %s and activations: %s"):format(term.bytes(total), table.concat(parts, ", ")))
end

return M
