-- Speed of tokenizing, in MB/s of text: one thread against Hugging Face tokenizers on one thread, and all threads.
-- sqlune tests/bench/tokenize.lua [PYTHON]: PYTHON is one that has `tokenizers`, for the comparison.
local sq = require "sqlune"

local RUNS = 5
local SHARED = os.getenv "SQLUNE_SHARED" or "../shared"
local FOLDERS = { "qwen2.5-coder-0.5b-instruct", "mistral-7b-instruct-v0.2" }
local python = arg[1]

if not sq.fs.exists(SHARED .. "/README.md") then
  print("no reference data at " .. SHARED .. " (set SQLUNE_SHARED)")
  os.exit(0)
end

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

---MB/s of fn, which handles `bytes` bytes: the median of several runs after one that warms up.
local function speed(bytes, fn)
  local list = {}
  fn()
  for i = 1, RUNS do
    local start = sq.sys.clock()
    fn()
    list[i] = bytes / 1e6 / (sq.sys.clock() - start)
  end
  return median(list)
end

---Texts of every item of a JSON file, as `text` makes them.
local function texts_of(path, text)
  local items <close> = assert(sq.json.items(SHARED .. "/" .. path))
  local list = {}
  for item in items do list[#list + 1] = text(item) end
  return list
end

---This project's own sources, one text a file.
local function sources()
  local list = {}
  for _, folder in ipairs { "src/text", "src/io", "src/bind", "lua/sqlune" } do
    for _, name in ipairs(assert(sq.fs.list(folder))) do
      if name:match "%.[chl]u?a?$" then list[#list + 1] = assert(sq.fs.read(folder .. "/" .. name)) end
    end
  end
  return list
end

local corpora = {
  { "sources", sources() },
  { "questions and SQL", texts_of("data/spider/train.json", function(x) return x.question .. "\n" .. x.query end) },
  { "mixed, 30 languages", texts_of("golden/tokenizer/qwen2.jsonl", function(x) return x.text end) },
}

local function peer(path, texts)
  if not python then return nil end
  local name = os.tmpname()
  assert(sq.json.write(name, sq.json.array(texts)))
  local command = string.format("%s tests/bench/tokenize_peer.py %s %s %d", python, path, name, RUNS)
  local pipe, list = assert(io.popen(command)), {}
  for line in pipe:lines() do list[#list + 1] = tonumber(line) end
  pipe:close()
  os.remove(name)
  return assert(#list == RUNS and median(list), "the comparison failed: " .. command)
end

print(string.format("%-28s %-20s %8s %8s %8s %8s %6s", "tokenizer", "texts", "MB", "1 thread", "all", "peer", "ratio"))
for _, folder in ipairs(FOLDERS) do
  local start = sq.sys.clock()
  local tok = assert(sq.tokenizer.load(SHARED .. "/data/tokenizers/" .. folder))
  local loading = sq.sys.clock() - start
  for _, corpus in ipairs(corpora) do
    local name, texts = corpus[1], corpus[2]
    local bytes = 0
    for _, text in ipairs(texts) do bytes = bytes + #text end
    local one = speed(bytes, function()
      for i = 1, #texts do tok:encode(texts[i]) end
    end)
    local all = speed(bytes, function() tok:encode_many(texts) end)
    local theirs = peer(tok.path, texts)
    print(string.format("%-28s %-20s %8.2f %8.1f %8.1f %8s %6s", folder, name, bytes / 1e6, one, all,
      theirs and string.format("%.1f", theirs) or "-", theirs and string.format("%.1f", one / theirs) or "-"))
  end
  print(string.format("%-28s loads in %.0f ms", folder, loading * 1000))
end
