-- What Hugging Face tokenizers makes of texts: every id, offset, decoded text and stream piece must be equal.
local sq = require "sqlune"
local t = require "tests.check"

local folders = { qwen2 = "qwen2.5-coder-0.5b-instruct", mistral = "mistral-7b-instruct-v0.2" }

local function load(name) return assert(sq.tokenizer.load(t.shared("data/tokenizers/" .. folders[name]))) end

---Calls fn with each line of a file of JSON Lines; counts them.
local function each(file, fn)
  local items <close> = assert(sq.json.items(t.shared("golden/tokenizer/" .. file)))
  local n = 0
  for item in items do
    n = n + 1
    fn(item, file .. ":" .. n)
  end
  return n
end

local function pairs_equal(got, wanted, where)
  t.eq(#got, #wanted, where)
  for i, pair in ipairs(wanted) do
    if got[i][1] ~= pair[1] or got[i][2] ~= pair[2] then
      error(string.format("%s: offset %d is %d, %d, wanted %d, %d", where, i, got[i][1], got[i][2], pair[1], pair[2]))
    end
  end
end

local function ids_equal(got, wanted, where)
  for i = 1, math.max(#got, #wanted) do
    if got[i] ~= wanted[i] then error(string.format("%s: id %d is %s, wanted %s", where, i, got[i], wanted[i])) end
  end
end

local function check_encode(tok, item, where, literal)
  local special = item.add_special_tokens
  local ids, offsets = tok:encode(item.text, { offsets = true, add_special_tokens = special, literal = literal })
  ids_equal(ids, item.ids, where)
  pairs_equal(offsets, item.offsets, where)
  ids_equal(tok:encode(item.text, { add_special_tokens = special, literal = literal }), item.ids, where)
end

local function check_stream(tok, item, where)
  local stream = tok:stream { skip_special_tokens = item.skip_special_tokens }
  local ids = {}
  for i, id in ipairs(item.ids) do
    ids[i] = id
    t.eq(stream:push(id), item.pieces[i], where .. ", piece " .. i)
    t.eq(tok:decode(ids, { skip_special_tokens = item.skip_special_tokens }), item.prefixes[i], where)
  end
  t.eq(stream:finish(), item.rest, where)
end

local M = {}

for name in pairs(folders) do
  M["encode " .. name] = function()
    local tok = load(name)
    t.eq(each(name .. ".jsonl", function(item, where) check_encode(tok, item, where) end), 2000)
    t.eq(each("nul_" .. name .. ".jsonl", function(item, where) check_encode(tok, item, where) end), 12)
    t.eq(each("literal_" .. name .. ".jsonl", function(item, where) check_encode(tok, item, where, true) end), 60)
  end

  M["encode many " .. name] = function()
    local tok, texts, wanted = load(name), {}, {}
    each(name .. ".jsonl", function(item)
      if not item.add_special_tokens then
        texts[#texts + 1], wanted[#wanted + 1] = item.text, item
      end
    end)
    local ids, offsets = tok:encode_many(texts, { offsets = true })
    t.ok(#wanted > 500)
    for i, item in ipairs(wanted) do
      ids_equal(ids[i], item.ids, "text " .. i)
      pairs_equal(offsets[i], item.offsets, "text " .. i)
    end
  end

  M["decode " .. name] = function()
    local tok = load(name)
    local n = each("decode_" .. name .. ".jsonl", function(item, where)
      t.eq(tok:decode(item.ids, { skip_special_tokens = item.skip_special_tokens }), item.text, where)
    end)
    t.ok(n > 500)
  end

  M["stream " .. name] = function()
    local tok = load(name)
    t.eq(each("stream_" .. name .. ".jsonl", function(item, where) check_stream(tok, item, where) end), 40)
  end
end

M["older texts"] = function()
  local tok = load "qwen2"
  local n = each("qwen2_texts.jsonl", function(item, where) ids_equal(tok:encode(item.text), item.ids, where) end)
  t.eq(n, 1512)
end

M["texts of llama.cpp"] = function()
  local tok = load "qwen2"
  local input = assert(sq.fs.read(t.shared "golden/tokenizer/qwen2_llamacpp.inp"))
  local lines = {}
  for line in assert(sq.fs.read(t.shared "golden/tokenizer/qwen2_llamacpp.out")):gmatch "([^\n]*)\n" do
    lines[#lines + 1] = line
  end
  local n, from, divider = 0, 1, "\n__ggml_vocab_test__\n"
  while n < #lines do
    local first, last = input:find(divider, from, true)
    local text = input:sub(from, first and first - 1)
    n = n + 1
    local wanted = {}
    for id in lines[n]:gmatch "%d+" do wanted[#wanted + 1] = math.tointeger(id) end
    ids_equal(tok:encode(text), wanted, "text " .. n)
    if not first then break end
    from = last + 1
  end
  t.eq(n, 46)
end

return M
