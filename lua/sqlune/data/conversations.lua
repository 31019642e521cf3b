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

---The sample of a conversation, or nil where it is left out (counted in `facts`); what is wrong with it.
local function sample_of(facts, item, encode, o)
  local fault = items.conversation_fault(item) or o.check and o.check(item.sql_type)
  if fault then return nil, fault end
  local encoded, message = encode(item.conversations)
  if not encoded then return nil, message end
  local labelled = count_labelled(encoded.labels)
  if o.mask ~= "all" and o.context and labelled > o.context then
    return nil, ("the answer has %d tokens, more than the context of %d"):format(labelled, o.context)
  end
  if o.max_length and #encoded.ids > o.max_length then
    facts.dropped = facts.dropped + 1
  elseif labelled == 0 then
    facts.unlabelled = facts.unlabelled + 1
  else
    facts.tokens, facts.trained = facts.tokens + #encoded.ids, facts.trained + labelled
    facts.longest = math.max(facts.longest, #encoded.ids)
    local sql_type = type(item.sql_type) == "string" and item.sql_type or nil
    return { ids = encoded.ids, labels = encoded.labels, labelled = labelled, sql_type = sql_type }
  end
end

---@class sqlune.data.ReadOpts
---@field max_length? integer longer samples are left out and counted
---@field context? integer    the model's longest sequence: an answer that alone is longer is an error
---@field mask? "answers"|"all"
---@field max_items? integer  samples at most
---@field check? fun(sql_type: any): string?  what is wrong with an item's dialect

---Calls visit(sample) for each sample of a file of conversations (a JSON list or JSON Lines); one is in memory at a
---time. A text that visit returns ends the walk as the message, true ends it as it is.
---@param path string
---@param tokenizer userdata
---@param template table      of template()
---@param o sqlune.data.ReadOpts
---@param visit fun(sample: sqlune.data.Sample): string|true|nil
---@return {dropped: integer, unlabelled: integer, tokens: integer, trained: integer, longest: integer}? facts
---@return string? message
---@return string? code
function M.each(path, tokenizer, template, o, visit)
  local facts = { dropped = 0, unlabelled = 0, tokens = 0, trained = 0, longest = 0 }
  local mask = { mask = o.mask or "answers" }
  local function encode(messages) return chat.encode(tokenizer, template, messages, mask) end
  local count, message = items.each(path, function(item, where)
    local sample, wrong = sample_of(facts, item, encode, o)
    if wrong then return where .. ": " .. wrong end
    return sample and visit(sample)
  end)
  if not count then return nil, message, "SQLUNE_FORMAT" end
  return facts
end

---All samples of a file in memory.
---@param path string
---@param tokenizer userdata
---@param template table
---@param o sqlune.data.ReadOpts
---@return sqlune.data.Conversations? samples
---@return string? message
---@return string? code
function M.read(path, tokenizer, template, o)
  local samples = { path = path }
  local facts, message, code = M.each(path, tokenizer, template, o, function(sample)
    samples[#samples + 1] = sample
    return o.max_items and #samples >= o.max_items or nil
  end)
  if not facts then return nil, message, code end
  for name, value in pairs(facts) do samples[name] = value end
  return samples
end

return M
