-- Pairs of answers to one question, one better than the other: built from what execution said, read for training.
local sq = require "sqlune"
local items = require "sqlune.data.items"
local batches, chat, json, random = sq.data.batches, sq.chat, sq.json, sq.random

local M = {}

---@class sqlune.data.Pair   as a sample whose ids are those of both conversations, one after the other
---@field ids integer[]
---@field labels integer[]
---@field cut integer        tokens of the conversation with the chosen answer
---@field labelled integer

---@class sqlune.data.Pairs
---@field [integer] sqlune.data.Pair
---@field dropped integer    pairs of which a side is longer than max_length
---@field same integer       pairs whose answers are the same tokens

---@class sqlune.data.PairBatch: sqlune.data.Batch
---@field pairs integer      starts has two sequences for each: chosen, rejected

local function pair_of(item, encode, o, facts)
  local fault = items.conversation_fault(item)
  if fault then return nil, fault end
  local sides = {}
  for i, key in ipairs { "chosen", "rejected" } do
    local text, wrong = items.text(item, key)
    if not text then return nil, wrong or ("'%s' is missing"):format(key) end
    local messages = json.array(table.move(item.conversations, 1, #item.conversations, 1, {}))
    messages[#messages + 1] = { role = "assistant", content = text }
    local encoded, message = encode(messages)
    if not encoded then return nil, message end
    sides[i] = encoded
  end
  local a, b = sides[1], sides[2]
  if #a.ids > o.max_length or #b.ids > o.max_length then
    facts.dropped = facts.dropped + 1
    return nil
  end
  if table.concat(a.ids, " ") == table.concat(b.ids, " ") then
    facts.same = facts.same + 1
    return nil
  end
  b.labels[1] = chat.ignored -- nothing predicts it: the token before it belongs to the other answer
  local cut, labelled = #a.ids, 0
  table.move(b.ids, 1, #b.ids, cut + 1, a.ids)
  table.move(b.labels, 1, #b.labels, cut + 1, a.labels)
  for i = 2, #a.labels do if a.labels[i] ~= chat.ignored then labelled = labelled + 1 end end
  return { ids = a.ids, labels = a.labels, cut = cut, labelled = labelled }
end

---Reads pairs: a JSON list or JSON Lines of { conversations = the messages before the answer, chosen =, rejected = }.
---@param path string
---@param tokenizer userdata
---@param template table
---@param o {max_length: integer}
---@return sqlune.data.Pairs? pairs
---@return string? message
---@return string? code
function M.read(path, tokenizer, template, o)
  local list = { dropped = 0, unlabelled = 0, same = 0, tokens = 0, trained = 0, longest = 0 }
  local function encode(messages) return chat.encode(tokenizer, template, messages, { mask = "answers" }) end
  local count, message = items.each(path, function(item, where)
    local pair, wrong = pair_of(item, encode, o, list)
    if wrong then return where .. ": " .. wrong end
    if not pair then return nil end
    list[#list + 1] = pair
    list.tokens, list.trained = list.tokens + #pair.ids, list.trained + pair.labelled
    list.longest = math.max(list.longest, #pair.ids)
  end)
  if not count then return nil, message, "SQLUNE_FORMAT" end
  list.digest = sq.fs.sha256(path)
  return list
end

---Batches of whole pairs.
---@param list sqlune.data.Pairs
---@param o sqlune.data.BatchOpts
---@return sqlune.data.Batches
function M.batches(list, o)
  local made = batches.of(list, o)
  local plain = made.batch
  function made:batch(numbers, epoch)
    local batch, starts, last = plain(self, numbers, epoch), { 0 }, 0
    for _, i in ipairs(numbers) do
      starts[#starts + 1] = last + list[i].cut
      last = last + #list[i].ids
      starts[#starts + 1] = last
    end
    batch.starts, batch.pairs = starts, #numbers
    return batch
  end
  return made
end

---One question's candidates: right and wrong texts, each once, in the order of the evaluations.
local function candidates(evaluations, number)
  local right, wrong, seen = {}, {}, {}
  for _, evaluation in ipairs(evaluations) do
    local entry = evaluation.items[number]
    local text = entry.pred_sql
    if entry.verdict ~= "gold_error" and text ~= "" and not seen[text] then
      seen[text] = true
      table.insert(entry.verdict == "correct" and right or wrong, text)
    end
  end
  return right, wrong
end

---Pairs of right and wrong candidates of the same question.
---@param data table[]         the items that were asked, with their conversations
---@param evaluations {items: table[]}[]  eval.json of several predictions of them
---@param o {most: integer, gold: boolean, seed: integer}  most: pairs of one question; gold: the data's own answer is
---the right one where no candidate is
---@return table[] pairs
---@return {questions: integer, all_right: integer, all_wrong: integer, pairs: integer} facts
function M.build(data, evaluations, o)
  local pairs_made = json.array {}
  local facts = { questions = #data, all_right = 0, all_wrong = 0, pairs = 0 }
  for number, item in ipairs(data) do
    local messages, last = item.conversations, #item.conversations
    while last > 0 and messages[last].role == "assistant" do last = last - 1 end
    local right, wrong = candidates(evaluations, number)
    if #right == 0 and #wrong > 0 and o.gold and last < #messages then right = { messages[last + 1].content } end
    if #wrong == 0 then facts.all_right = facts.all_right + 1 end
    if #right == 0 then facts.all_wrong = facts.all_wrong + 1 end
    local all = {}
    for _, a in ipairs(right) do for _, b in ipairs(wrong) do all[#all + 1] = { a, b } end end
    random.stream(o.seed, "preferences", number):shuffle(all)
    for k = 1, math.min(o.most, #all) do
      facts.pairs = facts.pairs + 1
      pairs_made[facts.pairs] = json.object("db_name", item.db_name, "sql_type", item.sql_type, "conversations",
        json.array(table.move(messages, 1, last, 1, {})), "chosen", all[k][1], "rejected", all[k][2])
    end
  end
  return pairs_made, facts
end

---Reads the items and evaluations for build(); each evaluation must be of all items, in their order.
---@param data_path string
---@param eval_paths string[]
---@return table[]? data
---@return table[]|string evaluations_or_message
function M.open(data_path, eval_paths)
  local data, evaluations = {}, {}
  local count, message = items.each(data_path, function(item, where, number)
    local fault = items.conversation_fault(item)
    if fault then return where .. ": " .. fault end
    data[number] = item
  end)
  if not count then return nil, message end
  for k, path in ipairs(eval_paths) do
    local evaluation
    evaluation, message = json.read(path)
    if message then return nil, message end
    if type(evaluation) ~= "table" or type(evaluation.items) ~= "table" then
      return nil, path .. ": 'items' is missing: a file eval.json is expected"
    end
    if #evaluation.items ~= #data then
      return nil, ("%s has %d items, %s has %d"):format(path, #evaluation.items, data_path, #data)
    end
    for i, entry in ipairs(evaluation.items) do
      if type(entry) ~= "table" or type(entry.verdict) ~= "string" or type(entry.pred_sql) ~= "string" then
        return nil, ("%s: item %d: 'verdict' or 'pred_sql' is missing"):format(path, i)
      end
    end
    evaluations[k] = evaluation
  end
  return data, evaluations
end

return M
