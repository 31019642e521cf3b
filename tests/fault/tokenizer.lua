-- Fault sweep over sq.tokenizer: every allocation fails once, and from there on.
local sq = require "sqlune"
local sweep = require "tests.sweep"
local t = require "tests.check"

local TEXTS = { "select a from b where c = 'd' and e > 12", "e\u{301}\u{323} <|end|> 🦙 naïve select from", "" }
local SPECIAL = { "<|end|>" }

---A small tokenizer, trained and loaded anew in each test.
local function small()
  local path = t.tmpdir() .. "/tokenizer.json"
  assert(sq.tokenizer.train { texts = TEXTS, vocab_size = 270, special = SPECIAL, path = path }):close()
  return path
end

local METASPACE = [[{"added_tokens": [{"id": 0, "content": "<s>", "special": true, "normalized": true}],
  "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "_"},
    {"type": "Replace", "pattern": {"String": " "}, "content": "_"}]},
  "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
    {"Sequence": {"id": "A", "type_id": 0}}], "special_tokens": {"<s>": {"id": "<s>", "ids": [0]}}},
  "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "_"}, "content": " "},
    {"type": "ByteFallback"}, {"type": "Fuse"}]},
  "model": {"type": "BPE", "byte_fallback": true, "vocab": {"<s>": 0, "a": 1, "_": 2, "_a": 3,
    "<0xC3>": 4, "<0xA9>": 5},
    "merges": ["_ a"]}}]]

return {
  ["load"] = function()
    local path = small()
    t.ok(sweep("byte level", function() assert(sq.tokenizer.load(path)):close() end) > 30)
    assert(sq.fs.write(path, METASPACE))
    t.ok(sweep("metaspace", function() assert(sq.tokenizer.load(path)):close() end) > 30)
    assert(sq.fs.write(path, (METASPACE:gsub('"_ a"', '"_ b"'))))
    sweep("broken", function() return sq.tokenizer.load(path) end)
  end,

  ["encode and decode"] = function()
    local tok <close> = assert(sq.tokenizer.load(small()))
    local options = { offsets = true, add_special_tokens = true }
    t.ok(sweep("encode", function()
      for _, text in ipairs(TEXTS) do assert(tok:encode(text, options)) end
    end) > 5)
    sweep("encode many", function() assert(tok:encode_many(TEXTS, options)) end)
    sweep("bad text", function() return tok:encode_many { "a", "\xff" } end)
    local ids = tok:encode(TEXTS[2])
    sweep("decode", function() return tok:decode(ids) end)
    sweep("stream", function()
      local stream <close> = tok:stream { skip_special_tokens = false }
      for _, id in ipairs(ids) do stream:push(id) end
      return stream:finish()
    end)
  end,

  ["byte fallback"] = function()
    local path = t.tmpdir() .. "/tokenizer.json"
    assert(sq.fs.write(path, METASPACE))
    local tok <close> = assert(sq.tokenizer.load(path))
    t.eq(tok:encode("aé", { add_special_tokens = true }), { 0, 3, 4, 5 })
    sweep("encode", function() assert(tok:encode("a é<s>", { offsets = true, add_special_tokens = true })) end)
    sweep("decode", function() return tok:decode { 3, 4, 5, 4, 1 } end)
    sweep("stream", function()
      local stream <close> = tok:stream()
      for _, id in ipairs { 3, 4, 5, 4 } do stream:push(id) end
      return stream:finish()
    end)
  end,

  ["train"] = function()
    local path = t.tmpdir() .. "/tokenizer.json"
    t.ok(sweep("train", function()
      assert(sq.tokenizer.train { texts = TEXTS, vocab_size = 262, special = SPECIAL, path = path }):close()
    end) > 50)
    sweep("bad text", function() return sq.tokenizer.train { texts = { "\xff" }, vocab_size = 300, path = path } end)
  end,
}
