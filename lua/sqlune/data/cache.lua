-- Tokenised conversations on disk: made once, read sample by sample, so that data may exceed memory.
--
-- Rules: the name of a cache is the digest of everything that it is made from (data, tokenizer, template, settings), so
-- it is never out of date. TOKENS holds the samples, FACTS (written last) its digest: a file that does not agree is
-- made anew. Each writer has files of its own and renames them at the end; two that work at once write the same bytes.
local sq = require "sqlune"
local conversations = require "sqlune.data.conversations"
local fs, json = sq.fs, sq.json

local M = {}

local MAGIC <const> = "sqlune tokens 1\n"
local TRAINED <const> = 0x80000000 -- set in the tokens whose label counts
local CHUNK <const> = 128          -- numbers that one call packs

---@class sqlune.data.CacheOpts: sqlune.data.ReadOpts
---@field folder string   of the caches
---@field model string    folder of the tokenizer and the template

---@class sqlune.data.Cached: sqlune.data.Conversations
---@field lengths integer[]  tokens of each sample
local Cached = {}

Cached.__len = function(self) return #rawget(self, "lengths") end

---Sample i, read now.
Cached.__index = function(self, i)
  if math.type(i) ~= "integer" then return nil end
  local length = rawget(self, "lengths")[i]
  if not length then return nil end
  local file = rawget(self, "file")
  file:seek("set", rawget(self, "offsets")[i])
  local bytes = file:read(4 * length)
  if not bytes or #bytes < 4 * length then
    error(("%s: sample %d is cut off"):format(rawget(self, "tokens_path"), i), 0)
  end
  local ids, labels = {}, {}
  for k = 1, length do
    local token = string.unpack("<I4", bytes, 4 * k - 3)
    ids[k] = token & ~TRAINED
    labels[k] = token & TRAINED ~= 0 and ids[k] or -100
  end
  local kind = rawget(self, "kinds")[i]
  return { ids = ids, labels = labels, labelled = rawget(self, "labelled")[i], sql_type = rawget(self, "types")[kind] }
end

local function pack_integers(list)
  local parts = {}
  for first = 1, #list, CHUNK do
    local last = math.min(first + CHUNK - 1, #list)
    parts[#parts + 1] = string.pack(("<" .. ("I4"):rep(last - first + 1)), table.unpack(list, first, last))
  end
  return table.concat(parts)
end

---What the samples of a file depend on, as a digest.
---@param path string
---@param o sqlune.data.CacheOpts
---@return string? key
---@return string? message
function M.key(path, o)
  local parts = { MAGIC, o.mask or "answers", tostring(o.max_length), tostring(o.context) }
  local digest, message = fs.sha256(path)
  if not digest then return nil, message end
  parts[#parts + 1] = digest
  for _, name in ipairs { "tokenizer.json", "tokenizer_config.json", "chat_template.jinja" } do
    local file = fs.join(o.model, name)
    parts[#parts + 1] = name .. " " .. (fs.exists(file) and fs.sha256(file) or "none")
  end
  return fs.sha256_bytes(table.concat(parts, "\n"))
end

---Place of a type in the list, which grows; 0: none.
local function place_of(types, name)
  if not name then return 0 end
  for i, known in ipairs(types) do if known == name then return i end end
  types[#types + 1] = name
  return #types
end

---Tokenises a file into `temporary`. Returns the facts of the cache.
local function write_tokens(temporary, path, tokenizer, template, o)
  local file, message = io.open(temporary, "wb")
  if not file then return nil, message end
  local lengths, labelled, kinds, types, at = {}, {}, {}, json.array {}, #MAGIC
  local ok = file:write(MAGIC)
  local facts
  facts, message = conversations.each(path, tokenizer, template, o, function(sample)
    local list = {}
    for k, id in ipairs(sample.ids) do list[k] = sample.labels[k] == -100 and id or id | TRAINED end
    ok = ok and file:write(pack_integers(list))
    lengths[#lengths + 1], labelled[#labelled + 1] = #list, sample.labelled
    kinds[#kinds + 1] = place_of(types, sample.sql_type)
    at = at + 4 * #list
    return not ok and "cannot write " .. temporary or nil
  end)
  if facts then
    ok = ok and file:write(pack_integers(lengths), pack_integers(labelled), pack_integers(kinds))
    facts.samples, facts.index, facts.source, facts.sql_types = #lengths, at, path, types
  end
  local closed = file:close()
  if facts and not (ok and closed) then return nil, "cannot write " .. temporary .. " (is the disk full?)" end
  return facts, message
end

---Makes a cache. Returns its facts.
local function make(base, path, tokenizer, template, o)
  local ok, message = fs.mkdir(o.folder)
  if not ok then return nil, message end
  local own = fs.sha256_bytes(tostring({}) .. os.time() .. sq.sys.clock()):sub(1, 12)
  local temporary = base .. "." .. own .. ".tmp"
  local facts
  facts, message = write_tokens(temporary, path, tokenizer, template, o)
  if facts then
    facts.bytes, facts.sha256 = fs.size(temporary), fs.sha256(temporary)
    ok, message = fs.rename(temporary, base .. ".tokens")
    if ok then ok, message = json.write(base .. ".json", facts, { indent = 2 }) end
    if ok then return facts end
  end
  fs.remove(temporary)
  return nil, message
end

---The facts of a cache that is whole, or nil.
local function whole(base)
  if not fs.exists(base .. ".json") or not fs.exists(base .. ".tokens") then return nil end
  local facts = json.read(base .. ".json")
  if type(facts) ~= "table" or facts.bytes ~= fs.size(base .. ".tokens") then return nil end
  return facts.sha256 == fs.sha256(base .. ".tokens") and facts or nil
end

local function read_integers(file, count)
  local list = {}
  while #list < count do
    local now = math.min(count - #list, 4096)
    local bytes = file:read(4 * now)
    if not bytes or #bytes < 4 * now then return nil end
    for k = 1, now do list[#list + 1] = string.unpack("<I4", bytes, 4 * k - 3) end
  end
  return list
end

---The samples of a file of conversations, from its cache, which is made if there is none.
---@param path string
---@param tokenizer sqlune.Tokenizer
---@param template table
---@param o sqlune.data.CacheOpts
---@return sqlune.data.Cached? samples
---@return string? message
function M.read(path, tokenizer, template, o)
  local key, message = M.key(path, o)
  if not key then return nil, message end
  local base = fs.join(o.folder, key)
  local facts = whole(base)
  if not facts then
    facts, message = make(base, path, tokenizer, template, o)
    if not facts then return nil, message end
  end
  local file
  file, message = io.open(base .. ".tokens", "rb")
  if not file then return nil, message end
  file:seek("set", facts.index)
  local lengths, labelled, kinds = read_integers(file, facts.samples), read_integers(file, facts.samples),
    read_integers(file, facts.samples)
  if not (lengths and labelled and kinds) then return nil, base .. ".tokens: the index is cut off" end
  for _, name in ipairs(o.check and facts.sql_types or {}) do
    local wrong = o.check(name)
    if wrong then return nil, path .. ": " .. wrong end
  end
  local self, at = { lengths = lengths, labelled = labelled, kinds = kinds, types = facts.sql_types, offsets = {},
    file = file, digest = key, path = path, tokens_path = base .. ".tokens" }, #MAGIC
  for i, length in ipairs(lengths) do
    self.offsets[i] = at
    at = at + 4 * length
  end
  for _, name in ipairs { "dropped", "unlabelled", "tokens", "trained", "longest" } do self[name] = facts[name] end
  return setmetatable(self, Cached)
end

return M
