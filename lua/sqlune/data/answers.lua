-- Items that a model answers: prompts in, 'pred_sql' out, and a file beside the output that remembers what is done.
local data = require "sqlune.data.items"
local sq = require "sqlune"
local fs, json, sql = sq.fs, sq.json, sq.sql

local M = {}

---@class sqlune.data.Answers
---@field items table[]        as read; answered ones have pred_sql
---@field prompts integer[][]  ids, false where the prompt is too long
---@field done integer
local Answers = {}
Answers.__index = Answers

---The messages that the model sees: all before the last answer.
---@param messages table[]
---@return table[]
function M.question_of(messages)
  local last = #messages
  while last > 0 and messages[last].role == "assistant" do last = last - 1 end
  return json.array(table.move(messages, 1, last, 1, {}))
end

local function read_items(path, limit)
  local items = {}
  local count, message = data.each(path, function(item, where, number)
    local fault = data.conversation_fault(item)
    if fault then return where .. ": " .. fault end
    items[number] = item
    return limit > 0 and number >= limit or nil
  end)
  if not count then return nil, message, "SQLUNE_FORMAT" end
  return items
end

---Answers that an earlier, stopped run left, if it had the same settings.
function Answers:take_back(settings)
  local text = fs.exists(self.partial) and fs.read(self.partial) or ""
  local lines = {}
  for line in text:gmatch "[^\n]*\n" do lines[#lines + 1] = line end -- a last line without its end was cut off
  local first = lines[1] and json.decode(lines[1])
  if not first or first.settings ~= settings then
    return fs.write(self.partial, json.encode { settings = settings } .. "\n")
  end
  for k = 2, #lines do
    local entry = json.decode(lines[k])
    if entry and self.items[entry.item] and not self.items[entry.item].pred_sql then
      self.items[entry.item].pred_sql = entry.pred_sql
      self.done = self.done + 1
    end
  end
  return fs.write(self.partial, table.concat(lines))
end

---Reads the items, makes the prompts and takes back what an earlier run did.
---@param cfg table        recipes/infer.lua's settings
---@param context integer  the model's longest sequence: a prompt must leave room for one token
---@return sqlune.data.Answers? work
---@return string? message
function M.open(cfg, tokenizer, template, context)
  local longest = math.min(cfg.max_length, context - 1)
  local items, message, code = read_items(cfg.data, cfg.limit)
  if not items then return nil, message, code end
  local self = setmetatable({
    items = items, prompts = {}, done = 0, longest = 0, too_long = 0, out = cfg.out, partial = cfg.out .. ".partial",
  }, Answers)
  for i, item in ipairs(items) do
    item.pred_sql = nil
    local text
    text, message = template:render { messages = M.question_of(item.conversations), add_generation_prompt = true }
    if not text then return nil, ("%s: item %d: %s"):format(cfg.data, i, message) end
    local ids = tokenizer:encode(text)
    self.longest = math.max(self.longest, #ids)
    self.prompts[i] = #ids <= longest and ids or false
    if not self.prompts[i] then
      item.pred_sql = ""
      self.too_long, self.done = self.too_long + 1, self.done + 1
    end
  end
  if cfg.dry_run then return self end
  fs.mkdir(fs.dirname(cfg.out))
  local settings = {}
  for _, key in ipairs { "model", "base", "data", "dtype", "limit", "max_tokens", "max_length", "temperature", "top_k",
    "top_p", "repetition_penalty", "beams", "length_penalty", "seed" } do
    settings[#settings + 1] = tostring(cfg[key])
  end
  settings[#settings + 1] = fs.sha256(cfg.data)
  for _, name in ipairs { "model.safetensors", "model.safetensors.index.json", "adapter_model.safetensors" } do
    local path = fs.join(cfg.model, name)
    if fs.exists(path) then settings[#settings + 1] = fs.size(path) .. "@" .. fs.mtime(path) end
  end
  local ok
  ok, message, code = self:take_back(table.concat(settings, " "))
  if not ok then return nil, message, code end
  return self
end

---Groups of items without an answer, prompts of like length together, the longest first.
---@param size integer
---@return fun(): integer[]?
function Answers:groups(size)
  local left = {}
  for i, item in ipairs(self.items) do if not item.pred_sql then left[#left + 1] = i end end
  table.sort(left, function(a, b)
    local x, y = #self.prompts[a], #self.prompts[b]
    if x ~= y then return x > y end
    return a < b
  end)
  local at = 0
  return function()
    if at >= #left then return nil end
    local group = table.move(left, at + 1, math.min(at + size, #left), 1, {})
    at = at + #group
    return group
  end
end

---@param i integer
---@param text string
function Answers:answer(i, text)
  self.items[i].pred_sql = sql.unfence(text)
  self.done = self.done + 1
end

---Remembers a group's answers on disk.
function Answers:keep(group)
  local lines = {}
  for n, i in ipairs(group) do
    lines[n] = json.encode({ item = i, pred_sql = self.items[i].pred_sql }, { replace = true }) .. "\n"
  end
  return fs.append(self.partial, table.concat(lines))
end

---Writes the predictions, atomically, and drops the memory file.
function Answers:finish()
  local ok, message, code = json.write(self.out, json.array(self.items), { indent = 2, replace = true })
  if not ok then return nil, message, code end
  return fs.remove(self.partial)
end

---Ids that end an answer: of generation_config.json, config.json and the template's end of turn.
---@return integer[]
function M.ends(model, tokenizer, template)
  local set, list = {}, {}
  local function add(v)
    if type(v) == "table" then
      for _, id in ipairs(v) do add(id) end
    elseif math.type(v) == "integer" and not set[v] then
      set[v] = true
      list[#list + 1] = v
    end
  end
  add(model.generation and model.generation.eos_token_id)
  add(model.config.eos_token_id)
  local eos = template.tokens and template.tokens.eos_token
  add(eos and tokenizer:id(eos))
  for _, token in ipairs { "<|im_end|>", "<|endoftext|>" } do add(tokenizer:id(token)) end
  return list
end

---An answer's text without the id that ended it.
---@param ids integer[]
---@param ends integer[]
function M.text(tokenizer, ids, ends)
  local last = #ids
  for _, id in ipairs(ends) do if ids[last] == id then last = last - 1 break end end
  return tokenizer:decode(table.move(ids, 1, last, 1, {}), { skip_special_tokens = true })
end

return M
