-- Generation with a cache of keys and values: greedy or sampled, many prompts of different lengths at once.
local sq = require "sqlune"
local ops = sq.ops

local M = {}

---Beam search for one prompt: its best continuations, best first.
---@type fun(model: sqlune.Model, prompt: integer[], o?: sqlune.generate.BeamOptions): sqlune.generate.Beam[]
M.beams = require "sqlune.generate.beam".run

---@class sqlune.generate.Options
---@field max_tokens? integer        new tokens at most (default 256)
---@field eos? integer[]             ids that end a row; they are part of the result
---@field temperature? number        0: greedy (default)
---@field top_k? integer             0: all
---@field top_p? number              1: all
---@field repetition_penalty? number 1: none; counts the prompt
---@field seed? integer
---@field streams? integer[]         random stream of each row (default: its place): a batch's make-up changes nothing
---@field on_token? fun(row: integer, id: integer) called for every new token

local known = {
  max_tokens = true, eos = true, temperature = true, top_k = true, top_p = true, repetition_penalty = true,
  seed = true, streams = true, on_token = true,
}

local function integers(list) return sq.tensor(list, { dtype = "i64" }) end

---The next id of each active row.
local function choose(logits, rows, contexts, counts, o)
  local options = { temperature = o.temperature or 0 }
  if (o.temperature or 0) > 0 then
    options.top_k, options.top_p, options.seed = o.top_k or 0, o.top_p or 1, o.seed or 0
    local streams, offsets = {}, {}
    for n, row in ipairs(rows) do streams[n], offsets[n] = (o.streams and o.streams[row] or row), counts[row] end
    options.streams, options.offsets = integers(streams), integers(offsets)
  end
  if (o.repetition_penalty or 1) ~= 1 then
    local seen, starts = {}, { 0 }
    for n, row in ipairs(rows) do
      table.move(contexts[row], 1, #contexts[row], #seen + 1, seen)
      starts[n + 1] = #seen
    end
    options.repetition_penalty, options.seen, options.seen_rows = o.repetition_penalty, integers(seen), integers(starts)
  end
  return ops.sample(logits, options):totable()
end

---Generates for every prompt; returns the new ids of each.
---@param model sqlune.Model
---@param prompts integer[][]  token ids
---@param o? sqlune.generate.Options
---@return integer[][]
function M.run(model, prompts, o)
  o = o or {}
  for key in pairs(o) do if not known[key] then error("generate: unknown option '" .. tostring(key) .. "'", 2) end end
  local max_tokens, ends = o.max_tokens or 256, {}
  for _, id in ipairs(o.eos or {}) do ends[id] = true end
  local results, contexts, counts, active, feed, longest = {}, {}, {}, {}, {}, 0
  for row, prompt in ipairs(prompts) do
    if #prompt == 0 then error("generate: prompt " .. row .. " is empty", 2) end
    results[row], counts[row], contexts[row] = {}, 0, table.move(prompt, 1, #prompt, 1, {})
    active[row], feed[row] = row, prompt
    longest = math.max(longest, #prompt)
  end
  if #prompts == 0 or max_tokens < 1 then return results end
  local context = model.shape.context -- a row ends where the model's longest sequence does
  local cache <close> = model:cache(#prompts, longest + max_tokens)
  sq.no_grad(function()
    while #active > 0 do
      local _s <close> = sq.scope()
      local ids, lengths, last = {}, {}, {}
      for n in ipairs(active) do
        table.move(feed[n], 1, #feed[n], #ids + 1, ids)
        lengths[n], last[n] = #feed[n], #ids - 1
      end
      local hidden = model:hidden(integers(ids), cache:extend(active, lengths))
      if #ids > #active then hidden = ops.gather_rows(hidden, integers(last)) end
      local chosen = choose(model:logits(hidden), active, contexts, counts, o)
      local still, next_feed = {}, {}
      for n, row in ipairs(active) do
        local id = chosen[n]
        counts[row] = counts[row] + 1
        results[row][counts[row]] = id
        contexts[row][#contexts[row] + 1] = id
        if o.on_token then o.on_token(row, id) end
        if not ends[id] and counts[row] < max_tokens and #contexts[row] < context then
          still[#still + 1] = row
          next_feed[#still] = { id }
        end
      end
      active, feed = still, next_feed
    end
  end)
  return results
end

return M
