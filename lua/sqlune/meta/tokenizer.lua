---@meta

---Text to token ids and back, as Hugging Face `tokenizers` does it from a model's tokenizer.json.
---@class sqlune.tokenizer
local tokenizer = {}

---One loaded tokenizer. It never changes, so several streams and calls may share it.
---@class sqlune.Tokenizer
---@field path string  # the tokenizer.json it was read from
local Tokenizer = {}

---@class sqlune.tokenizer.EncodeOpts
---@field add_special_tokens? boolean  # put in what the file's post-processor adds, such as `<s>` (default false)
---@field offsets? boolean             # return the place of each token in the text, too (default false)
---@field literal? boolean             # special tokens in the text are plain text (default false)

---Reads a tokenizer.json, or the one in a folder. What it does not support is an error that names the key.
---@param path string
---@return sqlune.Tokenizer? tokenizer, string? message, string? code
function tokenizer.load(path) end

---@class sqlune.tokenizer.TrainOpts
---@field texts string[]|fun(): string?  # to learn from: a list, or an iterator that ends with nil
---@field vocab_size integer             # the 256 bytes and the special tokens count
---@field path string                    # the tokenizer.json to write
---@field special? string[]              # special tokens; they take the last ids
---@field min_count? integer             # pairs seen less often are not merged (default 2)

---Learns a byte-level BPE (NFC, words cut as Qwen2 does), writes it as a tokenizer.json that Hugging Face `tokenizers`
---reads, and loads it. The same texts and options give the same file.
---@param opts sqlune.tokenizer.TrainOpts
---@return sqlune.Tokenizer? tokenizer, string? message, string? code
function tokenizer.train(opts) end

---The ids of a text; with `offsets`, where each token stands, too: {start, stop} in code points from 0, stop excluded.
---Text that is not UTF-8 gives nil, message, code.
---@param text string
---@param opts? sqlune.tokenizer.EncodeOpts
---@return integer[]? ids, integer[][]|string? offsets, string? code
function Tokenizer:encode(text, opts) end

---The ids of many texts, made in parallel; lists of what `encode` returns.
---@param texts string[]
---@param opts? sqlune.tokenizer.EncodeOpts
---@return integer[][]? ids, integer[][][]|string? offsets, string? code
function Tokenizer:encode_many(texts, opts) end

---The text of ids. Ids without a token count as nothing; special tokens too, unless skip_special_tokens = false.
---@param ids integer[]
---@param opts? { skip_special_tokens?: boolean }
---@return string text
function Tokenizer:decode(ids, opts) end

---Decodes ids one at a time, for showing text while it is generated.
---@param opts? { skip_special_tokens?: boolean }
---@return sqlune.TokenStream
function Tokenizer:stream(opts) end

---The id of a token spelled as the file spells it (`Ġselect` for " select" in byte-level files), or nil.
---@param token string
---@return integer? id
function Tokenizer:id(token) end

---The token of an id, spelled as the file spells it, or nil.
---@param id integer
---@return string? token
function Tokenizer:token(id) end

---One more than the highest id.
---@return integer
function Tokenizer:vocab_size() end

---The ids of the special tokens, ascending.
---@return integer[]
function Tokenizer:special_ids() end

---Gives its memory back now instead of at collection. Streams of it go on working.
function Tokenizer:close() end

---@class sqlune.TokenStream
local TokenStream = {}

---The text that one more id makes visible: "" while a character is incomplete.
---@param id integer
---@return string piece
function TokenStream:push(id) end

---What was held back to the end; the stream is then as new.
---@return string rest
function TokenStream:finish() end

return tokenizer
