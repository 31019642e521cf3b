---@meta

---A card's work, written down once and done many times. `sq.graph` stands on this.
---@class sqlune.graphs
local graphs = {}

---@class sqlune.graphs.Recording
local Recording = {}

---Does what was recorded, in order with everything else that is asked of the card.
function Recording:replay() end

---Gives back what it holds; the results stay as they are as long as somebody has them.
function Recording:close() end

---Runs fn while its card writes down what it is asked for instead of doing it. Off the tape (`sq.no_grad`); nothing may
---go between host and card meanwhile, and an error in fn comes through.
---@param device string   "cuda:N"
---@param fn fun(): ...
---@return sqlune.graphs.Recording
---@return any ...        what fn gave; its tensors have values after a replay
function graphs.record(device, fn) end

return graphs
