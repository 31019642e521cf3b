-- Chat: rendering with options, places of answers, labels, folders of models. The tokenizer is one of bytes, made here.
local t = require "tests.check"
local sq = require "sqlune"
local json, fs, chat = sq.json, sq.fs, sq.chat

local question = { role = "user", content = "How many?" }
local answer = { role = "assistant", content = "SELECT 1" }

local function chatml(o) return t.ok(chat.compile(chat.chatml, o)) end

-- A byte-level tokenizer without merges but for `merges`: one token a byte, and ChatML's special tokens.
local function byte_tokenizer(merges)
  local vocab, n = {}, 0
  local function add(token) vocab[token], n = n, n + 1 end
  local shifted = 0x100
  for byte = 0, 255 do
    local shown = byte >= 33 and byte <= 126 or byte >= 0xA1 and byte <= 0xAC or byte >= 0xAE
    add(utf8.char(shown and byte or shifted))
    if not shown then shifted = shifted + 1 end
  end
  for _, pair in ipairs(merges or {}) do add((pair:gsub(" ", ""))) end
  local added = json.array {}
  for i, token in ipairs { "<|im_start|>", "<|im_end|>" } do
    added[i] = { id = n + i - 1, content = token, special = true, single_word = false, lstrip = false, rstrip = false,
      normalized = false }
  end
  local level = { type = "ByteLevel", add_prefix_space = false, trim_offsets = false, use_regex = false }
  local folder = t.tmpdir()
  t.ok(json.write(folder .. "/tokenizer.json", {
    version = "1.0", truncation = json.null, padding = json.null, added_tokens = added, normalizer = json.null,
    pre_tokenizer = level, post_processor = json.null, decoder = level,
    model = { type = "BPE", dropout = json.null, unk_token = json.null, continuing_subword_prefix = "",
      end_of_word_suffix = "", fuse_unk = false, byte_fallback = false, vocab = vocab,
      merges = json.array(merges or {}) },
  }))
  return t.ok(sq.tokenizer.load(folder)), folder
end

