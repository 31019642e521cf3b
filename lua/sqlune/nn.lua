-- Parts that models are written with: parameters by name, linear layers, rotary tables, the cache of keys and values.
local sq = require "sqlune"
local ops = sq.ops

local M = {}

---@class sqlune.nn.Parameters
---@field by_name table<string, userdata>  tensors by their names in the file
---@field names string[]                   in the order they were asked for
---@field linears sqlune.nn.Linear[]       in the order they were made
---@field embeddings sqlune.nn.Embedding[] in the order they were made
local Parameters = {}
Parameters.__index = Parameters

---A model's parameters. `take(name, shape, init)` gives each tensor; names are those of the checkpoint. `wrap`, if
---given, is handed every linear layer and gives what the model calls in its place, as layer(x, at).
---@param take fun(name: string, shape: integer[], init: "normal"|"zeros"|"ones"): userdata
---@param wrap? fun(name: string, linear: sqlune.nn.Linear): function|table
---@return sqlune.nn.Parameters
function M.parameters(take, wrap)
  return setmetatable({ by_name = {}, names = {}, linears = {}, embeddings = {}, take = take, wrap = wrap }, Parameters)
end

---@param name string
---@param shape integer[]
---@param init "normal"|"zeros"|"ones" how it starts when it is not read from a file
function Parameters:get(name, shape, init)
  local t = self.by_name[name]
  if not t then
    t = self.take(name, shape, init)
    self.by_name[name] = t
    self.names[#self.names + 1] = name
  end
  return t
end

---@class sqlune.nn.Linear
---@field name string
---@field weight userdata  [outputs, inputs]
---@field bias userdata?   [outputs]
---@field adapter? fun(x: userdata, at: table): userdata  computes in the layer's place (sqlune.lora)
local Linear = {}
Linear.__index = Linear
Linear.__call = function(self, x, at)
  if self.adapter then return self.adapter(x, at) end
  return ops.linear(x, self.weight, self.bias)
end

---A layer of a weight that the parameters have already (a tied head), known to them by its name. It is not wrapped.
---@param p sqlune.nn.Parameters
---@param name string
---@param weight userdata
---@param bias? userdata
---@return sqlune.nn.Linear
function M.layer(p, name, weight, bias)
  local linear = setmetatable({ name = name, weight = weight, bias = bias }, Linear)
  p.linears[#p.linears + 1] = linear
  return linear
end

---y = x W^T (+ b), with W [outputs, inputs] at name.weight and b [outputs] at name.bias. Called as linear(x, at), `at`
---being what the model was called with (positions, rows, cache, …).
---@param p sqlune.nn.Parameters
---@param name string
---@param inputs integer
---@param outputs integer
---@param bias? boolean
function M.linear(p, name, inputs, outputs, bias)
  local weight = p:get(name .. ".weight", { outputs, inputs }, "normal")
  local linear = M.layer(p, name, weight, bias and p:get(name .. ".bias", { outputs }, "zeros") or nil)
  return p.wrap and p.wrap(name, linear) or linear
end

---@class sqlune.nn.Embedding
---@field name string
---@field weight userdata  [rows, width]
---@field padding integer  row that look-ups do not train, -1: none
---@field adapter? fun(ids: userdata, at: table): userdata  computes in its place (sqlune.lora)
local Embedding = {}
Embedding.__index = Embedding
Embedding.__call = function(self, ids, at)
  if self.adapter then return self.adapter(ids, at) end
  return ops.embedding(ids, self.weight, self.padding)
end

---Rows of a table by their numbers, called as embedding(ids, at), `at` as linear layers get it.
---@param p sqlune.nn.Parameters
---@param name string
---@param rows integer
---@param width integer
---@param padding? integer
---@return sqlune.nn.Embedding
function M.embedding(p, name, rows, width, padding)
  local weight = p:get(name .. ".weight", { rows, width }, "normal")
  local embedding = setmetatable({ name = name, weight = weight, padding = padding or -1 }, Embedding)
  p.embeddings[#p.embeddings + 1] = embedding
  return embedding
end

---Tables of the rotary embedding that grow with the longest position asked for.
---@class sqlune.nn.Rope
local Rope = {}
Rope.__index = Rope

---@param frequencies number[] one for each pair of a head's dimensions
---@param dtype string of the model: tables are rounded to it
---@param factor? number cosine and sine are multiplied by it (1)
---@return sqlune.nn.Rope
function M.rope(frequencies, dtype, factor)
  local wide = dtype == "f64" and "f64" or "f32"
  -- Frequencies, angles, cosine and sine in f32, as transformers makes them: at position 32767 the f32 angle is 1e-3
  -- away from the exact one, and agreement on long inputs needs the same.
  return setmetatable({
    frequencies = sq.tensor({ frequencies }, { dtype = wide }):keep(),
    dtype = dtype, wide = wide, factor = factor or 1, rows = 0,
  }, Rope)
end

---Tables for positions below `rows`.
---@param rows integer
---@param device? string where they are wanted ("cpu"); they are made on the cpu, the same everywhere
---@return userdata cosine # [rows or more, dim/2]
---@return userdata sine
function Rope:tables(rows, device)
  device = device or "cpu"
  if rows > self.rows or device ~= self.device then
    local want = math.max(256, self.rows)
    while want < rows do want = want * 2 end
    sq.no_grad(function()
      local _s <close> = sq.scope()
      local positions = sq.arange(0, want - 1, { dtype = self.wide }):reshape { want, 1 }
      local angles = positions * self.frequencies
      local function rounded(t)
        if self.factor ~= 1 then t = t * self.factor end
        if self.dtype == "bf16" then t = t:to("bf16"):to("f32") end
        return t:to(device):keep()
      end
      self.cosine, self.sine = rounded(angles:cos()), rounded(angles:sin())
    end)
    self.rows, self.device = want, device
  end
  return self.cosine, self.sine
end

---@class sqlune.nn.Cache
---@field capacity integer  keys a sequence may have
---@field lengths integer[] keys that each sequence has
local Cache = {}
Cache.__index = Cache

---Keys and values of `sequences` sequences, each with room for `capacity` positions.
---@return sqlune.nn.Cache
function M.cache(layers, sequences, capacity, kv_heads, dim, dtype, device)
  local how = { dtype = dtype, device = device or "cpu" }
  local c = { capacity = capacity, lengths = {}, k = {}, v = {} }
  for i = 1, layers do
    c.k[i] = sq.empty({ sequences * capacity, kv_heads, dim }, how):keep()
    c.v[i] = sq.empty({ sequences * capacity, kv_heads, dim }, how):keep()
  end
  for i = 1, sequences do c.lengths[i] = 0 end
  return setmetatable(c, Cache)
end

---Gives the memory back.
function Cache:close()
  for i = 1, #self.k do
    self.k[i]:close()
    self.v[i]:close()
  end
  self.k, self.v = {}, {}
end
Cache.__close = Cache.close

---Makes each sequence what another one was: sequence s gets the keys and values of parents[s], from position `from`
---(counted from 0) on; what stands before must be equal already.
---@param parents integer[]
---@param from integer
function Cache:reorder(parents, from)
  local source, target, lengths = {}, {}, {}
  for s, parent in ipairs(parents) do
    lengths[s] = self.lengths[parent]
    for i = from, s == parent and -1 or lengths[s] - 1 do
      source[#source + 1] = (parent - 1) * self.capacity + i
      target[#target + 1] = (s - 1) * self.capacity + i
    end
  end
  for s, length in ipairs(lengths) do self.lengths[s] = length end
  if #source == 0 then return end
  local _s <close> = sq.scope()
  source, target = sq.tensor(source, { dtype = "i64" }), sq.tensor(target, { dtype = "i64" })
  for i = 1, #self.k do -- gathered first: a sequence may be the parent of one and the child of another
    ops.write_rows_(self.k[i], target, ops.gather_rows(self.k[i], source))
    ops.write_rows_(self.v[i], target, ops.gather_rows(self.v[i], source))
  end
end

---Describes new tokens of some sequences: where they stand, and where attention finds their keys.
---@param sequences integer[]   which sequences (from 1)
---@param counts integer[]      new tokens of each
---@return table at             positions, rows, write, keys, lengths: what a model's layers take
function Cache:extend(sequences, counts)
  local positions, rows, write, keys, lengths = {}, { 0 }, {}, {}, {}
  for n, s in ipairs(sequences) do
    local first, length = (s - 1) * self.capacity, self.lengths[s]
    if length + counts[n] > self.capacity then
      local text = "sequence %d: %d tokens do not fit into a cache of %d"
      error(text:format(s, length + counts[n], self.capacity), 2)
    end
    for i = 0, counts[n] - 1 do
      positions[#positions + 1] = length + i
      write[#write + 1] = first + length + i
    end
    rows[n + 1] = rows[n] + counts[n]
    self.lengths[s] = length + counts[n]
    keys[n], lengths[n] = first, self.lengths[s]
  end
  local function integers(list) return sq.tensor(list, { dtype = "i64" }) end
  return {
    positions = integers(positions), rows = integers(rows), write = integers(write), keys = integers(keys),
    lengths = integers(lengths), longest = math.max(table.unpack(lengths)), cache = self,
  }
end

---Describes steps of one token for each of some sequences by tensors of the cache's device, which `advance` moves on to
---the next step: a card can repeat such a step by itself (sq.graph). Nobody looks whether a sequence still has room.
---@param sequences integer[]
---@return table at               what a model's layers take
---@return fun() advance          the last act of a step
function Cache:follow(sequences)
  local device, count = self.k[1].device, #sequences
  local rows, keys, moving = { 0 }, {}, {} -- moving: positions, lengths with the new token, rows to write
  for n, s in ipairs(sequences) do
    rows[n + 1], keys[n] = n, (s - 1) * self.capacity
    moving[n], moving[count + n] = self.lengths[s], self.lengths[s] + 1
    moving[2 * count + n] = keys[n] + self.lengths[s]
  end
  local function integers(list) return sq.tensor(list, { dtype = "i64" }):to(device) end
  local all, one = integers(moving):reshape { 3, count }, integers { 1 }
  local at = {
    positions = all:select(1, 1), lengths = all:select(1, 2), write = all:select(1, 3), rows = integers(rows),
    keys = integers(keys), longest = self.capacity, cache = self,
  }
  return at, function() ops.copy_(all, all + one) end
end

---Tells the cache that these sequences have grown by `count` tokens in steps that follow() described.
---@param sequences integer[]
---@param count integer
function Cache:grown(sequences, count)
  for _, s in ipairs(sequences) do self.lengths[s] = self.lengths[s] + count end
end

return M
