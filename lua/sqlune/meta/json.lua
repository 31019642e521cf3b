---@meta

---JSON. Integers are exact in 64 bits (larger ones become floats), strings keep U+0000 and lone surrogates, objects
---keep the order of their keys, `[]` and `{}` differ, null is `json.null`.
---@class sqlune.json
---@field null lightuserdata  JSON's null; it is true in a condition, so compare: `v == json.null`
local json = {}

---@class sqlune.json.Style
---@field indent? integer   spaces per level; 0, the default, writes one line
---@field level? integer    indented as if it stood in so many containers
---@field compact? boolean  one line without blanks after `,` and `:`
---@field ascii? boolean    `\uXXXX` for everything beyond ASCII
---@field replace? boolean  U+FFFD for bytes that are not UTF-8, which raise otherwise

---@class sqlune.json.WriterStyle: sqlune.json.Style
---@field lines? boolean    one value a line instead of an array; default: does the name end in `.jsonl`?

---Turns JSON text into a value. The name stands for the file in messages.
---@param text string
---@param opts? { name?: string }
---@return any? value
---@return string? message  with line and column
---@return string? code
function json.decode(text, opts) end

---Reads a file that holds one JSON value.
---@param path string
---@return any? value
---@return string? message  with file, line and column
---@return string? code
function json.read(path) end

---Turns a value into JSON text. Ordered objects keep their order, other tables are sorted by key; `{}` is an empty
---object, `json.array{}` an empty array; a sequence is an array. What JSON cannot say (functions, gaps, cycles) raises.
---@param value any
---@param style? sqlune.json.Style
---@return string
function json.encode(value, style) end

---Writes a value to a file, atomically: a full disk or a kill leaves the old file.
---@param path string
---@param value any
---@param style? sqlune.json.Style
---@return boolean? ok
---@return string? message
---@return string? code
function json.write(path, value, style) end

---Marks a table as an array, so that an empty one is written `[]`. Without an argument makes one.
---@param t? table
---@return table t  the same table
function json.array(t) end

---Makes an ordered object: `json.object("b", 1, "a", 2)` or `json.object { { "b", 1 }, { "a", 2 } }`. Keys assigned
---later come last; `pairs` follows the order.
---@param ... any  key, value, key, value …, or one list of pairs
---@return table
function json.object(...) end

---Gives a table the order of an object's keys: many of one kind are made faster so than key by key. What the table has
---under other keys is not written, as are keys of the object that the table lacks.
---@param object table  made by json.object or decoded
---@param t table
---@return table t  the same table
function json.like(object, t) end

---The keys of an object: in their order, or sorted for a table that keeps none.
---@param t table
---@return string[]
function json.keys(t) end

---Was the table decoded from `[…]`, or marked by json.array?
---@param t any
---@return boolean
function json.is_array(t) end

---Was the table decoded from `{…}`, or made by json.object?
---@param t any
---@return boolean
function json.is_object(t) end

---Goes through a list of any size in little memory: a top-level array, or JSON Lines (by the ending `.jsonl`, or when
---the text begins with `{`). Each step gives the item, its number and its line; a broken file raises with its place.
---
---    local list <close> = assert(json.items "train.json")
---    for item, number, line in list do … end
---@param path string
---@param opts? { raw?: boolean }  raw: an item is its JSON text, checked, as it stands in the file
---@return sqlune.json.Items? list
---@return string? message
---@return string? code
function json.items(path, opts) end

---@class sqlune.json.Items
---@overload fun(): any, integer, integer
local items = {}

---Closes the file early.
function items:close() end

---Writes a long list one item at a time; nothing appears under the name until `commit`.
---
---    local out <close> = assert(json.writer("run/pred.jsonl"))
---    out:add { idx = 1, pred_sql = "SELECT 1" }
---    assert(out:commit())
---@param path string
---@param style? sqlune.json.WriterStyle
---@return sqlune.json.Writer? writer
---@return string? message
---@return string? code
function json.writer(path, style) end

---@class sqlune.json.Writer
local writer = {}

---Adds one item.
---@param value any
---@return sqlune.json.Writer? self
---@return string? message
---@return string? code
function writer:add(value) end

---Adds one item that is JSON already, as json.encode printed it: an indented one with level = 1.
---@param text string
---@return sqlune.json.Writer? self
---@return string? message
---@return string? code
function writer:add_text(text) end

---Puts the file in its place and closes the writer. Closing without it drops the file.
---@return boolean? ok
---@return string? message
---@return string? code
function writer:commit() end

---Drops the file, unless it was committed.
function writer:close() end

return json
