---@meta

---Streams of random numbers by counter. `sq.random` stands on this.
---@class sqlune.streams
---@field methods table  of every stream: sq.random adds choice, weighted and sample
local streams = {}

---A stream of Philox 4x32-10, keyed by a seed and by the hash of its names.
---@param seed integer
---@param ... string|integer
---@return sqlune.random.Stream
function streams.new(seed, ...) end

---FNV-1a over the names, 64 bits.
---@param ... string|integer
---@return integer
function streams.hash(...) end

return streams
