-- Generation with a cache of keys and values: greedy or sampled, many prompts of different lengths at once.
local sq = require "sqlune"
local pages_of = require "sqlune.models.cache".pages_of
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
---@field cache_tokens? integer      tokens that the cache holds at most; rows wait until others end (default: no limit)
---@field on_token? fun(row: integer, id: integer) called for every new token

local known = {
  max_tokens = true, eos = true, temperature = true, top_k = true, top_p = true, repetition_penalty = true,
  seed = true, streams = true, on_token = true, cache_tokens = true,
}

local function integers(list, device) return sq.tensor(list, { dtype = "i64", device = device }) end

---Draws the next id of each of some rows, again and again: what counts up with the tokens lies on the device and is
---moved on by the draw itself, so that a card can repeat it (sq.graph).
---@param rows integer[]
---@param room integer   tokens of a row at most, its prompt's among them
---@return fun(logits: userdata): userdata draw
local function sampler(rows, contexts, counts, room, device, o)
  local options, moving = { temperature = o.temperature or 0 }, {}
  local one = integers({ 1 }, device)
  if options.temperature > 0 then
    options.top_k, options.top_p, options.seed = o.top_k or 0, o.top_p or 1, o.seed or 0
    local streams, offsets = {}, {}
    for n, row in ipairs(rows) do streams[n], offsets[n] = (o.streams and o.streams[row] or row), counts[row] end
    options.streams, options.offsets = integers(streams, device), integers(offsets, device)
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
    seen, place = integers(list, device), integers(ends, device)
    options.repetition_penalty, options.seen, options.seen_rows = o.repetition_penalty, seen, integers(starts, device)
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
  local results, contexts, counts, longest = {}, {}, {}, 0
  for row, prompt in ipairs(prompts) do
    if #prompt == 0 then error("generate: prompt " .. row .. " is empty", 2) end
    results[row], counts[row], contexts[row] = {}, 0, table.move(prompt, 1, #prompt, 1, {})
    longest = math.max(longest, #prompt)
  end
  if #prompts == 0 or max_tokens < 1 then return results end
  local context = model.shape.context -- a row ends where the model's longest sequence does
  local room, device = longest + max_tokens, model.device
  local cache <close> = model:cache(#prompts, room, o.cache_tokens)
  if pages_of(room) > cache.limit then
    error(("generate: a row may have %d tokens, the cache has room for %d"):format(room, o.cache_tokens), 2)
  end
  local going, begun = {}, 0 -- rows that want more tokens; rows that have begun

  ---Rows that begin beside those of `active`: those that wait, in order, as long as all find room at their longest.
  local function admitted(active)
    local taken, list = 0, {}
    for _, row in ipairs(active) do taken = taken + pages_of(#prompts[row] + max_tokens) end
    while begun < #prompts do
      taken = taken + pages_of(#prompts[begun + 1] + max_tokens)
      if taken > cache.limit then break end
      begun = begun + 1
      list[#list + 1], going[begun] = begun, true
    end
    return list
  end

  ---Takes a new id for each of `rows` that still goes on; gives the number of those that do after it.
  local function accept(rows, ids)
    local still = 0
    for n, row in ipairs(rows) do
      if going[row] then
        local id = ids[n]
        counts[row] = counts[row] + 1
        results[row][counts[row]] = id
        contexts[row][#contexts[row] + 1] = id
        if o.on_token then o.on_token(row, id) end
        going[row] = not ends[id] and counts[row] < max_tokens and #contexts[row] < context
        if going[row] then still = still + 1 end
      end
    end
    return still
  end

  ---The prompts of rows, and each one's first token.
  local function begin(rows)
    local _s <close> = sq.scope()
    local ids, lengths, last = {}, {}, {}
    for n, row in ipairs(rows) do
      table.move(prompts[row], 1, #prompts[row], #ids + 1, ids)
      lengths[n], last[n] = #prompts[row], #ids - 1
    end
    local hidden = model:hidden(integers(ids), cache:extend(rows, lengths))
    if #ids > #rows then hidden = ops.gather_rows(hidden, integers(last)) end
    accept(rows, sampler(rows, contexts, counts, room, device, o)(model:logits(hidden)):totable())
  end

  ---Is there a row whose next token is its last, whatever it is?
  local function near_end(rows)
    for _, row in ipairs(rows) do
      if going[row] and (counts[row] + 1 >= max_tokens or #contexts[row] + 1 >= context) then return true end
    end
    return false
  end

  ---Steps of one token for every one of `rows`, until some have ended. A card goes on with those that have, a graph
  ---being of one size, until a quarter is idle; the host reads a step's ids while the card does the next step.
  local function go_on(rows, warm)
    local _s <close> = sq.scope()
    local newest = {}
    for n, row in ipairs(rows) do newest[n] = contexts[row][#contexts[row]] end
    local ids, draw = integers(newest, device), sampler(rows, contexts, counts, room, device, o)
    local at, advance, ready = cache:follow(rows)
    local step <close> = sq.graph(function()
      local _step <close> = sq.scope()
      ops.copy_(ids, draw(model:logits(model:hidden(ids, at))))
      advance()
    end, cache.unrecorded and "cpu" or device, warm)
    local ahead, coming = device ~= "cpu", nil
    local enough, still, steps = ahead and 3 * #rows // 4 + 1 or #rows, #rows, 0
    local function read()
      local there <close> = coming
      still, coming = accept(rows, there:wait():totable()), nil
    end
    while still >= enough and ready(going) do
      step()
      steps = steps + 1
      local new = ids:fetch()
      if coming then read() end
      coming = new
      if not ahead or near_end(rows) then read() end
    end
    if coming then read() end
    cache:grown(rows, steps)
  end

  ---Those of `rows` that go on; the others' pages are free.
  local function settled(rows)
    local still = {}
    for _, row in ipairs(rows) do
      if going[row] then still[#still + 1] = row else cache:drop(row) end
    end
    return still
  end

  sq.no_grad(function()
    local active, warm = {}, false
    repeat
      local new = admitted(active)
      if #new > 0 then
        begin(new)
        active = settled(table.move(new, 1, #new, #active + 1, active))
      end
      if #active > 0 then
        go_on(active, warm)
        active, warm = settled(active), true
      end
    until #active == 0 and begun == #prompts
  end)
  return results
end

return M
