-- Conversations become token ids and labels: what a model is trained on.
local sq = require "sqlune"
local items = require "sqlune.data.items"
local chat, fs, json = sq.chat, sq.fs, sq.json

local M = {}

---@class sqlune.data.Sample
---@field ids integer[]
---@field labels integer[]  the id itself where it is trained, -100 elsewhere; not shifted
---@field labelled integer  labels that count: all but -100 and the first
---@field sql_type string?   dialect of the item's SQL, where it says one

---@class sqlune.data.Conversations
---@field [integer] sqlune.data.Sample
---@field dropped integer  samples longer than max_length: none is ever cut
---@field unlabelled integer samples without a token to train
---@field tokens integer   of all samples
---@field trained integer  labels that count, of all samples
---@field longest integer  tokens of the longest sample

---The chat template of a model's folder; ChatML where it has none.
---@param folder string
function M.template(folder)
  local config = fs.join(folder, "tokenizer_config.json")
  if fs.exists(fs.join(folder, "chat_template.jinja")) then return chat.load(folder) end
  local facts, message, code
  if fs.exists(config) then facts, message, code = json.read(config) end
  if message then return nil, message, code end
  local own = json.is_object(facts) and facts.chat_template
  if own and own ~= json.null then return chat.load(folder) end
  return chat.compile(chat.chatml, { name = "chatml" })
end

---Counts the labels that are trained: the first one predicts nothing.
local function count_labelled(labels)
  local count = 0
  for i = 2, #labels do if labels[i] ~= chat.ignored then count = count + 1 end end
  return count
end

---Adds a conversation's sample, or counts why it is left out. Returns what is wrong with it.
local function add(samples, item, encode, o)
  local fault = items.conversation_fault(item) or o.check and o.check(item.sql_type)
  if fault then return fault end
  local encoded, message = encode(item.conversations)
  if not encoded then return message end
  local labelled = count_labelled(encoded.labels)
  if o.mask ~= "all" and o.context and labelled > o.context then
    return ("the answer has %d tokens, more than the context of %d"):format(labelled, o.context)
  end
  if o.max_length and #encoded.ids > o.max_length then
    samples.dropped = samples.dropped + 1
  elseif labelled == 0 then
    samples.unlabelled = samples.unlabelled + 1
  else
    local sql_type = type(item.sql_type) == "string" and item.sql_type or nil
    samples[#samples + 1] = { ids = encoded.ids, labels = encoded.labels, labelled = labelled, sql_type = sql_type }
    samples.tokens, samples.trained = samples.tokens + #encoded.ids, samples.trained + labelled
    samples.longest = math.max(samples.longest, #encoded.ids)
  end
end

---Reads a file of conversations (a JSON list or JSON Lines). Samples longer than max_length are left out and counted;
---an answer that alone is longer than `context`, the model's longest sequence, is an error.
---@param path string
---@param tokenizer userdata
---@param template table      of template()
---@param o {max_length?: integer, context?: integer, mask?: string, max_items?: integer, check?: fun(sql_type: any): string?}
---@return sqlune.data.Conversations? samples
---@return string? message
---@return string? code
function M.read(path, tokenizer, template, o)
  local samples = { dropped = 0, unlabelled = 0, tokens = 0, trained = 0, longest = 0, path = path }
  local mask = { mask = o.mask or "answers" }
  local function encode(messages) return chat.encode(tokenizer, template, messages, mask) end
  local count, message = items.each(path, function(item, where)
    local wrong = add(samples, item, encode, o)
    if wrong then return where .. ": " .. wrong end
    return o.max_items and #samples >= o.max_items or nil
  end)
  if not count then return nil, message, "SQLUNE_FORMAT" end
  return samples
end

return M
