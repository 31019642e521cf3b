-- Conversations become token ids and labels: what a model is trained on.
local sq = require "sqlune"
local chat, fs, json = sq.chat, sq.fs, sq.json

local M = {}

---@class sqlune.data.Sample
---@field ids integer[]
---@field labels integer[]  the id itself where it is trained, -100 elsewhere; not shifted
---@field labelled integer  labels that count: all but -100 and the first

---@class sqlune.data.Conversations
---@field [integer] sqlune.data.Sample
---@field dropped integer  samples longer than max_length: none is ever cut
---@field unlabelled integer samples without a token to train

---The chat template of a model's folder; ChatML where it has none.
---@param folder string
function M.template(folder)
  local config = fs.join(folder, "tokenizer_config.json")
  if fs.exists(fs.join(folder, "chat_template.jinja")) then return chat.load(folder) end
  local facts = fs.exists(config) and json.read(config)
  if facts and facts.chat_template and facts.chat_template ~= json.null then return chat.load(folder) end
  return chat.compile(chat.chatml, { name = "chatml" })
end

---Reads a file of conversations (a JSON list or JSON Lines).
---@param path string
---@param tokenizer userdata
---@param template table      of template()
---@param o {max_length?: integer, mask?: string, max_items?: integer}
---@return sqlune.data.Conversations? samples
---@return string? message
---@return string? code
function M.read(path, tokenizer, template, o)
  local list <close>, message, code = json.items(path)
  if not list then return nil, message, code end
  local samples = { dropped = 0, unlabelled = 0, tokens = 0, longest = 0, path = path }
  for item, number, line in list do
    local where = ("%s: item %d (line %d)"):format(path, number, line)
    local messages = type(item) == "table" and item.conversations
    if not messages then return nil, where .. ": 'conversations' is missing", "SQLUNE_FORMAT" end
    local encoded
    encoded, message, code = chat.encode(tokenizer, template, messages, { mask = o.mask or "answers" })
    if not encoded then return nil, where .. ": " .. message, code or "SQLUNE_FORMAT" end
    local labelled = 0
    for i = 2, #encoded.labels do if encoded.labels[i] ~= chat.ignored then labelled = labelled + 1 end end
    if o.max_length and #encoded.ids > o.max_length then
      samples.dropped = samples.dropped + 1
    elseif labelled == 0 then
      samples.unlabelled = samples.unlabelled + 1
    else
      samples[#samples + 1] = { ids = encoded.ids, labels = encoded.labels, labelled = labelled }
      samples.tokens = samples.tokens + #encoded.ids
      samples.longest = math.max(samples.longest, #encoded.ids)
    end
    if o.max_items and #samples >= o.max_items then break end
  end
  return samples
end

return M
