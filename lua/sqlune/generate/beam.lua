-- Beam search as transformers does it: docs/lua/generate.md has the rule. Beams share pages of the cache.
local sq = require "sqlune"
local ops = sq.ops

local M = {}

---@class sqlune.generate.BeamOptions
---@field beams? integer          4
---@field max_tokens? integer     new tokens at most (256)
---@field eos? integer[]          ids that end a beam; they are part of it
---@field length_penalty? number  a score is the sum of log-probabilities / length ^ this (1)
---@field early_stopping? boolean|"never" true: stop when `beams` are finished; false: when none that runs would do
---better at its present length; "never": when none can at any length (false)
---@field returned? integer       how many are returned (`beams`)

---@class sqlune.generate.Beam
---@field ids integer[]  new ids
---@field score number

local known = {
  beams = true, max_tokens = true, eos = true, length_penalty = true, early_stopping = true, returned = true,
}

local function integers(list) return sq.tensor(list, { dtype = "i64" }) end

---The best continuations of all running beams, by falling sum; of equal ones the earlier beam's and smaller id's first.
local function best_candidates(logits, running, count)
  if logits.dtype == "bf16" then logits = logits:to "f32" end
  local log_p = ops.log_softmax(logits)
  local values, places = ops.topk(log_p, math.min(count, log_p:size(2)))
  values, places = values:totable(), places:totable()
  local list = {}
  for b, beam in ipairs(running) do
    for k, value in ipairs(values[b]) do
      list[#list + 1] = { sum = beam.sum + value, beam = b, id = places[b][k] }
    end
  end
  table.sort(list, function(x, y)
    if x.sum ~= y.sum then return x.sum > y.sum end
    if x.beam ~= y.beam then return x.beam < y.beam end
    return x.id < y.id
  end)
  return table.move(list, 1, math.min(count, #list), 1, {})
end

---Puts a hypothesis among the finished ones, of which the best `keep` stay, best first.
local function finish(finished, ids, score, keep)
  local at = #finished + 1
  while at > 1 and finished[at - 1].score < score do at = at - 1 end
  table.insert(finished, at, { ids = ids, score = score })
  finished[keep + 1] = nil
end

---Whether a running beam could still become better than the worst of the finished ones.
local function hopeless(o, finished, best_sum, length)
  if #finished < o.beams then return false end
  if o.early_stopping == true then return true end
  local reach = o.early_stopping == "never" and o.length_penalty > 0 and o.max_tokens or length
  return best_sum / reach ^ o.length_penalty <= finished[#finished].score
end

---One step: candidates become finished hypotheses or the next running beams.
local function advance(o, ends, running, candidates, finished, last)
  local length, next_running, parents = #running[1].ids + 1, {}, {}
  for rank, c in ipairs(candidates) do
    local ends_here = ends[c.id] or last
    if not ends_here and #next_running < o.beams or ends_here and rank <= o.beams then
      local ids = table.move(running[c.beam].ids, 1, length - 1, 1, {})
      ids[length] = c.id
      if ends_here then
        finish(finished, ids, c.sum / length ^ o.length_penalty, o.beams)
      else
        next_running[#next_running + 1] = { ids = ids, sum = c.sum }
        parents[#parents + 1] = c.beam
      end
    end
  end
  return next_running, parents
end

local function settings(o)
  for key in pairs(o) do
    if not known[key] then error("generate.beams: unknown option '" .. tostring(key) .. "'", 3) end
  end
  local ends, count = {}, 0
  for _, id in ipairs(o.eos or {}) do
    if not ends[id] then ends[id], count = true, count + 1 end
  end
  local resolved = {
    beams = o.beams or 4, max_tokens = o.max_tokens or 256, length_penalty = o.length_penalty or 1,
    early_stopping = o.early_stopping or false,
  }
  if resolved.beams < 1 or resolved.max_tokens < 1 then error("generate.beams: beams and max_tokens start at 1", 3) end
  return resolved, ends, math.max(2, 1 + count) * resolved.beams
end

---The best continuations of one prompt, best first.
---@param model sqlune.Model
---@param prompt integer[]
---@param options? sqlune.generate.BeamOptions
---@return sqlune.generate.Beam[]
function M.run(model, prompt, options)
  local o, ends, count = settings(options or {})
  if #prompt == 0 then error("generate.beams: the prompt is empty", 2) end
  o.max_tokens = math.min(o.max_tokens, model.shape.context - #prompt)
  local finished, running = {}, { { ids = {}, sum = 0.0 } }
  if o.max_tokens < 1 then return finished end
  local cache <close> = model:cache(o.beams, #prompt + o.max_tokens)
  sq.no_grad(function()
    for step = 1, o.max_tokens do
      local _s <close> = sq.scope()
      local ids, slots, lengths = {}, {}, {}
      for b, beam in ipairs(running) do ids[b], slots[b], lengths[b] = beam.ids[#beam.ids], b, 1 end
      if step == 1 then ids, lengths = prompt, { #prompt } end
      local hidden = model:hidden(integers(ids), cache:extend(slots, lengths))
      if step == 1 then hidden = ops.gather_rows(hidden, integers { #prompt - 1 }) end
      local candidates = best_candidates(model:logits(hidden), running, count)
      local parents
      running, parents = advance(o, ends, running, candidates, finished, step == o.max_tokens)
      if #running == 0 or hopeless(o, finished, running[1].sum, step) then return end
      cache:reorder(parents)
    end
  end)
  return table.move(finished, 1, math.min(#finished, (options or {}).returned or o.beams), 1, {})
end

return M
