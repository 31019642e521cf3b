-- A language model that answers from a local folder, for sqlune.llm.
local sq = require "sqlune"
local answers = require "sqlune.data.answers"
local conversations = sq.data.conversations

local M = {}

---Loads a folder of Hugging Face's (or an adapter's) with its tokenizer and chat template.
---@param folder string
---@return (fun(messages: table[], o: {max_tokens: integer, temperature: number}): string?, string?)? ask
---@return string? message
function M.open(folder)
  local template, message = conversations.template(folder)
  if not template then return nil, message end
  local model, tokenizer = sq.models.load(folder)
  if not model then return nil, tokenizer end
  if not tokenizer then return nil, folder .. ": no tokenizer.json" end
  local ends = answers.ends(model, tokenizer, template)
  return function(messages, o)
    local text, wrong = template:render { messages = messages, add_generation_prompt = true }
    if not text then return nil, wrong end
    local ids = tokenizer:encode(text)
    local results = sq.generate.run(model, { ids }, { max_tokens = o.max_tokens, eos = ends,
      temperature = o.temperature })
    return answers.text(tokenizer, results[1], ends)
  end
end

return M