-- The text of the tokens that are trained, and how many there are.
local function trained(tok, encoded)
  local ids = {}
  for i, label in ipairs(encoded.labels) do
    if label ~= chat.ignored then
      t.eq(label, encoded.ids[i], "label " .. i)
      ids[#ids + 1] = label
    end
  end
  t.eq(#encoded.labels, #encoded.ids)
  return tok:decode(ids, { skip_special_tokens = false }), #ids
end

local M = {}

M["our own template"] = function()
  local template = chatml()
  t.eq(template:render { messages = { { role = "system", content = "Be brief." }, question, answer } },
    "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHow many?<|im_end|>\n"
    .. "<|im_start|>assistant\nSELECT 1<|im_end|>\n")
  t.eq(template:render { messages = { question }, add_generation_prompt = true },
    "<|im_start|>user\nHow many?<|im_end|>\n<|im_start|>assistant\n")
  local text, message, code, err = template:render { messages = { { role = "robot", content = "x" } } }
  t.eq(text, nil)
  t.eq(message, "chat template: line 3: a role is system, user or assistant, not 'robot'")
  t.eq(code, "SQLUNE_FORMAT")
  t.eq({ err.class, err.line }, { "TemplateError", 3 })
end

M["variables"] = function()
  local template = t.ok(chat.compile(
    "{{ bos_token }}|{{ tools is none }}|{{ x }}|{{ add_generation_prompt }}|{{ strftime_now('%Y') }}",
    { tokens = { bos_token = "<s>" } }))
  local now = "2024-02-29T00:00:00"
  t.eq(template:render { messages = { question }, now = now }, "<s>|True||False|2024")
  t.eq(template:render { messages = { question }, now = now, bos_token = json.null, tools = {} }, "|False||False|2024")
  t.eq(template:render { messages = { question }, now = now, kwargs = { x = 1, bos_token = "B" } },
    "B|True|1|False|2024")
end

M["the last message goes on"] = function()
  local template = chatml()
  local messages = { question, { role = "assistant", content = "SELECT" } }
  t.eq(template:render { messages = messages, continue_final_message = true },
    "<|im_start|>user\nHow many?<|im_end|>\n<|im_start|>assistant\nSELECT")
  t.eq(messages[2].content, "SELECT", "the caller's message was changed")
  local trims = t.ok(chat.compile "{% for m in messages %}[{{ m.content | trim }}]{% endfor %}")
  t.eq(trims:render { messages = { { role = "user", content = " a " } }, continue_final_message = true }, "[a")
  local parts = t.ok(chat.compile "{{ messages[0].content[0].text }}.")
  local part = { role = "user", content = { { type = "text", text = "a" }, { type = "image" } } }
  t.eq(parts:render { messages = { part }, continue_final_message = true }, "a")
  t.fails(function() return template:render { messages = messages, continue_final_message = true,
    add_generation_prompt = true } end, "exclude each other")
  local silent = t.ok(chat.compile "nothing")
  t.fails(function() return silent:render { messages = messages, continue_final_message = true } end, "does not appear")
end

M["places of answers"] = function()
  local template = chatml()
  local text, answers, generations = template:render_spans { messages = { question, answer, question, answer } }
  t.eq(#answers, 2)
  for _, span in ipairs(answers) do t.eq(text:sub(span[1] + 1, span[2]), "SELECT 1<|im_end|>\n") end
  t.eq(generations, {})
  local first = select(2, template:render_spans { messages = { answer, question, answer } })
  t.eq(first[1], false, "nothing can be rendered before a first answer")
  t.ok(first[2], "the second answer has a place")
  local late = t.ok(chat.compile "{% for m in messages %}{{ loop.revindex }}{{ m.content }}{% endfor %}")
  t.eq(select(2, late:render_spans { messages = { question, answer } }), { false })
end

M["labels: the answer with its end of turn"] = function()
  local tok = byte_tokenizer()
  local template = chatml()
  local messages = { question, { role = "assistant", content = "é🦙;" }, question, answer }
  local encoded = t.ok(chat.encode(tok, template, messages))
  t.eq(tok:decode(encoded.ids, { skip_special_tokens = false }), encoded.text)
  t.eq(trained(tok, encoded), "é🦙;<|im_end|>SELECT 1<|im_end|>")
  encoded = t.ok(chat.encode(tok, template, messages, { train_newline = true }))
  t.eq(trained(tok, encoded), "é🦙;<|im_end|>\nSELECT 1<|im_end|>\n")
end

M["labels: without a special token all of the answer"] = function()
  local tok = byte_tokenizer()
  local plain = t.ok(chat.compile("{% for m in messages %}{{ m.role[0] }}: {{ m.content }}\n\n{% endfor %}"
    .. "{% if add_generation_prompt %}a: {% endif %}"))
  t.eq(trained(tok, t.ok(chat.encode(tok, plain, { question, answer }))), "SELECT 1\n\n")
end

M["labels: the token that holds the first character is trained"] = function()
  local tok = byte_tokenizer { "Ċ Ġ" } -- a newline and a blank make one token
  local encoded = t.ok(chat.encode(tok, chatml(), { question, { role = "assistant", content = " x" } }))
  t.eq(trained(tok, encoded), "\n x<|im_end|>")
end

M["labels: whole texts, prompts, generation blocks"] = function()
  local tok = byte_tokenizer()
  local template = chatml()
  local encoded = t.ok(chat.encode(tok, template, { question, answer }, { mask = "all" }))
  t.eq(trained(tok, encoded), encoded.text)
  encoded = t.ok(chat.encode(tok, template, { question }, { mask = "none", add_generation_prompt = true }))
  t.eq(select(2, trained(tok, encoded)), 0)
  t.eq(encoded.text:sub(-11), ">assistant\n")
  local marked = t.ok(chat.compile
    "{% for m in messages %}<{% generation %}{{ m.content }}{% endgeneration %}>{% endfor %}")
  encoded = t.ok(chat.encode(tok, marked, { question, answer }, { spans = "generation" }))
  t.eq(trained(tok, encoded), "How many?SELECT 1")
end

M["answers without a place"] = function()
  local tok = byte_tokenizer()
  t.fails(function() return chat.encode(tok, chatml { name = "file" }, { answer, question, answer }) end,
    "^file: chat template: answer 1 cannot be placed")
  local encoded = t.ok(chat.encode(tok, chatml(), { answer, question, answer }, { unplaced = "skip" }))
  t.eq(trained(tok, encoded), "SELECT 1<|im_end|>")
  t.fails(function() return chat.encode(tok, chatml(), { answer }, { mask = "some" }) end, "mask is")
  t.fails(function() return chat.encode(tok, chatml(), { answer }, { spans = "some" }) end, "spans is")
  t.fails(function() return chat.encode(tok, chatml(), {}) end, "there are no messages")
end

M["a model's folder"] = function()
  local folder = t.tmpdir()
  local config = folder .. "/tokenizer_config.json"
  t.fails(function() return chat.load(folder) end, "tokenizer_config.json")
  t.ok(json.write(config, { eos_token = "</s>" }))
  t.fails(function() return chat.load(folder) end, "there is no chat_template")
  t.ok(json.write(config, { bos_token = { content = "<s>" }, eos_token = "</s>",
    chat_template = "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}" }))
  t.eq(t.ok(chat.load(folder)):render { messages = { question } }, "<s>How many?</s>")
  local several = { { name = "default", template = "d" }, { name = "rag", template = "r" } }
  t.ok(json.write(config, { chat_template = several }))
  t.eq(t.ok(chat.load(folder)):render { messages = { question } }, "d")
  t.eq(t.ok(chat.load(folder, { template = "rag" })):render { messages = { question } }, "r")
  t.ok(fs.write(folder .. "/chat_template.jinja", "from the file"))
  t.eq(t.ok(chat.load(folder)):render { messages = { question } }, "from the file")
  t.ok(fs.write(folder .. "/chat_template.jinja", "{% if %}"))
  t.fails(function() return chat.load(folder) end, "chat_template.jinja: chat template: line 1: Expected an expression")
end

M["code points"] = function()
  local unicode = sq.unicode
  t.eq({ unicode.category(0x41), unicode.category(0x20), unicode.category(0x10FFFF) }, { "Lu", "Zs", "Cn" })
  t.eq({ unicode.upper(0xE9), unicode.lower(0xC9), unicode.title(0x1C6) }, { 0xC9, 0xE9, 0x1C5 })
  t.eq({ unicode.length "", unicode.length "aé中😀", unicode.length "\xff\x80a" }, { 0, 4, 2 })
  t.fails(function() return unicode.category(0x110000) end, "not a code point")
end

return M
