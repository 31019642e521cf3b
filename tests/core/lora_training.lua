-- sft with an adapter: what is saved, resumed bit for bit in every mode, opened by infer, trained on, merged.
local sq = require "sqlune"
local t = require "tests.check"
local fs, json, models = sq.fs, sq.json, sq.models

local program = fs.realpath "/proc/self/exe"

local function shell(command)
  local pipe = io.popen(command .. " 2>&1; echo \"[$?]\"")
  local text = pipe:read "a"
  pipe:close()
  local output, code = text:match "^(.*)%[(%d+)%]\n$"
  return output, tonumber(code)
end

---A folder with conversations, a byte-level tokenizer trained on them and a model of 2 layers.
local function workshop()
  local dir = t.tmpdir()
  local items, words = json.array {}, { "name", "total", "price", "shop", "book", "city", "year", "author" }
  local texts = {}
  for i = 1, 30 do
    local a, b = words[i % 8 + 1], words[(i * 3 + 1) % 8 + 1]
    items[i] = { conversations = json.array {
      { role = "user", content = ("Which %s has the most %s%s?"):format(a, b, (" really"):rep(i % 5)) },
      { role = "assistant", content = ("SELECT %s FROM %s"):format(a, b) },
    } }
    texts[i] = items[i].conversations[1].content .. " " .. items[i].conversations[2].content
  end
  t.ok(json.write(dir .. "/data.json", items))
  fs.mkdir(dir .. "/model")
  local tokenizer = t.ok(sq.tokenizer.train { texts = texts, vocab_size = 320, path = dir .. "/model/tokenizer.json",
    special = { "<|im_start|>", "<|im_end|>" } })
  local model = t.ok(models.from_config({
    model_type = "qwen2", hidden_size = 32, intermediate_size = 48, num_hidden_layers = 2, num_attention_heads = 4,
    num_key_value_heads = 2, vocab_size = tokenizer:vocab_size(), tie_word_embeddings = true,
  }, { seed = 3 }))
  t.ok(model:save(dir .. "/model"))
  return dir
end

local function sft(dir, out, settings)
  local fixed = ("model=%s/model data=%s/data.json out=%s/%s batch_tokens=160 lr=1e-2 epochs=2 --quiet"):format(
    dir, dir, dir, out)
  return shell(("'%s' sft %s %s"):format(program, fixed, settings))
end

local function digest(dir, out) return t.ok(fs.sha256(fs.join(dir, out, "adapter_model.safetensors"))) end

