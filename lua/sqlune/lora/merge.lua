-- An adapter's weights put into the base's: in f32 (f64 for f64), rounded once; files of any size, one in memory at a
-- time; and how far the result is from the adapter.
local sq = require "sqlune"
local layer = require "sqlune.lora.layer"
local fs, json, ops = sq.fs, sq.json, sq.ops

local M = {}

---W + scale B A (- PiSSA's start), with DoRA its rows brought to the trained lengths; of the weight's dtype.
---@param weight userdata          [outputs, inputs]; of an embedding [inputs, outputs]
---@param part sqlune.lora.Part
---@param factor? number           1
---@return userdata
function M.weight(weight, part, factor)
  if part.weight then return part.weight end
  if not part.a then return weight end
  return sq.no_grad(function()
    local s <close> = sq.scope()
    local wide, scale = weight.dtype == "f64" and "f64" or "f32", part.scale * (factor or 1)
    local function product(pair)
      local a, b = pair.a:to(wide), pair.b:to(wide)
      return (part.embedding and ops.matmul(a:transpose(1, 2), b:transpose(1, 2)) or ops.matmul(b, a)) * scale
    end
    local sum = weight:to(wide) + product(part)
    if part.start then sum = sum - product(part.start) end
    if part.magnitude then
      local gain = part.magnitude:to(wide) / layer.norms_with(weight, part, factor or 1):to(wide)
      sum = sum * gain:reshape { -1, 1 }
    end
    return s:keep(sum:to(weight.dtype))
  end)
end

---Tensors of the base's files that the adapter changes: name -> function that makes the new one.
local function changes(adapter, stored)
  local list = {}
  for linear, part in pairs(adapter.parts) do
    local name = linear.name .. ".weight"
    local weight = stored[name] or linear.base.weight -- a tied head stands under the embedding's name only
    if part.a or part.weight then list[name] = function() return M.weight(weight, part) end end
    if part.bias then list[linear.name .. ".bias"] = function() return part.bias end end
    if part.embedding and adapter.model.shape.tied then -- the head stays what it is
      list["lm_head.weight"] = list["lm_head.weight"] or function() return weight end
    end
  end
  return list
end

---Names in order, in groups whose tensors take at most `limit` bytes (0: no limit; a larger tensor is alone).
local function shards(sizes, limit)
  local names, groups, used, total = {}, { {} }, 0, 0
  for name in pairs(sizes) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    if limit > 0 and used > 0 and used + sizes[name] > limit then
      groups[#groups + 1], used = {}, 0
    end
    table.insert(groups[#groups], name)
    used, total = used + sizes[name], total + sizes[name]
  end
  return groups, total
end

---Writes the base with the adapter in it: model.safetensors, or several files and their index.
---@param adapter sqlune.lora.Adapter
---@param base string    folder of the base
---@param out string     folder to write into
---@param o {limit: integer, progress?: fun(done: integer, total: integer)}  limit: bytes of one file, 0: one file
---@return boolean? ok
---@return string? message
---@return string? code
function M.write(adapter, base, out, o)
  local _s <close> = sq.scope()
  local stored, message, code = sq.safetensors.load(base)
  if not stored then return nil, message, code end
  local changed, sizes, config = changes(adapter, stored), {}, json.read(fs.join(base, "config.json"))
  for name, entry in pairs(sq.safetensors.header(base)) do sizes[name] = entry.bytes end
  for name in pairs(changed) do
    if not sizes[name] then
      if name ~= "lm_head.weight" then return nil, base .. ": no tensor '" .. name .. "'", "SQLUNE_FORMAT" end
      sizes[name] = sizes["model.embed_tokens.weight"]
    end
    if name == "lm_head.weight" and adapter.model.shape.tied then config.tie_word_embeddings = false end
  end
  local ok
  ok, message, code = json.write(fs.join(out, "config.json"), config, { indent = 2 })
  if not ok then return nil, message, code end
  local groups, total = shards(sizes, o.limit)
  local map = json.object()
  for i, names in ipairs(groups) do
    local _shard <close> = sq.scope()
    local file = #groups == 1 and "model.safetensors" or ("model-%05d-of-%05d.safetensors"):format(i, #groups)
    local tensors = {}
    for _, name in ipairs(names) do
      tensors[name] = changed[name] and changed[name]() or stored[name]
      map[name] = file
    end
    ok, message, code = sq.safetensors.save(fs.join(out, file), tensors, { format = "pt" })
    if not ok then return nil, message, code end
    if o.progress then o.progress(i, #groups) end
  end
  if #groups == 1 then return true end
  return json.write(fs.join(out, "model.safetensors.index.json"),
    json.object("metadata", json.object("total_size", total), "weight_map", map), { indent = 2 })
end

---What two models say of the same text: each prompt and what the first one makes of it, greedily.
---@param one sqlune.Model
---@param two sqlune.Model
---@param prompts integer[][]
---@param tokens integer   made of each prompt
---@return { difference: number, largest: number, agree: integer, tokens: integer }  largest: of the first one's logits
function M.compare(one, two, prompts, tokens)
  local result = { difference = 0, largest = 0, agree = 0, tokens = 0 }
  sq.no_grad(function()
    for i, made in ipairs(sq.generate.run(one, prompts, { max_tokens = tokens })) do
      local _s <close> = sq.scope()
      local text = table.move(made, 1, #made - 1, #prompts[i] + 1, table.move(prompts[i], 1, #prompts[i], 1, {}))
      local ids, at = sq.tensor(text, { dtype = "i64" }), sq.models.packed { 0, #text }
      local a = one:logits(one:hidden(ids, at), at):to "f32"
      local b = two:logits(two:hidden(ids, at), at):to "f32"
      result.difference = math.max(result.difference, (a - b):abs():max():item())
      result.largest = math.max(result.largest, a:abs():max():item())
      local here, there = a:argmax():totable(), b:argmax():totable()
      for place = #prompts[i], #text do
        result.tokens = result.tokens + 1
        if here[place] == there[place] then result.agree = result.agree + 1 end
      end
    end
  end)
  return result
end

return M
