-- Bad input from the shell: a message that names file and place, exit code 1 or 2, no traceback, nothing half-written.
local sq = require "sqlune"
local t = require "tests.check"
local fs, json = sq.fs, sq.json

local program = fs.realpath "/proc/self/exe"

---SQLUNE_GC=stress refuses memory now and then, which LPeg does not ask for again: the children do without.
local function shell(command)
  local pipe = io.popen("( unset SQLUNE_GC; " .. command .. " ) 2>&1; echo \"[$?]\"")
  local text = pipe:read "a"
  pipe:close()
  local output, code = text:match "^(.*)%[(%d+)%]\n$"
  return output, tonumber(code)
end

---Every file below a folder with its digest, so that a test sees whatever a failed command left.
local function contents(dir, list, prefix)
  list, prefix = list or {}, prefix or ""
  for _, name in ipairs(assert(fs.list(dir))) do
    local path = fs.join(dir, name)
    if fs.is_dir(path) then contents(path, list, prefix .. name .. "/") else list[prefix .. name] = fs.sha256(path) end
  end
  return list
end

---Runs `sqlune ARGUMENTS`, which must fail with a message that has each of the texts, and leave the folder as it was.
local function refused(dir, arguments, code, ...)
  local before = contents(dir)
  local text, status = shell(("cd '%s' && '%s' %s"):format(dir, program, arguments))
  local shown = ("sqlune %s\n%s[%d]"):format(arguments, text, status)
  t.eq(status, code, shown)
  t.ok(not text:find("stack traceback", 1, true), "a traceback: " .. shown)
  t.ok(not text:find "%.lua:%d+:", "a place in the program: " .. shown)
  for _, wanted in ipairs { ... } do
    if not text:find(wanted, 1, true) then error(("no %q in: %s"):format(wanted, shown), 2) end
  end
  t.eq(contents(dir), before, shown)
end

local CONFIG = {
  model_type = "qwen2", hidden_size = 16, intermediate_size = 24, num_hidden_layers = 1, num_attention_heads = 2,
  num_key_value_heads = 1, tie_word_embeddings = true, max_position_embeddings = 64,
}

local function talk(question, answer)
  return { conversations = json.array {
    { role = "user", content = question }, { role = "assistant", content = answer },
  } }
end

---A folder with data.json and model/, both good.
local function workshop()
  local dir = t.tmpdir()
  t.ok(json.write(dir .. "/data.json", json.array { talk("Which shop?", "SELECT shop"), talk("Who?", "SELECT name") }))
  t.ok(fs.mkdir(dir .. "/model"))
  local tokenizer = t.ok(sq.tokenizer.train { texts = { "Which shop? SELECT shop" }, vocab_size = 280,
    path = dir .. "/model/tokenizer.json", special = { "<|im_start|>", "<|im_end|>" } })
  local config = { vocab_size = tokenizer:vocab_size() }
  for key, value in pairs(CONFIG) do config[key] = value end
  t.ok(t.ok(sq.models.from_config(config, { seed = 3 })):save(dir .. "/model"))
  return dir, config
end

local SFT = "sft model=model data=data.json out=out --quiet"
local INFER = "infer model=model data=data.json out=pred.json --quiet"

---Both commands that read weights.
local function both_refuse(dir, ...)
  refused(dir, SFT, 1, ...)
  refused(dir, INFER, 1, ...)
end

local function database(dir, name)
  t.ok(sq.db.create(fs.join(dir, name), "CREATE TABLE shop(id INTEGER PRIMARY KEY, name TEXT);" ..
    "INSERT INTO shop VALUES (1, CAST(x'ff80' AS TEXT)), (2, 'two')"))
end

local PROCESS = "process raw=raw.json db=%s out=out --quiet"

---A folder with raw.json (this text), and shop.sqlite.
local function raw(text)
  local dir = t.tmpdir()
  database(dir, "shop.sqlite")
  t.ok(fs.write(dir .. "/raw.json", text))
  return dir
end

local cases = {}