local function losses(dir, out)
  local list = {}
  local it <close> = t.ok(json.items(fs.join(dir, out, "metrics.jsonl")))
  for entry in it do list[#list + 1] = entry.loss end
  return list
end

local cases = {}

for name, settings in pairs {
  ["plain, dropout"] = "lora.rank=4 lora.dropout=0.2",
  ["bf16, LoRA+, biases"] = "lora.rank=4 dtype=bf16 lora.plus=4 lora.bias=all lora.target_modules=q_proj,v_proj",
  ["bf16 adapter, 8-bit states"] = "lora.rank=4 dtype=bf16 lora.dtype=bf16 states=8bit lora.modules_to_save=lm_head",
  ["DoRA, rsLoRA"] = "lora.rank=4 lora.dora=true lora.rslora=true lora.init=gaussian",
  ["PiSSA, dropout"] = "lora.rank=4 lora.init=pissa lora.alpha=4 lora.dropout=0.1",
  ["layers made again"] = "lora.rank=4 lora.dropout=0.2 loss.checkpointing=true lora.pattern='.*layers.1.*proj'",
} do
  cases["resumed bit for bit: " .. name] = function()
    local dir = workshop()
    local text, code = sft(dir, "whole", settings)
    t.eq(code, 0, text)
    local curve = losses(dir, "whole")
    t.ok(curve[#curve] < curve[1] * 0.98, ("loss went from %g to %g"):format(curve[1], curve[#curve]))
    t.eq(fs.exists(dir .. "/whole/model.safetensors"), false)
    local stop = #curve // 2
    t.eq(select(2, sft(dir, "cut", settings .. (" save_every=%d save_total_limit=0"):format(stop))), 0)
    for _, c in ipairs(sq.train.checkpoints(dir .. "/cut")) do
      if c.step > stop then t.ok(fs.remove_tree(c.path)) end
    end
    t.ok(fs.remove(dir .. "/cut/adapter_model.safetensors"))
    text, code = sft(dir, "cut", settings .. (" save_every=%d resume=true"):format(stop))
    t.eq(code, 0, text)
    t.eq(digest(dir, "cut"), digest(dir, "whole"))
  end
end

cases["layers made again give the same adapter"] = function()
  local dir = workshop()
  t.eq(select(2, sft(dir, "a", "lora.rank=4 lora.dropout=0.2")), 0)
  t.eq(select(2, sft(dir, "b", "lora.rank=4 lora.dropout=0.2 loss.checkpointing=true")), 0)
  t.eq(digest(dir, "a"), digest(dir, "b"))
end

cases["the plan counts what is trained"] = function()
  local dir = workshop()
  local text, code = sft(dir, "run", "lora.rank=4 lora.target_modules=q_proj,down_proj dry_run=true")
  t.eq(code, 0, text)
  local adapter = 2 * 4 * (32 + 32 + 48 + 32)
  t.ok(text:find("of an adapter trained", 1, true), text)
  local total = 0
  for _, part in ipairs(require("sqlune.train.data").memory_plan(1000, { dtype = "bf16" },
    { numbers = adapter, bytes = 4 })) do total = total + part[2] end
  t.eq(total, 2000 + adapter * (4 + 4 + 8))
  t.ok(not fs.exists(dir .. "/run"))
end

cases["infer opens an adapter's folder, sft trains it on, merge gives a model that answers alike"] = function()
  local dir = workshop()
  t.eq(select(2, sft(dir, "first", "lora.rank=4 epochs=4")), 0)
  local function infer(model, out)
    local command = "'%s' infer model=%s/%s data=%s/data.json out=%s/%s max_tokens=12 limit=10 --quiet"
    local text, code = shell(command:format(program, dir, model, dir, dir, out))
    t.eq(code, 0, text)
    local list = {}
    for i, item in ipairs(t.ok(json.read(dir .. "/" .. out))) do list[i] = item.pred_sql end
    return list
  end
  local answers = infer("first", "first.json")
  t.eq(#answers, 10)
  local text, code = shell(("'%s' merge %s/first %s/merged --quiet"):format(program, dir, dir))
  t.eq(code, 0, text)
  t.ok(text:find "tokens are chosen alike", text)
  t.eq(infer("merged", "merged.json"), answers)
  -- without its own tokenizer the base's counts
  t.ok(fs.remove(dir .. "/first/tokenizer.json"))
  t.eq(infer("first", "again.json"), answers)
  local command = "'%s' sft model=%s/first data=%s/data.json out=%s/second lr=1e-3 epochs=1 batch_tokens=160 --quiet"
  text, code = shell(command:format(program, dir, dir, dir))
  t.eq(code, 0, text)
  local config = t.ok(json.read(dir .. "/second/adapter_config.json"))
  t.eq({ config.r, config.base_model_name_or_path }, { 4, dir .. "/model" })
  t.ok(digest(dir, "second") ~= digest(dir, "first"))
end

cases["what is refused"] = function()
  local dir = workshop()
  t.eq(select(2, sft(dir, "run", "lora.rank=2 epochs=1")), 0)
  local function refused(settings, wanted)
    local text, code = sft(dir, "bad", settings)
    t.ok(code == 1 or code == 2, text)
    t.ok(text:find(wanted), text)
    t.ok(not text:find "traceback", text)
  end
  refused("lora.rank=4 lora.target_modules=w_proj", "no layer of the model has such a name")
  refused("lora.rank=4 lora.init=olora", "init_lora_weights")
  refused("lora.rank=4 lora.pattern='(q'", "without its %)")
  refused("lora.rank=4 momq.enabled=true", "one of them")
  refused(("lora.rank=4 model=%s/run"):format(dir), "has its own settings")
end

return cases
