-- Augmentation in every epoch of training: samples differ by epoch, are the same for a seed and in a resumed run.
local sq = require "sqlune"
local t = require "tests.check"
local fs, json, models = sq.fs, sq.json, sq.models

local program = fs.realpath "/proc/self/exe"

local SCHEMA = "【DB_ID】 shop\n【Schema】\n# Table: customer\n[\n(id:INTEGER, Primary Key, Examples: [1, 2]),\n"
  .. "(name:TEXT, Examples: [O'Brien]),\n(city:TEXT),\n(note:TEXT),\n(phone:TEXT)\n]\n# Table: log\n[\n(line:TEXT)\n]"

---A folder with items, a tokenizer and a tiny model.
local function workshop()
  local dir, items, texts = t.tmpdir(), json.array {}, { SCHEMA }
  for i = 1, 24 do
    items[i] = { db_name = "shop", question = ("Name of %d?"):format(i), evidence = "", db_schema = SCHEMA,
      sql = ("SELECT name FROM customer WHERE id = %d"):format(i) }
    texts[i + 1] = items[i].sql
  end
  assert(json.write(dir .. "/items_nl2sqlite.json", items))
  assert(fs.mkdir(dir .. "/model"))
  local tokenizer = assert(sq.tokenizer.train { texts = texts, vocab_size = 320,
    path = dir .. "/model/tokenizer.json", special = { "<|im_start|>", "<|im_end|>" } })
  local model = assert(models.from_config({ model_type = "qwen2", hidden_size = 16, intermediate_size = 24,
    num_hidden_layers = 1, num_attention_heads = 2, num_key_value_heads = 1, vocab_size = tokenizer:vocab_size(),
    tie_word_embeddings = true, max_position_embeddings = 4096 }, { seed = 3 }))
  assert(model:save(dir .. "/model"))
  return dir
end

local function sft(dir, out, settings)
  local pipe = io.popen(("'%s' sft model=%s/model data=%s/items_nl2sqlite.json out=%s/%s batch_tokens=3000 lr=1e-3 "
    .. "epochs=3 augment.every_epoch=true augment.prompt=en --quiet %s 2>&1; echo \"[$?]\""):format(program, dir, dir,
    dir, out, settings or ""))
  local text = pipe:read "a"
  pipe:close()
  return text
end

local function read(dir, o)
  local text = assert(require("sqlune.train.data").text_of(dir .. "/model"))
  sq.progress.quiet = true
  local augment = { every_epoch = true, prompt = "en", file = o and o.file, trim = o and o.trim }
  local samples, message = sq.data.epochs.read({ data = dir .. "/items_nl2sqlite.json", seed = o and o.seed or 1,
    augment = augment }, text, o and o.longest or 4096)
  return samples, message
end

return {
  ["samples differ by epoch and are the same for a seed"] = function()
    local dir = workshop()
    local one, again, other = assert(read(dir)), assert(read(dir)), assert(read(dir, { seed = 2 }))
    t.eq(#one, 24)
    local changed, differ = 0, 0
    for i = 1, 24 do
      t.eq(one:sample(i, 2), again:sample(i, 2))
      t.eq(#one:sample(i, 2).ids, one:lengths_in(2)[i])
      if #one:sample(i, 1).ids ~= #one:sample(i, 2).ids then changed = changed + 1 end
      if #one:sample(i, 1).ids ~= #other:sample(i, 1).ids then differ = differ + 1 end
    end
    t.ok(changed > 6 and differ > 6, changed .. " " .. differ)
  end,

  ["batches hold what the epoch has"] = function()
    local dir = workshop()
    local samples = assert(read(dir))
    local batches = sq.data.batches.of(samples, { batch_tokens = 3000, accumulation = 2, seed = 1, epochs = 2 })
    local total = batches:steps()
    for step = 1, total do
      for _, batch in ipairs(batches:at(step)) do t.ok(batch.tokens <= 3000 and batch.labelled > 0) end
    end
  end,

  ["a resumed run ends with the same weights"] = function()
    local dir = workshop()
    t.ok(sft(dir, "whole"):find "%[0%]\n$")
    local text = sft(dir, "part", "save_every=4 save_total_limit=0")
    t.ok(text:find "%[0%]\n$", text)
    local last
    for _, checkpoint in ipairs(sq.train.checkpoints(dir .. "/part")) do
      if checkpoint.step > 4 then assert(fs.remove_tree(checkpoint.path)) else last = checkpoint.step end
    end
    t.eq(last, 4)
    assert(fs.remove(dir .. "/part/model.safetensors"))
    text = sft(dir, "part", "save_every=4 save_total_limit=0 resume=true")
    t.ok(text:find "%[0%]\n$", text)
    t.eq(fs.sha256(dir .. "/part/model.safetensors"), fs.sha256(dir .. "/whole/model.safetensors"))
  end,

  ["what is too long is left out, or loses schema"] = function()
    local dir = workshop()
    local samples, message = read(dir, { longest = 40 })
    t.eq(samples, nil)
    t.ok(message:find "no sample to train on: 24 longer than the limit of 40 tokens", message)
    local full = assert(read(dir))
    local longest = full.longest - 20
    local cut, trimmed = assert(read(dir, { longest = longest })), assert(read(dir, { longest = longest, trim = true }))
    t.ok(cut.dropped > trimmed.dropped, cut.dropped .. " " .. trimmed.dropped)
    t.ok(trimmed.longest <= longest)
  end,

  ["bad items and augmentations are named"] = function()
    local dir = workshop()
    assert(fs.write(dir .. "/my.lua", "return function(sample) end"))
    local samples, message = read(dir, { file = dir .. "/my.lua" })
    t.eq(samples, nil)
    t.ok(message:find "my.lua:1: .*item 1 %(line 1%): it returned nothing", message)
    local text = sft(dir, "bad", ("augment.file=%s/my.lua"):format(dir))
    t.ok(text:find "sqlune sft: .*my.lua:1: " and text:find "%[1%]\n$" and not text:find "traceback", text)
    assert(json.write(dir .. "/items_nl2sqlite.json", { { question = "q" } }))
    text = sft(dir, "bad", ("cache=%s/cache"):format(dir))
    t.ok(text:find "cache: conversations that are made anew in every epoch .* cannot be kept\n%[1%]\n$", text)
    t.ok(not fs.exists(dir .. "/cache") and not fs.exists(dir .. "/bad"))
    samples, message = read(dir)
    t.eq(samples, nil)
    t.ok(message:find "item 1 %(line 1%): 'db_name' is missing", message)
  end,
}
