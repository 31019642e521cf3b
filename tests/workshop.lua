-- A tiny training task for tests: conversations about two tables, a tokenizer trained on them, a model of two layers.
local sq = require "sqlune"
local t = require "tests.check"
local fs, json, models = sq.fs, sq.json, sq.models

local M = { program = fs.realpath "/proc/self/exe" }

---Runs a shell command; returns what it printed and its exit code.
function M.shell(command)
  local pipe = io.popen(command .. " 2>&1; echo \"[$?]\"")
  local text = pipe:read "a"
  pipe:close()
  local output, code = text:match "^(.*)%[(%d+)%]\n$"
  return output, tonumber(code)
end

---A folder with data.json (40 conversations), shop.sqlite (what they ask about) and model/.
---@param hidden? integer width of the model (32)
function M.new(hidden)
  local dir = t.tmpdir()
  local items, words = json.array {}, { "name", "total", "price", "shop", "book", "city", "year", "author" }
  local texts = {}
  for i = 1, 40 do
    local a, b = words[i % 8 + 1], words[(i * 3 + 1) % 8 + 1]
    local question, answer = ("Which %s has the most %s%s?"):format(a, b, (" really"):rep(i % 5)),
      ("SELECT %s FROM %s"):format(a, b)
    items[i] = { db_name = "shop", question = question, sql = answer, conversations = json.array {
      { role = "user", content = question }, { role = "assistant", content = answer },
    } }
    texts[i] = question .. " " .. answer
  end
  t.ok(json.write(dir .. "/data.json", items))
  local statements = {}
  for i, word in ipairs(words) do
    statements[i] = ("CREATE TABLE %s(%s); INSERT INTO %s(name) VALUES ('x%d');"):format(word,
      table.concat(words, ", "), word, i)
  end
  t.ok(sq.db.create(dir .. "/shop.sqlite", table.concat(statements)))
  fs.mkdir(dir .. "/model")
  local tokenizer = t.ok(sq.tokenizer.train { texts = texts, vocab_size = 320, path = dir .. "/model/tokenizer.json",
    special = { "<|im_start|>", "<|im_end|>" } })
  local model = t.ok(models.from_config({
    model_type = "qwen2", hidden_size = hidden or 32, intermediate_size = 48, num_hidden_layers = 2,
    num_attention_heads = 4, num_key_value_heads = 2, vocab_size = tokenizer:vocab_size(), tie_word_embeddings = true,
  }, { seed = 3 }))
  t.ok(model:save(dir .. "/model"))
  return dir
end

---Runs the recipe into DIR/out. Returns its output and exit code.
function M.sft(dir, out, settings, prefix)
  local fixed = ("model=%s/model data=%s/data.json out=%s/%s batch_tokens=160 lr=1e-3 epochs=2 --quiet"):format(
    dir, dir, dir, out)
  return M.shell(("%s '%s' sft %s %s"):format(prefix or "", M.program, fixed, settings or ""))
end

---Digest of the weights that a run ended with.
function M.weights(dir, out)
  local adapter = fs.join(dir, out, "adapter_model.safetensors")
  return t.ok(fs.sha256(fs.exists(adapter) and adapter or fs.join(dir, out, "model.safetensors")))
end

---Entries of a run's metrics.jsonl.
function M.entries(dir, out)
  local list = {}
  local it <close> = t.ok(json.items(fs.join(dir, out, "metrics.jsonl")))
  for entry in it do list[#list + 1] = entry end
  return list
end

---Losses of a run's steps.
function M.losses(dir, out)
  local list = {}
  for i, entry in ipairs(M.entries(dir, out)) do list[i] = entry.loss end
  return list
end

return M
