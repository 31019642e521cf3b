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

---Draws the next id of each of some rows, again and again: what counts up with the tokens lies on the device and is
---moved on by the draw itself, so that a card can repeat it (sq.graph).
---@param rows integer[]
---@param room integer   tokens of a row at most, its prompt's among them
---@return fun(logits: userdata): userdata draw
local function sampler(rows, contexts, counts, room, device, o)
  local options, moving = { temperature = o.temperature or 0 }, {}
  local function on_device(list)
    local x = integers(list)
    return device == "cpu" and x or x:to(device)
  end
  local one = on_device { 1 }
  if options.temperature > 0 then
    options.top_k, options.top_p, options.seed = o.top_k or 0, o.top_p or 1, o.seed or 0
    local streams, offsets = {}, {}
    for n, row in ipairs(rows) do streams[n], offsets[n] = (o.streams and o.streams[row] or row), counts[row] end
    options.streams, options.offsets = on_device(streams), on_device(offsets)
    moving[1] = options.offsets
  end
  local seen, place
  if (o.repetition_penalty or 1) ~= 1 then
    local list, starts, ends = {}, { 0 }, {}
    for n, row in ipairs(rows) do
      local context = contexts[row]
      for i = 1, room do list[#list + 1] = context[i] or -1 end
      starts[n + 1], ends[n] = #list, starts[n] + #context
    end
    seen, place = on_device(list), on_device(ends)
    options.repetition_penalty, options.seen, options.seen_rows = o.repetition_penalty, seen, on_device(starts)
    seen, moving[#moving + 1] = seen:reshape { -1, 1 }, place
  end
  return function(logits)
    local ids = ops.sample(logits, options)
    if seen then ops.write_rows_(seen, place, ids:reshape { -1, 1 }) end
    for _, x in ipairs(moving) do ops.copy_(x, x + one) end
    return ids
  end
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
  local results, contexts, counts, active, longest = {}, {}, {}, {}, 0
  for row, prompt in ipairs(prompts) do
    if #prompt == 0 then error("generate: prompt " .. row .. " is empty", 2) end
    results[row], counts[row], contexts[row] = {}, 0, table.move(prompt, 1, #prompt, 1, {})
    active[row] = row
    longest = math.max(longest, #prompt)
  end
  if #prompts == 0 or max_tokens < 1 then return results end
  local context = model.shape.context -- a row ends where the model's longest sequence does
  local room, device = longest + max_tokens, model.device
  local cache <close> = model:cache(#prompts, room)

  ---Takes a new id for each row of `active` that still goes on; gives the rows that do after it.
  local function accept(ids, going)
    local still = {}
    for n, row in ipairs(active) do
      if going[row] then
        local id = ids[n]
        counts[row] = counts[row] + 1
        results[row][counts[row]] = id
        contexts[row][#contexts[row] + 1] = id
        if o.on_token then o.on_token(row, id) end
        going[row] = not ends[id] and counts[row] < max_tokens and #contexts[row] < context
        if going[row] then still[#still + 1] = row end
      end
    end
    return still
  end

  ---The prompts, and each row's first token.
  local function begin(going)
    local _s <close> = sq.scope()
    local ids, lengths, last = {}, {}, {}
    for n, row in ipairs(active) do
      table.move(prompts[row], 1, #prompts[row], #ids + 1, ids)
      lengths[n], last[n] = #prompts[row], #ids - 1
    end
    local hidden = model:hidden(integers(ids), cache:extend(active, lengths))
    if #ids > #active then hidden = ops.gather_rows(hidden, integers(last)) end
    return accept(sampler(active, contexts, counts, room, device, o)(model:logits(hidden)):totable(), going)
  end

  ---Steps of one token for every row of `active`, until some have ended. A card goes on with those that have, a graph
  ---being of one size, until a quarter is idle.
  local function go_on(going, warm)
    local _s <close> = sq.scope()
    local newest = {}
    for n, row in ipairs(active) do newest[n] = contexts[row][#contexts[row]] end
    local ids, draw = integers(newest):to(device), sampler(active, contexts, counts, room, device, o)
    local at, advance = cache:follow(active)
    local step <close> = sq.graph(function()
      local _step <close> = sq.scope()
      ops.copy_(ids, draw(model:logits(model:hidden(ids, at))))
      advance()
    end, device, warm)
    local enough, still, steps = device == "cpu" and #active or 3 * #active // 4 + 1, active, 0
    while #still >= enough do
      step()
      steps = steps + 1
      still = accept(ids:totable(), going)
    end
    cache:grown(active, steps)
    return still
  end

  sq.no_grad(function()
    local going, warm = {}, false
    for _, row in ipairs(active) do going[row] = true end
    active = begin(going)
    while #active > 0 do
      active = go_on(going, warm)
      warm = true
    end
  end)
  return results
end

return M
