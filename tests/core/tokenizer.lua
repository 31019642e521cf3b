-- Tokenizers without reference data: one trained here, round trips, streams, and files that are broken.
local sq = require "sqlune"
local t = require "tests.check"
local json = sq.json

local SPECIAL = { "<|end|>", "<|user|>" }
local TEXT = {
  "SELECT name, count(*) FROM singer WHERE age > 20 GROUP BY name ORDER BY count(*) DESC LIMIT 10;",
  "select t1.name from singer as t1 join concert as t2 on t1.id = t2.singer_id where t2.year = 2014",
  "Who are the singers that are older than 20? They're the ones we've listed, aren't they?",
  "Größe, naïve café, Ångström, Привет мир, 你好世界, こんにちは, 안녕하세요, 🦙🦙",
  "local function f(x)\n  return x * 2\nend\n\n\n-- a comment\twith a tab   and blanks  ",
}

local function train(options)
  options.texts = options.texts or TEXT
  options.vocab_size = options.vocab_size or 300
  options.special = options.special or SPECIAL
  options.path = options.path or t.tmpdir() .. "/tokenizer.json"
  return assert(sq.tokenizer.train(options))
end

---A random text of valid code points; the generator is our own, so that every run has the same texts.
local function random_texts(count)
  local seed, texts = 12345, {}
  local function random(n)
    seed = (seed * 6364136223846793005 + 1442695040888963407) & 0x7fffffffffffffff
    return (seed >> 20) % n
  end
  local blocks = { { 0, 128 }, { 32, 95 }, { 0, 0x800 }, { 0x300, 0x70 }, { 0x1100, 0x100 }, { 0xac00, 11172 },
    { 0, 0xd800 }, { 0xe000, 0x110000 - 0xe000 } }
  for i = 1, count do
    local parts = {}
    for j = 1, random(40) do
      local block = blocks[random(#blocks) + 1]
      parts[j] = utf8.char(block[1] + random(block[2]))
    end
    texts[i] = table.concat(parts)
  end
  return texts
end

local M = {}

M["every byte is a token"] = function()
  local tok = train { vocab_size = 258 }
  t.eq(tok:vocab_size(), 258)
  local seen = {}
  for byte = 0, 127 do
    local ids = tok:encode(string.char(byte))
    t.eq(#ids, 1)
    t.eq(tok:decode(ids), string.char(byte))
    seen[ids[1]] = true
  end
  for c = 0x80, 0x7ff do
    local ids = tok:encode(utf8.char(c), { literal = true })
    for _, id in ipairs(ids) do seen[id] = true end
  end
  for _, text in ipairs { "\u{fff}", "\u{1000}", "\u{ffff}", "\u{10000}", "\u{10ffff}", "\u{40000}" } do
    t.eq(tok:decode(tok:encode(text)), text)
    for _, id in ipairs(tok:encode(text)) do seen[id] = true end
  end
  local count = 0
  for _ in pairs(seen) do count = count + 1 end
  t.ok(count >= 128 + 64 + 30, count)
  for id = 0, 255 do t.ok(tok:token(id), id) end
end

M["training learns, and twice the same"] = function()
  local dir = t.tmpdir()
  local tok = train { path = dir .. "/a.json" }
  train { path = dir .. "/b.json" }
  t.ok(sq.fs.read(dir .. "/a.json") == sq.fs.read(dir .. "/b.json"), "two runs differ")
  t.eq(tok.path, dir .. "/a.json")
  t.eq(tok:vocab_size(), 300)
  t.ok(tok:id "Ġsinger" and tok:id "ĠLIMIT" == nil, "only what stands there twice is learned")
  t.ok(#tok:encode(TEXT[1]) < #TEXT[1] * 0.9)
  t.eq(tok:special_ids(), { 298, 299 })
  t.eq(tok:encode "<|user|>a<|end|>", { 299, tok:id "a", 298 })
  t.ok(#tok:encode("<|user|>", { literal = true }) > 1)
  local index = 0
  local from_iterator = train { texts = function() index = index + 1 return TEXT[index] end }
  t.eq(from_iterator:encode(TEXT[2]), tok:encode(TEXT[2]))
end

M["special tokens in the texts are not learned"] = function()
  local texts = {}
  for i = 1, 50 do texts[i] = "<|end|><|user|>xyzzy" end
  local tok = train { texts = texts }
  t.eq(tok:vocab_size(), 256 + 4 + 2, "four merges make xyzzy")
  t.eq(tok:encode "<|end|>xyzzy", { 260, tok:id "xyzzy" })
end

M["texts come back"] = function()
  local tok = train {}
  local texts = random_texts(300)
  for _, text in ipairs(TEXT) do texts[#texts + 1] = text end
  local many, offsets = tok:encode_many(texts, { offsets = true })
  for i, text in ipairs(texts) do
    local ids = tok:encode(text)
    t.eq(many[i], ids)
    local back = tok:decode(ids)
    t.eq(tok:decode(tok:encode(back)), back, "text " .. i) -- in NFC now, so it stays
    local stream, parts = tok:stream(), {}
    for j, id in ipairs(ids) do
      parts[j] = stream:push(id)
      t.ok(utf8.len(parts[j]), "a piece ends inside a character")
    end
    parts[#parts + 1] = stream:finish()
    t.eq(table.concat(parts), back)
    local last, length = 0, utf8.len(text)
    for _, pair in ipairs(offsets[i]) do
      t.ok(pair[1] < pair[2] and pair[2] <= length and pair[1] >= last - 1, "offsets out of order")
      last = pair[2]
    end
  end
end

M["NFC and offsets"] = function()
  local tok = train { vocab_size = 258 }
  t.eq(tok:decode(tok:encode "e\u{301}"), "é")
  local _, offsets = tok:encode("ae\u{301}b", { offsets = true })
  t.eq(offsets, { { 0, 1 }, { 1, 2 }, { 1, 2 }, { 3, 4 } })
  t.eq(tok:decode(tok:encode "\u{1112}\u{1161}\u{11ab}"), "한")
  t.eq(tok:decode(tok:encode "a\u{315}\u{300}\u{5ae}\u{62}"), "à\u{5ae}\u{315}b")
end

M["long runs take no quadratic time"] = function()
  local tok = train {}
  local before = sq.sys.clock()
  for _, text in ipairs { ("x"):rep(300000), ("singer"):rep(50000), (" "):rep(300000), ("\n"):rep(300000),
    ("e" .. ("\u{301}"):rep(100000) .. ("\u{300}\u{323}"):rep(100000)) } do
    t.eq(tok:decode(tok:encode(tok:decode(tok:encode(text)))), tok:decode(tok:encode(text)))
  end
  t.ok(sq.sys.clock() - before < 20, "it does")
end

M["bad texts and arguments"] = function()
  local tok = train {}
  local _, message, code = tok:encode "ab\xff"
  t.eq(message, "invalid UTF-8 at byte 3 of the text")
  t.eq(code, "SQLUNE_FORMAT")
  t.fails(function() return tok:encode "\xed\xa0\x80" end, "byte 1")
  t.fails(function() return tok:encode_many { "a", "b\xc0\x80" } end, "text 2: invalid UTF%-8 at byte 2")
  t.fails(function() return tok:encode_many { "a", 3 } end, "text 2 is no string")
  t.fails(function() return tok:encode("a", { ofsets = true }) end, "unknown option 'ofsets'")
  t.fails(function() return tok:decode { 1, -1 } end, "id 2 of the list is no token id: %-1")
  t.fails(function() return tok:decode { 1, "x" } end, "id 2 .*: x")
  t.eq(tok:decode { 5000, 1 << 31 }, "")
  t.eq(tok:encode "", {})
  t.eq(tok:encode_many {}, {})
  local stream = tok:stream()
  tok:close()
  t.fails(function() return tok:encode "a" end, "this tokenizer was closed")
  t.eq(stream:push(32), "A")
  t.fails(function() return sq.tokenizer.train { texts = {}, vocab_size = 256, special = SPECIAL, path = "x" } end,
    "at least 258")
  t.fails(function() return sq.tokenizer.train { texts = { "\xff" }, vocab_size = 300, path = "x" } end, "text 1: inv")
end

---Saves `text` as a tokenizer.json and tries to load it.
local function load_text(text)
  local path = t.tmpdir() .. "/tokenizer.json"
  assert(sq.fs.write(path, text))
  return sq.tokenizer.load(path)
end

---Loads what `change` made of a small, good tokenizer.json; it must fail with a message that names the file.
local function broken(pattern, change)
  local document = json.decode [=[
    {"added_tokens": [{"id": 7, "content": "<e>", "special": true, "normalized": false}],
     "normalizer": {"type": "NFC"}, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
     "post_processor": null, "decoder": {"type": "ByteLevel"},
     "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4, "d": 5, "e": 6},
               "merges": ["a b", ["ab", "c"]]}}]=]
  change(document)
  local message = t.fails(function() return load_text(json.encode(document)) end, pattern)
  t.ok(message:find "tokenizer.json: ", message)
end

M["a small file loads"] = function()
  broken("unk_token", function(d)
    local tok = assert(load_text(json.encode(d)))
    t.eq(tok:encode "abc<e>ab", { 4, 7, 3 })
    d.model.unk_token = "nothing"
  end)
end

M["U+0000 in a vocabulary"] = function()
  local tok = assert(load_text [[{"model": {"vocab": {"a": 0, "\u0000": 1, "a\u0000": 2}, "merges": ["a \u0000"]}}]])
  t.eq(tok:encode "\0a\0a", { 1, 2, 0 })
  t.eq(tok:token(2), "a\0")
  t.eq(tok:decode { 1, 2, 0 }, "\0 a\0 a") -- a file without a decoder joins with blanks
end

M["broken files"] = function()
  broken("'model.merges'%[0%]: token \"ab\" is not in the vocabulary", function(d) d.model.vocab.ab = nil end)
  broken("'model.merges'%[1%]: token \"abx\" is not in", function(d) d.model.merges[2] = "abx c" end)
  broken("line 1, column %d+: a merge is", function(d) d.model.merges[3] = "a b c" end)
  broken("a merge is \"left right\" or", function(d) d.model.merges[3] = 5 end)
  broken("a merge is", function(d) d.model.merges[3] = json.array { "a" } end)
  broken("a merge is", function(d) d.model.merges[3] = json.array { "a", "b", "c" } end)
  broken("id 1 belongs to two tokens, \"b\" and \"c\"", function(d) d.model.vocab.c = 1 end)
  broken("id 6 belongs to two tokens", function(d) d.added_tokens[1].id = 6 end)
  broken("'added_tokens': token \"a\" has id 7, but 0", function(d) d.added_tokens[1].content = "a" end)
  broken("an id must be a whole number", function(d) d.model.vocab.c = -1 end)
  broken("an id must be a whole number", function(d) d.model.vocab.c = 1.5 end)
  broken("an id must be a whole number", function(d) d.model.vocab.c = 1 << 40 end)
  broken("'model.vocab': missing", function(d) d.model.vocab = nil end)
  broken("'model.merges': missing", function(d) d.model.merges = nil end)
  broken("'model': missing", function(d) d.model = nil end)
  broken("'model.type': \"Unigram\" is not supported", function(d) d.model.type = "Unigram" end)
  broken("'model.end_of_word_suffix': not supported", function(d) d.model.end_of_word_suffix = "</w>" end)
  broken("'normalizer': \"Lowercase\" is not supported", function(d) d.normalizer.type = "Lowercase" end)
  broken("'pre_tokenizer': \"Whitespace\" is not", function(d) d.pre_tokenizer.type = "Whitespace" end)
  broken("'pre_tokenizer': this pattern is not supported: %[a%-z%]%+", function(d)
    d.pre_tokenizer = { type = "Split", pattern = { Regex = "[a-z]+" }, behavior = "Isolated", invert = false }
  end)
  broken("'post_processor': \"BertProcessing\" is not", function(d) d.post_processor = { type = "BertProcessing" } end)
  broken("'decoder': \"WordPiece\" is not", function(d) d.decoder.type = "WordPiece" end)
end

M["files that are no JSON"] = function()
  t.fails(function() return load_text '{"model": {"vocab": {"a": 0,' end, "tokenizer.json: line 1, column %d+: ")
  t.fails(function() return load_text '{\n"model": oops}' end, "line 2, column 10: expected a value")
  t.fails(function() return load_text '{"model": "\xff"}' end, "column 12: invalid UTF%-8")
  t.fails(function() return load_text '{"model": {"vocab": {"\\ud800": 1}}}' end, "column 22: a lone surrogate")
  t.fails(function() return load_text '{"model": {"vocab": {}, "vocab": {}}}' end, "'model.vocab' stands here a second")
  t.fails(function() return load_text '{"a": 1, "a": 2}' end, "column 10: this key stands here a second time")
  t.fails(function() return load_text '{"model": {}} {}' end, "column 15")
  t.fails(function() return load_text '["model"]' end, "a tokenizer is an object")
  t.fails(function() return load_text "" end, "line 1, column 1: ")
  t.fails(function() return sq.tokenizer.load "/nowhere/at/all" end, "/nowhere/at/all: .*No such file")
end

return M
