-- What a training recipe reads and shows before it starts: samples of its data sets, their mask, the plan of the run.
local sq = require "sqlune"
local models, term = sq.models, sq.term
local conversations, epochs = sq.data.conversations, sq.data.epochs

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
  local tokenizer, message = sq.tokenizer.load(folder)
  if not tokenizer then return nil, message end
  local template
  template, message = conversations.template(folder)
  if not template then return nil, message end
  local shape
  shape, message = models.shape_of(folder)
  if not shape then return nil, message end
  return { tokenizer = tokenizer, template = template, context = shape.context, folder = folder }
end

---The samples of a recipe's data, none longer than a batch.
---@param cfg table   data, mask, max_length, batch_tokens, show_mask; augment: epochs.options
---@param text sqlune.train.Text
---@param check_type? fun(sql_type: any): string?  what is wrong with an item's dialect
---@return sqlune.data.Conversations? samples
---@return string? message
function M.read(cfg, text, check_type)
  local longest = math.min(cfg.max_length, cfg.batch_tokens, text.context)
  if cfg.augment and cfg.augment.every_epoch then return epochs.read(cfg, text, longest, check_type) end
  local samples, message = conversations.read(cfg.data, text.tokenizer, text.template, {
    max_length = longest, context = text.context, mask = cfg.mask,
    max_items = cfg.show_mask > 0 and cfg.show_mask or nil, check = check_type,
  })
  if not samples then return nil, message end
  if #samples == 0 and cfg.show_mask == 0 then
    local words = "%s: no sample to train on: %d longer than the limit of %d tokens, %d with nothing to train"
    return nil, words:format(cfg.data, samples.dropped, longest, samples.unlabelled)
  end
  return samples
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

---Bytes that training takes, as a list of name and bytes: weights, master weights, gradients, moments.
---@param parameters integer
---@param cfg {dtype: string, states?: string, stochastic_rounding?: boolean}
---@return {[1]: string, [2]: integer}[]
function M.memory_plan(parameters, cfg)
  local item = ({ f32 = 4, bf16 = 2, f64 = 8 })[cfg.dtype]
  local wide = cfg.dtype == "f64" and 8 or 4
  local masters = cfg.dtype == "bf16" and not cfg.stochastic_rounding
  return {
    { "weights", parameters * item }, { "master weights", masters and parameters * 4 or 0 },
    { "gradients", parameters * wide },
    { "moments", cfg.states == "8bit" and parameters * 2 * 260 // 256 or parameters * 2 * wide },
  }
end

---Prints what a run is going to do and the memory that it takes at least.
---@param cfg table
---@param samples sqlune.data.Conversations
---@param steps integer
---@param model sqlune.Model
function M.print_plan(cfg, samples, steps, model)
  print(("  %s: %s, %s tokens, %.1f%% trained, the longest %d"):format(cfg.data, term.plural(#samples, "sample"),
    term.count(samples.tokens), 100 * samples.trained / samples.tokens, samples.longest))
  local function left_out(n, why)
    if n > 0 then print(("  %s left out: %s"):format(term.plural(n, "sample"), why)) end
  end
  left_out(samples.dropped, "longer than max_length, a batch or the model's context")
  left_out(samples.unlabelled, "nothing to train")
  print(("  %s: %s parameters in %s, %s"):format(cfg.model, term.count(model:size()), cfg.dtype,
    term.plural(steps, "step")))
  local parts, total = {}, 0
  for _, part in ipairs(M.memory_plan(model:size(), cfg)) do
    if part[2] > 0 then parts[#parts + 1] = part[1] .. " " .. term.bytes(part[2]) end
    total = total + part[2]
  end
  print(("  memory: %s and activations: %s"):format(term.bytes(total), table.concat(parts, ", ")))
end

return M
