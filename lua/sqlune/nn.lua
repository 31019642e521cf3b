-- Parts that models are written with: parameters by name, linear layers, rotary tables.
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

return M