cases["weights that are missing, truncated or something else"] = function()
  local dir = workshop()
  local path = dir .. "/model/model.safetensors"
  local good = t.ok(fs.read(path))
  t.ok(fs.write(path, good:sub(1, #good // 2)))
  both_refuse(dir, "model/model.safetensors", "truncated")
  t.ok(fs.write(path, good:sub(1, 5)))
  both_refuse(dir, "model/model.safetensors", "no safetensors file")
  t.ok(fs.remove(path))
  both_refuse(dir, "model.safetensors")
  t.ok(fs.remove(dir .. "/model/config.json"))
  both_refuse(dir, "model/config.json")
end

cases["a config whose shapes disagree with the weights"] = function()
  local dir, config = workshop()
  local function with(key, value)
    local changed = {}
    for k, v in pairs(config) do changed[k] = v end
    changed[key] = value
    t.ok(json.write(dir .. "/model/config.json", changed))
  end
  with("intermediate_size", 32)
  both_refuse(dir, "model", "'model.layers.0.mlp.gate_proj.weight'", "[24, 16]", "[32, 16]")
  with("num_hidden_layers", 2)
  both_refuse(dir, "model: no tensor 'model.layers.1.")
  with("vocab_size", config.vocab_size + 8)
  both_refuse(dir, "model.embed_tokens.weight")
  with("hidden_size", "wide")
  both_refuse(dir, "model/config.json: 'hidden_size' must be a positive integer, got wide")
  with("rope_theta", "large")
  both_refuse(dir, "model/config.json: 'rope_theta' must be a positive number, got large")
  with("model_type", "gpt2")
  both_refuse(dir, "model/config.json", "gpt2")
end

cases["a tokenizer with more tokens than the model"] = function()
  local dir = workshop()
  t.ok(sq.tokenizer.train { texts = { ("Which shop? SELECT shop Who is it? "):rep(3) }, vocab_size = 300,
    path = dir .. "/model/tokenizer.json", special = { "<|im_start|>", "<|im_end|>", "<|more|>", "<|still_more|>" } })
  both_refuse(dir, "model/tokenizer.json", "tokens")
end

cases["broken and invalid JSON"] = function()
  local dir, config = workshop()
  local path = dir .. "/data.json"
  local data = t.ok(fs.read(path))
  t.ok(fs.write(path, data:sub(1, #data - 20)))
  both_refuse(dir, "data.json")
  refused(dir, "new data=data.json out=out", 1, "data.json")
  t.ok(fs.write(path, '[{"conversations": [\n{"role": "user", "content": "\xff\xfe"}]}]'))
  both_refuse(dir, "data.json: line 2, column", "UTF-8")
  refused(dir, "new data=data.json out=out", 1, "data.json: line 2, column", "UTF-8")
  for text, wanted in pairs {
    ["[1, 2]"] = "data.json: item 1 (line 1)",
    ['[{"conversations": 7}]'] = "data.json: item 1 (line 1): 'conversations'",
    ['[\n{"conversations": []}]'] = "data.json: item 1 (line 2): 'conversations'",
    ['[{"conversations": [1]}]'] = "data.json: item 1 (line 1): ",
    ['[{"conversations": [{"role": "user"}, {"role": "assistant"}]}]'] = "data.json: item 1 (line 1): ",
  } do
    t.ok(fs.write(path, text))
    both_refuse(dir, wanted)
    refused(dir, "new data=data.json out=out", 1, wanted)
  end
  t.ok(fs.write(path, data))
  for _, name in ipairs { "generation_config.json", "tokenizer_config.json" } do
    t.ok(fs.write(fs.join(dir, "model", name), '{"eos_token_id": 1,\n"a" 2}'))
    both_refuse(dir, "model/" .. name .. ": line 2, column 5")
    t.ok(fs.remove(fs.join(dir, "model", name)))
  end
  t.ok(fs.write(dir .. "/model/config.json", '{"hidden_size": 16'))
  both_refuse(dir, "model/config.json")
  t.ok(json.write(dir .. "/model/config.json", config))
  t.ok(fs.write(dir .. "/model/tokenizer.json", '{"model": {"type": "BPE", "vocab": {"\xff": 0}}}'))
  both_refuse(dir, "model/tokenizer.json", "UTF-8")
end

cases["raw questions that are broken, invalid or without SQL"] = function()
  local from = PROCESS:format "."
  refused(raw '[{"db_id": "shop", "question": "Who?", "SQL": "SELECT 1"},\n{"db_id": "shop", "question": "?"}]', from,
    1, "raw.json: item 2 (line 2): no SQL")
  refused(raw '[{"db_id": "shop", "question": "Who?", "SQL": "  "}]', from, 1, "raw.json: item 1 (line 1): no SQL")
  refused(raw '[{"db_id": "shop",\n "question": "\xc3(", "SQL": "SELECT 1"}]', from, 1, "raw.json: line 2,", "UTF-8")
  refused(raw '[{"db_id": "shop", "question": "Who?", "SQL": "SELECT 1"}', from, 1, "raw.json: line 1,")
  refused(raw '[]', from, 1, "raw.json: no items")
  refused(raw '[{"db_id": "shoe", "question": "Who?", "SQL": "SELECT 1"}]', from, 1, "raw.json: item 1", "shoe")
  refused(raw '[{"db_id": "shop"}]', PROCESS:format "nowhere", 1, "nowhere")
end

cases["predictions without SQL"] = function()
  local eval = "eval pred=raw.json db=. out=out --quiet"
  refused(raw '[{"db_name": "shop", "sql": "SELECT 1"}]', eval, 1, "raw.json: item 1 (line 1): 'pred_sql' is missing")
  refused(raw '[{"db_name": "shop", "pred_sql": "SELECT 1"}]', eval, 1, "raw.json: item 1 (line 1): 'sql' is missing")
  refused(raw '[{"sql": "SELECT 1", "pred_sql": "SELECT 1"}]', eval, 1, "raw.json: item 1 (line 1): 'db_name'")
  refused(raw '[{"pred_sql": "\xff"}]', eval, 1, "raw.json: line 1, column", "UTF-8")
end

cases["items that assemble cannot use"] = function()
  local dir = raw '[{"db_name": "shop", "question": "Who?", "db_schema": "x"}]'
  refused(dir, "assemble raw.json out=train.json --quiet", 1, "raw.json: item 1 (line 1): 'sql' is missing")
  t.ok(fs.write(dir .. "/raw.json", '[{"db_name": "shop", "question": "Who?", "db_schema": "x", "sql": "SELECT 1"}]'))
  refused(dir, "assemble raw.json out=train.json --quiet", 1, "raw.json: item 1 (line 1): 'db_schema'")
end

cases["a database that is not one"] = function()
  local dir = raw '[{"db_id": "shop", "question": "Who?", "SQL": "SELECT 1"}]'
  t.ok(fs.write(dir .. "/shop.sqlite", ("no database "):rep(100)))
  refused(dir, PROCESS:format ".", 1, "raw.json: item 1 (line 1)", "shop.sqlite", "not an SQLite database")
  refused(dir, "mschema shop.sqlite", 1, "shop.sqlite", "not an SQLite database")
  refused(dir, "mschema nothing.sqlite", 1, "nothing.sqlite")
  refused(dir, "mschema .", 1, "shop.sqlite", "not an SQLite database")
end

cases["text of a database that is not UTF-8"] = function()
  local dir = raw '[{"db_id": "shop", "question": "Who?", "SQL": "SELECT 1"}]'
  local text, code = shell(("cd %s && %s %s"):format(dir, program, PROCESS:format "."))
  t.eq(code, 0, text)
  local items = t.ok(json.read(dir .. "/out/raw_nl2sqlite.json"))
  t.ok(utf8.len(items[1].db_schema), items[1].db_schema)
  t.ok(items[1].db_schema:find("(name:TEXT)", 1, true), items[1].db_schema) -- no example is better than a wrong one
end

cases["an answer longer than the context"] = function()
  local dir = workshop()
  local long = ("SELECT shop, "):rep(40)
  t.ok(json.write(dir .. "/data.json", json.array { talk("Who?", "SELECT"), talk("Which?", long) }, { indent = 2 }))
  refused(dir, SFT, 1, "data.json: item 2 (line 14): the answer has ", " tokens, more than the context of 64")
  t.ok(json.write(dir .. "/data.json", json.array { talk(long, "SELECT name") }))
  refused(dir, SFT, 1, "data.json: no sample to train on: 1 longer than the limit of 64 tokens")
end

cases["unknown settings, options, recipes with the nearest name"] = function()
  local dir = workshop()
  refused(dir, SFT .. " epochz=2", 2, "'epochz'", "did you mean 'epochs'")
  refused(dir, SFT .. " --learn-rate=2", 2, "unknown option '--learn-rate'")
  refused(dir, SFT .. " --warmpu 2", 2, "unknown option '--warmpu'", "did you mean '--warmup'")
  refused(dir, SFT .. " epochs=many", 2, "epochs=many", "expected a number")
  refused(dir, "sfft", 2, "did you mean 'sft'?")
  refused(dir, "--lits", 2, "did you mean '--list'?")
  t.ok(fs.write(dir .. "/my.lua", "return {\n  weight_decai = 0.2,\n}\n"))
  refused(dir, "sft my.lua", 2, "my.lua: no setting 'weight_decai'", "did you mean 'weight_decay'")
  t.ok(fs.write(dir .. "/my.lua", "return {\n  epochs = ,\n}\n"))
  local text, code = shell(("cd %s && %s sft my.lua"):format(dir, program))
  t.eq(code, 2, text)
  t.ok(text:find("my.lua:2:", 1, true) and not text:find "traceback", text)
  refused(dir, "sft none.lua", 2, "none.lua")
end

---Runs a command where files may have so many kilobytes; the signal of the limit is ignored, so that write fails.
local function small_files(dir, kib, arguments)
  return shell(("cd '%s' && ulimit -f %d && trap '' XFSZ && '%s' %s"):format(dir, kib, program, arguments))
end

cases["writes that fail midway leave nothing under the name"] = function()
  local dir = workshop()
  local text, code = small_files(dir, 8, SFT)
  t.eq(code, 1, text)
  t.ok(text:find "out/" and not text:find "traceback", text)
  t.ok(not fs.exists(dir .. "/out/model.safetensors"))
  local items = json.array {}
  for i = 1, 60 do items[i] = { db_id = "shop", question = "Who " .. i .. "?", SQL = "SELECT name FROM shop" } end
  dir = raw(json.encode(items))
  t.eq(select(2, shell(("cd %s && %s %s"):format(dir, program, PROCESS:format "."))), 0)
  local before = contents(dir .. "/out")
  text, code = small_files(dir, 8, PROCESS:format ".")
  t.eq(code, 1, text)
  t.ok(text:find "out/raw_nl2sqlite%.json" and not text:find "traceback", text)
  t.eq(contents(dir .. "/out"), before)
  text, code = small_files(dir, 8, "assemble out/datasets.json out=train.json --quiet")
  t.eq(code, 1, text)
  t.ok(text:find "train%.json" and not text:find "traceback", text)
  t.ok(not fs.exists(dir .. "/train.json"))
end

cases["a full disk"] = function()
  local dir = workshop()
  t.ok(fs.mkdir(dir .. "/out"))
  local mounted = "unshare -rm sh -c \"mount -t tmpfs -o size=24k none out && "
  if select(2, shell(("cd %s && %s true\""):format(dir, mounted))) ~= 0 then t.skip "no mount namespaces here" end
  local text, code = shell(("cd %s && %s '%s' %s; echo exit \\$?; ls -A out\""):format(dir, mounted, program, SFT))
  t.eq(code, 0, text)
  t.ok(text:find "sqlune sft: .*out/.*[Nn]o space left", text)
  t.ok(text:find "exit 1\n" and not text:find "traceback" and not text:find "\nmodel%.safetensors", text)
end

cases["an output that cannot be written"] = function()
  local dir = raw '[{"db_id": "shop", "question": "Who?", "SQL": "SELECT 1"}]'
  t.ok(fs.write(dir .. "/file", ""))
  refused(dir, "process raw=raw.json db=. out=file --quiet", 1, "file")
  refused(dir, "mschema shop.sqlite json=file/x.json", 1, "file/x.json")
  refused(dir, "mschema shop.sqlite > /dev/full", 1, "standard output", "No space left")
  t.ok(json.write(dir .. "/items.json", json.array { { db_name = "shop", question = "Who?", sql = "SELECT 1",
    db_schema = "【DB_ID】 shop\n【Schema】\n# Table: shop\n[\n(id:INTEGER)\n]\n" } }))
  refused(dir, "assemble items.json out=file/x.json --quiet", 1, "file")
  dir = workshop()
  t.ok(fs.write(dir .. "/file", ""))
  refused(dir, "sft model=model data=data.json out=file --quiet", 1, "file")
  refused(dir, "infer model=model data=data.json out=file/pred.json --quiet", 1, "file")
end

return cases
