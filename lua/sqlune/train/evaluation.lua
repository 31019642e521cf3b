-- Evaluation while training goes on, in the same process: the loss on held-out conversations, and the model's own SQL
-- run on the databases. It reads the weights and touches nothing else: training goes on as if it had not been.
local sq = require "sqlune"
local config, json, sql = sq.config, sq.json, sq.sql
local conversations, batches, databases = sq.data.conversations, sq.data.batches, sq.data.databases
local answers, items = require "sqlune.data.answers", require "sqlune.data.items"

local M = {}

---Settings of a recipe, as the group `eval`.
M.options = {
  data = config.path("held-out conversations: their loss, and with db their questions", false),
  every = config.integer("steps between two evaluations, 0: only at the end", 0, { min = 0 }),
  db = config.path("databases, as for eval: the model's answers are run on them", false),
  limit = config.integer("questions that the model answers each time, 0: all", 64, { min = 0 }),
  batch = config.integer("questions at once", 16, { min = 1 }),
  max_tokens = config.integer("most tokens of an answer", 256, { min = 1 }),
  timeout = config.number("seconds that one statement may take", 30.0, { min = 0.01 }),
  samples = config.integer("answers that are kept each time, for the report", 4, { min = 0 }),
  best = config.string("metric that makes the best model: loss, ex, ex_bird, executable; -NAME: the smaller the better",
    false),
  patience = config.integer("stop after this many evaluations without a better `best`, 0: never", 0, { min = 0 }),
}

---@class sqlune.train.Evaluation
---@field every integer
local Evaluation = {}
Evaluation.__index = Evaluation

---The held-out questions that have SQL and a database.
local function read_questions(o, text)
  local places, message = databases.open(o.db)
  if not places then return nil, message end
  local list, longest = {}, text.context - o.max_tokens
  local count
  count, message = items.each(o.data, function(item, where)
    local name = items.text(item, "db_name", "db_id")
    local gold, wrong = items.text(item, "sql", "SQL", "query")
    if wrong then return where .. ": " .. wrong end
    if not name or not gold then return where .. ": 'db_name' and 'sql' are needed to run its answer" end
    local place, missing = places:find(name)
    local rendered
    rendered, wrong = text.template:render { messages = answers.question_of(item.conversations),
      add_generation_prompt = true }
    if not rendered then return where .. ": " .. wrong end
    local ids = text.tokenizer:encode(rendered)
    if #ids <= longest then
      list[#list + 1] = { ids = ids, db = place, missing = missing, gold = sql.unfence(gold), name = name,
        question = items.text(item, "question") or "" }
    end
    return o.limit > 0 and #list >= o.limit or nil
  end)
  if not count then return nil, message end
  if #list == 0 then return nil, o.data .. ": no question whose prompt fits" end
  return list
end

---@param cfg table  a recipe's settings: eval, mask, max_length, batch_tokens
---@param text sqlune.train.Text
---@return sqlune.train.Evaluation? evaluation
---@return string? message
function M.open(cfg, text)
  local o = cfg.eval
  local self = setmetatable({ o = o, every = o.every, text = text }, Evaluation)
  if not o.data then
    if o.db or o.best or o.every > 0 then return nil, "eval.data is missing: conversations that are not trained on" end
    return self
  end
  local message
  self.held_out, message = conversations.read(o.data, text.tokenizer, text.template, {
    max_length = math.min(cfg.max_length, cfg.batch_tokens, text.context), context = text.context, mask = cfg.mask,
  })
  if not self.held_out then return nil, message end
  if #self.held_out == 0 then return nil, o.data .. ": no sample to evaluate on" end
  self.batches = batches.of(self.held_out, { batch_tokens = cfg.batch_tokens, accumulation = 1, seed = 0, epochs = 1,
    shuffle = false })
  if o.db then
    self.questions, message = read_questions(o, text)
    if not self.questions then return nil, message end
  end
  if o.best then
    local name = o.best:gsub("^%-", "")
    if name ~= "loss" and not self.questions then return nil, "eval.best=" .. o.best .. " needs eval.db" end
  end
  if o.patience > 0 and not o.best then return nil, "eval.patience needs eval.best" end
  return self
end

---Is the step one to evaluate at?
---@param step integer
---@param total integer
function Evaluation:due(step, total)
  return self.held_out ~= nil and (step == total or self.every > 0 and step % self.every == 0)
end

---Mean loss over the labels of the held-out conversations.
function Evaluation:loss(model)
  local sum, labelled = 0, 0
  sq.no_grad(function()
    for step = 1, self.batches:steps() do
      local _s <close> = sq.scope()
      for _, batch in ipairs(self.batches:at(step)) do
        sum, labelled = sum + model:loss_sum(batch):item(), labelled + batch.labelled
      end
    end
  end)
  return sum / labelled
end

---The model's SQL for every question, greedily.
function Evaluation:answer(model)
  local ends, predictions = answers.ends(model, self.text.tokenizer, self.text.template), {}
  for first = 1, #self.questions, self.o.batch do
    local prompts = {}
    for i = first, math.min(first + self.o.batch - 1, #self.questions) do
      prompts[#prompts + 1] = self.questions[i].ids
    end
    for n, ids in ipairs(sq.generate.run(model, prompts, { max_tokens = self.o.max_tokens, eos = ends })) do
      predictions[first + n - 1] = sql.unfence(answers.text(self.text.tokenizer, ids, ends))
    end
  end
  return predictions
end

---Evaluates: {loss=, ex=, ex_bird=, executable=} and some answers with their verdicts.
---@param model sqlune.Model
---@param step integer
---@return table<string, number> metrics
---@return table[] samples
function Evaluation:run(model, step)
  local before = sq.random_state()
  local metrics, samples = { loss = self:loss(model) }, {}
  if self.questions then
    local list, predictions = {}, self:answer(model)
    for i, q in ipairs(self.questions) do
      list[i] = { db = q.db, missing = q.missing, gold = q.gold, pred = predictions[i] }
    end
    local outcomes = assert(sq.evaluate.run { items = list, timeout = self.o.timeout })
    local all = sq.evaluate.summary(outcomes)
    metrics.ex, metrics.ex_bird, metrics.executable = all.ex, all.ex_bird, all.executable
    for i = 1, math.min(self.o.samples, #outcomes) do
      local q = self.questions[i]
      samples[i] = { step = step, db_name = q.name, question = q.question, gold = q.gold, pred = predictions[i],
        verdict = outcomes[i].verdict, error = outcomes[i].pred_error or json.null }
    end
  end
  sq.random_state(before)
  return metrics, samples
end

return M
