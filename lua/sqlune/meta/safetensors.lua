---@meta

---Weight files in the safetensors format. A path may be a file, an index (`….index.json`), or a folder with
---`model.safetensors` or `model.safetensors.index.json`. Files are mapped; a lying or truncated one is an error that
---names the file and the tensor.
---@class sqlune.safetensors
local safetensors = {}

---@class sqlune.safetensors.Entry
---@field dtype string     as the file says: `F32`, `BF16`, `I64` …
---@field shape integer[]
---@field bytes integer
---@field file string      the file (of a sharded model) that holds it

---What a file holds, without reading the weights: names to entries, sorted, and the metadata.
---@param path string
---@return table<string, sqlune.safetensors.Entry>? entries
---@return table<string, string>|string metadata_or_message
---@return string? code
function safetensors.header(path) end

---The bytes of one tensor, of whatever type.
---@param path string
---@param name string
---@return string? bytes
---@return sqlune.safetensors.Entry|string entry_or_message
---@return string? code
function safetensors.read_raw(path, name) end

---@class sqlune.safetensors.Raw
---@field name string
---@field dtype string     `F32`, `BF16`, `I16` …
---@field shape integer[]
---@field bytes string

---Writes a file, atomically, from bytes.
---@param path string
---@param tensors sqlune.safetensors.Raw[]
---@param metadata? table<string, string>
---@return boolean? ok
---@return string? message
---@return string? code
function safetensors.write_raw(path, tensors, metadata) end

---Tensors by name, each a view of the mapped file, and the metadata. Writing into one changes no file.
---@param path string
---@return table<string, sqlune.Tensor>? tensors
---@return table<string, string>|string metadata_or_message
---@return string? code
function safetensors.load(path) end

---Writes tensors into one file, atomically; the same tensors give the same bytes.
---@param path string
---@param tensors table<string, sqlune.Tensor>
---@param metadata? table<string, string>
---@return boolean? ok
---@return string? message
---@return string? code
function safetensors.save(path, tensors, metadata) end

return safetensors
