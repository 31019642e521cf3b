-- sq.graph(fn, device): a function that is done many times, on a card as one CUDA graph.
local sq = require "sqlune"

---@class sqlune.Graph what fn is, called without arguments
---@field fn fun(): ...
---@field device string
---@field warm boolean     fn has run, or need not before it is recorded
---@field recording? sqlune.graphs.Recording
---@field results? table
local Graph = {}
Graph.__index = Graph

---Does what fn does, and gives what it gives. On a card the first call runs fn, the second one records it, and from
---then on all are replays: the same kernels over the same memory, the same numbers as arguments, the same results.
function Graph:__call()
  if self.device == "cpu" or not self.warm then
    self.warm = true
    return sq.no_grad(self.fn)
  end
  if not self.recording then
    local results = table.pack(sq.no_grad(sq.graphs.record, self.device, self.fn))
    self.recording = results[1]
    self.results = table.pack(table.unpack(results, 2, results.n))
  end
  self.recording:replay()
  return table.unpack(self.results, 1, self.results.n)
end

---Gives back what it holds on the card. A call after that runs fn again.
function Graph:close()
  if self.recording then self.recording:close() end
  self.recording, self.results, self.warm = nil, nil, false
end
Graph.__close = Graph.close

---fn reads and writes tensors of the device that exist before and after it, decides nothing by their values, and wants
---no gradients. Results that are to outlive a scope around the call must be kept (`x:keep()`) in fn.
---@param fn fun(): ...
---@param device string  "cpu": calls of the graph are calls of fn
---@param warm? boolean  true: recorded at the first call; what fn needs of the libraries is at hand then
---@return sqlune.Graph
return function(fn, device, warm)
  return setmetatable({ fn = fn, device = sq.models.device(device), warm = warm or false }, Graph)
end
